// SPDX-License-Identifier: BSD-3-Clause
// Addresses, routes and lookups.
#include "test/unit/route/routing_fixture.hpp"

namespace culvert::route::test {

TEST_CASE("own addresses are those of links that are up", "[route][routing]") {
    Fixture f;
    const OwnAddresses& own = f.routing->own_addresses();
    f.address("192.0.2.1/24");
    CHECK(own.may_contain(ip("192.0.2.1").v4()));
    CHECK(own.may_contain(ip("192.0.2.255").v4()));
    CHECK_FALSE(own.may_contain(ip("192.0.2.2").v4()));
    f.set_link(kWan, false);
    CHECK_FALSE(own.may_contain(ip("192.0.2.255").v4()));
    f.set_link(kWan, true);
    CHECK(own.may_contain(ip("192.0.2.255").v4()));
    REQUIRE(f.routing->del_address(kWan, prefix("192.0.2.1/24")));
    CHECK_FALSE(own.may_contain(ip("192.0.2.1").v4()));
    CHECK_FALSE(own.may_contain(ip("192.0.2.255").v4()));
}

TEST_CASE("an address brings its local, connected and broadcast routes", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24");
    CHECK(
        f.routes() ==
        Events{
            "192.0.2.0/24 unicast dev 1 src 192.0.2.1 kernel link 0",
            "192.0.2.1/32 local dev 1 src 192.0.2.1 kernel host 0",
            "192.0.2.255/32 broadcast dev 1 src 192.0.2.1 kernel link 0",
        }
    );
    CHECK(f.recorder.address_events == Events{"+ 192.0.2.1/24"});
    CHECK(f.routing->addresses().front().label == "wan");
    CHECK(f.routing->has_address(kWan, net::Family::ipv4));
    CHECK_FALSE(f.routing->has_address(kLan, net::Family::ipv4));
    CHECK(f.routing->is_local(ip("192.0.2.1")));
    CHECK_FALSE(f.routing->is_local(ip("192.0.2.2")));
    CHECK_FALSE(f.routing->is_local(ip("192.0.2.255")));
    CHECK(f.kind("192.0.2.1") == AdjacencyKind::local);
    CHECK(f.kind("192.0.2.255") == AdjacencyKind::broadcast);
    CHECK(f.kind("255.255.255.255") == AdjacencyKind::broadcast);
    CHECK(f.kind("192.0.2.2") == AdjacencyKind::glean);
    CHECK(f.find("192.0.2.2").link_out == kWan);
    CHECK(f.find("192.0.2.2").mtu == 1500);
    CHECK(f.kind("192.0.3.1") == AdjacencyKind::no_route);

    SECTION("errors") {
        const auto add = [&](std::string_view text, LinkId link) {
            return f.routing->add_address({.link = link, .prefix = prefix(text)}, false)
                .error()
                .code;
        };
        CHECK(add("192.0.2.1/24", kWan) == std::errc::file_exists);
        CHECK(add("192.0.2.1/24", 77) == std::errc::no_such_device);
        CHECK(add("224.0.0.1/24", kWan) == std::errc::invalid_argument);
        CHECK(add("0.0.0.0/24", kWan) == std::errc::invalid_argument);
        CHECK(
            f.routing->del_address(kWan, prefix("192.0.2.1/25")).error().code ==
            std::errc::address_not_available
        );
        CHECK(
            f.routing->del_address(kLan, prefix("192.0.2.1/24")).error().code ==
            std::errc::address_not_available
        );
        CHECK(f.routes().size() == 3);
    }
    SECTION("replace changes what it carries") {
        REQUIRE(f.routing->add_address(
            {.link = kWan, .prefix = prefix("192.0.2.1/24"), .noprefixroute = true}, true
        ));
        CHECK(f.routing->addresses().size() == 1);
        CHECK(f.kind("192.0.2.2") == AdjacencyKind::no_route);
        CHECK(f.kind("192.0.2.1") == AdjacencyKind::local);
    }
    SECTION("deleting it deletes them, and the routes that name it as their source") {
        f.address("198.51.100.1/24");
        Route route = Fixture::via("10.0.0.0/8", "198.51.100.9");
        route.preferred_source = ip("192.0.2.1");
        REQUIRE(f.add(route) == std::errc{});
        REQUIRE(f.routing->del_address(kWan, prefix("192.0.2.1/24")));
        CHECK(f.routes().size() == 3);
        CHECK(f.kind("192.0.2.1") == AdjacencyKind::no_route);
        CHECK(f.kind("192.0.2.2") == AdjacencyKind::no_route);
        CHECK(f.kind("10.0.0.1") == AdjacencyKind::no_route);
        CHECK_FALSE(f.routing->is_local(ip("192.0.2.1")));
    }
    SECTION("with the last address of a link all its routes go") {
        Route route = Fixture::via("10.0.0.0/8", "192.0.2.9");
        REQUIRE(f.add(route) == std::errc{});
        REQUIRE(f.add(Fixture::typed("172.16.0.0/12", RouteType::blackhole)) == std::errc{});
        CHECK(f.routing->flush_addresses(kWan) == 1);
        CHECK(f.routes() == Events{"172.16.0.0/12 blackhole dev 0 boot global 0"});
    }
    SECTION("a second address in the subnet takes over the connected route") {
        f.address("192.0.2.7/24");
        CHECK(f.routes().size() == 4);
        const AdjacencyId before = f.routing->fib4().lookup(ip("192.0.2.50").v4());
        REQUIRE(f.routing->del_address(kWan, prefix("192.0.2.1/24")));
        CHECK(
            f.routes() ==
            Events{
                "192.0.2.0/24 unicast dev 1 src 192.0.2.7 kernel link 0",
                "192.0.2.7/32 local dev 1 src 192.0.2.7 kernel host 0",
                "192.0.2.255/32 broadcast dev 1 src 192.0.2.7 kernel link 0",
            }
        );
        CHECK(f.routing->fib4().lookup(ip("192.0.2.50").v4()) == before);
    }
}

TEST_CASE("no connected or broadcast route where there is no room for one", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/32");
    f.address("192.0.2.4/31");
    CHECK(
        f.routes() ==
        Events{
            "192.0.2.1/32 local dev 1 src 192.0.2.1 kernel host 0",
            "192.0.2.4/31 unicast dev 1 src 192.0.2.4 kernel link 0",
            "192.0.2.4/32 local dev 1 src 192.0.2.4 kernel host 0",
        }
    );
}

TEST_CASE(
    "a link that goes down takes its routes along, up brings the addresses' back",
    "[route][routing]"
) {
    Fixture f;
    f.address("192.0.2.1/24");
    f.address("198.51.100.1/24", kLan);
    REQUIRE(f.add(Fixture::via("10.0.0.0/8", "192.0.2.9")) == std::errc{});
    REQUIRE(f.add(Fixture::dev("172.16.0.0/12", kWan)) == std::errc{});
    f.neighbour("192.0.2.9");
    const Events before = f.routes();
    const std::uint64_t generation = f.routing->generation();
    f.set_link(kWan, false);
    CHECK(f.routing->generation() != generation);
    CHECK(f.routes().size() == 3);
    CHECK(f.routing->neighbours().size() == 0);
    CHECK_FALSE(f.routing->is_local(ip("192.0.2.1")));
    for (const char* address : {"192.0.2.1", "192.0.2.9", "10.0.0.1", "172.16.0.1"}) {
        CHECK(f.kind(address) == AdjacencyKind::no_route);
    }
    CHECK(f.kind("198.51.100.2") == AdjacencyKind::glean);
    f.set_link(kWan, true);
    CHECK(f.routes().size() == before.size() - 2);
    CHECK(f.kind("192.0.2.9") == AdjacencyKind::glean);
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::no_route);
    CHECK(f.routing->is_local(ip("192.0.2.1")));

    SECTION("an address added while it is down waits for it") {
        f.set_link(kWan, false);
        f.address("203.0.113.1/24");
        CHECK(f.kind("203.0.113.2") == AdjacencyKind::no_route);
        f.set_link(kWan, true);
        CHECK(f.kind("203.0.113.2") == AdjacencyKind::glean);
    }
    SECTION("a deleted link leaves nothing") {
        f.routing->del_link(kWan);
        CHECK(f.routes().size() == 3);
        CHECK(f.routing->addresses().size() == 1);
        CHECK(f.add(Fixture::dev("10.0.0.0/8", kWan)) == std::errc::no_such_device);
    }
}

TEST_CASE("the verbs", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24");
    const auto to = [](std::string_view gateway, std::uint32_t metric = 0) {
        return Fixture::via("10.0.0.0/8", gateway, metric);
    };
    CHECK(f.try_route(RouteVerb::change, to("192.0.2.9")) == std::errc::no_such_file_or_directory);
    CHECK(f.add(to("192.0.2.9", 10)) == std::errc{});
    CHECK(f.add(to("192.0.2.10", 10)) == std::errc::file_exists);
    CHECK(f.add(to("192.0.2.10", 5)) == std::errc{});
    CHECK(f.find("10.1.1.1").next_hop == ip("192.0.2.10"));
    CHECK(f.try_route(RouteVerb::append, to("192.0.2.10", 5)) == std::errc::file_exists);
    CHECK(f.try_route(RouteVerb::append, to("192.0.2.11", 5)) == std::errc{});
    CHECK(f.find("10.1.1.1").next_hop == ip("192.0.2.10"));
    CHECK(f.try_route(RouteVerb::replace, to("192.0.2.12", 5)) == std::errc{});
    CHECK(f.find("10.1.1.1").next_hop == ip("192.0.2.12"));
    CHECK(f.try_route(RouteVerb::change, to("192.0.2.13", 10)) == std::errc{});
    CHECK(
        f.try_route(RouteVerb::change, to("192.0.2.13", 11)) == std::errc::no_such_file_or_directory
    );
    CHECK(f.try_route(RouteVerb::replace, to("192.0.2.14", 20)) == std::errc{});
    const auto gateways = [&] {
        Events all;
        f.routing->for_each_route([&](const Route& route) {
            if (route.prefix.length == 8) {
                all.push_back(fmt::format("{} {}", route.gateway->to_string(), route.metric));
            }
        });
        return all;
    };
    CHECK(gateways() == Events{"192.0.2.12 5", "192.0.2.11 5", "192.0.2.13 10", "192.0.2.14 20"});

    CHECK(f.del(to("192.0.2.99")) == std::errc::no_such_process);
    CHECK(f.del(to("192.0.2.13")) == std::errc{});
    Route any;
    any.prefix = prefix("10.0.0.0/8");
    CHECK(f.del(any) == std::errc{});
    CHECK(gateways() == Events{"192.0.2.11 5", "192.0.2.14 20"});
    CHECK(f.find("10.1.1.1").next_hop == ip("192.0.2.11"));
    CHECK(f.del(any) == std::errc{});
    CHECK(f.del(any) == std::errc{});
    CHECK(f.del(any) == std::errc::no_such_process);
    CHECK(f.kind("10.1.1.1") == AdjacencyKind::no_route);
    // Table local is not what `route del` means without a type.
    any.prefix = prefix("192.0.2.1/32");
    CHECK(f.del(any) == std::errc::no_such_process);
    any.prefix = prefix("10.0.0.0/9");
    CHECK(f.del(any) == std::errc::no_such_process);
}

TEST_CASE("what a next hop must be", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24");
    f.address("198.51.100.1/24", kLan);
    const auto via = [](std::string_view to, std::string_view gateway) {
        return Fixture::via(to, gateway);
    };
    CHECK(f.add(via("10.0.0.0/8", "203.0.113.9")) == std::errc::network_unreachable);
    CHECK(f.last_error.find("Nexthop has invalid gateway.") != std::string::npos);
    CHECK(f.last_error.find("203.0.113.9") != std::string::npos);
    CHECK(f.add(via("10.0.0.0/8", "192.0.2.1")) == std::errc::invalid_argument);
    CHECK(f.add(via("10.0.0.0/8", "192.0.2.255")) == std::errc::invalid_argument);
    CHECK(f.add(via("10.0.0.0/8", "224.0.0.5")) == std::errc::invalid_argument);
    // Not through another gateway.
    REQUIRE(f.add(via("0.0.0.0/0", "192.0.2.9")) == std::errc{});
    CHECK(f.add(via("10.0.0.0/8", "203.0.113.9")) == std::errc::network_unreachable);

    Route route = via("10.0.0.0/8", "192.0.2.9");
    route.link = kLan;
    CHECK(f.add(route) == std::errc::network_unreachable);
    route.link = 77;
    CHECK(f.add(route) == std::errc::no_such_device);
    route = via("10.0.0.0/8", "203.0.113.9");
    route.onlink = true;
    CHECK(f.add(route) == std::errc::no_such_device);
    route.link = kLan;
    CHECK(f.add(route) == std::errc{});
    CHECK(f.find("10.0.0.1").link_out == kLan);
    CHECK(f.find("10.0.0.1").next_hop == ip("203.0.113.9"));

    Route nowhere;
    nowhere.prefix = prefix("10.1.0.0/16");
    CHECK(f.add(nowhere) == std::errc::no_such_device);
    CHECK(f.add(Fixture::dev("10.1.1.1/16", kLan)) == std::errc::invalid_argument);
    CHECK(f.last_error.find("Invalid prefix for given prefix length.") != std::string::npos);
    route = Fixture::dev("10.1.0.0/16", kLan);
    route.preferred_source = ip("192.0.2.77");
    CHECK(f.add(route) == std::errc::invalid_argument);
    CHECK(f.last_error.find("Invalid prefsrc.") != std::string::npos);
    route = Fixture::dev("10.1.0.0/16", kLan);
    route.type = RouteType::blackhole;
    CHECK(f.add(route) == std::errc::invalid_argument);
    f.set_link(kLan, false);
    CHECK(f.add(Fixture::dev("10.1.0.0/16", kLan)) == std::errc::network_down);
    CHECK(f.routes().size() == 4);
}

TEST_CASE("route types end in their own adjacencies", "[route][routing]") {
    Fixture f;
    REQUIRE(f.add(Fixture::typed("10.1.0.0/16", RouteType::unreachable)) == std::errc{});
    REQUIRE(f.add(Fixture::typed("10.2.0.0/16", RouteType::prohibit)) == std::errc{});
    REQUIRE(f.add(Fixture::typed("10.3.0.0/16", RouteType::blackhole)) == std::errc{});
    const auto same = [&](const char* address, AdjacencyKind kind) {
        CHECK(f.kind(address) == kind);
        const Path path = f.routing->lookup(ip(address));
        CHECK(path.kind == kind);
        CHECK(path.adjacency == f.routing->fib4().lookup(ip(address).v4()));
    };
    same("10.1.0.1", AdjacencyKind::unreachable);
    same("10.2.0.1", AdjacencyKind::prohibit);
    same("10.3.0.1", AdjacencyKind::blackhole);
    same("10.4.0.1", AdjacencyKind::no_route);
}

TEST_CASE("local routes come before users' of the same prefix", "[route][routing]") {
    Fixture f;
    REQUIRE(f.add(Fixture::typed("192.0.2.1/32", RouteType::blackhole)) == std::errc{});
    CHECK(f.kind("192.0.2.1") == AdjacencyKind::blackhole);
    f.address("192.0.2.1/24");
    CHECK(f.kind("192.0.2.1") == AdjacencyKind::local);
    REQUIRE(f.routing->del_address(kWan, prefix("192.0.2.1/24")));
    CHECK(f.kind("192.0.2.1") == AdjacencyKind::blackhole);
}

TEST_CASE("RT-07 RT-08 what lookup answers", "[route][routing]") {
    Fixture f;
    f.address("192.0.2.1/24");
    f.address("203.0.113.1/25");
    f.address("198.51.100.1/24", kLan);
    f.neighbour("192.0.2.9");

    Path path = f.routing->lookup(ip("192.0.2.9"));
    CHECK(path.kind == AdjacencyKind::rewrite);
    CHECK(path.link == kWan);
    CHECK(path.next_hop == ip("192.0.2.9"));
    CHECK_FALSE(path.via_gateway);
    CHECK(path.source == ip("192.0.2.1"));
    CHECK(path.mtu == 1500);
    CHECK(path.adjacency == f.routing->fib4().lookup(ip("192.0.2.9").v4()));

    path = f.routing->lookup(ip("192.0.2.10"));
    CHECK(path.kind == AdjacencyKind::glean);
    CHECK(path.next_hop == ip("192.0.2.10"));
    CHECK(path.adjacency == f.routing->fib4().lookup(ip("192.0.2.10").v4()));

    path = f.routing->lookup(ip("192.0.2.1"));
    CHECK(path.kind == AdjacencyKind::local);
    CHECK(path.source == ip("192.0.2.1"));
    CHECK(f.routing->lookup(ip("192.0.2.255")).kind == AdjacencyKind::broadcast);

    // A gateway in the second subnet of the link: the source is from there.
    Route route = Fixture::via("10.0.0.0/8", "203.0.113.9");
    route.mtu = 1400;
    route.mtu_locked = true;
    REQUIRE(f.add(route) == std::errc{});
    path = f.routing->lookup(ip("10.1.1.1"));
    CHECK(path.kind == AdjacencyKind::incomplete);
    CHECK(path.via_gateway);
    CHECK(path.next_hop == ip("203.0.113.9"));
    CHECK(path.source == ip("203.0.113.1"));
    CHECK(path.mtu == 1400);
    CHECK(path.mtu_locked);

    route.preferred_source = ip("198.51.100.1");
    REQUIRE(f.try_route(RouteVerb::replace, route) == std::errc{});
    CHECK(f.routing->lookup(ip("10.1.1.1")).source == ip("198.51.100.1"));
    CHECK(f.routing->lookup(ip("10.1.1.1"), kNoLink, ip("192.0.2.1")).source == ip("192.0.2.1"));
    // RT-01: not an address of ours.
    CHECK(
        f.routing->lookup(ip("10.1.1.1"), kNoLink, ip("192.0.2.2")).kind == AdjacencyKind::no_route
    );
    CHECK(
        f.routing->lookup(ip("10.1.1.1"), kNoLink, ip("224.0.0.1")).kind == AdjacencyKind::no_route
    );

    // A link without an address lends another's.
    f.routing->set_link(3, {"bare", kLanMac, 9000, true}, f.now);
    REQUIRE(f.add(Fixture::dev("172.16.0.0/12", 3)) == std::errc{});
    path = f.routing->lookup(ip("172.16.0.1"));
    CHECK(path.kind == AdjacencyKind::glean);
    CHECK(path.mtu == 9000);
    CHECK(path.source == ip("192.0.2.1"));
}

TEST_CASE(
    "RT-02 with a link the destination is on-link there when no route says more", "[route][routing]"
) {
    Fixture f;
    f.address("192.0.2.1/24");
    f.address("198.51.100.1/24", kLan);
    REQUIRE(f.add(Fixture::via("0.0.0.0/0", "192.0.2.9")) == std::errc{});
    Path path = f.routing->lookup(ip("10.0.0.1"), kWan);
    CHECK(path.next_hop == ip("192.0.2.9"));
    path = f.routing->lookup(ip("10.0.0.1"), kLan);
    CHECK(path.link == kLan);
    CHECK(path.next_hop == ip("10.0.0.1"));
    CHECK_FALSE(path.via_gateway);
    CHECK(path.source == ip("198.51.100.1"));
    CHECK(path.kind == AdjacencyKind::glean);
    f.neighbour("10.0.0.1", kLan);
    CHECK(f.routing->lookup(ip("10.0.0.1"), kLan).kind == AdjacencyKind::rewrite);
    CHECK(f.routing->neighbour_adjacency(kLan, ip("10.0.0.1"), net::Family::ipv4).has_value());
    // An address of ours on another link is an ordinary destination here.
    CHECK(f.routing->lookup(ip("192.0.2.1"), kLan).kind == AdjacencyKind::glean);
    // Also where routes refuse.
    REQUIRE(f.add(Fixture::typed("10.9.0.0/16", RouteType::blackhole)) == std::errc{});
    CHECK(f.routing->lookup(ip("10.9.0.1"), kLan).next_hop == ip("10.9.0.1"));
    CHECK(f.routing->lookup(ip("10.9.0.1")).kind == AdjacencyKind::blackhole);
    // A group has its MAC by rule.
    CHECK(f.routing->lookup(ip("239.1.2.3"), kLan).kind == AdjacencyKind::rewrite);
    const auto group = f.routing->neighbour_adjacency(kLan, ip("239.129.2.3"), net::Family::ipv4);
    REQUIRE(group.has_value());
    CHECK(Fixture::macs(*group) == "01:00:5e:01:02:03 02:00:00:00:00:a2 800");
    f.set_link(kLan, false);
    CHECK(f.routing->lookup(ip("10.0.0.1"), kLan).kind == AdjacencyKind::no_route);
    CHECK(f.routing->lookup(ip("10.0.0.1"), 77).kind == AdjacencyKind::no_route);
}

TEST_CASE("a full table refuses a route and changes nothing", "[route][routing]") {
    Fixture f({.routes4 = 4, .neighbours = 10, .adjacencies = 1000});
    f.address("192.0.2.1/24");
    REQUIRE(f.add(Fixture::dev("10.0.0.0/8", kWan)) == std::errc{});
    const Events before = f.routes();
    const std::uint64_t generation = f.routing->generation();
    CHECK(f.add(Fixture::dev("11.0.0.0/8", kWan)) == std::errc::no_space_on_device);
    CHECK(f.last_error.find("11.0.0.0/8") != std::string::npos);
    CHECK(f.routes() == before);
    CHECK(f.kind("11.0.0.1") == AdjacencyKind::no_route);
    CHECK(f.routing->generation() == generation);
    CHECK_FALSE(f.routing->add_address({.link = kLan, .prefix = prefix("198.51.100.1/24")}, false));
    CHECK(f.routes() == before);
    CHECK(f.routing->addresses().size() == 1);
    REQUIRE(f.del(Fixture::dev("10.0.0.0/8", kWan)) == std::errc{});
    CHECK(f.add(Fixture::dev("11.0.0.0/8", kWan)) == std::errc{});
}

TEST_CASE("a full adjacency table refuses a route and changes nothing", "[route][routing]") {
    Fixture f({.routes4 = 100, .neighbours = 10, .adjacencies = 6});
    f.address("192.0.2.1/24");
    const Events before = f.routes();
    std::uint32_t taken = 0;
    while (f.add(Fixture::via(
               fmt::format("10.{}.0.0/16", taken), fmt::format("192.0.2.{}", taken + 10)
           )) == std::errc{}) {
        REQUIRE(++taken < 6);
    }
    CHECK(f.last_error.find("adjacencies") != std::string::npos);
    CHECK(f.routes().size() == before.size() + taken);
    CHECK(f.routing->neighbours().size() == taken);
}

}  // namespace culvert::route::test
