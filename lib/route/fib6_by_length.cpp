// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib6_by_length.hpp"

#include "lib/rcu/hash_table_writer.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace culvert::route {

namespace {

constexpr std::size_t kInitialRoutes = 16;
constexpr std::uint32_t kWordBits = 64;

// The upper `length` bits as they lie in memory: wire order.
std::uint64_t mask_of(std::uint32_t length) noexcept {
    if (length == 0) {
        return 0;
    }
    return __builtin_bswap64(~std::uint64_t{0} << (kWordBits - std::min(length, kWordBits)));
}

}  // namespace

Fib6ByLength::Fib6ByLength(rcu::Domain& domain, std::size_t max_routes)
    : routes_(domain, kInitialRoutes, max_routes) {}

Fib6ByLength::Key Fib6ByLength::key_of(const Address& address, std::uint32_t length) noexcept {
    auto words = std::bit_cast<std::array<std::uint64_t, 2>>(address);
    words[0] &= mask_of(length);
    words[1] &= mask_of(length > kWordBits ? length - kWordBits : 0);
    return {std::bit_cast<Address>(words), length};
}

AdjacencyId Fib6ByLength::lookup(const Address& address) const noexcept {
    const auto view = routes_.view();
    for (std::uint32_t word = 0; word < lengths_.size(); ++word) {
        std::uint64_t bits = lengths_[word].load(std::memory_order_acquire);
        for (; bits != 0; bits &= bits - 1) {
            const auto bit = static_cast<std::uint32_t>(std::countr_zero(bits));
            const Key key = key_of(address, kMaxLength - (word * kWordBits + bit));
            AdjacencyId found = 0;
            if (view.find(view.prefetch(key), key, found)) {
                return found;
            }
        }
    }
    return 0;
}

void Fib6ByLength::lookup_bulk(const Address* addresses, AdjacencyId* ids, unsigned n)
    const noexcept {
    for (unsigned i = 0; i < n; ++i) {
        ids[i] = lookup(addresses[i]);
    }
}

Result<void> Fib6ByLength::set(const net::Prefix& prefix, AdjacencyId adjacency) {
    const std::uint32_t bit = kMaxLength - prefix.length;
    std::atomic<std::uint64_t>& word = lengths_[bit / kWordBits];
    const std::uint64_t mask = std::uint64_t{1} << (bit % kWordBits);
    // Whoever finds the prefix must look for its length.
    word.store(word.load(std::memory_order_relaxed) | mask, std::memory_order_release);
    switch (routes_.insert(key_of(prefix.address.bytes(), prefix.length), adjacency)) {
    case rcu::Inserted::added:
        ++counts_[prefix.length];
        break;
    case rcu::Inserted::replaced:
        break;
    case rcu::Inserted::full:
        return Error{
            std::errc::no_space_on_device,
            fmt::format("IPv6 FIB: no room for {}", prefix.to_string())};
    }
    return {};
}

Result<void> Fib6ByLength::erase(const net::Prefix& prefix) {
    if (!routes_.erase(key_of(prefix.address.bytes(), prefix.length))) {
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("IPv6 FIB: {} is not there", prefix.to_string())};
    }
    if (--counts_[prefix.length] == 0) {
        const std::uint32_t bit = kMaxLength - prefix.length;
        std::atomic<std::uint64_t>& word = lengths_[bit / kWordBits];
        const std::uint64_t mask = std::uint64_t{1} << (bit % kWordBits);
        word.store(word.load(std::memory_order_relaxed) & ~mask, std::memory_order_release);
    }
    return {};
}

}  // namespace culvert::route
