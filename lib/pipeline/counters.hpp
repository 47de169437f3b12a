// SPDX-License-Identifier: BSD-3-Clause
// Counters: one block a worker (and one for control), written by its owner alone, summed by whoever
// asks. Rows are indexed by link and cost memory only where a link has counted something.
#pragma once

#include "lib/net/link_id.hpp"
#include "lib/pipeline/drop.hpp"
#include "lib/pipeline/ip_counters.hpp"

#include <atomic>
#include <cstdint>

namespace culvert::pipeline {

// One writer, any number of readers. A relaxed load and store, not a locked add.
class Counter {
public:
    void add(std::uint64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }

    void reset() noexcept { value_.store(0, std::memory_order_relaxed); }

    [[nodiscard]] std::uint64_t read() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> value_{0};
};

struct LinkCounters {
    Counter rx_packets;
    Counter rx_bytes;
    Counter tx_packets;
    Counter tx_bytes;
};

class CounterBlock {
public:
    // Throws std::bad_alloc (start-up only). Memory is reserved, not touched.
    CounterBlock();
    ~CounterBlock();
    CounterBlock(const CounterBlock&) = delete;
    CounterBlock& operator=(const CounterBlock&) = delete;

    // owner
    void drop(LinkId link, Drop reason, std::uint64_t packets = 1) noexcept {
        drops_[link].reasons[static_cast<std::size_t>(reason)].add(packets);
    }

    [[nodiscard]] LinkCounters& link(LinkId link) noexcept { return links_[link]; }

    // Received in outer packets to a group (TUN-RX-01). Seldom, and so not among a link's others.
    void count_multicast(LinkId link, std::uint64_t packets) noexcept {
        multicasts_[link].add(packets);
    }

    void count(IpCounter counter, std::uint64_t n = 1) noexcept {
        ip_[static_cast<std::size_t>(counter)].add(n);
    }

    // The conservation sum's parts (interface.md section 8). Owner writes, anyone reads.
    Counter received;    // packets taken from ports
    Counter originated;  // packets made here: ARP, ICMP echo replies, ...
    Counter replicated;  // copies made by flooding and replication, and fragments
    Counter sent;        // packets a port's transmit queue took
    Counter consumed;    // packets that ended here as intended: ARP, echo requests, dummy links
    Counter dropped;     // sum of all drops, maintained by drop owners through Worker::drop /
                         // control's drop

    // anyone
    [[nodiscard]] const LinkCounters& link(LinkId link) const noexcept { return links_[link]; }

    [[nodiscard]] std::uint64_t multicasts(LinkId link) const noexcept {
        return multicasts_[link].read();
    }

    [[nodiscard]] std::uint64_t drops(LinkId link, Drop reason) const noexcept {
        return drops_[link].reasons[static_cast<std::size_t>(reason)].read();
    }

    [[nodiscard]] std::uint64_t read(IpCounter counter) const noexcept {
        return ip_[static_cast<std::size_t>(counter)].read();
    }

    // control, after a grace period in which no worker saw the link: zero its rows for the number's
    // next owner. Their totals stay in `dropped`.
    void reset_link(LinkId link) noexcept;

private:
    struct DropRow {
        Counter reasons[192];
    };

    LinkCounters* links_;
    DropRow* drops_;
    Counter* multicasts_;
    Counter ip_[kIpCounterCount];
};

}  // namespace culvert::pipeline
