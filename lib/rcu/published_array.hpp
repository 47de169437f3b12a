// SPDX-License-Identifier: BSD-3-Clause
// Many published pointers under dense numbers: links, adjacencies, tunnel templates, remote lists.
// Readers index it without a bound check beyond the capacity; the writer allocates numbers and
// reuses one only after a grace period, so that a number read before an erase can never name
// something else.
#pragma once

#include "lib/rcu/domain.hpp"
#include "lib/rcu/table_memory.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace culvert::rcu {

template <typename T>
class PublishedArray {
public:
    using Id = std::uint32_t;
    static constexpr Id kNone = 0;  // never allocated: "no object"

    // Ids are 1 .. capacity - 1. Memory is touched only where ids are used. Throws std::bad_alloc
    // (start-up only).
    PublishedArray(Domain& domain, std::uint32_t capacity)
        : domain_(domain)
        , capacity_(capacity) {
        void* memory = ::mmap(
            nullptr,
            bytes(),
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        );
        if (memory == MAP_FAILED) {
            throw_out_of_memory();
        }
        // Zero pages are null pointers: nothing to construct.
        pointers_ = static_cast<std::atomic<const T*>*>(memory);
    }

    // No reader may be left, and the domain must have run what this array retired.
    ~PublishedArray() {
        for (Id id = 1; id < next_; ++id) {
            delete pointers_[id].load(std::memory_order_relaxed);
        }
        ::munmap(pointers_, bytes());
    }

    PublishedArray(const PublishedArray&) = delete;
    PublishedArray& operator=(const PublishedArray&) = delete;

    // reader: nullptr = nothing there. Precondition: id < capacity. Valid until the reader's next
    // quiescent().
    [[nodiscard]] const T* read(Id id) const noexcept {
        return pointers_[id].load(std::memory_order_acquire);
    }

    // reader: ask for the pointer's line early.
    void prefetch(Id id) const noexcept { __builtin_prefetch(&pointers_[id]); }

    // writer: a free id, or kNone when all are taken.
    [[nodiscard]] Id allocate() {
        if (!free_.empty()) {
            Id id = free_.back();
            free_.pop_back();
            return id;
        }
        return next_ < capacity_ ? next_++ : kNone;
    }

    // writer: what readers find under `id` from now on; what was there is retired.
    void publish(Id id, std::unique_ptr<const T> next) {
        const T* old = pointers_[id].exchange(next.release(), std::memory_order_acq_rel);
        domain_.retire_object(std::unique_ptr<const T>(old));
    }

    // writer: takes the object away; the id is free again after a grace period.
    void erase(Id id) {
        publish(id, nullptr);
        domain_.retire([this, id] { free_.push_back(id); });
    }

    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

    // One past the highest id ever allocated.
    [[nodiscard]] Id end() const noexcept { return next_; }

private:
    [[nodiscard]] std::size_t bytes() const noexcept {
        return std::size_t{capacity_} * sizeof(*pointers_);
    }

    Domain& domain_;
    std::uint32_t capacity_;
    Id next_ = 1;
    std::vector<Id> free_;
    std::atomic<const T*>* pointers_ = nullptr;  // worker: ro, control: wo
};

}  // namespace culvert::rcu
