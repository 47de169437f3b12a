// SPDX-License-Identifier: BSD-3-Clause
// Routing: what users may ask for (UI-RT-02), and the FIB that follows from it.
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace culvert::route {

namespace {

constexpr std::uint8_t kLinkLocalLength = 10;  // fe80::/10
constexpr std::uint32_t kUserMetric6 = 1024;   // IP6_RT_PRIO_USER
constexpr std::uint32_t kMaxMtu = 65535 - 15;  // as the kernel caps the metric

Error refused(std::errc code, const Route& route, std::string_view why) {
    return {code, fmt::format("route {}: {}", route.prefix.to_string(), why)};
}

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
    case RouteType::unicast:
        break;
    }
    return AdjacencyKind::glean;
}

bool is_refusal(RouteType type) noexcept {
    return type == RouteType::unreachable || type == RouteType::prohibit ||
           type == RouteType::blackhole;
}

bool matches(const Route& route, const Route& pattern) {
    static const Route kAny;
    if (is_local_table(route) != is_local_table(pattern)) {
        return false;
    }
    return (pattern.type == kAny.type || pattern.type == route.type) &&
           (!pattern.gateway.has_value() || pattern.gateway == route.gateway) &&
           (pattern.link == kAny.link || pattern.link == route.link) &&
           (!pattern.preferred_source.has_value() ||
            pattern.preferred_source == route.preferred_source) &&
           (pattern.metric == kAny.metric || pattern.metric == route.metric) &&
           (pattern.mtu == kAny.mtu || pattern.mtu == route.mtu) &&
           (pattern.protocol.empty() || pattern.protocol == kAny.protocol ||
            pattern.protocol == route.protocol) &&
           (pattern.scope.empty() || pattern.scope == kAny.scope || pattern.scope == route.scope);
}

}  // namespace

// --- what may be asked for

Result<void> Routing::Impl::check(Route& route) const {
    const bool is_v4 = route.prefix.address.is_v4();
    if (route.prefix.length > route.prefix.max_length() || route.prefix.network() != route.prefix) {
        return refused(
            std::errc::invalid_argument, route, "Invalid prefix for given prefix length."
        );
    }
    if (is_refusal(route.type)) {
        if (route.gateway.has_value() || route.link != kNoLink) {
            return refused(
                std::errc::invalid_argument,
                route,
                "Gateway and device can not be specified for this route type"
            );
        }
    } else {
        CULVERT_CHECK(check_next_hop(route));
    }
    if (route.preferred_source.has_value() &&
        (!is_local(*route.preferred_source) || route.preferred_source->is_v4() != is_v4)) {
        return refused(
            std::errc::invalid_argument,
            route,
            fmt::format(
                "Invalid prefsrc. {} is not an address of ours", route.preferred_source->to_string()
            )
        );
    }
    // What iproute2 fills in when a user gives no scope.
    if (!is_v4) {
        route.scope = "global";
        route.metric = route.metric == 0 ? kUserMetric6 : route.metric;
    } else if (scope_of(route.scope) == Scope::global) {
        if (route.type == RouteType::local) {
            route.scope = "host";
        } else if (!is_refusal(route.type) && !route.gateway.has_value()) {
            route.scope = "link";
        }
    }
    route.mtu = std::min(route.mtu, kMaxMtu);
    return {};
}

Result<void> Routing::Impl::check_next_hop(Route& route) const {
    if (route.link != kNoLink && find_link(route.link) == nullptr) {
        return refused(std::errc::no_such_device, route, fmt::format("no link {}", route.link));
    }
    if (route.gateway.has_value()) {
        if (route.type != RouteType::unicast) {
            return refused(
                std::errc::invalid_argument, route, "a route of this type can not have a gateway"
            );
        }
        return route.prefix.address.is_v4() ? check_gateway(route) : check_gateway6(route);
    }
    if (route.link == kNoLink) {
        return refused(std::errc::no_such_device, route, "neither a gateway nor a device is given");
    }
    if (!is_up(route.link)) {
        return refused(
            std::errc::network_down,
            route,
            fmt::format("Device for nexthop is not up: {}", name_of(route.link))
        );
    }
    return {};
}

Result<void> Routing::Impl::check_gateway(Route& route) const {
    const net::IpAddress gateway = *route.gateway;
    const auto invalid = [&](std::errc code, std::string_view why) {
        return refused(
            code,
            route,
            fmt::format("Nexthop has invalid gateway. {}: {}", gateway.to_string(), why)
        );
    };
    const Route* found = rib_.longest_match(gateway, [&](const Route& other) {
        const bool is_on_link = is_refusal(other.type) || !other.gateway.has_value();
        return is_on_link &&
               (route.link == kNoLink || other.link == kNoLink || other.link == route.link);
    });
    if (!gateway.is_v4() || gateway.is_unspecified() || gateway.is_multicast() ||
        gateway == kLimitedBroadcast) {
        return invalid(std::errc::invalid_argument, "it is not a host's address");
    }
    if (found != nullptr && is_local_table(*found)) {
        return invalid(
            std::errc::invalid_argument, "it is an address of ours or a broadcast address"
        );
    }
    if (route.onlink) {
        if (route.link == kNoLink) {
            return refused(std::errc::no_such_device, route, "Nexthop device required for onlink");
        }
    } else if (found == nullptr || is_refusal(found->type)) {
        return invalid(std::errc::network_unreachable, "it is not on a connected network");
    } else {
        route.link = found->link;
    }
    if (!is_up(route.link)) {
        return refused(
            std::errc::network_down,
            route,
            fmt::format("Nexthop device is not up: {}", name_of(route.link))
        );
    }
    return {};
}

// --- routes

Result<void> Routing::Impl::modify_route(RouteVerb verb, const Route& route) {
    Route checked = route;
    CULVERT_CHECK(check(checked));
    return change_rib(verb, checked);
}

Result<void> Routing::Impl::change_rib(RouteVerb verb, const Route& route) {
    const Rib::Node* node = rib_.find(route.prefix);
    std::vector<Route> before;
    if (node != nullptr) {
        before = node->routes;
    }
    CULVERT_CHECK(rib_.modify(verb, route));
    Result<void> result;
    const net::Family family = route.prefix.address.family();
    const std::size_t limit = family == net::Family::ipv4 ? limits_.routes4 : limits_.routes6;
    if (rib_.size(family) > limit) {
        result = refused(
            std::errc::no_space_on_device, route, fmt::format("all {} routes are in use", limit)
        );
    } else {
        result = sync(route.prefix);
    }
    if (!result) {
        rib_.restore(route.prefix, std::move(before));
        return result;
    }
    sync_hosts(route.prefix);
    ++generation_;
    actions_.route_changed(route, false);
    return {};
}

Result<void> Routing::Impl::del_route(const Route& pattern) {
    Route removed;
    const bool is_found = rib_.erase_first(pattern.prefix, [&](const Route& route) {
        const bool is_it = matches(route, pattern);
        if (is_it) {
            removed = route;
        }
        return is_it;
    });
    if (!is_found) {
        return refused(std::errc::no_such_process, pattern, "there is none to delete");
    }
    after_removal(removed);
    return {};
}

// A route was taken out of the RIB.
void Routing::Impl::after_removal(const Route& route) {
    if (!sync(route.prefix)) {
        // The next best route found no room: better none than one that is gone.
        static_cast<void>(withdraw(route.prefix));
    }
    sync_hosts(route.prefix);
    ++generation_;
    actions_.route_changed(route, true);
}

void Routing::Impl::remove_routes_if(const std::function<bool(const Route&)>& pick) {
    std::vector<Route> picked;
    rib_.for_each([&](const Route& route) {
        if (pick(route)) {
            picked.push_back(route);
        }
    });
    for (const Route& route : picked) {
        rib_.erase_first(route.prefix, [&](const Route& other) { return other == route; });
        after_removal(route);
    }
}

// --- the FIB

std::optional<Routing::Impl::Wanted>
Routing::Impl::wanted(const net::Prefix& prefix, const Rib::Node* node) const {
    if (prefix.address == kLimitedBroadcast && prefix.length == 32) {
        return Wanted{{.kind = AdjacencyKind::broadcast}};
    }
    if (prefix.address.is_link_local_v6() && prefix.length >= kLinkLocalLength) {
        return std::nullopt;
    }
    if (node != nullptr && !node->routes.empty()) {
        const Route& route = node->routes.front();
        if (route.type != RouteType::unicast) {
            return Wanted{{.kind = kind_of(route.type)}};
        }
        if (route.gateway.has_value()) {
            return Wanted{
                {route.link, *route.gateway, route.mtu, AdjacencyKind::incomplete},
                has_link_layer(route.link)};
        }
        if (prefix.is_host()) {
            return Wanted{{route.link, prefix.address, route.mtu, AdjacencyKind::incomplete}};
        }
        return Wanted{{route.link, {}, route.mtu, AdjacencyKind::glean, prefix.address.family()}};
    }
    if (!prefix.is_host()) {
        return std::nullopt;
    }
    // A neighbour with a MAC, if its address is on-link there.
    const Route* covering = rib_.longest_match(prefix.address);
    if (covering == nullptr || covering->type != RouteType::unicast ||
        covering->gateway.has_value() || with_mac_.count({prefix.address, covering->link}) == 0) {
        return std::nullopt;
    }
    return Wanted{{covering->link, prefix.address, covering->mtu, AdjacencyKind::incomplete}};
}

Result<void> Routing::Impl::sync(const net::Prefix& prefix) {
    const Rib::Node* node = rib_.find(prefix);
    const std::optional<Wanted> next = wanted(prefix, node);
    if (!next.has_value()) {
        return withdraw(prefix);
    }
    const bool is_as_wanted = node != nullptr && node->installed != nullptr &&
                              node->installed->key == next->key &&
                              node->holds_neighbour == next->holds_neighbour;
    return is_as_wanted ? Result<void>{} : install(prefix, *next);
}

Result<void> Routing::Impl::install(const net::Prefix& prefix, const Wanted& next) {
    AdjacencyEntry* entry = adjacencies_.acquire(next.key);
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
    if (Result<void> set = set_fib(prefix, entry->id); !set) {
        release(entry, next.holds_neighbour);
        return set;
    }
    Rib::Node& node = rib_.find_or_create(prefix);
    note_own(prefix, node.installed, entry);
    AdjacencyEntry* old = std::exchange(node.installed, entry);
    const bool old_holds = std::exchange(node.holds_neighbour, next.holds_neighbour);
    if (old != nullptr) {
        release(old, old_holds);
    }
    ++generation_;
    return {};
}

Result<void> Routing::Impl::withdraw(const net::Prefix& prefix) {
    Rib::Node* node = rib_.find(prefix);
    if (node == nullptr) {
        return {};
    }
    if (node->installed != nullptr) {
        CULVERT_CHECK(erase_fib(prefix));
        note_own(prefix, node->installed, nullptr);
        release(
            std::exchange(node->installed, nullptr), std::exchange(node->holds_neighbour, false)
        );
        ++generation_;
    }
    rib_.drop_if_empty(prefix);
    return {};
}

// What ends at `prefix` changes.
void Routing::Impl::note_own(
    const net::Prefix& prefix, const AdjacencyEntry* before, const AdjacencyEntry* after
) noexcept {
    const auto is_own = [](const AdjacencyEntry* entry) {
        return entry != nullptr && is_ours(entry->key.kind);
    };
    if (!prefix.is_host() || is_own(before) == is_own(after)) {
        return;
    }
    const bool is_v4 = prefix.address.is_v4();
    OwnAddresses& own = is_v4 ? own_addresses_ : own_addresses6_;
    const std::uint32_t address = is_v4 ? prefix.address.v4() : fold(prefix.address.bytes());
    is_own(after) ? own.add(address) : own.remove(address);
}

void Routing::Impl::release(AdjacencyEntry* entry, bool holds_neighbour) {
    const NeighbourKey key{entry->key.link, entry->key.next_hop};
    adjacencies_.release(entry);
    if (holds_neighbour) {
        neighbours_.release(key);
    }
}

// A route for `prefix` came or went: neighbours within may be on-link now, or no longer.
void Routing::Impl::sync_hosts(const net::Prefix& prefix) {
    if (prefix.is_host()) {
        return;
    }
    for (auto at = with_mac_.lower_bound({prefix.address, kNoLink}); at != with_mac_.end(); ++at) {
        // IPv4 lies amid IPv6: ::ffff:0:0/96.
        const bool is_v4 = at->first.is_v4();
        if (is_v4 == prefix.address.is_v4()) {
            if (!prefix.contains(at->first)) {
                return;
            }
            // One that finds no room is reached through its prefix's glean adjacency.
            static_cast<void>(sync({at->first, prefix.max_length()}));
        }
    }
}

}  // namespace culvert::route
