// SPDX-License-Identifier: BSD-3-Clause
// A machine with a tunnel: port 0 is the underlay with 192.0.2.1, `vx` is VNI 42 on UDP port 8472,
// in one bridge with port 1, so that what comes out of the tunnel leaves there.
#pragma once

#include "lib/encap/vxlan_build.hpp"
#include "lib/net/vxlan.hpp"
#include "test/unit/pipeline/fixture.hpp"

#include <string>

namespace culvert::pipeline::test {

inline constexpr std::uint32_t kLocal = 0xc0000201;   // 192.0.2.1
inline constexpr std::uint32_t kRemote = 0xc0000202;  // 192.0.2.2
inline constexpr std::uint16_t kUdpPort = 8472;
inline constexpr std::uint32_t kVni = 42;
inline const net::MacAddress kNear = mac(0xa);   // a station behind port 1
inline const net::MacAddress kFar = mac(0xb);    // one behind the tunnel
inline const net::MacAddress kVtep = mac(0x77);  // the underlay's next hop

inline Packet
station_frame(const net::MacAddress& to, const net::MacAddress& from, std::size_t payload = 30) {
    return Packet().ether(to, from).ipv4().udp(1000, 2000).payload(payload);
}

inline const Packet kFrame = station_frame(kFar, kNear);

// What is behind one outer header.
inline Bytes inner_of(const Bytes& outer) {
    return {outer.begin() + 50, outer.end()};
}

inline std::uint32_t word_at(const Bytes& bytes, std::size_t at) {
    return std::uint32_t{bytes.at(at)} << 24 | std::uint32_t{bytes.at(at + 1)} << 16 |
           std::uint32_t{bytes.at(at + 2)} << 8 | bytes.at(at + 3);
}

inline std::vector<std::uint32_t> destinations_of(const std::vector<Bytes>& packets) {
    std::vector<std::uint32_t> addresses;
    addresses.reserve(packets.size());
    for (const Bytes& bytes : packets) {
        addresses.push_back(word_at(bytes, 30));
    }
    return addresses;
}

struct OuterOptions {
    std::uint32_t source = kRemote;
    std::uint32_t destination = kLocal;
    std::uint16_t udp_port = kUdpPort;
    std::uint32_t flags = net::vxlan::kVniValid;
    std::uint32_t second_word = kVni << 8;
    std::uint8_t tos = 0;
    std::size_t option_bytes = 0;
};

// A VXLAN packet to port 0 with `inner` in it; no UDP checksum.
inline Packet vxlan_packet(const Bytes& inner, const OuterOptions& options = {}) {
    const auto word = [](std::uint32_t value) {
        return Bytes{
            static_cast<std::uint8_t>(value >> 24),
            static_cast<std::uint8_t>(value >> 16),
            static_cast<std::uint8_t>(value >> 8),
            static_cast<std::uint8_t>(value)};
    };
    Ipv4Options ip;
    ip.source = options.source;
    ip.destination = options.destination;
    ip.tos = options.tos;
    ip.option_bytes = options.option_bytes;
    return Packet()
        .ether(Machine::port_mac(0), kVtep)
        .ipv4(ip)
        .udp(40000, options.udp_port)
        .raw(word(options.flags))
        .raw(word(options.second_word))
        .raw(inner);
}

struct VxlanMachine : Machine {
    explicit VxlanMachine(const MachineOptions& options = {})
        : Machine(options)
        , underlay(port_link(0))
        , access(port_link(1))
        , vx(add_vxlan(kVni))
        , bridge(add_bridge(mac(0xb0))) {
        add_local("192.0.2.1/32");
        enslave(vx, bridge);
        enslave(access, bridge);
        add_fdb(bridge, kNear, access, true);
        change(bridge, [](Link& link) { link.up = true; });
    }

    LinkId add_vxlan(std::uint32_t vni, std::uint16_t port = kUdpPort) {
        Link link;
        link.kind = LinkKind::vxlan;
        link.up = true;
        link.mac = mac(0x1000 + vni);
        link.mtu = 1450;
        link.vxlan.vni = vni;
        link.vxlan.destination_port = port;
        const LinkId id = add_link(link);
        fdb.add_domain(id, {});
        vxlan_demux.insert(encap::VxlanKey::socket(port), 1);
        vxlan_demux.insert(encap::VxlanKey::make(port, vni), id);
        return id;
    }

    route::Path path(LinkId out) const {
        route::Path path;
        path.kind = route::AdjacencyKind::rewrite;
        path.link = out;
        path.source = net::IpAddress::from_v4(kLocal);
        path.mtu = 1500;
        return path;
    }

    // The template of a remote behind `out`, changed by `change`.
    template <typename Change>
    encap::VxlanTemplates::Id
    add_template(LinkId device, std::uint32_t remote, LinkId out, Change&& change) {
        route::Adjacency neighbour;
        neighbour.link_out = out;
        neighbour.header_len = 14;
        const net::EtherHeader ether{kVtep, link(out).mac, net::Be16{net::ether_type::kIpv4}};
        std::memcpy(neighbour.header.data(), &ether, sizeof(ether));
        route::Path way = path(out);
        way.next_hop = net::IpAddress::from_v4(remote);
        const Link& tunnel = link(device);
        auto outer = std::make_unique<encap::VxlanTemplate>(encap::build_vxlan_template(
            tunnel.vxlan,
            device,
            {net::IpAddress::from_v4(remote), tunnel.vxlan.vni, tunnel.vxlan.destination_port, 0},
            way,
            neighbour
        ));
        change(*outer);
        const encap::VxlanTemplates::Id id = vxlan_templates.allocate();
        vxlan_templates.publish(id, std::move(outer));
        return id;
    }

    encap::VxlanTemplates::Id add_template(LinkId device, std::uint32_t remote, LinkId out) {
        return add_template(device, remote, out, [](encap::VxlanTemplate&) {});
    }

    // A remote list; returns what FDB entries refer to.
    std::uint32_t add_destination(
        LinkId device,
        const std::vector<encap::VxlanTemplates::Id>& ids,
        std::uint32_t first_address = kRemote,
        LinkId first_via = kNoLink
    ) {
        auto destination = std::make_unique<encap::VxlanDestination>();
        destination->first_address = net::IpAddress::from_v4(first_address);
        destination->first_via = first_via;
        destination->device = device;
        destination->count = static_cast<std::uint32_t>(ids.size());
        const std::size_t inlined = destination->inline_ids.size();
        std::unique_ptr<encap::VxlanTemplates::Id[]> more;
        if (ids.size() > inlined) {
            more = std::make_unique<encap::VxlanTemplates::Id[]>(ids.size() - inlined);
        }
        for (std::size_t i = 0; i < ids.size(); ++i) {
            (i < inlined ? destination->inline_ids[i] : more[i - inlined]) = ids[i];
        }
        destination->more_ids = std::move(more);
        const encap::VxlanDestinations::Id id = vxlan_destinations.allocate();
        vxlan_destinations.publish(id, std::move(destination));
        return id;
    }

    // `address` is behind one remote.
    void add_remote(
        const net::MacAddress& address, std::uint32_t remote = kRemote, bool pinned = false
    ) {
        const auto id = add_destination(vx, {add_template(vx, remote, underlay)}, remote);
        add_fdb(vx, address, id, pinned);
    }

    [[nodiscard]] std::uint32_t used(const net::MacAddress& address) {
        fdb::Value value{};
        REQUIRE(fdb.find(fdb::Key::make(vx, address), value));
        return value.used_s;
    }

    // As if a packet had just come from there.
    void stamp(const net::MacAddress& address, std::uint32_t now_s) {
        const fdb::Key key = fdb::Key::make(vx, address);
        fdb::Value value{};
        REQUIRE(fdb.find(key, value));
        fdb.refresh(key, value, now_s);
    }

    LinkId underlay;
    LinkId access;
    LinkId vx;
    LinkId bridge;
};

// The packet is dropped for this reason and leaves no other trace than that it was received.
inline void expect_drop(VxlanMachine& machine, const Bytes& bytes, LinkId link, Drop reason) {
    machine.forget_drops();
    const std::uint64_t rx = machine.rx_packets(machine.vx);
    machine.receive(machine.underlay, bytes, true);
    machine.run();
    machine.expect_only_drop(link, reason);
    CHECK(machine.sent(machine.access).empty());
    CHECK(machine.rx_packets(machine.vx) == rx);
}

}  // namespace culvert::pipeline::test
