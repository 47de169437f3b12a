// SPDX-License-Identifier: BSD-3-Clause
// Frames for this processor itself: from a link in no bridge, or for a bridge's own address. Sorts
// them by EtherType.
#include "lib/net/arp.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

namespace {

// What a run of packets from one link shares.
struct Arrival {
    LinkId id = kNoLink;
    const Link* link = nullptr;
    std::uint64_t mac = 0;
};

Arrival look_at_link(const Worker& worker, LinkId id) noexcept {
    const Link* link = worker.tables.links.read(id);
    return {id, link, link != nullptr ? mac_of(link->mac.bytes.data()) : 0};
}

// Everything but IPv4.
[[gnu::noinline]] void
take_other(Worker& worker, rte_mbuf* packet, LinkId link, std::uint16_t type) noexcept {
    switch (type) {
    case net::ether_type::kArp:
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader) + sizeof(net::ArpHeader)) {
            worker.drop(packet, link, Drop::arp_malformed);
            return;
        }
        note(packet).l3_offset = sizeof(net::EtherHeader);
        worker.punt(packet, Punt::arp);
        return;
    case net::ether_type::kVlan:
    case net::ether_type::kQinq:
        worker.drop(packet, link, Drop::vlan_unknown);
        return;
    case net::ether_type::kIpv6:
        worker.drop(packet, link, Drop::ip6_not_supported);
        return;
    default:
        worker.drop(packet, link, Drop::ether_type_unknown);
    }
}

}  // namespace

void ethernet_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::ethernet);
    const std::uint32_t n = std::min(in.count, worker.vector(Stage::ip4).room());
    Arrival arrival;
    RxTally bridge_rx(worker.counters);
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = in.packets[i];
        Note& packet_note = note(packet);
        if (packet_note.link_in != arrival.id || i == 0) [[unlikely]] {
            arrival = look_at_link(worker, packet_note.link_in);
        }
        if (arrival.link == nullptr || !arrival.link->up) [[unlikely]] {
            worker.drop(
                packet, arrival.id, arrival.link == nullptr ? Drop::link_gone : Drop::link_down_rx
            );
            continue;
        }
        if (arrival.link->kind == LinkKind::bridge) {
            // Here it reaches the bridge's own address; other links count where they receive.
            bridge_rx.add(arrival.id, rte_pktmbuf_pkt_len(packet));
        }
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader)) [[unlikely]] {
            worker.drop(packet, arrival.id, Drop::ether_truncated);
            continue;
        }
        const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        if (mac_of(data) != arrival.mac && (data[0] & 1) == 0) [[unlikely]] {
            worker.drop(packet, arrival.id, Drop::ether_other_host);
            continue;
        }
        const std::uint16_t type = reinterpret_cast<const net::EtherHeader*>(data)->type.host();
        if (type != net::ether_type::kIpv4) [[unlikely]] {
            take_other(worker, packet, arrival.id, type);
            continue;
        }
        packet_note.l3_offset = sizeof(net::EtherHeader);
        worker.enqueue(Stage::ip4, packet);
    }
    in.take_front(n);
}

}  // namespace culvert::pipeline
