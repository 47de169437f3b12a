// SPDX-License-Identifier: BSD-3-Clause
// ipip and GRE packets to an address of ours: outer headers checked, packet -> link, outer headers
// off, and in again on the tunnel link. Checks stand in the kernel's order (ip_tunnel_rcv), so that
// a packet wrong in two ways is dropped for the same reason.
//
// Drops up to the lookup count on the underlay link, later ones on the tunnel link.
#include "lib/encap/inner_frame.hpp"
#include "lib/encap/ip_tunnel_pop.hpp"
#include "lib/pipeline/ip_tunnel_order.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

#include <algorithm>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 64;
constexpr std::uint16_t kEther = sizeof(net::EtherHeader);

// Neighbours in the burst whose outer headers say the same. Never constructed: it lies in a
// Scratch.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct Run {
    encap::IpTunnelOuter outer;
    encap::IpTunnelLookup::View::Home home;
    const Link* link;  // nullptr = no device takes it
    LinkId link_in;
    std::uint8_t first;  // packet
};

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

bool says_the_same(const encap::IpTunnelOuter& a, const encap::IpTunnelOuter& b) noexcept {
    return a.key == b.key && a.payload_offset == b.payload_offset &&
           a.payload_type == b.payload_type && a.tos == b.tos && a.has_checksum == b.has_checksum &&
           a.has_sequence == b.has_sequence;
}

class IpTunnelPop {
public:
    explicit IpTunnelPop(Worker& worker) noexcept
        : worker_(worker)
        , lookup_(worker.tables.ip_tunnels.lookup.view())
        , vrf_bits_(encap::IpTunnelKey::vrf_bits(worker.routed_by.vrf))
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them in ip4 and behind
    // Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept;

private:
    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool continue_with_other_key(
        const rte_mbuf* packet, std::uint32_t number, encap::IpTunnelWords& words
    ) noexcept;
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
    const encap::IpTunnelLookup::View lookup_;
    const std::uint32_t vrf_bits_;
    RxTally rx_;
    std::uint32_t packet_count_ = 0;
    std::uint32_t run_count_ = 0;
    Scratch<rte_mbuf*, kChunk> packets_;
    Scratch<Run, kChunk> runs_;
};

// IPIP-RX-02, GRE-RX-11: it is the port that is unreachable, though neither has ports.
[[gnu::noinline]] void
IpTunnelPop::refuse_all(rte_mbuf* const* packets, std::uint32_t count, LinkId link) noexcept {
    std::for_each_n(packets, count, [&](rte_mbuf* packet) {
        worker_.drop_and_tell(
            packet, link, Drop::ip_tunnel_no_device, unreachable(net::icmp_unreachable::kPort)
        );
    });
}

// Another device's packet, most likely: a run of its own with what the last one's headers say but
// for addresses and key. Precondition: `words` are of the last run.
[[gnu::always_inline]] inline bool IpTunnelPop::continue_with_other_key(
    const rte_mbuf* packet, std::uint32_t number, encap::IpTunnelWords& words
) noexcept {
    const Run& last = runs_[run_count_ - 1];
    encap::IpTunnelKey key = last.outer.key;
    if (!encap::ip_tunnel_differs_by_key(packet, kEther, words, key)) {
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
void IpTunnelPop::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    std::uint32_t kept = 0;
    encap::IpTunnelWords words;   // of the last packet
    LinkId words_from = kNoLink;  // where it came in; kNoLink = its words do not say it all
    run_count_ = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        const Note& packet_note = note(packet);
        const std::uint16_t l3_offset = packet_note.l3_offset;
        if (packet_note.link_in == words_from && l3_offset == kEther) [[likely]] {
            if (encap::ip_tunnel_is_like(packet, kEther, words)) [[likely]] {
                packets_[kept++] = packet;
                continue;
            }
            if (continue_with_other_key(packet, kept, words)) {
                packets_[kept++] = packet;
                continue;
            }
        }
        encap::IpTunnelOuter outer;  // NOLINT: set where the verdict is good
        const auto verdict = encap::ip_tunnel_parse(packet, l3_offset, outer);
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

void IpTunnelPop::find_links() noexcept {
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        LinkId id = lookup_.find(run.home, run.outer.key, run.link_in);
        encap::IpTunnelKey key;
        if (id == kNoLink && encap::find_second_key(run.outer, key)) [[unlikely]] {
            id = lookup_.find(lookup_.prefetch(key), key, run.link_in);
        }
        run.link = worker_.tables.links.read(id);
    }
}

// Where packets of this type go on, as the link's input.
Vector& IpTunnelPop::way_in(const Link& link, std::uint16_t type) noexcept {
    if (link.master != kNoLink) {
        return worker_.vector(Stage::bridge);
    }
    const bool is_ip4 =
        !has_link_layer(link.kind) && type == net::ether_type::kIpv4 && is_routed_plainly(link);
    return worker_.vector(is_ip4 ? Stage::ip4 : Stage::ethernet);
}

// What a run's device says of all its packets.
bool IpTunnelPop::is_refused(const Run& run, Drop& reason) const noexcept {
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
bool IpTunnelPop::is_number_refused(const Run& run, const rte_mbuf* packet) const noexcept {
    const auto offset = static_cast<std::uint16_t>(run.outer.payload_offset - sizeof(net::Be32));
    const auto raw = net::detail::load<std::uint32_t>(
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset)
    );
    return !is_in_sequence(*run.link->sequences, net::Be32::from_raw(raw).host());
}

// Precondition: the link is there.
inline void
IpTunnelPop::deliver_run(const Run& run, rte_mbuf* const* packets, std::uint32_t count) noexcept {
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
        } else if (!encap::decapsulate_ecn(frame, packet->data_len, run.outer.tos)) [[unlikely]] {
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
    // TUN-RX-06: of a frame its link header counts.
    const std::uint64_t not_counted = is_frame ? 0 : delivered * kEther;
    rx_.add(link.id, bytes - not_counted, delivered);
}

void IpTunnelPop::run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    find_runs(packets, count);
    find_links();
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        const Run& run = runs_[k];
        const std::uint32_t end = k + 1 < run_count_ ? runs_[k + 1].first : packet_count_;
        rte_mbuf* const* first = &packets_[run.first];
        if (run.link != nullptr) [[likely]] {
            deliver_run(run, first, end - run.first);
        } else {
            refuse_all(first, end - run.first, run.link_in);
        }
    }
}

}  // namespace

void ip_tunnel_pop_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::ip_tunnel_pop);
    const std::uint32_t room = std::min(
        {worker.vector(Stage::ethernet).room(),
         worker.vector(Stage::bridge).room(),
         worker.vector(Stage::ip4).room()}
    );
    const std::uint32_t count = std::min(vector.count, room);
    if (count == 0) {
        return;
    }
    IpTunnelPop pop(worker);
    for (std::uint32_t done = 0; done < count; done += kChunk) {
        pop.run(&vector.packets[done], std::min(count - done, kChunk));
    }
    vector.take_front(count);
}

}  // namespace culvert::pipeline
