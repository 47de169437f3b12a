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

constexpr std::uint32_t kChunk = 64;
constexpr std::uint64_t kGroupBit = std::uint64_t{1} << 56;  // of a MAC in the upper 48 bits

class VxlanPop {
public:
    explicit VxlanPop(Worker& worker) noexcept
        : worker_(worker)
        , demux_(worker.tables.vxlan_demux.view())
        , fdb_(worker.tables.fdb.view())
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them behind Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept;

private:
    // What neighbours in the burst say alike before the inner frame: one VTEP, one VNI, one
    // congestion mark. Never constructed: it lies in a Scratch.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Outer {
        encap::VxlanKey tunnel;
        VxlanDemux::View::Home tunnel_home;
        const Link* link;  // nullptr = no device has this VNI
        net::Be32 source;
        std::uint8_t ecn;
    };

    // Neighbours under one Outer that come from one station (MAC and EtherType). Never constructed,
    // either.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Run {
        const Outer* outer;
        fdb::Key source;  // MAC in the upper 48 bits; the domain once the link is known
        fdb::Table::View::Home source_home;  // nullptr = not to be learned
        std::uint8_t first;                  // packet
        bool refused;
        Drop refusal;

        void refuse(Drop reason) noexcept {
            refused = true;
            refusal = reason;
        }
    };

    // Neighbours whose stations are behind one VTEP, up to the next Sender's.
    struct Sender {
        Run* first;
        const encap::VxlanDestination* known;
    };

    // With two more bytes below, as mac_and_two_more() has it.
    static std::uint64_t inner_source_of(const rte_mbuf* packet) noexcept {
        constexpr std::size_t kOffset = offsetof(net::EtherHeader, source);
        return mac_and_two_more(rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, kOffset));
    }

    void strip(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool strip_plain(rte_mbuf* packet, encap::VxlanWords& words) noexcept;
    void begin_outer(const encap::VxlanOuter& outer) noexcept;
    void begin_run(std::uint64_t source, std::uint32_t first) noexcept;
    bool sort_out(rte_mbuf* packet, encap::VxlanOuter& outer) noexcept;
    void find_tunnels() noexcept;
    void find_sources() noexcept;
    void learn_sources() noexcept;
    void learn(Run& run, const fdb::Value* known) noexcept;
    void learn_again(Run* first, const Run* end) noexcept;
    void deliver() noexcept;
    bool check_inner(const Outer& outer, rte_mbuf* packet) noexcept;
    void refuse_port(rte_mbuf* packet) noexcept;
    void refuse_run(const Run& run, rte_mbuf* const* packets, std::uint32_t count) noexcept;

    Worker& worker_;
    const VxlanDemux::View demux_;
    const fdb::Table::View fdb_;
    RxTally rx_;
    std::uint32_t packet_count_ = 0;
    std::uint32_t outer_count_ = 0;
    std::uint32_t run_count_ = 0;
    // The first packet_count_ are set; they begin at the inner frame.
    Scratch<rte_mbuf*, kChunk> packets_;
    Scratch<Outer, kChunk> outers_;  // the first outer_count_ are set
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
};

// VXLAN-SOCK-09: nothing is open on its port. The packet begins as it was received.
[[gnu::noinline]] void VxlanPop::refuse_port(rte_mbuf* packet) noexcept {
    worker_.drop_and_tell(
        packet, note(packet).link_in, Drop::udp_no_port, unreachable(net::icmp_unreachable::kPort)
    );
}

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
        refuse_port(packet);
        return false;
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

inline void VxlanPop::begin_outer(const encap::VxlanOuter& outer) noexcept {
    const auto tunnel = encap::VxlanKey::make(outer.udp_port, outer.vni);
    const Outer* last = outer_count_ != 0 ? &outers_[outer_count_ - 1] : nullptr;
    const bool same_tunnel = last != nullptr && last->tunnel == tunnel;
    Outer& next = outers_[outer_count_++];
    next.tunnel = tunnel;
    next.tunnel_home = same_tunnel ? last->tunnel_home : demux_.prefetch(tunnel);
    next.source = outer.source;
    next.ecn = outer.tos & net::kEcnMask;
}

// True: the packet is what most are, and begins at the inner frame now. `words` are those of the
// last one; an Outer begins where they change.
[[gnu::always_inline]] inline bool
VxlanPop::strip_plain(rte_mbuf* packet, encap::VxlanWords& words) noexcept {
    constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
    if (note(packet).l3_offset != kEther || !encap::vxlan_is_whole(packet, kEther)) [[unlikely]] {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, kEther);
    const auto here = encap::VxlanWords::load(ip);
    const bool alike = here == words;
    if ((!alike && !here.is_plain()) || !encap::vxlan_is_sound(packet, kEther)) [[unlikely]] {
        return false;
    }
    encap::vxlan_strip(packet, kEther + encap::VxlanWords::kFrameOffset);
    if (!alike) {
        words = here;
        begin_outer(here.outer(kEther));
    }
    return true;
}

// Checks the outer headers, takes them off, and cuts the burst into runs.
void VxlanPop::strip(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    std::uint32_t kept = 0;
    encap::VxlanWords words;  // of the last packet; all 0 is none that was taken
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
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): vxlan_parse() sets what is read
        encap::VxlanOuter outer;
        if (!encap::vxlan_parse(packet, l3_offset, outer) && !sort_out(packet, outer))
            [[unlikely]] {
            continue;
        }
        words = {};
        encap::vxlan_strip(packet, outer.frame_offset);
        packets_[kept] = packet;
        begin_outer(outer);
        last_outer_count = outer_count_;
        begin_run(inner_source_of(packet), kept++);
    }
    packet_count_ = kept;
    runs_[run_count_].first = static_cast<std::uint8_t>(kept);
}

inline void VxlanPop::begin_run(std::uint64_t source, std::uint32_t first) noexcept {
    Run& run = runs_[run_count_++];
    run.outer = &outers_[outer_count_ - 1];
    run.source = {fdb_key(source, 0)};
    run.first = static_cast<std::uint8_t>(first);
    run.refused = false;
}

// Asks for the links' lines, and for those that count on them.
void VxlanPop::find_tunnels() noexcept {
    const Outer* last = nullptr;
    for (std::uint32_t k = 0; k < outer_count_; ++k) {
        Outer& outer = outers_[k];
        if (last != nullptr && outer.tunnel == last->tunnel) {
            outer.link = last->link;
        } else {
            std::uint64_t id = kNoLink;
            const bool found = demux_.find(outer.tunnel_home, outer.tunnel, id);
            const auto link = static_cast<LinkId>(id);
            outer.link = found ? worker_.tables.links.read(link) : nullptr;
            rte_prefetch0(outer.link);
            rte_prefetch0(&worker_.counters.link(link));
        }
        last = &outer;
    }
}

// Asks for the lines of the inner sources.
void VxlanPop::find_sources() noexcept {
    const Link* last = nullptr;
    std::uint64_t own_mac = 0;  // of the last link, in the upper 48 bits
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        const Link* link = run.outer->link;
        run.source_home = nullptr;
        if (link == nullptr) [[unlikely]] {
            run.refuse(Drop::vxlan_unknown_vni);
            continue;
        }
        if (link != last) {
            last = link;
            own_mac = link->mac.value() << 16;
        }
        const std::uint64_t mac = run.source.packed;
        if (mac == own_mac) [[unlikely]] {
            run.refuse(Drop::vxlan_own_source);
        } else if (link->vxlan.learning) [[likely]] {
            if (mac == 0 || (mac & kGroupBit) != 0) [[unlikely]] {
                run.refuse(Drop::vxlan_source_invalid);
                continue;
            }
            run.source = {mac | link->id};
            run.source_home = fdb_.prefetch(run.source);
        }
    }
}

// VXLAN-LRN-03..07: the entry is missing, elsewhere, or has an old stamp.
[[gnu::noinline]] void VxlanPop::learn(Run& run, const fdb::Value* known) noexcept {
    const Tables& tables = worker_.tables;
    const auto outer = net::IpAddress::from_v4(run.outer->source.host());
    if (known != nullptr) {
        tables.fdb.refresh(run.source, *known, worker_.now_s);
        const encap::VxlanDestination* destination =
            tables.vxlan_destinations.read(known->target());
        if (destination != nullptr && destination->first_address == outer &&
            destination->first_via == kNoLink) {
            return;
        }
        if (known->is_pinned()) {
            run.refuse(Drop::vxlan_source_pinned);
            return;
        }
    }
    worker_.learned(fdb::LearnEvent{outer, run.source.mac(), run.outer->link->id, kNoLink, {}});
}

// The station's entry is there and of this second. What is left is whether its VTEP is the sender:
// asked once for neighbours that share both, after the lines of all have been asked for.
void VxlanPop::learn_sources() noexcept {
    const Tables& tables = worker_.tables;
    Scratch<Sender, kChunk + 1> senders;
    std::uint32_t count = 0;
    std::uint32_t last_target = 0;
    net::Be32 last_outer{};
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        if (run.source_home == nullptr) {
            continue;
        }
        fdb::Value value;
        const bool found = fdb_.find(run.source_home, run.source, value);
        if (!found || value.used_s != worker_.now_s) [[unlikely]] {
            learn(run, found ? &value : nullptr);
            continue;
        }
        const std::uint32_t target = value.target();
        if (count != 0 && target == last_target && run.outer->source == last_outer) {
            continue;
        }
        last_target = target;
        last_outer = run.outer->source;
        senders[count] = {&run, tables.vxlan_destinations.read(target)};
        rte_prefetch0(senders[count++].known);
    }
    senders[count].first = &runs_[run_count_];
    for (std::uint32_t k = 0; k < count; ++k) {
        const encap::VxlanDestination* known = senders[k].known;
        if (known == nullptr || known->first_via != kNoLink ||
            !known->first_address.is_v4(senders[k].first->outer->source)) [[unlikely]] {
            learn_again(senders[k].first, senders[k + 1].first);
        }
    }
}

// Runs whose VTEP was another; those between that have been told of are not told of twice.
[[gnu::cold]] void VxlanPop::learn_again(Run* first, const Run* end) noexcept {
    for (; first != end; ++first) {
        fdb::Value value;
        if (first->source_home != nullptr && fdb_.find(first->source_home, first->source, value)) {
            learn(*first, &value);
        }
    }
}

// No device has this VNI here; or it has gone since, which is the same. Or its source is not to be
// heard.
[[gnu::cold]] void
VxlanPop::refuse_run(const Run& run, rte_mbuf* const* packets, std::uint32_t count) noexcept {
    const Outer& outer = *run.outer;
    Drop reason = run.refusal;
    if (outer.link == nullptr) {
        std::uint64_t ignored = 0;
        const auto socket = encap::VxlanKey::socket(outer.tunnel.udp_port());
        if (!worker_.tables.vxlan_demux.find(socket, ignored)) {
            std::for_each_n(packets, count, [&](rte_mbuf* packet) {
                encap::vxlan_put_back(packet, note(packet).l3_offset);
                refuse_port(packet);
            });
            return;
        }
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        worker_.drop(packet, outer.link != nullptr ? outer.link->id : note(packet).link_in, reason);
    }
}

// What the inner frame must be, and what its way costs. False: dropped.
inline bool VxlanPop::check_inner(const Outer& outer, rte_mbuf* packet) noexcept {
    const Link& link = *outer.link;
    auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
    Drop reason{};
    if (!encap::inner_ip_is_whole(frame, packet->pkt_len)) [[unlikely]] {
        reason = Drop::vxlan_inner_ip_truncated;
    } else if (!encap::decapsulate_ecn(frame, packet->data_len, outer.ecn)) [[unlikely]] {
        reason = Drop::vxlan_ecn;
    } else if (!link.up) [[unlikely]] {
        reason = Drop::link_down_rx;
    } else if (++note(packet).depth > kMaxDepth) [[unlikely]] {
        reason = Drop::depth_exceeded;
    } else {
        return true;
    }
    worker_.drop(packet, link.id, reason);
    return false;
}

void VxlanPop::deliver() noexcept {
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
            if (check_inner(outer, packet)) [[likely]] {
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

void VxlanPop::run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    strip(packets, count);
    find_tunnels();
    find_sources();
    learn_sources();
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
