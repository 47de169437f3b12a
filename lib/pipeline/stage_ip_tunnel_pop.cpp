// SPDX-License-Identifier: BSD-3-Clause
// ipip and GRE packets over IPv4 or IPv6 to an address of ours: outer headers checked, packet ->
// link, outer headers off, and in again on the tunnel link. Checks stand in the kernel's order
// (ip_tunnel_rcv, ipxip6_rcv, ip6gre_rcv), so that a packet wrong in two ways is dropped for the
// same reason. What the family underneath is about is in ip_tunnel_underlay.hpp.
//
// Drops up to the lookup count on the underlay link, later ones on the tunnel link.
#include "lib/encap/inner_frame.hpp"
#include "lib/pipeline/ip_tunnel_underlay.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

#include <algorithm>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 64;
constexpr std::uint16_t kEther = sizeof(net::EtherHeader);

Drop reason_of(encap::IpTunnelVerdict verdict) noexcept {
    switch (verdict) {
    case encap::IpTunnelVerdict::ipip_truncated:
        return Drop::ipip_truncated;
    case encap::IpTunnelVerdict::gre_truncated:
        return Drop::gre_truncated;
    case encap::IpTunnelVerdict::gre_version:
        return Drop::gre_version;
    case encap::IpTunnelVerdict::gre_flags:
        return Drop::gre_routing;
    case encap::IpTunnelVerdict::gre_checksum:
        return Drop::gre_checksum;
    case encap::IpTunnelVerdict::good:
    case encap::IpTunnelVerdict::no_device:
        break;
    }
    return Drop::ip_tunnel_no_device;
}

// TUN-RX-03. As in the kernel, two workers that receive for one device at once may both take a
// number that only one of them should.
bool is_in_sequence(encap::IpTunnelSequences& sequences, std::uint32_t number) noexcept {
    const std::uint32_t expected = sequences.expected_in.load(std::memory_order_relaxed);
    if (expected != 0 && static_cast<std::int32_t>(number - expected) < 0) {
        return false;
    }
    sequences.expected_in.store(number + 1, std::memory_order_relaxed);
    return true;
}

template <typename Outer>
bool says_the_same(const Outer& a, const Outer& b) noexcept {
    return a.key == b.key && a.payload_offset == b.payload_offset &&
           a.payload_type == b.payload_type && a.tos == b.tos && a.has_checksum == b.has_checksum &&
           a.has_sequence == b.has_sequence;
}

// `Underlay`: IpTunnelOverIpv4 or IpTunnelOverIpv6.
template <typename Underlay>
class IpTunnelPop {
public:
    explicit IpTunnelPop(Worker& worker) noexcept
        : worker_(worker)
        , lookup_(Underlay::lookup(worker.tables).view())
        , vrf_bits_(encap::IpTunnelKey::vrf_bits(worker.routed_by.vrf))
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them in ip4, ip6 and
    // behind Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept;

private:
    using Key = typename Underlay::Key;
    using Outer = typename Underlay::Outer;
    using Words = typename Underlay::Words;

    // Neighbours in the burst whose outer headers say the same. Never constructed: it lies in a
    // Scratch.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Run {
        Outer outer;
        typename Underlay::Lookup::View::Home home;
        const Link* link;  // nullptr = no device takes it
        LinkId link_in;
        std::uint8_t first;  // packet
    };

    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool
    continue_with_other_key(const rte_mbuf* packet, std::uint32_t number, Words& words) noexcept;
    void find_links() noexcept;
    void deliver_run(const Run& run, rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool is_refused(const Run& run, Drop& reason) const noexcept;
    bool is_number_refused(const Run& run, const rte_mbuf* packet) const noexcept;
    [[nodiscard]] Vector& way_in(const Link& link, std::uint16_t type) noexcept;

    void refuse_all(rte_mbuf* const* packets, std::uint32_t count, LinkId link) noexcept;

    void
    drop_all(rte_mbuf* const* packets, std::uint32_t count, LinkId link, Drop reason) noexcept {
        std::for_each_n(packets, count, [&](rte_mbuf* packet) {
            worker_.drop(packet, link, reason);
        });
    }

    Worker& worker_;
    const typename Underlay::Lookup::View lookup_;
    const std::uint32_t vrf_bits_;
    RxTally rx_;
    std::uint32_t packet_count_ = 0;
    std::uint32_t run_count_ = 0;
    Scratch<rte_mbuf*, kChunk> packets_;
    Scratch<Run, kChunk> runs_;
};

template <typename Underlay>
[[gnu::noinline]] void IpTunnelPop<Underlay>::refuse_all(
    rte_mbuf* const* packets, std::uint32_t count, LinkId link
) noexcept {
    std::for_each_n(packets, count, [&](rte_mbuf* packet) {
        worker_.drop_and_tell(packet, link, Drop::ip_tunnel_no_device, Underlay::kPortUnreachable);
    });
}

// Another device's packet, most likely: a run of its own with what the last one's headers say but
// for addresses and key. Precondition: `words` are of the last run.
template <typename Underlay>
[[gnu::always_inline]] inline bool IpTunnelPop<Underlay>::continue_with_other_key(
    const rte_mbuf* packet, std::uint32_t number, Words& words
) noexcept {
    const Run& last = runs_[run_count_ - 1];
    Key key = last.outer.key;
    if (!Underlay::differs_by_key(packet, kEther, words, key)) {
        return false;
    }
    Run& run = runs_[run_count_++];
    run.outer = last.outer;
    run.outer.key = key;
    run.home = lookup_.prefetch(key);
    run.link_in = last.link_in;
    run.first = static_cast<std::uint8_t>(number);
    return true;
}

// Checks the outer headers, and cuts the burst into runs.
template <typename Underlay>
void IpTunnelPop<Underlay>::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    std::uint32_t kept = 0;
    Words words;                  // of the last packet
    LinkId words_from = kNoLink;  // where it came in; kNoLink = its words do not say it all
    run_count_ = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        const Note& packet_note = note(packet);
        const std::uint16_t l3_offset = packet_note.l3_offset;
        if (packet_note.link_in == words_from && l3_offset == kEther) [[likely]] {
            if (Underlay::is_like(packet, kEther, words)) [[likely]] {
                packets_[kept++] = packet;
                continue;
            }
            if (continue_with_other_key(packet, kept, words)) {
                packets_[kept++] = packet;
                continue;
            }
        }
        Outer outer;  // NOLINT: set where the verdict is good
        const auto verdict = Underlay::parse(packet, l3_offset, outer);
        if (verdict == encap::IpTunnelVerdict::no_device) [[unlikely]] {
            refuse_all(&packet, 1, packet_note.link_in);
            continue;
        }
        if (verdict != encap::IpTunnelVerdict::good) [[unlikely]] {
            worker_.drop(packet, packet_note.link_in, reason_of(verdict));
            continue;
        }
        outer.key.kind_and_flags |= vrf_bits_;
        const bool is_whole = l3_offset == kEther && words.load(packet, kEther, outer);
        words_from = is_whole ? packet_note.link_in : kNoLink;
        const Run* last = run_count_ != 0 ? &runs_[run_count_ - 1] : nullptr;
        if (last == nullptr || last->link_in != packet_note.link_in ||
            !says_the_same(last->outer, outer)) {
            Run& run = runs_[run_count_++];
            run.outer = outer;
            run.home = lookup_.prefetch(outer.key);
            run.link_in = packet_note.link_in;
            run.first = static_cast<std::uint8_t>(kept);
        }
        packets_[kept++] = packet;
    }
    packet_count_ = kept;
}

template <typename Underlay>
void IpTunnelPop<Underlay>::find_links() noexcept {
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        LinkId id = lookup_.find(run.home, run.outer.key, run.link_in);
        Key key;
        if (id == kNoLink && encap::find_second_key(run.outer, key)) [[unlikely]] {
            id = lookup_.find(lookup_.prefetch(key), key, run.link_in);
        }
        run.link = worker_.tables.links.read(id);
    }
}

// Where packets of this type go on, as the link's input.
template <typename Underlay>
Vector& IpTunnelPop<Underlay>::way_in(const Link& link, std::uint16_t type) noexcept {
    if (link.master != kNoLink) {
        return worker_.vector(Stage::bridge);
    }
    if (!has_link_layer(link.kind) && is_routed_plainly(link)) {
        if (type == net::ether_type::kIpv4) {
            return worker_.vector(Stage::ip4);
        }
        if (type == net::ether_type::kIpv6) {
            return worker_.vector(Stage::ip6);
        }
    }
    return worker_.vector(Stage::ethernet);
}

// What a run's device says of all its packets.
template <typename Underlay>
bool IpTunnelPop<Underlay>::is_refused(const Run& run, Drop& reason) const noexcept {
    const encap::IpTunnelConfig& config = run.link->ip_tunnel;
    const std::uint16_t type = run.outer.payload_type;
    if (!run.link->up) [[unlikely]] {
        reason = Drop::link_down_rx;
    } else if (!encap::fits_mode(config.mode, type)) [[unlikely]] {
        reason = Drop::ip_tunnel_mode;
    } else if (run.outer.has_checksum != config.in_checksum) [[unlikely]] {
        reason = Drop::ip_tunnel_checksum_rule;
    } else if (config.in_sequence && !run.outer.has_sequence) [[unlikely]] {
        reason = Drop::ip_tunnel_sequence;
    } else if (type == net::ether_type::kArp && !has_link_layer(run.link->kind)) [[unlikely]] {
        // Such a link has no ARP (NOARP).
        reason = Drop::ether_type_unknown;
    } else {
        return false;
    }
    return true;
}

// The sequence number is the GRE header's last field.
template <typename Underlay>
bool IpTunnelPop<Underlay>::is_number_refused(const Run& run, const rte_mbuf* packet)
    const noexcept {
    const auto offset = static_cast<std::uint16_t>(run.outer.payload_offset - sizeof(net::Be32));
    const auto raw = net::detail::load<std::uint32_t>(
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset)
    );
    return !is_in_sequence(*run.link->sequences, net::Be32::from_raw(raw).host());
}

// Precondition: the link is there.
template <typename Underlay>
inline void IpTunnelPop<Underlay>::deliver_run(
    const Run& run, rte_mbuf* const* packets, std::uint32_t count
) noexcept {
    const Link& link = *run.link;
    Drop reason{};
    if (is_refused(run, reason)) [[unlikely]] {
        drop_all(packets, count, link.id, reason);
        return;
    }
    const bool is_frame = has_link_layer(link.kind);
    const bool counts_numbers = link.ip_tunnel.in_sequence;
    Vector& out = way_in(link, run.outer.payload_type);
    rte_mbuf** tail = &out.packets[out.count];
    std::uint64_t bytes = 0;
    const auto drop = [&](rte_mbuf* packet, Drop why) { worker_.drop(packet, link.id, why); };
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        if (is_frame && packet->data_len < run.outer.payload_offset + kEther) [[unlikely]] {
            drop(packet, Drop::gretap_inner_truncated);
            continue;
        }
        if (counts_numbers && is_number_refused(run, packet)) [[unlikely]] {
            drop(packet, Drop::ip_tunnel_sequence);
            continue;
        }
        if (is_frame) {
            encap::ip_tunnel_strip_to_frame(packet, run.outer.payload_offset);
        } else {
            encap::ip_tunnel_strip(packet, run.outer.payload_offset, run.outer.payload_type);
        }
        auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
        Note& packet_note = note(packet);
        if (!encap::inner_ip_is_whole(frame, packet->pkt_len)) [[unlikely]] {
            drop(packet, Drop::ip_tunnel_inner_truncated);
            continue;
        }
        Underlay::inherit(link, run.outer, frame, packet->data_len);
        if (!encap::decapsulate_ecn(frame, packet->data_len, run.outer.tos)) [[unlikely]] {
            drop(packet, Drop::ip_tunnel_ecn);
        } else if (++packet_note.depth > kMaxDepth) [[unlikely]] {
            drop(packet, Drop::depth_exceeded);
        } else {
            bytes += packet->pkt_len;
            packet_note.link_in = link.id;
            packet_note.l3_offset = kEther;
            *tail++ = packet;
        }
    }
    const std::uint32_t before = out.count;
    out.count = static_cast<std::uint32_t>(tail - out.packets.data());
    const std::uint64_t delivered = out.count - before;
    const bool counts_all = is_frame && Underlay::kCountsLinkHeader;
    const std::uint64_t not_counted = counts_all ? 0 : delivered * kEther;
    rx_.add(link.id, bytes - not_counted, delivered);
}

template <typename Underlay>
void IpTunnelPop<Underlay>::run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    find_runs(packets, count);
    find_links();
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        const Run& run = runs_[k];
        const std::uint32_t end = k + 1 < run_count_ ? runs_[k + 1].first : packet_count_;
        rte_mbuf* const* first = &packets_[run.first];
        if (run.link != nullptr) [[likely]] {
            if (Underlay::is_to_group(run.outer.key)) [[unlikely]] {
                worker_.counters.count_multicast(run.link->id, end - run.first);  // TUN-RX-01
            }
            deliver_run(run, first, end - run.first);
        } else {
            refuse_all(first, end - run.first, run.link_in);
        }
    }
}

template <typename Underlay>
void run_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Underlay::kStage);
    const std::uint32_t room = std::min(
        {worker.vector(Stage::ethernet).room(),
         worker.vector(Stage::bridge).room(),
         worker.vector(Stage::ip4).room(),
         worker.vector(Stage::ip6).room()}
    );
    const std::uint32_t count = std::min(vector.count, room);
    if (count == 0) {
        return;
    }
    IpTunnelPop<Underlay> pop(worker);
    for (std::uint32_t done = 0; done < count; done += kChunk) {
        pop.run(&vector.packets[done], std::min(count - done, kChunk));
    }
    vector.take_front(count);
}

}  // namespace

void ip_tunnel_pop_stage(Worker& worker) noexcept {
    run_stage<IpTunnelOverIpv4>(worker);
}

void ip_tunnel_pop6_stage(Worker& worker) noexcept {
    run_stage<IpTunnelOverIpv6>(worker);
}

}  // namespace culvert::pipeline
