// SPDX-License-Identifier: BSD-3-Clause
// Routes with several next hops, and gateways of the other family.
#include "lib/net/multipath_hash.hpp"
#include "test/unit/route/routing_fixture.hpp"

#include <map>

namespace culvert::route::test {

namespace {

using Weights = std::vector<std::uint64_t>;

struct Several : Fixture {
    Several() {
        address("192.0.2.1/24", kWan);
        address("203.0.113.1/24", kLan);
    }

    static Route spread(std::string_view to, std::vector<NextHop> hops) {
        Route route;
        route.prefix = prefix(to);
        route.next_hops = std::move(hops);
        return route;
    }

    static NextHop hop(std::string_view gateway, std::uint16_t weight = 1) {
        return {.gateway = ip(gateway), .weight = weight};
    }

    // How many hashes each next hop has, in order.
    [[nodiscard]] Weights shares(std::string_view address) const {
        const Adjacency adjacency = find(address);
        REQUIRE(adjacency.kind == AdjacencyKind::multipath);
        Weights shares;
        std::uint64_t begin = 0;
        for (const Multipath::Member& member : adjacency.multipath->members) {
            shares.push_back(member.upper_bound + std::uint64_t{1} - begin);
            begin = member.upper_bound + std::uint64_t{1};
        }
        CHECK(begin == std::uint64_t{1} << 31);
        return shares;
    }

    [[nodiscard]] const Adjacency& member(std::string_view address, std::size_t index) const {
        return *routing->adjacencies().read(find(address).multipath->members.at(index).adjacency);
    }
};

}  // namespace

TEST_CASE("multipath: weights part the range of the hash", "[route][routing]") {
    Several f;
    REQUIRE(
        f.add(f.spread("198.51.100.0/24", {f.hop("192.0.2.2", 3), f.hop("203.0.113.2")})) ==
        std::errc{}
    );
    CHECK(f.shares("198.51.100.1") == Weights{0x60000000, 0x20000000});
    CHECK(f.member("198.51.100.1", 0).next_hop == ip("192.0.2.2"));
    CHECK(f.member("198.51.100.1", 0).kind == AdjacencyKind::incomplete);
    CHECK(f.member("198.51.100.1", 1).link_out == kLan);

    f.neighbour("203.0.113.2", kLan);
    CHECK(f.member("198.51.100.1", 1).kind == AdjacencyKind::rewrite);

    // As fib_rebalance() rounds.
    REQUIRE(
        f.add(f.spread(
            "198.51.101.0/24", {f.hop("192.0.2.2"), f.hop("192.0.2.3"), f.hop("192.0.2.4")}
        )) == std::errc{}
    );
    CHECK(f.shares("198.51.101.1") == Weights{715827883, 715827882, 715827883});
}

TEST_CASE(
    "multipath: a next hop whose link is down is skipped until it is up", "[route][routing]"
) {
    Several f;
    const Route route = f.spread("198.51.100.0/24", {f.hop("192.0.2.2"), f.hop("203.0.113.2", 2)});
    REQUIRE(f.add(route) == std::errc{});
    f.neighbour("192.0.2.2");
    f.set_link(kLan, false);
    CHECK(f.find("198.51.100.1").next_hop == ip("192.0.2.2"));
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::rewrite);
    std::vector<bool> dead;
    f.routing->for_each_route([&](const Route& each) {
        for (const NextHop& hop : each.next_hops) {
            dead.push_back(hop.dead);
        }
    });
    CHECK(dead == std::vector<bool>{false, true});

    f.set_link(kLan, true);
    CHECK(f.shares("198.51.100.1").size() == 2);
    // Without any that lives, the route goes.
    f.set_link(kLan, false);
    f.set_link(kWan, false);
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::no_route);
    f.set_link(kWan, true);
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::no_route);
}

TEST_CASE("multipath: a route does not outlive the link of a next hop", "[route][routing]") {
    Several f;
    REQUIRE(
        f.add(f.spread("198.51.100.0/24", {f.hop("192.0.2.2"), f.hop("203.0.113.2")})) ==
        std::errc{}
    );
    f.routing->del_link(kLan);
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::no_route);
}

TEST_CASE(
    "multipath: lookups choose as workers do, and flows spread by weight", "[route][routing]"
) {
    Several f;
    REQUIRE(
        f.add(f.spread("198.18.0.0/15", {f.hop("192.0.2.2", 3), f.hop("203.0.113.2")})) ==
        std::errc{}
    );
    std::map<LinkId, int> taken;
    for (std::uint32_t i = 0; i < 4000; ++i) {
        const net::IpAddress source = net::IpAddress::from_v4(0x0a000000 + i * 7);
        const net::IpAddress destination = net::IpAddress::from_v4(0xc6120001 + i % 100);
        const Path path = f.routing->lookup_forward(destination, source);
        const std::uint32_t hash = net::multipath_hash(source, destination);
        const AdjacencyId id = f.find("198.18.0.1").multipath->pick(hash);
        REQUIRE(f.routing->adjacencies().read(id)->link_out == path.link);
        ++taken[path.link];
    }
    CHECK(taken[kWan] > 2850);
    CHECK(taken[kWan] < 3150);
    // With a link given, it is that one's.
    CHECK(f.routing->lookup(ip("198.18.0.1"), kLan).next_hop == ip("203.0.113.2"));
}

TEST_CASE("what next hops must be", "[route][routing]") {
    Several f;
    const auto add = [&](std::vector<NextHop> hops) {
        return f.add(f.spread("198.51.100.0/24", std::move(hops)));
    };
    CHECK(add({f.hop("192.0.2.2"), f.hop("9.9.9.9")}) == std::errc::network_unreachable);
    CHECK(add({f.hop("192.0.2.2"), f.hop("192.0.2.1")}) == std::errc::invalid_argument);
    CHECK(add({f.hop("192.0.2.2", 257), f.hop("192.0.2.3")}) == std::errc::invalid_argument);
    CHECK(
        add({{.gateway = ip("9.9.9.9"), .link = kWan, .onlink = true}, f.hop("192.0.2.3")}) ==
        std::errc{}
    );
    // Alone it is an ordinary route.
    REQUIRE(f.add(f.spread("198.51.101.0/24", {f.hop("192.0.2.2")})) == std::errc{});
    CHECK(f.find("198.51.101.1").next_hop == ip("192.0.2.2"));
    CHECK(f.del(f.via("198.51.101.0/24", "192.0.2.2")) == std::errc{});
    // A gateway is asked of the first next hop.
    CHECK(f.del(f.via("198.51.100.0/24", "192.0.2.3")) == std::errc::no_such_process);
    CHECK(f.del(f.via("198.51.100.0/24", "9.9.9.9")) == std::errc{});
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::no_route);
}

TEST_CASE("UI-RT-02 IPv6 routes of one metric by gateways become one", "[route][routing][ip6]") {
    Several f;
    REQUIRE(f.routing->add_address(
        {.link = kWan, .prefix = prefix("2001:db8::1/64"), .nodad = true}, false
    ));
    const std::string_view to = "2001:db8:1::/48";
    REQUIRE(f.add(f.via(to, "2001:db8::2")) == std::errc{});
    CHECK(f.add(f.via(to, "2001:db8::3")) == std::errc::file_exists);
    REQUIRE(f.try_route(RouteVerb::append, f.via(to, "2001:db8::3")) == std::errc{});
    CHECK(f.try_route(RouteVerb::append, f.via(to, "2001:db8::3")) == std::errc::file_exists);
    const auto hops = [&] {
        std::vector<std::string> gateways;
        f.routing->for_each_route([&](const Route& route) {
            if (route.prefix == prefix(to)) {
                for (const NextHop& hop : route.next_hops) {
                    gateways.push_back(hop.gateway->to_string());
                }
            }
        });
        return gateways;
    };
    CHECK(hops() == std::vector<std::string>{"2001:db8::2", "2001:db8::3"});
    // A gateway alone takes but its own next hop away.
    CHECK(f.del(f.via(to, "2001:db8::2")) == std::errc{});
    CHECK(hops().empty());
    CHECK(f.routing->lookup(ip("2001:db8:1::5")).next_hop == ip("2001:db8::3"));
    CHECK(f.del(f.via(to, "2001:db8::3")) == std::errc{});
    CHECK(f.routing->lookup(ip("2001:db8:1::5")).kind == AdjacencyKind::no_route);
}

TEST_CASE("IPO-F2-05 an IPv4 route by an IPv6 gateway", "[route][routing]") {
    Several f;
    Route route = f.via("198.51.100.0/24", "fe80::1");
    CHECK(f.add(route) == std::errc::invalid_argument);  // of which link?
    route.link = kLan;
    REQUIRE(f.add(route) == std::errc{});
    CHECK(f.find("198.51.100.1").next_hop == ip("fe80::1"));
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::incomplete);
    f.neighbour("fe80::1", kLan);
    // The MAC is from neighbour discovery, the packet's type its own.
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::rewrite);
    CHECK(f.macs(f.find("198.51.100.1")) == "02:00:00:00:00:01 02:00:00:00:00:a2 800");
    const Path path = f.routing->lookup(ip("198.51.100.1"));
    CHECK(path.via_gateway);
    CHECK(path.source == ip("203.0.113.1"));
    CHECK(f.add(f.via("2001:db8::/32", "192.0.2.2")) == std::errc::invalid_argument);
}

TEST_CASE("RT-04 a group on a link needs no route", "[route][routing]") {
    Several f;
    REQUIRE(f.add(f.via("0.0.0.0/0", "192.0.2.2")) == std::errc{});
    for (const char* group : {"224.0.0.5", "255.255.255.255"}) {
        const Path path = f.routing->lookup(ip(group), kLan);
        CHECK(path.kind == AdjacencyKind::rewrite);
        CHECK_FALSE(path.via_gateway);
        CHECK(path.link == kLan);
        CHECK(path.next_hop == ip(group));
        CHECK(path.source == ip("203.0.113.1"));
    }
}

TEST_CASE("RT-06 throw: as if there were none", "[route][routing]") {
    Several f;
    REQUIRE(f.add(f.via("0.0.0.0/0", "192.0.2.2")) == std::errc{});
    REQUIRE(f.add(f.typed("198.51.100.0/24", RouteType::throws)) == std::errc{});
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::no_route);
    CHECK(f.routing->lookup(ip("198.51.100.1")).kind == AdjacencyKind::no_route);
    CHECK(f.kind("198.51.101.1") == AdjacencyKind::incomplete);
}

TEST_CASE("RT-10 a locked MTU that is not said is 576 behind a gateway", "[route][routing]") {
    Several f;
    Route route = f.via("198.51.100.0/24", "192.0.2.2");
    route.mtu_locked = true;
    REQUIRE(f.add(route) == std::errc{});
    CHECK(f.find("198.51.100.1").mtu == 576);
    CHECK(f.routing->lookup(ip("198.51.100.1")).mtu == 576);
    CHECK(f.routing->lookup(ip("198.51.100.1")).mtu_locked);
    Route near = f.dev("198.51.101.0/24", kWan);
    near.mtu_locked = true;
    REQUIRE(f.add(near) == std::errc{});
    CHECK(f.routing->lookup(ip("198.51.101.1")).mtu == 1500);
}

TEST_CASE("UI-RT-02 prepend goes before those of its metric; test adds none", "[route][routing]") {
    Several f;
    CHECK(
        f.try_route(RouteVerb::test, f.via("198.51.100.0/24", "192.0.2.2")) ==
        std::errc::no_such_file_or_directory
    );
    REQUIRE(f.add(f.via("198.51.100.0/24", "192.0.2.2")) == std::errc{});
    CHECK(
        f.try_route(RouteVerb::test, f.via("198.51.100.0/24", "192.0.2.2")) ==
        std::errc::file_exists
    );
    REQUIRE(f.try_route(RouteVerb::prepend, f.via("198.51.100.0/24", "192.0.2.3")) == std::errc{});
    CHECK(f.find("198.51.100.1").next_hop == ip("192.0.2.3"));
    REQUIRE(f.try_route(RouteVerb::append, f.via("198.51.100.0/24", "192.0.2.4")) == std::errc{});
    CHECK(f.find("198.51.100.1").next_hop == ip("192.0.2.3"));
}

}  // namespace culvert::route::test
