// SPDX-License-Identifier: BSD-3-Clause
// By what a packet chooses among a route's next hops (RT-09), for ip4 and ip6. An error goes the
// way of the flow that it is about.
#pragma once

#include "lib/net/ether.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/multipath_hash.hpp"
#include "lib/pipeline/note.hpp"
#include "lib/pipeline/worker.hpp"
#include "lib/route/adjacency.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// What ICMP errors quote says which flow they are about (ip_multipath_l3_keys).
[[gnu::cold]] inline std::uint32_t
hash_of_icmp(rte_mbuf* packet, const net::Ipv4Header& ip) noexcept {
    const auto icmp = static_cast<std::uint32_t>(note(packet).l3_offset + ip.header_len_bytes());
    const std::uint32_t quoted = icmp + static_cast<std::uint32_t>(sizeof(net::IcmpHeader));
    const net::Ipv4Header* flow = &ip;
    if (!ip.is_fragment() && rte_pktmbuf_data_len(packet) >= quoted + sizeof(net::Ipv4Header) &&
        net::is_icmp_error(*rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, icmp))) {
        flow = rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, quoted);
    }
    return net::multipath_hash_ipv4(flow->source.raw(), flow->destination.raw());
}

inline std::uint32_t multipath_hash4(rte_mbuf* packet) noexcept {
    const net::Ipv4Header& ip =
        *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, note(packet).l3_offset);
    if (ip.protocol == net::ip_protocol::kIcmp) [[unlikely]] {
        return hash_of_icmp(packet, ip);
    }
    return net::multipath_hash_ipv4(ip.source.raw(), ip.destination.raw());
}

// What ICMPv6 errors quote says which flow they are about (ip6_multipath_l3_keys).
inline std::uint32_t multipath_hash6(rte_mbuf* packet) noexcept {
    const std::uint32_t l3_offset = note(packet).l3_offset;
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, l3_offset);
    constexpr std::uint32_t kToQuote = sizeof(net::Ipv6Header) + sizeof(net::IcmpHeader);
    if (ip->next_header == net::ip_protocol::kIcmpv6 &&
        rte_pktmbuf_data_len(packet) >= l3_offset + kToQuote + sizeof(net::Ipv6Header)) {
        const auto* icmp =
            rte_pktmbuf_mtod_offset(packet, const net::IcmpHeader*, l3_offset + sizeof(*ip));
        if (net::is_icmpv6_error(icmp->type)) {
            ip = rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, l3_offset + kToQuote);
        }
    }
    return net::multipath_hash_ipv6(ip->source, ip->destination, ip->flow_label(), ip->next_header);
}

// By the policy that is set (RT-09). Of what is forwarded on, few routes have several next hops, so
// this is asked for nowhere else.
class MultipathHash {
public:
    MultipathHash(const Worker& worker, bool is_ip6) noexcept
        : hashing_(of(worker, is_ip6))
        , is_ip6_(is_ip6) {}

    [[nodiscard]] std::uint32_t operator()(rte_mbuf* packet) const noexcept {
        if (hashing_.policy == net::MultipathPolicy::l3) [[likely]] {
            return is_ip6_ ? multipath_hash6(packet) : multipath_hash4(packet);
        }
        return net::multipath_hash(
            hashing_,
            rte_pktmbuf_mtod(packet, const std::uint8_t*),
            rte_pktmbuf_data_len(packet),
            note(packet).l3_offset,
            is_ip6_ ? net::ether_type::kIpv6 : net::ether_type::kIpv4
        );
    }

    [[nodiscard]] static net::MultipathHashing of(const Worker& worker, bool is_ip6) noexcept {
        if (worker.multipath_settings == nullptr) {
            return {};
        }
        const auto settings = worker.multipath_settings->load(std::memory_order_relaxed);
        return is_ip6 ? settings.ip6 : settings.ip4;
    }

private:
    net::MultipathHashing hashing_;
    bool is_ip6_;
};

// leave(id, packets, count): neighbours in the burst whose flows have one next hop leave together.
// Precondition: n > 0.
template <typename Hash, typename Leave>
inline void for_each_next_hop(
    rte_mbuf* const* packets,
    std::uint32_t n,
    const route::Multipath& several,
    Hash&& hash,
    Leave&& leave
) noexcept {
    std::uint32_t begin = 0;
    route::AdjacencyId id = several.pick(hash(packets[0]));
    for (std::uint32_t i = 1; i < n; ++i) {
        if (const route::AdjacencyId next = several.pick(hash(packets[i])); next != id) {
            leave(id, packets + begin, i - begin);
            begin = i;
            id = next;
        }
    }
    leave(id, packets + begin, n - begin);
}

}  // namespace culvert::pipeline
