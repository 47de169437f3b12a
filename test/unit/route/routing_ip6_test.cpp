// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/route/routing_fixture.hpp"

#include <algorithm>

namespace culvert::route::test {

namespace {

struct Fixture6 : Fixture {
    void address6(std::string_view text, LinkId link = kWan) {
        Address own;
        own.link = link;
        own.prefix = prefix(text);
        own.nodad = true;
        REQUIRE(routing->add_address(own, false));
    }

    // The link has a link-local address while it is up, whose detection has ended.
    void link_local(LinkId link, bool up = true) {
        LinkParameters parameters{"wan", kWanMac, 1500, up, true, true};
        if (link == kLan) {
            parameters.name = "lan";
            parameters.mac = kLanMac;
        }
        routing->set_link(link, {parameters.name, parameters.mac, 1500, false}, now);
        routing->set_link(link, parameters, now);
        const std::vector<Address> all = routing->addresses();
        for (const Address& own : all) {
            routing->end_detection(own.link, own.prefix.address, false);
        }
    }

    [[nodiscard]] Adjacency find6(std::string_view address) const {
        const AdjacencyId id = routing->fib6().lookup(ip(address).bytes());
        return id == 0 ? Adjacency{} : *routing->adjacencies().read(id);
    }

    [[nodiscard]] AdjacencyKind kind6(std::string_view address) const {
        return find6(address).kind;
    }
};

}  // namespace

TEST_CASE("IPv6: an address brings its local and its connected route", "[route][routing]") {
    Fixture6 f;
    f.address6("2001:db8::1/64");
    CHECK(
        f.routes() ==
        Events{
            "2001:db8::/64 unicast dev 1 kernel global 256",
            "2001:db8::1/128 local dev 1 kernel global 0"}
    );
    CHECK(f.kind6("2001:db8::1") == AdjacencyKind::local);
    CHECK(f.kind6("2001:db8::2") == AdjacencyKind::glean);
    CHECK(f.kind6("2001:db8:1::1") == AdjacencyKind::no_route);
    CHECK(f.routing->own_addresses6().may_contain(fold(ip("2001:db8::1").bytes())));
    CHECK_FALSE(f.routing->own_addresses6().may_contain(fold(ip("2001:db8::2").bytes())));

    Address again;
    again.link = kWan;
    again.prefix = prefix("2001:db8::1/48");
    CHECK(f.routing->add_address(again, false).error().code == std::errc::file_exists);

    REQUIRE(f.routing->del_address(kWan, prefix("2001:db8::1/64")));
    CHECK(f.routes().empty());
    CHECK(f.kind6("2001:db8::1") == AdjacencyKind::no_route);
}

TEST_CASE("IPv6: what is no host's address is refused", "[route][routing]") {
    Fixture6 f;
    for (const char* text : {"::/64", "ff02::1/64"}) {
        Address own;
        own.link = kWan;
        own.prefix = prefix(text);
        CHECK(f.routing->add_address(own, false).error().code == std::errc::address_not_available);
    }
}

TEST_CASE("IPv6: an address is ours when its detection has ended well", "[route][routing]") {
    Fixture6 f;
    Address own;
    own.link = kWan;
    own.prefix = prefix("2001:db8::1/64");
    REQUIRE(f.routing->add_address(own, false));
    CHECK(f.routing->find_address(kWan, ip("2001:db8::1"))->tentative);
    CHECK(f.kind6("2001:db8::1") == AdjacencyKind::glean);
    CHECK_FALSE(f.routing->is_local(ip("2001:db8::1")));
    CHECK(f.routing->select_source6(kWan, ip("2001:db8::2")).is_unspecified());

    SECTION("nobody else has it") {
        f.routing->end_detection(kWan, ip("2001:db8::1"), false);
        CHECK(f.kind6("2001:db8::1") == AdjacencyKind::local);
        CHECK(f.routing->is_local(ip("2001:db8::1")));
        CHECK(f.routing->select_source6(kWan, ip("2001:db8::2")) == ip("2001:db8::1"));
    }
    SECTION("somebody else has it") {
        f.routing->end_detection(kWan, ip("2001:db8::1"), true);
        CHECK(f.routing->find_address(kWan, ip("2001:db8::1"))->dad_failed);
        CHECK(f.kind6("2001:db8::1") == AdjacencyKind::glean);
        CHECK_FALSE(f.routing->is_local(ip("2001:db8::1")));
    }
}

TEST_CASE("IPv6: a link that comes up has a link-local address of its MAC", "[route][routing]") {
    Fixture6 f;
    f.link_local(kWan);
    f.link_local(kLan);
    REQUIRE(f.routing->addresses().size() == 2);
    CHECK(f.routing->addresses()[0].prefix == prefix("fe80::ff:fe00:a1/64"));
    CHECK(f.routing->addresses()[0].scope == "link");
    CHECK(f.routing->is_local_on(kWan, ip("fe80::ff:fe00:a1")));
    CHECK_FALSE(f.routing->is_local_on(kLan, ip("fe80::ff:fe00:a1")));
    CHECK(f.routing->select_source6(kLan, ip("fe80::1")) == ip("fe80::ff:fe00:a2"));
    CHECK(f.routing->lookup(ip("fe80::1")).kind == AdjacencyKind::no_route);
    const Path path = f.routing->lookup(ip("fe80::1"), kLan);
    CHECK(path.kind == AdjacencyKind::glean);
    CHECK(path.link == kLan);
    // Not forwarded, so workers do not know it.
    CHECK(f.kind6("fe80::1") == AdjacencyKind::no_route);

    f.set_link(kWan, false);
    REQUIRE(f.routing->addresses().size() == 1);
}

TEST_CASE("IPv6: routes, by gateways on the link and link-local ones", "[route][routing]") {
    Fixture6 f;
    f.link_local(kWan);
    f.address6("2001:db8::1/64");
    CHECK(f.add(Fixture::via("2001:db8:1::/48", "2001:db8::2")) == std::errc{});
    CHECK(f.kind6("2001:db8:1::1") == AdjacencyKind::incomplete);
    f.neighbour("2001:db8::2");
    CHECK(f.kind6("2001:db8:1::1") == AdjacencyKind::rewrite);
    CHECK(Fixture::macs(f.find6("2001:db8:1::1")) == "02:00:00:00:00:01 02:00:00:00:00:a1 86dd");
    CHECK(Fixture::macs(f.find6("2001:db8::2")) == "02:00:00:00:00:01 02:00:00:00:00:a1 86dd");

    Route route = Fixture::via("::/0", "fe80::9");
    CHECK(f.add(route) == std::errc::invalid_argument);
    route.link = kWan;
    CHECK(f.add(route) == std::errc{});
    f.neighbour("fe80::9", kWan, kOtherMac);
    CHECK(Fixture::macs(f.find6("3fff::1")) == "02:00:00:00:00:02 02:00:00:00:00:a1 86dd");
    CHECK(f.find6("3fff::1").next_hop == ip("fe80::9"));

    CHECK(f.add(route) == std::errc::file_exists);
    route.metric = 5;
    CHECK(f.add(route) == std::errc{});
    CHECK(f.add(Fixture::via("2001:db8:9::/48", "2001:db8:5::2")) == std::errc::host_unreachable);
    CHECK(f.add(Fixture::via("2001:db8:9::/48", "192.0.2.1")) == std::errc::invalid_argument);
    CHECK(f.add(Fixture::via("2001:db8:9::/48", "2001:db8::1")) == std::errc::invalid_argument);

    const Events all = f.routes();
    CHECK(
        std::find(all.begin(), all.end(), "::/0 unicast via fe80::9 dev 1 boot global 1024") !=
        all.end()
    );
    CHECK(f.routing->lookup(ip("3fff::1")).source == ip("2001:db8::1"));
    CHECK(f.add(Fixture::typed("2001:db8:2::/48", RouteType::unreachable)) == std::errc{});
    CHECK(f.kind6("2001:db8:2::1") == AdjacencyKind::unreachable);
}

TEST_CASE("IPv6: what waits asks with a neighbour solicitation", "[route][routing]") {
    Fixture6 f;
    Pool pool;
    f.link_local(kWan);
    f.address6("2001:db8::1/64");
    f.routing->resolve(kWan, ip("2001:db8::2"), pool.packet(ip("192.0.2.1")), f.now);
    CHECK(f.recorder.take() == Events{"solicit 1 group fe80::ff:fe00:a1 2001:db8::2"});
    NeighbourTable::Heard heard;
    heard.mac = kPeerMac;
    heard.is_reachable = true;
    heard.is_override = true;
    heard.is_router = true;
    f.routing->neighbours().discovery_input({kWan, ip("2001:db8::2")}, heard, f.now);
    CHECK(f.recorder.take().size() == 1);
    CHECK(f.kind6("2001:db8::2") == AdjacencyKind::rewrite);
    CHECK(f.routing->neighbours().find({kWan, ip("2001:db8::2")})->router);

    SECTION("an advertisement without override does not change a MAC, but doubts it") {
        heard.mac = kOtherMac;
        heard.is_override = false;
        f.routing->neighbours().discovery_input({kWan, ip("2001:db8::2")}, heard, f.now);
        const Neighbour* peer = f.routing->neighbours().find({kWan, ip("2001:db8::2")});
        CHECK(peer->mac == kPeerMac);
        CHECK(peer->state == NeighbourState::stale);
    }
    SECTION("one with override does") {
        heard.mac = kOtherMac;
        f.routing->neighbours().discovery_input({kWan, ip("2001:db8::2")}, heard, f.now);
        const Neighbour* peer = f.routing->neighbours().find({kWan, ip("2001:db8::2")});
        CHECK(peer->mac == kOtherMac);
        CHECK(peer->state == NeighbourState::reachable);
    }
    SECTION("who is not in the table is not put there by an advertisement") {
        f.routing->neighbours().discovery_input({kWan, ip("2001:db8::3")}, heard, f.now);
        CHECK(f.routing->neighbours().find({kWan, ip("2001:db8::3")}) == nullptr);
    }
}

TEST_CASE("the last IPv4 address takes IPv4's routes along, not IPv6's", "[route][routing]") {
    Fixture6 f;
    f.address6("2001:db8::1/64");
    f.address("192.0.2.1/24");
    REQUIRE(f.add(Fixture::via("10.0.0.0/8", "192.0.2.2")) == std::errc{});
    REQUIRE(f.add(Fixture::via("2001:db8:1::/48", "2001:db8::2")) == std::errc{});
    REQUIRE(f.routing->del_address(kWan, prefix("192.0.2.1/24")));
    CHECK(f.kind("10.0.0.1") == AdjacencyKind::no_route);
    CHECK(f.kind6("2001:db8:1::1") == AdjacencyKind::incomplete);
}

}  // namespace culvert::route::test
