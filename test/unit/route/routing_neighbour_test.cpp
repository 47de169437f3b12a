// SPDX-License-Identifier: BSD-3-Clause
// Neighbours as workers see them: adjacencies and the FIB's /32 entries.
#include "lib/net/arp.hpp"
#include "test/unit/route/routing_fixture.hpp"

#include <random>

namespace culvert::route::test {

namespace {

void answer(Fixture& f, std::string_view address, const net::MacAddress& mac, LinkId link = kWan) {
    net::ArpHeader arp{};
    arp.operation = net::Be16(net::arp::kReply);
    arp.sender_mac = mac;
    arp.sender_ip = net::Be32(ip(address).v4());
    arp.target_ip = net::Be32(ip("192.0.2.1").v4());
    f.routing->neighbours().arp_input(link, arp, true, true, f.now);
}

}  // namespace

TEST_CASE(
    "NEI-01 NEI-04 IPO-F2-03 a gleaned destination is asked for, answered, and then forwarded to "
    "directly",
    "[route][routing]"
) {
    Pool pool;
    Fixture f;
    f.address("192.0.2.1/24");
    f.address("192.0.2.2/24");
    f.address("203.0.113.1/24", kLan);
    f.routing->resolve(kWan, ip("192.0.2.9"), pool.packet(ip("10.0.0.1")), f.now);
    CHECK(f.recorder.take() == Events{"arp 1 ff:ff:ff:ff:ff:ff 192.0.2.1 192.0.2.9"});
    CHECK(f.kind("192.0.2.9") == AdjacencyKind::glean);
    const std::uint64_t generation = f.routing->generation();
    answer(f, "192.0.2.9", kPeerMac);
    CHECK(f.recorder.take() == Events{"frame 1 02:00:00:00:00:01 02:00:00:00:00:a1 800"});
    CHECK(f.routing->generation() != generation);
    const Adjacency adjacency = f.find("192.0.2.9");
    CHECK(adjacency.kind == AdjacencyKind::rewrite);
    CHECK(adjacency.header_len == 14);
    CHECK(Fixture::macs(adjacency) == "02:00:00:00:00:01 02:00:00:00:00:a1 800");
    CHECK(adjacency.link_out == kWan);
    CHECK(adjacency.mtu == 1500);
    CHECK(f.kind("192.0.2.10") == AdjacencyKind::glean);

    SECTION("NEI-11 the request's source is the packet's when that is ours") {
        f.routing->resolve(kWan, ip("192.0.2.11"), pool.packet(ip("203.0.113.1")), f.now);
        f.routing->resolve(kWan, ip("192.0.2.12"), pool.packet(ip("192.0.2.2")), f.now);
        CHECK(
            f.recorder.take() ==
            Events{
                "arp 1 ff:ff:ff:ff:ff:ff 203.0.113.1 192.0.2.11",
                "arp 1 ff:ff:ff:ff:ff:ff 192.0.2.2 192.0.2.12",
            }
        );
    }
    SECTION("NEI-12 another MAC replaces what workers find under the same number") {
        const AdjacencyId id = f.routing->fib4().lookup(ip("192.0.2.9").v4());
        f.now += 2000;
        answer(f, "192.0.2.9", kOtherMac);
        CHECK(f.routing->fib4().lookup(ip("192.0.2.9").v4()) == id);
        CHECK(Fixture::macs(f.find("192.0.2.9")) == "02:00:00:00:00:02 02:00:00:00:00:a1 800");
    }
    SECTION("NEI-06 when it fails it is gleaned again") {
        // Unused it turns stale; one packet, then silence.
        f.now += 46000;
        f.routing->tick(f.now);
        CHECK(f.kind("192.0.2.9") == AdjacencyKind::rewrite);
        f.routing->neighbours().used({kWan, ip("192.0.2.9")}, f.now);
        for (int i = 0; i < 9; ++i) {
            CHECK(f.kind("192.0.2.9") == AdjacencyKind::rewrite);
            f.now += i == 0 ? 5000 : 1000;
            f.routing->tick(f.now);
            if (f.kind("192.0.2.9") != AdjacencyKind::rewrite) {
                break;
            }
        }
        const std::string probe = "arp 1 02:00:00:00:00:01 192.0.2.1 192.0.2.9";
        CHECK(f.recorder.take() == Events{probe, probe, probe});
        CHECK(f.kind("192.0.2.9") == AdjacencyKind::glean);
    }
    SECTION("a link's new MTU and MAC are in it at once") {
        f.set_link(kWan, true, 9000);
        CHECK(f.find("192.0.2.9").mtu == 9000);
        CHECK(f.find("192.0.2.10").mtu == 9000);
        f.routing->set_link(kWan, {"wan", kLanMac, 9000, true}, f.now);
        // ARP starts over, as on Linux.
        CHECK(f.kind("192.0.2.9") == AdjacencyKind::glean);
    }
}

TEST_CASE("packets that waited in vain are given up", "[route][routing]") {
    Pool pool;
    Fixture f;
    f.address("192.0.2.1/24");
    f.routing->resolve(kWan, ip("192.0.2.9"), pool.packet(ip("10.0.0.1")), f.now);
    f.recorder.take();
    for (int i = 0; i < 3; ++i) {
        f.now += 1000;
        f.routing->tick(f.now);
    }
    CHECK(f.recorder.take().back() == "give up 1 0");
    // Through a link that is down.
    f.set_link(kLan, false);
    f.routing->resolve(kLan, ip("192.0.2.9"), pool.packet(ip("10.0.0.1")), f.now);
    CHECK(f.recorder.take() == Events{"give up 2 2"});
    // And those that still wait at the end.
    f.routing->resolve(kWan, ip("192.0.2.8"), pool.packet(ip("10.0.0.1")), f.now);
}

TEST_CASE("IPO-F2-06 packets to groups need no ARP", "[route][routing]") {
    Pool pool;
    Fixture f;
    f.address("192.0.2.1/24");
    f.routing->resolve(kWan, ip("224.0.0.5"), pool.packet(ip("192.0.2.1")), f.now);
    f.routing->resolve(kWan, ip("192.0.2.255"), pool.packet(ip("192.0.2.1")), f.now);
    CHECK(
        f.recorder.take() ==
        Events{
            "frame 1 01:00:5e:00:00:05 02:00:00:00:00:a1 800",
            "frame 1 ff:ff:ff:ff:ff:ff 02:00:00:00:00:a1 800",
        }
    );
    CHECK(f.routing->neighbours().size() == 0);
}

TEST_CASE(
    "all routes through a gateway share one adjacency, which follows the gateway",
    "[route][routing]"
) {
    Fixture f;
    f.address("192.0.2.1/24");
    REQUIRE(f.add(Fixture::via("0.0.0.0/0", "192.0.2.9")) == std::errc{});
    REQUIRE(f.add(Fixture::via("10.0.0.0/8", "192.0.2.9")) == std::errc{});
    const AdjacencyId id = f.routing->fib4().lookup(ip("10.0.0.1").v4());
    CHECK(f.routing->fib4().lookup(ip("8.8.8.8").v4()) == id);
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::incomplete);
    CHECK(f.find("10.0.0.1").next_hop == ip("192.0.2.9"));
    const NeighbourKey key{kWan, ip("192.0.2.9")};
    CHECK(f.routing->neighbours().find(key)->references == 2);

    f.neighbour("192.0.2.9");
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::rewrite);
    CHECK(f.routing->fib4().lookup(ip("10.0.0.1").v4()) == id);
    CHECK(f.routing->fib4().lookup(ip("192.0.2.9").v4()) == id);
    REQUIRE(f.routing->neighbours().del(key));
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::incomplete);
    CHECK(f.kind("192.0.2.9") == AdjacencyKind::glean);
    f.neighbour("192.0.2.9");
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::rewrite);

    REQUIRE(f.del(Fixture::via("10.0.0.0/8", "192.0.2.9")) == std::errc{});
    REQUIRE(f.del(Fixture::via("0.0.0.0/0", "192.0.2.9")) == std::errc{});
    CHECK(f.routing->neighbours().find(key)->references == 0);
    CHECK(f.kind("192.0.2.9") == AdjacencyKind::rewrite);
}

TEST_CASE("a route with an MTU of its own has an adjacency of its own", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24");
    f.neighbour("192.0.2.9");
    Route narrow = Fixture::via("10.0.0.0/8", "192.0.2.9");
    narrow.mtu = 1300;
    Route wide = Fixture::via("11.0.0.0/8", "192.0.2.9");
    wide.mtu = 9000;
    REQUIRE(f.add(narrow) == std::errc{});
    REQUIRE(f.add(wide) == std::errc{});
    CHECK(f.find("10.0.0.1").mtu == 1300);
    CHECK(f.find("11.0.0.1").mtu == 1500);
    CHECK(f.find("192.0.2.9").mtu == 1500);
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::rewrite);
    f.neighbour("192.0.2.9", kWan, kOtherMac);
    for (const char* address : {"10.0.0.1", "11.0.0.1", "192.0.2.9"}) {
        CHECK(Fixture::macs(f.find(address)) == "02:00:00:00:00:02 02:00:00:00:00:a1 800");
    }
    // On-link prefixes hand theirs to their neighbours.
    Route on_link = Fixture::dev("172.16.0.0/12", kWan);
    on_link.mtu = 1280;
    REQUIRE(f.add(on_link) == std::errc{});
    CHECK(f.find("172.16.0.1").mtu == 1280);
    CHECK(f.kind("172.16.0.1") == AdjacencyKind::glean);
    f.neighbour("172.16.0.1");
    CHECK(f.find("172.16.0.1").mtu == 1280);
    CHECK(f.kind("172.16.0.1") == AdjacencyKind::rewrite);
}

TEST_CASE("a neighbour is in the FIB exactly where its address is on-link", "[route][routing]") {
    Fixture f;
    f.neighbour("10.1.1.1");
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::no_route);
    // An on-link prefix comes and finds it there.
    REQUIRE(f.add(Fixture::dev("10.0.0.0/8", kWan)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::rewrite);
    CHECK(f.kind("10.1.1.2") == AdjacencyKind::glean);
    // The same prefix on another link, preferred.
    Route other = Fixture::dev("10.1.0.0/16", kLan);
    REQUIRE(f.add(other) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::glean);
    CHECK(f.find("10.1.1.1").link_out == kLan);
    f.neighbour("10.1.1.1", kLan, kOtherMac);
    CHECK(Fixture::macs(f.find("10.1.1.1")) == "02:00:00:00:00:02 02:00:00:00:00:a2 800");
    REQUIRE(f.del(other) == std::errc{});
    CHECK(Fixture::macs(f.find("10.1.1.1")) == "02:00:00:00:00:01 02:00:00:00:00:a1 800");
    // A user's own /32 and a longer prefix come first.
    REQUIRE(f.add(Fixture::typed("10.1.1.1/32", RouteType::blackhole)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::blackhole);
    REQUIRE(f.del(Fixture::typed("10.1.1.1/32", RouteType::blackhole)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::rewrite);
    REQUIRE(f.add(Fixture::typed("10.1.1.0/24", RouteType::prohibit)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::prohibit);
    REQUIRE(f.del(Fixture::typed("10.1.1.0/24", RouteType::prohibit)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::rewrite);
    REQUIRE(f.del(Fixture::dev("10.0.0.0/8", kWan)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::no_route);
    // A /32 through a device is the neighbour itself, with or without a MAC.
    REQUIRE(f.add(Fixture::dev("10.1.1.1/32", kWan)) == std::errc{});
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::rewrite);
    REQUIRE(f.routing->neighbours().del({kWan, ip("10.1.1.1")}));
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::incomplete);
    CHECK(f.find("10.1.1.1").next_hop == ip("10.1.1.1"));
}

TEST_CASE("NEI-15 the table is per link", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24", kLan);
    f.neighbour("192.0.2.9", kWan);
    CHECK(f.kind("192.0.2.9") == AdjacencyKind::glean);
    CHECK_FALSE(f.routing->neighbour_adjacency(kLan, ip("192.0.2.9"), net::Family::ipv4).has_value()
    );
    f.neighbour("192.0.2.9", kLan, kOtherMac);
    CHECK(Fixture::macs(f.find("192.0.2.9")) == "02:00:00:00:00:02 02:00:00:00:00:a2 800");
}

TEST_CASE("many changes leave nothing behind", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24");
    std::minstd_rand random(3);
    const auto any = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    for (int i = 0; i < 5000; ++i) {
        const std::string host = fmt::format("192.0.2.{}", 2 + any(20));
        const std::string net = fmt::format("10.{}.0.0/16", any(20));
        switch (any(8)) {
        case 0:
            f.neighbour(host);
            break;
        case 1:
            static_cast<void>(f.routing->neighbours().del({kWan, ip(host)}));
            break;
        case 2:
        case 3:
            static_cast<void>(f.try_route(RouteVerb::replace, Fixture::via(net, host)));
            break;
        case 4:
            static_cast<void>(
                f.try_route(RouteVerb::append, Fixture::dev(net, any(2) == 0 ? kWan : kLan))
            );
            break;
        case 5: {
            Route pattern;
            pattern.prefix = prefix(net);
            static_cast<void>(f.del(pattern));
            break;
        }
        case 6:
            static_cast<void>(f.add(Fixture::dev(host + "/32", kWan)));
            break;
        default:
            if (any(20) == 0) {
                f.set_link(kLan, any(2) == 0);
            }
            break;
        }
        f.domain.reclaim();
        // What a worker finds is what lookup() says.
        const net::IpAddress probe = ip(any(2) == 0 ? host : fmt::format("10.{}.0.1", any(20)));
        const Path path = f.routing->lookup(probe);
        REQUIRE(path.adjacency == f.routing->fib4().lookup(probe.v4()));
        REQUIRE(path.kind == f.kind(probe.to_string()));
    }
    f.routing->del_link(kWan);
    f.routing->del_link(kLan);
    f.domain.synchronize();
    f.domain.synchronize();
    CHECK(f.routes().empty());
    CHECK(f.routing->neighbours().size() == 0);
    // The limited broadcast's.
    CHECK(f.routing->fib4().size() == 1);
    unsigned adjacencies = 0;
    for (AdjacencyId id = 1; id < f.routing->adjacencies().end(); ++id) {
        adjacencies += f.routing->adjacencies().read(id) != nullptr ? 1 : 0;
    }
    CHECK(adjacencies == 1);
}

}  // namespace culvert::route::test
