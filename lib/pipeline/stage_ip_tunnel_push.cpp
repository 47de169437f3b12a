// SPDX-License-Identifier: BSD-3-Clause
// Frames to ipip, gre and gretap links: link and remote -> template, then the outer headers in
// front (catalogue 1.9, 2.3). The remote is the link's or, where it has none (NBMA), what stands at
// the packet's front: a route's gateway, or nothing, and then the packet's own destination.
#include "lib/encap/ip_tunnel_push.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/tunnel_oversize.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 64;

using encap::IpTunnelPushed;
using encap::TunnelState;

// Neighbours in the burst that go to one remote of one link. Never constructed: it lies in a
// Scratch.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct Run {
    const Link* device;                    // nullptr = gone, or no tunnel
    const encap::IpTunnelTemplate* outer;  // nullptr = not known (yet)
    encap::IpTunnelRemotes::View::Home home;
    encap::IpTunnelRemote remote;
    std::uint32_t first;  // packet
};

class IpTunnelPush {
public:
    explicit IpTunnelPush(Worker& worker) noexcept
        : worker_(worker)
        , remotes_(worker.tables.ip_tunnels.remotes.view())
        , tx_(worker.counters) {}

    // Takes packets from `first` of the stage's vector, at most kChunk; returns how many met their
    // fate. Fewer than `count`: no room for more.
    std::uint32_t run(std::uint32_t first, std::uint32_t count) noexcept;

private:
    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    void find_templates() noexcept;
    [[nodiscard]] static std::uint32_t
    remote_of(const Link& device, const rte_mbuf* packet) noexcept;
    [[nodiscard]] bool is_direct(const Run& run) noexcept;
    void push_run(rte_mbuf* const* packets, std::uint32_t count, const Run& run) noexcept;
    bool push(
        rte_mbuf* packet,
        const encap::IpTunnelTemplate& outer,
        const Link& device,
        std::uint32_t sequence
    ) noexcept;
    void dispatch(rte_mbuf* packet, const Run& run) noexcept;
    void send(rte_mbuf* packet, const Run& run) noexcept;
    void refuse_without_remote(rte_mbuf* packet, const Link& device) noexcept;
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
    LinkId way_id_ = kNoLink;
    const Link* way_ = nullptr;  // the way out of the last template
    std::uint32_t run_count_ = 0;
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
};

// TUN-TX-04: of an IPv6 packet on-link, what its destination says if that is ::a.b.c.d.
[[gnu::noinline]] std::uint32_t remote_in_ipv6(const rte_mbuf* packet) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const bool is_whole =
        packet->data_len >= sizeof(net::EtherHeader) + sizeof(net::Ipv6Header) &&
        reinterpret_cast<const net::EtherHeader*>(frame)->type.host() == net::ether_type::kIpv6;
    if (!is_whole) {
        return 0;
    }
    const auto& ip = *reinterpret_cast<const net::Ipv6Header*>(frame + sizeof(net::EtherHeader));
    const auto destination = net::IpAddress::from_v6(ip.destination);
    return destination.is_v4_compatible() ? net::Be32{destination.v4()}.raw() : 0;
}

// As on the wire; 0 = nobody says. Precondition: the device has no remote of its own.
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
    if (gateway == 0 && !is_ipv4) [[unlikely]] {
        return remote_in_ipv6(packet);
    }
    return gateway != 0 ? gateway : net::detail::load<std::uint32_t>(frame + kDestination);
}

// Asks for the lines of the remotes, too.
void IpTunnelPush::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    const Link* device = nullptr;
    LinkId last_id = kNoLink;  // of the run; no packet goes to none
    bool has_remote = true;
    std::uint32_t runs = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const rte_mbuf* packet = packets[i];
        const LinkId id = note(const_cast<rte_mbuf*>(packet)).link_out;
        encap::IpTunnelRemote remote{0, id};
        if (id == last_id) [[likely]] {
            if (has_remote) [[likely]] {
                continue;
            }
            remote.address = remote_of(*device, packet);
            if (remote == runs_[runs - 1].remote) {
                continue;
            }
        } else {
            last_id = id;
            device = worker_.tables.links.read(id);
            if (device != nullptr && (!device->up || !is_ip_tunnel(device->kind))) [[unlikely]] {
                device = nullptr;
            }
            has_remote = device == nullptr || !device->ip_tunnel.remote.is_unspecified();
            if (!has_remote) {
                remote.address = remote_of(*device, packet);
            } else if (device != nullptr) {
                remote.address = net::Be32{device->ip_tunnel.remote.v4()}.raw();
            }
        }
        Run& run = runs_[runs++];
        run.device = device;
        run.remote = remote;
        run.home = remotes_.prefetch(remote);
        run.first = i;
    }
    runs_[runs].first = count;
    run_count_ = runs;
}

void IpTunnelPush::find_templates() noexcept {
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        encap::IpTunnelTemplates::Id id = encap::IpTunnelTemplates::kNone;
        const bool found = run.device != nullptr && remotes_.find(run.home, run.remote, id);
        run.outer = found ? worker_.tables.ip_tunnels.templates.read(id) : nullptr;
        rte_prefetch0(run.outer);
        rte_prefetch0(reinterpret_cast<const std::uint8_t*>(run.outer) + 64);
    }
}

// The remote is ready, and its way ends at a port.
bool IpTunnelPush::is_direct(const Run& run) noexcept {
    if (run.outer == nullptr || run.outer->state != TunnelState::ready) [[unlikely]] {
        return false;
    }
    if (run.outer->link_out != way_id_) {
        way_id_ = run.outer->link_out;
        way_ = worker_.tables.links.read(way_id_);
    }
    return way_ != nullptr && way_->kind == LinkKind::port && way_->up;
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
    const auto result =
        encap::ip_tunnel_push(packet, outer, inner, worker_.ip_identification, sequence);
    if (result != IpTunnelPushed::done) {
        push_oversize(worker_, packet, outer, sequence, result, tx_);
        return false;
    }
    ++worker_.ip_identification;
    tx_.add(device.id, len - inner.l3_offset);
    return true;
}

// Precondition: is_direct(run), and there is room for all of them.
inline void
IpTunnelPush::push_run(rte_mbuf* const* packets, std::uint32_t count, const Run& run) noexcept {
    const encap::IpTunnelTemplate& outer = *run.outer;
    Vector& ports = worker_.vector(Stage::port_tx);
    rte_mbuf** tail = &ports.packets[ports.count];
    std::uint32_t sequence = take_numbers(run, count);
    std::uint64_t bytes = 0;
    std::uint32_t plain = 0;
    std::uint16_t identification = worker_.ip_identification;
    for (std::uint32_t i = 0; i < count; ++i, ++sequence) {
        rte_mbuf* packet = packets[i];
        const std::uint32_t len = packet->pkt_len;
        if (encap::ip_tunnel_push_plain(packet, outer, identification)) [[likely]] {
            ++identification;
            ++plain;
            bytes += len;
        } else {
            worker_.ip_identification = identification;
            const bool pushed = push(packet, outer, *run.device, sequence);
            identification = worker_.ip_identification;
            if (!pushed) [[unlikely]] {
                continue;
            }
        }
        note(packet).link_out = outer.link_out;
        *tail++ = packet;
    }
    worker_.ip_identification = identification;
    ports.count = static_cast<std::uint32_t>(tail - ports.packets.data());
    // TUN-TX-22: what counts is the inner L3 packet.
    tx_.add(run.device->id, bytes - std::uint64_t{plain} * sizeof(net::EtherHeader), plain);
}

// TUN-TX-02, -04: an IPv6 packet's sender is told.
[[gnu::cold]] void
IpTunnelPush::refuse_without_remote(rte_mbuf* packet, const Link& device) noexcept {
    constexpr std::uint8_t kAddressUnreachable = 3;
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    if (has_link_layer(device.kind) || inner.l3 != net::L3::ipv6 || inner.truncated) {
        worker_.drop(packet, device.id, Drop::ip_tunnel_no_remote);
        return;
    }
    note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker_.drop_and_tell(
        packet,
        device.id,
        Drop::ip_tunnel_no_remote6,
        {.type = net::icmpv6_type::kDestinationUnreachable,
         .code = kAddressUnreachable,
         .as_received = false}
    );
}

// Not known yet: control looks for the way, and sends the packet then. To a device with a remote of
// its own that is so only while it comes or goes.
[[gnu::cold]] void IpTunnelPush::ask_for_remote(rte_mbuf* packet, const Run& run) noexcept {
    if (run.remote.address == 0) {
        refuse_without_remote(packet, *run.device);
        return;
    }
    note(packet).link_out = run.device->id;
    next_hop_of(packet) = net::IpAddress::from_v4(net::Be32::from_raw(run.remote.address).host());
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
        way_id_ = run.outer->link_out;
        way_ = worker_.tables.links.read(way_id_);
        send(packet, run);
        break;
    case TunnelState::unresolved:
        if (push(packet, *run.outer, *run.device, take_numbers(run, 1))) {
            next_hop_of(packet) = run.outer->next_hop;
            note(packet).link_out = run.outer->link_out;
            worker_.punt(packet, Punt::resolve);
        }
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

// By another link than a port that is up; it may lead back here.
void IpTunnelPush::send(rte_mbuf* packet, const Run& run) noexcept {
    // TUN-TX-23: what the lower link refuses is the tunnel's loss.
    if (way_ == nullptr || !way_->up) {
        const Drop reason = way_ == nullptr ? Drop::link_gone : Drop::link_down_tx;
        worker_.drop(packet, run.device->id, reason);
        return;
    }
    if (++note(packet).depth > kMaxDepth) {
        worker_.drop(packet, run.device->id, Drop::depth_exceeded);
        return;
    }
    if (push(packet, *run.outer, *run.device, take_numbers(run, 1))) {
        note(packet).l3_offset = sizeof(net::EtherHeader);
        worker_.output(packet, *way_);
    }
}

std::uint32_t IpTunnelPush::run(std::uint32_t first, std::uint32_t count) noexcept {
    rte_mbuf* const* packets = &worker_.vector(Stage::ip_tunnel_push).packets[first];
    find_runs(packets, count);
    find_templates();
    std::uint32_t next = 0;
    for (std::uint32_t k = 0; k < run_count_; k = next) {
        const Run& run = runs_[k];
        next = k + 1;
        if (is_direct(run)) [[likely]] {
            const std::uint32_t end = runs_[next].first;
            if (worker_.vector(Stage::port_tx).room() < end - run.first) [[unlikely]] {
                return run.first;
            }
            push_run(packets + run.first, end - run.first, run);
            continue;
        }
        for (std::uint32_t i = run.first; i < runs_[next].first; ++i) {
            if (worker_.output_room() == 0) {
                return i;
            }
            dispatch(packets[i], run);
        }
    }
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
    std::uint32_t done = 0;
    while (done < count) {
        const std::uint32_t chunk = std::min(count - done, kChunk);
        const std::uint32_t taken = push.run(done, chunk);
        done += taken;
        if (taken < chunk) [[unlikely]] {
            break;
        }
    }
    worker.push_progress += done;
    vector.take_front(done);
}

}  // namespace culvert::pipeline
