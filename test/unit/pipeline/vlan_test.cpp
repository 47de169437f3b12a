// SPDX-License-Identifier: BSD-3-Clause
#include "lib/rcu/hash_table_writer.hpp"
#include "test/unit/pipeline/fixture.hpp"

namespace culvert::pipeline::test {

namespace {

constexpr std::uint32_t kOurs = 0x0a000001;
constexpr std::uint32_t kTheirs = 0x0a000002;
constexpr std::uint16_t kQ = net::ether_type::kVlan;
constexpr std::uint16_t kAd = net::ether_type::kQinq;

struct Vlans : Machine {
    explicit Vlans(const MachineOptions& options = {})
        : Machine(options) {}

    LinkId add_vlan(LinkId lower, std::uint16_t id, std::uint16_t protocol = kQ) {
        Link link;
        link.kind = LinkKind::vlan;
        link.up = true;
        link.mac = this->link(lower).mac;
        link.vlan = {lower, id, protocol};
        const LinkId made = add_link(link);
        REQUIRE(
            vlans.insert(VlanKey::make(lower, protocol, id), made) == VlanDemux::Inserted::added
        );
        change(lower, [](Link& below) { below.has_vlans = true; });
        return made;
    }
};

Packet arp(const net::MacAddress& destination) {
    return Packet()
        .ether(destination, mac(1), net::ether_type::kArp)
        .arp_request(mac(1), kTheirs, kOurs);
}

// The frame with tags behind its MACs, the outermost first.
struct Tag {
    std::uint16_t protocol;
    std::uint16_t tci;
};

Bytes tagged(const Bytes& frame, const std::vector<Tag>& tags) {
    Bytes result(frame.begin(), frame.begin() + 12);
    for (const Tag& tag : tags) {
        for (const std::uint16_t word : {tag.protocol, tag.tci}) {
            result.push_back(static_cast<std::uint8_t>(word >> 8));
            result.push_back(static_cast<std::uint8_t>(word));
        }
    }
    result.insert(result.end(), frame.begin() + 12, frame.end());
    return result;
}

}  // namespace

TEST_CASE("a tag takes a frame to its vlan link, without the tag", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const LinkId vlan = machine.add_vlan(port, 100);
    const Bytes frame =
        arp(GENERATE(as<net::MacAddress>{}, net::kBroadcastMac, mac(0x100))).bytes();
    // Priority and DEI are no part of the VLAN's number.
    machine.receive(
        port, tagged(frame, {{kQ, GENERATE(as<std::uint16_t>{}, 0x0064, 0xf064)}}), true
    );
    machine.run();
    machine.expect_no_drop();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.link_in == vlan);
    CHECK(punted[0].bytes == frame);
    CHECK(machine.rx_packets(port) == 1);
    CHECK(machine.rx_bytes(port) == frame.size() + 4);
    CHECK(machine.rx_packets(vlan) == 1);
    CHECK(machine.rx_bytes(vlan) == frame.size());
}

TEST_CASE("a tag in a tag is a vlan link on a vlan link", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const LinkId outer = machine.add_vlan(port, 7, kAd);
    const LinkId inner = machine.add_vlan(outer, 8);
    const Bytes frame = arp(net::kBroadcastMac).bytes();
    const Bytes whole = tagged(frame, {{kAd, 7}, {kQ, 8}});
    for (int i = 0; i < 40; ++i) {
        machine.receive(port, whole, true);
    }
    machine.run();
    machine.expect_no_drop();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 40);
    CHECK(punted[0].note.link_in == inner);
    CHECK(punted[0].bytes == frame);
    CHECK(machine.rx_packets(outer) == 40);
    CHECK(machine.rx_packets(inner) == 40);

    machine.send_from_control(inner, arp(net::kBroadcastMac));
    machine.run();
    const auto sent = machine.sent(port);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0] == whole);
    CHECK(machine.tx_bytes(inner) == frame.size());
    CHECK(machine.tx_bytes(outer) == frame.size() + 4);
    CHECK(machine.tx_bytes(port) == frame.size() + 8);
}

TEST_CASE("what no vlan link takes is dropped by name", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const LinkId vlan = machine.add_vlan(port, 100);
    const Bytes frame = arp(net::kBroadcastMac).bytes();
    SECTION("another number") {
        machine.receive(port, tagged(frame, {{kQ, 101}}), true);
        machine.run();
        machine.expect_only_drop(port, Drop::vlan_unknown);
    }
    SECTION("another type of tag") {
        machine.receive(port, tagged(frame, {{kAd, 100}}), true);
        machine.run();
        machine.expect_only_drop(port, Drop::vlan_unknown);
    }
    SECTION("the vlan link is down") {
        machine.change(vlan, [](Link& link) { link.up = false; });
        machine.receive(port, tagged(frame, {{kQ, 100}}), true);
        machine.run();
        machine.expect_only_drop(vlan, Drop::link_down_rx);
    }
    SECTION("another station's") {
        machine.receive(port, tagged(arp(mac(9)).bytes(), {{kQ, 100}}), true);
        machine.run();
        machine.expect_only_drop(vlan, Drop::ether_other_host);
    }
    SECTION("ended in the tag") {
        for (std::size_t len = 14; len < 18; ++len) {
            machine.forget_drops();
            const Bytes whole = tagged(frame, {{kQ, 100}});
            machine.receive(
                port, Bytes(whole.begin(), whole.begin() + static_cast<long>(len)), true
            );
            machine.run();
            machine.expect_only_drop(port, Drop::ether_truncated);
        }
    }
    SECTION("ended behind the tag") {
        const Bytes whole = tagged(frame, {{kQ, 100}});
        machine.receive(port, Bytes(whole.begin(), whole.begin() + 20), true);
        machine.run();
        machine.expect_only_drop(vlan, Drop::arp_malformed);
    }
}

TEST_CASE("a priority tag is no VLAN", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const Bytes frame = arp(net::kBroadcastMac).bytes();
    machine.receive(port, tagged(frame, {{kQ, 0xe000}}), true);
    machine.run();
    machine.expect_no_drop();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.link_in == port);
    CHECK(punted[0].bytes == frame);
}

TEST_CASE("packets are routed between a port and a vlan link", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const LinkId vlan = machine.add_vlan(port, 100);
    const LinkId other = machine.port_link(1);
    machine.add_next_hop("10.0.1.0/24", other, mac(0x201));
    machine.add_next_hop("10.0.0.0/24", vlan, mac(0x202));
    const Packet there = Packet().ether(machine.port_mac(0), mac(1)).ipv4().udp(1, 2).payload(20);
    const Packet back = Packet()
                            .ether(machine.port_mac(1), mac(1))
                            .ipv4({.source = 0x0a000102, .destination = 0x0a000002})
                            .udp(1, 2)
                            .payload(20);
    // In between, frames without a tag: their order stays.
    machine.receive(port, tagged(there.bytes(), {{kQ, 100}}));
    machine.receive(port, there);
    machine.receive(port, tagged(there.bytes(), {{kQ, 100}}));
    machine.receive(other, back);
    machine.run();
    machine.expect_no_drop();
    CHECK(machine.sent(other).size() == 3);
    const auto sent = machine.sent(port);
    REQUIRE(sent.size() == 1);
    Bytes expected = tagged(back.bytes(), {{kQ, 100}});
    REQUIRE(sent[0].size() == expected.size());
    CHECK(sent[0][12] == 0x81);
    CHECK(sent[0][15] == 100);
    CHECK(sent[0][16] == 0x08);
    CHECK(Bytes(sent[0].begin(), sent[0].begin() + 6) == Bytes{2, 0, 0, 0, 2, 2});
    CHECK(sent[0][18 + 8] == 63);
    CHECK(machine.tx_packets(vlan) == 1);
    CHECK(machine.tx_bytes(vlan) == back.bytes().size());
}

TEST_CASE("a vlan link is a bridge's member, beside its lower link too", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const LinkId access = machine.port_link(1);
    const LinkId vlan = machine.add_vlan(port, 100);
    const LinkId bridge = machine.add_bridge(mac(0x300));
    machine.enslave(vlan, bridge);
    machine.enslave(access, bridge);
    const Bytes frame = Packet().ether(mac(9), mac(1), 0x88b5).payload(46).bytes();
    const Bytes back = Packet().ether(mac(1), mac(9), 0x88b5).payload(46).bytes();
    if (GENERATE(false, true)) {
        const LinkId trunk = machine.add_bridge(mac(0x301));
        machine.enslave(port, trunk);
        const LinkId third = machine.port_link(2);
        machine.enslave(third, trunk);
        // Without a tag it is the port's own bridge's.
        machine.receive(port, frame);
        machine.run();
        CHECK(machine.sent(third) == std::vector<Bytes>{frame});
        CHECK(machine.sent(access).empty());
        // With a tag that no vlan link has, too, and with it.
        machine.receive(port, tagged(frame, {{kQ, 101}}));
        machine.run();
        CHECK(machine.sent(third) == std::vector<Bytes>{tagged(frame, {{kQ, 101}})});
    }
    machine.receive(port, tagged(frame, {{kQ, 100}}));
    machine.run();
    CHECK(machine.sent(access) == std::vector<Bytes>{frame});
    machine.learn_all();
    machine.receive(access, back);
    machine.run();
    CHECK(machine.sent(port) == std::vector<Bytes>{tagged(back, {{kQ, 100}})});
    machine.expect_no_drop();
}

TEST_CASE("a tag finds no room in front of a frame", "[pipeline][vlan]") {
    Vlans machine;
    const LinkId port = machine.port_link(0);
    const LinkId vlan = machine.add_vlan(port, 100);
    const LinkId access = machine.port_link(1);
    const LinkId bridge = machine.add_bridge(mac(0x300));
    machine.enslave(vlan, bridge);
    machine.enslave(access, bridge);
    // Its memory begins at its first byte.
    machine.receive(access, Packet().ether(mac(9), mac(1), 0x88b5).payload(46).bytes(), true);
    machine.run();
    machine.expect_only_drop(vlan, Drop::vlan_no_room);
}

}  // namespace culvert::pipeline::test
