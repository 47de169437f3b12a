// SPDX-License-Identifier: BSD-3-Clause
// A tunnel over IPv6: port 0 is the underlay with 2001:db8::1, `vx6` is VNI 42 on UDP port 8472, in
// one bridge with port 1.
#pragma once

#include "lib/net/ipv6.hpp"
#include "test/unit/pipeline/vxlan_machine.hpp"

namespace culvert::pipeline::test {

inline constexpr const char* kOurs = "2001:db8::1";
inline constexpr const char* kVtep6 = "2001:db8::2";
inline constexpr std::size_t kOuterLen = 70;
inline const Bytes kInner6 = station_frame(kNear, kFar).bytes();

inline net::IpAddress address(const char* text) {
    return net::IpAddress::parse(text).value();
}

struct Outer6 {
    const char* source = kVtep6;
    const char* destination = kOurs;
    std::uint16_t udp_port = kUdpPort;
    std::uint32_t flags = net::vxlan::kVniValid;
    std::uint32_t second_word = kVni << 8;
    std::uint8_t traffic_class = 0;
    bool has_checksum = true;
};

inline void append_word(Bytes& bytes, std::uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<std::uint8_t>(word >> shift));
    }
}

inline Bytes packet6(const Bytes& inner, const Outer6& what = {}) {
    Bytes payload;
    append_word(payload, std::uint32_t{40000} << 16 | what.udp_port);
    append_word(payload, static_cast<std::uint32_t>(16 + inner.size()) << 16);
    append_word(payload, what.flags);
    append_word(payload, what.second_word);
    payload.insert(payload.end(), inner.begin(), inner.end());
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(what.traffic_class, 0);
    ip.payload_length = net::Be16{static_cast<std::uint16_t>(payload.size())};
    ip.next_header = net::ip_protocol::kUdp;
    ip.hop_limit = 64;
    ip.source = address(what.source).bytes();
    ip.destination = address(what.destination).bytes();
    if (what.has_checksum) {
        const std::uint64_t pseudo = net::pseudo_header_sum_v6(
            ip.source,
            ip.destination,
            net::ip_protocol::kUdp,
            static_cast<std::uint32_t>(payload.size())
        );
        const net::Be16 sum =
            net::udp_checksum_from_sum(net::sum_bytes(payload.data(), payload.size(), pseudo));
        std::memcpy(&payload[6], &sum, sizeof(sum));
    }
    Bytes bytes = Packet().ether(Machine::port_mac(0), kVtep, net::ether_type::kIpv6).bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    bytes.insert(bytes.end(), raw, raw + sizeof(ip));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

struct Machine6 : VxlanMachine {
    Machine6()
        : vx6(add_vxlan6([](Link&) {})) {
        add_local("2001:db8::1/128");
        enslave(vx6, bridge);
    }

    template <typename Change>
    LinkId add_vxlan6(Change&& change) {
        Link link;
        link.kind = LinkKind::vxlan;
        link.up = true;
        link.mac = mac(0x1666);
        link.mtu = 1430;
        link.vxlan.vni = kVni;
        link.vxlan.is_ipv6 = true;
        link.vxlan.destination_port = kUdpPort;
        change(link);
        const LinkId id = add_link(link);
        fdb.add_domain(id, {});
        const std::uint64_t flags =
            link.vxlan.no_checksum6_rx ? encap::VxlanKey::kNoChecksum : std::uint64_t{0};
        vxlan_demux.insert(encap::VxlanKey::socket_of(link.vxlan), flags);
        vxlan_demux.insert(encap::VxlanKey::of(link.vxlan), id);
        return id;
    }

    encap::VxlanTemplates::Id add_template6(
        const char* remote,
        std::uint32_t mtu = 1500,
        encap::TunnelState state = encap::TunnelState::ready
    ) {
        route::Adjacency neighbour;
        neighbour.link_out = underlay;
        neighbour.header_len = 14;
        const net::EtherHeader ether{kVtep, link(underlay).mac, net::Be16{net::ether_type::kIpv6}};
        std::memcpy(neighbour.header.data(), &ether, sizeof(ether));
        route::Path way = path(underlay);
        way.next_hop = address(remote);
        way.source = address(kOurs);
        way.mtu = mtu;
        auto outer = std::make_unique<encap::VxlanTemplate>(encap::build_vxlan_template(
            link(vx6).vxlan, vx6, {address(remote), kVni, kUdpPort, kNoLink}, way, neighbour
        ));
        outer->state = state;
        const encap::VxlanTemplates::Id id = vxlan_templates.allocate();
        vxlan_templates.publish(id, std::move(outer));
        return id;
    }

    std::uint32_t add_destination6(
        const std::vector<encap::VxlanTemplates::Id>& ids,
        const char* first = kVtep6,
        LinkId via = kNoLink
    ) {
        const std::uint32_t id = add_destination(vx6, ids);
        auto destination = std::make_unique<encap::VxlanDestination>();
        destination->first_address = address(first);
        destination->first_via = via;
        destination->device = vx6;
        destination->count = static_cast<std::uint32_t>(ids.size());
        std::copy(ids.begin(), ids.end(), destination->inline_ids.begin());
        vxlan_destinations.publish(id, std::move(destination));
        return id;
    }

    // What is to be learned of vxlan links; the bridge has its own.
    std::vector<fdb::LearnEvent> heard() {
        std::vector<fdb::LearnEvent> events = learned();
        std::erase_if(events, [this](const fdb::LearnEvent& e) { return e.domain == bridge; });
        return events;
    }

    void expect6(const Bytes& bytes, LinkId on, Drop reason) {
        forget_drops();
        receive(underlay, bytes, true);
        run();
        expect_only_drop(on, reason);
        CHECK(sent(access).empty());
        CHECK(rx_packets(vx6) == 0);
    }

    LinkId vx6;
};

inline Bytes behind(const Bytes& outer) {
    return {outer.begin() + kOuterLen, outer.end()};
}

inline std::uint8_t last_of_destination(const Bytes& outer) {
    return outer.at(53);
}

}  // namespace culvert::pipeline::test
