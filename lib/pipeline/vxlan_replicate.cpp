// SPDX-License-Identifier: BSD-3-Clause
// Frames to several remotes, to ourselves, by other links than ports, or to nowhere.
//
// A packet with several remotes is copied for all but the first; the original goes to the first
// one, last (VXLAN-TX-07). The copies may be more than a vector holds, so the stage can stop
// anywhere between two of them: Worker::push_resume says how far the packet at the vector's front
// has come, and the next round goes on from there. If the entry changes in between, the rest goes
// to the remotes of the new one.
#include "lib/pipeline/tunnel_next_hop.hpp"
#include "lib/pipeline/vxlan_push.hpp"

#include <algorithm>

namespace culvert::pipeline {

// Returns the packet that stays for lack of room, or `end`.
std::uint32_t
VxlanPush::replicate_run(rte_mbuf* const* packets, const Run& run, std::uint32_t end) noexcept {
    for (std::uint32_t i = run.first; i < end; ++i) {
        if (run.device == nullptr) {
            refuse(packets[i]);
            resume_ = 0;
        } else if (!replicate(packets[i], run)) {
            return i;
        }
    }
    return end;
}

[[gnu::cold]] void VxlanPush::refuse(rte_mbuf* packet) noexcept {
    const LinkId id = note(packet).link_out;
    const Link* device = worker_.tables.links.read(id);
    if (device == nullptr || device->kind != LinkKind::vxlan) {
        worker_.drop(packet, id, Drop::link_gone);
    } else if (!device->up) {
        worker_.drop(packet, id, Drop::link_down_tx);
    } else {
        worker_.drop(packet, id, Drop::vxlan_frame_truncated);
    }
}

// Every remote but the first a copy, then the first the original. False: the packet stays, with
// resume_ for the next round.
bool VxlanPush::replicate(rte_mbuf* packet, const Run& run) noexcept {
    const encap::VxlanDestination* destination = run.destination;
    if (destination == nullptr || destination->count == 0) {
        worker_.drop(packet, run.device->id, Drop::vxlan_no_destination);
        resume_ = 0;
        return true;
    }
    const encap::VxlanTemplates& templates = worker_.tables.vxlan_templates;
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    encap::InnerFlow flow{};
    const bool plain = encap::inspect_plain_frame(frame, packet->data_len, flow);
    for (std::uint32_t i = std::max(resume_, 1U); i < destination->count; ++i) {
        const encap::VxlanTemplate* outer = templates.read(destination->id(i));
        const bool direct = plain && is_direct(outer) && outer->is_plain;
        if (!(direct ? has_room(Stage::port_tx) : has_room_for(outer))) {
            resume_ = i;
            return false;
        }
        rte_mbuf* copy = worker_.copy(packet);
        if (copy == nullptr) [[unlikely]] {
            continue;
        }
        if (direct) [[likely]] {
            push_copy(copy, *outer, flow, *run.device);
        } else {
            dispatch(copy, outer, inspect(copy), *run.device);
        }
    }
    const encap::VxlanTemplate* outer = templates.read(destination->id(0));
    if (!has_room_for(outer)) {
        resume_ = destination->count;
        return false;
    }
    dispatch(packet, outer, inspect(packet), *run.device);
    resume_ = 0;
    return true;
}

// Precondition: the template is plain and leads to a port, and there is room.
inline void VxlanPush::push_copy(
    rte_mbuf* copy, const encap::VxlanTemplate& outer, encap::InnerFlow flow, const Link& device
) noexcept {
    const std::uint32_t frame_len = copy->pkt_len;
    const std::uint16_t identification = worker_.ip_identification;
    const auto result = outer.udp_checksum
                            ? encap::vxlan_push_flow<true>(copy, outer, flow, identification)
                            : encap::vxlan_push_flow<false>(copy, outer, flow, identification);
    if (result != encap::VxlanPushed::done) [[unlikely]] {
        if (push(copy, outer, inspect(copy), device)) {
            note(copy).link_out = outer.link_out;
            worker_.enqueue(Stage::port_tx, copy);
        }
        return;
    }
    ++worker_.ip_identification;
    tx_.add(device.id, frame_len - sizeof(net::EtherHeader));
    note(copy).link_out = outer.link_out;
    worker_.enqueue(Stage::port_tx, copy);
}

bool VxlanPush::has_room_for(const encap::VxlanTemplate* outer) noexcept {
    if (outer == nullptr) {
        return true;
    }
    if (outer->state == encap::TunnelState::local) {
        const Link* local = find_local(*outer);
        if (local == nullptr) {
            return true;
        }
        return has_room(local->master == kNoLink ? Stage::ethernet : Stage::bridge);
    }
    if (outer->state == encap::TunnelState::several) {
        return worker_.output_room() != 0;
    }
    if (outer->state != encap::TunnelState::ready) {
        return true;
    }
    // With no link to leave by it is dropped.
    return way_.leads_to_port(worker_, outer->link_out) ? has_room(Stage::port_tx)
                                                        : worker_.output_room() != 0;
}

// Precondition: has_room_for(outer).
void VxlanPush::dispatch(
    rte_mbuf* packet,
    const encap::VxlanTemplate* outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    if (outer == nullptr) [[unlikely]] {
        worker_.drop(packet, device.id, Drop::vxlan_no_destination);
        return;
    }
    switch (outer->state) {
    case encap::TunnelState::ready:
    case encap::TunnelState::failing:
        send(packet, *outer, inner, device);
        break;
    case encap::TunnelState::unresolved:
        if (push(packet, *outer, inner, device) && passes_outer(worker_, packet, outer->link_out)) {
            next_hop_of(packet) = outer->next_hop;
            note(packet).link_out = outer->link_out;
            worker_.punt(packet, Punt::resolve);
        }
        break;
    case encap::TunnelState::several:
        send_by_flow(packet, *outer, inner, device);
        break;
    case encap::TunnelState::local:
        deliver_locally(packet, *outer, device);
        break;
    case encap::TunnelState::no_route:
        worker_.drop(packet, device.id, Drop::vxlan_no_route);
        break;
    case encap::TunnelState::loop:
        worker_.drop(packet, device.id, Drop::vxlan_loop);
        break;
    case encap::TunnelState::no_remote:
        worker_.drop(packet, device.id, Drop::vxlan_no_remote);
        break;
    }
}

// RT-09
[[gnu::noinline]] void VxlanPush::send_by_flow(
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    encap::VxlanTemplate one = outer;
    const net::Be16 source_port{encap::vxlan_source_port(outer, inner.flow_hash)};
    if (!choose_by_flow(worker_, inner.parsed.tos, source_port, one)) {
        worker_.drop(packet, device.id, Drop::vxlan_no_route);
        return;
    }
    dispatch(packet, &one, inner, device);
}

// Precondition: there is room behind the way out.
void VxlanPush::send(
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    if (way_.admits(worker_, packet, outer.link_out, device.id) &&
        push(packet, outer, inner, device) && passes_outer(worker_, packet, outer.link_out))
        [[likely]] {
        worker_.output(packet, *way_.to(worker_, outer.link_out));
    }
}

// The running device with this VNI and port (VXLAN-TX-28), or nullptr.
const Link* VxlanPush::find_local(const encap::VxlanTemplate& outer) const noexcept {
    std::uint64_t id = kNoLink;
    const VxlanDemux& demux = worker_.tables.vxlan_demux;
    using Key = encap::VxlanKey;
    // The address is a link's of the VRF where the device's packets are routed.
    const Link* at = worker_.tables.links.read(outer.link_out);
    const LinkId vrf = at != nullptr ? at->vrf : kNoLink;
    const bool found =
        outer.is_ipv6
            ? demux.find(Key::make_ipv6(outer.destination_port, outer.vni, vrf), id) ||
                  demux.find(Key::make_ipv6(outer.destination_port, outer.vni, outer.link_out), id)
            : demux.find(Key::make(outer.destination_port, outer.vni, vrf), id);
    if (!found) {
        return nullptr;
    }
    return worker_.tables.links.read(static_cast<LinkId>(id));
}

// VXLAN-BYP-01: no outer header, no ECN, no TTL; both sides count the whole frame, and what the
// target learns cannot make it drop the packet.
[[gnu::cold]] void VxlanPush::deliver_locally(
    rte_mbuf* packet, const encap::VxlanTemplate& outer, const Link& device
) noexcept {
    constexpr net::IpAddress kLoopback4 = net::IpAddress::from_v4(0x7f000001);
    constexpr auto kLoopback6 =
        net::IpAddress::from_v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    const net::IpAddress& loopback = outer.is_ipv6 ? kLoopback6 : kLoopback4;
    const Link* target = find_local(outer);
    if (target == nullptr) {
        worker_.drop(packet, device.id, Drop::vxlan_local_no_device);
        return;
    }
    if (!target->up) {
        worker_.drop(packet, target->id, Drop::link_down_rx);
        return;
    }
    if (++note(packet).depth > kMaxDepth) {
        worker_.drop(packet, device.id, Drop::depth_exceeded);
        return;
    }
    const auto& ether = *rte_pktmbuf_mtod(packet, const net::EtherHeader*);
    if (target->vxlan.learning && ether.source.is_valid_station()) {
        fdb::Value value{};
        const fdb::Key key = fdb::Key::make(target->id, ether.source);
        const bool known = worker_.tables.fdb.find(key, value);
        if (known) {
            worker_.tables.fdb.refresh(key, value, worker_.now_s);
        }
        const encap::VxlanDestination* destination =
            known ? worker_.tables.vxlan_destinations.read(value.target()) : nullptr;
        const bool same = destination != nullptr && destination->first_address == loopback &&
                          destination->first_via == kNoLink;
        if (!same && !(known && value.is_pinned())) {
            worker_.learned(fdb::LearnEvent{loopback, ether.source, target->id, kNoLink, {}});
        }
    }
    const std::uint32_t len = packet->pkt_len;
    tx_.add(device.id, len);
    LinkCounters& row = worker_.counters.link(target->id);
    row.rx_packets.add(1);
    row.rx_bytes.add(len);
    encap::forget_offloads(packet);
    note(packet).for_us = true;  // VXLAN-BYP-02
    worker_.input(packet, *target);
}

}  // namespace culvert::pipeline
