// SPDX-License-Identifier: BSD-3-Clause
// Routing: tables beside the main one, and the VRFs that have them. A VRF's links are routed by its
// table; where that has no route, by main, as in Linux: who does not want that gives the VRF an
// unreachable default route, as the kernel's documentation of vrf says. Its addresses are its own.
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace culvert::route {

namespace {

// What a table has room for beside users' routes: those of addresses and neighbours.
constexpr std::uint32_t kFibReserve = 65536;

}  // namespace

LinkId Routing::Impl::vrf_of(LinkId link) const {
    const Link* found = find_link(link);
    return found != nullptr ? found->parameters.vrf : kNoLink;
}

TableId Routing::Impl::table_id_of(LinkId link) const {
    const Link* found = find_link(link);
    return found != nullptr ? found->parameters.table : kMainTable;
}

bool Routing::Impl::is_vrf(LinkId link) const {
    return link != kNoLink && vrf_of(link) == link;
}

// Precondition of both: open_table() made it before a link was said to be routed by it.
const RoutingTable& Routing::Impl::table_of(LinkId link) const {
    return *find_table(table_id_of(link));
}

RoutingTable& Routing::Impl::table_of(LinkId link) {
    return *find_table(table_id_of(link));
}

RoutingTable* Routing::Impl::find_table(TableId table) {
    if (table == kMainTable) {
        return main_;
    }
    const auto found = tables_.find(table);
    return found == tables_.end() ? nullptr : found->second.get();
}

const RoutingTable* Routing::Impl::find_table(TableId table) const {
    if (table == kMainTable) {
        return main_;
    }
    const auto found = tables_.find(table);
    return found == tables_.end() ? nullptr : found->second.get();
}

Result<RoutingTable*> Routing::Impl::make_table(TableId table) {
    if (RoutingTable* found = find_table(table); found != nullptr) {
        return found;
    }
    if (table == 0 || table == kLocalTable) {
        return Error{
            std::errc::invalid_argument, fmt::format("table {}: users have no say in it", table)};
    }
    if (tables_.size() > limits_.tables) {
        return Error{
            std::errc::no_space_on_device,
            fmt::format("table {}: all {} tables are in use", table, limits_.tables)};
    }
    CULVERT_TRY(
        fib4,
        Fib4::create(
            domain_, limits_.routes4 + limits_.neighbours + kFibReserve, Fib4::Pages::small
        )
    );
    auto made = std::make_unique<RoutingTable>(table, std::move(fib4));
    made->fib6_by_length = std::make_unique<Fib6ByLength>(
        domain_, std::size_t{limits_.routes6} + limits_.neighbours + kFibReserve
    );
    made->view.emplace(TableView{
        *made->fib4, *made->fib6_by_length, made->own_addresses, made->own_addresses6});
    CULVERT_CHECK(sync(*made, {kLimitedBroadcast, 32}));
    return tables_.emplace(table, std::move(made)).first->second.get();
}

Result<const TableView*> Routing::Impl::open_table(TableId table) {
    CULVERT_TRY(opened, make_table(table));
    return opened->view.has_value() ? &*opened->view : nullptr;
}

// Workers may be in it for as long as they may know a link of its VRF.
void Routing::Impl::drop_table_if_unused(TableId table) {
    RoutingTable* found = find_table(table);
    if (found == nullptr || found == main_ ||
        found->rib.size(net::Family::ipv4) + found->rib.size(net::Family::ipv6) != 0 ||
        std::any_of(links_.begin(), links_.end(), [table](const auto& entry) {
            return entry.second.parameters.table == table;
        })) {
        return;
    }
    // All that is left.
    static_cast<void>(withdraw(*found, {kLimitedBroadcast, 32}));
    const std::shared_ptr<RoutingTable> gone = std::move(tables_.find(table)->second);
    tables_.erase(table);
    domain_.retire([gone] {});
}

bool Routing::Impl::is_local_in(TableId table, const net::IpAddress& address) const {
    const RoutingTable* found = find_table(table);
    const Route* route = found != nullptr ? found->rib.longest_match(address) : nullptr;
    return route != nullptr && route->type == RouteType::local;
}

// fib_valid_prefsrc(): of the route's own table, of its link's, or of main.
bool Routing::Impl::is_source_of(const Route& route) const {
    const net::IpAddress& source = *route.preferred_source;
    return is_local_in(route.table, source) || is_local(source, route.link) ||
           is_local_in(kMainTable, source);
}

// Neighbours of `link` are found by routes of these tables.
void Routing::Impl::note_leaks(RoutingTable& table, const Route& route) const {
    const auto is_foreign = [&](LinkId link) {
        return link != kNoLink && table_id_of(link) != table.id;
    };
    table.has_leaks =
        table.has_leaks || is_foreign(route.link) ||
        std::any_of(route.next_hops.begin(), route.next_hops.end(), [&](const NextHop& hop) {
            return is_foreign(hop.link);
        });
}

// A neighbour has a MAC, or has no more. What finds no room is reached through its prefix's glean
// adjacency.
void Routing::Impl::sync_host(const NeighbourKey& key) {
    const net::Prefix host{key.address, static_cast<std::uint8_t>(key.address.is_v4() ? 32 : 128)};
    RoutingTable& own = table_of(key.link);
    static_cast<void>(sync(own, host));
    for (const auto& [id, table] : tables_) {
        if (table->has_leaks && table.get() != &own) {
            static_cast<void>(sync(*table, host));
        }
    }
}

}  // namespace culvert::route
