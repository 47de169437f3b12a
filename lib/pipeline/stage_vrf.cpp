// SPDX-License-Identifier: BSD-3-Clause
// The vrf stage: IP of both families that came in by links of VRFs or with reverse path filters.
// Neighbours in the burst of one VRF go through ip4 or ip6 by its table, and what is for its own
// addresses through the tunnels' pop stages, which look among its own devices meanwhile. So who has
// no VRF and no filter pays for none, and each stage is there once.
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/pipeline/ip_by_tos.hpp"
#include "lib/pipeline/ip_chunk.hpp"
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/worker.hpp"

#include <algorithm>
#include <array>

namespace culvert::pipeline {

namespace {

// The VRF's table, as long as this lives.
class Visit {
public:
    Visit(Worker& worker, const Link& link) noexcept
        : worker_(worker)
        , main_(worker.routed_by) {
        if (link.routed_by == nullptr) {
            return;
        }
        const route::TableView& table = *link.routed_by;
        worker.routed_by = {
            &table.fib4,
            nullptr,
            &table.fib6,
            &table.own_addresses,
            &table.own_addresses6,
            link.vrf};
    }

    ~Visit() { worker_.routed_by = main_; }

    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

private:
    Worker& worker_;
    const RoutedBy main_;
};

// What the packets of a run have in common.
struct Kind {
    const route::TableView* table = nullptr;
    LinkId filtered = kNoLink;  // the link, if it has a reverse path filter
    bool is_ip6 = false;

    friend bool operator==(const Kind&, const Kind&) = default;
};

Kind kind_of(rte_mbuf* packet, const Link& link) noexcept {
    // ethernet has seen the type; the version in a packet of that type may be wrong.
    const std::uint32_t l3_offset = note(packet).l3_offset;
    const auto* type = l3_offset < sizeof(net::EtherHeader)
                           ? nullptr
                           : rte_pktmbuf_mtod_offset(packet, const net::Be16*, l3_offset - 2);
    const bool is_ip6_packet =
        type != nullptr ? type->host() == net::ether_type::kIpv6 : is_ip6(packet);
    const bool is_filtered = link.reverse_path != ReversePath::off && !is_ip6_packet;
    return {link.routed_by, is_filtered ? link.id : kNoLink, is_ip6_packet};
}

// Does a packet for there leave by the link (strict), or by any?
bool leads_back(const Worker& worker, route::AdjacencyId id, const Link& link) noexcept {
    const route::Adjacency* adjacency = worker.tables.adjacencies.read(id);
    if (adjacency == nullptr) {
        return false;
    }
    if (adjacency->kind == route::AdjacencyKind::multipath) {
        const auto& members = adjacency->multipath->members;
        return std::any_of(members.begin(), members.end(), [&](const auto& member) {
            return leads_back(worker, member.adjacency, link);
        });
    }
    // Of our own addresses ip4 thinks by itself.
    return route::is_ours(adjacency->kind) ||
           (route::leads_on(adjacency->kind) &&
            (link.reverse_path == ReversePath::loose || adjacency->link_out == link.id));
}

// RT-13 (__fib_validate_source). Who has no address yet has no way back; headers that are too short
// are for ip4.
bool passes_filter(const Worker& worker, rte_mbuf* packet, const Link& link) noexcept {
    const std::uint32_t l3_offset = note(packet).l3_offset;
    if (rte_pktmbuf_data_len(packet) < l3_offset + sizeof(net::Ipv4Header)) {
        return true;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    const std::uint32_t source = ip.source.host();
    const route::AdjacencyId id =
        choose_by_tos(worker, worker.routed_by.fib4->lookup(source), source, ip.type_of_service);
    return source == 0 || leads_back(worker, id, link);
}

// Keeps what passes, in front. Returns how many.
std::uint32_t
filter(Worker& worker, rte_mbuf** packets, std::uint32_t n, const Link& link) noexcept {
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (passes_filter(worker, packets[i], link)) {
            packets[kept++] = packets[i];
        } else {
            worker.drop(packets[i], link.id, Drop::ip4_reverse_path);
        }
    }
    return kept;
}

void take_run(
    Worker& worker, rte_mbuf** packets, std::uint32_t n, const Link& link, const Kind& kind
) noexcept {
    const Visit visit(worker, link);
    if (kind.filtered != kNoLink) {
        n = filter(worker, packets, n, link);
    }
    if (kind.is_ip6) {
        route_ip6(worker, packets, n);
        vxlan_pop6_stage(worker);
        fou_pop_stage(worker);
        ip_tunnel_pop6_stage(worker);
    } else {
        route_ip4(worker, packets, n);
        vxlan_pop_stage(worker);
        fou_pop_stage(worker);
        ip_tunnel_pop_stage(worker);
    }
}

// How many packets may come to any of the stages behind, and to those behind the pops, so that
// these leave none for a later round, when nobody would know whose they are.
std::uint32_t room_behind(const Worker& worker) noexcept {
    constexpr std::array kPops{
        Stage::vxlan_pop,
        Stage::vxlan_pop6,
        Stage::fou_pop,
        Stage::ip_tunnel_pop,
        Stage::ip_tunnel_pop6};
    const auto is_busy = [&](Stage stage) { return worker.vector(stage).count != 0; };
    if (std::any_of(kPops.begin(), kPops.end(), is_busy)) {
        return 0;
    }
    return std::min(
        {ip4_room(worker),
         ip6_room(worker),
         worker.vector(Stage::ethernet).room(),
         worker.vector(Stage::bridge).room(),
         worker.vector(Stage::ip4).room()}
    );
}

}  // namespace

void vrf_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::vrf);
    const std::uint32_t n = std::min(in.count, room_behind(worker));
    std::uint32_t begin = 0;
    while (begin < n) {
        rte_mbuf* first = in.packets[begin];
        LinkId id = note(first).link_in;
        const Link* link = worker.tables.links.read(id);
        if (link == nullptr) [[unlikely]] {
            worker.drop(first, id, Drop::link_gone);
            ++begin;
            continue;
        }
        const Kind kind = kind_of(first, *link);
        std::uint32_t end = begin + 1;
        for (; end < n; ++end) {
            rte_mbuf* packet = in.packets[end];
            const LinkId next_id = note(packet).link_in;
            const Link* next = next_id == id ? link : worker.tables.links.read(next_id);
            if (next == nullptr || kind_of(packet, *next) != kind) {
                break;
            }
            id = next_id;
            link = next;
        }
        take_run(worker, &in.packets[begin], end - begin, *link, kind);
        begin = end;
    }
    in.take_front(n);
}

}  // namespace culvert::pipeline
