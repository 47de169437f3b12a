// SPDX-License-Identifier: BSD-3-Clause
// Longest prefix match for IPv6 in the tables of VRFs, with the interface of Fib6: one hash table
// of all prefixes, asked once a length that there is, the longest first. rte_lpm6 takes 70 MB a
// table at least, which the one main table may and a thousand VRFs may not; a VRF's own addresses,
// networks and default route are three lengths.
//
// Threads: any number of readers, one writer.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/result.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/rcu/hash_table.hpp"
#include "lib/route/adjacency.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace culvert::route {

class Fib6ByLength {
public:
    using Address = std::array<std::uint8_t, 16>;  // wire order

    // Throws std::bad_alloc.
    Fib6ByLength(rcu::Domain& domain, std::size_t max_routes);

    // reader: ids[i] = the adjacency of addresses[i], 0 = no route.
    void lookup_bulk(const Address* addresses, AdjacencyId* ids, unsigned n) const noexcept;
    [[nodiscard]] AdjacencyId lookup(const Address& address) const noexcept;

    // writer: adds the prefix (host bits must be clear) or gives it another adjacency, at once for
    // all readers. Error ENOSPC.
    Result<void> set(const net::Prefix& prefix, AdjacencyId adjacency);
    // Error ENOENT.
    Result<void> erase(const net::Prefix& prefix);

    [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }

private:
    static constexpr std::uint8_t kMaxLength = 128;

    struct Key {
        Address network{};
        std::uint32_t length = 0;

        friend bool operator==(const Key&, const Key&) = default;
    };

    [[nodiscard]] static Key key_of(const Address& address, std::uint32_t length) noexcept;

    rcu::HashTable<Key, AdjacencyId> routes_;
    // Bit 128 - length: there are such prefixes. worker: ro, control: wo
    std::array<std::atomic<std::uint64_t>, 3> lengths_{};
    std::array<std::uint32_t, kMaxLength + 1> counts_{};  // control only
};

}  // namespace culvert::route
