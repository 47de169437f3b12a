// SPDX-License-Identifier: BSD-3-Clause
// What the bench ports count, in a file that the script maps. Plain numbers: one thread writes a
// queue's record, and who reads them while it runs sees each number whole. The layout is read by
// test/bench/sampling.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::bench {

inline constexpr std::uint64_t kMagic = 0x3148'434e'4542'5643;  // "CVBENCH1"
inline constexpr std::uint32_t kMaxQueues = 4;
inline constexpr std::uint32_t kBins = 16384;
inline constexpr std::uint32_t kBinsPerClock =
    4;  // so the last bin is 4096 clocks a packet and more

// The program's own cost is kept with the queue that begins a thread's round.
struct RxStatistics {
    std::uint64_t packets;
    std::uint64_t bytes;
    std::uint64_t bursts;
    std::uint64_t empty;       // polls that brought nothing although there is a source
    std::uint64_t pool_empty;  // polls that brought nothing because the packet pool had nothing
    std::uint64_t
        source_clocks;  // spent in the source for source_packets: interrupted calls are left out
    std::uint64_t source_packets;
    std::uint64_t own_clocks;  // between the source's return and its next call, sink excluded
    std::uint64_t
        own_packets;  // what these clocks were spent on: received, or sent where that is more
    std::uint64_t interrupted;  // rounds too long to be the program's own, left out
    std::uint64_t thread_id;
    std::array<std::uint64_t, 5> reserved;
    std::array<std::uint64_t, kBins> own_histogram;  // packets by clocks a packet in their round
};

struct TxStatistics {
    std::uint64_t packets;
    std::uint64_t bytes;
    std::uint64_t bursts;
    std::uint64_t sink_clocks;  // spent in the sink for sink_packets
    std::uint64_t sink_packets;
    std::array<std::uint64_t, 3> reserved;
};

struct Statistics {
    std::uint64_t magic;
    std::uint64_t tsc_hz;
    std::uint64_t bins;
    std::uint64_t bins_per_clock;
    std::uint64_t queues;
    std::uint64_t clock_overhead;   // of one reading, taken off the own cost
    std::uint64_t counted_packets;  // in the window of `count=`, once it is complete
    std::uint64_t go;               // the script: begin to count
    std::array<RxStatistics, kMaxQueues> rx;
    std::array<TxStatistics, kMaxQueues> tx;
};

static_assert(sizeof(RxStatistics) == 128 + 8 * kBins && sizeof(TxStatistics) == 64);
static_assert(offsetof(Statistics, rx) == 64);

}  // namespace culvert::bench
