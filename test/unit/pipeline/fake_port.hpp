// SPDX-License-Identifier: BSD-3-Clause
// A DPDK port without a device: what a test injects is received from it, what is transmitted waits
// until a test takes it. Entered into ethdev's table of burst functions directly, so that no driver
// is needed.
#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace culvert::pipeline::test {

class FakePort {
public:
    static constexpr std::uint32_t kMaxQueues = 4;

    explicit FakePort(std::uint16_t port_id, std::uint32_t ring_size = 4096)
        : port_id_(port_id)
        , saved_(rte_eth_fp_ops[port_id]) {
        for (std::uint32_t i = 0; i < kMaxQueues; ++i) {
            const std::string suffix = std::to_string(port_id) + "_" + std::to_string(i);
            queues_[i].received = make_ring("fake_rx_" + suffix, ring_size);
            queues_[i].sent = make_ring("fake_tx_" + suffix, ring_size);
            data_[i] = &queues_[i];
        }
        auto& ops = rte_eth_fp_ops[port_id];
        ops.rx_pkt_burst = &receive;
        ops.tx_pkt_burst = &transmit;
        ops.rxq.data = data_.data();
        ops.txq.data = data_.data();
        ops.rxq.clbk = callbacks_.data();
        ops.txq.clbk = callbacks_.data();
    }

    ~FakePort() {
        for (Queue& queue : queues_) {
            for (rte_mbuf* packet : take(queue.received)) {
                rte_pktmbuf_free(packet);
            }
            for (rte_mbuf* packet : take(queue.sent)) {
                rte_pktmbuf_free(packet);
            }
            rte_ring_free(queue.received);
            rte_ring_free(queue.sent);
        }
        rte_eth_fp_ops[port_id_] = saved_;
    }

    FakePort(const FakePort&) = delete;
    FakePort& operator=(const FakePort&) = delete;

    [[nodiscard]] std::uint16_t port_id() const noexcept { return port_id_; }

    // False: the queue is full, and the packet still the caller's.
    [[nodiscard]] bool inject(rte_mbuf* packet, std::uint32_t queue = 0) {
        return rte_ring_sp_enqueue(queues_[queue].received, packet) == 0;
    }

    // What was transmitted, oldest first; the caller's to free.
    [[nodiscard]] std::vector<rte_mbuf*> take_sent(std::uint32_t queue = 0) {
        return take(queues_[queue].sent);
    }

    // The transmit queue takes no more than `packets` from now on.
    void limit_tx(std::uint32_t packets, std::uint32_t queue = 0) {
        queues_[queue].tx_left = packets;
    }

    // Sizes of the bursts handed to the transmit queue, in order.
    [[nodiscard]] const std::vector<std::uint16_t>& tx_bursts(std::uint32_t queue = 0) const {
        return queues_[queue].tx_bursts;
    }

    // Off for tests that run for long.
    void record_bursts(bool on) {
        for (Queue& queue : queues_) {
            queue.record = on;
        }
    }

private:
    struct Queue {
        rte_ring* received = nullptr;
        rte_ring* sent = nullptr;
        std::uint32_t tx_left = UINT32_MAX;
        bool record = true;
        std::vector<std::uint16_t> tx_bursts;
    };

    static rte_ring* make_ring(const std::string& name, std::uint32_t size) {
        return rte_ring_create(name.c_str(), size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    }

    static std::vector<rte_mbuf*> take(rte_ring* ring) {
        std::vector<rte_mbuf*> packets;
        void* object = nullptr;
        while (rte_ring_sc_dequeue(ring, &object) == 0) {
            packets.push_back(static_cast<rte_mbuf*>(object));
        }
        return packets;
    }

    static std::uint16_t receive(void* data, rte_mbuf** packets, std::uint16_t n) {
        auto* queue = static_cast<Queue*>(data);
        return static_cast<std::uint16_t>(rte_ring_sc_dequeue_burst(
            queue->received, reinterpret_cast<void**>(packets), n, nullptr
        ));
    }

    static std::uint16_t transmit(void* data, rte_mbuf** packets, std::uint16_t n) {
        auto* queue = static_cast<Queue*>(data);
        if (queue->record) {
            queue->tx_bursts.push_back(n);
        }
        const std::uint32_t allowed = std::min<std::uint32_t>(n, queue->tx_left);
        const std::uint32_t taken = rte_ring_sp_enqueue_burst(
            queue->sent, reinterpret_cast<void**>(packets), allowed, nullptr
        );
        if (queue->tx_left != UINT32_MAX) {
            queue->tx_left -= taken;
        }
        return static_cast<std::uint16_t>(taken);
    }

    std::uint16_t port_id_;
    struct rte_eth_fp_ops saved_;
    std::array<Queue, kMaxQueues> queues_;
    std::array<void*, kMaxQueues> data_{};
    std::array<void*, kMaxQueues> callbacks_{};
};

}  // namespace culvert::pipeline::test
