// SPDX-License-Identifier: BSD-3-Clause
// The worker's round: take packets from queues and rings, run the stages, transmit. The clock is
// read once a round; everything a round counts is added up in registers and stored once.
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include <unistd.h>

#include <utility>

namespace culvert::pipeline {

namespace {

// Idle rounds before a worker that may rest does.
constexpr std::uint32_t kIdleRounds = 64;
// learned() tells again what is still not in the table after this many TSC cycles: 2^18, some
// 100 us.
constexpr unsigned kLearnEpochShift = 18;
constexpr std::uint32_t kRingBurst = 64;

void start_round(Worker& worker) noexcept {
    const std::uint64_t now = rte_rdtsc();
    const std::uint64_t spent = now - worker.round_tsc;
    (worker.round_was_busy ? worker.loop.cycles_busy : worker.loop.cycles_idle).add(spent);
    worker.round_tsc = now;
    worker.learn_epoch = static_cast<std::uint32_t>(now >> kLearnEpochShift) | 1U;
    if (now >= worker.next_second_tsc) [[unlikely]] {
        const std::uint64_t second = (now - worker.config.start_tsc) / worker.tsc_hz;
        worker.now_s = static_cast<std::uint32_t>(second);
        worker.next_second_tsc = worker.config.start_tsc + (second + 1) * worker.tsc_hz;
    }
}

// A burst goes straight into the vector of the stage that takes it: one port, one look at the link.
std::uint32_t receive_burst(Worker& worker, const RxQueue& queue) noexcept {
    const Link* link = worker.tables.links.read(queue.link);
    const bool bridged = link != nullptr && link->master != kNoLink && !link->has_vlans;
    Vector& vector = worker.vector(bridged ? Stage::bridge : Stage::ethernet);
    if (vector.room() < worker.config.burst) [[unlikely]] {
        run_stages(worker);
    }
    rte_mbuf** packets = vector.packets.data() + vector.count;
    const std::uint32_t n = rte_eth_rx_burst(
        queue.port_id, queue.queue_id, packets, static_cast<std::uint16_t>(worker.config.burst)
    );
    if (n == 0) {
        return 0;
    }
    std::uint64_t bytes = 0;
    const Note arrived = Note::arrived(queue.link);
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_prefetch0(rte_pktmbuf_mtod(packets[i], void*));
        note(packets[i]) = arrived;
        bytes += rte_pktmbuf_pkt_len(packets[i]);
    }
    vector.count += n;
    LinkCounters& row = worker.counters.link(queue.link);
    row.rx_packets.add(n);
    row.rx_bytes.add(bytes);
    return n;
}

std::uint32_t receive(Worker& worker) noexcept {
    std::uint32_t received = 0;
    std::uint32_t bursts = 0;
    for (const RxQueue& queue : worker.config.rx_queues) {
        const std::uint32_t n = receive_burst(worker, queue);
        received += n;
        bursts += n != 0 ? 1U : 0U;
    }
    if (received != 0) {
        worker.counters.received.add(received);
        worker.loop.bursts.add(bursts);
        worker.loop.packets.add(received);
    }
    return received;
}

// Frames that other workers hand over because the port's queue is ours.
std::uint32_t take_handed_over(Worker& worker) noexcept {
    std::uint32_t taken = 0;
    Vector& vector = worker.vector(Stage::port_tx);
    for (rte_ring* ring : worker.rings.handover) {
        if (ring == nullptr) {
            continue;
        }
        if (vector.room() < worker.config.burst) {
            port_tx_stage(worker);
        }
        void** objects = reinterpret_cast<void**>(vector.packets.data() + vector.count);
        const std::uint32_t n =
            rte_ring_sc_dequeue_burst(ring, objects, worker.config.burst, nullptr);
        vector.count += n;
        taken += n;
    }
    return taken;
}

void enter_ip(Worker& worker, rte_mbuf* packet) noexcept {
    const Link* link = worker.tables.links.read(note(packet).link_in);
    if (link != nullptr && !is_routed_plainly(*link)) {
        worker.enqueue(Stage::vrf, packet);
    } else {
        worker.enqueue(is_ip6(packet) ? Stage::ip6 : Stage::ip4, packet);
    }
}

std::uint32_t take_from_control(Worker& worker) noexcept {
    rte_ring* ring = worker.rings.from_control;
    if (ring == nullptr) {
        return 0;
    }
    std::array<void*, kRingBurst> objects;  // NOLINT: the first n are written before they are read
    const std::uint32_t room = std::min(
        {kRingBurst,
         worker.output_room(),
         worker.vector(Stage::ip4).room(),
         worker.vector(Stage::ip6).room(),
         worker.vector(Stage::vrf).room()}
    );
    const std::uint32_t n = rte_ring_sc_dequeue_burst(ring, objects.data(), room, nullptr);
    for (std::uint32_t i = 0; i < n; ++i) {
        auto* packet = static_cast<rte_mbuf*>(objects[i]);
        note(packet).depth = 0;
        note(packet).for_us = false;
        if (note(packet).link_out == kNoLink) [[unlikely]] {
            enter_ip(worker, packet);  // of fragments
        } else {
            worker.output(packet, note(packet).link_out);
        }
    }
    return n;
}

using StageFunction = void (*)(Worker&) noexcept;

struct StageEntry {
    Stage stage;
    StageFunction run;
};

// A packet out of a tunnel and one into a tunnel both meet their stages in this order.
constexpr std::array<StageEntry, static_cast<std::size_t>(Stage::count)> kStages{{
    {Stage::ethernet, ethernet_stage},
    {Stage::ip4, ip4_stage},
    {Stage::ip6, ip6_stage},
    {Stage::vxlan_pop, vxlan_pop_stage},
    {Stage::vxlan_pop6, vxlan_pop6_stage},
    {Stage::fou_pop, fou_pop_stage},
    {Stage::ip_tunnel_pop, ip_tunnel_pop_stage},
    {Stage::ip_tunnel_pop6, ip_tunnel_pop6_stage},
    {Stage::vrf, vrf_stage},  // it needs the five pops empty
    {Stage::ip_fragment, ip_fragment_stage},
    {Stage::bridge, bridge_stage},
    {Stage::vxlan_push, vxlan_push_stage},
    {Stage::ip_tunnel_push, ip_tunnel_push_stage},
    {Stage::ip_tunnel_push6, ip_tunnel_push6_stage},
    {Stage::port_tx, port_tx_stage},
}};

std::uint32_t waiting(const Worker& worker) noexcept {
    std::uint32_t packets = 0;
    for (const Vector& vector : worker.vectors) {
        packets += vector.count;
    }
    return packets;
}

// Stages that wait for each other's room: only a flood of floods gets here (bridges in tunnels over
// bridges). The longest vector's packets make room for the rest.
[[gnu::cold]] void break_standstill(Worker& worker) noexcept {
    Vector* longest = &worker.vectors.front();
    for (Vector& vector : worker.vectors) {
        longest = vector.count > longest->count ? &vector : longest;
    }
    for (std::uint32_t i = 0; i < longest->count; ++i) {
        worker.drop(longest->packets[i], note(longest->packets[i]).link_in, Drop::vector_full);
    }
    longest->count = 0;
    if (longest == &worker.vector(Stage::vxlan_push)) {
        worker.push_resume = 0;
    }
}

template <std::size_t Index>
[[gnu::always_inline]] inline void run_if_waiting(Worker& worker) noexcept {
    constexpr StageEntry kEntry = kStages[Index];
    if (worker.vector(kEntry.stage).count != 0) {
        kEntry.run(worker);
    }
}

// Each stage once, in the order in which most packets need them. A loop of as many is no longer
// unrolled, and then costs a round a hundred instructions.
template <std::size_t... Indices>
[[gnu::always_inline]] inline void
run_in_order(Worker& worker, std::index_sequence<Indices...> /*stages*/) noexcept {
    (run_if_waiting<Indices>(worker), ...);
}

// The same; false = no stage took a packet.
[[gnu::noinline]] bool run_and_watch(Worker& worker) noexcept {
    bool moved = false;
    for (const StageEntry& entry : kStages) {
        Vector& vector = worker.vector(entry.stage);
        if (vector.count == 0) {
            continue;
        }
        const std::uint32_t before = vector.count;
        const rte_mbuf* first = vector.packets[0];
        const std::uint32_t progress = worker.push_progress;
        entry.run(worker);
        moved |= vector.count != before || vector.packets[0] != first ||
                 worker.push_progress != progress;
    }
    return moved;
}

}  // namespace

void run_stages(Worker& worker) noexcept {
    run_in_order(worker, std::make_index_sequence<kStages.size()>());
    while (waiting(worker) != 0)
        [[unlikely]] {
            if (!run_and_watch(worker)) {
                break_standstill(worker);
            }
        }
    flush_tx(worker);
}

std::uint32_t poll_once(Worker& worker) noexcept {
    start_round(worker);
    std::uint32_t taken = take_from_control(worker) + take_handed_over(worker);
    if (worker.receiving == nullptr || worker.receiving->load(std::memory_order_relaxed)) {
        taken += receive(worker);
    }
    worker.round_was_busy = taken != 0;
    if (taken != 0) {
        run_stages(worker);
        if (worker.punted) {
            worker.punted = false;
            worker.doorbell.ring();
        }
    }
    return taken;
}

void worker_loop(Worker& worker) noexcept {
    const rcu::ReaderId reader = worker.config.index;
    std::uint32_t idle_rounds = 0;
    worker.domain.online(reader);
    while (!worker.stop->load(std::memory_order_acquire)) {
        const std::uint32_t taken = poll_once(worker);
        worker.domain.quiescent(reader);
        idle_rounds = taken != 0 ? 0 : idle_rounds + 1;
        if (idle_rounds >= kIdleRounds && worker.config.idle_sleep_us != 0) [[unlikely]] {
            // From here on every round that finds nothing rests.
            idle_rounds = kIdleRounds;
            worker.domain.offline(reader);
            ::usleep(worker.config.idle_sleep_us);
            worker.domain.online(reader);
        }
    }
    worker.domain.offline(reader);
}

}  // namespace culvert::pipeline
