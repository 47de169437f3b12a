// SPDX-License-Identifier: BSD-3-Clause
// Frames for this processor itself: from a link in no bridge, or for a bridge's own address. Sorts
// them by EtherType.
#include "lib/net/arp.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/vlan.hpp"
#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

namespace {

// What a run of packets from one link shares.
struct Arrival {
    LinkId id = kNoLink;
    const Link* link = nullptr;
    std::uint64_t mac = 0;
    Vector* ip4 = nullptr;  // who takes its packets: ip4 and ip6, or vrf
    Vector* ip6 = nullptr;
    bool is_odd = true;  // it is gone or down, or a bridge's member on which vlan links stand
};

Arrival look_at_link(Worker& worker, LinkId id) noexcept {
    const Link* link = worker.tables.links.read(id);
    if (link == nullptr) {
        return {id};
    }
    const bool is_plain = is_routed_plainly(*link);
    return {
        id,
        link,
        mac_of(link->mac.bytes.data()),
        &worker.vector(is_plain ? Stage::ip4 : Stage::vrf),
        &worker.vector(is_plain ? Stage::ip6 : Stage::vrf),
        !link->up || link->master != kNoLink};
}

// The 14 bytes of an Ethernet header, to be compared with another's, in two loads that overlap.
struct EtherWords {
    std::uint64_t first = 0;  // bytes 0 to 7
    std::uint64_t last = 0;   // bytes 6 to 13

    [[nodiscard]] static EtherWords load(const std::uint8_t* frame) noexcept {
        return {
            net::detail::load<std::uint64_t>(frame), net::detail::load<std::uint64_t>(frame + 6)};
    }

    friend bool operator==(const EtherWords& a, const EtherWords& b) noexcept {
        return ((a.first ^ b.first) | (a.last ^ b.last)) == 0;
    }
};

// Where frames that come again are put: at the front of the vector, which has been read.
using Again = rte_mbuf**;

void enter_bridge(Worker& worker, rte_mbuf* packet) noexcept {
    if (worker.vector(Stage::bridge).room() == 0) {
        worker.drop(packet, note(packet).link_in, Drop::vector_full);
        return;
    }
    worker.enqueue(Stage::bridge, packet);
}

// Without its tag the frame comes again, as the vlan link's.
[[gnu::noinline]] void
take_tagged(Worker& worker, rte_mbuf* packet, const Link& lower, Again& again) noexcept {
    const Link* link = untag(worker, packet, lower);
    if (link == nullptr) {
        return;
    }
    if (link->master != kNoLink && !link->has_vlans) {
        enter_bridge(worker, packet);
    } else {
        *again++ = packet;
    }
}

// Everything but IP.
[[gnu::noinline]] void take_other(
    Worker& worker, rte_mbuf* packet, const Link& arrived_on, std::uint16_t type, Again& again
) noexcept {
    const LinkId link = arrived_on.id;
    switch (type) {
    case net::ether_type::kArp:
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader) + sizeof(net::ArpHeader)) {
            worker.drop(packet, link, Drop::arp_malformed);
            return;
        }
        worker.punt(packet, Punt::arp);
        return;
    case net::ether_type::kVlan:
    case net::ether_type::kQinq:
        take_tagged(worker, packet, arrived_on, again);
        return;
    default:
        worker.drop(packet, link, Drop::ether_type_unknown);
    }
}

[[gnu::cold]] void refuse_truncated(Worker& worker, rte_mbuf* packet) noexcept {
    const LinkId id = note(packet).link_in;
    const Link* link = worker.tables.links.read(id);
    if (link == nullptr || !link->up) {
        worker.drop(packet, id, link == nullptr ? Drop::link_gone : Drop::link_down_rx);
        return;
    }
    if (link->kind == LinkKind::bridge) {
        RxTally(worker.counters).add(id, rte_pktmbuf_pkt_len(packet));
    }
    worker.drop(packet, id, Drop::ether_truncated);
}

std::uint16_t type_of(const rte_mbuf* packet) noexcept {
    return rte_pktmbuf_mtod(packet, const net::EtherHeader*)->type.host();
}

[[gnu::noinline]] void
take_odd(Worker& worker, rte_mbuf* packet, const Arrival& arrival, Again& again) noexcept {
    if (arrival.link == nullptr || !arrival.link->up) {
        const Drop reason = arrival.link == nullptr ? Drop::link_gone : Drop::link_down_rx;
        worker.drop(packet, arrival.id, reason);
    } else if (is_tag(type_of(packet)) && vlan_of(worker, packet, arrival.id) != kNoLink) {
        take_tagged(worker, packet, *arrival.link, again);
    } else {
        enter_bridge(worker, packet);
    }
}

// IP for this processor: the stage that takes it. nullptr = its way is another, or ends.
Vector* take(
    Worker& worker, rte_mbuf* packet, const Arrival& arrival, RxTally& bridge_rx, Again& again
) noexcept {
    if (arrival.is_odd) [[unlikely]] {
        take_odd(worker, packet, arrival, again);
        return nullptr;
    }
    if (arrival.link->kind == LinkKind::bridge) {
        // Here it reaches the bridge's own address; other links count where they receive.
        bridge_rx.add(arrival.id, rte_pktmbuf_pkt_len(packet));
    }
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    if (mac_of(data) != arrival.mac && (data[0] & 1) == 0 && !note(packet).for_us) [[unlikely]] {
        // The vlan link's MAC may be another than its lower link's, or all stations' if it is in a
        // bridge.
        if (is_tag(type_of(packet))) {
            take_tagged(worker, packet, *arrival.link, again);
        } else {
            worker.drop(packet, arrival.id, Drop::ether_other_host);
        }
        return nullptr;
    }
    const std::uint16_t type = type_of(packet);
    if (type == net::ether_type::kIpv4) [[likely]] {
        return arrival.ip4;
    }
    if (type == net::ether_type::kIpv6) {
        return arrival.ip6;
    }
    take_other(worker, packet, *arrival.link, type, again);
    return nullptr;
}

}  // namespace

void ethernet_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::ethernet);
    Vector* out = &worker.vector(Stage::ip4);
    const std::uint32_t n = std::min(
        {in.count, out->room(), worker.vector(Stage::ip6).room(), worker.vector(Stage::vrf).room()}
    );
    rte_mbuf** tail = &out->packets[out->count];
    Arrival arrival;
    // What the last packet passed with: the next one like it passes, too.
    LinkId last_id = kNoLink;
    EtherWords last;
    RxTally bridge_rx(worker.counters);
    Again again = in.packets.data();
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = in.packets[i];
        Note& packet_note = note(packet);
        const LinkId id = packet_note.link_in;
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader)) [[unlikely]] {
            refuse_truncated(worker, packet);
            continue;
        }
        const auto words = EtherWords::load(rte_pktmbuf_mtod(packet, const std::uint8_t*));
        packet_note.l3_offset = sizeof(net::EtherHeader);
        if (id == last_id && words == last) [[likely]] {
            *tail++ = packet;
            continue;
        }
        if (id != arrival.id) [[unlikely]] {
            arrival = look_at_link(worker, id);
        }
        if (Vector* next = take(worker, packet, arrival, bridge_rx, again); next != nullptr) {
            if (next != out) [[unlikely]] {
                out->count = static_cast<std::uint32_t>(tail - out->packets.data());
                out = next;
                tail = &out->packets[out->count];
            }
            // The bridge counts each, and `for_us` is one packet's.
            const bool alone = arrival.link->kind == LinkKind::bridge || packet_note.for_us;
            last_id = alone ? kNoLink : id;
            last = words;
            *tail++ = packet;
        }
    }
    out->count = static_cast<std::uint32_t>(tail - out->packets.data());
    if (again == in.packets.data()) [[likely]] {
        in.take_front(n);
        return;
    }
    std::copy(in.packets.data() + n, in.packets.data() + in.count, again);
    in.count = in.count - n + static_cast<std::uint32_t>(again - in.packets.data());
}

}  // namespace culvert::pipeline
