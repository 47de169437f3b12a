// SPDX-License-Identifier: BSD-3-Clause
// One pointer to an immutable object: readers load it, the writer replaces it and retires what it
// replaced. Never a pointer and a count: the object carries its own size.
#pragma once

#include "lib/rcu/domain.hpp"

#include <atomic>
#include <memory>

namespace culvert::rcu {

template <typename T>
class Published {
public:
    Published() = default;

    // No reader may be left.
    ~Published() { delete pointer_.load(std::memory_order_relaxed); }

    Published(const Published&) = delete;
    Published& operator=(const Published&) = delete;

    // reader: valid until the reader's next quiescent(). nullptr = nothing published.
    [[nodiscard]] const T* read() const noexcept {
        return pointer_.load(std::memory_order_acquire);
    }

    // writer: what readers find from now on; the old object is retired.
    void publish(Domain& domain, std::unique_ptr<const T> next) {
        const T* old = pointer_.exchange(next.release(), std::memory_order_acq_rel);
        domain.retire_object(std::unique_ptr<const T>(old));
    }

private:
    std::atomic<const T*> pointer_{nullptr};  // worker: ro, control: wo
};

}  // namespace culvert::rcu
