// SPDX-License-Identifier: BSD-3-Clause
// Expected strings are what `ip` of iproute2 6.1 prints for the same set-up.
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct RouteLab : CommandFixture {
    RouteLab() {
        add_port(0);
        run("addr add 192.0.2.1/24 dev port0");
    }
};

struct RoutesLab : RouteLab {
    RoutesLab() {
        run("ip route add 198.51.100.0/24 via 192.0.2.2");
        run("ip route add 198.51.101.0/24 via 192.0.2.2 metric 5 mtu 1400 src 192.0.2.1");
        run("ip route add 198.51.102.0/24 via 192.0.2.2 mtu lock 1300 proto static");
        run("ip route add blackhole 198.51.103.0/24");
        run("ip route add unreachable 198.51.104.0/24 metric 7");
        run("ip route add prohibit 198.51.105.0/24");
        run("ip route add default via 203.0.113.1 dev port0 onlink");
        run("ip route add 198.51.106.0/24 dev port0");
    }
};

}  // namespace

TEST_CASE_METHOD(RoutesLab, "route show prints ip's lines", "[control][command]") {
    CHECK(
        run("route show") ==
        "default via 203.0.113.1 dev port0 onlink \n"
        "192.0.2.0/24 dev port0 proto kernel scope link src 192.0.2.1 \n"
        "198.51.100.0/24 via 192.0.2.2 dev port0 \n"
        "198.51.101.0/24 via 192.0.2.2 dev port0 src 192.0.2.1 metric 5 mtu 1400 \n"
        "198.51.102.0/24 via 192.0.2.2 dev port0 proto static mtu lock 1300 \n"
        "blackhole 198.51.103.0/24 \n"
        "unreachable 198.51.104.0/24 metric 7 \n"
        "prohibit 198.51.105.0/24 \n"
        "198.51.106.0/24 dev port0 scope link \n"
    );
    CHECK(
        run("ip r sh dev port0 proto static") ==
        "198.51.102.0/24 via 192.0.2.2 proto static mtu lock 1300 \n"
    );
    CHECK(
        run("route show table local") ==
        "local 192.0.2.1 dev port0 proto kernel scope host src 192.0.2.1 \n"
        "broadcast 192.0.2.255 dev port0 proto kernel scope link src 192.0.2.1 \n"
    );
    CHECK(run("route show table all")
              .ends_with(
                  "198.51.106.0/24 dev port0 scope link \n"
                  "local 192.0.2.1 dev port0 table local proto kernel scope host src 192.0.2.1 \n"
                  "broadcast 192.0.2.255 dev port0 table local proto kernel scope link src "
                  "192.0.2.1 \n"
              ));
    CHECK(
        run("-d route show 198.51.100.0/24") ==
        "unicast 198.51.100.0/24 via 192.0.2.2 dev port0 proto boot scope global \n"
    );
    CHECK(
        run("-d route show exact 198.51.103.0/24") ==
        "blackhole 198.51.103.0/24 proto boot scope global \n"
    );
    CHECK(
        run("route show root 198.51.104.0/23") ==
        "unreachable 198.51.104.0/24 metric 7 \nprohibit 198.51.105.0/24 \n"
    );
    CHECK(
        run("route show match 198.51.105.9") ==
        "default via 203.0.113.1 dev port0 onlink \nprohibit 198.51.105.0/24 \n"
    );
    CHECK(run("-6 route show") == "fe80::/64 dev port0 proto kernel metric 256 pref medium\n");
}

TEST_CASE_METHOD(RoutesLab, "route show -j has ip's keys", "[control][command]") {
    CHECK(
        json("route show 198.51.101.0/24").dump() ==
        R"([{"dst":"198.51.101.0/24","gateway":"192.0.2.2","dev":"port0","prefsrc":"192.0.2.1","metric":5,"flags":[],)"
        R"("metrics":[{"mtu":1400}]}])"
    );
    CHECK(
        json("route show 192.0.2.0/24").dump() ==
        R"([{"dst":"192.0.2.0/24","dev":"port0","protocol":"kernel","scope":"link","prefsrc":"192.0.2.1","flags":[]}])"
    );
    CHECK(
        json("route show default").dump() ==
        R"([{"dst":"default","gateway":"203.0.113.1","dev":"port0","flags":["onlink"]}])"
    );
    CHECK(
        json("route show 198.51.103.0/24").dump() ==
        R"([{"type":"blackhole","dst":"198.51.103.0/24","flags":[]}])"
    );
    CHECK(
        json("route show table local")[0].dump() ==
        R"({"type":"local","dst":"192.0.2.1","dev":"port0","protocol":"kernel","scope":"host","prefsrc":"192.0.2.1","flags":[]})"
    );
}

TEST_CASE_METHOD(RoutesLab, "route get answers what the dataplane does", "[control][command]") {
    CHECK(
        run("route get 198.51.100.7") ==
        "198.51.100.7 via 192.0.2.2 dev port0 src 192.0.2.1 uid 0 \n    cache \n"
    );
    CHECK(
        json("route get 198.51.100.7").dump() ==
        R"([{"dst":"198.51.100.7","gateway":"192.0.2.2","dev":"port0","prefsrc":"192.0.2.1","flags":[],"uid":0,"cache":[]}])"
    );
    CHECK(
        run("route get 192.0.2.1") ==
        "local 192.0.2.1 dev port0 src 192.0.2.1 uid 0 \n    cache <local> \n"
    );
    CHECK(
        run("route get 192.0.2.255") ==
        "broadcast 192.0.2.255 dev port0 src 192.0.2.1 uid 0 \n    cache <local,brd> \n"
    );
    CHECK(run("route get 198.51.101.5").ends_with("cache mtu 1400 \n"));
    CHECK(run("route get 198.51.102.5").ends_with("cache mtu lock 1300 \n"));
    CHECK(
        run("route get 198.51.106.1 from 192.0.2.1") ==
        "198.51.106.1 from 192.0.2.1 dev port0 uid 0 \n    cache \n"
    );
    CHECK(refused("route get 198.51.103.1", 2).ends_with("(EINVAL)"));
    CHECK(
        refused("route get 198.51.104.1", 2) ==
        "Error: route get 198.51.104.1: No route to host (EHOSTUNREACH)"
    );
    CHECK(
        refused("route get 198.51.105.1", 2) ==
        "Error: route get 198.51.105.1: Permission denied (EACCES)"
    );
    CHECK(refused("route get 198.51.100.1 from 9.9.9.9", 2)
              .ends_with("Network is unreachable (ENETUNREACH)"));

    run("neigh replace 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    CHECK(run("route get 198.51.100.7")
              .ends_with("    cache \n    header 0200000001010200000000100800\n"));
    CHECK(json("route get 198.51.100.7")[0]["header"] == "0200000001010200000000100800");
}

TEST_CASE_METHOD(RouteLab, "route verbs refuse as the kernel does", "[control][command]") {
    run("route add 198.51.100.0/24 via 192.0.2.2");
    CHECK(refused("route add 198.51.100.0/24 via 192.0.2.3", 2)
              .starts_with("Error: route add 198.51.100.0/24: "));
    CHECK(refused("route add 198.51.100.0/24 via 192.0.2.3", 2).ends_with("(EEXIST)"));
    CHECK(refused("route change 198.51.200.0/24 via 192.0.2.3", 2).ends_with("(ENOENT)"));
    CHECK(refused("route del 198.51.200.0/24", 2).ends_with("(ESRCH)"));
    CHECK(
        refused("route add 198.51.200.1/24 via 192.0.2.2", 2) ==
        "Error: route add 198.51.200.1/24: Invalid prefix for given prefix length (EINVAL)"
    );
    CHECK(
        refused("route add 198.51.200.0/24 via 8.8.8.8", 2).find("Nexthop has invalid gateway") !=
        std::string::npos
    );
    CHECK(refused("route add 198.51.200.0/24", 2).ends_with("it needs \"via\" or \"dev\" (ENODEV)")
    );
    CHECK(refused("route add blackhole 198.51.200.0/24 dev port0", 2).ends_with("(EINVAL)"));
    CHECK(refused("route add blackhole prohibit 198.51.200.0/24", 1)
              .ends_with("more than one route type"));
    CHECK(refused("route add 2001:db8::/64 via 192.0.2.2", 2)
              .ends_with("inet6 address is expected rather than \"192.0.2.2\" (EINVAL)"));
    run("route replace 198.51.100.0/24 via 192.0.2.9");
    CHECK(run("route show 198.51.100.0/24") == "198.51.100.0/24 via 192.0.2.9 dev port0 \n");
    run("route del 198.51.100.0/24 via 192.0.2.9");
    CHECK(run("route show 198.51.100.0/24").empty());
}

TEST_CASE_METHOD(
    RoutesLab, "route flush deletes what fits and nothing else", "[control][command]"
) {
    CHECK(refused("route flush", 1) == "Error: route flush: \"route flush\" requires arguments");
    CHECK(run("-s route flush root 198.51.104.0/23") == "2 routes deleted\n");
    CHECK(run("-s route flush 198.51.106.0/24") == "1 routes deleted\n");
    CHECK(run("-s route flush 198.51.106.0/24") == "Nothing to flush.\n");
    CHECK(json("route show").size() == 6);
    CHECK(json("route show table local").size() == 2);
}

TEST_CASE_METHOD(RouteLab, "UI-NEI-03 neigh show prints ip's lines", "[control][command]") {
    run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    run("ip neigh add 192.0.2.3 lladdr 02:00:00:00:01:02 dev port0 nud reachable");
    run("ip neigh add 192.0.2.4 lladdr 02:00:00:00:01:03 dev port0 nud stale router");
    run("ip neigh add 192.0.2.5 lladdr 02:00:00:00:01:04 dev port0 nud noarp");
    CHECK(
        run("neigh show") == "192.0.2.2 dev port0 lladdr 02:00:00:00:01:01 PERMANENT \n"
                             "192.0.2.3 dev port0 lladdr 02:00:00:00:01:02 REACHABLE \n"
                             "192.0.2.4 dev port0 lladdr 02:00:00:00:01:03 router STALE \n"
    );
    CHECK(
        run("neigh show dev port0 nud stale") ==
        "192.0.2.4 lladdr 02:00:00:00:01:03 router STALE \n"
    );
    CHECK(
        run("neigh show 192.0.2.2") == "192.0.2.2 dev port0 lladdr 02:00:00:00:01:01 PERMANENT \n"
    );
    CHECK(json("neigh show nud all").size() == 4);
    CHECK(
        json("neigh show 192.0.2.4").dump() ==
        R"([{"dst":"192.0.2.4","dev":"port0","lladdr":"02:00:00:00:01:03","router":null,"state":["STALE"]}])"
    );
    core->set_now_ms(3000);
    CHECK(
        run("-s neigh show 192.0.2.2") ==
        "192.0.2.2 dev port0 lladdr 02:00:00:00:01:01  used 2/2/2probes 0 PERMANENT \n"
    );
    auto statistics = json("-s neigh show 192.0.2.2")[0];
    CHECK(statistics["updated"] == 2);
    CHECK(statistics["probes"] == 0);
}

TEST_CASE_METHOD(RouteLab, "neigh verbs refuse as the kernel does", "[control][command]") {
    run("neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    CHECK(refused("neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0", 2)
              .starts_with("Error: neigh add 192.0.2.2 dev port0: "));
    CHECK(refused("neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0", 2).ends_with("(EEXIST)")
    );
    CHECK(refused("neigh change 192.0.2.9 lladdr 02:00:00:00:01:01 dev port0", 2)
              .ends_with("(ENOENT)"));
    CHECK(refused("neigh del 192.0.2.9 dev port0", 2).ends_with("(ENOENT)"));
    CHECK(refused("neigh add 192.0.2.9 lladdr 02:00 dev port0", 1)
              .ends_with("Invalid mac address \"02:00\""));
    CHECK(refused("neigh add 192.0.2.9 lladdr 02:00:00:00:01:01", 1)
              .ends_with("\"dev\" argument is required"));
    run("neigh replace 192.0.2.2 lladdr 02:00:00:00:01:09 dev port0");
    run("neigh change 192.0.2.2 lladdr 02:00:00:00:01:0a dev port0 nud reachable");
    CHECK(run("neigh show") == "192.0.2.2 dev port0 lladdr 02:00:00:00:01:0a REACHABLE \n");
    run("neigh del 192.0.2.2 dev port0");
    CHECK(run("neigh show").empty());
}

TEST_CASE_METHOD(
    RouteLab, "neigh add takes over what only a tunnel asked for", "[control][command]"
) {
    run("link add vx0 type vxlan id 1 remote 192.0.2.2");
    run("link set vx0 up");
    run("neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    CHECK(
        run("neigh show 192.0.2.2") == "192.0.2.2 dev port0 lladdr 02:00:00:00:01:01 PERMANENT \n"
    );
    CHECK(json("show tunnels")[0]["state"] == "ready");
}

TEST_CASE_METHOD(RouteLab, "neigh flush leaves permanent and noarp ones", "[control][command]") {
    run("neigh add 192.0.2.2 lladdr 02:00:00:00:01:01 dev port0");
    run("neigh add 192.0.2.3 lladdr 02:00:00:00:01:02 dev port0 nud reachable");
    run("neigh add 192.0.2.4 lladdr 02:00:00:00:01:03 dev port0 nud stale");
    run("route add 198.51.100.0/24 via 192.0.2.4");
    CHECK(refused("neigh flush", 1) == "Error: neigh flush: \"neigh flush\" requires arguments");
    run("neigh flush dev port0");
    CHECK(run("neigh show") == "192.0.2.2 dev port0 lladdr 02:00:00:00:01:01 PERMANENT \n");
    CHECK(run("-s neigh flush dev port0 nud permanent") == "1 entries deleted\n");
    CHECK(run("-s neigh flush dev port0") == "Nothing to flush.\n");
}

}  // namespace culvert::control::test
