// SPDX-License-Identifier: BSD-3-Clause
// The next hop of a tunnel's outer packet where its route has several (RT-09): chosen by the outer
// header, and for ipip, gre and sit by the flow inside as well (flowi4_multipath_hash). A vxlan
// link's outer UDP source port is the flow's. Where a tunnel inherits its TOS and there are routes
// by TOS, the packet's own says which (TUN-TX-08).
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/encap/ip_tunnel_push.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/flow_hash.hpp"
#include "lib/pipeline/ip_by_tos.hpp"
#include "lib/pipeline/ip_multipath.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>
#include <cstring>

namespace culvert::pipeline {

// The template as it is for that flow: ready, or unresolved. False: no next hop is left; routes
// change while packets are under way.
template <typename Template>
[[nodiscard]] inline bool choose_next_hop(
    const Worker& worker, std::uint8_t tos, std::uint32_t hash, Template& outer
) noexcept {
    using route::AdjacencyKind;
    const route::AdjacencyTable& adjacencies = worker.tables.adjacencies;
    const route::Adjacency* way = adjacencies.read(adjacency_of_tos(worker, outer.ways, tos));
    if (way != nullptr && way->kind == AdjacencyKind::multipath) {
        way = adjacencies.read(way->multipath->pick(hash));
    }
    if (way == nullptr) {
        return false;
    }
    outer.link_out = way->link_out;
    outer.next_hop = way->next_hop;
    if (way->kind == AdjacencyKind::incomplete) {
        outer.become(encap::TunnelState::unresolved);
        return true;
    }
    if (way->kind != AdjacencyKind::rewrite || way->header_len != sizeof(net::EtherHeader)) {
        return false;
    }
    std::memcpy(outer.link_header(), way->header.data(), sizeof(net::EtherHeader));
    outer.become(encap::TunnelState::ready);
    return true;
}

// The outer TOS that routes are asked for.
[[nodiscard]] inline std::uint8_t
routed_tos(const rte_mbuf* packet, const encap::IpTunnelTemplate& outer) noexcept {
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    return outer.tos_inherit && inner.l3 != net::L3::none ? inner.tos
                                                          : outer.bytes[outer.ip_offset() + 1];
}

// What is sent under this outer header. `data`: of the link header.
[[nodiscard]] inline net::FlowKeys
outer_keys(const std::uint8_t* data, std::size_t len, bool is_ip6) noexcept {
    return net::read_flow_keys(
        data,
        len,
        sizeof(net::EtherHeader),
        is_ip6 ? net::ether_type::kIpv6 : net::ether_type::kIpv4,
        false
    );
}

// By the packet that is to be sent.
[[nodiscard]] inline bool choose_by_flow(
    const Worker& worker, const rte_mbuf* packet, encap::IpTunnelTemplate& outer
) noexcept {
    const net::FlowKeys keys = outer_keys(outer.link_header(), outer.length, false);
    const std::uint32_t own = net::multipath_hash(MultipathHash::of(worker, false), keys);
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const std::uint32_t inner = net::flow_hash(frame, rte_pktmbuf_data_len(packet));
    const std::uint8_t tos = routed_tos(packet, outer);
    return choose_next_hop(worker, tos, net::mix_multipath_hash(own, inner), outer);
}

[[nodiscard]] inline bool choose_by_flow(
    const Worker& worker, std::uint8_t inner_tos, net::Be16 source_port, encap::VxlanTemplate& outer
) noexcept {
    net::FlowKeys keys = outer_keys(outer.bytes.data(), outer.bytes.size(), outer.is_ipv6);
    keys.source_port = source_port.raw();
    const auto hashing = MultipathHash::of(worker, outer.is_ipv6);
    const std::uint8_t tos = outer.tos_inherit ? inner_tos : std::uint8_t{0};
    return choose_next_hop(worker, tos, net::multipath_hash(hashing, keys), outer);
}

}  // namespace culvert::pipeline
