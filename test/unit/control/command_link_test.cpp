// SPDX-License-Identifier: BSD-3-Clause
// Expected strings are what `ip` and `bridge` of iproute2 6.1 print for the same set-up.
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct Lab : CommandFixture {
    Lab() {
        add_port(0);
        run("link add br0 address 02:00:00:00:00:aa type bridge");
        run("link add vx0 address 02:00:00:00:00:bb type vxlan id 42 remote 192.0.2.2 local "
            "192.0.2.1 dev port0 dstport 4789");
    }
};

const std::string kPort0 = "1: port0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue "
                           "state UP mode DEFAULT group default qlen 1000\n"
                           "    link/ether 02:00:00:00:00:10 brd ff:ff:ff:ff:ff:ff\n";

}  // namespace

TEST_CASE_METHOD(Lab, "UI-SHOW-02 link show prints ip's two lines", "[control][command]") {
    CHECK(run("link show port0") == kPort0);
    CHECK(run("ip l sh dev port0") == kPort0);
    CHECK(
        run("link show vx0") == "3: vx0: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN "
                                "mode DEFAULT group default qlen 1000\n"
                                "    link/ether 02:00:00:00:00:bb brd ff:ff:ff:ff:ff:ff\n"
    );
    run("link set vx0 master br0 up");
    CHECK(
        run("link show vx0") == "3: vx0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue "
                                "master br0 state UNKNOWN mode DEFAULT group "
                                "default qlen 1000\n"
                                "    link/ether 02:00:00:00:00:bb brd ff:ff:ff:ff:ff:ff\n"
    );
    core->links().set_carrier(1, false);
    CHECK(run("link show port0")
              .starts_with(
                  "1: port0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN "
              ));
}

TEST_CASE_METHOD(Lab, "link show filters by kind, master and state", "[control][command]") {
    run("link set vx0 master br0 up");
    auto names = [&](const std::string& line) {
        std::string text;
        for (const auto& link : json(line)) {
            text += link["ifname"].get<std::string>() + " ";
        }
        return text;
    };
    CHECK(names("link show") == "port0 br0 vx0 ");
    CHECK(names("link show type vxlan") == "vx0 ");
    CHECK(names("link show master br0") == "vx0 ");
    CHECK(names("link show up") == "port0 vx0 ");
    CHECK(names("link show down") == "br0 ");
    CHECK(names("link show type dummy").empty());
    CHECK(refused("link show nope", 1) == "Error: link show: Device \"nope\" does not exist");
}

TEST_CASE_METHOD(Lab, "UI-SHOW-05 link show -d prints the vxlan options", "[control][command]") {
    CHECK(
        run("-d link show vx0") == "3: vx0: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state "
                                   "DOWN mode DEFAULT group default qlen 1000\n"
                                   "    link/ether 02:00:00:00:00:bb brd ff:ff:ff:ff:ff:ff "
                                   "promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 \n"
                                   "    vxlan id 42 remote 192.0.2.2 local 192.0.2.1 dev port0 "
                                   "srcport 0 0 dstport 4789 ttl auto ageing 300 \n"
    );
    run("link add vx1 type vxlan id 43 dstport 4790 ttl 5 tos inherit df set nolearning noudpcsum "
        "srcport 100 200 ageing 10 "
        "maxaddress 5 local 192.0.2.1");
    CHECK(
        run("-d link show vx1")
            .find("    vxlan id 43 local 192.0.2.1 srcport 100 200 dstport 4790 tos inherit ttl 5 "
                  "df set ageing 10 maxaddr 5 "
                  "nolearning noudp_csum \n") != std::string::npos
    );
    run("link add vx2 type vxlan id 44 tos 10 ttl inherit df inherit");
    CHECK(
        run("-d link show vx2")
            .find("    vxlan id 44 srcport 0 0 dstport 8472 tos 0x10 ttl inherit df inherit ageing "
                  "300 \n") != std::string::npos
    );
}

TEST_CASE_METHOD(
    Lab, "UI-SHOW-10 link show -j has iproute2's keys in its order", "[control][command]"
) {
    run("link set vx0 master br0 up");
    CHECK(
        json("link show vx0").dump() ==
        R"([{"ifindex":3,"ifname":"vx0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"qdisc":"noqueue",)"
        R"("master":"br0","operstate":"UNKNOWN","linkmode":"DEFAULT","group":"default","txqlen":1000,"link_type":"ether",)"
        R"("address":"02:00:00:00:00:bb","broadcast":"ff:ff:ff:ff:ff:ff"}])"
    );
    CHECK(json("link show port0")[0]["parentdev"] == "net_test0");
    auto stats = json("-s -s link show vx0")[0]["stats64"];
    CHECK(
        stats["rx"].dump() ==
        R"({"bytes":0,"packets":0,"errors":0,"dropped":0,"over_errors":0,"multicast":0,"length_errors":0,"crc_errors":0,)"
        R"("frame_errors":0,"fifo_errors":0,"missed_errors":0})"
    );
    CHECK(stats["tx"].contains("heartbeat_errors"));
    CHECK_FALSE(json("-s link show vx0")[0]["stats64"]["rx"].contains("crc_errors"));
}

TEST_CASE_METHOD(
    Lab, "UI-SHOW-06 link show -j -d has the vxlan options under linkinfo", "[control][command]"
) {
    auto info = json("-d link show vx0")[0]["linkinfo"];
    CHECK(info["info_kind"] == "vxlan");
    CHECK(
        info["info_data"].dump() ==
        R"({"id":42,"remote":"192.0.2.2","local":"192.0.2.1","link":"port0","port_range":{"low":0,"high":0},"port":4789,)"
        R"("ttl":0,"df":"unset","ageing":300,"learning":true,"proxy":false,"rsc":false,"l2miss":false,"l3miss":false,)"
        R"("udp_csum":true,"udp_zero_csum6_tx":false,"udp_zero_csum6_rx":false,"remcsum_tx":false,"remcsum_rx":false,)"
        R"("external":false,"vnifilter":false,"localbypass":true})"
    );
    run("link add vx1 type vxlan id 43 tos inherit ttl inherit maxaddress 5");
    auto data = json("-d link show vx1")[0]["linkinfo"]["info_data"];
    CHECK(data["tos"] == "0x1");
    CHECK_FALSE(data.contains("ttl"));
    CHECK(data["limit"] == 5);
    CHECK_FALSE(data.contains("remote"));
    CHECK(json("-d link show br0")[0]["linkinfo"]["info_data"]["ageing_time"] == 30000);
    run("link set vx0 master br0");
    CHECK(json("-d link show vx0")[0]["linkinfo"]["info_slave_kind"] == "bridge");
}

TEST_CASE_METHOD(
    Lab, "UI-SHOW-09 link show -s prints counters in columns that grow", "[control][command]"
) {
    auto& counters = core->worker_counters(0).link(1);
    counters.rx_packets.add(7);
    counters.rx_bytes.add(123456789012);
    counters.tx_packets.add(3);
    CHECK(
        run("-s link show port0") ==
        kPort0 + "    RX:    bytes packets errors dropped  missed   mcast           \n"
                 "    123456789012       7      0       0       0       0 \n"
                 "    TX:    bytes packets errors dropped carrier collsns           \n"
                 "               0       3      0       0       0       0 \n"
    );
    CHECK(
        run("-s -s link show br0") ==
        "2: br0: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group "
        "default qlen 1000\n"
        "    link/ether 02:00:00:00:00:aa brd ff:ff:ff:ff:ff:ff\n"
        "    RX:  bytes packets errors dropped  missed   mcast           \n"
        "             0       0      0       0       0       0 \n"
        "    RX errors:  length    crc   frame    fifo overrun\n"
        "                     0      0       0       0       0 \n"
        "    TX:  bytes packets errors dropped carrier collsns           \n"
        "             0       0      0       0       0       0 \n"
        "    TX errors: aborted   fifo  window heartbt transns\n"
        "                     0      0       0       0       0 \n"
    );
}

TEST_CASE_METHOD(Lab, "link set changes links, and says why not", "[control][command]") {
    run("link set dev vx0 mtu 1400 address 02:00:00:00:00:cc up");
    CHECK(record(3).mtu == 1400);
    CHECK(record(3).mac.to_string() == "02:00:00:00:00:cc");
    CHECK(record(3).admin_up);
    run("link set vx0 down");
    run("link set vx0 name blue");
    CHECK(record(3).name == "blue");
    run("link set blue type vxlan ttl 9 nolearning");
    CHECK(record(3).vxlan.ttl == 9);
    CHECK_FALSE(record(3).vxlan.learning);
    run("link set blue master br0");
    CHECK(record(3).master == 2);
    run("link set blue nomaster");
    CHECK(record(3).master == kNoLink);
    CHECK(
        refused("link set blue up down", 1) ==
        "Error: link set blue: either \"up\" or \"down\", not both"
    );
    CHECK(
        refused("link set blue master br0 nomaster", 1) ==
        "Error: link set blue: either \"master\" or \"nomaster\", not both"
    );
    CHECK(refused("link set nope up", 1) == "Error: link set: Cannot find device \"nope\"");
    CHECK(
        refused("link set blue type bridge ageing_time 5", 2) ==
        "Error: link set blue: it is no bridge link (EOPNOTSUPP)"
    );
    CHECK(refused("link set blue mtu 10", 2).ends_with("(EINVAL)"));
}

TEST_CASE_METHOD(Lab, "link add and del refuse by name and errno", "[control][command]") {
    CHECK(refused("link add vx0 type dummy", 2).ends_with("(EEXIST)"));
    CHECK(refused("link add vx0 type dummy", 2).starts_with("Error: link add vx0: "));
    CHECK(
        refused("link add vx9 type vxlan dstport 4789", 1) ==
        "Error: link add vx9: vxlan: missing virtual network identifier"
    );
    CHECK(
        refused("link add vx9 type vxlan id 1 proxy", 2) ==
        "Error: link add vx9: proxy is not supported yet (EOPNOTSUPP)"
    );
    CHECK(
        refused("link add vx9 type frob", 2) ==
        "Error: link add vx9: Unknown device type \"frob\"; there is: vxlan, ipip, gre, gretap, "
        "sit, ip6tnl, ip6gre, ip6gretap, "
        "bridge, vlan, vrf, dummy "
        "(EOPNOTSUPP)"
    );
    CHECK(
        refused("link add vx9", 1) ==
        "Error: link add vx9: Not enough information: \"type\" argument is required"
    );
    CHECK(refused("link add averyveryverylongname type dummy", 2).ends_with("(EINVAL)"));
    run("link del vx0");
    CHECK(core->links().find("vx0") == nullptr);
    CHECK(refused("link del port0", 2).ends_with("(EOPNOTSUPP)"));
    CHECK(refused("link del nope", 1) == "Error: link del: Cannot find device \"nope\"");
}

TEST_CASE_METHOD(Lab, "bridge link shows and sets a port's flags", "[control][command]") {
    CHECK(run("bridge link").empty());
    CHECK(
        refused("bridge link set dev vx0 learning off", 2) ==
        "Error: bridge link set dev vx0: it is in no bridge (EOPNOTSUPP)"
    );
    run("link set vx0 master br0 up");
    run("bridge link set dev vx0 learning off flood off hairpin on isolated on neigh_suppress off");
    CHECK_FALSE(record(3).bridge_port.learning);
    CHECK(record(3).bridge_port.hairpin);
    CHECK(
        run("-d bridge link show") == "3: vx0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 master "
                                      "br0 state forwarding priority 32 cost 2 \n"
                                      "    hairpin on learning off flood off mcast_flood on "
                                      "bcast_flood on neigh_suppress off isolated on \n"
    );
    auto port = json("-d bridge link show dev vx0")[0];
    CHECK(port["state"] == "forwarding");
    CHECK(port["learning"] == false);
    CHECK(port["isolated"] == true);
}

TEST_CASE_METHOD(Lab, "addr add, show, del and flush", "[control][command]") {
    run("ip addr add 192.0.2.1/24 brd + dev port0");
    run("ip a a 192.0.2.9/24 dev port0");
    run("addr add 10.0.0.1 dev port0 noprefixroute");
    CHECK(
        run("addr show dev port0") == "1: port0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc "
                                      "noqueue state UP group default qlen 1000\n"
                                      "    link/ether 02:00:00:00:00:10 brd ff:ff:ff:ff:ff:ff\n"
                                      "    inet 192.0.2.1/24 brd 192.0.2.255 scope global port0\n"
                                      "       valid_lft forever preferred_lft forever\n"
                                      "    inet 192.0.2.9/24 scope global secondary port0\n"
                                      "       valid_lft forever preferred_lft forever\n"
                                      "    inet 10.0.0.1/32 scope global noprefixroute port0\n"
                                      "       valid_lft forever preferred_lft forever\n"
                                      "    inet6 fe80::ff:fe00:10/64 scope link tentative \n"
                                      "       valid_lft forever preferred_lft forever\n"
    );
    auto link = json("addr show dev port0")[0];
    CHECK_FALSE(link.contains("linkmode"));
    CHECK(
        link["addr_info"][0].dump() ==
        R"({"family":"inet","local":"192.0.2.1","prefixlen":24,"broadcast":"192.0.2.255","scope":"global","label":"port0",)"
        R"("valid_life_time":4294967295,"preferred_life_time":4294967295})"
    );
    CHECK(link["addr_info"][1]["secondary"] == true);
    CHECK(json("-4 addr show").size() == 1);
    CHECK(json("-6 addr show")[0]["addr_info"].size() == 1);
    CHECK(run("-4 addr show").find("link/ether") == std::string::npos);

    CHECK(refused("addr add 192.0.2.1/24 dev port0", 2)
              .starts_with("Error: addr add 192.0.2.1/24 dev port0: "));
    CHECK(refused("addr add 192.0.2.1/24 dev port0", 2).ends_with("(EEXIST)"));
    CHECK(refused("addr del 192.0.2.77/24 dev port0", 2).ends_with("(EADDRNOTAVAIL)"));
    run("addr replace 192.0.2.1/24 dev port0");
    run("addr del 192.0.2.9/24 dev port0");
    CHECK(run("-4 -s addr flush dev port0") == "2 addresses deleted\n");
    CHECK(run("-s addr flush dev port0") == "1 addresses deleted\n");
    CHECK(run("-s addr flush port0") == "Nothing to flush.\n");
}

}  // namespace culvert::control::test
