// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/ip_output.hpp"

#include "lib/control/core.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/out_counters.hpp"

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

void IpOutput::send(rte_mbuf* packet, LinkId link_in) {
    const auto& ip = *rte_pktmbuf_mtod(packet, const net::Ipv4Header*);
    const route::Routing& routing = core_.routing();
    const route::Path path = routing.lookup(
        net::IpAddress::from_v4(ip.destination.host()),
        routing.vrf_of(link_in),
        {},
        ip.type_of_service
    );
    core_.own_counters().count(IpCounter::out_requests);
    if (!route::leads_on(path.kind)) {
        core_.own_counters().count(IpCounter::out_no_routes);
        core_.drop(packet, path.link, refusal_of(path.kind));
        return;
    }
    pipeline::note(packet).l3_offset = 0;
    core_.own_counters().count(IpCounter::out_octets, packet->pkt_len);
    if (!passes_filters(core_, packet, path)) {
        return;
    }
    if (packet->pkt_len <= path.mtu) {
        send_by(core_, packet, path);
    } else if (pipeline::may_fragment(ip, path.mtu)) {
        send_in_fragments(core_, packet, path, 0);
    } else {
        core_.own_counters().count(IpCounter::frag_fails);
        core_.drop(packet, path.link, Drop::ip4_too_big);
    }
}

bool passes_filters(Core& core, rte_mbuf* packet, const route::Path& path) {
    const pipeline::IpFilters* filters = core.ip_filters();
    const pipeline::IpVerdict verdict =
        filters != nullptr ? filters->ask_own(packet, path.link) : pipeline::IpVerdict::accept;
    if (verdict == pipeline::IpVerdict::drop) {
        core.drop(packet, path.link, Drop::ip_filtered);
    } else if (verdict == pipeline::IpVerdict::consumed) {
        core.own_counters().consumed.add(1);
    }
    return verdict == pipeline::IpVerdict::accept;
}

void send_by(Core& core, rte_mbuf* packet, const route::Path& path) {
    const bool is_ip6 = *rte_pktmbuf_mtod(packet, const std::uint8_t*) >> 4 == 6;
    pipeline::count_out(core.own_counters(), packet, 0);
    if (!encap::make_headroom(packet, kEtherLen, core.pool()) ||
        rte_pktmbuf_prepend(packet, kEtherLen) == nullptr) {
        core.drop(packet, path.link, is_ip6 ? Drop::ip6_no_headroom : Drop::ip4_no_headroom);
        return;
    }
    core.routing().resolve(path.link, path.next_hop, packet, core.now_ms());
}

void send_in_fragments(
    Core& core, rte_mbuf* packet, const route::Path& path, std::uint32_t identification
) {
    pipeline::note(packet).l3_offset = 0;
    pipeline::CounterBlock& counters = core.own_counters();
    const pipeline::FragmentCounters& family = pipeline::fragment_counters(packet);
    pipeline::FragmentCut cut{
        static_cast<std::uint16_t>(std::min<std::uint32_t>(path.mtu, UINT16_MAX)),
        0,
        true,
        identification};
    while (!pipeline::is_cut(packet, cut)) {
        rte_mbuf* fragment = pipeline::cut_fragment(packet, cut, core.pool());
        if (fragment == nullptr) {
            counters.count(family.fails);
            core.drop(packet, path.link, Drop::pool_exhausted);
            return;
        }
        counters.replicated.add(1);
        counters.count(family.creates);
        send_by(core, fragment, path);
    }
    counters.count(family.oks);
    core.consume(packet, path.link);
}

}  // namespace culvert::control
