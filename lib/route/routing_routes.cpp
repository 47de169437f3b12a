// SPDX-License-Identifier: BSD-3-Clause
// Routing: what users may ask for (UI-RT-02).
#include "lib/net/ecn.hpp"
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string_view>

namespace culvert::route {

namespace {

constexpr std::uint32_t kUserMetric6 = 1024;   // IP6_RT_PRIO_USER
constexpr std::uint32_t kMaxMtu = 65535 - 15;  // as the kernel caps the metric
constexpr std::size_t kRoutesABreath = 256;    // some 2 ms

Error refused(std::errc code, const Route& route, std::string_view why) {
    return {code, fmt::format("route {}: {}", route.prefix.to_string(), why)};
}

bool is_refusal(RouteType type) noexcept {
    return type == RouteType::unreachable || type == RouteType::prohibit ||
           type == RouteType::blackhole || type == RouteType::throws;
}

// fib_nh_match(): a gateway or link is asked of the first next hop.
bool matches_way(const Route& route, const Route& pattern) {
    if (!pattern.next_hops.empty()) {
        return std::equal(
            route.next_hops.begin(),
            route.next_hops.end(),
            pattern.next_hops.begin(),
            pattern.next_hops.end(),
            [](const NextHop& hop, const NextHop& wanted) {
                return (!wanted.gateway.has_value() || wanted.gateway == hop.gateway) &&
                       (wanted.link == kNoLink || wanted.link == hop.link) &&
                       wanted.weight == hop.weight;
            }
        );
    }
    const auto& gateway = route.next_hops.empty() ? route.gateway : route.next_hops.front().gateway;
    const LinkId link = route.next_hops.empty() ? route.link : route.next_hops.front().link;
    return (!pattern.gateway.has_value() || pattern.gateway == gateway) &&
           (pattern.link == kNoLink || pattern.link == link);
}

bool matches(const Route& route, const Route& pattern) {
    static const Route kAny;
    if (is_local_table(route) != is_local_table(pattern)) {
        return false;
    }
    return (pattern.type == kAny.type || pattern.type == route.type) && pattern.tos == route.tos &&
           matches_way(route, pattern) &&
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
    if (route.tos != 0 && !is_v4) {
        return refused(
            std::errc::invalid_argument,
            route,
            "Invalid dsfield (tos): option not available for IPv6"
        );
    }
    if ((route.tos & net::kEcnMask) != 0) {
        return refused(
            std::errc::invalid_argument, route, "Invalid dsfield (tos): ECN bits must be 0"
        );
    }
    if (is_refusal(route.type)) {
        if (route.gateway.has_value() || route.link != kNoLink || !route.next_hops.empty()) {
            return refused(
                std::errc::invalid_argument,
                route,
                "Gateway, device and multipath can not be specified for this route type"
            );
        }
    } else if (!route.next_hops.empty()) {
        CULVERT_CHECK(check_next_hops(route));
    } else {
        CULVERT_CHECK(check_next_hop(route));
    }
    if (route.preferred_source.has_value() &&
        (!is_source_of(route) || route.preferred_source->is_v4() != is_v4)) {
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
        } else if (!is_refusal(route.type) && !route.gateway.has_value() && route.next_hops.empty()) {
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
        if (route.gateway->is_v4() && !route.prefix.address.is_v4()) {
            return refused(
                std::errc::invalid_argument, route, "an IPv6 route can not have an IPv4 gateway"
            );
        }
        if (route.type != RouteType::unicast) {
            return refused(
                std::errc::invalid_argument, route, "a route of this type can not have a gateway"
            );
        }
        return route.gateway->is_v4() ? check_gateway(route) : check_gateway6(route);
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
    const Route* found = find_near(route, [&](const Route& other) {
        const bool is_on_link =
            is_refusal(other.type) || (!other.gateway.has_value() && other.next_hops.empty());
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
    CULVERT_CHECK(make_table(checked.table));
    if (verb == RouteVerb::append || verb == RouteVerb::prepend) {
        CULVERT_TRY(whole, merged(checked));
        if (whole != checked) {
            return change_rib(RouteVerb::replace, whole);
        }
    }
    return change_rib(verb, checked);
}

Result<void> Routing::Impl::change_rib(RouteVerb verb, const Route& route) {
    RoutingTable& table = *find_table(route.table);
    const Rib::Node* node = table.rib.find(route.prefix);
    std::vector<Route> before;
    if (node != nullptr) {
        before = node->routes;
    }
    CULVERT_CHECK(table.rib.modify(verb, route));
    if (!route.next_hops.empty()) {
        table.with_multipath.insert(route.prefix);
    }
    note_tos(table, route);
    note_leaks(table, route);
    Result<void> result;
    const net::Family family = route.prefix.address.family();
    const std::size_t limit = family == net::Family::ipv4 ? limits_.routes4 : limits_.routes6;
    if (table.rib.size(family) > limit) {
        result = refused(
            std::errc::no_space_on_device, route, fmt::format("all {} routes are in use", limit)
        );
    } else {
        result = sync(table, route.prefix);
    }
    if (!result) {
        table.rib.restore(route.prefix, std::move(before));
        note_tos(table, route);
        return result;
    }
    sync_hosts(table, route.prefix);
    ++generation_;
    actions_.route_changed(route, false);
    return {};
}

Result<void> Routing::Impl::del_route(const Route& pattern) {
    if (del_sibling(pattern)) {
        return {};
    }
    Route removed;
    RoutingTable* table = find_table(pattern.table);
    const bool is_found =
        table != nullptr && table->rib.erase_first(pattern.prefix, [&](const Route& route) {
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
    drop_table_if_unused(pattern.table);
    return {};
}

// A route was taken out of the RIB.
void Routing::Impl::after_removal(const Route& route) {
    RoutingTable& table = *find_table(route.table);
    note_tos(table, route);
    if (!sync(table, route.prefix)) {
        // The next best route found no room: better none than one that is gone.
        static_cast<void>(withdraw(table, route.prefix));
    }
    sync_hosts(table, route.prefix);
    ++generation_;
    actions_.route_changed(route, true);
}

// Those that leave by the link, as far as pick() says so.
void Routing::Impl::remove_routes_by(LinkId link, const std::function<bool(const Route&)>& pick) {
    std::vector<Route> picked;
    for (const auto& [id, table] : tables_) {
        table->rib.for_each_by(link, [&](const Route& route) {
            if (pick(route)) {
                picked.push_back(route);
            }
        });
    }
    remove_routes(picked);
}

// Those that say to send from the address.
void Routing::Impl::remove_routes_from(TableId table, const net::IpAddress& source) {
    std::vector<Route> picked;
    if (const RoutingTable* found = find_table(table); found != nullptr) {
        found->rib.for_each_from(source, [&](const Route& route) { picked.push_back(route); });
    }
    remove_routes(picked);
}

void Routing::Impl::remove_routes(const std::vector<Route>& picked) {
    std::vector<std::uint32_t> order(picked.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        return picked[a].prefix < picked[b].prefix;
    });
    std::size_t removed = 0;
    for (const std::uint32_t index : order) {
        const Route& route = picked[index];
        find_table(route.table)->rib.erase_first(route.prefix, [&](const Route& other) {
            return other == route;
        });
        after_removal(route);
        if (++removed % kRoutesABreath == 0) {
            actions_.breathe();
        }
    }
}

}  // namespace culvert::route
