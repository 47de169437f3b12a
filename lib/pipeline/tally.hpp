// SPDX-License-Identifier: BSD-3-Clause
// Packets and bytes of one link, gathered in registers while a burst is on its way and written to
// the link's counters when the link changes or the burst ends.
#pragma once

#include "lib/pipeline/counters.hpp"

namespace culvert::pipeline {

template <Counter LinkCounters::*Packets, Counter LinkCounters::*Bytes>
class Tally {
public:
    explicit Tally(CounterBlock& counters) noexcept
        : counters_(counters) {}

    ~Tally() { flush(); }

    Tally(const Tally&) = delete;
    Tally& operator=(const Tally&) = delete;

    void add(LinkId link, std::uint64_t bytes, std::uint64_t packets = 1) noexcept {
        if (link != link_) [[unlikely]] {
            flush();
            link_ = link;
        }
        packets_ += packets;
        bytes_ += bytes;
    }

    void flush() noexcept {
        if (packets_ != 0) {
            LinkCounters& row = counters_.link(link_);
            (row.*Packets).add(packets_);
            (row.*Bytes).add(bytes_);
            packets_ = 0;
            bytes_ = 0;
        }
    }

private:
    CounterBlock& counters_;
    std::uint64_t packets_ = 0;
    std::uint64_t bytes_ = 0;
    LinkId link_ = kNoLink;
};

using RxTally = Tally<&LinkCounters::rx_packets, &LinkCounters::rx_bytes>;
using TxTally = Tally<&LinkCounters::tx_packets, &LinkCounters::tx_bytes>;

}  // namespace culvert::pipeline
