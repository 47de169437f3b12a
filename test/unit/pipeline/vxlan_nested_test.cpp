// SPDX-License-Identifier: BSD-3-Clause
// Tunnels that lead to ourselves, into other tunnels, or back into themselves.
#include "test/unit/pipeline/vxlan_machine.hpp"

namespace culvert::pipeline::test {

TEST_CASE("VXLAN-TX-28 VXLAN-BYP-01 a remote that is ourselves", "[pipeline][vxlan]") {
    VxlanMachine machine;
    // A device of its own sends to VNI 42 of this machine.
    const LinkId source = machine.add_vxlan(7, 9999);
    const auto id =
        machine.add_template(source, kLocal, machine.underlay, [](encap::VxlanTemplate& outer) {
            outer.state = encap::TunnelState::local;
            outer.vni = kVni;
            outer.destination_port = kUdpPort;
        });
    machine.add_fdb(source, kNear, machine.add_destination(source, {id}));
    const Packet frame = station_frame(kNear, kFar);

    SECTION("is delivered, counted with its Ethernet header on both sides, and learned") {
        machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
        machine.send_from_control(source, frame);
        machine.run();
        CHECK(machine.sent(machine.access) == std::vector<Bytes>{frame.bytes()});
        CHECK(machine.tx_packets(source) == 1);
        CHECK(machine.tx_bytes(source) == frame.bytes().size());
        CHECK(machine.rx_packets(machine.vx) == 1);
        CHECK(machine.rx_bytes(machine.vx) == frame.bytes().size());
        const auto events = machine.learned();
        REQUIRE(events.size() == 1);
        CHECK(events[0].domain == machine.vx);
        CHECK(events[0].mac == kFar);
        CHECK(events[0].source == net::IpAddress::from_v4(0x7f000001));
        machine.expect_no_drop();
    }
    SECTION("a pinned source elsewhere does not make it drop") {
        machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
        machine.add_remote(kFar, kRemote, true);
        machine.send_from_control(source, frame);
        machine.run();
        CHECK(machine.sent(machine.access).size() == 1);
        CHECK(machine.learned().empty());
    }
    SECTION("VXLAN-BYP-02 is for us there whatever its destination MAC, and that packet alone") {
        machine.change(machine.vx, [](Link& link) { link.master = kNoLink; });
        machine.send_from_control(source, frame);
        machine.run();
        // To nobody's address here, but not to another host's MAC.
        CHECK(machine.drops(machine.vx, Drop::ether_other_host) == 0);
        CHECK(machine.drops(machine.vx, Drop::ip4_no_route) == 1);
        machine.receive(machine.underlay, vxlan_packet(frame.bytes()));
        machine.run();
        CHECK(machine.drops(machine.vx, Drop::ether_other_host) == 1);
    }
    SECTION("no such device here") {
        machine.vxlan_demux.erase(encap::VxlanKey::make(kUdpPort, kVni));
        machine.send_from_control(source, frame);
        machine.run();
        machine.expect_only_drop(source, Drop::vxlan_local_no_device);
        CHECK(machine.tx_packets(source) == 0);
        CHECK(info(Drop::vxlan_local_no_device).counters == KernelCounters::tx_errors);
    }
    SECTION("the device is down: its own rx_dropped") {
        machine.change(machine.vx, [](Link& link) { link.up = false; });
        machine.send_from_control(source, frame);
        machine.run();
        machine.expect_only_drop(machine.vx, Drop::link_down_rx);
    }
}

TEST_CASE("IPO-DEV-06 a tunnel to itself comes to an end", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.enslave(machine.vx, kNoLink);
    const LinkId second = machine.add_bridge(mac(0xb2));
    machine.enslave(machine.vx, second);
    // The bridge sends what comes out of the tunnel back into it.
    machine.change(machine.vx, [](Link& link) { link.bridge_port.hairpin = true; });
    const auto id = machine.add_template(
        machine.vx,
        kRemote,
        machine.underlay,
        [](encap::VxlanTemplate& outer) { outer.state = encap::TunnelState::local; }
    );
    machine.add_fdb(machine.vx, kFar, machine.add_destination(machine.vx, {id}));
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    CHECK(machine.dropped() == 1);
    CHECK(
        machine.drops(machine.vx, Drop::depth_exceeded) +
            machine.drops(second, Drop::depth_exceeded) ==
        1
    );
}

TEST_CASE("a tunnel in a tunnel: two outer headers", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const LinkId lower = machine.add_vxlan(8, 9999);
    const auto down = machine.add_template(lower, 0xc0000233, machine.underlay);
    machine.add_fdb(lower, kVtep, machine.add_destination(lower, {down}));
    const auto id = machine.add_template(machine.vx, kRemote, lower);
    machine.add_fdb(machine.vx, kFar, machine.add_destination(machine.vx, {id}));
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    machine.expect_no_drop();
    REQUIRE(sent.size() == 1);
    CHECK(word_at(sent[0], 30) == 0xc0000233);
    CHECK(word_at(sent[0], 80) == kRemote);
    CHECK(inner_of(inner_of(sent[0])) == kFrame.bytes());
    CHECK(machine.tx_packets(lower) == 1);
    CHECK(machine.tx_packets(machine.vx) == 1);
}

TEST_CASE(
    "IPO-DEV-06 a tunnel over itself runs out of depth before it does of headroom",
    "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    const auto id = machine.add_template(
        machine.vx,
        kRemote,
        machine.underlay,
        [&](encap::VxlanTemplate& outer) { outer.link_out = machine.vx; }
    );
    machine.add_fdb(machine.vx, net::MacAddress{}, machine.add_destination(machine.vx, {id}));
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    machine.expect_only_drop(machine.vx, Drop::depth_exceeded);
}

}  // namespace culvert::pipeline::test
