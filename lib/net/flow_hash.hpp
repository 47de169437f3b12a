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

namespace detail {

// Odd constants with well-spread bits: the fractional parts of the golden ratio and of the square
// roots of 2 and 3.
inline constexpr std::uint64_t kMultiplier1 = 0x9e3779b97f4a7c15;
inline constexpr std::uint64_t kMultiplier2 = 0x6a09e667f3bcc909;
inline constexpr std::uint64_t kMultiplier3 = 0xbb67ae8584caa73b;

// One step: every bit of `word` reaches the bits above it by the multiplication, those below it by
// the shift.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t state, std::uint64_t word) noexcept {
    state = (state ^ word) * kMultiplier1;
    return state ^ (state >> 32);
}

[[nodiscard]] constexpr std::uint32_t finish(std::uint64_t state) noexcept {
    state *= kMultiplier2;
    state ^= state >> 29;
    state *= kMultiplier3;
    return static_cast<std::uint32_t>(state >> 32);
}

// What is neither an address nor ordered: protocol and the two ports, lower end's first.
[[nodiscard]] constexpr std::uint64_t tail(
    std::uint8_t protocol, std::uint16_t first, std::uint16_t second, std::uint32_t flow_label = 0
) noexcept {
    return (std::uint64_t{flow_label} << 40) | (std::uint64_t{protocol} << 32) |
           (std::uint64_t{first} << 16) | second;
}

}  // namespace detail

// One end of an IPv4 flow, as the machine loads it from the wire. Port 0: none.
struct FlowEndIpv4 {
    std::uint32_t address;
    std::uint16_t port;
};

// flow_hash_l3() of an IPv4 packet whose headers the caller has read. May be 0.
//
// Each end is mixed by itself and the results are added, so that neither comes first. The mix is a
// square: of anything linear, ends that move against each other would have the same sum.
[[nodiscard]] constexpr std::uint32_t
flow_hash_ipv4(FlowEndIpv4 source, FlowEndIpv4 destination, std::uint8_t protocol) noexcept {
    const auto mix_end = [](FlowEndIpv4 end) {
        const std::uint64_t word = (std::uint64_t{end.address} << 16) | end.port;
        const std::uint64_t product = word * detail::kMultiplier1;
        return product * (product >> 32);
    };
    const std::uint64_t sum = mix_end(source) + mix_end(destination) + protocol;
    return static_cast<std::uint32_t>(sum * detail::kMultiplier2 >> 32);
}

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
