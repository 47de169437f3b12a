// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/rib.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace culvert::route {

namespace {

// The order of a prefix's routes. Those by TOS come before those for all (fib_find_alias).
std::tuple<bool, int, std::uint32_t> rank_of(const Route& route) noexcept {
    return {!is_local_table(route), -route.tos, route.metric};
}

}  // namespace

Rib::Node* Rib::find(const net::Prefix& prefix) {
    const auto found = nodes_.find(prefix);
    return found == nodes_.end() ? nullptr : &found->second;
}

const Rib::Node* Rib::find(const net::Prefix& prefix) const {
    const auto found = nodes_.find(prefix);
    return found == nodes_.end() ? nullptr : &found->second;
}

Rib::Node& Rib::find_or_create(const net::Prefix& prefix) {
    const auto [at, is_new] = nodes_.try_emplace(prefix);
    if (is_new) {
        ++nodes_of_length_[prefix.address.is_v4() ? 1 : 0][prefix.length];
    }
    return at->second;
}

void Rib::drop_if_empty(const net::Prefix& prefix) {
    const auto found = nodes_.find(prefix);
    if (found != nodes_.end() && found->second.routes.empty() &&
        found->second.installed == nullptr) {
        nodes_.erase(found);
        --nodes_of_length_[prefix.address.is_v4() ? 1 : 0][prefix.length];
    }
}

void Rib::restore(const net::Prefix& prefix, std::vector<Route> routes) {
    Node& node = find_or_create(prefix);
    size_of(prefix) += routes.size() - node.routes.size();
    for (const Route& route : node.routes) {
        unindex(route);
    }
    node.routes = std::move(routes);
    for (const Route& route : node.routes) {
        index(route);
    }
    drop_if_empty(prefix);
}

void Rib::index(const Route& route) {
    ++by_link_[route.link][route.prefix];
    for (const NextHop& hop : route.next_hops) {
        ++by_link_[hop.link][route.prefix];
    }
    if (route.preferred_source.has_value()) {
        ++sources_[*route.preferred_source];
    }
}

void Rib::unindex(const Route& route) {
    const auto take_one = [](auto& counts, const auto& key) {
        const auto found = counts.find(key);
        if (--found->second == 0) {
            counts.erase(found);
        }
    };
    take_one(by_link_[route.link], route.prefix);
    for (const NextHop& hop : route.next_hops) {
        take_one(by_link_[hop.link], route.prefix);
    }
    if (route.preferred_source.has_value()) {
        take_one(sources_, *route.preferred_source);
    }
}

void Rib::replace(Route& route, const Route& next) {
    unindex(route);
    route = next;
    index(route);
}

Result<void> Rib::modify(RouteVerb verb, const Route& route) {
    std::vector<Route>& routes = find_or_create(route.prefix).routes;
    const auto [first, last] =
        std::equal_range(routes.begin(), routes.end(), route, [](const Route& a, const Route& b) {
            return rank_of(a) < rank_of(b);
        });
    const bool has_same = std::find(first, last, route) != last;
    if (first == last) {
        if (verb == RouteVerb::change || verb == RouteVerb::test) {
            drop_if_empty(route.prefix);
            return Error{
                std::errc::no_such_file_or_directory,
                fmt::format(
                    "route {}: there is none with metric {}", route.prefix.to_string(), route.metric
                )};
        }
        routes.insert(first, route);
        index(route);
        ++size_of(route.prefix);
        return {};
    }
    const bool is_replacing = verb == RouteVerb::replace || verb == RouteVerb::change;
    const bool is_refused = verb == RouteVerb::add || verb == RouteVerb::test ||
                            (has_same && !(is_replacing && *first == route));
    if (is_refused) {
        return Error{
            std::errc::file_exists,
            fmt::format(
                "route {}: one with metric {} exists", route.prefix.to_string(), route.metric
            )};
    }
    if (is_replacing) {
        replace(*first, route);
    } else {
        routes.insert(verb == RouteVerb::prepend ? first : last, route);
        index(route);
        ++size_of(route.prefix);
    }
    return {};
}

}  // namespace culvert::route
