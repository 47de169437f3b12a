// SPDX-License-Identifier: BSD-3-Clause
// The state machine: packets, time and ARP.
#include "test/unit/route/neighbour_fixture.hpp"

namespace culvert::route::neighbour_test {

TEST_CASE(
    "NEI-01 IPO-F2-02 the first packet starts resolution at once and waits", "[route][neighbour]"
) {
    Fixture f;
    f.send(1);
    CHECK(f.state() == NeighbourState::incomplete);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    CHECK(f.table.queued_packets() == 1);
    CHECK_FALSE(f.table.find(kPeer)->has_mac);
    // Another one only waits.
    f.send(2);
    CHECK(f.recorder.take().empty());
}

TEST_CASE(
    "NEI-07 a dead next hop: three requests, failure at 3 s, a later packet restarts",
    "[route][neighbour]"
) {
    Fixture f;
    f.send(1);
    f.send(2);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    f.advance_to(kStart + 999);
    CHECK(f.recorder.take().empty());
    f.advance_to(kStart + 1000);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    f.advance_to(kStart + 1999);
    CHECK(f.recorder.take().empty());
    f.advance_to(kStart + 2000);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    f.advance_to(kStart + 2999);
    CHECK(f.recorder.take().empty());
    CHECK(f.state() == NeighbourState::incomplete);
    f.advance_to(kStart + 3000);
    CHECK(f.recorder.take() == Events{"failed 1", "failed 2"});
    CHECK(f.state() == NeighbourState::failed);
    CHECK(f.table.counters().res_failed == 1);
    CHECK(f.table.queued_packets() == 0);

    f.advance_to(kStart + 3500);
    CHECK(f.recorder.take().empty());
    f.send(3);
    CHECK(f.state() == NeighbourState::incomplete);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    f.advance_to(kStart + 6500);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9", "broadcast 10.0.0.9", "failed 3"});
}

TEST_CASE("a live neighbour goes silent", "[route][neighbour]") {
    Fixture f({.random_seed = GENERATE(1U, 2U, 3U, 4U, 5U)});
    f.send(1);
    f.reply();
    REQUIRE(f.state() == NeighbourState::reachable);
    f.recorder.take();
    // Traffic all the time.
    std::uint64_t delayed_at = 0;
    while (delayed_at == 0 && f.now < kStart + 60000) {
        f.advance(100);
        f.table.used(kPeer, f.now);
        delayed_at = f.state() == NeighbourState::delay ? f.now : 0;
    }
    REQUIRE(delayed_at >= kStart + 15000);
    REQUIRE(delayed_at <= kStart + 45200);
    CHECK(f.recorder.take().empty());
    // The exact moment lies within the last step.
    const std::uint64_t began = f.table.find(kPeer)->updated_ms;
    f.advance_to(began + 4999);
    CHECK(f.recorder.take().empty());
    CHECK(f.table.find(kPeer)->has_mac);
    for (std::uint64_t second = 5; second <= 7; ++second) {
        f.advance_to(began + second * 1000);
        CHECK(f.recorder.take() == Events{"unicast 10.0.0.9"});
        CHECK(f.state() == NeighbourState::probe);
        f.send(10 + second);
        CHECK(f.recorder.take() == Events{fmt::format("send {} 02:00:00:00:00:01", 10 + second)});
        f.advance_to(began + second * 1000 + 999);
        CHECK(f.recorder.take().empty());
    }
    f.advance_to(began + 8000);
    CHECK(f.recorder.take().empty());
    CHECK(f.state() == NeighbourState::failed);
    CHECK_FALSE(f.table.find(kPeer)->has_mac);
}

TEST_CASE("NEI-03 a full queue drops the oldest", "[route][neighbour]") {
    Fixture f({.queue_packets = 3, .queue_total = 5, .random_seed = 5});
    for (std::size_t i = 0; i < 5; ++i) {
        f.send(i);
    }
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9", "overflow 0", "overflow 1"});
    CHECK(f.table.queued_packets() == 3);
    CHECK(f.table.counters().unres_discards == 2);

    SECTION("NEI-04 what waits is sent in order when the answer comes") {
        f.reply();
        const std::string mac = kMacA.to_string();
        CHECK(f.recorder.take() == Events{"send 2 " + mac, "send 3 " + mac, "send 4 " + mac});
        CHECK(f.state() == NeighbourState::reachable);
        CHECK(f.table.queued_packets() == 0);
    }
    SECTION("all queues together are limited too") {
        f.table.resolve(key_of(10), f.recorder.packet(20), f.now);
        f.table.resolve(key_of(11), f.recorder.packet(21), f.now);
        f.recorder.take();
        f.table.resolve(key_of(12), f.recorder.packet(22), f.now);
        CHECK(f.recorder.take() == Events{"overflow 22", "broadcast 10.0.0.12"});
        CHECK(f.table.queued_packets() == 5);
    }
    SECTION("NEI-14 what waits is given up with the neighbour") {
        if (GENERATE(true, false)) {
            REQUIRE(f.table.del(kPeer));
        } else {
            f.table.link_down(kLink, std::nullopt);
        }
        CHECK(f.recorder.take() == Events{"removed 2", "removed 3", "removed 4"});
        CHECK(f.table.size() == 0);
        CHECK(f.recorder.removals == 1);
    }
}

TEST_CASE(
    "NEI-05 an unused reachable neighbour becomes stale, a used one delay", "[route][neighbour]"
) {
    Fixture f;
    f.send(0);
    f.reply();
    f.recorder.take();
    f.advance(14999);
    CHECK(f.state() == NeighbourState::reachable);
    SECTION("unused") {
        f.advance(45000);
        CHECK(f.state() == NeighbourState::stale);
    }
    SECTION("confirmed again meanwhile") {
        f.reply();
        f.advance(14999);
        CHECK(f.state() == NeighbourState::reachable);
    }
    CHECK(f.recorder.take().empty());
}

TEST_CASE(
    "NEI-06 IPO-F2-04 a stale neighbour is used at once and probed after 5 s", "[route][neighbour]"
) {
    Fixture f;
    f.make_stale();
    const bool is_worker = GENERATE(true, false);
    if (is_worker) {
        f.table.used(kPeer, f.now);
    } else {
        f.send(1);
        CHECK(f.recorder.take() == Events{"send 1 02:00:00:00:00:01"});
    }
    CHECK(f.state() == NeighbourState::delay);
    SECTION("no answer: three unicast probes, then failed with nothing queued") {
        f.advance(8000);
        CHECK(
            f.recorder.take() == Events{"unicast 10.0.0.9", "unicast 10.0.0.9", "unicast 10.0.0.9"}
        );
        CHECK(f.state() == NeighbourState::failed);
        CHECK(f.table.counters().res_failed == 1);
        // NEI-07
        f.send(2);
        CHECK(f.state() == NeighbourState::incomplete);
        CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    }
    SECTION("an answer to a probe") {
        f.advance(5500);
        CHECK(f.recorder.take() == Events{"unicast 10.0.0.9"});
        f.reply();
        CHECK(f.state() == NeighbourState::reachable);
    }
    SECTION("a confirmation during the delay") {
        f.advance(2000);
        f.reply();
        CHECK(f.state() == NeighbourState::reachable);
        f.advance(10000);
        CHECK(f.recorder.take().empty());
    }
}

TEST_CASE(
    "NEI-08 permanent and noarp entries do not time out, and ARP does not change them",
    "[route][neighbour]"
) {
    Fixture f;
    const NeighbourState state = GENERATE(NeighbourState::permanent, NeighbourState::noarp);
    REQUIRE(f.table.set(Verb::add, kPeer, kMacA, state, false, f.now));
    for (int i = 0; i < 100; ++i) {
        f.advance(10000);
        f.send(1);
    }
    f.reply(kMacB);
    CHECK(f.state() == state);
    CHECK(f.table.find(kPeer)->mac == kMacA);
    const Events events = f.recorder.take();
    CHECK(events == Events(100, "send 1 02:00:00:00:00:01"));
    CHECK(f.table.flush(kNoLink) == 0);
}

TEST_CASE("NEI-10 what ARP input does to the table", "[route][neighbour]") {
    using net::arp::kReply;
    using net::arp::kRequest;
    Fixture f;
    SECTION("a request for us makes the asker known, stale") {
        f.hear(kRequest, kMacA, true, false);
        CHECK(f.state() == NeighbourState::stale);
        CHECK(f.table.find(kPeer)->mac == kMacA);
        // Each later one counts, also within the lock time.
        f.hear(kRequest, kMacB, true, false);
        CHECK(f.table.find(kPeer)->mac == kMacB);
    }
    SECTION("a request for others, or an unsolicited reply, makes nobody known") {
        f.hear(kRequest, kMacA, false, false);
        f.reply();
        CHECK(f.table.size() == 0);
        // Nor is a route's reference a neighbour.
        REQUIRE(f.table.hold(kPeer, f.now));
        f.reply();
        CHECK(f.state() == NeighbourState::none);
    }
    SECTION("a broadcast reply says stale, a unicast one reachable") {
        f.send(1);
        f.hear(kReply, kMacA, false, false);
        CHECK(f.state() == NeighbourState::stale);
        f.reply();
        CHECK(f.state() == NeighbourState::reachable);
    }
    SECTION("of several answers within the lock time the first counts") {
        f.send(1);
        f.reply(kMacA);
        f.advance(900);
        f.reply(kMacB);
        CHECK(f.table.find(kPeer)->mac == kMacA);
        f.advance(200);
        f.reply(kMacB);
        CHECK(f.table.find(kPeer)->mac == kMacB);
    }
    SECTION("a gratuitous announcement counts at once") {
        f.send(1);
        f.reply(kMacA);
        ArpHeader arp{};
        arp.operation = Be16(kRequest);
        arp.sender_mac = kMacB;
        arp.sender_ip = Be32(kPeer.address.v4());
        arp.target_ip = arp.sender_ip;
        f.table.arp_input(kLink, arp, false, false, f.now);
        CHECK(f.table.find(kPeer)->mac == kMacB);
        CHECK(f.state() == NeighbourState::stale);
    }
    SECTION("it is per link") {
        f.send(1);
        f.hear(kReply, kMacA, true, true, {LinkId{4}, kPeer.address});
        CHECK(f.state() == NeighbourState::incomplete);
    }
    SECTION("what is no host's address or MAC is not believed") {
        f.send(1);
        f.reply(MacAddress::from_value(0x01005e000001));
        f.reply(net::kBroadcastMac);
        f.reply(MacAddress{});
        f.hear(9, kMacA, true, true);
        CHECK(f.state() == NeighbourState::incomplete);
        const std::uint32_t sender = GENERATE(0U, 0xe0000001U, 0x7f000001U);
        f.hear(kRequest, kMacA, true, false, {kLink, IpAddress::from_v4(sender)});
        CHECK(f.table.size() == 1);
    }
}

TEST_CASE("NEI-12 a reachable neighbour's new MAC is told as one change", "[route][neighbour]") {
    Fixture f;
    f.send(1);
    f.reply(kMacA);
    f.advance(2000);
    f.recorder.take();
    f.recorder.changes.clear();
    f.reply(kMacB);
    CHECK(f.recorder.changes == std::vector{NeighbourState::reachable});
    f.send(2);
    CHECK(f.recorder.take() == Events{"send 2 02:00:00:00:00:02"});
}

TEST_CASE("a neighbour asked for without a packet is resolved and told", "[route][neighbour]") {
    Fixture f;
    f.table.request(kPeer, f.now);
    f.table.request(kPeer, f.now);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.9"});
    f.reply();
    CHECK(f.state() == NeighbourState::reachable);
    f.table.request(kPeer, f.now);
    CHECK(f.recorder.take().empty());
}

}  // namespace culvert::route::neighbour_test
