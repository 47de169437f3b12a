// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/worker.hpp"

#include "lib/net/arp.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/rate.hpp"

#include <rte_cycles.h>
#include <rte_memcpy.h>

#include <unistd.h>

#include <cstring>

namespace culvert::pipeline {

void Doorbell::ring() noexcept {
    // Sequentially consistent, like control's store before its last look at the rings: either it
    // sees what was put there, or this sees that it sleeps.
    if (control_sleeps.exchange(false, std::memory_order_seq_cst)) {
        const std::uint64_t one = 1;
        // The descriptor's counter cannot overflow: control empties it whenever it wakes.
        [[maybe_unused]] const ssize_t written = ::write(event_fd, &one, sizeof(one));
    }
}

Worker::Worker(
    const WorkerConfig& worker_config,
    const Tables& shared_tables,
    rcu::Domain& rcu_domain,
    CounterBlock& own_counters,
    Doorbell& control_doorbell,
    rte_mempool* packet_pool
)
    : config(worker_config)
    , tables(shared_tables)
    , domain(rcu_domain)
    , counters(own_counters)
    , doorbell(control_doorbell)
    , pool(packet_pool)
    , routed_by(
          {&shared_tables.fib4,
           &shared_tables.fib6,
           nullptr,
           &shared_tables.own_addresses,
           &shared_tables.own_addresses6}
      )
    , tsc_hz(rte_get_tsc_hz())
    , next_second_tsc(worker_config.start_tsc)
    , round_tsc(rte_rdtsc())
    , fragment_ids(worker_config.index) {
    learn_epoch = 1;  // slots hold 0
}

[[gnu::cold]] void Worker::drop(rte_mbuf* packet, LinkId link, Drop reason) noexcept {
    counters.drop(link, reason);
    counters.dropped.add(1);
    rte_pktmbuf_free(packet);
}

void Worker::consume(rte_mbuf* packet) noexcept {
    counters.consumed.add(1);
    rte_pktmbuf_free(packet);
}

namespace {

// Above what any network needs, and far below what would keep control from its other work.
constexpr Rate kNextHops{15, 2048};   // packets that wait for a next hop: 32768 a second
constexpr Rate kDiscovery{15, 1024};  // ARP for us and neighbour discovery, by a link
constexpr Rate kOthersArp{10, 256};   // ARP that is not for us, by a link

// For the ring's one producer. rte_ring_count() reads what the consumer writes as if nobody did.
std::uint32_t room_in(const rte_ring& ring) noexcept {
    const std::uint32_t used = ring.prod.tail - __atomic_load_n(&ring.cons.tail, __ATOMIC_RELAXED);
    return rte_ring_get_capacity(&ring) - used;
}

// Who asks whom for a MAC that is not ours: as much as nobody waits for.
bool is_for_others(const Worker& worker, rte_mbuf* packet) noexcept {
    const auto& arp =
        *rte_pktmbuf_mtod_offset(packet, const net::ArpHeader*, sizeof(net::EtherHeader));
    const Link* link = worker.tables.links.read(note(packet).link_in);
    const route::OwnAddresses& own = link != nullptr && link->routed_by != nullptr
                                         ? link->routed_by->own_addresses
                                         : worker.tables.own_addresses;
    return !own.may_contain(arp.target_ip.host());
}

}  // namespace

// A flood of one kind must not keep the others from control: packets for next hops that nobody has
// leave a quarter of the ring to what could answer for them, and one link's ARP storm does not
// silence the other links.
bool Worker::is_permitted(rte_mbuf* packet, Punt why) noexcept {
    const std::size_t slot = note(packet).link_in % discovery_paid_until_tsc.size();
    switch (why) {
    case Punt::resolve:
        return rings.to_control != nullptr &&
               room_in(*rings.to_control) >= rte_ring_get_capacity(rings.to_control) / 4 &&
               take_token(kNextHops, tsc_hz, round_tsc, resolve_paid_until_tsc);
    case Punt::arp:
        if (is_for_others(*this, packet)) {
            return take_token(kOthersArp, tsc_hz, round_tsc, others_paid_until_tsc[slot]);
        }
        return take_token(kDiscovery, tsc_hz, round_tsc, discovery_paid_until_tsc[slot]);
    case Punt::icmp6:
        return take_token(kDiscovery, tsc_hz, round_tsc, discovery_paid_until_tsc[slot]);
    default:
        return true;
    }
}

void Worker::punt(rte_mbuf* packet, Punt why) noexcept {
    if (!is_permitted(packet, why)) [[unlikely]] {
        drop(
            packet,
            note(packet).link_in,
            why == Punt::resolve ? Drop::next_hop_limited : Drop::discovery_limited
        );
        return;
    }
    hand_to_control(packet, why);
}

void Worker::hand_to_control(rte_mbuf* packet, Punt why) noexcept {
    note(packet).punt = why;
    if (rings.to_control == nullptr || rte_ring_sp_enqueue(rings.to_control, packet) != 0)
        [[unlikely]] {
        drop(packet, note(packet).link_in, Drop::control_ring_full);
    }
    punted = true;
}

bool Worker::offer(rte_mbuf* packet, Punt why) noexcept {
    const rte_ring* ring = rings.to_control;
    if (ring == nullptr || room_in(*ring) < rte_ring_get_capacity(ring) / 2) {
        return false;
    }
    hand_to_control(packet, why);
    return true;
}

void Worker::learned(const fdb::LearnEvent& event) noexcept {
    const std::uint64_t mac = event.mac.value();
    LearnSlot& slot = learn_filter[(mac ^ (mac >> 6) ^ event.domain) % learn_filter.size()];
    if (slot.epoch == learn_epoch && slot.event.mac == event.mac &&
        slot.event.domain == event.domain && slot.event.port == event.port &&
        slot.event.source == event.source) {
        return;
    }
    if (rings.learned == nullptr ||
        rte_ring_sp_enqueue_elem(
            rings.learned, const_cast<fdb::LearnEvent*>(&event), sizeof(event)
        ) != 0) [[unlikely]] {
        learn_events_lost.add(1);
    } else {
        slot = {event, learn_epoch};
    }
    punted = true;
}

rte_mbuf* Worker::copy(rte_mbuf* packet) noexcept {
    counters.replicated.add(1);
    rte_mbuf* twin = nullptr;
    // What fits into one buffer, without all that rte_pktmbuf_copy() asks: half its cost.
    const std::uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
    if (packet->nb_segs != 1 || packet->data_len > room) [[unlikely]] {
        twin = rte_pktmbuf_copy(packet, pool, 0, UINT32_MAX);
    } else if (twin = rte_pktmbuf_alloc(pool); twin != nullptr) [[likely]] {
        twin->ol_flags = packet->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
        twin->packet_type = packet->packet_type;
        twin->tx_offload = packet->tx_offload;
        twin->data_len = packet->data_len;
        twin->pkt_len = packet->pkt_len;
        rte_memcpy(
            rte_pktmbuf_mtod(twin, void*), rte_pktmbuf_mtod(packet, void*), packet->data_len
        );
    }
    if (twin == nullptr) [[unlikely]] {
        counters.drop(note(packet).link_out, Drop::pool_exhausted);
        counters.dropped.add(1);
        return nullptr;
    }
    note(twin) = note(packet);
    return twin;
}

namespace {

// Where the packets of a ring or vector were to go, or came from: the link their drop counts on.
enum class Charge : std::uint8_t { link_in, link_out };

std::uint32_t shut_down(Worker& worker, rte_mbuf* packet, Charge charge) noexcept {
    const Note& packet_note = note(packet);
    worker.drop(
        packet,
        charge == Charge::link_in ? packet_note.link_in : packet_note.link_out,
        Drop::shutdown
    );
    return 1;
}

std::uint32_t drain_ring(Worker& worker, rte_ring* ring, Charge charge) noexcept {
    std::uint32_t drained = 0;
    void* object = nullptr;
    while (ring != nullptr && rte_ring_sc_dequeue(ring, &object) == 0) {
        drained += shut_down(worker, static_cast<rte_mbuf*>(object), charge);
    }
    return drained;
}

}  // namespace

std::uint32_t drain(Worker& worker) noexcept {
    std::uint32_t drained = 0;
    for (std::size_t stage = 0; stage < worker.vectors.size(); ++stage) {
        Vector& vector = worker.vectors[stage];
        const bool leaving = stage == static_cast<std::size_t>(Stage::port_tx) ||
                             stage == static_cast<std::size_t>(Stage::ip_fragment) ||
                             stage == static_cast<std::size_t>(Stage::vxlan_push) ||
                             stage == static_cast<std::size_t>(Stage::ip_tunnel_push) ||
                             stage == static_cast<std::size_t>(Stage::ip_tunnel_push6);
        for (std::uint32_t i = 0; i < vector.count; ++i) {
            drained +=
                shut_down(worker, vector.packets[i], leaving ? Charge::link_out : Charge::link_in);
        }
        vector.count = 0;
    }
    for (TxBuffer& buffer : worker.tx_buffers) {
        for (std::uint32_t i = 0; i < buffer.count; ++i) {
            drained += shut_down(worker, buffer.packets[i], Charge::link_out);
        }
        buffer.count = 0;
        buffer.bytes = 0;
    }
    worker.tx_pending = 0;
    drained += drain_ring(worker, worker.rings.to_control, Charge::link_in);
    drained += drain_ring(worker, worker.rings.from_control, Charge::link_out);
    for (rte_ring* ring : worker.rings.handover) {
        drained += drain_ring(worker, ring, Charge::link_out);
    }
    return drained;
}

}  // namespace culvert::pipeline
