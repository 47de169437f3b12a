// SPDX-License-Identifier: BSD-3-Clause
// VXLAN packets to an address of ours: outer headers checked, (port, VNI) -> link, inner source
// learned, outer headers off, and in again on the vxlan link. Checks stand in the kernel's order
// (VXLAN-RX-18), so that a packet wrong in two ways is dropped for the same reason: a frame that
// ECN rejects has been learned before.
//
// Drops up to the VNI count on the underlay link, later ones on the vxlan link.
#include "lib/encap/inner_frame.hpp"
#include "lib/encap/vxlan_pop.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 64;  // what one bulk lookup takes
static_assert(kChunk <= VxlanDemux::kMaxBulk);

class VxlanPop {
public:
    explicit VxlanPop(Worker& worker) noexcept
        : worker_(worker)
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them behind Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept;

private:
    static constexpr std::uint8_t kNotLearned = 0xff;

    struct Packet {
        rte_mbuf* mbuf;
        encap::VxlanOuter outer;
        std::uint8_t tunnel;  // index in tunnels_
        std::uint8_t source;  // index in sources_, or kNotLearned
    };

    // What the packets of one (port, VNI) share.
    struct Tunnel {
        const Link* link;
        std::uint64_t own_mac;  // in the upper 48 bits
    };

    // An inner MAC and the VTEP it was seen behind.
    struct Source {
        net::Be32 outer;
        LinkId link;
        bool refused;  // VXLAN-LRN-04
    };

    void parse(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool sort_out(rte_mbuf* packet, encap::VxlanOuter& outer) noexcept;
    void find_tunnels() noexcept;
    void check_sources() noexcept;
    void refuse_tunnel(const Packet& packet) noexcept;
    std::uint8_t source_index(const Packet& packet, const Link& link, std::uint64_t mac) noexcept;
    void learn() noexcept;
    void learn_one(std::uint32_t index, bool found, fdb::Value value) noexcept;
    void deliver() noexcept;

    Worker& worker_;
    RxTally rx_;
    std::uint32_t packet_count_ = 0;
    std::uint32_t tunnel_count_ = 0;
    std::uint32_t source_count_ = 0;
    // The first *_count_ are set. Neighbours in the burst that are alike share an entry.
    Scratch<Packet, kChunk> packets_;
    Scratch<encap::VxlanKey, kChunk> tunnel_keys_;
    Scratch<Tunnel, kChunk> tunnels_;
    Scratch<fdb::Key, kChunk> source_keys_;
    Scratch<Source, kChunk> sources_;
};

// The packet at hand is not a plain one. False: it is dropped. True: it is sound after all (what
// stood behind the UDP length has been cut off), and `outer` is set.
[[gnu::cold]] bool VxlanPop::sort_out(rte_mbuf* packet, encap::VxlanOuter& outer) noexcept {
    const VxlanDemux& demux = worker_.tables.vxlan_demux;
    const LinkId underlay = note(packet).link_in;
    const std::uint16_t l3_offset = note(packet).l3_offset;
    const auto drop = [&](LinkId link, Drop reason) {
        worker_.drop(packet, link, reason);
        return false;
    };
    switch (encap::examine_udp(packet, l3_offset)) {
    case encap::UdpVerdict::good:
        break;
    case encap::UdpVerdict::truncated:
        return drop(underlay, Drop::udp_truncated);
    case encap::UdpVerdict::length:
        return drop(underlay, Drop::udp_length);
    case encap::UdpVerdict::checksum:
        return drop(underlay, Drop::udp_checksum);
    }
    std::uint64_t link = kNoLink;
    const std::uint16_t port = encap::udp_destination_port(packet, l3_offset);
    if (!demux.find(encap::VxlanKey::socket(port), link)) {
        return drop(underlay, Drop::udp_no_port);
    }
    switch (encap::examine_vxlan(packet, l3_offset, outer)) {
    case encap::VxlanVerdict::good:
        break;
    case encap::VxlanVerdict::truncated:
        return drop(underlay, Drop::vxlan_truncated);
    case encap::VxlanVerdict::no_vni_flag:
        return drop(underlay, Drop::vxlan_no_vni_flag);
    }
    if (!demux.find(encap::VxlanKey::make(port, outer.vni), link)) {
        return drop(underlay, Drop::vxlan_unknown_vni);
    }
    if (!encap::has_inner_ether(packet, outer)) {
        return drop(static_cast<LinkId>(link), Drop::vxlan_inner_truncated);
    }
    if (encap::has_reserved_bits(packet, outer)) {
        return drop(static_cast<LinkId>(link), Drop::vxlan_reserved_bits);
    }
    return true;
}

void VxlanPop::parse(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    packet_count_ = 0;
    tunnel_count_ = 0;
    encap::VxlanKey last{};
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* mbuf = packets[i];
        Packet& packet = packets_[packet_count_];
        if (!encap::vxlan_parse(mbuf, note(mbuf).l3_offset, packet.outer)) [[unlikely]] {
            if (!sort_out(mbuf, packet.outer)) {
                continue;
            }
        }
        packet.mbuf = mbuf;
        const auto key = encap::VxlanKey::make(packet.outer.udp_port, packet.outer.vni);
        if (tunnel_count_ == 0 || !(key == last)) {
            last = key;
            tunnel_keys_[tunnel_count_++] = key;
        }
        packet.tunnel = static_cast<std::uint8_t>(tunnel_count_ - 1);
        ++packet_count_;
    }
}

void VxlanPop::find_tunnels() noexcept {
    Scratch<std::uint64_t, kChunk> ids;
    const Tables& tables = worker_.tables;
    const std::uint64_t found =
        tables.vxlan_demux.find_bulk(tunnel_keys_.data(), ids.data(), tunnel_count_);
    for (std::uint32_t k = 0; k < tunnel_count_; ++k) {
        const bool is_found = (found >> k & 1) != 0;
        tunnels_[k].link = is_found ? tables.links.read(static_cast<LinkId>(ids[k])) : nullptr;
        rte_prefetch0(tunnels_[k].link);
    }
    for (std::uint32_t k = 0; k < tunnel_count_; ++k) {
        const Link* link = tunnels_[k].link;
        tunnels_[k].own_mac = link != nullptr ? link->mac.value() << 16 : 0;
    }
}

// No device has this VNI here; or it has gone since, which is the same.
[[gnu::cold]] void VxlanPop::refuse_tunnel(const Packet& packet) noexcept {
    std::uint64_t ignored = 0;
    const auto socket = encap::VxlanKey::socket(packet.outer.udp_port);
    const bool is_open = worker_.tables.vxlan_demux.find(socket, ignored);
    worker_.drop(
        packet.mbuf,
        note(packet.mbuf).link_in,
        is_open ? Drop::vxlan_unknown_vni : Drop::udp_no_port
    );
}

inline std::uint8_t
VxlanPop::source_index(const Packet& packet, const Link& link, std::uint64_t mac) noexcept {
    const fdb::Key key{fdb_key(mac, link.id)};
    if (source_count_ == 0 || !(source_keys_[source_count_ - 1] == key) ||
        !(sources_[source_count_ - 1].outer == packet.outer.source)) {
        source_keys_[source_count_] = key;
        sources_[source_count_] = {packet.outer.source, link.id, false};
        ++source_count_;
    }
    return static_cast<std::uint8_t>(source_count_ - 1);
}

void VxlanPop::check_sources() noexcept {
    constexpr std::uint64_t kGroupBit = std::uint64_t{1} << 56;  // of a MAC in the upper 48 bits
    constexpr std::uint64_t kMacMask = ~std::uint64_t{0xffff};
    std::uint32_t kept = 0;
    source_count_ = 0;
    for (std::uint32_t i = 0; i < packet_count_; ++i) {
        Packet& packet = packets_[i];
        const Tunnel& tunnel = tunnels_[packet.tunnel];
        if (tunnel.link == nullptr) [[unlikely]] {
            refuse_tunnel(packet);
            continue;
        }
        const Link& link = *tunnel.link;
        const auto* source = rte_pktmbuf_mtod_offset(
            packet.mbuf,
            const std::uint8_t*,
            packet.outer.frame_offset + offsetof(net::EtherHeader, source)
        );
        const std::uint64_t mac = mac_and_two_more(source) & kMacMask;
        if (mac == tunnel.own_mac) [[unlikely]] {
            worker_.drop(packet.mbuf, link.id, Drop::vxlan_own_source);
            continue;
        }
        packet.source = kNotLearned;
        if (link.vxlan.learning) [[likely]] {
            if (mac == 0 || (mac & kGroupBit) != 0) [[unlikely]] {
                worker_.drop(packet.mbuf, link.id, Drop::vxlan_source_invalid);
                continue;
            }
            packet.source = source_index(packet, link, mac);
        }
        if (kept != i) [[unlikely]] {
            packets_[kept] = packet;
        }
        ++kept;
    }
    packet_count_ = kept;
}

// VXLAN-LRN-03..07.
void VxlanPop::learn_one(std::uint32_t index, bool found, fdb::Value value) noexcept {
    const Tables& tables = worker_.tables;
    Source& source = sources_[index];
    const fdb::Key key = source_keys_[index];
    const auto outer = net::IpAddress::from_v4(source.outer.host());
    if (found) [[likely]] {
        tables.fdb.refresh(key, value, worker_.now_s);
        const encap::VxlanDestination* known = tables.vxlan_destinations.read(value.target());
        if (known != nullptr && known->first_address == outer && known->first_via == kNoLink)
            [[likely]] {
            return;
        }
        if (value.is_pinned()) {
            source.refused = true;
            return;
        }
    }
    worker_.learned(fdb::LearnEvent{outer, key.mac(), source.link, kNoLink, {}});
}

void VxlanPop::learn() noexcept {
    Scratch<fdb::Value, kChunk> values;
    const Tables& tables = worker_.tables;
    const std::uint64_t found =
        tables.fdb.find_bulk(source_keys_.data(), values.data(), source_count_);
    for (std::uint32_t k = 0; k < source_count_; ++k) {
        if ((found >> k & 1) != 0) [[likely]] {
            rte_prefetch0(tables.vxlan_destinations.read(values[k].target()));
        }
    }
    for (std::uint32_t k = 0; k < source_count_; ++k) {
        learn_one(k, (found >> k & 1) != 0, values[k]);
    }
}

void VxlanPop::deliver() noexcept {
    for (std::uint32_t i = 0; i < packet_count_; ++i) {
        const Packet& packet = packets_[i];
        rte_mbuf* mbuf = packet.mbuf;
        const Link& link = *tunnels_[packet.tunnel].link;
        if (packet.source != kNotLearned && sources_[packet.source].refused) [[unlikely]] {
            worker_.drop(mbuf, link.id, Drop::vxlan_source_pinned);
            continue;
        }
        encap::vxlan_strip(mbuf, packet.outer);
        auto* frame = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
        if (!encap::inner_ip_is_whole(frame, mbuf->pkt_len)) [[unlikely]] {
            worker_.drop(mbuf, link.id, Drop::vxlan_inner_ip_truncated);
            continue;
        }
        if (!encap::decapsulate_ecn(frame, mbuf->data_len, packet.outer.tos)) [[unlikely]] {
            worker_.drop(mbuf, link.id, Drop::vxlan_ecn);
            continue;
        }
        if (!link.up) [[unlikely]] {
            worker_.drop(mbuf, link.id, Drop::link_down_rx);
            continue;
        }
        if (++note(mbuf).depth > kMaxDepth) [[unlikely]] {
            worker_.drop(mbuf, link.id, Drop::depth_exceeded);
            continue;
        }
        rx_.add(link.id, mbuf->pkt_len - sizeof(net::EtherHeader));  // VXLAN-RX-15
        worker_.input(mbuf, link);
    }
}

void VxlanPop::run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    parse(packets, count);
    find_tunnels();
    check_sources();
    learn();
    deliver();
}

}  // namespace

void vxlan_pop_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::vxlan_pop);
    const std::uint32_t room =
        std::min(worker.vector(Stage::ethernet).room(), worker.vector(Stage::bridge).room());
    const std::uint32_t count = std::min(vector.count, room);
    if (count == 0) {
        return;
    }
    VxlanPop pop(worker);
    for (std::uint32_t done = 0; done < count; done += kChunk) {
        pop.run(&vector.packets[done], std::min(count - done, kChunk));
    }
    vector.take_front(count);
}

}  // namespace culvert::pipeline
