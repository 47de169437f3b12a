// SPDX-License-Identifier: BSD-3-Clause
// Expected strings are what `ip` of iproute2 6.1 printed for the same set-up over two veths.
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct NextHopsLab : CommandFixture {
    NextHopsLab() {
        add_port(0);
        add_port(1);
        run("addr add 10.0.0.1/24 dev port0");
        run("addr add 10.0.1.1/24 dev port1");
        run("addr add 2001:db8::1/64 dev port0 nodad");
        run("addr add 2001:db8:1::1/64 dev port1 nodad");
    }
};

}  // namespace

TEST_CASE_METHOD(NextHopsLab, "UI-RT-03 several next hops as ip shows them", "[control][command]") {
    run("ip route add 20.0.0.0/8 nexthop via 10.0.0.2 dev port0 weight 3 "
        "nexthop via 10.0.1.2 dev port1 weight 1 onlink");
    run("ip route add 22.0.0.0/8 metric 5 mtu 1400 nexthop via inet6 2001:db8::2 dev port0 "
        "nexthop dev port1");
    CHECK(
        run("route show root 16.0.0.0/4") == "20.0.0.0/8 \n"
                                             "\tnexthop via 10.0.0.2 dev port0 weight 3 \n"
                                             "\tnexthop via 10.0.1.2 dev port1 weight 1 onlink \n"
                                             "22.0.0.0/8 metric 5 mtu 1400 \n"
                                             "\tnexthop via inet6 2001:db8::2 dev port0 weight 1 \n"
                                             "\tnexthop dev port1 weight 1 \n"
    );
    CHECK(
        run("-d route show 20.0.0.0/8") == "unicast 20.0.0.0/8 proto boot scope global \n"
                                           "\tnexthop via 10.0.0.2 dev port0 weight 3 \n"
                                           "\tnexthop via 10.0.1.2 dev port1 weight 1 onlink \n"
    );
    CHECK(
        json("route show 20.0.0.0/8").dump() ==
        R"([{"dst":"20.0.0.0/8","flags":[],"nexthops":[)"
        R"({"gateway":"10.0.0.2","dev":"port0","weight":3,"flags":[]},)"
        R"({"gateway":"10.0.1.2","dev":"port1","weight":1,"flags":["onlink"]}]}])"
    );
    CHECK(
        json("route show 22.0.0.0/8").dump() ==
        R"([{"dst":"22.0.0.0/8","metric":5,"flags":[],"metrics":[{"mtu":1400}],"nexthops":[)"
        R"({"via":{"family":"inet6","host":"2001:db8::2"},"dev":"port0","weight":1,"flags":[]},)"
        R"({"dev":"port1","weight":1,"flags":[]}]}])"
    );
    run("link set port1 down");
    CHECK(
        run("route show 20.0.0.0/8") ==
        "20.0.0.0/8 \n"
        "\tnexthop via 10.0.0.2 dev port0 weight 3 \n"
        "\tnexthop via 10.0.1.2 dev port1 weight 1 dead onlink linkdown \n"
    );
    CHECK(
        json("route show 20.0.0.0/8")[0]["nexthops"][1]["flags"].dump() ==
        R"(["dead","onlink","linkdown"])"
    );
    CHECK(run("route get 20.1.1.1").starts_with("20.1.1.1 via 10.0.0.2 dev port0 src 10.0.0.1 "));
    run("link set port1 up");
    CHECK(run("route show dev port1 20.0.0.0/8")
              .ends_with("via 10.0.1.2 dev port1 weight 1 onlink \n"));
    run("route del 20.0.0.0/8 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.1.2 dev port1");
    CHECK(run("route show 20.0.0.0/8").empty());
}

TEST_CASE_METHOD(NextHopsLab, "UI-RT-03 IPv6 with several next hops", "[control][command]") {
    run("ip -6 route add 2001:db8:20::/64 nexthop via 2001:db8::2 dev port0 weight 3 "
        "nexthop via 2001:db8:1::2 weight 256");
    CHECK(
        run("-6 route show 2001:db8:20::/64") ==
        "2001:db8:20::/64 metric 1024 pref medium\n"
        "\tnexthop via 2001:db8::2 dev port0 weight 3 \n"
        "\tnexthop via 2001:db8:1::2 dev port1 weight 256 \n"
    );
    run("ip -6 route add 2001:db8:21::/64 via 2001:db8::2 dev port0");
    run("ip -6 route append 2001:db8:21::/64 via 2001:db8:1::2 dev port1");
    CHECK(
        json("-6 route show 2001:db8:21::/64").dump() ==
        R"([{"dst":"2001:db8:21::/64","metric":1024,"flags":[],"pref":"medium","nexthops":[)"
        R"({"gateway":"2001:db8::2","dev":"port0","weight":1,"flags":[]},)"
        R"({"gateway":"2001:db8:1::2","dev":"port1","weight":1,"flags":[]}]}])"
    );
    run("-6 route del 2001:db8:21::/64 via 2001:db8::2");
    CHECK(
        run("-6 route show 2001:db8:21::/64") ==
        "2001:db8:21::/64 via 2001:db8:1::2 dev port1 metric 1024 pref medium\n"
    );
}

TEST_CASE_METHOD(
    NextHopsLab, "IPO-F2-05 a gateway of the other family as ip shows it", "[control][command]"
) {
    run("ip route add 21.0.0.0/8 via inet6 fe80::1 dev port0");
    CHECK(run("route show 21.0.0.0/8") == "21.0.0.0/8 via inet6 fe80::1 dev port0 \n");
    CHECK(
        json("route show 21.0.0.0/8").dump() ==
        R"([{"dst":"21.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"dev":"port0","flags":[]}])"
    );
    CHECK(
        run("route get 21.1.1.1") ==
        "21.1.1.1 via inet6 fe80::1 dev port0 src 10.0.0.1 uid 0 \n    cache \n"
    );
    CHECK(
        json("route get 21.1.1.1").dump() ==
        R"([{"dst":"21.1.1.1","via":{"family":"inet6","host":"fe80::1"},"dev":"port0",)"
        R"("prefsrc":"10.0.0.1","flags":[],"uid":0,"cache":[]}])"
    );
    run("neigh add fe80::1 lladdr 02:00:00:00:09:09 dev port0");
    CHECK(run("route get 21.1.1.1").ends_with("    header 0200000009090200000000100800\n"));
    CHECK(refused("route add 23.0.0.0/8 via inet6 fe80::1", 2).ends_with("(EINVAL)"));
    CHECK(refused("route add 23.0.0.0/8 via fe80::1 dev port0", 2)
              .ends_with("inet address is expected rather than \"fe80::1\" (EINVAL)"));
    CHECK(refused("-6 route add 2001:db8:23::/64 via inet 10.0.0.2", 2)
              .ends_with("IPv6 does not support RTA_VIA attribute (EINVAL)"));
}

TEST_CASE_METHOD(NextHopsLab, "UI-RT-02 next hops that are refused", "[control][command]") {
    CHECK(refused("route add 23.0.0.0/8 nexthop via 10.0.0.2 dev port0 nexthop via 99.0.0.2", 2)
              .ends_with("(ENETUNREACH)"));
    CHECK(
        refused("route add 23.0.0.0/8 nexthop via 10.0.0.2 nexthop via 10.0.0.3 weight 257", 1)
            .find("weight") != std::string::npos
    );
    CHECK(refused("route add 23.0.0.0/8 nexthop via 10.0.0.2 dev port7 nexthop via 10.0.0.3", 2)
              .ends_with("Cannot find device \"port7\" (ENODEV)"));
    CHECK(
        refused("route add 23.0.0.0/8 nexthop via 10.0.0.2 metric 5", 1)
            .find("\"nexthop\" or end of line is expected instead of \"metric\"") !=
        std::string::npos
    );
    CHECK(refused("route add 23.0.0.0/8 via 10.0.0.2 nexthop via 10.0.0.2 nexthop via 10.0.0.3", 2)
              .ends_with("(EINVAL)"));
    CHECK(refused("route add unreachable 23.0.0.0/8 nexthop via 10.0.0.2", 2).ends_with("(EINVAL)")
    );
    run("route add 23.0.0.0/8 nexthop via 10.0.0.2");
    CHECK(run("route show 23.0.0.0/8") == "23.0.0.0/8 via 10.0.0.2 dev port0 \n");
    run("route prepend 23.0.0.0/8 via 10.0.0.3");
    CHECK(run("route get 23.0.0.1").starts_with("23.0.0.1 via 10.0.0.3 "));
    CHECK(refused("route test 23.0.0.0/8 via 10.0.0.3", 2).ends_with("(EEXIST)"));
    CHECK(refused("route test 24.0.0.0/8 via 10.0.0.3", 2).ends_with("(ENOENT)"));
    run("route add throw 25.0.0.0/8");
    CHECK(run("route show 25.0.0.0/8") == "throw 25.0.0.0/8 \n");
    CHECK(refused("route get 25.0.0.1", 2).ends_with("(ENETUNREACH)"));
}

TEST_CASE_METHOD(
    NextHopsLab, "UI-RT-03 RT-11 a learned path MTU shows with its time", "[control][command]"
) {
    run("route add 20.0.0.0/8 via 10.0.0.2");
    core->set_now_ms(5000);
    core->routing().learn_path_mtu(*net::IpAddress::parse("20.0.0.7"), 1300, 5000);
    core->set_now_ms(7500);
    CHECK(
        run("route get 20.0.0.7") ==
        "20.0.0.7 via 10.0.0.2 dev port0 src 10.0.0.1 uid 0 \n    cache expires 597sec mtu 1300 \n"
    );
    CHECK(json("route get 20.0.0.7")[0]["expires"] == 597);
    CHECK(
        run("route get 20.0.0.8") ==
        "20.0.0.8 via 10.0.0.2 dev port0 src 10.0.0.1 uid 0 \n    cache \n"
    );
}

TEST_CASE_METHOD(NextHopsLab, "RT-01 sources that route get refuses", "[control][command]") {
    run("route add 20.0.0.0/8 via 10.0.0.2");
    for (const char* source : {"224.0.0.1", "255.255.255.255", "0.0.0.9"}) {
        CHECK(refused("route get 20.0.0.1 from " + std::string(source), 2).ends_with("(EINVAL)"));
    }
    CHECK(refused("route get 20.0.0.1 from 10.0.0.9", 2).ends_with("(ENETUNREACH)"));
    CHECK(run("route get 20.0.0.1 from 10.0.1.1").starts_with("20.0.0.1 from 10.0.1.1 via "));
    // What comes in may be from anywhere.
    CHECK(run("route get 20.0.0.1 from 10.0.0.9 iif port1").find("iif port1") != std::string::npos);
}

}  // namespace culvert::control::test
