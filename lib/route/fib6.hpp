// SPDX-License-Identifier: BSD-3-Clause
// Longest prefix match for IPv6 over rte_lpm6, with the interface of Fib4. Each route has a slot
// number of its own, which leads to the adjacency. rte_lpm6 knows no readers: nothing that a delete
// freed is reused before a grace period. (22.11's rte_fib6 loses table groups on every delete.)
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/result.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/adjacency.hpp"

#include <array>
#include <cstdint>
#include <memory>

namespace culvert::route {

class Fib6 {
public:
    using Address = std::array<std::uint8_t, 16>;  // wire order
    static constexpr std::uint32_t kMaxRoutes = std::uint32_t{1} << 20;

    // Takes no memory until there is a route (then some 70 MB of DPDK's: rte_lpm6's first table),
    // and more with the routes, up to `max_routes`. Errors ENOMEM, EINVAL.
    static Result<std::unique_ptr<Fib6>> create(rcu::Domain& domain, std::uint32_t max_routes);
    ~Fib6();
    Fib6(const Fib6&) = delete;
    Fib6& operator=(const Fib6&) = delete;

    // reader: ids[i] = the adjacency of addresses[i], 0 = no route. n <= 64.
    void lookup_bulk(const Address* addresses, AdjacencyId* ids, unsigned n) const noexcept;
    [[nodiscard]] AdjacencyId lookup(const Address& address) const noexcept;

    // writer: adds the prefix (host bits must be clear) or gives it another adjacency, at once for
    // all readers. Errors: ENOSPC, ENOMEM.
    Result<void> set(const net::Prefix& prefix, AdjacencyId adjacency);
    // Error ENOENT.
    Result<void> erase(const net::Prefix& prefix);
    [[nodiscard]] std::size_t size() const noexcept;

private:
    struct State;
    explicit Fib6(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace culvert::route
