// SPDX-License-Identifier: BSD-3-Clause
// What is out of the ordinary in an IPv6 packet: headers that are wrong, extension headers, groups,
// and what comes to this processor. Kept apart from the stage, and out of line.
#pragma once

#include "lib/net/ipv6.hpp"
#include "lib/pipeline/worker.hpp"
#include "lib/route/adjacency.hpp"

#include <bit>
#include <cstdint>

namespace culvert::pipeline {

// An address as the machine loads it, to be compared.
struct Ip6Words {
    std::uint64_t first = 0;
    std::uint64_t last = 0;

    [[nodiscard]] static Ip6Words load(const std::array<std::uint8_t, 16>& address) noexcept {
        const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(address);
        return {words[0], words[1]};
    }

    friend bool operator==(const Ip6Words& a, const Ip6Words& b) noexcept {
        return ((a.first ^ b.first) | (a.last ^ b.last)) == 0;
    }
};

[[nodiscard]] inline net::Ipv6Header* ip6_header_of(rte_mbuf* packet) noexcept {
    return rte_pktmbuf_mtod_offset(packet, net::Ipv6Header*, note(packet).l3_offset);
}

// ::/8, fe00::/8 and ff00::/8: where all addresses are that need a closer look.
[[nodiscard]] constexpr bool is_special6(const std::array<std::uint8_t, 16>& address) noexcept {
    return address[0] == 0 || address[0] >= 0xfe;
}

// Each of these: false = the packet was wrong, and is gone.

// Length, version, and what stands behind the packet.
[[nodiscard]] bool check_unusual6(Worker& worker, rte_mbuf* packet) noexcept;
// ip6_rcv_core's look at both addresses; and whether somebody else sends from ours.
[[nodiscard]] bool check_addresses6(Worker& worker, rte_mbuf* packet) noexcept;
// RFC 8200, 4.3. Whoever forwards looks at it, too.
[[nodiscard]] bool check_hop_by_hop(Worker& worker, rte_mbuf* packet) noexcept;

// For this processor: an address of ours, or one that only control can tell (link-local, groups).
void deliver6(Worker& worker, rte_mbuf* packet) noexcept;
// No route leads anywhere.
void refuse6(Worker& worker, rte_mbuf* packet, const route::Adjacency* adjacency) noexcept;

}  // namespace culvert::pipeline
