// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/workers.hpp"

#include "lib/control/core.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>

namespace culvert::control {

namespace {

constexpr unsigned kToControl = 2048;    // packets
constexpr unsigned kFromControl = 1024;  // packets
constexpr unsigned kHandover = 1024;     // packets, from each other worker
constexpr unsigned kLearned = 16384;     // events of 32 bytes

// One producer, one consumer. nullptr = no memory.
rte_ring* make_ring(unsigned element_bytes, unsigned count) {
    static unsigned made = 0;
    const std::string name = fmt::format("culvert_{}", made++);
    return rte_ring_create_elem(
        name.c_str(), element_bytes, count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ
    );
}

int run_worker(void* worker) {
    pipeline::worker_loop(*static_cast<pipeline::Worker*>(worker));
    return 0;
}

}  // namespace

Result<std::unique_ptr<WorkerPool>>
WorkerPool::create(Core& core, const std::vector<pipeline::WorkerConfig>& configs) {
    std::unique_ptr<WorkerPool> pool(new WorkerPool(core));
    for (const pipeline::WorkerConfig& config : configs) {
        pool->workers_.push_back(std::make_unique<pipeline::Worker>(
            config,
            core.tables(),
            core.domain(),
            core.worker_counters(config.index),
            core.doorbell(),
            core.pool()
        ));
        pool->workers_.back()->stop = &pool->stop_;
        pool->workers_.back()->receiving = &pool->receiving_;
    }
    CULVERT_CHECK(pool->make_rings());
    for (auto& worker : pool->workers_) {
        core.attach_worker(*worker);
    }
    return pool;
}

Result<void> WorkerPool::make_rings() {
    auto ring = [this](unsigned element_bytes, unsigned count) {
        rte_ring* made = make_ring(element_bytes, count);
        if (made != nullptr) {
            rings_.push_back(made);
        }
        return made;
    };
    const Error no_memory{
        std::errc::not_enough_memory, "start: not enough DPDK memory for the workers' rings (-m)"};
    for (auto& worker : workers_) {
        pipeline::WorkerRings& rings = worker->rings;
        rings.to_control = ring(sizeof(void*), kToControl);
        rings.from_control = ring(sizeof(void*), kFromControl);
        rings.learned = ring(sizeof(fdb::LearnEvent), kLearned);
        if (rings.to_control == nullptr || rings.from_control == nullptr ||
            rings.learned == nullptr) {
            return no_memory;
        }
        for (const auto& from : workers_) {
            rte_ring* handover = from == worker ? nullptr : ring(sizeof(void*), kHandover);
            if (from != worker && handover == nullptr) {
                return no_memory;
            }
            rings.handover.push_back(handover);
        }
    }
    for (auto& worker : workers_) {
        for (auto& peer : workers_) {
            worker->peers.push_back(&peer->rings);
        }
    }
    return {};
}

Result<void> WorkerPool::launch() {
    launched_ = true;
    for (auto& worker : workers_) {
        if (rte_eal_remote_launch(run_worker, worker.get(), worker->config.lcore) != 0) {
            return Error{
                std::errc::device_or_resource_busy,
                fmt::format("start: lcore {} is busy", worker->config.lcore)};
        }
    }
    return {};
}

void WorkerPool::stop() {
    stop_.store(true, std::memory_order_release);
    if (launched_) {
        for (auto& worker : workers_) {
            rte_eal_wait_lcore(worker->config.lcore);
        }
        launched_ = false;
    }
    for (auto& worker : workers_) {
        pipeline::drain(*worker);
    }
}

WorkerPool::~WorkerPool() {
    stop();
    core_.detach_workers();
    for (rte_ring* ring : rings_) {
        rte_ring_free(ring);
    }
}

}  // namespace culvert::control
