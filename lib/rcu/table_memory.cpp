// SPDX-License-Identifier: BSD-3-Clause
#include "lib/rcu/table_memory.hpp"

#include <stdlib.h>
#include <sys/mman.h>

#include <new>
#include <random>

namespace culvert::rcu {

namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20U;

}  // namespace

void* allocate_table_memory(std::size_t bytes) noexcept {
    const bool huge = bytes >= kHugePageBytes;
    const std::size_t alignment = huge ? kHugePageBytes : kLineBytes;
    if (bytes > SIZE_MAX - alignment) {
        return nullptr;
    }
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* memory = aligned_alloc(alignment, rounded);
    if (memory != nullptr && huge) {
        // Only advice: without huge pages the table is right, and slower.
        static_cast<void>(madvise(memory, rounded, MADV_HUGEPAGE));
    }
    return memory;
}

void free_table_memory(void* memory) noexcept {
    free(memory);
}

void throw_out_of_memory() {
    throw std::bad_alloc();
}

Secret random_secret() {
    std::random_device device;
    Secret secret{};
    for (std::uint64_t& word : secret.words) {
        word = std::uint64_t{device()} << 32U | device();
    }
    secret.words[1] |= 1U;
    secret.words[3] |= 1U;
    return secret;
}

}  // namespace culvert::rcu
