// SPDX-License-Identifier: BSD-3-Clause
// ICMP (RFC 792, 1191) and ICMPv6 (RFC 4443, 4861): the first eight bytes, which all messages
// share.
#pragma once

#include "lib/net/endian.hpp"

#include <cstdint>

namespace culvert::net {

namespace icmp_type {
inline constexpr std::uint8_t kEchoReply = 0;
inline constexpr std::uint8_t kDestinationUnreachable = 3;
inline constexpr std::uint8_t kSourceQuench = 4;
inline constexpr std::uint8_t kRedirect = 5;
inline constexpr std::uint8_t kEchoRequest = 8;
inline constexpr std::uint8_t kTimeExceeded = 11;
inline constexpr std::uint8_t kParameterProblem = 12;
}  // namespace icmp_type

// RFC 4443 2.1: errors have the type's high bit clear.
[[nodiscard]] constexpr bool is_icmpv6_error(std::uint8_t type) noexcept {
    return type < 128;
}

// Messages that quote the packet they are about.
[[nodiscard]] constexpr bool is_icmp_error(std::uint8_t type) noexcept {
    return (type >= icmp_type::kDestinationUnreachable && type <= icmp_type::kRedirect) ||
           type == icmp_type::kTimeExceeded || type == icmp_type::kParameterProblem;
}

// Codes of kDestinationUnreachable.
namespace icmp_unreachable {
inline constexpr std::uint8_t kNet = 0;
inline constexpr std::uint8_t kHost = 1;
inline constexpr std::uint8_t kProtocol = 2;
inline constexpr std::uint8_t kPort = 3;
inline constexpr std::uint8_t kFragmentationNeeded = 4;
inline constexpr std::uint8_t kSourceRouteFailed = 5;
inline constexpr std::uint8_t kProhibited = 13;
}  // namespace icmp_unreachable

struct IcmpHeader {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;  // over the whole message, no pseudo header
    Be32 rest;      // by type: identifier and sequence; 0 and next-hop MTU; gateway; pointer
};

static_assert(kIsWireHeader<IcmpHeader, 8>);

// Echo and echo reply, in both ICMP and ICMPv6.
struct IcmpEchoHeader {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be16 identifier;
    Be16 sequence;
};

static_assert(kIsWireHeader<IcmpEchoHeader, 8>);

// Destination unreachable, fragmentation needed (RFC 1191, 4).
struct IcmpFragmentationNeededHeader {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be16 unused;
    Be16 next_hop_mtu;
};

static_assert(kIsWireHeader<IcmpFragmentationNeededHeader, 8>);

namespace icmpv6_type {
inline constexpr std::uint8_t kDestinationUnreachable = 1;
inline constexpr std::uint8_t kPacketTooBig = 2;
inline constexpr std::uint8_t kTimeExceeded = 3;
inline constexpr std::uint8_t kParameterProblem = 4;
inline constexpr std::uint8_t kEchoRequest = 128;
inline constexpr std::uint8_t kEchoReply = 129;
inline constexpr std::uint8_t kListenerQuery = 130;
inline constexpr std::uint8_t kListenerReport = 131;  // MLDv1
inline constexpr std::uint8_t kListenerDone = 132;    // MLDv1
inline constexpr std::uint8_t kRouterSolicitation = 133;
inline constexpr std::uint8_t kRouterAdvertisement = 134;
inline constexpr std::uint8_t kNeighborSolicitation = 135;
inline constexpr std::uint8_t kNeighborAdvertisement = 136;
inline constexpr std::uint8_t kRedirect = 137;
inline constexpr std::uint8_t kListenerReport2 = 143;  // RFC 3810
}  // namespace icmpv6_type

// Neighbour discovery's messages (RFC 4861, 4).
[[nodiscard]] constexpr bool is_discovery(std::uint8_t type) noexcept {
    return type >= icmpv6_type::kRouterSolicitation && type <= icmpv6_type::kRedirect;
}

// Codes of kDestinationUnreachable (RFC 4443, 3.1).
namespace icmpv6_unreachable {
inline constexpr std::uint8_t kNoRoute = 0;
inline constexpr std::uint8_t kProhibited = 1;
inline constexpr std::uint8_t kBeyondScope = 2;
inline constexpr std::uint8_t kAddress = 3;
inline constexpr std::uint8_t kPort = 4;
}  // namespace icmpv6_unreachable

struct Icmpv6Header {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;  // with the IPv6 pseudo header
    Be32 rest;      // by type: identifier and sequence; MTU; pointer; ND flags
};

static_assert(kIsWireHeader<Icmpv6Header, 8>);

}  // namespace culvert::net
