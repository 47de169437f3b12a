// SPDX-License-Identifier: BSD-3-Clause
// ip6tnl and GRE packets over IPv6 to an address of ours: outer headers checked, packet -> link,
// outer headers off, and in again on the tunnel link (ipxip6_rcv, ip6gre_rcv, __ip6_tnl_rcv). The
// twin of stage_ip_tunnel_pop.cpp.
//
// Drops up to the lookup count on the underlay link, later ones on the tunnel link.
#include "lib/encap/inner_frame.hpp"
#include "lib/encap/ip_tunnel_pop6.hpp"
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
    encap::IpTunnelOuter6 outer;
    encap::IpTunnelLookup6::View::Home home;
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

// `dscp inherit`: what the outer header says counts inside, too (ip4ip6_dscp_ecn_decapsulate).
void copy_dscp(std::uint8_t* frame, std::size_t len, std::uint8_t traffic_class) noexcept {
    const net::ParsedPacket inner = net::parse_frame(frame, len);
    const auto dscp = static_cast<std::uint8_t>(traffic_class & ~net::kEcnMask);
    if (inner.l3 == net::L3::ipv4) {
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(frame + inner.l3_offset);
        const std::uint8_t before = ip.type_of_service;
        ip.type_of_service = static_cast<std::uint8_t>(dscp | (before & net::kEcnMask));
        ip.checksum =
            net::checksum_update(ip.checksum, net::Be16{before}, net::Be16{ip.type_of_service});
    } else if (inner.l3 == net::L3::ipv6) {
        constexpr std::uint32_t kDscpMask = 0x0fc00000;
        auto& ip = *reinterpret_cast<net::Ipv6Header*>(frame + inner.l3_offset);
        const std::uint32_t rest = ip.version_class_flow.host() & ~kDscpMask;
        ip.version_class_flow = net::Be32{rest | std::uint32_t{dscp} << 20};
    }
}

class IpTunnelPop6 {
public:
    explicit IpTunnelPop6(Worker& worker) noexcept
        : worker_(worker)
        , lookup_(worker.tables.ip_tunnels.lookup6.view())
        , vrf_bits_(encap::IpTunnelKey::vrf_bits(worker.routed_by.vrf))
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them in ip4, ip6 and behind
    // Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept;

private:
    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool begin_run(rte_mbuf* packet, encap::IpTunnelOuter6& outer) noexcept;
    void find_links() noexcept;
    void deliver_run(const Run& run, rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool deliver(rte_mbuf* packet, const Run& run) noexcept;
    [[nodiscard]] static bool is_refused(const Run& run, Drop& reason) noexcept;
    [[nodiscard]] static bool is_number_refused(const Run& run, const rte_mbuf* packet) noexcept;
    [[nodiscard]] Vector& way_in(const Link& link, std::uint16_t type) noexcept;

    // As for a closed UDP port (tunnel6_rcv, ip6_gre's gre_rcv).
    [[gnu::noinline]] void refuse(rte_mbuf* packet, LinkId link) noexcept {
        worker_.drop_and_tell(
            packet, link, Drop::ip_tunnel_no_device, unreachable6(net::icmpv6_unreachable::kPort)
        );
    }

    Worker& worker_;
    const encap::IpTunnelLookup6::View lookup_;
    const std::uint32_t vrf_bits_;
    RxTally rx_;
    std::uint32_t packet_count_ = 0;
    std::uint32_t run_count_ = 0;
    Scratch<rte_mbuf*, kChunk> packets_;
    Scratch<Run, kChunk> runs_;
};

// Not like the packet before. False: the packet is gone.
bool IpTunnelPop6::begin_run(rte_mbuf* packet, encap::IpTunnelOuter6& outer) noexcept {
    const LinkId link_in = note(packet).link_in;
    const auto verdict = encap::ip_tunnel_parse6(packet, note(packet).l3_offset, outer);
    if (verdict == encap::IpTunnelVerdict::no_device) [[unlikely]] {
        refuse(packet, link_in);
        return false;
    }
    if (verdict != encap::IpTunnelVerdict::good) [[unlikely]] {
        worker_.drop(packet, link_in, reason_of(verdict));
        return false;
    }
    outer.key.kind_and_flags |= vrf_bits_;
    Run& run = runs_[run_count_++];
    run.outer = outer;
    run.home = lookup_.prefetch(outer.key);
    run.link_in = link_in;
    run.first = static_cast<std::uint8_t>(packet_count_);
    return true;
}

// Checks the outer headers, and cuts the burst into runs.
void IpTunnelPop6::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    encap::IpTunnelWords6 words;  // of the last packet
    LinkId words_from = kNoLink;  // where it came in; kNoLink = its words do not say it all
    packet_count_ = 0;
    run_count_ = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        const Note& packet_note = note(packet);
        const std::uint16_t l3_offset = packet_note.l3_offset;
        const bool is_like = packet_note.link_in == words_from && l3_offset == kEther &&
                             encap::ip_tunnel_is_like6(packet, kEther, words);
        if (!is_like) {
            encap::IpTunnelOuter6 outer;  // NOLINT: set where the verdict is good
            if (!begin_run(packet, outer)) [[unlikely]] {
                continue;
            }
            const bool is_whole = l3_offset == kEther && words.load(packet, kEther, outer);
            words_from = is_whole ? packet_note.link_in : kNoLink;
        }
        packets_[packet_count_++] = packet;
    }
}

void IpTunnelPop6::find_links() noexcept {
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        LinkId id = lookup_.find(run.home, run.outer.key, run.link_in);
        encap::IpTunnelKey6 key;
        if (id == kNoLink && encap::find_second_key(run.outer, key)) [[unlikely]] {
            id = lookup_.find(lookup_.prefetch(key), key, run.link_in);
        }
        run.link = worker_.tables.links.read(id);
    }
}

// Where packets of this type go on, as the link's input.
Vector& IpTunnelPop6::way_in(const Link& link, std::uint16_t type) noexcept {
    if (link.master != kNoLink) {
        return worker_.vector(Stage::bridge);
    }
    if (has_link_layer(link.kind)) {
        return worker_.vector(Stage::ethernet);
    }
    switch (type) {
    case net::ether_type::kIpv4:
        return worker_.vector(Stage::ip4);
    case net::ether_type::kIpv6:
        return worker_.vector(Stage::ip6);
    default:
        return worker_.vector(Stage::ethernet);
    }
}

// What a run's device says of all its packets.
bool IpTunnelPop6::is_refused(const Run& run, Drop& reason) noexcept {
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
bool IpTunnelPop6::is_number_refused(const Run& run, const rte_mbuf* packet) noexcept {
    const auto offset = static_cast<std::uint16_t>(run.outer.payload_offset - sizeof(net::Be32));
    const auto raw = net::detail::load<std::uint32_t>(
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset)
    );
    return !is_in_sequence(*run.link->sequences, net::Be32::from_raw(raw).host());
}

// False: the packet is gone.
[[gnu::always_inline]] inline bool
IpTunnelPop6::deliver(rte_mbuf* packet, const Run& run) noexcept {
    const Link& link = *run.link;
    const bool is_frame = has_link_layer(link.kind);
    const auto drop = [&](Drop why) {
        worker_.drop(packet, link.id, why);
        return false;
    };
    if (is_frame && packet->data_len < run.outer.payload_offset + kEther) [[unlikely]] {
        return drop(Drop::gretap_inner_truncated);
    }
    if (link.ip_tunnel.in_sequence && is_number_refused(run, packet)) [[unlikely]] {
        return drop(Drop::ip_tunnel_sequence);
    }
    if (is_frame) {
        encap::ip_tunnel_strip_to_frame(packet, run.outer.payload_offset);
    } else {
        encap::ip_tunnel_strip(packet, run.outer.payload_offset, run.outer.payload_type);
    }
    auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
    if (!encap::inner_ip_is_whole(frame, packet->pkt_len)) [[unlikely]] {
        return drop(Drop::ip_tunnel_inner_truncated);
    }
    if (link.ip_tunnel.ip6.dscp_copy) [[unlikely]] {
        copy_dscp(frame, packet->data_len, run.outer.tos);
    }
    if (!encap::decapsulate_ecn(frame, packet->data_len, run.outer.tos)) [[unlikely]] {
        return drop(Drop::ip_tunnel_ecn);
    }
    Note& packet_note = note(packet);
    if (++packet_note.depth > kMaxDepth) [[unlikely]] {
        return drop(Drop::depth_exceeded);
    }
    packet_note.link_in = link.id;
    packet_note.l3_offset = kEther;
    return true;
}

// Precondition: the link is there.
void IpTunnelPop6::deliver_run(
    const Run& run, rte_mbuf* const* packets, std::uint32_t count
) noexcept {
    const Link& link = *run.link;
    Drop reason{};
    if (is_refused(run, reason)) [[unlikely]] {
        std::for_each_n(packets, count, [&](rte_mbuf* packet) {
            worker_.drop(packet, link.id, reason);
        });
        return;
    }
    Vector& out = way_in(link, run.outer.payload_type);
    std::uint64_t bytes = 0;
    std::uint32_t delivered = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (deliver(packets[i], run)) [[likely]] {
            // Unlike over IPv4 a frame's link header does not count.
            bytes += packets[i]->pkt_len - kEther;
            out.packets[out.count++] = packets[i];
            ++delivered;
        }
    }
    rx_.add(link.id, bytes, delivered);
}

void IpTunnelPop6::run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    find_runs(packets, count);
    find_links();
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        const Run& run = runs_[k];
        const std::uint32_t end = k + 1 < run_count_ ? runs_[k + 1].first : packet_count_;
        if (run.link != nullptr) [[likely]] {
            deliver_run(run, &packets_[run.first], end - run.first);
            continue;
        }
        for (std::uint32_t i = run.first; i < end; ++i) {
            refuse(packets_[i], run.link_in);
        }
    }
}

}  // namespace

void ip_tunnel_pop6_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::ip_tunnel_pop6);
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
    IpTunnelPop6 pop(worker);
    for (std::uint32_t done = 0; done < count; done += kChunk) {
        pop.run(&vector.packets[done], std::min(count - done, kChunk));
    }
    vector.take_front(count);
}

}  // namespace culvert::pipeline
