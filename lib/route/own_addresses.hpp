// SPDX-License-Identifier: BSD-3-Clause
// Whether an address can be one of ours, asked of every packet's source: a set of bits that says no
// for certain and yes at a venture. Who hears yes looks the address up in the FIB. Linux
// asks its own table of addresses the same (inet_lookup_ifaddr_rcu, from fib_validate_source).
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace culvert::route {

// An IPv6 address as what OwnAddresses takes.
[[nodiscard]] inline std::uint32_t fold(const std::array<std::uint8_t, 16>& address) noexcept {
    const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(address);
    const std::uint64_t both = words[0] * 3 + words[1];
    return static_cast<std::uint32_t>(both ^ (both >> 32));
}

class OwnAddresses {
public:
    // reader: host order. False: it is not ours. With n addresses in it, one foreign address in
    // 4096 / n hears true.
    [[nodiscard]] bool may_contain(std::uint32_t address) const noexcept {
        const std::uint32_t bit = bit_of(address);
        const std::uint64_t word = words_[bit / 64].load(std::memory_order_relaxed);
        return (word >> (bit % 64) & 1) != 0;
    }

    // writer: once an address, when it becomes ours and when it ceases to be.
    void add(std::uint32_t address) noexcept {
        const std::uint32_t bit = bit_of(address);
        if (counts_[bit]++ == 0) {
            change(bit, true);
        }
    }

    void remove(std::uint32_t address) noexcept {
        const std::uint32_t bit = bit_of(address);
        if (--counts_[bit] == 0) {
            change(bit, false);
        }
    }

private:
    static constexpr unsigned kLogBits = 12;
    static constexpr std::size_t kBits = std::size_t{1} << kLogBits;

    [[nodiscard]] static constexpr std::uint32_t bit_of(std::uint32_t address) noexcept {
        constexpr std::uint32_t kGolden = 0x9e3779b1;  // 2^32 / golden section
        return address * kGolden >> (32 - kLogBits);
    }

    void change(std::uint32_t bit, bool set) noexcept {
        std::atomic<std::uint64_t>& word = words_[bit / 64];
        const std::uint64_t mask = std::uint64_t{1} << (bit % 64);
        const std::uint64_t before = word.load(std::memory_order_relaxed);
        word.store(set ? before | mask : before & ~mask, std::memory_order_relaxed);
    }

    alignas(64) std::array<std::atomic<std::uint64_t>, kBits / 64> words_{};  // worker: ro
    std::array<std::uint32_t, kBits> counts_{};                               // control only
};

}  // namespace culvert::route
