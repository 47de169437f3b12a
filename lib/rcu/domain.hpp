// SPDX-License-Identifier: BSD-3-Clause
// Readers and the writer. Workers read tables without locks and say "quiescent" once a loop; the
// control thread is the only writer, and frees what it replaced only after every worker has said so
// since (a grace period). Built on rte_rcu_qsbr alone: the retire list is ours, since rte_hash's
// defer queue leaks, waits for itself or frees late depending on the DPDK release.
#pragma once

#include <rte_rcu_qsbr.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

namespace culvert::rcu {

// A dense number of a reader: 0 .. max_readers - 1.
using ReaderId = std::uint32_t;

class Domain {
public:
    // Throws std::bad_alloc when memory for `max_readers` is not to be had (start-up only).
    explicit Domain(std::uint32_t max_readers);
    // Precondition: no reader is online. Frees all that is still retired.
    ~Domain();
    Domain(const Domain&) = delete;
    Domain& operator=(const Domain&) = delete;

    // reader: called by the reader's own thread. online() before the first read, offline() before
    // anything that may block; quiescent() when no pointer into a table is held, once a loop.
    void online(ReaderId reader) noexcept { rte_rcu_qsbr_thread_online(qsbr_.get(), reader); }

    void offline(ReaderId reader) noexcept { rte_rcu_qsbr_thread_offline(qsbr_.get(), reader); }

    // Less than a cycle while the writer asks for nothing.
    void quiescent(ReaderId reader) noexcept { rte_rcu_qsbr_quiescent(qsbr_.get(), reader); }

    // writer: runs `release` after a grace period, from reclaim(). The object must already be
    // unreachable for new readers.
    void retire(std::function<void()> release);

    template <typename T>
    void retire_object(std::unique_ptr<T> object) {
        if (object != nullptr) {
            retire([raw = object.release()] { delete raw; });
        }
    }

    // writer: runs what has passed its grace period, without waiting; at most `max` releases.
    // Returns how many ran. One comparison when nothing is retired.
    std::size_t reclaim(std::size_t max = SIZE_MAX) {
        return retired_.empty() ? 0 : reclaim_retired(max);
    }

    // writer: waits for a grace period (some microseconds with polling workers), then runs all that
    // is retired. Must not be called by an online reader: it would wait for itself.
    void synchronize();

    // A point in time to ask about later: has every reader been quiescent since? (writer)
    [[nodiscard]] std::uint64_t start_grace_period() noexcept;
    [[nodiscard]] bool has_passed(std::uint64_t token) noexcept;

    [[nodiscard]] std::size_t retired_count() const noexcept { return retired_.size(); }

private:
    struct Retired {
        std::uint64_t token;
        std::function<void()> release;
    };

    std::size_t reclaim_retired(std::size_t max);
    void release_oldest();

    std::unique_ptr<rte_rcu_qsbr, void (*)(rte_rcu_qsbr*)> qsbr_;
    std::deque<Retired> retired_;  // oldest first
};

}  // namespace culvert::rcu
