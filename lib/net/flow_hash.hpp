// SPDX-License-Identifier: BSD-3-Clause
// The hash of a flow, and the outer UDP source port made of it (VXLAN-SPORT-01..03).
#pragma once

#include "lib/net/parse.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

// Linux's default net.ipv4.ip_local_port_range; the upper bound itself is never used.
inline constexpr std::uint16_t kDefaultSourcePortMin = 32768;
inline constexpr std::uint16_t kDefaultSourcePortMax = 60999;

// The same for both directions of a flow, never 0. TCP, UDP, UDP-Lite, SCTP and DCCP: addresses,
// ports, protocol. Other protocols and all fragments: addresses and protocol. IPv6 with a flow
// label: addresses, label and protocol, as Linux does it, so there the two directions are alike
// only if their labels are. Not IP, or cut off: MAC addresses and EtherType.
[[nodiscard]] std::uint32_t flow_hash(const std::uint8_t* ether_frame, std::size_t len) noexcept;

// The same for a packet that begins with its IP header, where `packet` is what parse_l3() said of
// it. 0 if it is not IP.
[[nodiscard]] std::uint32_t
flow_hash_l3(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept;

// The outer source port, min <= port < max; the default range if min >= max.
[[nodiscard]] constexpr std::uint16_t
flow_source_port(std::uint32_t hash, std::uint16_t min, std::uint16_t max) noexcept {
    if (min >= max) {
        min = kDefaultSourcePortMin;
        max = kDefaultSourcePortMax;
    }
    hash ^= hash << 16;
    const auto range = static_cast<std::uint64_t>(max - min);
    return static_cast<std::uint16_t>((hash * range >> 32) + min);
}

}  // namespace culvert::net
