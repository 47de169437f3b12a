// SPDX-License-Identifier: BSD-3-Clause
// Routing: neighbours become adjacencies, and waiting packets get their link header.
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/route/routing_impl.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace culvert::route {

namespace {

net::Be16 ether_type_of(net::Family family) {
    return net::Be16(family == net::Family::ipv4 ? net::ether_type::kIpv4 : net::ether_type::kIpv6);
}

// What is behind a link header says its version in its first byte.
net::Family family_behind_header(const rte_mbuf* frame) {
    constexpr std::uint16_t kOffset = sizeof(net::EtherHeader);
    const bool is_v6 = rte_pktmbuf_data_len(frame) > kOffset &&
                       *rte_pktmbuf_mtod_offset(frame, const std::uint8_t*, kOffset) >> 4 == 6;
    return is_v6 ? net::Family::ipv6 : net::Family::ipv4;
}

// What stands for a link header where there is no link layer: next_hop is unspecified for what is
// on-link.
net::EtherHeader pseudo_header(
    const net::IpAddress& next_hop,
    net::Family family,
    const std::optional<net::MacAddress>& link_address
) {
    net::EtherHeader header{link_address.value_or(net::MacAddress{}), {}, ether_type_of(family)};
    if (!link_address && (next_hop.is_v4() || next_hop.is_v4_compatible())) {
        std::copy_n(next_hop.bytes().begin() + 12, 4, header.destination.bytes.begin());
    }
    return header;
}

// RFC 1112 6.4: the low 23 bits; RFC 2464 7: the low 32.
net::MacAddress multicast_mac(const net::IpAddress& group) noexcept {
    if (!group.is_v4()) {
        const auto& g = group.bytes();
        return net::MacAddress{{0x33, 0x33, g[12], g[13], g[14], g[15]}};
    }
    return net::MacAddress::from_value(0x01005e000000 | (group.v4() & 0x7fffff));
}

}  // namespace

// Of a group address: no ARP is needed.
std::optional<net::MacAddress>
Routing::Impl::group_mac_of(LinkId link, const net::IpAddress& next_hop) const {
    if (next_hop.is_multicast()) {
        return multicast_mac(next_hop);
    }
    if (!next_hop.is_v4()) {
        return std::nullopt;
    }
    if (next_hop == kLimitedBroadcast) {
        return net::kBroadcastMac;
    }
    const Route* route = table_of(link).rib.longest_match(next_hop);
    const bool is_broadcast =
        route != nullptr && route->type == RouteType::broadcast && route->link == link;
    return is_broadcast ? std::optional(net::kBroadcastMac) : std::nullopt;
}

std::optional<net::MacAddress>
Routing::Impl::known_mac_of(LinkId link, const net::IpAddress& next_hop) const {
    const Neighbour* neighbour = neighbours_.find({link, next_hop});
    return neighbour != nullptr && neighbour->has_mac ? std::optional(neighbour->mac)
                                                      : std::nullopt;
}

std::optional<net::MacAddress>
Routing::Impl::mac_of(LinkId link, const net::IpAddress& next_hop) const {
    const auto known = known_mac_of(link, next_hop);
    return known ? known : group_mac_of(link, next_hop);
}

// GRE-TX-03: where the packets go that a tunnel has for the neighbour.
std::optional<net::MacAddress>
Routing::Impl::tunnel_address_of(LinkId link, const net::IpAddress& next_hop) const {
    const Link* found = find_link(link);
    return found != nullptr && found->parameters.has_neighbours ? known_mac_of(link, next_hop)
                                                                : std::nullopt;
}

Adjacency Routing::Impl::describe(const AdjacencyKey& key) const {
    Adjacency adjacency;
    adjacency.kind = key.kind;
    if (key.kind == AdjacencyKind::multipath) {
        adjacency.multipath = multipaths_.table(key.group);
        return adjacency;
    }
    if (key.kind != AdjacencyKind::glean && key.kind != AdjacencyKind::incomplete) {
        return adjacency;
    }
    adjacency.link_out = key.link;
    adjacency.next_hop = key.next_hop;
    adjacency.mtu = mtu_of(key.link, key.mtu);
    const Link* link = find_link(key.link);
    if (!has_link_layer(key.link)) {
        const net::EtherHeader header =
            pseudo_header(key.next_hop, key.family, tunnel_address_of(key.link, key.next_hop));
        adjacency.kind = AdjacencyKind::rewrite;
        adjacency.header_len = sizeof(header);
        std::memcpy(adjacency.header.data(), &header, sizeof(header));
        return adjacency;
    }
    if (key.kind == AdjacencyKind::glean || link == nullptr) {
        return adjacency;
    }
    if (const std::optional<net::MacAddress> mac = mac_of(key.link, key.next_hop);
        mac.has_value()) {
        const net::EtherHeader header{*mac, link->parameters.mac, ether_type_of(key.family)};
        adjacency.kind = AdjacencyKind::rewrite;
        adjacency.header_len = sizeof(header);
        std::memcpy(adjacency.header.data(), &header, sizeof(header));
    }
    return adjacency;
}

std::optional<Adjacency> Routing::Impl::neighbour_adjacency(
    LinkId link, const net::IpAddress& next_hop, net::Family family
) const {
    const Adjacency adjacency = describe({link, next_hop, 0, AdjacencyKind::incomplete, family});
    return adjacency.kind == AdjacencyKind::rewrite ? std::optional(adjacency) : std::nullopt;
}

void Routing::Impl::resolve(
    LinkId link, const net::IpAddress& next_hop, rte_mbuf* frame, std::uint64_t now_ms
) {
    now_ms_ = now_ms;
    if (!is_up(link)) {
        actions_.give_up(link, frame, QueueVerdict::removed);
    } else if (!has_link_layer(link)) {
        send_by_tunnel(link, next_hop, frame);
    } else if (const auto mac = group_mac_of(link, next_hop); mac.has_value()) {
        send_frame(link, *mac, frame);
    } else {
        neighbours_.resolve({link, next_hop}, frame, now_ms);
    }
}

// A gateway, or the packet's own destination: the same to the tunnel.
void Routing::Impl::send_by_tunnel(LinkId link, const net::IpAddress& next_hop, rte_mbuf* frame) {
    if (rte_pktmbuf_data_len(frame) < sizeof(net::EtherHeader)) {
        actions_.give_up(link, frame, QueueVerdict::removed);
        return;
    }
    const net::EtherHeader header =
        pseudo_header(next_hop, family_behind_header(frame), tunnel_address_of(link, next_hop));
    std::memcpy(rte_pktmbuf_mtod(frame, void*), &header, sizeof(header));
    actions_.send_frame(link, frame);
}

std::uint64_t Routing::Impl::tick(std::uint64_t now_ms) {
    now_ms_ = now_ms;
    std::uint64_t next_ms = neighbours_.tick(now_ms);
    bool has_forgotten = false;
    for (const auto& [id, table] : tables_) {
        has_forgotten |= table->path_mtus.tick(now_ms);
        next_ms = std::min(next_ms, table->path_mtus.next_ms());
    }
    if (has_forgotten) {
        ++generation_;
        actions_.path_mtu_changed({});
    }
    return next_ms;
}

// --- NeighbourActions

// arp_announce 0 (NEI-11): as the waiting packet says if that is an address of ours, else one that
// fits.
net::IpAddress Routing::Impl::arp_source(const NeighbourKey& key) const {
    const Neighbour* neighbour = neighbours_.find(key);
    if (neighbour != nullptr && !neighbour->queue.empty()) {
        const rte_mbuf* packet = neighbour->queue.back();
        constexpr std::size_t kNeeded = sizeof(net::EtherHeader) + sizeof(net::Ipv4Header);
        if (rte_pktmbuf_data_len(packet) >= kNeeded) {
            net::Ipv4Header ip{};
            std::memcpy(
                &ip,
                rte_pktmbuf_mtod_offset(packet, const char*, sizeof(net::EtherHeader)),
                sizeof(ip)
            );
            const auto source = net::IpAddress::from_v4(ip.source.host());
            if (is_local(source, key.link)) {
                return source;
            }
        }
    }
    return select_source(key.link, key.address, Scope::link);
}

void Routing::Impl::solicit(const NeighbourKey& key, std::optional<net::MacAddress> unicast_to) {
    if (!is_up(key.link)) {
        return;
    }
    if (!key.address.is_v4()) {
        actions_.send_neighbour_solicitation(
            key.link, unicast_to, solicitation_source(key), key.address
        );
    } else {
        actions_.send_arp_request(
            key.link, unicast_to.value_or(net::kBroadcastMac), arp_source(key), key.address
        );
    }
}

// NEI-12: whatever routes lead there, their adjacency is replaced by one pointer.
void Routing::Impl::changed(const Neighbour& neighbour, bool removed) {
    const NeighbourKey& key = neighbour.key;
    const bool is_known = with_mac_.count({key.address, key.link}) != 0;
    if (adjacencies_.refresh_next_hop(key.link, key.address) || is_known != neighbour.has_mac) {
        ++generation_;
    }
    if (is_known != neighbour.has_mac) {
        if (neighbour.has_mac) {
            with_mac_.emplace(key.address, key.link);
        } else {
            with_mac_.erase({key.address, key.link});
        }
        sync_host(key);
    }
    actions_.neighbour_changed(neighbour, removed);
}

void Routing::Impl::send_frame(LinkId link, const net::MacAddress& destination, rte_mbuf* frame) {
    const Link* found = find_link(link);
    if (found == nullptr || rte_pktmbuf_data_len(frame) < sizeof(net::EtherHeader)) {
        actions_.give_up(link, frame, QueueVerdict::removed);
        return;
    }
    auto* data = rte_pktmbuf_mtod(frame, std::uint8_t*);
    const net::EtherHeader header{
        destination, found->parameters.mac, ether_type_of(family_behind_header(frame))};
    std::memcpy(data, &header, sizeof(header));
    actions_.send_frame(link, frame);
}

void Routing::Impl::send(const Neighbour& neighbour, rte_mbuf* packet) {
    send_frame(neighbour.key.link, neighbour.mac, packet);
}

void Routing::Impl::give_up(const Neighbour& neighbour, rte_mbuf* packet, QueueVerdict why) {
    actions_.give_up(neighbour.key.link, packet, why);
}

}  // namespace culvert::route
