// SPDX-License-Identifier: BSD-3-Clause
// Routing: routes with several next hops (RT-09). A next hop whose link goes down is dead: its part
// of the flows goes to the others until the link is up again (fib_sync_down_dev, fib_sync_up).
#include "lib/net/multipath_hash.hpp"
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::route {

namespace {

constexpr std::size_t kMostHops = 256;
constexpr std::uint16_t kMostWeight = 256;

bool is_same_way(const NextHop& hop, const NextHop& other) {
    return hop.gateway == other.gateway && hop.link == other.link;
}

// What it says of its next hops, as a list.
std::vector<NextHop> hops_of(const Route& route) {
    return route.next_hops.empty()
               ? std::vector<NextHop>{{route.gateway, route.link, 1, route.onlink}}
               : route.next_hops;
}

// A single one is no list.
void set_hops(Route& route, std::vector<NextHop> hops) {
    route.next_hops = std::move(hops);
    if (route.next_hops.size() == 1) {
        const NextHop only = route.next_hops.front();
        route = route.by(only);
    }
}

bool is_alive(const NextHop& hop) {
    return !hop.dead;
}

// rt6_qualify_for_ecmp()
bool may_have_siblings(const Route& route) {
    return route.type == RouteType::unicast &&
           (!route.next_hops.empty() || route.gateway.has_value());
}

}  // namespace

Route Route::by(const NextHop& hop) const {
    Route one = *this;
    one.next_hops.clear();
    one.gateway = hop.gateway;
    one.link = hop.link;
    one.onlink = hop.onlink;
    return one;
}

Result<void> Routing::Impl::check_next_hops(Route& route) const {
    const auto refused = [&](std::string_view why) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("route {}: {}", route.prefix.to_string(), why)};
    };
    if (route.type != RouteType::unicast) {
        return refused("Gateway, device and multipath can not be specified for this route type");
    }
    if (route.gateway.has_value() || route.link != kNoLink || route.onlink) {
        return refused("a gateway or device beside next hops");
    }
    if (route.next_hops.size() > kMostHops) {
        return refused(fmt::format("more than {} next hops", kMostHops));
    }
    for (NextHop& hop : route.next_hops) {
        if (hop.weight == 0 || hop.weight > kMostWeight) {
            return refused("a weight is 1 to 256");
        }
        Route one = route.by(hop);
        CULVERT_CHECK(check_next_hop(one));
        hop.link = one.link;
        hop.dead = false;
    }
    set_hops(route, std::move(route.next_hops));
    return {};
}

// --- IPv6: routes of the same metric by gateways are one with several next hops

// What appending `route` makes of the first route there; `route` itself if they do not go together.
// Error EEXIST: it has these next hops already.
Result<Route> Routing::Impl::merged(const Route& route) const {
    const RoutingTable* table = find_table(route.table);
    const Rib::Node* node = table != nullptr ? table->rib.find(route.prefix) : nullptr;
    if (route.prefix.address.is_v4() || node == nullptr || !may_have_siblings(route)) {
        return route;
    }
    const auto first =
        std::find_if(node->routes.begin(), node->routes.end(), [&](const Route& other) {
            return !is_local_table(other) && other.metric == route.metric;
        });
    if (first == node->routes.end() || !may_have_siblings(*first)) {
        return route;
    }
    Route whole = *first;
    std::vector<NextHop> hops = hops_of(whole);
    const std::size_t before = hops.size();
    for (const NextHop& hop : hops_of(route)) {
        if (std::none_of(hops.begin(), hops.end(), [&](const NextHop& other) {
                return is_same_way(hop, other);
            })) {
            hops.push_back(hop);
        }
    }
    if (hops.size() == before) {
        return Error{
            std::errc::file_exists,
            fmt::format("route {}: it has that next hop", route.prefix.to_string())};
    }
    whole.gateway.reset();
    whole.link = kNoLink;
    whole.onlink = false;
    set_hops(whole, std::move(hops));
    return whole;
}

// Takes the next hop that the pattern names out of a route with several. False: there is none.
bool Routing::Impl::del_sibling(const Route& pattern) {
    RoutingTable* table = find_table(pattern.table);
    Rib::Node* node = table != nullptr ? table->rib.find(pattern.prefix) : nullptr;
    if (pattern.prefix.address.is_v4() || !pattern.gateway.has_value() || node == nullptr) {
        return false;
    }
    for (Route& route : node->routes) {
        const auto is_it = [&](const NextHop& hop) {
            return hop.gateway == pattern.gateway &&
                   (pattern.link == kNoLink || pattern.link == hop.link);
        };
        const bool has_metric = pattern.metric == 0 || pattern.metric == route.metric;
        std::vector<NextHop> hops = route.next_hops;
        if (!has_metric || std::erase_if(hops, is_it) == 0 || hops.empty()) {
            continue;
        }
        Route left = route;
        set_hops(left, std::move(hops));
        table->rib.replace(route, left);
        // With fewer next hops it needs no more room than before.
        static_cast<void>(sync(*table, pattern.prefix));
        ++generation_;
        actions_.route_changed(left, false);
        return true;
    }
    return false;
}

// --- life and death

namespace {

// True: some were not so before.
bool mark_hops_of(Route& route, LinkId link, bool dead) {
    bool has_changed = false;
    for (NextHop& hop : route.next_hops) {
        if (hop.link == link && hop.dead != dead) {
            hop.dead = dead;
            has_changed = true;
        }
    }
    return has_changed;
}

}  // namespace

// The link went down (dead) or came up: so did the next hops that leave by it. A route without any
// that is alive goes.
void Routing::Impl::mark_hops(LinkId link, std::optional<net::Family> family, bool dead) {
    for (const auto& [id, table] : tables_) {
        mark_hops_in(*table, link, family, dead);
    }
}

void Routing::Impl::mark_hops_in(
    RoutingTable& table, LinkId link, std::optional<net::Family> family, bool dead
) {
    std::vector<Route> lost;
    for (auto at = table.with_multipath.begin(); at != table.with_multipath.end();) {
        const net::Prefix prefix = *at;
        Rib::Node* node = table.rib.find(prefix);
        bool has_any = false;
        bool has_changed = false;
        for (std::size_t i = 0; node != nullptr && i < node->routes.size(); ++i) {
            Route& route = node->routes[i];
            has_any = has_any || !route.next_hops.empty();
            if (family.has_value() && prefix.address.family() != *family) {
                continue;
            }
            if (!mark_hops_of(route, link, dead)) {
                continue;
            }
            has_changed = true;
            if (std::none_of(route.next_hops.begin(), route.next_hops.end(), is_alive)) {
                lost.push_back(route);
            } else {
                actions_.route_changed(Route{route}, false);
            }
        }
        at = has_any ? std::next(at) : table.with_multipath.erase(at);
        if (has_changed) {
            // It needs no more room than when all were alive.
            static_cast<void>(sync(table, prefix));
            sync_hosts(table, prefix);
            ++generation_;
        }
    }
    for (const Route& route : lost) {
        table.rib.erase_first(route.prefix, [&](const Route& other) { return other == route; });
        after_removal(route);
    }
}

// --- adjacencies

AdjacencyEntry* Routing::Impl::acquire(const MultipathHop& hop) {
    AdjacencyEntry* entry = hop.hops.empty() ? adjacencies_.acquire(hop.key)
                                             : acquire(Wanted{hop.key, false, hop.hops});
    if (entry != nullptr && hop.holds_neighbour &&
        !neighbours_.hold({hop.key.link, hop.key.next_hop}, now_ms_)) {
        release(entry, false);
        return nullptr;
    }
    return entry;
}

AdjacencyEntry* Routing::Impl::acquire(const Wanted& next) {
    AdjacencyKey key = next.key;
    if (!next.hops.empty()) {
        key.group = multipaths_.acquire(next.hops);
        if (key.group == 0) {
            return nullptr;
        }
    }
    AdjacencyEntry* entry = adjacencies_.acquire(key);
    if (entry == nullptr && key.group != 0) {
        multipaths_.release(key.group);
    }
    return entry;
}

bool Routing::Impl::is_as_wanted(const Rib::Node& node, const Wanted& next) const {
    if (node.installed == nullptr || node.holds_neighbour != next.holds_neighbour) {
        return false;
    }
    const AdjacencyKey& key = node.installed->key;
    if (next.hops.empty()) {
        return key == next.key;
    }
    return key.kind == next.key.kind && multipaths_.hops(key.group) == next.hops;
}

// --- lookups

// Of a packet of which no more is known.
std::uint32_t
Routing::Impl::hash_of(const net::IpAddress& source, const net::IpAddress& destination) const {
    const net::MultipathSettings settings = multipath_settings_.load(std::memory_order_relaxed);
    const net::MultipathHashing& hashing = destination.is_v4() ? settings.ip4 : settings.ip6;
    if (hashing.policy == net::MultipathPolicy::l3) {
        return net::multipath_hash(source, destination);
    }
    return net::multipath_hash(hashing, net::flow_keys(source, destination, 0));
}

// The route by the next hop that a packet takes: the one on `link` if there is one given, else as
// the workers choose.
Route Routing::Impl::one_of(
    const Route& route, LinkId link, const net::IpAddress& source, const net::IpAddress& destination
) const {
    std::vector<NextHop> alive;
    for (const NextHop& hop : route.next_hops) {
        if (!hop.dead && (link == kNoLink || hop.link == link)) {
            alive.push_back(hop);
        }
    }
    if (alive.empty()) {
        return route.next_hops.empty() ? route : route.by(route.next_hops.front());
    }
    std::size_t chosen = 0;
    const auto group = link == kNoLink ? multipaths_.find(wanted_of(route).hops) : 0;
    if (group != 0) {
        chosen = multipaths_.table(group)->index(hash_of(source, destination));
    }
    return route.by(alive[chosen]);
}

// What a packet to this one destination wants. On a link of its own a tunnel takes the first next
// hop there, as lookup() does.
Routing::Impl::Wanted
Routing::Impl::way_to(const net::IpAddress& destination, LinkId by, std::uint8_t tos) const {
    const net::Family family = destination.family();
    if (by != kNoLink && !is_vrf(by)) {
        const Path path = lookup(destination, by, {}, tos);
        return leads_on(path.kind)
                   ? Wanted{{path.link, path.next_hop, path.mtu, AdjacencyKind::incomplete, family}}
                   : Wanted{{.kind = path.kind}};
    }
    const Route* route = find_route(by, destination, tos).route;
    if (route == nullptr) {
        return Wanted{{.kind = AdjacencyKind::no_route}};
    }
    Route host = *route;
    host.prefix.address = destination;
    host.prefix.length = host.prefix.max_length();
    return wanted_of(host);
}

void Routing::Impl::describe_ways(const MultipathHops& hops, Ways& ways) const {
    for (const MultipathHop& hop : hops) {
        if (!hop.hops.empty()) {
            describe_ways(hop.hops, ways);
        } else if (hop.key.link != kNoLink) {
            ways.links.push_back(hop.key.link);
            ways.mtu = std::min(ways.mtu, mtu_of(hop.key.link, hop.key.mtu));
        }
    }
}

std::shared_ptr<const Ways>
Routing::Impl::ways(const net::IpAddress& destination, LinkId by, std::optional<std::uint8_t> tos) {
    Wanted next = way_to(destination, by, tos.value_or(0));
    const bool has_tos = !main_->with_tos.empty() || !table_of(by).with_tos.empty();
    if (!tos.has_value() && has_tos && destination.is_v4()) {
        std::array<Wanted, kTosKinds> kinds;
        for (std::size_t kind = 0; kind < kTosKinds; ++kind) {
            kinds[kind] = way_to(destination, by, static_cast<std::uint8_t>(kind << 2));
        }
        next = by_tos(kinds);
    }
    if (next.hops.empty()) {
        return nullptr;
    }
    Ways ways;
    ways.mtu = UINT32_MAX;
    ways.by_tos = next.key.kind == AdjacencyKind::by_tos;
    describe_ways(next.hops, ways);
    AdjacencyEntry* entry = acquire(next);
    if (entry == nullptr) {
        return nullptr;
    }
    ways.adjacency = entry->id;
    return {new Ways(std::move(ways)), [this, entry](const Ways* gone) {
                release(entry, false);
                delete gone;
            }};
}

}  // namespace culvert::route
