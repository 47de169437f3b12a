// SPDX-License-Identifier: BSD-3-Clause
// Whose clocks: everything between a port function's return and the next one's call is the
// program's own. A thread's round begins and ends at the first of its queues that brought packets;
// what it spent in between, source and sink excluded, divided by the packets of the round, is one
// entry of the histogram.
#pragma once

#include "test/bench/source/statistics.hpp"

#include <rte_cycles.h>

#include <algorithm>
#include <cstdint>

namespace culvert::bench {

class Account {
public:
    // A port function is called: what went by since the last one's return was the program's.
    std::uint64_t enter() noexcept {
        const std::uint64_t now = rte_rdtsc();
        own_ += now - left_;
        ++stretches_;
        return now;
    }

    // It returns; gives the clocks it took.
    std::uint64_t leave(std::uint64_t entered) noexcept {
        left_ = rte_rdtsc();
        return left_ - entered;
    }

    void received(RxStatistics& queue, std::uint32_t packets) noexcept {
        round_ = round_ == nullptr ? &queue : round_;
        in_ += packets;
    }

    void sent(std::uint32_t packets) noexcept { out_ += packets; }

    // The next round begins, if this is the queue to begin it. `overhead`: of one clock reading.
    void begin_round(const RxStatistics& queue, std::uint64_t overhead) noexcept {
        if (round_ == &queue && in_ != 0) {
            end_round(overhead);
        }
        if (round_ == nullptr || round_ == &queue) {
            round_ = nullptr;
            own_ = stretches_ = in_ = out_ = 0;
        }
    }

    // What took longer than this had company: an interrupt, another thread.
    static bool is_interrupted(std::uint64_t clocks, std::uint64_t packets) noexcept {
        return clocks > 50'000 + 10'000 * packets;
    }

private:
    void end_round(std::uint64_t overhead) noexcept {
        const std::uint64_t packets = std::max(in_, out_);
        if (is_interrupted(own_, packets)) {
            ++round_->interrupted;
            return;
        }
        const std::uint64_t clocks = own_ - std::min(own_, stretches_ * overhead);
        const std::uint64_t bin = clocks * kBinsPerClock / packets;
        round_->own_histogram[std::min<std::uint64_t>(bin, kBins - 1)] += packets;
        round_->own_clocks += clocks;
        round_->own_packets += packets;
    }

    RxStatistics* round_ = nullptr;
    std::uint64_t left_ = 0;
    std::uint64_t own_ = 0;
    std::uint64_t stretches_ = 0;
    std::uint64_t in_ = 0;
    std::uint64_t out_ = 0;
};

// Clocks that one reading of the clock adds to a stretch between two of them.
inline std::uint64_t measure_overhead() noexcept {
    std::uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t begin = rte_rdtsc();
        const std::uint64_t end = rte_rdtsc();
        least = std::min(least, end - begin);
    }
    return least;
}

}  // namespace culvert::bench
