// SPDX-License-Identifier: BSD-3-Clause
// Frames to ip6tnl, ip6gre and ip6gretap links: link -> template, then the outer headers in front
// (ip6_tnl_start_xmit, ip6gre_tunnel_xmit). Such a link sends to the remote it was given, or if it
// is external to the one that stands at a packet's front, as of the links over IPv4. The twin of
// stage_ip_tunnel_push.cpp.
#include "lib/encap/ip_tunnel_push6.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/ip_tunnel_nbma.hpp"
#include "lib/pipeline/out_counters.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/tunnel_oversize.hpp"
#include "lib/pipeline/tunnel_way.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_prefetch.h>

namespace culvert::pipeline {

namespace {

using encap::IpTunnelPushed;
using encap::TunnelState;

// Neighbours in the burst that go to one remote of one link. Never constructed: it lies in a
// Scratch.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct Run {
    const Link* device;                     // nullptr = gone, or down
    const encap::IpTunnelTemplate6* outer;  // nullptr = it has no remote, or none that is known
    encap::IpTunnelTemplates6::Id id;
    std::uint32_t first;  // packet
};

class IpTunnelPush6 {
public:
    static constexpr std::uint32_t kChunk = 64;

    explicit IpTunnelPush6(Worker& worker) noexcept
        : worker_(worker)
        , tx_(worker.counters) {}

    // Takes packets from `first` of the stage's vector, at most kChunk; returns how many met their
    // fate. Fewer than `count`: no room for more.
    std::uint32_t run(std::uint32_t first, std::uint32_t count) noexcept;

private:
    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    std::uint32_t
    cut_by_remote(rte_mbuf* const* packets, std::uint32_t count, std::uint32_t runs) noexcept;
    void find_templates() noexcept;
    [[nodiscard]] bool is_direct(const Run& run) noexcept;
    [[nodiscard]] bool is_direct_in_udp(const Run& run) noexcept;
    template <bool InUdp>
    void push_run(rte_mbuf* const* packets, std::uint32_t count, const Run& run) noexcept;
    void ask_for_remote(rte_mbuf* packet, const Link& device) noexcept;
    bool push(rte_mbuf* packet, const Run& run, std::uint32_t sequence) noexcept;
    bool push_limited(
        rte_mbuf* packet, const Run& run, const encap::IpTunnelInner6& inner, std::uint32_t sequence
    ) noexcept;
    [[nodiscard]] bool is_carried(
        const Run& run, const rte_mbuf* packet, const encap::IpTunnelInner6& inner
    ) const noexcept;
    void refuse(
        rte_mbuf* packet,
        const encap::IpTunnelTemplate6& outer,
        const encap::IpTunnelInner6& inner,
        IpTunnelPushed why
    ) noexcept;
    void dispatch(rte_mbuf* packet, const Run& run) noexcept;
    void send(rte_mbuf* packet, const Run& run) noexcept;

    // GRE-HDR-04: numbers for `count` packets; some of them may fail.
    static std::uint32_t take_numbers(const Run& run, std::uint32_t count) noexcept {
        return run.outer->sequence
                   ? run.device->sequences->next_out.fetch_add(count, std::memory_order_relaxed)
                   : 0;
    }

    Worker& worker_;
    TxTally tx_;
    TunnelWay way_;  // out of the last template
    std::uint32_t run_count_ = 0;
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
};

// Asks for the lines of the devices, too.
void IpTunnelPush6::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    LinkId last_id = kNoLink;
    std::uint32_t runs = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const LinkId id = note(packets[i]).link_out;
        if (id == last_id) [[likely]] {
            continue;
        }
        last_id = id;
        Run& run = runs_[runs++];
        run.device = worker_.tables.links.read(id);
        run.id = worker_.tables.ip_tunnels.own.read(id);
        run.first = i;
        rte_prefetch0(run.device);
        if (run.id == encap::IpTunnelTemplates6::kNone) [[unlikely]] {
            runs = cut_by_remote(packets, count, runs);
        }
    }
    runs_[runs].first = count;
    run_count_ = runs;
}

// Packets of the last of `runs`, whose link has no remote of its own: what its metadata says is the
// same for a run (TUN-MD-01). How many runs there are then.
[[gnu::noinline]] std::uint32_t IpTunnelPush6::cut_by_remote(
    rte_mbuf* const* packets, std::uint32_t count, std::uint32_t runs
) noexcept {
    const Run first = runs_[runs - 1];
    const bool is_external = first.device != nullptr && is_ip_tunnel6(first.device->kind) &&
                             first.device->ip_tunnel.external;
    if (!is_external) {
        return runs;
    }
    const encap::IpTunnelRemotes::View remotes = worker_.tables.ip_tunnels.remotes.view();
    const LinkId id = note(packets[first.first]).link_out;
    encap::IpTunnelRemote last{0, id};
    for (std::uint32_t i = first.first; i < count && note(packets[i]).link_out == id; ++i) {
        const encap::IpTunnelRemote remote{metadata_of(*first.device, packets[i]), id};
        if (i != first.first) {
            if (remote == last) {
                continue;
            }
            ++runs;
        }
        Run& run = runs_[runs - 1];
        run = first;
        run.first = i;
        if (!remotes.find(remotes.prefetch(remote), remote, run.id)) {
            run.id = encap::IpTunnelTemplates6::kNone;
        }
        last = remote;
    }
    return runs;
}

void IpTunnelPush6::find_templates() noexcept {
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        run.outer = nullptr;
        if (run.device == nullptr || !run.device->up || !is_ip_tunnel6(run.device->kind))
            [[unlikely]] {
            run.device = nullptr;
            continue;
        }
        if (run.id != encap::IpTunnelTemplates6::kNone) [[likely]] {
            run.outer = worker_.tables.ip_tunnels.templates6.read(run.id);
            rte_prefetch0(run.outer);
            rte_prefetch0(reinterpret_cast<const std::uint8_t*>(run.outer) + 64);
        }
    }
}

// The remote is ready, there is no UDP, and its way ends at a port.
bool IpTunnelPush6::is_direct(const Run& run) noexcept {
    return run.outer != nullptr && run.outer->is_direct &&
           way_.leads_to_port(worker_, run.outer->link_out);
}

// The same, with UDP.
[[gnu::noinline]] bool IpTunnelPush6::is_direct_in_udp(const Run& run) noexcept {
    return run.outer != nullptr && run.outer->state == TunnelState::ready &&
           run.outer->cast == encap::Cast::unicast &&
           way_.leads_to_port(worker_, run.outer->link_out);
}

// Whether the device takes such a packet. Of IPv6 none from its own remote (ip6_tnl_addr_conflict).
bool IpTunnelPush6::is_carried(
    const Run& run, const rte_mbuf* packet, const encap::IpTunnelInner6& inner
) const noexcept {
    if (!encap::sends(run.device->ip_tunnel, inner.type) || inner.truncated) {
        return false;
    }
    if (inner.l3 != net::L3::ipv6) {
        return true;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, inner.l3_offset);
    return ip.source != run.device->ip_tunnel.remote.bytes();
}

// The headers do not fit: nobody cuts such packets, but most senders can be told.
[[gnu::cold]] void IpTunnelPush6::refuse(
    rte_mbuf* packet,
    const encap::IpTunnelTemplate6& outer,
    const encap::IpTunnelInner6& inner,
    IpTunnelPushed why
) noexcept {
    if (why == IpTunnelPushed::no_headroom) {
        worker_.drop(packet, outer.device, Drop::ip_tunnel_no_headroom);
        return;
    }
    if (why == IpTunnelPushed::needs_fragments) {
        worker_.counters.count(IpCounter::frag_fails);
        worker_.drop(packet, outer.device, Drop::ip_tunnel6_needs_fragments);
        return;
    }
    const Link* device = worker_.tables.links.read(outer.device);
    if (device == nullptr || device->master != kNoLink || inner.l3 == net::L3::none) {
        worker_.drop(packet, outer.device, Drop::ip_tunnel6_too_big);
        return;
    }
    // Of IPv4 with and without DF.
    IcmpError error = fragmentation_needed(encap::inner_mtu(outer, inner));
    if (inner.l3 == net::L3::ipv6) {
        error.type = net::icmpv6_type::kPacketTooBig;
        error.code = 0;
    }
    error.as_received = false;
    note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker_.drop_and_tell(packet, outer.device, Drop::ip_tunnel6_too_big, error);
}

// IPv6 with extension headers, among which may be how often it may still be put into tunnels
// (RFC 2473, 4.1.1). False: it is gone.
[[gnu::cold]] bool IpTunnelPush6::push_limited(
    rte_mbuf* packet, const Run& run, const encap::IpTunnelInner6& inner, std::uint32_t sequence
) noexcept {
    constexpr std::uint32_t kLimit = 2;  // of the option: its value
    encap::IpTunnelTemplate6 outer = *run.outer;
    if (const std::uint32_t at = encap::find_encap_limit(packet, inner); at != 0) {
        const std::uint8_t limit =
            *rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, inner.l3_offset + at + kLimit);
        if (limit == 0) {
            note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
            const IcmpError error{
                .type = net::icmpv6_type::kParameterProblem,
                .info = at + kLimit,
                .as_received = false};
            worker_.drop_and_tell(packet, outer.device, Drop::ip_tunnel6_encap_limit, error);
            return false;
        }
        outer = encap::with_encap_limit(outer, static_cast<std::uint8_t>(limit - 1));
    }
    const auto result = encap::ip_tunnel_push6(packet, outer, inner, sequence);
    if (result != IpTunnelPushed::done) {
        refuse(packet, outer, inner, result);
    }
    return result == IpTunnelPushed::done;
}

// Any packet. False: it is dropped.
[[gnu::noinline]] bool
IpTunnelPush6::push(rte_mbuf* packet, const Run& run, std::uint32_t sequence) noexcept {
    const encap::IpTunnelInner6 inner = encap::inspect_inner6(packet);
    if (!is_carried(run, packet, inner)) {
        worker_.drop(packet, run.device->id, Drop::ip_tunnel6_payload);
        return false;
    }
    const std::uint32_t len = packet->pkt_len - inner.l3_offset;
    // What does not fit then is refused below.
    static_cast<void>(encap::make_headroom(packet, encap::IpTunnelTemplate6::kRoom, worker_.pool));
    if (inner.has_extensions) [[unlikely]] {
        if (!push_limited(packet, run, inner, sequence)) {
            return false;
        }
    } else {
        const auto result = encap::ip_tunnel_push6(packet, *run.outer, inner, sequence);
        if (result != IpTunnelPushed::done) [[unlikely]] {
            refuse(packet, *run.outer, inner, result);
            return false;
        }
    }
    tx_.add(run.device->id, len);
    if (run.outer->cast != encap::Cast::unicast) {
        count_out(worker_.counters, packet, sizeof(net::EtherHeader), run.outer->cast);
    }
    return true;
}

// To a port. Precondition: is_direct(run) or is_direct_in_udp(run), and there is room for all of
// them.
template <bool InUdp>
void IpTunnelPush6::push_run(
    rte_mbuf* const* packets, std::uint32_t count, const Run& run
) noexcept {
    const encap::IpTunnelTemplate6& outer = *run.outer;
    const bool takes_ipv4 = encap::sends(run.device->ip_tunnel, net::ether_type::kIpv4);
    Vector& ports = worker_.vector(Stage::port_tx);
    rte_mbuf** tail = &ports.packets[ports.count];
    std::uint32_t sequence = take_numbers(run, count);
    std::uint64_t bytes = 0;
    std::uint32_t plain = 0;
    for (std::uint32_t i = 0; i < count; ++i, ++sequence) {
        rte_mbuf* packet = packets[i];
        const std::uint32_t len = packet->pkt_len;
        encap::IpTunnelInner6 inner;
        const bool is_plain = takes_ipv4 && encap::inspect_plain_inner6(packet, inner);
        if (is_plain && encap::ip_tunnel_push6<InUdp>(packet, outer, inner, sequence) ==
                            IpTunnelPushed::done) [[likely]] {
            bytes += len - sizeof(net::EtherHeader);
            ++plain;
        } else if (!push(packet, run, sequence)) [[unlikely]] {
            continue;
        }
        note(packet).link_out = outer.link_out;
        *tail++ = packet;
    }
    ports.count = static_cast<std::uint32_t>(tail - ports.packets.data());
    tx_.add(outer.device, bytes, plain);
}

// To an external link: nothing, or what control has not met yet. It sends the packet then.
[[gnu::cold]] void IpTunnelPush6::ask_for_remote(rte_mbuf* packet, const Link& device) noexcept {
    const std::uint32_t metadata = metadata_of(device, packet);
    if (metadata == 0) {
        worker_.drop(packet, device.id, no_metadata(device.kind));
        return;
    }
    note(packet).link_out = device.id;
    next_hop_of(packet) = net::IpAddress::from_v4(net::Be32::from_raw(metadata).host());
    worker_.punt(packet, Punt::tunnel_remote);
}

// Precondition: room behind Worker::output.
[[gnu::noinline]] void IpTunnelPush6::dispatch(rte_mbuf* packet, const Run& run) noexcept {
    if (run.device == nullptr) {
        const LinkId id = note(packet).link_out;
        const bool is_there = worker_.tables.links.read(id) != nullptr;
        worker_.drop(packet, id, is_there ? Drop::link_down_tx : Drop::link_gone);
        return;
    }
    const LinkId device = run.device->id;
    if (run.outer == nullptr && run.device->ip_tunnel.external) {
        ask_for_remote(packet, *run.device);
        return;
    }
    switch (run.outer != nullptr ? run.outer->state : TunnelState::no_remote) {
    case TunnelState::ready:
        send(packet, run);
        break;
    case TunnelState::failing:
        tell_of_fault(worker_, packet, *run.device);
        send(packet, run);
        break;
    case TunnelState::unresolved:
        if (push(packet, run, take_numbers(run, 1)) &&
            passes_outer(worker_, packet, run.outer->link_out)) {
            next_hop_of(packet) = run.outer->next_hop;
            note(packet).link_out = run.outer->link_out;
            worker_.punt(packet, Punt::resolve);
        }
        break;
    case TunnelState::loop:
        worker_.drop(packet, device, Drop::ip_tunnel6_loop);
        break;
    case TunnelState::several:
    case TunnelState::no_route:
    case TunnelState::local:
    case TunnelState::no_remote:
        refuse_without_way(worker_, packet, *run.device);
        break;
    }
}

// By another link than a port that is up; it may lead back here.
void IpTunnelPush6::send(rte_mbuf* packet, const Run& run) noexcept {
    const LinkId link_out = run.outer->link_out;
    if (way_.admits(worker_, packet, link_out, run.device->id) &&
        push(packet, run, take_numbers(run, 1)) && passes_outer(worker_, packet, link_out)) {
        note(packet).l3_offset = sizeof(net::EtherHeader);
        worker_.output(packet, *way_.to(worker_, link_out));
    }
}

std::uint32_t IpTunnelPush6::run(std::uint32_t first, std::uint32_t count) noexcept {
    rte_mbuf* const* packets = &worker_.vector(Stage::ip_tunnel_push6).packets[first];
    find_runs(packets, count);
    find_templates();
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        const Run& run = runs_[k];
        const std::uint32_t end = runs_[k + 1].first;
        const bool in_udp = !is_direct(run);
        if (!in_udp || is_direct_in_udp(run)) [[likely]] {
            if (worker_.vector(Stage::port_tx).room() < end - run.first) [[unlikely]] {
                return run.first;
            }
            if (in_udp) [[unlikely]] {
                push_run<true>(packets + run.first, end - run.first, run);
            } else {
                push_run<false>(packets + run.first, end - run.first, run);
            }
            continue;
        }
        for (std::uint32_t i = run.first; i < end; ++i) {
            if (worker_.output_room() == 0) {
                return i;
            }
            dispatch(packets[i], run);
        }
    }
    return count;
}

}  // namespace

void ip_tunnel_push6_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::ip_tunnel_push6);
    const std::uint32_t count = vector.count;  // tunnels inside tunnels append more
    if (count == 0) {
        return;
    }
    IpTunnelPush6 push(worker);
    const std::uint32_t done = push_in_chunks(push, count);
    worker.push_progress += done;
    vector.take_front(done);
}

}  // namespace culvert::pipeline
