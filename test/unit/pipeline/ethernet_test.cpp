// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/fixture.hpp"

namespace culvert::pipeline::test {

namespace {

constexpr std::uint32_t kOurs = 0x0a000001;
constexpr std::uint32_t kTheirs = 0x0a000002;

}  // namespace

TEST_CASE("an ARP packet to our MAC, to all or to a group goes to control", "[pipeline]") {
    Machine machine;
    const LinkId port = machine.port_link(0);
    const net::MacAddress destination = GENERATE(
        as<net::MacAddress>{},
        net::kBroadcastMac,
        mac(0x100),
        net::MacAddress::from_value(0x01005e000001)
    );
    const Packet packet = Packet()
                              .ether(destination, mac(1), net::ether_type::kArp)
                              .arp_request(mac(1), kTheirs, kOurs);
    machine.receive_exact(port, packet);
    machine.run();
    machine.expect_no_drop();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::arp);
    CHECK(punted[0].note.link_in == port);
    CHECK(punted[0].note.l3_offset == 14);
    CHECK(punted[0].bytes == packet.bytes());
}

TEST_CASE("a frame ended at every length is dropped by name and not read past", "[pipeline]") {
    Machine machine;
    const LinkId port = machine.port_link(0);
    const Bytes whole = Packet()
                            .ether(machine.port_mac(0), mac(1), net::ether_type::kArp)
                            .arp_request(mac(1), kTheirs, kOurs)
                            .bytes();
    for (std::size_t len = 0; len < whole.size(); ++len) {
        CAPTURE(len);
        machine.forget_drops();
        machine.receive(port, Bytes(whole.begin(), whole.begin() + static_cast<long>(len)), true);
        machine.run();
        machine.expect_only_drop(port, len < 14 ? Drop::ether_truncated : Drop::arp_malformed);
    }
}

TEST_CASE("what is not for this processor is dropped by name", "[pipeline]") {
    Machine machine;
    const LinkId port = machine.port_link(0);
    const net::MacAddress us = machine.port_mac(0);

    struct Case {
        Packet packet;
        Drop reason;
    };

    const Case wrong = GENERATE_COPY(
        Case{Packet().ether(mac(9), mac(1)).ipv4().payload(8), Drop::ether_other_host},
        Case{Packet().ether(us, mac(1), 0x8100).payload(8), Drop::vlan_unknown},
        Case{Packet().ether(us, mac(1), 0x88a8).payload(8), Drop::vlan_unknown},
        Case{Packet().ether(us, mac(1), 0x86dd).payload(40), Drop::ip6_version},
        Case{Packet().ether(us, mac(1), 0x88cc).payload(8), Drop::ether_type_unknown},
        Case{Packet().ether(us, mac(1), 0x0026).payload(38), Drop::ether_type_unknown}
    );
    machine.receive_exact(port, wrong.packet);
    machine.run();
    machine.expect_only_drop(port, wrong.reason);
    CHECK(machine.rx_packets(port) == 1);
    CHECK(machine.rx_bytes(port) == wrong.packet.bytes().size());
}

TEST_CASE("a link that is down or gone takes nothing", "[pipeline]") {
    Machine machine;
    const LinkId port = machine.port_link(0);
    const Packet packet = Packet().ether(machine.port_mac(0), mac(1)).ipv4().payload(8);
    SECTION("down") {
        machine.change(port, [](Link& link) { link.up = false; });
        machine.receive_exact(port, packet);
        machine.run();
        machine.expect_only_drop(port, Drop::link_down_rx);
    }
    SECTION("gone") {
        machine.receive_exact(port, packet);
        machine.erase_link(port);
        machine.run();
        machine.expect_only_drop(port, Drop::link_gone);
    }
}

TEST_CASE("a full ring to control is a counted drop, and control is woken once", "[pipeline]") {
    Machine machine({.ring_size = 8});
    const LinkId port = machine.port_link(0);
    machine.doorbell().control_sleeps = true;
    for (int i = 0; i < 10; ++i) {
        machine.receive_exact(
            port,
            Packet()
                .ether(net::kBroadcastMac, mac(1), net::ether_type::kArp)
                .arp_request(mac(1), kTheirs, kOurs)
        );
    }
    machine.run();
    // A ring of 8 holds 7.
    machine.expect_only_drop(port, Drop::control_ring_full, 3);
    CHECK_FALSE(machine.doorbell().control_sleeps);
    std::uint64_t rings = 0;
    REQUIRE(::read(machine.doorbell().event_fd, &rings, sizeof(rings)) == sizeof(rings));
    CHECK(rings == 1);
    CHECK(machine.punted().size() == 7);
}

TEST_CASE("a worker that sends nothing to control does not wake it", "[pipeline]") {
    Machine machine;
    machine.doorbell().control_sleeps = true;
    machine.receive_exact(machine.port_link(0), Packet().ether(mac(9), mac(1)).payload(46));
    machine.run();
    machine.expect_only_drop(machine.port_link(0), Drop::ether_other_host);
    CHECK(machine.doorbell().control_sleeps);
}

}  // namespace culvert::pipeline::test
