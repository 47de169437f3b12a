// SPDX-License-Identifier: BSD-3-Clause
// A worker: its queues, its vectors between stages, its counters and its rings. One a worker lcore;
// nothing in it is touched by another thread but where it says so.
#pragma once

#include "lib/fdb/table.hpp"
#include "lib/net/multipath_hash.hpp"
#include "lib/pipeline/counters.hpp"
#include "lib/pipeline/fragment_ids.hpp"
#include "lib/pipeline/icmp_demand.hpp"
#include "lib/pipeline/ip_filter.hpp"
#include "lib/pipeline/note.hpp"
#include "lib/pipeline/tables.hpp"

#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace culvert::pipeline {

inline constexpr std::uint32_t kMaxBurst = 256;
inline constexpr std::uint32_t kMaxPorts = 32;  // RTE_MAX_ETHPORTS of Debian's build
inline constexpr std::uint8_t kMaxDepth = 8;    // XMIT_RECURSION_LIMIT of 6.1
inline constexpr std::uint32_t kVectorSize = 1024;

// The stages, in the order a packet usually meets them; run_stages() goes round until all vectors
// are empty.
enum class Stage : std::uint8_t {
    ethernet,         // a frame for a link in no bridge, or for the bridge itself
    bridge,           // a frame from a member, or from the bridge's own address
    ip4,              // validated and looked up
    ip6,              // the same
    vrf,              // the same of both families, by links in a VRF or with reverse path filters
    ip_fragment,      // with its link header, too large for link_out
    vxlan_pop,        // UDP to an address of ours
    vxlan_pop6,       // the same over IPv6
    fou_pop,          // UDP that may hold a tunnel's packets
    ip_tunnel_pop,    // ipip or GRE to an address of ours
    ip_tunnel_pop6,   // the same over IPv6
    vxlan_push,       // a frame to a vxlan link (link_out)
    ip_tunnel_push,   // a frame to an ipip, gre or gretap link (link_out)
    ip_tunnel_push6,  // the same over IPv6
    port_tx,          // a complete frame to a port (link_out)
    count,
};

namespace detail {

[[nodiscard]] constexpr std::array<Stage, kLinkKinds> output_stages() noexcept {
    std::array<Stage, kLinkKinds> stages{};
    stages.fill(Stage::count);
    stages[static_cast<std::size_t>(LinkKind::port)] = Stage::port_tx;
    stages[static_cast<std::size_t>(LinkKind::vxlan)] = Stage::vxlan_push;
    for (std::size_t i = static_cast<std::size_t>(LinkKind::ipip); i < stages.size(); ++i) {
        const bool is_over_ipv6 = is_ip_tunnel6(static_cast<LinkKind>(i));
        stages[i] = is_over_ipv6 ? Stage::ip_tunnel_push6 : Stage::ip_tunnel_push;
    }
    return stages;
}

}  // namespace detail

inline constexpr std::array<Stage, kLinkKinds> kOutputStages = detail::output_stages();

// Who takes frames to a link of this kind; count = Worker::output() does it itself.
[[nodiscard]] constexpr Stage output_stage(LinkKind kind) noexcept {
    return kOutputStages[static_cast<std::size_t>(kind)];
}

// Packets waiting for a stage.
struct Vector {
    std::uint32_t count = 0;
    std::array<rte_mbuf*, kVectorSize> packets{};
    // The fronts of all vectors would lie in the same few sets of the L1 cache.
    std::array<std::byte, std::size_t{5} * 64> apart{};

    [[nodiscard]] std::uint32_t room() const noexcept { return kVectorSize - count; }

    // A stage has taken the first `n`; what is behind them moves up.
    void take_front(std::uint32_t n) noexcept {
        count -= n;
        if (count != 0) [[unlikely]] {
            std::copy_n(packets.begin() + n, count, packets.begin());
        }
    }
};

// By what packets are routed and whose tunnels they are for: the main table's, or while the vrf
// stage is at work a VRF's.
struct RoutedBy {
    const route::Fib4* fib4 = nullptr;
    const route::Fib6* fib6 = nullptr;                    // the main table's
    const route::Fib6ByLength* fib6_by_length = nullptr;  // a VRF's
    const route::OwnAddresses* own_addresses = nullptr;
    const route::OwnAddresses* own_addresses6 = nullptr;
    LinkId vrf = kNoLink;

    [[nodiscard]] route::AdjacencyId lookup6(const route::Fib6::Address& address) const noexcept {
        return fib6 != nullptr ? fib6->lookup(address) : fib6_by_length->lookup(address);
    }
};

struct RxQueue {
    std::uint16_t port_id;
    std::uint16_t queue_id;
    LinkId link;
};

// How a worker reaches a port: its own queue, or another worker's ring where the port has fewer
// queues than workers.
struct TxPath {
    bool has_queue = false;
    std::uint16_t queue_id = 0;
    std::uint16_t owner = 0;  // worker to hand over to when there is no queue
};

struct TxBuffer {
    std::uint64_t bytes = 0;
    std::uint16_t count = 0;
    LinkId link = kNoLink;
    std::array<rte_mbuf*, kMaxBurst> packets{};
};

// What `show lcores` prints. Owner writes, anyone reads.
struct LoopCounters {
    Counter cycles_busy;  // TSC cycles of rounds that found packets
    Counter cycles_idle;
    Counter bursts;   // non-empty receive bursts
    Counter packets;  // received in them
};

// What learned() last told of the MACs that share a slot.
struct LearnSlot {
    fdb::LearnEvent event;
    std::uint32_t epoch = 0;
};

// The rings between one worker and control; single producer, single consumer each.
struct WorkerRings {
    rte_ring* to_control = nullptr;    // rte_mbuf*, Note::punt says why
    rte_ring* learned = nullptr;       // fdb::LearnEvent by value (rte_ring_*_elem of 32 bytes)
    rte_ring* from_control = nullptr;  // rte_mbuf*: complete frames, Note::link_out says where
    std::vector<rte_ring*>
        handover;  // [from worker]: frames to a port whose queue is ours; nullptr for oneself
};

// Wakes control out of its sleep at most once a sleep.
struct alignas(64) Doorbell {
    std::atomic<bool> control_sleeps{false};  // control: set before it sleeps; worker: takes it
    int event_fd = -1;

    void ring() noexcept;  // worker, after it put something into a ring
};

struct WorkerConfig {
    std::uint32_t index = 0;  // dense; also the rcu reader id
    std::uint32_t lcore = 0;
    std::uint32_t burst = 32;
    std::uint32_t idle_sleep_us = 0;  // 0 = poll without rest
    std::uint64_t start_tsc =
        0;  // where culvert's monotonic clock starts; the same for all, control too
    std::vector<RxQueue> rx_queues;
    std::array<TxPath, kMaxPorts> tx_paths{};
};

struct alignas(64) Worker {
    Worker(
        const WorkerConfig& config,
        const Tables& tables,
        rcu::Domain& domain,
        CounterBlock& counters,
        Doorbell& doorbell,
        rte_mempool* pool
    );

    // --- what stages use ---
    // Hands a packet on. Precondition: room() in that stage's vector; stages that make more packets
    // than they take ask first.
    void enqueue(Stage stage, rte_mbuf* packet) noexcept {
        Vector& vector = vectors[static_cast<std::size_t>(stage)];
        vector.packets[vector.count++] = packet;
    }

    [[nodiscard]] Vector& vector(Stage stage) noexcept {
        return vectors[static_cast<std::size_t>(stage)];
    }

    [[nodiscard]] const Vector& vector(Stage stage) const noexcept {
        return vectors[static_cast<std::size_t>(stage)];
    }

    // The packet's fate: counted on `link`, freed.
    void drop(rte_mbuf* packet, LinkId link, Drop reason) noexcept;
    // To control; a full ring is a counted drop, and so is what floods control with next hops, ARP
    // or neighbour discovery.
    void punt(rte_mbuf* packet, Punt why) noexcept;
    // The same for what need not be: it takes no more than half of the ring, so that what is urgent
    // (ARP, next hops) finds room in any flood. False: the packet is still the caller's.
    [[nodiscard]] bool offer(rte_mbuf* packet, Punt why) noexcept;
    // The packet is dropped for `reason`, and its sender is to hear `error` of it
    // (icmp_demand.cpp).
    void drop_and_tell(rte_mbuf* packet, LinkId link, Drop reason, const IcmpError& error) noexcept;
    // A packet that nobody here takes goes to the tap of the link it came in by, if that has one,
    // or is dropped because that has too much to take. False: it has none, and the packet is still
    // the caller's.
    [[nodiscard]] bool give_to_host(rte_mbuf* packet) noexcept;
    // The same, or else it is dropped, and nobody told.
    void drop_if_no_host(rte_mbuf* packet, Drop reason) noexcept;
    // A MAC seen first or elsewhere; the same event is not repeated within some 100 us. A full ring
    // loses the event, not the packet.
    void learned(const fdb::LearnEvent& event) noexcept;
    // A copy with a note of its own, counted as replicated. When the pool is empty: nullptr, and
    // pool_exhausted is counted on Note::link_out, for which the copy was to be.
    rte_mbuf* copy(rte_mbuf* packet) noexcept;
    // A complete L2 frame leaves by `link_out`, whatever kind that is: to port_tx, bridge or a push
    // stage; a dummy takes it. Precondition: room in all of these.
    void output(rte_mbuf* packet, LinkId link_out) noexcept;
    void output(rte_mbuf* packet, const Link& link) noexcept;

    // What IP packets have to pass on their way out (ip_filter.hpp); nullptr = nothing.
    [[nodiscard]] const IpFilters* filters() const noexcept {
        return ip_filters.load(std::memory_order_acquire);
    }

    // How many packets output() can take.
    [[nodiscard]] std::uint32_t output_room() const noexcept;
    // The packet ended here as intended; counted and freed.
    void consume(rte_mbuf* packet) noexcept;
    // An L2 frame arrives on `link` (after rx or pop): to bridge or ethernet. Counts nothing.
    void input(rte_mbuf* packet, const Link& link) noexcept;

    const WorkerConfig config;
    const Tables& tables;
    rcu::Domain& domain;
    CounterBlock& counters;
    Doorbell& doorbell;
    rte_mempool* pool;
    RoutedBy routed_by;
    WorkerRings rings;
    std::vector<WorkerRings*> peers;  // other workers' rings, for handover; [own index] is unused
    std::array<Vector, static_cast<std::size_t>(Stage::count)> vectors;
    std::array<TxBuffer, kMaxPorts> tx_buffers;
    LoopCounters loop;
    Counter learn_events_lost;
    std::uint64_t tsc_hz = 0;
    std::uint64_t next_second_tsc = 0;      // when now_s changes
    std::uint64_t round_tsc = 0;            // start of this round
    std::uint32_t now_s = 0;                // culvert's monotonic clock, set once a round
    std::uint64_t icmp_paid_until_tsc = 0;  // icmp_demand.cpp's allowance
    std::uint64_t host_paid_until_tsc = 0;  // and that for the host's taps
    std::uint16_t ip_identification = 0;    // of the next outer header (TUN-TX-19)
    bool punted = false;          // something was put into a ring to control in this round
    bool round_was_busy = false;  // the last one
    // vxlan_push: remotes already served of the packet at its vector's front
    std::uint32_t push_resume = 0;
    // Changes whenever a push or ip_fragment got anywhere, or a tag was taken off: a tunnel in a
    // tunnel puts a packet back into the vector it came from, a tagged frame comes again in it, and
    // a packet that is being cut stays at its vector's front.
    std::uint32_t push_progress = 0;
    std::uint32_t tx_pending = 0;   // bit = port whose tx_buffers entry holds packets
    std::uint32_t learn_epoch = 0;  // what learned() has told since it changed is not told again
    std::array<LearnSlot, 64> learn_filter{};
    FragmentIds fragment_ids;           // of IPv6 packets that are cut here
    std::atomic<bool>* stop = nullptr;  // control: wo; ends worker_loop
    std::atomic<bool>* receiving =
        nullptr;  // control: wo; false = `stop` at the prompt: queues are not read
    // control: wo; nullptr = policy 0
    const net::SharedMultipathSettings* multipath_settings = nullptr;
    std::atomic<const IpFilters*> ip_filters{nullptr};  // control: wo; nullptr = none
    // is_permitted()'s allowances: for next hops, and by link_in's lower bits for ARP and neighbour
    // discovery. Behind what each round needs.
    std::uint64_t resolve_paid_until_tsc = 0;
    std::array<std::uint64_t, 64> discovery_paid_until_tsc{};
    std::array<std::uint64_t, 64> others_paid_until_tsc{};

private:
    [[nodiscard]] bool is_permitted(rte_mbuf* packet, Punt why) noexcept;
    void hand_to_control(rte_mbuf* packet, Punt why) noexcept;
};

// One round: receive from every queue, run the stages, transmit. Returns the number of packets
// taken from queues and rings.
std::uint32_t poll_once(Worker& worker) noexcept;
// Runs what stages have before them, and transmits, until all vectors are empty. For tests and
// poll_once.
void run_stages(Worker& worker) noexcept;
void flush_tx(Worker& worker) noexcept;
// Until *worker.stop. Goes rcu-online and -offline itself.
void worker_loop(Worker& worker) noexcept;
// Control, when the worker's thread has ended: what is left in its vectors, buffers and rings is
// dropped as `shutdown`. Learn events are thrown away. Returns the number of packets.
std::uint32_t drain(Worker& worker) noexcept;

// The stages, a file each (lib/pipeline/stage_*.cpp). Each takes what is in its vector and leaves
// it empty or, when a later vector has no room, with the rest.
void ethernet_stage(Worker& worker) noexcept;
void bridge_stage(Worker& worker) noexcept;
void ip4_stage(Worker& worker) noexcept;
void ip6_stage(Worker& worker) noexcept;
void vrf_stage(Worker& worker) noexcept;
void ip_fragment_stage(Worker& worker) noexcept;
void vxlan_pop_stage(Worker& worker) noexcept;
void vxlan_pop6_stage(Worker& worker) noexcept;
void vxlan_push_stage(Worker& worker) noexcept;
void fou_pop_stage(Worker& worker) noexcept;
void ip_tunnel_pop_stage(Worker& worker) noexcept;
void ip_tunnel_pop6_stage(Worker& worker) noexcept;
void ip_tunnel_push_stage(Worker& worker) noexcept;
void ip_tunnel_push6_stage(Worker& worker) noexcept;
void port_tx_stage(Worker& worker) noexcept;

// `n` packets through ip4 or ip6, by what Worker::routed_by says. Precondition: room behind it.
void route_ip4(Worker& worker, rte_mbuf* const* packets, std::uint32_t n) noexcept;
void route_ip6(Worker& worker, rte_mbuf* const* packets, std::uint32_t n) noexcept;
// How many packets these can take.
[[nodiscard]] std::uint32_t ip4_room(const Worker& worker) noexcept;
[[nodiscard]] std::uint32_t ip6_room(const Worker& worker) noexcept;

// Worker::output() to a VLAN link: the frame leaves by the lower link, with its tag (vlan.cpp).
void output_tagged(Worker& worker, rte_mbuf* packet, const Link& vlan) noexcept;

inline void Worker::output(rte_mbuf* packet, const Link& link) noexcept {
    Note& packet_note = note(packet);
    packet_note.link_out = link.id;
    if (!link.up) [[unlikely]] {
        drop(packet, link.id, Drop::link_down_tx);
    } else if (link.kind == LinkKind::port) [[likely]] {
        enqueue(Stage::port_tx, packet);
    } else if (is_tunnel(link.kind)) {
        enqueue(output_stage(link.kind), packet);
    } else if (link.kind == LinkKind::bridge) {
        packet_note.link_in = link.id;
        enqueue(Stage::bridge, packet);
    } else if (link.kind == LinkKind::vlan) {
        output_tagged(*this, packet, link);
    } else {
        LinkCounters& row = counters.link(link.id);
        row.tx_packets.add(1);
        row.tx_bytes.add(rte_pktmbuf_pkt_len(packet));
        consume(packet);
    }
}

inline void Worker::output(rte_mbuf* packet, LinkId link_out) noexcept {
    const Link* link = tables.links.read(link_out);
    if (link == nullptr) [[unlikely]] {
        drop(packet, link_out, Drop::link_gone);
        return;
    }
    output(packet, *link);
}

inline std::uint32_t Worker::output_room() const noexcept {
    auto room = [this](Stage stage) { return vectors[static_cast<std::size_t>(stage)].room(); };
    return std::min(
        {room(Stage::port_tx),
         room(Stage::vxlan_push),
         std::min(room(Stage::ip_tunnel_push), room(Stage::ip_tunnel_push6)),
         room(Stage::bridge)}
    );
}

inline void Worker::input(rte_mbuf* packet, const Link& link) noexcept {
    note(packet).link_in = link.id;
    const bool is_bridged = link.master != kNoLink && !link.has_vlans;
    enqueue(is_bridged ? Stage::bridge : Stage::ethernet, packet);
}

}  // namespace culvert::pipeline
