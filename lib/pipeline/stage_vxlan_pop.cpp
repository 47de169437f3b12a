// SPDX-License-Identifier: BSD-3-Clause
// The vxlan_pop and vxlan_pop6 stages: outer headers checked and off, and in again on the vxlan
// link. Checks stand in the kernel's order (VXLAN-RX-18), so that a packet wrong in two ways is
// dropped for the same reason: a frame that ECN rejects has been learned before.
//
// Drops up to the VNI count on the underlay link, later ones on the vxlan link.
#include "lib/pipeline/fou_pop.hpp"
#include "lib/pipeline/vxlan_inner.hpp"
#include "lib/pipeline/vxlan_pop.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace culvert::pipeline {

// VXLAN-SOCK-09: nothing is open on its port. The packet begins as it was received.
template <typename Underlay>
[[gnu::noinline]] void VxlanPop<Underlay>::refuse_port(rte_mbuf* packet) noexcept {
    worker_.drop_and_tell(
        packet, note(packet).link_in, Drop::udp_no_port, Underlay::kPortUnreachable
    );
}

// The packet at hand is not a plain one. False: it is dropped. True: it is sound after all (what
// stood behind the UDP length has been cut off), and `outer` is set.
template <typename Underlay>
[[gnu::cold]] bool VxlanPop<Underlay>::sort_out(rte_mbuf* packet, Parsed& outer) noexcept {
    const LinkId underlay = note(packet).link_in;
    const std::uint16_t l3_offset = note(packet).l3_offset;
    switch (Underlay::examine_udp(packet, l3_offset)) {
    case encap::UdpVerdict::good:
        break;
    case encap::UdpVerdict::truncated:
        return refuse(packet, underlay, Drop::udp_truncated);
    case encap::UdpVerdict::length:
        return refuse(packet, underlay, Drop::udp_length);
    case encap::UdpVerdict::checksum:
        return refuse(packet, underlay, Drop::udp_checksum);
    }
    const std::uint16_t udp_offset = Underlay::udp_offset(packet, l3_offset);
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, udp_offset);
    std::uint64_t socket = 0;
    const bool is_open =
        worker_.tables.vxlan_demux.find(Underlay::socket(udp.destination.host(), vrf_), socket);
    if (Underlay::kNeedsChecksum && udp.checksum.raw() == 0 &&
        (socket & encap::VxlanKey::kNoChecksum) == 0) {
        return refuse(packet, underlay, Drop::udp_no_checksum);
    }
    if (!is_open) {
        refuse_port(packet);
        return false;
    }
    switch (Underlay::examine_vxlan(packet, l3_offset, outer)) {
    case encap::VxlanVerdict::good:
        break;
    case encap::VxlanVerdict::truncated:
        return refuse(packet, underlay, Drop::vxlan_truncated);
    case encap::VxlanVerdict::no_vni_flag:
        return refuse(packet, underlay, Drop::vxlan_no_vni_flag);
    }
    return sort_out_device(packet, outer);
}

// The second half: whose it is, and what is asked for its device.
template <typename Underlay>
[[gnu::cold]] bool
VxlanPop<Underlay>::sort_out_device(rte_mbuf* packet, const Parsed& outer) noexcept {
    const LinkId underlay = note(packet).link_in;
    const auto vtep = Vtep::of(outer, underlay);
    const auto tunnel = Underlay::tunnel(outer, vrf_);
    std::uint64_t id = kNoLink;
    const bool found = Underlay::find(demux_, demux_.prefetch(tunnel), tunnel, vtep, id);
    const Link* link = found ? worker_.tables.links.read(static_cast<LinkId>(id)) : nullptr;
    if (link == nullptr) {
        return refuse(packet, underlay, Drop::vxlan_unknown_vni);
    }
    if (vtep.lacks_checksum() && !link->vxlan.no_checksum6_rx) {
        return refuse(packet, underlay, Drop::udp_no_checksum);
    }
    if (!encap::has_inner_ether(packet, outer.frame_offset)) {
        return refuse(packet, link->id, Drop::vxlan_inner_truncated);
    }
    if (encap::has_reserved_bits(packet, outer.frame_offset)) {
        return refuse(packet, link->id, Drop::vxlan_reserved_bits);
    }
    return true;
}

template <typename Underlay>
inline void VxlanPop<Underlay>::begin_outer(const Parsed& outer, LinkId link_in) noexcept {
    const auto tunnel = Underlay::tunnel(outer, vrf_);
    const Outer* last = outer_count_ != 0 ? &outers_[outer_count_ - 1] : nullptr;
    const bool same_tunnel = last != nullptr && last->tunnel == tunnel;
    Outer& next = outers_[outer_count_++];
    next.tunnel = tunnel;
    next.tunnel_home = same_tunnel ? last->tunnel_home : demux_.prefetch(tunnel);
    next.vtep = Vtep::of(outer, link_in);
    next.frame_offset = outer.frame_offset;
    next.ecn = outer.tos & net::kEcnMask;
}

// True: the packet is what most are, and begins at the inner frame now. `words` are those of the
// last one; an Outer begins where they change.
template <typename Underlay>
[[gnu::always_inline]] inline bool
VxlanPop<Underlay>::strip_plain(rte_mbuf* packet, Words& words) noexcept {
    constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
    constexpr std::uint16_t kFrame = kEther + Words::kFrameOffset;
    if (note(packet).l3_offset != kEther || !encap::has_inner_ether(packet, kFrame)) [[unlikely]] {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, kEther);
    const auto here = Underlay::load(packet, ip);
    const bool alike = here == words;
    if ((!alike && !here.is_plain()) || !Underlay::is_sound(packet, kEther)) [[unlikely]] {
        return false;
    }
    encap::vxlan_strip(packet, kFrame);
    if (!alike) {
        words = here;
        begin_outer(here.outer(kEther), note(packet).link_in);
    }
    return true;
}

// Checks the outer headers, takes them off, and cuts the burst into runs.
template <typename Underlay>
void VxlanPop<Underlay>::strip(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    std::uint32_t kept = 0;
    Words words;  // of the last packet; all 0 is none that was taken
    std::uint64_t last_mac = 0;
    std::uint32_t last_outer_count = 0;
    outer_count_ = 0;
    run_count_ = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        if (strip_plain(packet, words)) [[likely]] {
            packets_[kept] = packet;
            const std::uint64_t mac = inner_source_of(packet);
            if (mac != last_mac || outer_count_ != last_outer_count) {
                last_outer_count = outer_count_;
                last_mac = mac;
                begin_run(mac, kept);
            }
            ++kept;
            continue;
        }
        const std::uint16_t l3_offset = note(packet).l3_offset;
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): parse() sets what is read
        Parsed outer;
        if (!Underlay::parse(packet, l3_offset, outer) && !sort_out(packet, outer)) [[unlikely]] {
            continue;
        }
        words = {};
        encap::vxlan_strip(packet, outer.frame_offset);
        packets_[kept] = packet;
        begin_outer(outer, note(packet).link_in);
        last_outer_count = outer_count_;
        begin_run(inner_source_of(packet), kept++);
    }
    packet_count_ = kept;
    runs_[run_count_].first = static_cast<std::uint8_t>(kept);
}

template <typename Underlay>
inline void VxlanPop<Underlay>::begin_run(std::uint64_t source, std::uint32_t first) noexcept {
    Run& run = runs_[run_count_++];
    run.outer = &outers_[outer_count_ - 1];
    run.source = {fdb_key(source, 0)};
    run.first = static_cast<std::uint8_t>(first);
    run.refused = false;
}

// Asks for the links' lines, and for those that count on them.
template <typename Underlay>
void VxlanPop<Underlay>::find_tunnels() noexcept {
    const Outer* last = nullptr;
    for (std::uint32_t k = 0; k < outer_count_; ++k) {
        Outer& outer = outers_[k];
        if (last != nullptr && outer.tunnel == last->tunnel &&
            Underlay::share_device(outer.vtep, last->vtep)) {
            outer.link = last->link;
        } else {
            std::uint64_t id = kNoLink;
            const bool found =
                Underlay::find(demux_, outer.tunnel_home, outer.tunnel, outer.vtep, id);
            const auto link = static_cast<LinkId>(id);
            outer.link = found ? worker_.tables.links.read(link) : nullptr;
            rte_prefetch0(outer.link);
            rte_prefetch0(&worker_.counters.link(link));
        }
        last = &outer;
    }
}

// No device has this VNI here; or it has gone since, which is the same. Or its source is not to be
// heard.
template <typename Underlay>
[[gnu::cold]] void VxlanPop<Underlay>::refuse_run(
    const Run& run, rte_mbuf* const* packets, std::uint32_t count
) noexcept {
    const Outer& outer = *run.outer;
    Drop reason = run.refusal;
    if (outer.link == nullptr) {
        std::uint64_t socket = 0;
        const bool is_open = worker_.tables.vxlan_demux.find(
            Underlay::socket(outer.tunnel.udp_port(), vrf_), socket
        );
        if (outer.vtep.lacks_checksum() && (socket & encap::VxlanKey::kNoChecksum) == 0) {
            reason = Drop::udp_no_checksum;
        } else if (!is_open) {
            std::for_each_n(packets, count, [&](rte_mbuf* packet) {
                encap::vxlan_put_back(packet, outer.frame_offset);
                refuse_port(packet);
            });
            return;
        }
    }
    const bool is_known = outer.link != nullptr && reason != Drop::udp_no_checksum;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        worker_.drop(packet, is_known ? outer.link->id : note(packet).link_in, reason);
    }
}

template <typename Underlay>
void VxlanPop<Underlay>::deliver() noexcept {
    Vector* const bridge = &worker_.vector(Stage::bridge);
    Vector* const ethernet = &worker_.vector(Stage::ethernet);
    Vector* out = bridge;
    rte_mbuf** tail = &out->packets[out->count];
    const auto leave = [&] { out->count = static_cast<std::uint32_t>(tail - out->packets.data()); };
    std::uint32_t next = 0;
    for (std::uint32_t k = 0; k < run_count_; k = next) {
        const Run& run = runs_[k];
        next = k + 1;
        if (run.refused) [[unlikely]] {
            refuse_run(run, &packets_[run.first], runs_[next].first - run.first);
            continue;
        }
        while (next < run_count_ && runs_[next].outer == run.outer && !runs_[next].refused) {
            ++next;
        }
        const std::uint32_t end = runs_[next].first;
        const Outer& outer = *run.outer;
        const Link& link = *outer.link;
        if (Vector* const way = link.master == kNoLink ? ethernet : bridge; way != out)
            [[unlikely]] {
            leave();
            out = way;
            tail = &out->packets[out->count];
        }
        std::uint64_t bytes = 0;
        rte_mbuf** const before = tail;
        for (std::uint32_t i = run.first; i < end; ++i) {
            rte_mbuf* packet = packets_[i];
            if (check_vxlan_inner(worker_, packet, link, outer.ecn)) [[likely]] {
                bytes += packet->pkt_len;
                note(packet).link_in = link.id;
                *tail++ = packet;
            }
        }
        const auto delivered = static_cast<std::uint64_t>(tail - before);
        rx_.add(link.id, bytes - delivered * sizeof(net::EtherHeader), delivered);  // VXLAN-RX-15
    }
    leave();
}

template <typename Underlay>
void VxlanPop<Underlay>::run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    strip(packets, count);
    find_tunnels();
    find_sources();
    learn_sources();
    deliver();
}

namespace {

template <typename Underlay>
void run_stage(Worker& worker) noexcept {
    using Pop = VxlanPop<Underlay>;
    Vector& vector = worker.vector(Underlay::kStage);
    const std::uint32_t room =
        std::min(worker.vector(Stage::ethernet).room(), worker.vector(Stage::bridge).room());
    const std::uint32_t count = std::min(vector.count, room);
    if (count == 0) {
        return;
    }
    Pop pop(worker);
    for (std::uint32_t done = 0; done < count; done += Pop::kChunk) {
        pop.run(&vector.packets[done], std::min(count - done, Pop::kChunk));
    }
    vector.take_front(count);
}

}  // namespace

void vxlan_pop_stage(Worker& worker) noexcept {
    if (const auto& ports = worker.tables.ip_tunnels.fou; ports.any()) [[unlikely]] {
        divert_fou(worker, worker.vector(Stage::vxlan_pop), ports);
    }
    run_stage<VxlanOverIpv4>(worker);
}

void vxlan_pop6_stage(Worker& worker) noexcept {
    if (const auto& ports = worker.tables.ip_tunnels.fou6; ports.any()) [[unlikely]] {
        divert_fou(worker, worker.vector(Stage::vxlan_pop6), ports);
    }
    run_stage<VxlanOverIpv6>(worker);
}

}  // namespace culvert::pipeline
