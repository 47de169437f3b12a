// SPDX-License-Identifier: BSD-3-Clause
// What a hash table needs from outside: memory for its buckets, and a secret for its hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::rcu {

// Aligned to 64 bytes; from 2 MiB on aligned to a huge page and marked for one. Not initialised.
// nullptr = no memory.
[[nodiscard]] void* allocate_table_memory(std::size_t bytes) noexcept;
void free_table_memory(void* memory) noexcept;

// For headers that are also compiled without exceptions.
[[noreturn]] void throw_out_of_memory();

// Keys come from the network (a MAC is learned from whoever sends one), so whoever sends must not
// be able to choose keys that share a bucket: a CRC is linear and gives such keys for free,
// whatever its seed. Every table draws its own secret.
struct Secret {
    std::array<std::uint64_t, 4> words;  // [1] and [3] are odd: they are multipliers
};

[[nodiscard]] Secret random_secret();

// The 128-bit product, folded: every bit of both operands reaches the low bits of the result.
[[nodiscard]] inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Product = unsigned __int128;
    Product product = static_cast<Product>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

}  // namespace culvert::rcu
