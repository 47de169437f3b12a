// SPDX-License-Identifier: BSD-3-Clause
// Longest prefix match for IPv4 over rte_fib (DIR24_8). Each route has a slot number of its own in
// rte_fib, because 22.11 fails later adds when a prefix longer than /24 shares its covering
// prefix's next hop; the slot leads to the adjacency. Nothing that a delete freed is reused before
// a grace period: rte_fib itself knows no readers.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/result.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/adjacency.hpp"

#include <cstdint>
#include <memory>

namespace culvert::route {

class Fib4 {
public:
    // Memory grows with the routes, up to `max_routes`; an empty one takes about 70 MB of DPDK
    // memory (DIR24_8's first table). Error ENOMEM.
    static Result<std::unique_ptr<Fib4>> create(rcu::Domain& domain, std::uint32_t max_routes);
    ~Fib4();
    Fib4(const Fib4&) = delete;
    Fib4& operator=(const Fib4&) = delete;

    // reader: ids[i] = the adjacency of addresses[i] (host order), 0 = no route. n <= 64.
    void lookup_bulk(const std::uint32_t* addresses, AdjacencyId* ids, unsigned n) const noexcept;
    [[nodiscard]] AdjacencyId lookup(std::uint32_t address) const noexcept;

    // writer: adds the prefix (host bits must be clear) or gives it another adjacency, at once for
    // all readers. Errors: ENOSPC, ENOMEM.
    Result<void> set(const net::Prefix& prefix, AdjacencyId adjacency);
    // Error ENOENT.
    Result<void> erase(const net::Prefix& prefix);
    [[nodiscard]] std::size_t size() const noexcept;

private:
    struct State;
    explicit Fib4(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace culvert::route
