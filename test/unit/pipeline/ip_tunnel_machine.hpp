// SPDX-License-Identifier: BSD-3-Clause
// A router with tunnels: port 0 is the underlay with 192.0.2.1, behind port 1 are 10.0.2.0/24's
// stations, and what a test routes into a tunnel goes to 192.0.2.2.
#pragma once

#include "lib/encap/ip_tunnel_build.hpp"
#include "test/unit/pipeline/fixture.hpp"

#include <cstring>
#include <memory>
#include <string>

namespace culvert::pipeline::test {

inline constexpr std::uint32_t kLocal = 0xc0000201;     // 192.0.2.1
inline constexpr std::uint32_t kRemote = 0xc0000202;    // 192.0.2.2
inline constexpr std::uint32_t kStation = 0x0a000202;   // 10.0.2.2, behind port 1
inline constexpr std::uint32_t kFarHost = 0x0a000302;   // 10.0.3.2, behind the tunnel
inline const net::MacAddress kUnderlayHop = mac(0x77);  // MAC of 192.0.2.2

struct IpTunnelMachine : Machine {
    IpTunnelMachine()
        : underlay(port_link(0))
        , access(port_link(1)) {
        add_local("192.0.2.1/32");
        add_next_hop("10.0.2.0/24", access, mac(0x22));
    }

    LinkId add_tunnel(const encap::IpTunnelConfig& config, bool is_fallback = false) {
        Link next;
        next.kind = link_kind(config.kind);
        next.up = true;
        next.mtu = 1500 - encap::overhead_bytes(config);
        next.mac = has_link_layer(next.kind) ? mac(0x1000) : net::MacAddress{};
        next.ip_tunnel = config;
        next.sequences = std::make_shared<encap::IpTunnelSequences>();
        const LinkId id = add_link(next);
        REQUIRE(ip_tunnels.lookup.set(id, config, true, is_fallback));
        return id;
    }

    static encap::IpTunnelConfig config_of(
        encap::IpTunnelKind kind, std::uint32_t local = kLocal, std::uint32_t remote = kRemote
    ) {
        encap::IpTunnelConfig config;
        config.kind = kind;
        config.local = local == 0 ? net::IpAddress{} : net::IpAddress::from_v4(local);
        config.remote = remote == 0 ? net::IpAddress{} : net::IpAddress::from_v4(remote);
        return config;
    }

    // The way to `remote`, by `out`; changed by `change`.
    template <typename Change>
    void add_remote(LinkId device, std::uint32_t remote, LinkId out, Change&& change) {
        route::Path path;
        path.kind = route::AdjacencyKind::rewrite;
        path.link = out;
        path.next_hop = net::IpAddress::from_v4(remote);
        path.source = net::IpAddress::from_v4(kLocal);
        path.mtu = 1500;
        route::Adjacency neighbour;
        neighbour.link_out = out;
        neighbour.header_len = 14;
        const net::EtherHeader ether{
            kUnderlayHop, link(out).mac, net::Be16{net::ether_type::kIpv4}};
        std::memcpy(neighbour.header.data(), &ether, sizeof(ether));
        auto outer = std::make_unique<encap::IpTunnelTemplate>(encap::build_ip_tunnel_template(
            link(device).ip_tunnel, device, net::IpAddress::from_v4(remote), path, neighbour
        ));
        change(*outer);
        const auto id = ip_tunnels.templates.allocate();
        ip_tunnels.templates.publish(id, std::move(outer));
        if (link(device).ip_tunnel.remote == net::IpAddress::from_v4(remote)) {
            ip_tunnels.own.publish(device, id);
        } else {
            ip_tunnels.remotes.insert({net::Be32{remote}.raw(), device}, id);
        }
    }

    void add_remote(LinkId device, std::uint32_t remote = kRemote) {
        add_remote(device, remote, underlay, [](encap::IpTunnelTemplate&) {});
    }

    // A route into the tunnel, by `gateway` if that is not 0.
    void route_into(LinkId device, const std::string& prefix, std::uint32_t gateway = 0) {
        route::Adjacency adjacency;
        adjacency.kind = route::AdjacencyKind::rewrite;
        adjacency.link_out = device;
        adjacency.mtu = link(device).mtu;
        adjacency.header_len = 14;
        const net::Be32 address{gateway};
        std::memcpy(adjacency.header.data(), &address, sizeof(address));
        adjacency.header[12] = 8;
        add_route(prefix, adjacency);
    }

    // Inner IPv4, from behind the tunnel to a station unless said otherwise.
    static Bytes inner_packet(std::size_t payload = 30, const Ipv4Options& options = {}) {
        Ipv4Options ip = options;
        if (ip.destination == Ipv4Options{}.destination) {
            ip.source = kFarHost;
            ip.destination = kStation;
        }
        const Bytes frame = Packet().ether({}, {}).ipv4(ip).payload(payload).bytes();
        return {frame.begin() + 14, frame.end()};
    }

    static Bytes in_frame(const Bytes& ip) {
        return Packet().ether(mac(0x1000), mac(0x99)).raw(ip).bytes();
    }

    struct Outer {
        std::uint8_t protocol = 4;
        std::uint8_t tos = 0;
        std::uint32_t source = kRemote;
        std::size_t option_bytes = 0;
    };

    // `payload` in an IP packet of `protocol` to the underlay's address.
    static Packet outer_packet(const Bytes& payload, const Outer& outer) {
        Ipv4Options ip;
        ip.source = outer.source;
        ip.destination = kLocal;
        ip.protocol = outer.protocol;
        ip.tos = outer.tos;
        ip.option_bytes = outer.option_bytes;
        return Packet().ether(port_mac(0), kUnderlayHop).ipv4(ip).raw(payload);
    }

    static Bytes gre(const Bytes& header, const Bytes& payload) {
        Bytes bytes = header;
        bytes.insert(bytes.end(), payload.begin(), payload.end());
        return bytes;
    }

    // From a station to the far host.
    static Packet from_station(std::size_t payload = 30, std::uint16_t flags_and_offset = 0) {
        Ipv4Options ip;
        ip.source = kStation;
        ip.destination = kFarHost;
        ip.flags_and_offset = flags_and_offset;
        return Packet().ether(port_mac(1), mac(0x22)).ipv4(ip).payload(payload);
    }

    LinkId underlay;
    LinkId access;
};

}  // namespace culvert::pipeline::test
