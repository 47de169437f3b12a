// SPDX-License-Identifier: BSD-3-Clause
// Routing: the FIB that follows from the routes.
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::route {

namespace {

constexpr std::uint8_t kLinkLocalLength = 10;  // fe80::/10

AdjacencyKind kind_of(RouteType type) noexcept {
    switch (type) {
    case RouteType::local:
        return AdjacencyKind::local;
    case RouteType::broadcast:
        return AdjacencyKind::broadcast;
    case RouteType::unreachable:
        return AdjacencyKind::unreachable;
    case RouteType::prohibit:
        return AdjacencyKind::prohibit;
    case RouteType::blackhole:
        return AdjacencyKind::blackhole;
    case RouteType::throws:
        return AdjacencyKind::no_route;
    case RouteType::unicast:
        break;
    }
    return AdjacencyKind::glean;
}

constexpr auto kAny = [](const Route&) { return true; };

}  // namespace

std::optional<Routing::Impl::Wanted> Routing::Impl::wanted(
    const RoutingTable& table, const net::Prefix& prefix, const Rib::Node* node
) const {
    if (prefix.is_host() &&
        (prefix.address == kLimitedBroadcast || has_joined(table, prefix.address))) {
        return Wanted{{.kind = AdjacencyKind::broadcast}};
    }
    if (prefix.address.is_link_local_v6() && prefix.length >= kLinkLocalLength) {
        return std::nullopt;
    }
    return table.with_tos.empty() || !prefix.address.is_v4() ? wanted_for(table, prefix, node, 0)
                                                             : wanted_by_tos(table, prefix, node);
}

// The same for packets of one TOS. nullopt: what the shorter prefixes say.
std::optional<Routing::Impl::Wanted> Routing::Impl::wanted_for(
    const RoutingTable& table, const net::Prefix& prefix, const Rib::Node* node, std::uint8_t tos
) const {
    if (node != nullptr) {
        const auto found =
            std::find_if(node->routes.begin(), node->routes.end(), [&](const Route& route) {
                return route.takes(tos);
            });
        if (found != node->routes.end()) {
            return wanted_of(*found);
        }
    }
    if (!prefix.is_host()) {
        return std::nullopt;
    }
    // A neighbour with a MAC, if its address is on-link there.
    const Route* covering = table.rib.longest_match(prefix.address, kAny, tos);
    if (covering == nullptr || covering->type != RouteType::unicast ||
        covering->gateway.has_value()) {
        return std::nullopt;
    }
    const auto is_known_on = [&](LinkId link) {
        return with_mac_.count({prefix.address, link}) != 0;
    };
    // Of several next hops those without a gateway have the destination itself for one: without a
    // route of its own each packet that chooses such would end in control.
    if (std::any_of(
            covering->next_hops.begin(),
            covering->next_hops.end(),
            [&](const NextHop& hop) { return !hop.gateway.has_value() && is_known_on(hop.link); }
        )) {
        Route host = *covering;
        host.prefix = prefix;
        return wanted_of(host);
    }
    if (!is_known_on(covering->link)) {
        return std::nullopt;
    }
    return Wanted{
        {covering->link,
         prefix.address,
         covering->mtu,
         AdjacencyKind::incomplete,
         prefix.address.family()}};
}

// RT-05 (fib_table_lookup): each kind of packet has what the longest prefix says that has a route
// for it.
std::optional<Routing::Impl::Wanted> Routing::Impl::wanted_by_tos(
    const RoutingTable& table, const net::Prefix& prefix, const Rib::Node* node
) const {
    std::array<Wanted, kTosKinds> kinds;
    bool is_any = false;
    for (std::size_t kind = 0; kind < kTosKinds; ++kind) {
        const auto tos = static_cast<std::uint8_t>(kind << 2);
        if (const auto own = wanted_for(table, prefix, node, tos); own.has_value()) {
            kinds[kind] = *own;
            is_any = true;
            continue;
        }
        const auto is_shorter = [&](const Route& route) {
            return route.prefix.length < prefix.length;
        };
        const Route* covering = table.rib.longest_match(prefix.address, is_shorter, tos);
        kinds[kind] =
            covering != nullptr ? wanted_of(*covering) : Wanted{{.kind = AdjacencyKind::no_route}};
    }
    return is_any ? std::optional(by_tos(kinds)) : std::nullopt;
}

Routing::Impl::Wanted Routing::Impl::by_tos(const std::array<Wanted, kTosKinds>& kinds) {
    const Wanted& first = kinds.front();
    if (std::count(kinds.begin(), kinds.end(), first) == kTosKinds) {
        return first;
    }
    Wanted all{{.kind = AdjacencyKind::by_tos}};
    for (const Wanted& one : kinds) {
        all.hops.push_back({one.key, 1, one.holds_neighbour, one.hops});
    }
    return all;
}

// A route came or went.
void Routing::Impl::note_tos(RoutingTable& table, const Route& route) {
    if (route.tos == 0) {
        return;
    }
    const Rib::Node* node = table.rib.find(route.prefix);
    const bool has_any =
        node != nullptr &&
        std::any_of(node->routes.begin(), node->routes.end(), [](const Route& other) {
            return other.tos != 0;
        });
    if (has_any) {
        table.with_tos.insert(route.prefix);
    } else {
        table.with_tos.erase(route.prefix);
    }
}

// The same: longer prefixes may have routes by TOS alone, and then say what this one says of the
// other packets.
void Routing::Impl::sync_by_tos(RoutingTable& table, const net::Prefix& prefix) {
    for (auto at = table.with_tos.lower_bound(prefix);
         at != table.with_tos.end() && prefix.contains(at->address);
         ++at) {
        if (at->length > prefix.length) {
            // One that finds no room stays as it was.
            static_cast<void>(sync(table, *at));
        }
    }
}

Routing::Impl::Wanted Routing::Impl::wanted_of(const Route& route) const {
    const net::Prefix& prefix = route.prefix;
    const net::Family family = prefix.address.family();
    if (route.type != RouteType::unicast) {
        return Wanted{{.kind = kind_of(route.type)}};
    }
    if (!route.next_hops.empty()) {
        Wanted several{{.kind = AdjacencyKind::multipath, .family = family}};
        for (const NextHop& hop : route.next_hops) {
            if (!hop.dead) {
                const Wanted one = wanted_of(route.by(hop));
                several.hops.push_back({one.key, hop.weight, one.holds_neighbour});
            }
        }
        if (several.hops.size() > 1) {
            return several;
        }
        return several.hops.empty()
                   ? Wanted{{.kind = AdjacencyKind::no_route}}
                   : Wanted{several.hops.front().key, several.hops.front().holds_neighbour};
    }
    const std::uint32_t mtu = mtu_of_route(route);
    if (route.gateway.has_value()) {
        return Wanted{
            {route.link, *route.gateway, mtu, AdjacencyKind::incomplete, family},
            has_link_layer(route.link)};
    }
    if (prefix.is_host()) {
        return Wanted{{route.link, prefix.address, mtu, AdjacencyKind::incomplete, family}};
    }
    return Wanted{{route.link, {}, mtu, AdjacencyKind::glean, family}};
}

Result<void> Routing::Impl::sync(RoutingTable& table, const net::Prefix& prefix) {
    const Rib::Node* node = table.rib.find(prefix);
    const std::optional<Wanted> next = wanted(table, prefix, node);
    if (!next.has_value()) {
        return withdraw(table, prefix);
    }
    const bool is_there = node != nullptr && is_as_wanted(*node, *next);
    return is_there ? Result<void>{} : install(table, prefix, *next);
}

Result<void>
Routing::Impl::install(RoutingTable& table, const net::Prefix& prefix, const Wanted& next) {
    AdjacencyEntry* entry = acquire(next);
    if (entry == nullptr) {
        return Error{
            std::errc::no_buffer_space,
            fmt::format(
                "route {}: all {} adjacencies are in use", prefix.to_string(), limits_.adjacencies
            )};
    }
    if (next.holds_neighbour) {
        if (Result<void> held = neighbours_.hold({next.key.link, next.key.next_hop}, now_ms_);
            !held) {
            release(entry, false);
            return held;
        }
    }
    if (Result<void> set = table.set(prefix, entry->id); !set) {
        release(entry, next.holds_neighbour);
        return set;
    }
    Rib::Node& node = table.rib.find_or_create(prefix);
    note_own(table, prefix, node.installed, entry);
    AdjacencyEntry* old = std::exchange(node.installed, entry);
    const bool old_holds = std::exchange(node.holds_neighbour, next.holds_neighbour);
    if (old != nullptr) {
        release(old, old_holds);
    }
    ++generation_;
    return {};
}

Result<void> Routing::Impl::withdraw(RoutingTable& table, const net::Prefix& prefix) {
    Rib::Node* node = table.rib.find(prefix);
    if (node == nullptr) {
        return {};
    }
    if (node->installed != nullptr) {
        CULVERT_CHECK(table.erase(prefix));
        note_own(table, prefix, node->installed, nullptr);
        release(
            std::exchange(node->installed, nullptr), std::exchange(node->holds_neighbour, false)
        );
        ++generation_;
    }
    table.rib.drop_if_empty(prefix);
    return {};
}

// What ends at `prefix` changes.
void Routing::Impl::note_own(
    RoutingTable& table,
    const net::Prefix& prefix,
    const AdjacencyEntry* before,
    const AdjacencyEntry* after
) noexcept {
    const auto is_own = [](const AdjacencyEntry* entry) {
        return entry != nullptr && is_ours(entry->key.kind);
    };
    if (!prefix.is_host() || is_own(before) == is_own(after)) {
        return;
    }
    const bool is_v4 = prefix.address.is_v4();
    OwnAddresses& own = is_v4 ? table.own_addresses : table.own_addresses6;
    const std::uint32_t address = is_v4 ? prefix.address.v4() : fold(prefix.address.bytes());
    is_own(after) ? own.add(address) : own.remove(address);
}

void Routing::Impl::release(AdjacencyEntry* entry, bool holds_neighbour) {
    const AdjacencyKey key = entry->key;
    adjacencies_.release(entry);
    if (holds_neighbour) {
        neighbours_.release({key.link, key.next_hop});
    }
    if (key.group != 0) {
        multipaths_.release(key.group);
    }
}

// A route for `prefix` came or went: neighbours within may be on-link now, or no longer, and longer
// prefixes go by it.
void Routing::Impl::sync_hosts(RoutingTable& table, const net::Prefix& prefix) {
    if (prefix.is_host()) {
        return;
    }
    sync_by_tos(table, prefix);
    for (auto at = with_mac_.lower_bound({prefix.address, kNoLink}); at != with_mac_.end(); ++at) {
        // IPv4 lies amid IPv6: ::ffff:0:0/96.
        const bool is_v4 = at->first.is_v4();
        if (is_v4 == prefix.address.is_v4()) {
            if (!prefix.contains(at->first)) {
                return;
            }
            // One that finds no room is reached through its prefix's glean adjacency.
            static_cast<void>(sync(table, {at->first, prefix.max_length()}));
        }
    }
}

}  // namespace culvert::route
