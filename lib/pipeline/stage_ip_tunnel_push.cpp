// SPDX-License-Identifier: BSD-3-Clause
// Frames to ipip, gre and gretap links: link and remote -> template, then the outer headers in
// front (catalogue 1.9, 2.3). The remote is the link's or, where it has none (NBMA), what stands at
// the packet's front: a route's gateway, or nothing, and then the packet's own destination.
#include "lib/encap/ip_tunnel_push.hpp"
#include "lib/net/udp.hpp"
#include "lib/pipeline/ip_tunnel_nbma.hpp"
#include "lib/pipeline/out_counters.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/tunnel_next_hop.hpp"
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
    const Link* device;                    // nullptr = gone, or no tunnel
    const encap::IpTunnelTemplate* outer;  // nullptr = not known (yet)
    encap::IpTunnelTemplates::Id own;      // of the device's own remote; kNone = `remote` counts
    std::uint32_t first;                   // packet
    encap::IpTunnelRemotes::View::Home home;
    encap::IpTunnelRemote remote;
};

class IpTunnelPush {
public:
    static constexpr std::uint32_t kChunk = 64;

    explicit IpTunnelPush(Worker& worker) noexcept
        : worker_(worker)
        , remotes_(worker.tables.ip_tunnels.remotes.view())
        , tx_(worker.counters) {}

    // Takes packets from `first` of the stage's vector, at most kChunk; returns how many met their
    // fate. Fewer than `count`: no room for more.
    std::uint32_t run(std::uint32_t first, std::uint32_t count) noexcept;

private:
    // Where packets leave for ports, while they do.
    struct Output {
        rte_mbuf** tail;
        std::uint16_t identification;  // of the next
    };

    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    void find_templates() noexcept;
    void find_remote(Run& run, const rte_mbuf* packet) noexcept;
    [[nodiscard]] static bool continues(const Run& run, const rte_mbuf* packet) noexcept;
    [[nodiscard]] static std::uint32_t
    remote_of(const Link& device, const rte_mbuf* packet) noexcept;
    [[nodiscard]] bool is_direct(const Run& run) noexcept;
    [[nodiscard]] bool is_direct_in_udp(const Run& run) noexcept;
    template <bool InUdp>
    void push_run(
        rte_mbuf* const* packets, std::uint32_t count, const Run& run, Output& output
    ) noexcept;
    bool push(
        rte_mbuf* packet,
        const encap::IpTunnelTemplate& outer,
        const Link& device,
        std::uint32_t sequence
    ) noexcept;
    void dispatch(rte_mbuf* packet, const Run& run) noexcept;
    void send(rte_mbuf* packet, const Run& run) noexcept;
    void send_by_flow(rte_mbuf* packet, const Run& run) noexcept;
    void ask_for_remote(rte_mbuf* packet, const Run& run) noexcept;

    // GRE-HDR-04: numbers for `count` packets; some of them may fail.
    static std::uint32_t take_numbers(const Run& run, std::uint32_t count) noexcept {
        return run.outer->sequence
                   ? run.device->sequences->next_out.fetch_add(count, std::memory_order_relaxed)
                   : 0;
    }

    Worker& worker_;
    const encap::IpTunnelRemotes::View remotes_;
    TxTally tx_;
    TunnelWay way_;  // out of the last template
    std::uint32_t run_count_ = 0;
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
};

// The remote of a packet to a device that was given none: as on the wire; 0 = nobody says.
std::uint32_t IpTunnelPush::remote_of(const Link& device, const rte_mbuf* packet) noexcept {
    constexpr std::size_t kDestination =
        sizeof(net::EtherHeader) + offsetof(net::Ipv4Header, destination);
    if (has_link_layer(device.kind) || packet->data_len < kDestination + sizeof(net::Be32)) {
        return 0;  // TUN-TX-02: a frame comes with no route
    }
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto gateway = net::detail::load<std::uint32_t>(frame);
    const bool is_ipv4 =
        reinterpret_cast<const net::EtherHeader*>(frame)->type.host() == net::ether_type::kIpv4;
    if (device.ip_tunnel.external) {
        return gateway;  // TUN-MD-01: metadata, or none
    }
    if (gateway == 0 && !is_ipv4) [[unlikely]] {
        return remote_in_ipv6(packet);
    }
    return gateway != 0 ? gateway : net::detail::load<std::uint32_t>(frame + kDestination);
}

// Whether a packet to the run's device goes to its remote.
inline bool IpTunnelPush::continues(const Run& run, const rte_mbuf* packet) noexcept {
    return run.own != encap::IpTunnelTemplates::kNone || run.device == nullptr ||
           !run.device->ip_tunnel.remote.is_unspecified() ||
           remote_of(*run.device, packet) == run.remote.address;
}

// Of a run without a template of its own.
[[gnu::noinline]] void IpTunnelPush::find_remote(Run& run, const rte_mbuf* packet) noexcept {
    run.remote.address = 0;
    if (run.device != nullptr && is_ip_tunnel(run.device->kind)) {
        const net::IpAddress& remote = run.device->ip_tunnel.remote;
        run.remote.address =
            remote.is_unspecified() ? remote_of(*run.device, packet) : net::Be32{remote.v4()}.raw();
    }
    run.home = remotes_.prefetch(run.remote);
}

// Asks for the lines of the devices or of the remotes, too.
void IpTunnelPush::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    const encap::IpTunnelOwnTemplates& own = worker_.tables.ip_tunnels.own;
    LinkId last_id = kNoLink;  // of the run; no packet goes to none
    std::uint32_t runs = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const LinkId id = note(packets[i]).link_out;
        if (id == last_id) [[likely]] {
            if (!continues(runs_[runs - 1], packets[i])) [[unlikely]] {
                runs_[runs] = runs_[runs - 1];
                runs_[runs].first = i;
                find_remote(runs_[runs++], packets[i]);
            }
            continue;
        }
        last_id = id;
        Run& run = runs_[runs++];
        run.device = worker_.tables.links.read(id);
        run.own = own.read(id);
        run.first = i;
        rte_prefetch0(run.device);
        if (run.own == encap::IpTunnelTemplates::kNone) [[unlikely]] {
            run.remote.device = id;
            find_remote(run, packets[i]);
        }
    }
    runs_[runs].first = count;
    run_count_ = runs;
}

void IpTunnelPush::find_templates() noexcept {
    const encap::IpTunnelTemplates& templates = worker_.tables.ip_tunnels.templates;
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        if (run.device == nullptr || !run.device->up || !is_ip_tunnel(run.device->kind))
            [[unlikely]] {
            run.device = nullptr;
            run.outer = nullptr;
            continue;
        }
        encap::IpTunnelTemplates::Id id = run.own;
        if (id == encap::IpTunnelTemplates::kNone && !remotes_.find(run.home, run.remote, id))
            [[unlikely]] {
            run.outer = nullptr;
            continue;
        }
        run.outer = templates.read(id);
        rte_prefetch0(run.outer);
        rte_prefetch0(reinterpret_cast<const std::uint8_t*>(run.outer) + 64);
    }
}

// The remote is ready, there is no UDP, and its way ends at a port.
bool IpTunnelPush::is_direct(const Run& run) noexcept {
    return run.outer != nullptr && run.outer->is_direct &&
           way_.leads_to_port(worker_, run.outer->link_out);
}

// The same, with UDP.
[[gnu::noinline]] bool IpTunnelPush::is_direct_in_udp(const Run& run) noexcept {
    return run.outer != nullptr && run.outer->state == TunnelState::ready &&
           run.outer->cast == encap::Cast::unicast &&
           way_.leads_to_port(worker_, run.outer->link_out);
}

// UDP's length, and the port of a flow, which ip_tunnel_push_plain() leaves out.
[[gnu::always_inline]] inline void
patch_udp(rte_mbuf* packet, const encap::IpTunnelTemplate& outer, net::Be16 port) noexcept {
    constexpr std::uint16_t kUdp = sizeof(net::EtherHeader) + sizeof(net::Ipv4Header);
    auto* udp = rte_pktmbuf_mtod_offset(packet, std::uint8_t*, kUdp);
    const net::Be16 length{static_cast<std::uint16_t>(packet->pkt_len - kUdp)};
    std::memcpy(udp + offsetof(net::UdpHeader, length), &length, sizeof(length));
    if (outer.is_flow_port) {
        std::memcpy(udp, &port, sizeof(port));
    }
}

// Any packet. False: it is dropped, or has gone to be cut.
[[gnu::noinline]] bool IpTunnelPush::push(
    rte_mbuf* packet,
    const encap::IpTunnelTemplate& outer,
    const Link& device,
    std::uint32_t sequence
) noexcept {
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    const encap::IpTunnelTraits& kind = encap::traits(outer.kind);
    if (!encap::sends(device.ip_tunnel, inner.type)) {
        worker_.drop(packet, device.id, Drop::ip_tunnel_payload_type);
        return false;
    }
    if (inner.truncated) {
        worker_.drop(
            packet,
            device.id,
            kind.has_gre ? Drop::gre_packet_truncated : Drop::ipip_packet_truncated
        );
        return false;
    }
    const std::uint32_t len = packet->pkt_len;
    auto result = encap::ip_tunnel_push(packet, outer, inner, worker_.ip_identification, sequence);
    if (result == IpTunnelPushed::no_headroom &&
        encap::make_headroom(packet, outer.length, worker_.pool)) {
        result = encap::ip_tunnel_push(packet, outer, inner, worker_.ip_identification, sequence);
    }
    if (result != IpTunnelPushed::done) {
        push_oversize(worker_, packet, outer, sequence, result, tx_);
        return false;
    }
    ++worker_.ip_identification;
    tx_.add(device.id, len - inner.l3_offset);
    if (outer.cast != encap::Cast::unicast) {
        count_out(worker_.counters, packet, sizeof(net::EtherHeader), outer.cast);
    }
    return true;
}

// To a port. Precondition: is_direct(run) or is_direct_in_udp(run), and there is room for all of
// them.
template <bool InUdp>
[[gnu::always_inline]] inline void IpTunnelPush::push_run(
    rte_mbuf* const* packets, std::uint32_t count, const Run& run, Output& output
) noexcept {
    const encap::IpTunnelTemplate& outer = *run.outer;
    std::uint32_t sequence = take_numbers(run, count);
    std::uint64_t bytes = 0;
    std::uint32_t plain = 0;
    for (rte_mbuf* const* at = packets; at != packets + count; ++at, ++sequence) {
        rte_mbuf* packet = *at;
        const std::uint32_t len = packet->pkt_len;
        net::Be16 port{};
        if constexpr (InUdp) {
            const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
            port = encap::ip_tunnel_source_port(frame, packet->data_len);
        }
        if (encap::ip_tunnel_push_plain(packet, outer, output.identification)) [[likely]] {
            if constexpr (InUdp) {
                patch_udp(packet, outer, port);
            }
            ++output.identification;
            ++plain;
            bytes += len;
        } else {
            worker_.ip_identification = output.identification;
            const bool pushed = push(packet, outer, *run.device, sequence);
            output.identification = worker_.ip_identification;
            if (!pushed) [[unlikely]] {
                continue;
            }
        }
        note(packet).link_out = outer.link_out;
        *output.tail++ = packet;
    }
    // TUN-TX-22: what counts is the inner L3 packet.
    tx_.add(outer.device, bytes - std::uint64_t{plain} * sizeof(net::EtherHeader), plain);
}

// Not known yet: control looks for the way, and sends the packet then. To a device with a remote of
// its own that is so only while it comes or goes.
[[gnu::cold]] void IpTunnelPush::ask_for_remote(rte_mbuf* packet, const Run& run) noexcept {
    const bool is_own = run.own != encap::IpTunnelTemplates::kNone;
    const net::IpAddress remote =
        is_own ? run.device->ip_tunnel.remote
               : net::IpAddress::from_v4(net::Be32::from_raw(run.remote.address).host());
    if (remote.is_unspecified()) {
        refuse_without_remote(worker_, packet, *run.device);
        return;
    }
    note(packet).link_out = run.device->id;
    next_hop_of(packet) = remote;
    worker_.punt(packet, Punt::tunnel_remote);
}

// Precondition: room behind Worker::output.
[[gnu::noinline]] void IpTunnelPush::dispatch(rte_mbuf* packet, const Run& run) noexcept {
    if (run.device == nullptr) {
        const LinkId id = note(packet).link_out;
        const Link* device = worker_.tables.links.read(id);
        const bool is_down = device != nullptr && is_ip_tunnel(device->kind);
        worker_.drop(packet, id, is_down ? Drop::link_down_tx : Drop::link_gone);
        return;
    }
    if (run.outer == nullptr) {
        ask_for_remote(packet, run);
        return;
    }
    const LinkId device = run.device->id;
    switch (run.outer->state) {
    case TunnelState::ready:
        send(packet, run);
        break;
    case TunnelState::failing:
        tell_of_fault(worker_, packet, *run.device);
        send(packet, run);
        break;
    case TunnelState::unresolved:
        if (push(packet, *run.outer, *run.device, take_numbers(run, 1)) &&
            passes_outer(worker_, packet, run.outer->link_out)) {
            next_hop_of(packet) = run.outer->next_hop;
            note(packet).link_out = run.outer->link_out;
            worker_.punt(packet, Punt::resolve);
        }
        break;
    case TunnelState::several:
        send_by_flow(packet, run);
        break;
    case TunnelState::no_route:
        worker_.drop(packet, device, Drop::ip_tunnel_no_route);
        break;
    case TunnelState::loop:
        worker_.drop(packet, device, Drop::ip_tunnel_loop);
        break;
    case TunnelState::local:
        worker_.drop(packet, device, Drop::ip_tunnel_local);
        break;
    case TunnelState::no_remote:
        worker_.drop(packet, device, Drop::ip_tunnel_no_remote);
        break;
    }
}

// RT-09
[[gnu::noinline]] void IpTunnelPush::send_by_flow(rte_mbuf* packet, const Run& run) noexcept {
    encap::IpTunnelTemplate one = *run.outer;
    if (!choose_by_flow(worker_, packet, one)) {
        worker_.drop(packet, run.device->id, Drop::ip_tunnel_no_route);
        return;
    }
    Run chosen = run;
    chosen.outer = &one;
    dispatch(packet, chosen);
}

// By another link than a port that is up; it may lead back here.
void IpTunnelPush::send(rte_mbuf* packet, const Run& run) noexcept {
    const LinkId link_out = run.outer->link_out;
    if (way_.admits(worker_, packet, link_out, run.device->id) &&
        push(packet, *run.outer, *run.device, take_numbers(run, 1)) &&
        passes_outer(worker_, packet, link_out)) {
        note(packet).l3_offset = sizeof(net::EtherHeader);
        worker_.output(packet, *way_.to(worker_, link_out));
    }
}

std::uint32_t IpTunnelPush::run(std::uint32_t first, std::uint32_t count) noexcept {
    rte_mbuf* const* packets = &worker_.vector(Stage::ip_tunnel_push).packets[first];
    find_runs(packets, count);
    find_templates();
    Vector& ports = worker_.vector(Stage::port_tx);
    Output output{};
    const auto begin = [&] { output = {&ports.packets[ports.count], worker_.ip_identification}; };
    const auto leave = [&] {
        ports.count = static_cast<std::uint32_t>(output.tail - ports.packets.data());
        worker_.ip_identification = output.identification;
    };
    begin();
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        const Run& run = runs_[k];
        const std::uint32_t end = runs_[k + 1].first;
        const bool in_udp = !is_direct(run);
        if (!in_udp || is_direct_in_udp(run)) [[likely]] {
            if (ports.packets.data() + ports.packets.size() - output.tail < end - run.first)
                [[unlikely]] {
                leave();
                return run.first;
            }
            if (in_udp) [[unlikely]] {
                push_run<true>(packets + run.first, end - run.first, run, output);
            } else {
                push_run<false>(packets + run.first, end - run.first, run, output);
            }
            continue;
        }
        leave();
        for (std::uint32_t i = run.first; i < end; ++i) {
            if (worker_.output_room() == 0) {
                return i;
            }
            dispatch(packets[i], run);
        }
        begin();
    }
    leave();
    return count;
}

}  // namespace

void ip_tunnel_push_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::ip_tunnel_push);
    const std::uint32_t count = vector.count;  // tunnels inside tunnels append more
    if (count == 0) {
        return;
    }
    IpTunnelPush push(worker);
    const std::uint32_t done = push_in_chunks(push, count);
    worker.push_progress += done;
    vector.take_front(done);
}

}  // namespace culvert::pipeline
