// SPDX-License-Identifier: BSD-3-Clause
// Frames to ports. What comes in whole bursts goes from the vector to the driver; the rest is
// gathered per port and leaves when there would be more than a burst, or at the end of the round.
// Where the port has no queue of ours, its owner gets the frames through a ring, and counts them.
#include "lib/pipeline/worker.hpp"

#include <rte_ethdev.h>

namespace culvert::pipeline {

namespace {

[[gnu::cold]] void
drop_rest(Worker& worker, rte_mbuf** packets, std::uint32_t n, Drop reason) noexcept {
    for (std::uint32_t i = 0; i < n; ++i) {
        worker.drop(packets[i], note(packets[i]).link_out, reason);
    }
}

std::uint64_t bytes_in(rte_mbuf* const* packets, std::uint32_t n) noexcept {
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        bytes += rte_pktmbuf_pkt_len(packets[i]);
    }
    return bytes;
}

void hand_over(Worker& worker, const TxPath& path, rte_mbuf** packets, std::uint32_t n) noexcept {
    rte_ring* ring = nullptr;
    if (path.owner != worker.config.index && path.owner < worker.peers.size()) {
        ring = worker.peers[path.owner]->handover[worker.config.index];
    }
    if (ring == nullptr) [[unlikely]] {
        drop_rest(worker, packets, n, Drop::port_stopped);
        return;
    }
    const std::uint32_t taken =
        rte_ring_sp_enqueue_burst(ring, reinterpret_cast<void**>(packets), n, nullptr);
    if (taken < n) [[unlikely]] {
        drop_rest(worker, packets + taken, n - taken, Drop::worker_ring_full);
    }
}

// All of `packets`, `bytes` in all, leave by `port`, which is `link`. Counts what the driver took.
void transmit(
    Worker& worker,
    std::uint16_t port,
    LinkId link,
    rte_mbuf** packets,
    std::uint32_t n,
    std::uint64_t bytes
) noexcept {
    const TxPath& path = worker.config.tx_paths[port];
    if (!path.has_queue) [[unlikely]] {
        hand_over(worker, path, packets, n);
        return;
    }
    const auto burst = static_cast<std::uint16_t>(n);
    std::uint32_t sent = rte_eth_tx_burst(port, path.queue_id, packets, burst);
    if (sent < n) [[unlikely]] {
        // Drivers that free their descriptors only now have room for the rest.
        const auto rest = static_cast<std::uint16_t>(n - sent);
        sent += rte_eth_tx_burst(port, path.queue_id, packets + sent, rest);
        bytes -= bytes_in(packets + sent, n - sent);
        drop_rest(worker, packets + sent, n - sent, Drop::port_tx_full);
    }
    LinkCounters& row = worker.counters.link(link);
    row.tx_packets.add(sent);
    row.tx_bytes.add(bytes);
    worker.counters.sent.add(sent);
}

void flush(Worker& worker, std::uint16_t port) noexcept {
    TxBuffer& buffer = worker.tx_buffers[port];
    transmit(worker, port, buffer.link, buffer.packets.data(), buffer.count, buffer.bytes);
    buffer.count = 0;
    buffer.bytes = 0;
    worker.tx_pending &= ~(1U << port);
}

// A run of packets to the same link, at most a burst.
void take_run(
    Worker& worker, LinkId link, rte_mbuf** packets, std::uint32_t n, std::uint64_t bytes
) noexcept {
    const Link* port_link = worker.tables.links.read(link);
    if (port_link == nullptr || port_link->port_id >= kMaxPorts) [[unlikely]] {
        drop_rest(worker, packets, n, Drop::link_gone);
        return;
    }
    const std::uint16_t port = port_link->port_id;
    const std::uint32_t burst = worker.config.burst;
    TxBuffer& buffer = worker.tx_buffers[port];
    if (buffer.count + n > burst) {
        flush(worker, port);
    }
    if (n == burst) {
        transmit(worker, port, link, packets, n, bytes);
        return;
    }
    std::copy_n(packets, n, buffer.packets.data() + buffer.count);
    buffer.count = static_cast<std::uint16_t>(buffer.count + n);
    buffer.bytes += bytes;
    buffer.link = link;
    worker.tx_pending |= 1U << port;
}

}  // namespace

void port_tx_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::port_tx);
    rte_mbuf** packets = in.packets.data();
    const std::uint32_t count = in.count;
    const std::uint32_t burst = worker.config.burst;
    std::uint32_t begin = 0;
    while (begin < count) {
        const LinkId link = note(packets[begin]).link_out;
        const std::uint32_t limit = std::min(count, begin + burst);
        std::uint64_t bytes = rte_pktmbuf_pkt_len(packets[begin]);
        std::uint32_t end = begin + 1;
        while (end < limit && note(packets[end]).link_out == link) {
            bytes += rte_pktmbuf_pkt_len(packets[end]);
            ++end;
        }
        take_run(worker, link, packets + begin, end - begin, bytes);
        begin = end;
    }
    in.count = 0;
}

void flush_tx(Worker& worker) noexcept {
    while (worker.tx_pending != 0)
        [[likely]] {
            flush(worker, static_cast<std::uint16_t>(__builtin_ctz(worker.tx_pending)));
        }
}

}  // namespace culvert::pipeline
