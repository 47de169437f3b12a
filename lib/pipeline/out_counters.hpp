// SPDX-License-Identifier: BSD-3-Clause
// IPO-MC-02: what went to groups and broadcast addresses, as ip_finish_output2() counts it: of our
// own alone, for none of that is forwarded, and by the fragment.
#pragma once

#include "lib/encap/tunnel.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/pipeline/counters.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// `l3_offset`: where the packet's IP header lies.
inline void count_out(
    CounterBlock& counters, const rte_mbuf* packet, std::uint16_t l3_offset, encap::Cast cast
) noexcept {
    const std::uint32_t len = packet->pkt_len - l3_offset;
    const bool is_ip6 = *rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset) >> 4 == 6;
    if (cast == encap::Cast::multicast) {
        counters.count(is_ip6 ? IpCounter::ip6_out_mcast : IpCounter::out_mcast);
        counters.count(is_ip6 ? IpCounter::ip6_out_mcast_octets : IpCounter::out_mcast_octets, len);
    } else if (cast == encap::Cast::broadcast) {
        counters.count(IpCounter::out_bcast);
        counters.count(IpCounter::out_bcast_octets, len);
    }
}

// By its destination: broadcast addresses of networks look like any other.
inline void
count_out(CounterBlock& counters, const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const auto* bytes = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    bool is_group = false;
    if (*bytes >> 4 == 6) {
        is_group = reinterpret_cast<const net::Ipv6Header*>(bytes)->destination[0] == 0xff;
    } else {
        is_group = reinterpret_cast<const net::Ipv4Header*>(bytes)->destination.host() >> 28 == 0xe;
    }
    if (is_group) {
        count_out(counters, packet, l3_offset, encap::Cast::multicast);
    }
}

}  // namespace culvert::pipeline
