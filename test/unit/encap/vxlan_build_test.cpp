// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/ipv4.hpp"
#include "test/unit/encap/packets.hpp"

namespace culvert::encap::test {

namespace {

const net::Ipv4Header& ip_of(const VxlanTemplate& outer) {
    return *reinterpret_cast<const net::Ipv4Header*>(&outer.bytes[VxlanTemplate::kIpOffset]);
}

Bytes vxlan_of(const VxlanTemplate& outer) {
    const auto* begin = &outer.bytes[VxlanTemplate::kVxlanOffset];
    return {begin, begin + 8};
}

}  // namespace

TEST_CASE("the header of VNI 42 without extensions", "[encap]") {
    CHECK(vxlan_of(make_template()) == Bytes{0x08, 0, 0, 0, 0, 0, 0x2a, 0});
}

TEST_CASE("VXLAN-TX-20 VXLAN-TX-36 ready: addresses, port and VNI of the remote", "[encap]") {
    const VxlanTemplate outer = make_template();
    CHECK(outer.state == TunnelState::ready);
    CHECK(outer.device == 7);
    CHECK(outer.link_out == 3);
    CHECK(outer.mtu == 1500);
    CHECK(ip_of(outer).source.host() == 0xc0000201);
    CHECK(ip_of(outer).destination.host() == 0xc0000202);
    CHECK(ip_of(outer).protocol == 17);
    CHECK(ip_of(outer).version_and_ihl == 0x45);
    CHECK(outer.bytes[36] == 0x21);  // 8472
    CHECK(outer.bytes[37] == 0x18);
    CHECK(outer.bytes[0] == 0x02);
    CHECK(outer.bytes[5] == 0x02);
    CHECK(outer.bytes[11] == 0x01);
}

TEST_CASE("VXLAN-TX-20 a configured local address goes before the route's", "[encap]") {
    VxlanConfig config;
    config.local = net::IpAddress::from_v4(0xc0000209);
    CHECK(ip_of(make_template(config)).source.host() == 0xc0000209);
}

TEST_CASE("unresolved: everything but the outer Ethernet addresses", "[encap]") {
    const VxlanTemplate outer =
        build_vxlan_template({}, 7, direct_remote(), direct_path(), std::nullopt);
    CHECK(outer.state == TunnelState::unresolved);
    CHECK(outer.next_hop == net::IpAddress::from_v4(0xc0000202));
    CHECK(outer.link_out == 3);
    const Bytes macs(outer.bytes.begin(), outer.bytes.begin() + 12);
    CHECK(macs == Bytes(12, 0));
    const VxlanTemplate ready = make_template();
    CHECK(std::equal(outer.bytes.begin() + 12, outer.bytes.end(), ready.bytes.begin() + 12));
    CHECK(outer.ip_sum == ready.ip_sum);
    CHECK(outer.udp_sum == ready.udp_sum);
}

TEST_CASE("a remote without address", "[encap]") {
    VxlanRemote remote = direct_remote();
    remote.address = GENERATE(net::IpAddress{}, net::IpAddress::from_v4(0));
    const auto outer = build_vxlan_template({}, 7, remote, direct_path(), direct_neighbour());
    CHECK(outer.state == TunnelState::no_remote);
}

TEST_CASE("VXLAN-TX-25 no route", "[encap]") {
    route::Path path = direct_path();
    path.kind = GENERATE(
        route::AdjacencyKind::no_route,
        route::AdjacencyKind::unreachable,
        route::AdjacencyKind::prohibit,
        route::AdjacencyKind::blackhole
    );
    CHECK(make_template({}, path).state == TunnelState::no_route);
}

TEST_CASE("VXLAN-TX-26 the route leads into the tunnel itself", "[encap]") {
    route::Path path = direct_path();
    path.link = 7;
    CHECK(make_template({}, path).state == TunnelState::loop);
}

TEST_CASE("VXLAN-TX-28 the route is local: port and VNI to look for", "[encap]") {
    route::Path path = direct_path();
    path.kind = route::AdjacencyKind::local;
    const VxlanTemplate outer = make_template({}, path);
    CHECK(outer.state == TunnelState::local);
    CHECK(outer.vni == 42);
    CHECK(outer.destination_port == 8472);
}

TEST_CASE("VXLAN-TX-22 TTL: configured, 64, or 1 to a group", "[encap]") {
    VxlanConfig config;
    VxlanRemote remote = direct_remote();
    const auto ttl = [&] {
        const auto outer =
            build_vxlan_template(config, 7, remote, direct_path(), direct_neighbour());
        return ip_of(outer).time_to_live;
    };
    CHECK(ttl() == 64);
    remote.address = net::IpAddress::from_v4(0xefff0001);
    CHECK(ttl() == 1);
    config.ttl = 33;
    CHECK(ttl() == 33);
    config.ttl_inherit = true;
    CHECK(ttl() == 0);
}

TEST_CASE("TUN-ECN-06 TOS: ECN bits are never configured, 1 is inherit", "[encap]") {
    VxlanConfig config;
    config.tos = 0xff;
    VxlanTemplate outer = make_template(config);
    CHECK(ip_of(outer).type_of_service == 0xfc);
    CHECK_FALSE(outer.tos_inherit);
    config.tos = 1;
    outer = make_template(config);
    CHECK(ip_of(outer).type_of_service == 0);
    CHECK(outer.tos_inherit);
    config.tos = 3;  // not inherit: only exactly 1 is
    outer = make_template(config);
    CHECK(ip_of(outer).type_of_service == 0);
    CHECK_FALSE(outer.tos_inherit);
}

TEST_CASE("VXLAN-TX-30 DF is set only if asked for", "[encap]") {
    VxlanConfig config;
    CHECK(ip_of(make_template(config)).flags_and_offset.host() == 0);
    config.df = DontFragment::inherit;
    CHECK(ip_of(make_template(config)).flags_and_offset.host() == 0);
    config.df = DontFragment::set;
    CHECK(ip_of(make_template(config)).flags_and_offset.host() == 0x4000);
}

TEST_CASE("TUN-TX-20 a locked route MTU takes DF away", "[encap]") {
    VxlanConfig config;
    config.df = GENERATE(DontFragment::set, DontFragment::inherit);
    route::Path path = direct_path();
    path.mtu_locked = true;
    const VxlanTemplate outer = make_template(config, path);
    CHECK(ip_of(outer).flags_and_offset.host() == 0);
    CHECK(outer.df == DontFragment::unset);
}

TEST_CASE("VXLAN-SPORT-01 the source port's range", "[encap]") {
    VxlanConfig config;
    const auto range = [&](std::uint16_t min, std::uint16_t max) {
        config.source_port_min = min;
        config.source_port_max = max;
        const VxlanTemplate outer = make_template(config);
        return std::pair(outer.source_port_min, outer.source_port_span);
    };
    CHECK(range(0, 0) == std::pair<std::uint16_t, std::uint16_t>(32768, 60999 - 32768));
    CHECK(range(5000, 5000) == std::pair<std::uint16_t, std::uint16_t>(32768, 60999 - 32768));
    CHECK(range(5000, 5010) == std::pair<std::uint16_t, std::uint16_t>(5000, 10));
    CHECK(range(0, 65535) == std::pair<std::uint16_t, std::uint16_t>(0, 65535));
}

TEST_CASE("IPO-LO-03 an MTU leaves room for the link header in 16 bits", "[encap]") {
    route::Path path = direct_path();
    path.mtu = 65535;
    CHECK(make_template({}, path).mtu == 65521);
    path.mtu = 0;
    CHECK(make_template({}, path).mtu == 65521);
}

}  // namespace culvert::encap::test
