// SPDX-License-Identifier: BSD-3-Clause
// An array of a fixed, large size of which only what is written takes memory: zero from the start,
// and in huge pages where the kernel gives them. Never moves, so readers keep its address.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace culvert::route {

template <typename T>
class LazyArray {
    static_assert(std::is_trivially_destructible_v<T>);

public:
    LazyArray() = default;

    ~LazyArray() {
        if (memory_ != nullptr) {
            ::munmap(memory_, mapped_bytes_);
        }
    }

    LazyArray(const LazyArray&) = delete;
    LazyArray& operator=(const LazyArray&) = delete;

    // False = no address space. Zero bytes must be what a T begins with.
    [[nodiscard]] bool map(std::size_t count) noexcept {
        const std::size_t bytes = count * sizeof(T) + kHugePageBytes;
        void* memory = ::mmap(
            nullptr,
            bytes,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        );
        if (memory == MAP_FAILED) {
            return false;
        }
        memory_ = memory;
        mapped_bytes_ = bytes;
        const auto start = reinterpret_cast<std::uintptr_t>(memory);
        const std::uintptr_t past = start % kHugePageBytes;
        const std::size_t skipped = past == 0 ? 0 : kHugePageBytes - past;
        data_ = reinterpret_cast<T*>(static_cast<std::byte*>(memory) + skipped);
        return true;
    }

    // Only advice: without huge pages it is right, and slower to look up in.
    void prefer_huge_pages() noexcept {
        static_cast<void>(::madvise(memory_, mapped_bytes_, MADV_HUGEPAGE));
    }

    [[nodiscard]] T* data() const noexcept { return data_; }

    [[nodiscard]] T& operator[](std::size_t at) const noexcept { return data_[at]; }

private:
    static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20U;

    void* memory_ = nullptr;
    std::size_t mapped_bytes_ = 0;
    T* data_ = nullptr;
};

}  // namespace culvert::route
