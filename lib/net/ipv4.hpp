// SPDX-License-Identifier: BSD-3-Clause
// The IPv4 header (RFC 791, 3.1).
#pragma once

#include "lib/net/endian.hpp"
#include "lib/net/ip_protocol.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

// Masks of `flags_and_offset` in host order.
inline constexpr std::uint16_t kIpv4DontFragment = 0x4000;
inline constexpr std::uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr std::uint16_t kIpv4OffsetMask = 0x1fff;  // in units of 8 bytes

// The first byte of a header without options.
inline constexpr std::uint8_t kIpv4VersionIhl = 0x45;
inline constexpr std::uint16_t kIpv4MinMtu = 68;
inline constexpr std::uint8_t kIpv4DefaultTtl = 64;
inline constexpr std::uint32_t kIpv4LimitedBroadcast = 0xffffffff;

// The fixed part; up to 40 bytes of options may follow.
struct Ipv4Header {
    std::uint8_t version_and_ihl;
    std::uint8_t type_of_service;
    Be16 total_length;
    Be16 identification;
    Be16 flags_and_offset;
    std::uint8_t time_to_live;
    std::uint8_t protocol;
    Be16 checksum;
    Be32 source;
    Be32 destination;

    [[nodiscard]] std::uint8_t version() const noexcept { return version_and_ihl >> 4; }

    // Options included. Not validated: below 20 the header is malformed.
    [[nodiscard]] std::size_t header_len_bytes() const noexcept {
        return std::size_t{4} * (version_and_ihl & 0x0f);
    }

    [[nodiscard]] std::uint8_t dscp() const noexcept { return type_of_service >> 2; }

    [[nodiscard]] std::uint8_t ecn() const noexcept { return type_of_service & 3; }

    [[nodiscard]] bool dont_fragment() const noexcept {
        return (flags_and_offset.host() & kIpv4DontFragment) != 0;
    }

    [[nodiscard]] bool more_fragments() const noexcept {
        return (flags_and_offset.host() & kIpv4MoreFragments) != 0;
    }

    [[nodiscard]] std::size_t fragment_offset_bytes() const noexcept {
        return std::size_t{8} * (flags_and_offset.host() & kIpv4OffsetMask);
    }

    // Any fragment, the first included.
    [[nodiscard]] bool is_fragment() const noexcept {
        return (flags_and_offset.host() & (kIpv4MoreFragments | kIpv4OffsetMask)) != 0;
    }
};

static_assert(kIsWireHeader<Ipv4Header, 20>);

}  // namespace culvert::net
