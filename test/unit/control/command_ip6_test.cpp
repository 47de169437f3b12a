// SPDX-License-Identifier: BSD-3-Clause
// IPv6 in addr, route and neigh. Expected strings are what `ip` of iproute2 6.1 prints for the same
// set-up.
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct Ip6Lab : CommandFixture {
    Ip6Lab() {
        add_port(0);
        run("addr add 2001:db8::1/64 dev port0 nodad");
    }
};

}  // namespace

TEST_CASE_METHOD(Ip6Lab, "addr: IPv6 addresses with their flags", "[control][command]") {
    run("addr add 10.0.0.1/24 dev port0");
    run("ip -6 addr add 2001:db8::2/64 dev port0");
    CHECK(
        run("-6 addr show dev port0") ==
        "1: port0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group "
        "default qlen 1000\n"
        "    inet6 2001:db8::2/64 scope global tentative \n"
        "       valid_lft forever preferred_lft forever\n"
        "    inet6 2001:db8::1/64 scope global nodad \n"
        "       valid_lft forever preferred_lft forever\n"
        "    inet6 fe80::ff:fe00:10/64 scope link tentative \n"
        "       valid_lft forever preferred_lft forever\n"
    );
    const auto info = json("addr show dev port0")[0]["addr_info"];
    REQUIRE(info.size() == 4);
    CHECK(info[0]["family"] == "inet");
    CHECK(
        info[2].dump() ==
        R"({"family":"inet6","local":"2001:db8::1","prefixlen":64,"scope":"global","nodad":true,)"
        R"("valid_life_time":4294967295,"preferred_life_time":4294967295})"
    );
    CHECK(refused("addr add 2001:db8::1/48 dev port0", 2).ends_with("(EEXIST)"));
    CHECK(refused("addr add ff02::1/64 dev port0", 2).ends_with("(EADDRNOTAVAIL)"));
    CHECK(refused("addr add 10.0.0.7/24 dev port0 nodad", 2).ends_with("(EINVAL)"));
    run("addr del 2001:db8::1/64 dev port0");
    CHECK(refused("addr del 2001:db8::1/64 dev port0", 2).ends_with("(EADDRNOTAVAIL)"));
    CHECK(run("-6 -s addr flush dev port0") == "2 addresses deleted\n");
    CHECK(json("addr show dev port0")[0]["addr_info"].size() == 1);
}

TEST_CASE_METHOD(Ip6Lab, "route: IPv6 as ip prints it", "[control][command]") {
    run("-6 route add default via fe80::9 dev port0");
    run("route add 2001:db8:5::/48 via 2001:db8::2 mtu 1400");
    run("-6 route add unreachable 2001:db8:7::/48");
    run("route add 2001:db8:8::/48 via inet6 2001:db8::3 dev port0 onlink pref medium");
    run("route add 2001:db8:8:1::/64 dev port0 proto static");
    CHECK(
        run("-6 route show") ==
        "2001:db8::/64 dev port0 proto kernel metric 256 pref medium\n"
        "2001:db8:5::/48 via 2001:db8::2 dev port0 metric 1024 mtu 1400 pref medium\n"
        "unreachable 2001:db8:7::/48 dev lo metric 1024 pref medium\n"
        "2001:db8:8:1::/64 dev port0 proto static metric 1024 pref medium\n"
        "2001:db8:8::/48 via 2001:db8::3 dev port0 metric 1024 onlink pref medium\n"
        "fe80::/64 dev port0 proto kernel metric 256 pref medium\n"
        "default via fe80::9 dev port0 metric 1024 pref medium\n"
    );
    CHECK(
        run("-6 route show table local") ==
        "local 2001:db8::1 dev port0 proto kernel metric 0 pref medium\n"
    );
    CHECK(run("route show").empty());
    CHECK(
        run("-6 -d route show default") ==
        "unicast default via fe80::9 dev port0 proto boot scope global metric 1024 pref medium\n"
    );
    CHECK(
        json("-6 route show 2001:db8:5::/48")[0].dump() ==
        R"({"dst":"2001:db8:5::/48","gateway":"2001:db8::2","dev":"port0","metric":1024,"flags":[],)"
        R"("metrics":[{"mtu":1400}],"pref":"medium"})"
    );
    CHECK(
        run("route get 2001:db8:5::1") ==
        "2001:db8:5::1 from :: via 2001:db8::2 dev port0 src 2001:db8::1 metric 1024 mtu 1400 "
        "pref medium\n"
    );
    CHECK(
        run("route get 2001:db8::77") ==
        "2001:db8::77 from :: dev port0 proto kernel src 2001:db8::1 metric 256 pref medium\n"
    );
    CHECK(refused("route get 2001:db8:7::1", 2).ends_with("(EHOSTUNREACH)"));
    CHECK(
        refused("-6 route add default via fe80::9", 2).find("Egress device not specified") !=
        std::string::npos
    );
    CHECK(refused("-6 route add default via fe80::9 dev port0", 2).ends_with("(EEXIST)"));
    CHECK(refused("-6 route del 2001:db8:77::/48", 2).ends_with("(ESRCH)"));
    run("-6 route del default via fe80::9");
    run("-6 route del unreachable 2001:db8:7::/48");
}

TEST_CASE_METHOD(Ip6Lab, "neigh: IPv6 neighbours", "[control][command]") {
    run("neigh add 2001:db8::5 lladdr 02:00:00:00:00:05 dev port0 router");
    run("neigh add 192.0.2.5 lladdr 02:00:00:00:00:06 dev port0");
    CHECK(
        run("-6 neigh show") == "2001:db8::5 dev port0 lladdr 02:00:00:00:00:05 router PERMANENT \n"
    );
    CHECK(run("-4 neigh show") == "192.0.2.5 dev port0 lladdr 02:00:00:00:00:06 PERMANENT \n");
    CHECK(json("neigh show").size() == 2);
    run("neigh del 2001:db8::5 dev port0");
    CHECK(run("-6 neigh show").empty());
}

}  // namespace culvert::control::test
