// SPDX-License-Identifier: BSD-3-Clause
// Sums over the workers' counters and control's own.
#include "lib/control/core_state.hpp"

#include <rte_mempool.h>
#include <rte_ring.h>

namespace culvert::control {

namespace {

using pipeline::CounterBlock;
using pipeline::Drop;
using pipeline::KernelCounters;

struct Field {
    KernelCounters counter;
    std::uint64_t LinkStats::*member;
};

constexpr Field kFields[] = {
    {KernelCounters::rx_errors, &LinkStats::rx_errors},
    {KernelCounters::rx_dropped, &LinkStats::rx_dropped},
    {KernelCounters::rx_length_errors, &LinkStats::rx_length_errors},
    {KernelCounters::rx_crc_errors, &LinkStats::rx_crc_errors},
    {KernelCounters::rx_frame_errors, &LinkStats::rx_frame_errors},
    {KernelCounters::rx_fifo_errors, &LinkStats::rx_fifo_errors},
    {KernelCounters::tx_errors, &LinkStats::tx_errors},
    {KernelCounters::tx_dropped, &LinkStats::tx_dropped},
    {KernelCounters::tx_carrier_errors, &LinkStats::tx_carrier_errors},
    {KernelCounters::tx_aborted_errors, &LinkStats::tx_aborted_errors},
    {KernelCounters::tx_fifo_errors, &LinkStats::tx_fifo_errors},
    {KernelCounters::collisions, &LinkStats::collisions},
};

void add_block(const CounterBlock& block, LinkId link, LinkStats& sum) {
    const pipeline::LinkCounters& counters = block.link(link);
    sum.rx_packets += counters.rx_packets.read();
    sum.rx_bytes += counters.rx_bytes.read();
    sum.tx_packets += counters.tx_packets.read();
    sum.tx_bytes += counters.tx_bytes.read();
    sum.multicast += block.multicasts(link);
    for (std::size_t i = 0; i < pipeline::kDropCount; ++i) {
        const auto reason = static_cast<Drop>(i);
        const std::uint64_t packets = block.drops(link, reason);
        if (packets == 0) {
            continue;
        }
        for (const Field& field : kFields) {
            if (contains(pipeline::info(reason).counters, field.counter)) {
                sum.*field.member += packets;
            }
        }
    }
}

void add_block(const CounterBlock& block, ProcessStats& sum) {
    sum.received += block.received.read();
    sum.originated += block.originated.read();
    sum.replicated += block.replicated.read();
    sum.sent += block.sent.read();
    sum.dropped += block.dropped.read();
    sum.consumed += block.consumed.read();
}

}  // namespace

LinkStats Core::stats(LinkId link) const {
    LinkStats sum;
    add_block(impl_->own_counters, link, sum);
    for (const CounterBlock& block : impl_->worker_counters) {
        add_block(block, link, sum);
    }
    return sum;
}

ProcessStats Core::process_stats() const {
    ProcessStats sum;
    add_block(impl_->own_counters, sum);
    for (const CounterBlock& block : impl_->worker_counters) {
        add_block(block, sum);
    }
    sum.in_flight =
        impl_->routing->neighbours().queued_packets() + impl_->slow_path.queued_packets();
    for (const pipeline::Worker* worker : impl_->workers) {
        sum.in_flight +=
            rte_ring_count(worker->rings.to_control) + rte_ring_count(worker->rings.from_control);
        for (const rte_ring* ring : worker->rings.handover) {
            sum.in_flight += ring == nullptr ? 0 : rte_ring_count(ring);
        }
    }
    sum.mbufs_total = impl_->pool->size;
    sum.mbufs_free = rte_mempool_avail_count(impl_->pool);
    return sum;
}

std::uint64_t Core::drops(LinkId link, Drop reason) const {
    std::uint64_t sum = impl_->own_counters.drops(link, reason);
    for (const CounterBlock& block : impl_->worker_counters) {
        sum += block.drops(link, reason);
    }
    return sum;
}

std::uint64_t Core::count(pipeline::IpCounter counter) const {
    std::uint64_t sum = impl_->own_counters.read(counter);
    for (const CounterBlock& block : impl_->worker_counters) {
        sum += block.read(counter);
    }
    return sum;
}

}  // namespace culvert::control
