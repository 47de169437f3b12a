// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/ip_output.hpp"

#include "lib/control/core.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/ip_fragment.hpp"

#include <rte_mbuf.h>

#include <algorithm>

namespace culvert::control {

using pipeline::Drop;
using pipeline::IpCounter;

namespace {

constexpr std::uint16_t kEtherLen = sizeof(net::EtherHeader);

// Why nothing can be sent there; of no meaning for a path that leads somewhere.
Drop refusal_of(route::AdjacencyKind kind) {
    switch (kind) {
    case route::AdjacencyKind::unreachable:
        return Drop::ip4_unreachable;
    case route::AdjacencyKind::prohibit:
        return Drop::ip4_prohibit;
    case route::AdjacencyKind::blackhole:
        return Drop::ip4_blackhole;
    case route::AdjacencyKind::broadcast:
        return Drop::ip4_not_forwarded;
    default:
        return Drop::ip4_no_route;
    }
}

}  // namespace

net::Ipv4Header
IpOutput::header(std::uint8_t protocol, std::size_t len, net::Be32 source, net::Be32 destination) {
    net::Ipv4Header header{};
    header.version_and_ihl = net::kIpv4VersionIhl;
    header.total_length = net::Be16{static_cast<std::uint16_t>(len)};
    header.identification = net::Be16{identification_++};
    header.time_to_live = net::kIpv4DefaultTtl;
    header.protocol = protocol;
    header.source = source;
    header.destination = destination;
    return header;
}

void IpOutput::send(rte_mbuf* packet) {
    const auto& ip = *rte_pktmbuf_mtod(packet, const net::Ipv4Header*);
    const route::Path path = core_.routing().lookup(net::IpAddress::from_v4(ip.destination.host()));
    const bool leads_on = path.kind == route::AdjacencyKind::glean ||
                          path.kind == route::AdjacencyKind::incomplete ||
                          path.kind == route::AdjacencyKind::rewrite;
    core_.own_counters().count(IpCounter::out_requests);
    if (!leads_on) {
        core_.own_counters().count(IpCounter::out_no_routes);
        core_.drop(packet, path.link, refusal_of(path.kind));
    } else if (packet->pkt_len <= path.mtu) {
        send_by(packet, path);
    } else if (pipeline::may_fragment(ip, path.mtu)) {
        send_in_fragments(packet, path);
    } else {
        core_.own_counters().count(IpCounter::frag_fails);
        core_.drop(packet, path.link, Drop::ip4_too_big);
    }
}

void IpOutput::send_by(rte_mbuf* packet, const route::Path& path) {
    if (rte_pktmbuf_prepend(packet, kEtherLen) == nullptr) {
        core_.drop(packet, path.link, Drop::ip4_no_headroom);
        return;
    }
    core_.routing().resolve(path.link, path.next_hop, packet, core_.now_ms());
}

void IpOutput::send_in_fragments(rte_mbuf* packet, const route::Path& path) {
    pipeline::CounterBlock& counters = core_.own_counters();
    pipeline::note(packet).l3_offset = 0;
    pipeline::FragmentCut cut{
        static_cast<std::uint16_t>(std::min<std::uint32_t>(path.mtu, UINT16_MAX)), 0, true};
    while (!pipeline::is_cut(packet, cut)) {
        rte_mbuf* fragment = pipeline::cut_fragment(packet, cut, core_.pool());
        if (fragment == nullptr) {
            counters.count(IpCounter::frag_fails);
            core_.drop(packet, path.link, Drop::pool_exhausted);
            return;
        }
        counters.replicated.add(1);
        counters.count(IpCounter::frag_creates);
        send_by(fragment, path);
    }
    counters.count(IpCounter::frag_oks);
    core_.consume(packet, path.link);
}

}  // namespace culvert::control
