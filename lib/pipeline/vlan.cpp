// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/vlan.hpp"

#include "lib/net/ether.hpp"

#include <array>
#include <cstring>

namespace culvert::pipeline {

namespace {

constexpr std::uint16_t kTagLen = sizeof(net::VlanHeader);
constexpr std::uint16_t kVlanIdMask = 0x0fff;

using Macs = std::array<std::uint8_t, 12>;

Macs macs_of(const rte_mbuf* packet) noexcept {
    Macs macs;  // NOLINT(cppcoreguidelines-pro-type-member-init): written whole by the next line
    std::memcpy(macs.data(), rte_pktmbuf_mtod(packet, const void*), macs.size());
    return macs;
}

constexpr std::uint16_t kTaggedLen = sizeof(net::EtherHeader) + kTagLen;

// Precondition: kTaggedLen bytes.
VlanKey key_of(const rte_mbuf* packet, LinkId lower) noexcept {
    const auto* ether = rte_pktmbuf_mtod(packet, const net::EtherHeader*);
    const auto* tag = reinterpret_cast<const net::VlanHeader*>(ether + 1);
    const auto id = static_cast<std::uint16_t>(tag->tci.host() & kVlanIdMask);
    return VlanKey::make(lower, ether->type.host(), id);
}

}  // namespace

LinkId vlan_of(const Worker& worker, const rte_mbuf* packet, LinkId lower) noexcept {
    std::uint64_t id = kNoLink;
    if (rte_pktmbuf_data_len(packet) >= kTaggedLen) {
        (void)worker.tables.vlans.find(key_of(packet, lower), id);
    }
    return static_cast<LinkId>(id);
}

// vlan_do_receive()
const Link* untag(Worker& worker, rte_mbuf* packet, const Link& lower) noexcept {
    if (rte_pktmbuf_data_len(packet) < kTaggedLen) {
        worker.drop(packet, lower.id, Drop::ether_truncated);
        return nullptr;
    }
    const LinkId id = vlan_of(worker, packet, lower.id);
    const bool is_known = id != kNoLink;
    const Link* link = is_known ? worker.tables.links.read(id) : &lower;
    if (link == nullptr || !link->up) {
        worker.drop(packet, id, link == nullptr ? Drop::link_gone : Drop::link_down_rx);
        return nullptr;
    }
    if (!is_known && key_of(packet, lower.id).id != 0) {
        worker.drop(packet, lower.id, Drop::vlan_unknown);
        return nullptr;
    }
    const Macs macs = macs_of(packet);
    std::memcpy(rte_pktmbuf_adj(packet, kTagLen), macs.data(), macs.size());
    note(packet).link_in = link->id;
    if (is_known) {
        LinkCounters& row = worker.counters.link(link->id);
        row.rx_packets.add(1);
        row.rx_bytes.add(rte_pktmbuf_pkt_len(packet));
    }
    // The frame may go on in the vector that it came from: this is progress all the same.
    ++worker.push_progress;
    return link;
}

// vlan_dev_hard_start_xmit()
void output_tagged(Worker& worker, rte_mbuf* packet, const Link& vlan) noexcept {
    const Link* lower = worker.tables.links.read(vlan.vlan.lower);
    if (lower == nullptr) {
        worker.drop(packet, vlan.id, Drop::link_gone);
        return;
    }
    // A bridge's own frames queue behind those it is working on.
    if (lower->kind == LinkKind::bridge && worker.vector(Stage::bridge).room() == 0) {
        worker.drop(packet, vlan.id, Drop::vector_full);
        return;
    }
    if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader)) {
        worker.drop(packet, vlan.id, Drop::vlan_no_room);
        return;
    }
    const std::uint32_t bytes = rte_pktmbuf_pkt_len(packet);
    const Macs macs = macs_of(packet);
    char* data = rte_pktmbuf_prepend(packet, kTagLen);
    if (data == nullptr) {
        worker.drop(packet, vlan.id, Drop::vlan_no_room);
        return;
    }
    // The frame's own type is the tag's now, and stands where it stood.
    const net::Be16 protocol{vlan.vlan.protocol};
    const net::Be16 tci{vlan.vlan.id};
    std::memcpy(data, macs.data(), macs.size());
    std::memcpy(data + macs.size(), &protocol, sizeof(protocol));
    std::memcpy(data + macs.size() + sizeof(protocol), &tci, sizeof(tci));
    LinkCounters& row = worker.counters.link(vlan.id);
    row.tx_packets.add(1);
    row.tx_bytes.add(bytes);
    worker.output(packet, *lower);
}

}  // namespace culvert::pipeline
