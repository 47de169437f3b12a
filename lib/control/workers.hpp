// SPDX-License-Identifier: BSD-3-Clause
// The workers of the program: their objects, rings and lives. One a worker lcore.
#pragma once

#include "lib/net/result.hpp"
#include "lib/pipeline/worker.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace culvert::control {

class Core;

class WorkerPool {
public:
    // Workers with their rings, attached to the core; not running. Error ENOMEM.
    static Result<std::unique_ptr<WorkerPool>>
    create(Core& core, const std::vector<pipeline::WorkerConfig>& configs);
    // stop()s.
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // Each on its lcore. Error EBUSY.
    Result<void> launch();

    // false: queues are not read; what control and other workers hand over still goes out.
    void set_receiving(bool receiving) noexcept {
        receiving_.store(receiving, std::memory_order_relaxed);
    }

    [[nodiscard]] bool is_receiving() const noexcept {
        return receiving_.load(std::memory_order_relaxed);
    }

    // Ends the loops, waits for them, and drops what was on its way (Drop::shutdown).
    void stop();

private:
    explicit WorkerPool(Core& core)
        : core_(core) {}

    Result<void> make_rings();

    alignas(64) std::atomic<bool> stop_{false};       // worker: ro, control: wo
    alignas(64) std::atomic<bool> receiving_{false};  // worker: ro, control: wo
    alignas(64) Core& core_;
    std::vector<std::unique_ptr<pipeline::Worker>> workers_;
    std::vector<rte_ring*> rings_;
    bool launched_ = false;
};

}  // namespace culvert::control
