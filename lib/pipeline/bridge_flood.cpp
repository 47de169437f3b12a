// SPDX-License-Identifier: BSD-3-Clause
// Flooding: a copy for every member but the last, which gets the frame itself.
#include "lib/pipeline/bridge_output.hpp"

namespace culvert::pipeline {

namespace {

enum class Traffic : std::uint8_t { unknown_unicast, multicast, broadcast };

Traffic traffic_of(const net::MacAddress& destination) noexcept {
    if (!destination.is_multicast()) {
        return Traffic::unknown_unicast;
    }
    return destination == net::kBroadcastMac ? Traffic::broadcast : Traffic::multicast;
}

bool floods(const BridgePort& port, Traffic traffic, bool own) noexcept {
    switch (traffic) {
    case Traffic::unknown_unicast:
        return port.flood;
    case Traffic::multicast:
        return port.mcast_flood || own;
    default:
        return port.bcast_flood || own;
    }
}

void send_to(Worker& worker, rte_mbuf* packet, const Link& to) noexcept {
    if (!make_room(worker, 1)) [[unlikely]] {
        worker.drop(packet, to.id, Drop::vector_full);
        return;
    }
    if (rte_pktmbuf_pkt_len(packet) > to.mtu + kFrameOverhead) [[unlikely]] {
        worker.drop(packet, to.id, Drop::bridge_mtu_exceeded);
        return;
    }
    worker.output(packet, to);
}

void send_copy(Worker& worker, rte_mbuf* packet, const Link& to) noexcept {
    note(packet).link_out = to.id;
    if (rte_mbuf* twin = worker.copy(packet); twin != nullptr) [[likely]] {
        send_to(worker, twin, to);
    }
}

}  // namespace

bool make_room(Worker& worker, std::uint32_t needed) noexcept {
    if (needed <= room_ahead(worker)) [[likely]] {
        return true;
    }
    port_tx_stage(worker);
    const std::uint32_t room = room_ahead(worker);
    return needed <= room || room == kVectorSize;
}

// Whether the bridge itself takes such groups: IPv6's are 33:33:*.
bool listens(const Link& bridge, const net::MacAddress& group) noexcept {
    const bool is_ip6 = group.bytes[0] == 0x33 && group.bytes[1] == 0x33;
    return is_ip6 ? bridge.has_address6 : bridge.has_address;
}

void flood(
    Worker& worker, rte_mbuf* packet, const Link& in, const Link& bridge, fdb::Key destination
) noexcept {
    const Traffic traffic = traffic_of(destination.mac());
    const bool own = &in == &bridge;
    const Link* previous = nullptr;
    for (const LinkId member : bridge.members) {
        const Link* to = worker.tables.links.read(member);
        if (to == nullptr || to->master != bridge.id || !is_allowed(in, *to) ||
            !floods(to->bridge_port, traffic, own)) {
            continue;
        }
        if (previous != nullptr) {
            send_copy(worker, packet, *previous);
        }
        previous = to;
    }
    if (traffic != Traffic::unknown_unicast && !own && listens(bridge, destination.mac())) {
        if (previous != nullptr) {
            send_copy(worker, packet, *previous);
        }
        pass_up(worker, packet, bridge);
    } else if (previous != nullptr) {
        send_to(worker, packet, *previous);
    } else {
        worker.drop(packet, in.id, Drop::bridge_no_port);
    }
}

}  // namespace culvert::pipeline
