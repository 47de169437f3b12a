// SPDX-License-Identifier: BSD-3-Clause
// Routing: what the dataplane would do (RT-*), for `route get`, tunnels and what control sends
// itself.
#include "lib/route/routing_impl.hpp"

#include <algorithm>

namespace culvert::route {

namespace {

// 224.0.0.0/4, ff00::/8
constexpr std::uint8_t multicast_length(const net::IpAddress& address) noexcept {
    return address.is_v4() ? 4 : 8;
}

bool is_refusal(const Route& route) noexcept {
    using enum RouteType;
    return route.type == unreachable || route.type == prohibit || route.type == blackhole ||
           route.type == throws;
}

}  // namespace

bool Routing::Impl::is_local(const net::IpAddress& address, LinkId near) const {
    const Route* route = find_route(near, address).route;
    return route != nullptr && route->type == RouteType::local;
}

net::IpAddress
Routing::Impl::select_source(LinkId link, const net::IpAddress& near, Scope narrowest) const {
    const TableId table = table_id_of(link);
    return addresses_.select(link, near, narrowest, [this, table](LinkId other) {
        return is_up(other) && table_id_of(other) == table;
    });
}

// RT-10; a route's own MTU is not larger than what the link takes.
std::uint32_t Routing::Impl::mtu_of(LinkId link, std::uint32_t route_mtu) const {
    const Link* found = find_link(link);
    const std::uint32_t link_mtu = found != nullptr ? found->parameters.mtu : 0;
    return route_mtu == 0 ? link_mtu : std::min(route_mtu, link_mtu);
}

// The order of the kernel's rules: behind the VRF's (l3mdev, 1000) there is main's (32766). So a
// table that has no route, or one that says `throw`, is not the end.
bool Routing::Impl::goes_on_to_main(const RoutingTable& table, const Route* route) const {
    return &table != main_ && (route == nullptr || route->type == RouteType::throws);
}

Path Routing::Impl::lookup(
    const net::IpAddress& destination, LinkId by, const net::IpAddress& source, std::uint8_t tos
) const {
    const bool has_source = !source.is_unspecified();
    if ((by != kNoLink && !is_up(by)) || (has_source && !is_local(source, by))) {
        return {};
    }
    const LinkId link = is_vrf(by) ? kNoLink : by;
    Path path;
    const bool is_group = destination.is_multicast() || destination == kLimitedBroadcast;
    Found found{&table_of(by)};
    // A link-local address says nothing without its link.
    if (destination.is_link_local_v6() && link == kNoLink) {
        return path;
    }
    if (link == kNoLink || !is_group) {
        const bool is_link_local = destination.is_link_local_v6();
        const auto fits = [&](const Route& other) {
            // A link-local one is on its link, whatever routes say.
            return (!is_link_local || other.type == RouteType::local) &&
                   (link == kNoLink || is_refusal(other) || other.leaves_by(link));
        };
        if (link == kNoLink) {
            found = find_route(by, destination, fits, tos);
        } else {
            found.route = found.table->rib.longest_match(destination, fits, tos);
        }
    }
    const Route* route = found.route;
    // With a link given, a destination that routes refuse is on-link there all the same (RT-02).
    if (link != kNoLink && (route == nullptr || is_refusal(*route))) {
        path = on_link_path(destination, link);
    } else if (route != nullptr) {
        path = route->next_hops.empty()
                   ? path_of(*route, destination)
                   : path_of(one_of(*route, link, source, destination), destination);
    }
    path.table = found.table->id;
    if (has_source) {
        path.source = source;
    }
    take_learned_mtu(table_of(by), path, destination);
    return path;
}

Path Routing::Impl::lookup_forward(
    const net::IpAddress& destination,
    const net::IpAddress& source,
    LinkId link_in,
    std::uint8_t tos
) const {
    const auto [table, route] = find_route(link_in, destination, tos);
    if (route == nullptr || route->next_hops.empty()) {
        return lookup(destination, vrf_of(link_in), {}, tos);
    }
    Path path = path_of(one_of(*route, kNoLink, source, destination), destination);
    path.table = table->id;
    return path;
}

void Routing::Impl::take_learned_mtu(
    const RoutingTable& table, Path& path, const net::IpAddress& destination
) {
    const PathMtu* learned = table.path_mtus.find(destination);
    if (learned != nullptr && learned->mtu < path.mtu && !path.mtu_locked) {
        path.mtu = learned->mtu;
        path.mtu_locked = learned->locked;
        path.learned = true;
        path.expires_ms = learned->expires_ms;
    }
}

// Routes whose MTU is locked do not learn.
void Routing::Impl::learn_path_mtu(
    const net::IpAddress& destination, std::uint32_t mtu, std::uint64_t now_ms, LinkId near
) {
    const Path path = lookup(destination, vrf_of(near), {});
    PathMtus& known_mtus = table_of(near).path_mtus;
    const PathMtu* known = known_mtus.find(destination);
    const bool is_locked = path.mtu_locked && known == nullptr;
    if (path.link != kNoLink && !is_locked &&
        known_mtus.learn(destination, mtu, path.mtu, now_ms)) {
        ++generation_;
        // When there is no more room, another's went.
        const bool is_full = known_mtus.size() >= PathMtus::kMost;
        actions_.path_mtu_changed(is_full ? net::IpAddress{} : destination);
    }
}

Path Routing::Impl::path_of(const Route& route, const net::IpAddress& destination) const {
    using enum AdjacencyKind;
    Path path;
    path.link = route.link;
    path.next_hop = destination;
    path.mtu = mtu_of(route.link, mtu_of_route(route));
    path.mtu_locked = route.mtu_locked;
    path.metric = route.metric;
    path.prefix_length = route.prefix.length;
    path.protocol = route.protocol;
    if (route.type == RouteType::unicast) {
        // A group is not sent to a gateway only because there is a default route.
        const bool is_gateway_for_it =
            !destination.is_multicast() || route.prefix.length >= multicast_length(destination);
        path.via_gateway = route.gateway.has_value() && is_gateway_for_it;
        if (path.via_gateway) {
            path.next_hop = *route.gateway;
        }
        const bool is_neighbour = path.via_gateway || route.prefix.is_host();
        const std::uint32_t mtu = mtu_of_route(route);
        AdjacencyKey unresolved{route.link, {}, mtu, glean, destination.family()};
        if (is_neighbour) {
            unresolved = {route.link, path.next_hop, mtu, incomplete, destination.family()};
        }
        complete(path, unresolved);
        if (route.preferred_source.has_value()) {
            path.source = *route.preferred_source;
        } else if (!destination.is_v4()) {
            path.source = select_source6(route.link, destination);
        } else {
            const bool is_near = path.via_gateway && path.next_hop.is_v4();
            const net::IpAddress near = is_near ? path.next_hop : net::IpAddress{};
            path.source = select_source(route.link, near, scope_of(route.scope));
        }
        return path;
    }
    switch (route.type) {
    case RouteType::local:
        path.kind = local;
        path.source = route.preferred_source.value_or(destination);
        break;
    case RouteType::broadcast:
        path.kind = broadcast;
        path.source = route.preferred_source.value_or(select_source(route.link, {}, Scope::link));
        break;
    case RouteType::unreachable:
        path.kind = unreachable;
        break;
    case RouteType::prohibit:
        path.kind = prohibit;
        break;
    case RouteType::throws:
        path.kind = no_route;
        break;
    default:
        path.kind = blackhole;
        break;
    }
    if (const AdjacencyEntry* entry = adjacencies_.find({.kind = path.kind}); entry != nullptr) {
        path.adjacency = entry->id;
    }
    return path;
}

Path Routing::Impl::on_link_path(const net::IpAddress& destination, LinkId link) const {
    Path path;
    path.link = link;
    path.next_hop = destination;
    path.mtu = mtu_of(link, 0);
    if (destination.is_link_local_v6()) {
        const Route network = AddressTable::network_route6({link, {destination, 64}});
        path.metric = network.metric;
        path.protocol = network.protocol;
        path.prefix_length = network.prefix.length;
    }
    path.source = destination.is_v4() ? select_source(link, {}, Scope::link)
                                      : select_source6(link, destination);
    complete(path, {link, {}, 0, AdjacencyKind::glean, destination.family()});
    return path;
}

// Kind and adjacency of a path whose next hop is known. `unresolved` is what the FIB has while the
// next hop has no MAC.
void Routing::Impl::complete(Path& path, const AdjacencyKey& unresolved) const {
    AdjacencyKey key = unresolved;
    path.kind = key.kind;
    if (!has_link_layer(path.link)) {
        path.kind = AdjacencyKind::rewrite;
    } else if (mac_of(path.link, path.next_hop).has_value()) {
        key = {
            path.link, path.next_hop, unresolved.mtu, AdjacencyKind::incomplete, unresolved.family};
        path.kind = AdjacencyKind::rewrite;
    }
    if (const AdjacencyEntry* entry = adjacencies_.find(key); entry != nullptr) {
        path.adjacency = entry->id;
    }
}

}  // namespace culvert::route
