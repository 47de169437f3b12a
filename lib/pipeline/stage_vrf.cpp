// SPDX-License-Identifier: BSD-3-Clause
// The vrf stage: IP of both families that came in by links of VRFs. Neighbours in the burst of one
// VRF go through ip4 or ip6 by its table, and what is for its own addresses through the tunnels'
// pop stages, which look among its own devices meanwhile. So who has no VRF pays for none, and each
// stage is there once.
#include "lib/net/ether.hpp"
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/worker.hpp"

#include <algorithm>

namespace culvert::pipeline {

namespace {

// The VRF's table, as long as this lives.
class Visit {
public:
    Visit(Worker& worker, const Link& link) noexcept
        : worker_(worker)
        , main_(worker.routed_by) {
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
    bool is_ip6 = false;

    friend bool operator==(const Kind&, const Kind&) = default;
};

Kind kind_of(rte_mbuf* packet, const Link& link) noexcept {
    // ethernet has seen the type; the version in a packet of that type may be wrong.
    const auto type = *rte_pktmbuf_mtod_offset(
        packet, const net::Be16*, note(packet).l3_offset - sizeof(net::Be16)
    );
    return {link.routed_by, type.host() == net::ether_type::kIpv6};
}

void take_run(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Link& link, bool is_ip6
) noexcept {
    const Visit visit(worker, link);
    if (is_ip6) {
        route_ip6(worker, packets, n);
        vxlan_pop6_stage(worker);
    } else {
        route_ip4(worker, packets, n);
        vxlan_pop_stage(worker);
        ip_tunnel_pop_stage(worker);
    }
}

// How many packets may come to any of the stages behind, and to those behind the pops, so that
// these leave none for a later round, when nobody would know whose they are.
std::uint32_t room_behind(const Worker& worker) noexcept {
    if (worker.vector(Stage::vxlan_pop).count != 0 || worker.vector(Stage::vxlan_pop6).count != 0 ||
        worker.vector(Stage::ip_tunnel_pop).count != 0) {
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
        if (link == nullptr || link->routed_by == nullptr) [[unlikely]] {
            // It has left its VRF meanwhile.
            worker.drop(first, id, link == nullptr ? Drop::link_gone : Drop::link_down_rx);
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
        take_run(worker, &in.packets[begin], end - begin, *link, kind.is_ip6);
        begin = end;
    }
    in.take_front(n);
}

}  // namespace culvert::pipeline
