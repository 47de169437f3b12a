// SPDX-License-Identifier: BSD-3-Clause
// Routes by TOS, as fib_table_lookup() chooses among them.
#include "test/unit/route/routing_fixture.hpp"

namespace culvert::route::test {

namespace {

struct ByTos : Fixture {
    ByTos() {
        address("192.0.2.1/24", kWan);
        address("203.0.113.1/24", kLan);
    }

    static Route of_tos(std::uint8_t tos, Route route) {
        route.tos = tos;
        return route;
    }

    // What a worker ends in with a packet of this TOS.
    [[nodiscard]] Adjacency taken(std::string_view address, std::uint8_t tos) const {
        Adjacency adjacency = find(address);
        if (adjacency.kind == AdjacencyKind::by_tos) {
            adjacency = *routing->adjacencies().read(adjacency.multipath->of_tos(tos));
        }
        return adjacency;
    }

    // The next hop that lookups and workers agree on.
    [[nodiscard]] std::string gateway(std::string_view address, std::uint8_t tos) const {
        const Path path = routing->lookup(ip(address), kNoLink, {}, tos);
        const Adjacency adjacency = taken(address, tos);
        CHECK(leads_on(path.kind) == leads_on(adjacency.kind));
        if (!leads_on(adjacency.kind)) {
            return "none";
        }
        CHECK(path.link == adjacency.link_out);
        if (adjacency.kind != AdjacencyKind::glean) {
            CHECK(path.next_hop == adjacency.next_hop);
        }
        return path.via_gateway ? path.next_hop.to_string() : "on-link";
    }
};

}  // namespace

TEST_CASE(
    "RT-05 the longest prefix, in it the route of the packet's TOS, then the one for all",
    "[route][routing]"
) {
    ByTos f;
    const Route all = f.via("198.51.0.0/16", "192.0.2.2");
    const Route low_delay = f.of_tos(0x10, f.via("198.51.0.0/16", "203.0.113.2"));
    REQUIRE(f.add(all) == std::errc{});
    CHECK(f.find("198.51.100.1").kind == AdjacencyKind::incomplete);
    REQUIRE(f.add(low_delay) == std::errc{});
    CHECK(f.add(low_delay) == std::errc::file_exists);
    CHECK(f.find("198.51.100.1").kind == AdjacencyKind::by_tos);
    CHECK(f.gateway("198.51.100.1", 0) == "192.0.2.2");
    CHECK(f.gateway("198.51.100.1", 0x10) == "203.0.113.2");
    CHECK(f.gateway("198.51.100.1", 0x08) == "192.0.2.2");
    // Precedence and ECN do not count.
    CHECK(f.gateway("198.51.100.1", 0xf3) == "203.0.113.2");
    // The lowest metric among those of a TOS.
    REQUIRE(f.add(f.of_tos(0x10, f.via("198.51.0.0/16", "192.0.2.9", 7))) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0x10) == "203.0.113.2");
    // Metrics count behind the TOS.
    REQUIRE(f.del(low_delay) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0x10) == "192.0.2.9");
    // A route is deleted by its TOS.
    CHECK(f.del(low_delay) == std::errc::no_such_process);
    REQUIRE(f.del(f.via("198.51.0.0/16", "192.0.2.2")) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0) == "none");
    CHECK(f.gateway("198.51.100.1", 0x10) == "192.0.2.9");
    REQUIRE(f.del(f.of_tos(0x10, f.via("198.51.0.0/16", "192.0.2.9"))) == std::errc{});
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::no_route);
}

TEST_CASE(
    "RT-05 a prefix with routes by TOS alone leaves other packets to shorter prefixes",
    "[route][routing]"
) {
    ByTos f;
    REQUIRE(f.add(f.of_tos(0x10, f.via("198.51.100.0/24", "203.0.113.2"))) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0) == "none");
    REQUIRE(f.add(f.via("198.51.0.0/16", "192.0.2.2")) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0) == "192.0.2.2");
    CHECK(f.gateway("198.51.100.1", 0x10) == "203.0.113.2");
    REQUIRE(f.add(f.of_tos(0x08, f.via("198.0.0.0/8", "192.0.2.3"))) == std::errc{});
    REQUIRE(f.del(f.via("198.51.0.0/16", "192.0.2.2")) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0) == "none");
    CHECK(f.gateway("198.51.100.1", 0x08) == "192.0.2.3");
    CHECK(f.gateway("198.51.100.1", 0x10) == "203.0.113.2");
    // What is longer and for all packets comes before.
    REQUIRE(f.add(f.via("198.51.100.0/25", "192.0.2.4")) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0x10) == "192.0.2.4");
    CHECK(f.gateway("198.51.100.200", 0x10) == "203.0.113.2");
}

TEST_CASE(
    "RT-05 a neighbour on-link does not hide its network's routes by TOS", "[route][routing]"
) {
    ByTos f;
    f.neighbour("192.0.2.7");
    CHECK(f.kind("192.0.2.7") == AdjacencyKind::rewrite);
    REQUIRE(f.add(f.of_tos(0x10, f.via("192.0.2.0/24", "203.0.113.2"))) == std::errc{});
    CHECK(f.gateway("192.0.2.7", 0x10) == "203.0.113.2");
    CHECK(f.gateway("192.0.2.7", 0) == "on-link");
    CHECK(f.taken("192.0.2.7", 0).kind == AdjacencyKind::rewrite);
    f.neighbour("192.0.2.8");
    CHECK(f.gateway("192.0.2.8", 0x10) == "203.0.113.2");
    // Our own address is of the table local, whatever the packet.
    CHECK(f.kind("192.0.2.1") == AdjacencyKind::local);
    REQUIRE(f.del(f.of_tos(0x10, f.via("192.0.2.0/24", "203.0.113.2"))) == std::errc{});
    CHECK(f.kind("192.0.2.8") == AdjacencyKind::rewrite);
}

TEST_CASE("RT-05 RT-09 one of several next hops, for packets of one TOS", "[route][routing]") {
    ByTos f;
    Route fork = f.of_tos(0x08, {.prefix = prefix("198.51.100.0/24")});
    fork.next_hops = {{.gateway = ip("192.0.2.2")}, {.gateway = ip("203.0.113.2")}};
    REQUIRE(f.add(fork) == std::errc{});
    REQUIRE(f.add(f.via("198.51.100.0/24", "192.0.2.9")) == std::errc{});
    CHECK(f.taken("198.51.100.1", 0).next_hop == ip("192.0.2.9"));
    CHECK(f.taken("198.51.100.1", 0x08).kind == AdjacencyKind::multipath);
    CHECK(f.taken("198.51.100.1", 0x08).multipath->members.size() == 2);
    // One that dies leaves the other.
    f.set_link(kLan, false);
    CHECK(f.taken("198.51.100.1", 0x08).next_hop == ip("192.0.2.2"));
    f.set_link(kLan, true);
    CHECK(f.taken("198.51.100.1", 0x08).kind == AdjacencyKind::multipath);
    {
        const auto ways = f.routing->ways(ip("198.51.100.1"), kNoLink, std::nullopt);
        REQUIRE(ways != nullptr);
        CHECK(ways->by_tos);
        const auto fixed = f.routing->ways(ip("198.51.100.1"), kNoLink, 0x08);
        REQUIRE(fixed != nullptr);
        CHECK_FALSE(fixed->by_tos);
        CHECK(f.routing->ways(ip("198.51.100.1"), kNoLink, 0) == nullptr);
    }
    REQUIRE(f.del(fork) == std::errc{});
    CHECK(f.kind("198.51.100.1") == AdjacencyKind::incomplete);
}

TEST_CASE("RT-05 what routes may say of a TOS", "[route][routing]") {
    ByTos f;
    CHECK(
        f.add(f.of_tos(0x11, f.via("198.51.100.0/24", "192.0.2.2"))) == std::errc::invalid_argument
    );
    CHECK(f.last_error.find("ECN bits must be 0") != std::string::npos);
    Route ip6 = f.of_tos(0x10, f.dev("3fff::/32", kWan));
    CHECK(f.add(ip6) == std::errc::invalid_argument);
    CHECK(f.last_error.find("option not available for IPv6") != std::string::npos);
    // A DSCP that no packet has by the three bits that count.
    REQUIRE(f.add(f.of_tos(0x28, f.via("198.51.100.0/24", "192.0.2.2"))) == std::errc{});
    CHECK(f.gateway("198.51.100.1", 0x28) == "none");
}

}  // namespace culvert::route::test
