// SPDX-License-Identifier: BSD-3-Clause
// neigh: proxies, and what an administrator says of a neighbour beside its state.
#include "test/unit/control/command_fixture.hpp"

#include <fmt/format.h>

namespace culvert::control::test {

namespace {

struct NeighLab : CommandFixture {
    NeighLab() {
        port = add_quiet_port(0);
        add_address(port, "192.0.2.1/24");
    }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE_METHOD(NeighLab, "UI-NEI-01 UI-NEI-03 entries of proxies", "[control][command]") {
    run("ip neigh add proxy 203.0.113.7 dev port0");
    run("ip neigh add proxy 203.0.113.7 dev port0");
    run("ip neigh add proxy 2001:db8::7 dev port0 router protocol static");
    CHECK(run("ip neigh show").empty());
    CHECK(
        run("ip neigh show proxy") == "203.0.113.7 dev port0 proxy \n"
                                      "2001:db8::7 dev port0 router proxy  proto static \n"
    );
    CHECK(run("ip -6 neigh show proxy dev port0") == "2001:db8::7 router proxy  proto static \n");
    CHECK(
        json("neigh show proxy to 203.0.113.0/24").dump() ==
        R"([{"dst":"203.0.113.7","dev":"port0","proxy":null}])"
    );
    CHECK(run("neigh get proxy 203.0.113.7 dev port0") == "203.0.113.7 dev port0 proxy \n");
    CHECK(refused("neigh get 203.0.113.7 dev port0", 2).ends_with("(ENOENT)"));
    run("neigh del proxy 203.0.113.7 dev port0");
    CHECK(refused("neigh del proxy 203.0.113.7 dev port0", 2).ends_with("(ENOENT)"));
    run("neigh flush proxy dev port0");
    CHECK(run("neigh show proxy").empty());
}

TEST_CASE_METHOD(NeighLab, "UI-NEI-01 use, managed, extern_learn, protocol", "[control][command]") {
    run("ip neigh add 192.0.2.2 dev port0 use");
    CHECK(run("ip neigh get 192.0.2.2 dev port0") == "192.0.2.2 dev port0 INCOMPLETE \n");
    CHECK(sent_bytes().size() == 42);  // it was asked for
    run("ip neigh add 192.0.2.3 dev port0 managed");
    CHECK(run("ip neigh get 192.0.2.3 dev port0") == "192.0.2.3 dev port0 managed INCOMPLETE \n");
    CHECK(refused("ip neigh add 192.0.2.3 dev port0 managed", 2).ends_with("(EEXIST)"));
    CHECK(refused("ip neigh change 192.0.2.9 dev port0 use", 2).ends_with("(ENOENT)"));
    run("ip neigh add 192.0.2.4 lladdr 02:00:00:00:01:03 dev port0 nud stale extern_learn "
        "protocol zebra");
    CHECK(
        run("ip neigh get 192.0.2.4 dev port0") ==
        "192.0.2.4 dev port0 lladdr 02:00:00:00:01:03 extern_learn STALE  proto zebra \n"
    );
    CHECK(
        json("ip neigh get 192.0.2.4 dev port0").dump() ==
        R"([{"dst":"192.0.2.4","dev":"port0","lladdr":"02:00:00:00:01:03","extern_learn":null,)"
        R"("protocol":"zebra","state":["STALE"]}])"
    );
    run("ip neigh replace 192.0.2.4 lladdr 02:00:00:00:01:03 dev port0 nud stale");
    CHECK(
        run("ip neigh get 192.0.2.4 dev port0") ==
        "192.0.2.4 dev port0 lladdr 02:00:00:00:01:03 STALE \n"
    );
}

TEST_CASE_METHOD(
    NeighLab, "neigh show nomaster: only of links in no bridge", "[control][command]"
) {
    run("neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    CHECK_FALSE(run("neigh show nomaster").empty());
    run("link add br0 type bridge");
    run("link set port0 master br0");
    run("neigh replace 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    CHECK(run("neigh show nomaster").empty());
    CHECK_FALSE(run("neigh show").empty());
}

TEST_CASE_METHOD(
    NeighLab, "UI-NEI-04 GRE-TX-03 GRE-CRE-11 a tunnel's neighbour", "[control][command]"
) {
    run("link add gre1 type gre local 192.0.2.1");
    run("link set gre1 up");
    run("addr add 10.9.0.1/24 dev gre1");
    run("route add 10.10.0.0/16 via 10.9.0.2 dev gre1");
    // What stands in the first four bytes of a packet to there: where it goes.
    const auto goes_to = [&](const char* destination) {
        const auto address = net::IpAddress::parse(destination).value();
        const route::AdjacencyId id = address.is_v4() ? core->tables().fib4.lookup(address.v4())
                                                      : core->tables().fib6.lookup(address.bytes());
        const route::Adjacency* way = core->tables().adjacencies.read(id);
        REQUIRE(way != nullptr);
        REQUIRE(way->kind == route::AdjacencyKind::rewrite);
        const auto* bytes = way->header.data();
        return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
    };
    CHECK(goes_to("10.9.0.2") == "0.0.0.0");
    CHECK(goes_to("10.10.0.1") == "10.9.0.2");
    run("neigh add 10.9.0.2 lladdr 198.51.100.7 dev gre1");
    CHECK(goes_to("10.9.0.2") == "198.51.100.7");
    CHECK(goes_to("10.10.0.1") == "198.51.100.7");
    CHECK(goes_to("10.9.0.3") == "0.0.0.0");
    CHECK(run("neigh show dev gre1") == "10.9.0.2 lladdr 198.51.100.7 PERMANENT \n");
    CHECK(json("neigh show dev gre1")[0]["lladdr"] == "198.51.100.7");
    run("neigh replace 10.9.0.2 lladdr 198.51.100.8 dev gre1");
    CHECK(goes_to("10.10.0.1") == "198.51.100.8");
    run("neigh del 10.9.0.2 dev gre1");
    CHECK(goes_to("10.9.0.2") == "0.0.0.0");
    CHECK(goes_to("10.10.0.1") == "10.9.0.2");
    // IPv6 inside has neighbours, too.
    run("addr add 2001:db8:9::1/64 dev gre1");
    run("neigh add 2001:db8:9::2 lladdr 198.51.100.9 dev gre1");
    CHECK(goes_to("2001:db8:9::2") == "198.51.100.9");
    // ipip has no link header that could say it.
    run("link add ip1 type ipip local 192.0.2.1");
    run("link set ip1 up");
    run("addr add 10.8.0.1/24 dev ip1");
    run("neigh add 10.8.0.2 lladdr 198.51.100.7 dev ip1");
    CHECK(goes_to("10.8.0.2") == "10.8.0.2");
    refused("neigh add 192.0.2.9 lladdr 198.51.100.7 dev port0", 2);
    refused("neigh add 192.0.2.9 lladdr 198.51.100 dev port0", 1);
    run("link add ip6 type ip6tnl local 2001:db8::1 remote 2001:db8::2");
    refused("neigh add 10.7.0.1 lladdr 198.51.100.7 dev ip6", 2);
}

}  // namespace culvert::control::test
