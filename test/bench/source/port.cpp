// SPDX-License-Identifier: BSD-3-Clause
#include "test/bench/source/port.hpp"

#include "test/bench/source/account.hpp"
#include "test/bench/source/bursts.hpp"

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace culvert::bench {

namespace {

std::uint64_t rearm_data(std::uint16_t port) {
    rte_mbuf fresh{};
    fresh.data_off = RTE_PKTMBUF_HEADROOM;
    fresh.nb_segs = 1;
    fresh.port = port;
    rte_mbuf_refcnt_set(&fresh, 1);
    std::uint64_t data = 0;
    std::memcpy(
        &data,
        reinterpret_cast<const std::uint8_t*>(&fresh) + offsetof(rte_mbuf, data_off),
        sizeof(data)
    );
    return data;
}

}  // namespace

Port::Port(std::uint16_t number, const Options& options)
    : number_(number)
    , options_(options) {
    if (options_.varying.size() > RxQueue{}.varying.size()) {
        throw std::runtime_error("vary: too many fields");
    }
    if (!options_.rx.empty()) {
        templates_ = std::make_unique<Templates>(options_.rx, options_.header);
    }
    map_statistics();
    const std::uint64_t overhead = measure_overhead();
    statistics_->clock_overhead = overhead;
    for (std::uint32_t i = 0; i < kMaxQueues; ++i) {
        rx_[i].options = &options_;
        rx_[i].templates = templates_.get();
        rx_[i].port = statistics_;
        rx_[i].statistics = &statistics_->rx[i];
        rx_[i].rearm = rearm_data(number_);
        rx_[i].clock_overhead = overhead;
        // Queues are different flows, as behind RSS.
        for (std::size_t field = 0; field < options_.varying.size(); ++field) {
            rx_[i].varying[field] = options_.varying[field].count / kMaxQueues * i;
        }
        tx_[i].statistics = &statistics_->tx[i];
        rx_data_[i] = &rx_[i];
        tx_data_[i] = &tx_[i];
    }
}

void Port::map_statistics() {
    int file = -1;
    if (!options_.statistics.empty()) {
        file = ::open(options_.statistics.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (file < 0 || ::ftruncate(file, sizeof(Statistics)) != 0) {
            throw std::runtime_error(options_.statistics + ": cannot be written");
        }
    }
    const int flags = file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void* mapped =
        ::mmap(nullptr, sizeof(Statistics), PROT_READ | PROT_WRITE, flags | MAP_POPULATE, file, 0);
    if (file >= 0) {
        ::close(file);
    }
    if (mapped == MAP_FAILED) {
        throw std::runtime_error("no memory for the statistics");
    }
    statistics_ = static_cast<Statistics*>(mapped);
    statistics_->tsc_hz = rte_get_tsc_hz();
    statistics_->bins = kBins;
    statistics_->bins_per_clock = kBinsPerClock;
    statistics_->queues = kMaxQueues;
    statistics_->magic = kMagic;
}

void Port::use_pool(std::uint16_t queue, rte_mempool* pool) {
    if (queue >= kMaxQueues) {
        throw std::runtime_error("more than " + std::to_string(kMaxQueues) + " queues");
    }
    rx_[queue].pool = pool;
    if (templates_ != nullptr) {
        const auto count = static_cast<std::uint32_t>(templates_->all().size());
        rx_[queue].next_template = count / kMaxQueues * queue;
        prepare_buffers(pool);
    }
}

void Port::prepare_buffers(rte_mempool* pool) {
    auto prepare = [](rte_mempool* /*pool*/, void* port, void* object, unsigned /*index*/) {
        const std::vector<std::uint8_t>& first = static_cast<Port*>(port)->templates_->first();
        auto* packet = static_cast<rte_mbuf*>(object);
        const std::size_t room = packet->buf_len - std::size_t{RTE_PKTMBUF_HEADROOM};
        auto* data = static_cast<std::uint8_t*>(packet->buf_addr) + RTE_PKTMBUF_HEADROOM;
        std::copy_n(first.begin(), std::min(room, first.size()), data);
    };
    rte_mempool_obj_iter(pool, prepare, this);
}

void Port::take_over() {
    struct rte_eth_fp_ops& functions = rte_eth_fp_ops[number_];
    const bool counted = options_.count != 0;
    functions.rx_pkt_burst = templates_ == nullptr ? receive_nothing
                             : counted             ? receive_counted
                                                   : receive;
    functions.tx_pkt_burst = counted ? transmit_counted : transmit;
    functions.rxq.data = rx_data_.data();
    functions.txq.data = tx_data_.data();
}

}  // namespace culvert::bench
