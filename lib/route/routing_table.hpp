// SPDX-License-Identifier: BSD-3-Clause
// One routing table: the routes that users and addresses put there, and what workers read of them.
// Control only.
#pragma once

#include "lib/net/address.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/fib4.hpp"
#include "lib/route/fib6.hpp"
#include "lib/route/fib6_by_length.hpp"
#include "lib/route/own_addresses.hpp"
#include "lib/route/path_mtus.hpp"
#include "lib/route/rib.hpp"
#include "lib/route/table_view.hpp"

#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace culvert::route {

struct RoutingTable {
    RoutingTable(TableId number, std::unique_ptr<Fib4> ip4_fib)
        : id(number)
        , fib4(std::move(ip4_fib)) {}

    const TableId id;
    Rib rib{};
    std::set<net::Prefix> with_multipath{};  // prefixes that may have such routes
    std::set<net::Prefix> with_tos{};        // prefixes that have routes by TOS
    PathMtus path_mtus{};
    OwnAddresses own_addresses{};
    OwnAddresses own_addresses6{};
    std::unique_ptr<Fib4> fib4;
    std::unique_ptr<Fib6> fib6{};                    // the main table
    std::unique_ptr<Fib6ByLength> fib6_by_length{};  // all others
    std::optional<TableView> view{};                 // all others
    // A route leaves by a link of another table: that link's neighbours have host routes here, too.
    bool has_leaks = false;

    Result<void> set(const net::Prefix& prefix, AdjacencyId id_of_way) {
        if (prefix.address.is_v4()) {
            return fib4->set(prefix, id_of_way);
        }
        return fib6 ? fib6->set(prefix, id_of_way) : fib6_by_length->set(prefix, id_of_way);
    }

    Result<void> erase(const net::Prefix& prefix) {
        if (prefix.address.is_v4()) {
            return fib4->erase(prefix);
        }
        return fib6 ? fib6->erase(prefix) : fib6_by_length->erase(prefix);
    }
};

}  // namespace culvert::route
