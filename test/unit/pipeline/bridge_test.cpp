// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/fixture.hpp"

#include <set>

namespace culvert::pipeline::test {

namespace {

const net::MacAddress kBridgeMac = mac(0xb0);
const net::MacAddress kStation1 = mac(1);
const net::MacAddress kStation2 = mac(2);
const net::MacAddress kGroup = net::MacAddress::from_value(0x01005e010203);

Packet frame(const net::MacAddress& to, const net::MacAddress& from, std::size_t len = 60) {
    return Packet().ether(to, from, 0x88b5).payload(len - 14);
}

// Ports 0, 1 and 2 in one bridge; port 3 is alone.
struct BridgeMachine : Machine {
    explicit BridgeMachine(const MachineOptions& options = {})
        : Machine(options)
        , bridge(add_bridge(kBridgeMac))
        , a(port_link(0))
        , b(port_link(1))
        , c(port_link(2)) {
        for (const LinkId member : {a, b, c}) {
            enslave(member, bridge);
        }
    }

    void set_flags(LinkId member, const BridgePort& flags) {
        change(member, [&](Link& link) { link.bridge_port = flags; });
    }

    // Sends one frame in by `from` and returns how many left by a, b and c.
    std::array<std::size_t, 3> pass(LinkId from, const Packet& packet) {
        forget_drops();
        receive_exact(from, packet);
        run();
        std::array<std::size_t, 3> counts{};
        const std::array<LinkId, 3> members{a, b, c};
        for (std::size_t i = 0; i < members.size(); ++i) {
            for (const Bytes& bytes : sent(members[i])) {
                CHECK(bytes == packet.bytes());
                ++counts[i];
            }
        }
        return counts;
    }

    LinkId bridge;
    LinkId a;
    LinkId b;
    LinkId c;
};

using Counts = std::array<std::size_t, 3>;

}  // namespace

TEST_CASE("an unknown source is told to control, once a burst", "[pipeline][bridge]") {
    BridgeMachine machine;
    for (int i = 0; i < 3; ++i) {
        machine.receive_exact(machine.a, frame(kStation2, kStation1));
    }
    machine.run();
    const auto events = machine.learned();
    REQUIRE(events.size() == 1);
    CHECK(events[0].mac == kStation1);
    CHECK(events[0].domain == machine.bridge);
    CHECK(events[0].port == machine.a);
    CHECK(events[0].source.is_unspecified());
    machine.expect_no_drop();
}

TEST_CASE("a MAC is learned, found, and moves to another port", "[pipeline][bridge]") {
    BridgeMachine machine;
    CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 1, 1});
    machine.learn_all();
    CHECK(machine.pass(machine.b, frame(kStation1, kStation2)) == Counts{1, 0, 0});
    machine.learn_all();
    CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 1, 0});
    CHECK(machine.learned().empty());
    // Station 1 now speaks from c.
    CHECK(machine.pass(machine.c, frame(kStation2, kStation1)) == Counts{0, 1, 0});
    machine.learn_all();
    CHECK(machine.pass(machine.b, frame(kStation1, kStation2)) == Counts{0, 0, 1});
    machine.expect_no_drop();
}

TEST_CASE("a static entry does not move, nor does the bridge's own address", "[pipeline][bridge]") {
    BridgeMachine machine;
    machine.add_fdb(machine.bridge, kStation1, machine.b, true);
    machine.pass(machine.a, frame(kStation2, kStation1));
    machine.pass(machine.a, frame(kStation2, kBridgeMac));
    CHECK(machine.learned().empty());
    CHECK(machine.pass(machine.a, frame(kStation1, kStation2)) == Counts{0, 1, 0});
}

TEST_CASE("learning off: nothing is told to control", "[pipeline][bridge]") {
    BridgeMachine machine;
    machine.set_flags(machine.a, {.learning = false});
    CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 1, 1});
    CHECK(machine.learned().empty());
}

TEST_CASE("a seen source is stamped with the second", "[pipeline][bridge]") {
    BridgeMachine machine;
    machine.add_fdb(machine.bridge, kStation1, machine.a);
    machine.add_fdb(machine.bridge, kStation2, machine.b);
    Worker& worker = machine.worker();
    // Ten seconds ago by the worker's clock: not what the entry says.
    machine.receive_exact(machine.a, frame(kStation2, kStation1));
    poll_once(worker);
    worker.now_s = 4711;
    rte_mbuf* packet = make_mbuf(machine.pool(), frame(kStation2, kStation1).bytes());
    note(packet).link_in = machine.a;
    note(packet).depth = 0;
    worker.counters.received.add(1);
    worker.enqueue(Stage::bridge, packet);
    run_stages(worker);
    CHECK(machine.fdb.get(machine.bridge, kStation1)->value.used_s == 4711);
    CHECK(machine.fdb.get(machine.bridge, kStation2)->value.used_s == 0);
    CHECK(machine.learned().empty());
}

TEST_CASE("a lost learn event is counted and told again", "[pipeline][bridge]") {
    BridgeMachine machine({.ring_size = 4});
    for (std::uint64_t i = 0; i < 5; ++i) {
        machine.receive_exact(machine.a, frame(kStation2, mac(0x1000 + i)));
    }
    machine.run();
    CHECK(machine.worker().learn_events_lost.read() == 2);
    CHECK(machine.learned().size() == 3);
    machine.receive_exact(machine.a, frame(kStation2, mac(0x1004)));
    machine.run();
    const auto events = machine.learned();
    REQUIRE(events.size() == 1);
    CHECK(events[0].mac == mac(0x1004));
}

TEST_CASE("invalid sources and link-local groups end at the bridge", "[pipeline][bridge]") {
    BridgeMachine machine;
    SECTION("source zero") {
        CHECK(machine.pass(machine.a, frame(kStation2, {})) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_source_invalid);
    }
    SECTION("source a group") {
        CHECK(machine.pass(machine.a, frame(kStation2, kGroup)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_source_invalid);
    }
    SECTION("01:80:c2:00:00:01 to 0f") {
        const auto last = static_cast<std::uint64_t>(GENERATE(range(1, 16)));
        const auto group = net::MacAddress::from_value(0x0180c2000000 | last);
        CHECK(machine.pass(machine.a, frame(group, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_link_local);
    }
    SECTION("01:80:c2:00:00:00 is flooded, STP being off, and :10 is no link-local group") {
        const std::uint64_t last = GENERATE(as<std::uint64_t>{}, 0x00, 0x10);
        const auto group = net::MacAddress::from_value(0x0180c2000000 | last);
        CHECK(machine.pass(machine.a, frame(group, kStation1)) == Counts{0, 1, 1});
        machine.expect_no_drop();
    }
    SECTION("shorter than Ethernet") {
        for (std::size_t len = 0; len < 14; ++len) {
            machine.forget_drops();
            machine.receive(machine.a, Bytes(len, 2), true);
            machine.run();
            machine.expect_only_drop(machine.a, Drop::ether_truncated);
        }
    }
    CHECK(machine.learned().size() <= 1);
}

TEST_CASE("flooding obeys the members' flags", "[pipeline][bridge]") {
    BridgeMachine machine;
    SECTION("unknown unicast") {
        machine.set_flags(machine.b, {.flood = false});
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 0, 1});
        CHECK(machine.pass(machine.a, frame(kGroup, kStation1)) == Counts{0, 1, 1});
        CHECK(machine.pass(machine.a, frame(net::kBroadcastMac, kStation1)) == Counts{0, 1, 1});
    }
    SECTION("multicast") {
        machine.set_flags(machine.b, {.mcast_flood = false});
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 1, 1});
        CHECK(machine.pass(machine.a, frame(kGroup, kStation1)) == Counts{0, 0, 1});
        CHECK(machine.pass(machine.a, frame(net::kBroadcastMac, kStation1)) == Counts{0, 1, 1});
    }
    SECTION("broadcast") {
        machine.set_flags(machine.b, {.bcast_flood = false});
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 1, 1});
        CHECK(machine.pass(machine.a, frame(kGroup, kStation1)) == Counts{0, 1, 1});
        CHECK(machine.pass(machine.a, frame(net::kBroadcastMac, kStation1)) == Counts{0, 0, 1});
    }
    SECTION("isolated to isolated") {
        machine.set_flags(machine.a, {.isolated = true});
        machine.set_flags(machine.b, {.isolated = true});
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 0, 1});
        CHECK(machine.pass(machine.c, frame(kStation2, kStation1)) == Counts{1, 1, 0});
        machine.add_fdb(machine.bridge, kStation2, machine.b);
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_no_port);
    }
    SECTION("hairpin") {
        machine.add_fdb(machine.bridge, kStation2, machine.a);
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_same_port);
        machine.set_flags(machine.a, {.hairpin = true});
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{1, 0, 0});
        CHECK(machine.pass(machine.a, frame(kGroup, kStation1)) == Counts{1, 1, 1});
    }
    SECTION("nobody left") {
        machine.set_flags(machine.b, {.flood = false});
        machine.set_flags(machine.c, {.flood = false});
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_no_port);
    }
    SECTION("a member that is down") {
        machine.change(machine.b, [](Link& link) { link.up = false; });
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{0, 0, 1});
        machine.expect_no_drop();
        machine.add_fdb(machine.bridge, kStation2, machine.b);
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::bridge_no_port);
    }
}

TEST_CASE("a flood's copies and losses add up", "[pipeline][bridge]") {
    BridgeMachine machine;
    CHECK(machine.pass(machine.a, frame(net::kBroadcastMac, kStation1)) == Counts{0, 1, 1});
    CHECK(machine.total(&CounterBlock::replicated) == 1);
    CHECK(machine.tx_packets(machine.b) == 1);
    CHECK(machine.tx_packets(machine.c) == 1);
    CHECK(machine.rx_packets(machine.bridge) == 0);
    CHECK(machine.tx_packets(machine.bridge) == 0);
}

TEST_CASE("an empty pool costs the copies of a flood, by name", "[pipeline][bridge]") {
    BridgeMachine machine({.pool_size = 31});
    machine.receive(machine.a, frame(net::kBroadcastMac, kStation1));
    std::vector<rte_mbuf*> hoard;
    while (rte_mbuf* taken = rte_pktmbuf_alloc(machine.pool())) {
        hoard.push_back(taken);
    }
    machine.run();
    rte_pktmbuf_free_bulk(hoard.data(), static_cast<unsigned>(hoard.size()));
    machine.expect_only_drop(machine.b, Drop::pool_exhausted);
    CHECK(machine.sent(machine.b).empty());
    CHECK(machine.sent(machine.c).size() == 1);
}

TEST_CASE("a member's MTU bounds what it is given", "[pipeline][bridge]") {
    BridgeMachine machine;
    machine.change(machine.b, [](Link& link) { link.mtu = 100; });
    machine.add_fdb(machine.bridge, kStation2, machine.b);
    // Ethernet header and one VLAN tag come on top (is_skb_forwardable).
    CHECK(machine.pass(machine.a, frame(kStation2, kStation1, 118)) == Counts{0, 1, 0});
    CHECK(machine.pass(machine.a, frame(kStation2, kStation1, 119)) == Counts{});
    machine.expect_only_drop(machine.b, Drop::bridge_mtu_exceeded);
    CHECK(machine.pass(machine.a, frame(kGroup, kStation1, 119)) == Counts{0, 0, 1});
    machine.expect_only_drop(machine.b, Drop::bridge_mtu_exceeded);
}

TEST_CASE("members and bridges that are down or gone", "[pipeline][bridge]") {
    BridgeMachine machine;
    SECTION("the member it came in by is down") {
        machine.change(machine.a, [](Link& link) { link.up = false; });
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::link_down_rx);
    }
    SECTION("the bridge is down") {
        machine.change(machine.bridge, [](Link& link) { link.up = false; });
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::link_down_rx);
    }
    SECTION("the bridge is gone") {
        machine.erase_link(machine.bridge);
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::link_gone);
    }
    SECTION("the destination left the bridge") {
        machine.add_fdb(machine.bridge, kStation2, machine.b);
        machine.enslave(machine.b, kNoLink);
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::link_gone);
    }
    SECTION("the destination is a link number that nobody has") {
        machine.add_fdb(machine.bridge, kStation2, 777);
        CHECK(machine.pass(machine.a, frame(kStation2, kStation1)) == Counts{});
        machine.expect_only_drop(machine.a, Drop::link_gone);
    }
}

TEST_CASE("the bridge's own address receives", "[pipeline][bridge]") {
    BridgeMachine machine;
    machine.change(machine.bridge, [](Link& link) { link.has_address = true; });
    const Packet to_us =
        Packet().ether(kBridgeMac, kStation1, net::ether_type::kArp).arp_request(kStation1, 1, 2);
    CHECK(machine.pass(machine.a, to_us) == Counts{});
    machine.expect_no_drop();
    auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.link_in == machine.bridge);
    CHECK(machine.rx_packets(machine.bridge) == 1);
    CHECK(machine.rx_bytes(machine.bridge) == to_us.bytes().size());

    const Packet to_all = Packet()
                              .ether(net::kBroadcastMac, kStation1, net::ether_type::kArp)
                              .arp_request(kStation1, 1, 2);
    CHECK(machine.pass(machine.a, to_all) == Counts{0, 1, 1});
    punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.link_in == machine.bridge);

    machine.change(machine.bridge, [](Link& link) { link.has_address = false; });
    CHECK(machine.pass(machine.a, to_all) == Counts{0, 1, 1});
    CHECK(machine.punted().empty());
    machine.expect_no_drop();
}

TEST_CASE("the bridge's own address sends", "[pipeline][bridge]") {
    BridgeMachine machine;
    machine.change(machine.bridge, [](Link& link) { link.has_address = true; });
    const std::array<LinkId, 3> members{machine.a, machine.b, machine.c};
    SECTION("to a known station") {
        machine.add_fdb(machine.bridge, kStation2, machine.c);
        machine.send_from_control(machine.bridge, frame(kStation2, kBridgeMac));
        machine.run();
        CHECK(machine.sent(machine.c).size() == 1);
        CHECK(machine.tx_packets(machine.bridge) == 1);
        CHECK(machine.tx_bytes(machine.bridge) == 60);
        machine.expect_no_drop();
    }
    SECTION("to all, whatever the flood flags of groups say, and not to itself") {
        machine.set_flags(machine.b, {.mcast_flood = false, .bcast_flood = false});
        machine.send_from_control(machine.bridge, frame(net::kBroadcastMac, kBridgeMac));
        machine.send_from_control(machine.bridge, frame(kGroup, kBridgeMac));
        machine.run();
        for (const LinkId member : members) {
            CHECK(machine.sent(member).size() == 2);
        }
        CHECK(machine.punted().empty());
        machine.expect_no_drop();
    }
    SECTION("to an unknown station, but not where unknown unicast is off") {
        machine.set_flags(machine.b, {.flood = false});
        machine.send_from_control(machine.bridge, frame(kStation2, kBridgeMac));
        machine.run();
        CHECK(machine.sent(machine.a).size() == 1);
        CHECK(machine.sent(machine.b).empty());
        CHECK(machine.sent(machine.c).size() == 1);
    }
    SECTION("to itself") {
        machine.send_from_control(machine.bridge, frame(kBridgeMac, kBridgeMac));
        machine.run();
        machine.expect_only_drop(machine.bridge, Drop::bridge_same_port);
    }
    SECTION("while it is down") {
        machine.change(machine.bridge, [](Link& link) { link.up = false; });
        machine.send_from_control(machine.bridge, frame(kStation2, kBridgeMac));
        machine.run();
        machine.expect_only_drop(machine.bridge, Drop::link_down_tx);
    }
    CHECK(machine.learned().empty());
}

TEST_CASE("bursts of any size reach each frame's own port in order", "[pipeline][bridge]") {
    const std::uint32_t burst = GENERATE(1U, 2U, 31U, 32U, 33U, 64U, 256U);
    BridgeMachine machine({.burst = burst, .ring_size = 1024});
    constexpr std::uint64_t kStations = 7;
    const std::array<LinkId, 2> targets{machine.b, machine.c};
    for (std::uint64_t i = 0; i < kStations; ++i) {
        machine.add_fdb(machine.bridge, mac(0x2000 + i), targets[i % 2]);
    }
    std::array<std::vector<Bytes>, 2> expected;
    for (std::uint64_t i = 0; i < 600; ++i) {
        const std::uint64_t station = (i * 13 / 3) % kStations;
        const Packet packet = Packet()
                                  .ether(mac(0x2000 + station), mac(0x3000 + i % 5), 0x88b5)
                                  .payload(46 + i % 9, static_cast<std::uint8_t>(i));
        expected[station % 2].push_back(packet.bytes());
        machine.receive(machine.a, packet);
    }
    machine.run();
    machine.expect_no_drop();
    CHECK(machine.sent(machine.b) == expected[0]);
    CHECK(machine.sent(machine.c) == expected[1]);
    // More than once, if it took longer than learned() keeps still.
    std::set<net::MacAddress> macs;
    for (const fdb::LearnEvent& event : machine.learned()) {
        macs.insert(event.mac);
    }
    CHECK(macs.size() == 5);
}

TEST_CASE("a burst of broadcasts to many members loses none of its copies", "[pipeline][bridge]") {
    // 256 broadcasts to 31 dummies and 2 ports are far more copies than a vector holds.
    BridgeMachine machine({.burst = 256, .pool_size = 16383});
    std::vector<LinkId> dummies;
    for (int i = 0; i < 31; ++i) {
        Link dummy;
        dummy.up = true;
        dummies.push_back(machine.add_link(dummy));
        machine.enslave(dummies.back(), machine.bridge);
    }
    for (int i = 0; i < 256; ++i) {
        machine.receive(machine.a, frame(net::kBroadcastMac, kStation1));
    }
    machine.run();
    machine.expect_no_drop();
    CHECK(machine.sent(machine.b).size() == 256);
    CHECK(machine.sent(machine.c).size() == 256);
    for (const LinkId dummy : dummies) {
        CHECK(machine.tx_packets(dummy) == 256);
        CHECK(machine.tx_bytes(dummy) == std::uint64_t{256} * 60);
    }
    CHECK(machine.total(&CounterBlock::consumed) == std::uint64_t{31} * 256);
    CHECK(machine.total(&CounterBlock::replicated) == std::uint64_t{32} * 256);
}

}  // namespace culvert::pipeline::test
