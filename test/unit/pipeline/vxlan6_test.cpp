// SPDX-License-Identifier: BSD-3-Clause
// What comes out of a tunnel over IPv6.
#include "test/unit/pipeline/vxlan6_machine.hpp"

namespace culvert::pipeline::test {

TEST_CASE("VXLAN-RX-09 VXLAN-RX-15 a frame comes out of IPv6", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.receive(machine.underlay, packet6(kInner6), true);
    machine.run();
    CHECK(machine.sent(machine.access) == std::vector<Bytes>{kInner6});
    CHECK(machine.rx_packets(machine.vx6) == 1);
    CHECK(machine.rx_bytes(machine.vx6) == kInner6.size() - 14);
    CHECK(machine.rx_packets(machine.vx) == 0);
    machine.expect_no_drop();
}

TEST_CASE("VXLAN-SOCK-02b the families have ports and VNIs of their own", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.receive(machine.underlay, packet6(kInner6), true);
    machine.receive_exact(machine.underlay, vxlan_packet(kInner6));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 2);
    CHECK(machine.rx_packets(machine.vx6) == 1);
    CHECK(machine.rx_packets(machine.vx) == 1);
    // Nobody has the VNI over IPv6, whatever there is over IPv4.
    machine.add_vxlan(43);
    Outer6 other;
    other.second_word = 43 << 8;
    machine.forget_drops();
    machine.receive(machine.underlay, packet6(kInner6, other));
    machine.run();
    machine.expect_only_drop(machine.underlay, Drop::vxlan_unknown_vni);
}

TEST_CASE(
    "VXLAN-RX-02 VXLAN-RX-03 VXLAN-RX-18 headers over IPv6 that must be dropped",
    "[pipeline][vxlan6]"
) {
    Machine6 machine;
    const auto drop = [&](std::uint32_t flags, std::uint32_t second, LinkId link, Drop reason) {
        Outer6 outer;
        outer.flags = flags;
        outer.second_word = second;
        machine.expect6(packet6(kInner6, outer), link, reason);
    };
    drop(0, 0x2a00, machine.underlay, Drop::vxlan_no_vni_flag);
    drop(0x08000001, 0x2a00, machine.vx6, Drop::vxlan_reserved_bits);
    drop(0x08000000, 0x2a01, machine.vx6, Drop::vxlan_reserved_bits);
    drop(0x08000000, 0x2b00, machine.underlay, Drop::vxlan_unknown_vni);
    machine.expect6(packet6(Bytes(13)), machine.vx6, Drop::vxlan_inner_truncated);
    const Bytes own = station_frame(kNear, mac(0x1666)).bytes();
    machine.expect6(packet6(own), machine.vx6, Drop::vxlan_own_source);
    const Bytes group = station_frame(kNear, net::MacAddress{}).bytes();
    machine.expect6(packet6(group), machine.vx6, Drop::vxlan_source_invalid);
    CHECK(machine.heard().empty());
}

TEST_CASE("VXLAN-SOCK-09 no socket over IPv6: the sender is told", "[pipeline][vxlan6]") {
    Machine6 machine;
    Outer6 other;
    other.udp_port = 4789;
    machine.expect6(packet6(kInner6, other), machine.underlay, Drop::udp_no_port);
    const auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kDestinationUnreachable);
    CHECK(asked[0].error.code == 4);
    CHECK(asked[0].bytes == packet6(kInner6, other));
}

TEST_CASE(
    "VXLAN-SOCK-11 VXLAN-CSUM-04 IPv6 without a checksum is taken by udp6zerocsumrx alone",
    "[pipeline][vxlan6]"
) {
    Machine6 machine;
    Outer6 bare;
    bare.has_checksum = false;
    machine.expect6(packet6(kInner6, bare), machine.underlay, Drop::udp_no_checksum);
    // Before anybody asks for the port or the VNI.
    bare.second_word = 43 << 8;
    machine.expect6(packet6(kInner6, bare), machine.underlay, Drop::udp_no_checksum);
    bare.udp_port = 4790;
    machine.expect6(packet6(kInner6, bare), machine.underlay, Drop::udp_no_checksum);
    CHECK(machine.icmp_asked().empty());
    Bytes wrong = packet6(kInner6);
    wrong[60] ^= 1;
    machine.expect6(wrong, machine.underlay, Drop::udp_checksum);

    const LinkId tolerant = machine.add_vxlan6([](Link& link) {
        link.vxlan.destination_port = 4789;
        link.vxlan.no_checksum6_rx = true;
        link.master = kNoLink;
    });
    Outer6 good;
    good.udp_port = 4789;
    good.has_checksum = false;
    machine.receive(machine.underlay, packet6(kInner6, good), true);
    machine.run();
    CHECK(machine.rx_packets(tolerant) == 1);
    // On that port such a packet is as good as another.
    good.second_word = 43 << 8;
    machine.expect6(packet6(kInner6, good), machine.underlay, Drop::vxlan_unknown_vni);
}

TEST_CASE("TUN-ECN-01 congestion marked on IPv6 outside", "[pipeline][vxlan6]") {
    Machine6 machine;
    Outer6 marked;
    marked.traffic_class = 3;
    machine.expect6(packet6(kInner6, marked), machine.vx6, Drop::vxlan_ecn);
    Ipv4Options capable;
    capable.tos = 2;
    const Bytes inner =
        Packet().ether(kNear, kFar).ipv4(capable).udp(1000, 2000).payload(30).bytes();
    machine.receive(machine.underlay, packet6(inner, marked), true);
    machine.run();
    const auto sent = machine.sent(machine.access);
    REQUIRE(sent.size() == 1);
    CHECK((sent[0][15] & 3) == 3);
}

TEST_CASE("VXLAN-LRN-03 VXLAN-LRN-05 a station is learned behind IPv6", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.receive(machine.underlay, packet6(kInner6), true);
    machine.run();
    auto learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address(kVtep6));
    CHECK(learned[0].mac == kFar);
    CHECK(learned[0].domain == machine.vx6);
    CHECK(learned[0].port == kNoLink);

    // Known there: no word more. Elsewhere: it has moved.
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({}));
    machine.receive(machine.underlay, packet6(kInner6), true);
    machine.run();
    CHECK(machine.heard().empty());
    Outer6 moved;
    moved.source = "2001:db8::3";
    machine.receive(machine.underlay, packet6(kInner6, moved), true);
    machine.run();
    learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address("2001:db8::3"));
}

TEST_CASE("VXLAN-LRN-04 a static entry behind IPv6 does not move", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({}), true);
    Outer6 moved;
    moved.source = "2001:db8::3";
    machine.expect6(packet6(kInner6, moved), machine.vx6, Drop::vxlan_source_pinned);
    CHECK(machine.heard().empty());
    // In one burst with packets from where it is, each meets its own fate.
    machine.forget_drops();
    const std::uint64_t before = machine.rx_packets(machine.vx6);
    for (const bool here : {false, false, true, true, false, true}) {
        machine.receive(machine.underlay, packet6(kInner6, here ? Outer6{} : moved), true);
    }
    machine.run();
    machine.expect_only_drop(machine.vx6, Drop::vxlan_source_pinned, 3);
    CHECK(machine.rx_packets(machine.vx6) == before + 3);
}

TEST_CASE(
    "VXLAN-LRN-07 VXLAN-SOCK-06 link-local VTEPs are known on their link", "[pipeline][vxlan6]"
) {
    Machine6 machine;
    Outer6 near;
    near.source = "fe80::2";
    near.destination = "fe80::1";
    near.second_word = 44 << 8;
    machine.add_vxlan6([&](Link& link) {
        link.mac = mac(0x1777);
        link.vxlan.vni = 44;
        link.vxlan.local = address("fe80::1");
        link.vxlan.lower = machine.underlay;
    });
    machine.receive(machine.underlay, packet6(kInner6, near), true);
    machine.run();
    const auto learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address("fe80::2"));
    CHECK(learned[0].port == machine.underlay);
    // By another link it is not its packet.
    machine.forget_drops();
    Bytes elsewhere = packet6(kInner6, near);
    const net::MacAddress other = Machine::port_mac(2);
    std::memcpy(elsewhere.data(), &other, sizeof(other));
    machine.receive(machine.port_link(2), elsewhere, true);
    machine.run();
    machine.expect_only_drop(machine.port_link(2), Drop::vxlan_unknown_vni);
}

}  // namespace culvert::pipeline::test
