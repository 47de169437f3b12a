// SPDX-License-Identifier: BSD-3-Clause
// A router with a tunnel over IPv6: port 0 is the underlay with 2001:db8::1, behind port 1 are
// 10.0.2.0/24's and 2001:db8:2::/48's stations, and behind the tunnel 10.0.3.0/24 and
// 2001:db8:3::/48.
#pragma once

#include "lib/encap/ip_tunnel_build6.hpp"
#include "lib/encap/ip_tunnel_push6.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/pipeline/ip_tunnel_machine.hpp"

#include <cstring>
#include <memory>

namespace culvert::pipeline::test {

inline constexpr const char* kOurs = "2001:db8::1";
inline constexpr const char* kTheirs = "2001:db8::2";
inline constexpr std::uint8_t kOptions = 60;
inline const Bytes kLimit4{0, 4, 1, 4, 1, 1, 0};  // behind the next header

inline net::IpAddress address(const char* text) {
    return net::IpAddress::parse(text).value();
}

inline Bytes
ip6(const char* from,
    const char* to,
    std::uint8_t next_header,
    const Bytes& payload,
    std::uint8_t traffic_class = 0,
    std::uint32_t label = 0) {
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(traffic_class, label);
    ip.payload_length = net::Be16{static_cast<std::uint16_t>(payload.size())};
    ip.next_header = next_header;
    ip.hop_limit = 33;
    ip.source = address(from).bytes();
    ip.destination = address(to).bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    Bytes bytes(raw, raw + sizeof(ip));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

inline Bytes operator+(Bytes front, const Bytes& back) {
    front.insert(front.end(), back.begin(), back.end());
    return front;
}

inline encap::IpTunnelConfig config6_of(encap::IpTunnelKind kind) {
    encap::IpTunnelConfig config;
    config.kind = kind;
    config.local = address(kOurs);
    config.remote = address(kTheirs);
    config.ttl = 64;
    return config;
}

struct Tunnel6 : IpTunnelMachine {
    explicit Tunnel6(const encap::IpTunnelConfig& config, std::uint32_t mtu = 1500) {
        add_local("2001:db8::1/128");
        add_next_hop("2001:db8:2::/48", access, mac(0x22));
        Link next;
        next.kind = link_kind(config.kind);
        next.up = true;
        next.mtu = 9000;
        next.mac = has_link_layer(next.kind) ? mac(0x1000) : net::MacAddress{};
        next.ip_tunnel = config;
        next.sequences = std::make_shared<encap::IpTunnelSequences>();
        tunnel = add_link(next);
        REQUIRE(ip_tunnels.set(tunnel, config, true));
        if (has_link_layer(next.kind)) {
            add_next_hop("10.0.3.0/24", tunnel, mac(0x99), 9000);
        } else {
            route_into(tunnel, "10.0.3.0/24");
            route6_into("2001:db8:3::/48");
        }
        if (!config.external) {
            set_way(mtu);
        }
    }

    void route6_into(const char* prefix, std::uint32_t gateway = 0) {
        route::Adjacency adjacency;
        adjacency.kind = route::AdjacencyKind::rewrite;
        adjacency.link_out = tunnel;
        adjacency.mtu = 9000;
        adjacency.header_len = 14;
        const net::Be32 number{gateway};
        std::memcpy(adjacency.header.data(), &number, sizeof(number));
        adjacency.header[12] = 0x86;
        adjacency.header[13] = 0xdd;
        add_route(prefix, adjacency);
    }

    // The number of a template for `config`.
    std::uint32_t
    make_way(const encap::IpTunnelConfig& config, std::uint32_t mtu, route::AdjacencyKind kind) {
        route::Path path;
        path.kind = kind;
        path.link = underlay;
        path.next_hop = address(kTheirs);
        path.source = address(kOurs);
        path.mtu = mtu;
        route::Adjacency neighbour;
        neighbour.link_out = underlay;
        neighbour.header_len = 14;
        const net::EtherHeader ether{
            kUnderlayHop, link(underlay).mac, net::Be16{net::ether_type::kIpv6}};
        std::memcpy(neighbour.header.data(), &ether, sizeof(ether));
        const auto id = ip_tunnels.templates6.allocate();
        ip_tunnels.templates6.publish(
            id,
            std::make_unique<encap::IpTunnelTemplate6>(
                encap::build_ip_tunnel_template6(config, tunnel, address(kTheirs), path, neighbour)
            )
        );
        return id;
    }

    void set_way(std::uint32_t mtu, route::AdjacencyKind kind = route::AdjacencyKind::rewrite) {
        ip_tunnels.own.publish(tunnel, make_way(link(tunnel).ip_tunnel, mtu, kind));
    }

    // What routes by this gateway say to an external device.
    void add_metadata(std::uint32_t gateway, const encap::IpTunnelMetadata& metadata) {
        const auto config = with_metadata(link(tunnel).ip_tunnel, metadata);
        const auto id = make_way(config, 1500, route::AdjacencyKind::rewrite);
        ip_tunnels.remotes.insert({net::Be32{gateway}.raw(), tunnel}, id);
    }

    std::vector<Bytes> forward(const Bytes& frame) {
        forget_drops();
        receive(access, frame);
        run();
        return sent(underlay);
    }

    std::vector<Bytes> forward6(const Bytes& ip) {
        return forward(
            Packet().ether(port_mac(1), mac(0x22), net::ether_type::kIpv6).raw(ip).bytes()
        );
    }

    // What comes out behind the tunnel of an outer packet with this protocol and payload.
    std::vector<Bytes> take(std::uint8_t protocol, const Bytes& payload, std::uint8_t tos = 0) {
        forget_drops();
        const Bytes outer = ip6(kTheirs, kOurs, protocol, payload, tos);
        receive(
            underlay,
            Packet().ether(port_mac(0), kUnderlayHop, net::ether_type::kIpv6).raw(outer).bytes(),
            true
        );
        run();
        return sent(access);
    }

    LinkId tunnel = kNoLink;
};

}  // namespace culvert::pipeline::test
