// SPDX-License-Identifier: BSD-3-Clause
#include "lib/rcu/domain.hpp"

#include "lib/rcu/table_memory.hpp"

#include <rte_pause.h>

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

namespace culvert::rcu {

namespace {

void free_qsbr(rte_rcu_qsbr* qsbr) {
    free_table_memory(qsbr);
}

// All readers are registered from the start: a reader that was never online holds nobody up, and
// with as many readers as places the check needs no bitmap.
rte_rcu_qsbr* create_qsbr(std::uint32_t max_readers) {
    auto* qsbr =
        static_cast<rte_rcu_qsbr*>(allocate_table_memory(rte_rcu_qsbr_get_memsize(max_readers)));
    bool ready = qsbr != nullptr && rte_rcu_qsbr_init(qsbr, max_readers) == 0;
    for (std::uint32_t reader = 0; ready && reader < max_readers; ++reader) {
        ready = rte_rcu_qsbr_thread_register(qsbr, reader) == 0;
    }
    if (!ready) {
        free_qsbr(qsbr);
        throw_out_of_memory();
    }
    return qsbr;
}

}  // namespace

Domain::Domain(std::uint32_t max_readers)
    : qsbr_(create_qsbr(std::max(max_readers, std::uint32_t{1})), free_qsbr) {}

Domain::~Domain() {
    while (!retired_.empty()) {
        release_oldest();
    }
}

void Domain::retire(std::function<void()> release) {
    retired_.push_back({start_grace_period(), std::move(release)});
}

// What a release itself retires goes to the end of the list, with a later token.
void Domain::release_oldest() {
    std::function<void()> release = std::move(retired_.front().release);
    retired_.pop_front();
    release();
}

std::size_t Domain::reclaim_retired(std::size_t max) {
    std::size_t ran = 0;
    while (ran < max && !retired_.empty() && has_passed(retired_.front().token)) {
        release_oldest();
        ++ran;
    }
    return ran;
}

void Domain::synchronize() {
    // A polling reader answers within a burst; one that shares the writer's CPU needs the CPU to
    // answer.
    constexpr unsigned kSpins = 4096;
    const std::size_t waiting = retired_.size();
    const std::uint64_t token = start_grace_period();
    for (unsigned spins = 0; !has_passed(token); ++spins) {
        if (spins < kSpins) {
            rte_pause();
        } else {
            std::this_thread::yield();
        }
    }
    for (std::size_t i = 0; i < waiting; ++i) {
        release_oldest();
    }
}

std::uint64_t Domain::start_grace_period() noexcept {
    return rte_rcu_qsbr_start(qsbr_.get());
}

bool Domain::has_passed(std::uint64_t token) noexcept {
    return rte_rcu_qsbr_check(qsbr_.get(), token, false) == 1;
}

}  // namespace culvert::rcu
