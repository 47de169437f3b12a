// SPDX-License-Identifier: BSD-3-Clause
// The IPv6 header (RFC 8200, 3) and the extension headers a parser has to step over.
#pragma once

#include "lib/net/endian.hpp"
#include "lib/net/ip_protocol.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::net {

inline constexpr std::uint16_t kIpv6MinMtu = 1280;
inline constexpr std::uint8_t kIpv6DefaultHopLimit = 64;

struct Ipv6Header {
    Be32 version_class_flow;  // version 4 bits, traffic class 8, flow label 20
    Be16 payload_length;      // what follows these 40 bytes, extension headers included
    std::uint8_t next_header;
    std::uint8_t hop_limit;
    std::array<std::uint8_t, 16> source;
    std::array<std::uint8_t, 16> destination;

    // The first word from its parts; bits outside their fields are cut off.
    [[nodiscard]] static constexpr Be32
    make_first_word(std::uint8_t traffic_class, std::uint32_t flow_label) noexcept {
        return Be32{
            (std::uint32_t{6} << 28) | (std::uint32_t{traffic_class} << 20) |
            (flow_label & 0xfffff)};
    }

    [[nodiscard]] std::uint8_t version() const noexcept {
        return static_cast<std::uint8_t>(version_class_flow.host() >> 28);
    }

    [[nodiscard]] std::uint8_t traffic_class() const noexcept {
        return static_cast<std::uint8_t>(version_class_flow.host() >> 20);
    }

    [[nodiscard]] std::uint32_t flow_label() const noexcept {
        return version_class_flow.host() & 0xfffff;
    }

    [[nodiscard]] std::uint8_t dscp() const noexcept { return traffic_class() >> 2; }

    [[nodiscard]] std::uint8_t ecn() const noexcept { return traffic_class() & 3; }
};

static_assert(kIsWireHeader<Ipv6Header, 40>);

// RFC 8200, 4.5.
struct Ipv6FragmentHeader {
    std::uint8_t next_header;
    std::uint8_t reserved;
    Be16 offset_and_more;  // offset in units of 8 bytes in the upper 13 bits, M in the lowest
    Be32 identification;

    [[nodiscard]] bool more_fragments() const noexcept { return (offset_and_more.host() & 1) != 0; }

    [[nodiscard]] std::size_t fragment_offset_bytes() const noexcept {
        return offset_and_more.host() & 0xfff8U;
    }
};

static_assert(kIsWireHeader<Ipv6FragmentHeader, 8>);

}  // namespace culvert::net
