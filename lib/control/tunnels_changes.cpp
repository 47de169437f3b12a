// SPDX-License-Identifier: BSD-3-Clause
// Tunnels: which of them a change concerns, and looking at these again.
#include "lib/control/core.hpp"
#include "lib/control/tunnels.hpp"

#include <utility>

namespace culvert::control {

namespace {

// Source of what has no way: no address that comes or goes can be it.
constexpr net::IpAddress kNobody = net::IpAddress::from_v4(0xffffffff);

}  // namespace

// All ways first: whether one leads back may depend on another's.
void Tunnels::update() {
    for (const LinkId link : std::exchange(changed_links_, {})) {
        mark_by_link(link);
        for (auto [at, last] = tunnels_of(link); at != last; ++at) {
            mark(at->second);
        }
    }
    for (std::size_t i = 0; i < marked_.size(); ++i) {
        Tunnel& tunnel = *marked_[i];
        const LinkId link = tunnel.path.link;
        find_way(tunnel);
        if (tunnel.path.link != link) {
            mark_by_link(tunnel.key->first);  // grows the list
        }
    }
    for (Tunnel* tunnel : std::exchange(marked_, {})) {
        tunnel->is_marked = false;
        resolve(*tunnel, false);
    }
}

void Tunnels::mark(Tunnel& tunnel) {
    if (!tunnel.is_marked) {
        tunnel.is_marked = true;
        marked_.push_back(&tunnel);
    }
}

void Tunnels::mark_all() {
    for (auto& [key, tunnel] : tunnels_) {
        mark(tunnel);
    }
}

void Tunnels::path_changed(const net::IpAddress& remote) {
    if (remote.is_unspecified()) {
        mark_all();
        return;
    }
    auto at = by_remote_.lower_bound({remote, nullptr});
    for (; at != by_remote_.end() && at->first == remote; ++at) {
        mark(*at->second);
    }
}

// What leaves by the link, and by what stands on it.
void Tunnels::mark_by_link(LinkId link) {
    std::set<LinkId> seen;
    std::vector<LinkId> links{link};
    while (!links.empty()) {
        const LinkId next = links.back();
        links.pop_back();
        if (next == kNoLink || !seen.insert(next).second) {
            continue;
        }
        for (Tunnel* tunnel : by_link_.at(next)) {
            mark(*tunnel);
            links.push_back(tunnel->key->first);
        }
        auto way = by_way_.lower_bound({next, nullptr});
        for (; way != by_way_.end() && way->first == next; ++way) {
            mark(*way->second);
        }
        if (const LinkRecord* record = core_.links().find(next); record != nullptr) {
            links.push_back(record->master);
            const std::vector<LinkId> uppers = core_.links().uppers_of(next);
            links.insert(links.end(), uppers.begin(), uppers.end());
        }
    }
}

void Tunnels::mark_by_source(const net::IpAddress& source) {
    for (Tunnel* tunnel : by_source_.at(source)) {
        mark(*tunnel);
    }
}

void Tunnels::note(const Event& event) {
    switch (event.object) {
    case Event::Object::route:
        note_route(event.route);
        break;
    case Event::Object::neighbour:
        for (Tunnel* tunnel : by_hop_.at({event.neighbour.link, event.neighbour.address})) {
            mark(*tunnel);
        }
        break;
    case Event::Object::address:
        link_changed(event.address.link);
        mark_by_source(event.address.prefix.address);
        mark_by_source({});
        break;
    default:
        break;
    }
}

void Tunnels::note_route(const route::Route& route) {
    auto at = by_remote_.lower_bound({route.prefix.network().address, nullptr});
    for (; at != by_remote_.end() && route.prefix.contains(at->first); ++at) {
        mark(*at->second);
    }
    if (route.type == route::RouteType::local) {
        // A source must be an address of ours.
        mark_by_source(route.prefix.address);
        mark_by_source({});
    }
}

LinkId Tunnels::find_in_udp(const net::IpAddress& remote, std::uint16_t port) const {
    auto at = by_remote_.lower_bound({remote, nullptr});
    for (; at != by_remote_.end() && at->first == remote; ++at) {
        const LinkRecord* device = core_.links().find(at->second->key->first);
        if (at->second->is_ip && device != nullptr &&
            device->ip_tunnel.udp.kind != encap::UdpEncap::Kind::none &&
            device->ip_tunnel.udp.destination_port == port) {
            return device->id;
        }
    }
    return kNoLink;
}

// Under what a change finds it.
void Tunnels::enter(Tunnel& tunnel) {
    const LinkRecord* device = core_.links().find(tunnel.key->first);
    const LinkId via = tunnel.key->second.via;
    tunnel.watched = via != kNoLink ? via : tunnel.path.link;
    tunnel.source = device != nullptr ? local_of(*device, *tunnel.key) : net::IpAddress{};
    if (tunnel.source.is_unspecified()) {
        tunnel.source = tunnel.path.link == kNoLink ? kNobody : tunnel.path.source;
    }
    by_source_.add(tunnel.source, tunnel);
    by_link_.add(tunnel.watched, tunnel);
    by_hop_.add({tunnel.path.link, tunnel.path.next_hop}, tunnel);
    if (tunnel.ways != nullptr) {
        for (const LinkId link : tunnel.ways->links) {
            by_way_.emplace(link, &tunnel);
        }
    }
}

void Tunnels::leave(Tunnel& tunnel) {
    by_source_.remove(tunnel.source, tunnel);
    by_link_.remove(tunnel.watched, tunnel);
    by_hop_.remove({tunnel.path.link, tunnel.path.next_hop}, tunnel);
    if (tunnel.ways != nullptr) {
        for (const LinkId link : tunnel.ways->links) {
            by_way_.erase({link, &tunnel});
        }
    }
}

// Where the remote's route is looked for: by its own link, or as the device's socket is bound
// (VXLAN-SOCK-02), to the VRF.
LinkId Tunnels::via_of(const LinkRecord& device, const fdb::Remote& remote) {
    if (remote.via != kNoLink) {
        return remote.via;
    }
    return device.kind == pipeline::LinkKind::vxlan ? device.vxlan.vrf : device.ip_tunnel.vrf;
}

// VXLAN-TX-20: the output link is the remote's alone; `dev` of the device counts for its default
// remote, whose entry carries it.
void Tunnels::find_way(Tunnel& tunnel) {
    ++looks_;
    leave(tunnel);
    const LinkRecord* device = core_.links().find(tunnel.key->first);
    const fdb::Remote& remote = tunnel.key->second;
    tunnel.path = {};
    tunnel.ways = nullptr;
    if (device != nullptr && !tunnel.remote.is_unspecified()) {
        const LinkId via = via_of(*device, remote);
        find_path(*device, tunnel, via);
    }
    enter(tunnel);
}

// TUN-TX-08: of what packets bring their own TOS to, some way stands for all if the one without TOS
// leads nowhere.
void Tunnels::find_path(const LinkRecord& device, Tunnel& tunnel, LinkId via) {
    route::Routing& routing = core_.routing();
    const std::optional<std::uint8_t> tos = tos_of(device, tunnel);
    // Over IPv6 what a packet's metadata says need not be an address of ours.
    const bool is_any_source = tunnel.is_ip6 && device.ip_tunnel.external;
    const auto local = is_any_source ? net::IpAddress{} : local_of(device, *tunnel.key);
    tunnel.path = routing.lookup(tunnel.remote, via, local, tos.value_or(0));
    const bool by_flow = chooses_by_flow(device, tunnel);
    if (tunnel.is_ip6 || (!by_flow && tos.has_value())) {
        return;
    }
    tunnel.ways = routing.ways(tunnel.remote, via, tos);
    if (tunnel.ways == nullptr || !tunnel.ways->by_tos) {
        if (!by_flow || tunnel.path.link == kNoLink) {
            tunnel.ways = nullptr;
        }
        return;
    }
    for (std::size_t kind = 1; kind < route::kTosKinds && !route::leads_on(tunnel.path.kind);
         ++kind) {
        const auto other = static_cast<std::uint8_t>(kind << 2);
        tunnel.path = routing.lookup(tunnel.remote, via, local, other);
    }
}

// What all of its outer packets have; nullopt: each its own.
std::optional<std::uint8_t> Tunnels::tos_of(const LinkRecord& device, const Tunnel& tunnel) const {
    std::uint8_t tos = tunnel.is_ip ? device.ip_tunnel.tos : device.vxlan.tos;
    if (const auto* metadata = metadata_of(device, *tunnel.key); metadata != nullptr) {
        tos = metadata->tos;
    }
    constexpr std::uint8_t kInherit = 1;
    const bool is_inherited = tunnel.is_ip ? (tos & kInherit) != 0 : tos == kInherit;
    return is_inherited ? std::nullopt : std::optional(tos);
}

// RT-09: whether the outer packets of one tunnel may take several next hops. Those of an ip6tnl
// have but one flow, as in Linux; those of a vxlan link differ in their source ports, which have to
// be asked for.
bool Tunnels::chooses_by_flow(const LinkRecord& device, const Tunnel& tunnel) const {
    if (tunnel.is_ip) {
        return !tunnel.is_ip6;
    }
    const auto settings = core_.routing().multipath_settings().load(std::memory_order_relaxed);
    const net::MultipathHashing& hashing = device.vxlan.is_ipv6 ? settings.ip6 : settings.ip4;
    return hashing.policy == net::MultipathPolicy::l4 ||
           (hashing.policy == net::MultipathPolicy::custom &&
            (hashing.fields & net::multipath_field::kSourcePort) != 0);
}

}  // namespace culvert::control
