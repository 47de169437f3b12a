// SPDX-License-Identifier: BSD-3-Clause
// A bench port: a source that costs almost nothing and a sink, in the place of a device's burst
// functions.
#pragma once

#include "test/bench/source/options.hpp"
#include "test/bench/source/statistics.hpp"
#include "test/bench/source/templates.hpp"

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <memory>

namespace culvert::bench {

struct RxQueue {
    const Options* options = nullptr;
    const Templates* templates = nullptr;
    Statistics* port = nullptr;
    RxStatistics* statistics = nullptr;
    rte_mempool* pool = nullptr;
    std::uint64_t rearm = 0;  // data offset, references, segments and port of a fresh packet
    std::uint64_t clock_overhead = 0;
    std::uint64_t next_burst_tsc = 0;
    std::uint32_t next_template = 0;
    std::array<std::uint32_t, 4> varying{};
    std::uint64_t count_from = 0;  // packets: where callgrind's window begins; 0 = not known yet
};

struct TxQueue {
    TxStatistics* statistics = nullptr;
};

class Port {
public:
    // Throws std::runtime_error.
    Port(std::uint16_t number, const Options& options);

    void use_pool(std::uint16_t queue, rte_mempool* pool);
    // Puts the source and the sink in the place of the started device's functions.
    void take_over();

private:
    void map_statistics();
    void prepare_buffers(rte_mempool* pool);

    const std::uint16_t number_;
    const Options options_;
    std::unique_ptr<Templates> templates_;
    Statistics* statistics_ = nullptr;
    std::array<RxQueue, kMaxQueues> rx_;
    std::array<TxQueue, kMaxQueues> tx_;
    std::array<void*, kMaxQueues> rx_data_{};
    std::array<void*, kMaxQueues> tx_data_{};
};

}  // namespace culvert::bench
