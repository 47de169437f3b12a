// SPDX-License-Identifier: BSD-3-Clause
// ipip, gre and gretap as commands. Expected strings are what ip(8) of iproute2 6.1 prints for the
// same commands on a 6.1 kernel.
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct Lab : CommandFixture {
    Lab() { add_port(0); }

    const encap::IpTunnelConfig& tunnel(const std::string& name) {
        const LinkRecord* link = core->links().find(name);
        REQUIRE(link != nullptr);
        return link->ip_tunnel;
    }

    // The line of `link show -d` in which a link's own options stand.
    std::string info(const std::string& name) {
        std::string text = run("-d link show " + name);
        text.erase(0, text.find('\n') + 1);
        text.erase(0, text.find('\n') + 1);
        return text;
    }

    Json info_json(const std::string& name) { return json("-d link show " + name)[0]["linkinfo"]; }
};

}  // namespace

TEST_CASE_METHOD(
    Lab,
    "IPIP-CRE-03 TUN-MTU-03 GRETAP-CRE-02 link show of ipip, gre and gretap",
    "[control][command]"
) {
    run("link add t1 type ipip local 192.0.2.1 remote 192.0.2.9 dev port0");
    run("link add g1 type gre local 192.0.2.1");
    run("link add h1 address 02:00:00:00:00:cc type gretap remote 192.0.2.9 key 9");
    auto lines = [&](const std::string& name) {
        std::string text = run("link show " + name);
        return text.substr(text.find(' ') + 1);
    };
    CHECK(
        lines("t1") == "t1@port0: <POINTOPOINT,NOARP> mtu 1480 qdisc noqueue state DOWN mode "
                       "DEFAULT group default qlen 1000\n"
                       "    link/ipip 192.0.2.1 peer 192.0.2.9\n"
    );
    CHECK(
        lines("g1") == "g1@NONE: <NOARP> mtu 1476 qdisc noqueue state DOWN mode DEFAULT group "
                       "default qlen 1000\n"
                       "    link/gre 192.0.2.1 brd 0.0.0.0\n"
    );
    CHECK(
        lines("h1") == "h1@NONE: <BROADCAST,MULTICAST> mtu 1458 qdisc noqueue state DOWN mode "
                       "DEFAULT group default qlen 1000\n"
                       "    link/ether 02:00:00:00:00:cc brd ff:ff:ff:ff:ff:ff\n"
    );
    run("link set g1 up");
    CHECK(lines("g1").starts_with("g1@NONE: <NOARP,UP,LOWER_UP> mtu 1476 qdisc noqueue state "
                                  "UNKNOWN "));
    Json link = json("link show t1")[0];
    link.erase("ifindex");
    CHECK(
        link.dump() ==
        R"({"link":"port0","ifname":"t1","flags":["POINTOPOINT","NOARP"],"mtu":1480,"qdisc":"noqueue",)"
        R"("operstate":"DOWN","linkmode":"DEFAULT","group":"default","txqlen":1000,"link_type":"ipip",)"
        R"("address":"192.0.2.1","link_pointtopoint":true,"broadcast":"192.0.2.9"})"
    );
    link = json("link show g1")[0];
    CHECK(link["link"].is_null());
    CHECK(link["broadcast"] == "0.0.0.0");
    CHECK_FALSE(link.contains("link_pointtopoint"));
    CHECK(json("link show h1")[0]["link_type"] == "ether");
    CHECK(json("link show type gretap").back()["ifname"] == "h1");
}

TEST_CASE_METHOD(Lab, "UI-SHOW-07 link show -d of ipip", "[control][command]") {
    run("link add t1 type ipip local 192.0.2.1 remote 192.0.2.9 ttl 64 tos 10 mode ipip dev port0");
    run("link add t2 type ipip local 192.0.2.1 remote 192.0.2.10 nopmtudisc tos inherit");
    run("link add t3 type ipip remote 192.0.2.11 tos 4 local any");
    CHECK(
        info("t1") ==
        "    ipip ipip remote 192.0.2.9 local 192.0.2.1 dev port0 ttl 64 tos 0x10 pmtudisc \n"
    );
    CHECK(
        info("t2") == "    ipip any remote 192.0.2.10 local 192.0.2.1 ttl inherit tos inherit "
                      "nopmtudisc \n"
    );
    CHECK(info("t3") == "    ipip any remote 192.0.2.11 local any ttl inherit tos 0x4 pmtudisc \n");
    CHECK(
        info_json("t1").dump() ==
        R"({"info_kind":"ipip","info_data":{"proto":"ipip","remote":"192.0.2.9","local":"192.0.2.1",)"
        R"("link":"port0","ttl":64,"tos":"0x10","pmtudisc":true}})"
    );
    CHECK(
        info_json("t2")["info_data"].dump() ==
        R"({"proto":"any","remote":"192.0.2.10","local":"192.0.2.1","ttl":0,"tos":"0x1","pmtudisc":false})"
    );
}

TEST_CASE_METHOD(Lab, "UI-SHOW-08 link show -d of gre and gretap", "[control][command]") {
    run("link add g1 type gre local 192.0.2.1 remote 192.0.2.21 key 7 ttl 9 tos 11 dev port0");
    run("link add g2 type gre local 192.0.2.1 remote 192.0.2.21 ikey 1.2.3.4 okey 0 icsum oseq "
        "nopmtudisc ignore-df ttl inherit tos inherit");
    run("link add h1 type gretap remote 192.0.2.38 local 192.0.2.1 okey 9 csum iseq");
    CHECK(
        info("g1") == "    gre remote 192.0.2.21 local 192.0.2.1 dev port0 ttl 9 tos 0x11 ikey "
                      "0.0.0.7 okey 0.0.0.7 \n"
    );
    CHECK(
        info("g2") == "    gre remote 192.0.2.21 local 192.0.2.1 ttl inherit tos inherit "
                      "nopmtudisc ignore-df ikey 1.2.3.4 okey 0.0.0.0 oseq icsum \n"
    );
    CHECK(
        info("h1") == "    gretap remote 192.0.2.38 local 192.0.2.1 ttl inherit okey 0.0.0.9 iseq "
                      "icsum ocsum \n"
    );
    CHECK(
        info_json("g2").dump() ==
        R"({"info_kind":"gre","info_data":{"remote":"192.0.2.21","local":"192.0.2.1","ttl":0,"tos":"0x1",)"
        R"("pmtudisc":false,"ignore_df":true,"ikey":"1.2.3.4","okey":"0.0.0.0","oseq":true,"icsum":true}})"
    );
    CHECK(
        info_json("h1")["info_data"].dump() ==
        R"({"remote":"192.0.2.38","local":"192.0.2.1","ttl":0,"pmtudisc":true,"okey":"0.0.0.9","iseq":true,)"
        R"("icsum":true,"ocsum":true})"
    );
}

TEST_CASE_METHOD(
    Lab,
    "GRE-CRE-08 GRE-CRE-09 keys, checksums and sequences in the order of the words",
    "[control][command]"
) {
    run("link add g1 type gre remote 192.0.2.21 key 7 noikey csum noocsum seq noiseq");
    CHECK_FALSE(tunnel("g1").in_key.has_value());
    CHECK(tunnel("g1").out_key == 7U);
    CHECK(tunnel("g1").in_checksum);
    CHECK_FALSE(tunnel("g1").out_checksum);
    CHECK_FALSE(tunnel("g1").in_sequence);
    CHECK(tunnel("g1").out_sequence);
    run("link add g2 type gre remote 192.0.2.22 noikey key 0xffffffff");
    CHECK(tunnel("g2").in_key == 0xffffffffU);
    run("link add g3 type gre remote 192.0.2.23 ikey 1.2.3.4 okey 0");
    CHECK(tunnel("g3").in_key == 0x01020304U);
    CHECK(tunnel("g3").out_key == 0U);
    run("link set g3 type gre nokey");
    CHECK_FALSE(tunnel("g3").in_key.has_value());
    CHECK_FALSE(tunnel("g3").out_key.has_value());
    CHECK(
        refused("link add g4 type gre key foo", 1) ==
        "Error: link add g4: invalid value for \"key\": \"foo\"; it should be an unsigned integer"
    );
    CHECK(refused("link add g4 type gre okey 4294967296", 1).find("\"okey\"") != std::string::npos);
    CHECK(
        refused("link add g4 type gre key 1.2.3.4.5", 1) ==
        "Error: link add g4: an IP address is expected rather than \"1.2.3.4.5\""
    );
}

TEST_CASE_METHOD(Lab, "UI-TUN-01 link set type keeps what it does not say", "[control][command]") {
    run("link add g1 type gre local 192.0.2.1 remote 192.0.2.21 key 7 ttl 64 tos 10 csum seq dev "
        "port0 nopmtudisc");
    encap::IpTunnelConfig wanted = tunnel("g1");
    run("link set g1 type gre ttl 9");
    wanted.ttl = 9;
    CHECK(tunnel("g1") == wanted);
    run("link set g1 type gre remote 192.0.2.22 noseq pmtudisc");
    wanted.remote = ip("192.0.2.22");
    wanted.in_sequence = wanted.out_sequence = false;
    wanted.pmtudisc = true;
    CHECK(tunnel("g1") == wanted);
    run("link add t1 type ipip remote 192.0.2.9 mode ipip ttl 5");
    wanted = tunnel("t1");
    run("link set t1 type ipip tos inherit");
    wanted.tos = 1;
    CHECK(tunnel("t1") == wanted);
    CHECK(
        refused("link set t1 type gre ttl 3", 2) ==
        "Error: link set t1: it is no gre link (EOPNOTSUPP)"
    );
}

TEST_CASE_METHOD(Lab, "what ip refuses is refused in its words", "[control][command]") {
    CHECK(
        refused("link add t1 type ipip ttl 5 nopmtudisc", 1) ==
        "Error: link add t1: ttl != 0 and nopmtudisc are incompatible"
    );
    CHECK(
        refused("link add t1 type ipip ttl 300", 1) ==
        "Error: link add: argument \"300\" is wrong: invalid TTL"
    );
    CHECK(
        refused("link add t1 type ipip tos 1ff", 1) ==
        "Error: link add: argument \"1ff\" is wrong: bad TOS value"
    );
    CHECK(
        refused("link add t1 type ipip remote ::1", 1) ==
        "Error: link add: inet address is expected rather than \"::1\""
    );
    CHECK(
        refused("link add t1 type ipip mode foo", 1) ==
        "Error: link add: argument \"foo\" is wrong: Cannot guess tunnel mode."
    );
    CHECK(
        refused("link add t1 type gre remote 224.1.2.3", 1) ==
        "Error: link add t1: A broadcast tunnel requires a source address."
    );
    CHECK(
        refused("link add t1 type ipip key 3", 1).find("\"key\" is unknown") != std::string::npos
    );
    CHECK(refused("link add t1 type ipip fwmark 5", 2).ends_with("(EOPNOTSUPP)"));
    run("link add t2 type ipip remote 192.0.2.9 noencap encap-sport 0 fwmark 0 noencap-csum");
    CHECK(
        refused("link set t2 type ipip ttl 5 nopmtudisc", 1) ==
        "Error: link set t2: ttl != 0 and nopmtudisc are incompatible"
    );
    run("link add h1 type gretap remote any key 8");
    run("link set t2 type ipip nopmtudisc");
    CHECK(
        refused("link set t2 type ipip ttl 5", 1) ==
        "Error: link set t2: ttl != 0 and nopmtudisc are incompatible"
    );
}

TEST_CASE_METHOD(Lab, "UI-TUN-02 tunnel show", "[control][command]") {
    run("tunnel add l1 mode ipip remote 192.0.2.41 local 192.0.2.1 dev port0");
    run("link add t2 type ipip local 192.0.2.1 remote 192.0.2.10 nopmtudisc tos inherit");
    run("tunnel add l3 mode gre remote 192.0.2.42 local 192.0.2.1 key 5 ttl 64 tos 10 csum seq");
    run("ip tunnel add l4 mode gre remote 192.0.2.43 local 192.0.2.1 ikey 5 okey 6 iseq ocsum "
        "nopmtudisc");
    run("link add g5 type gre remote 192.0.2.44 tos 11");
    run("link add h6 type gretap remote 192.0.2.45");
    CHECK(
        run("tunnel show l1") ==
        "l1: ip/ip remote 192.0.2.41 local 192.0.2.1 dev port0 ttl inherit\n"
    );
    CHECK(
        run("tunnel show t2") == "t2: any/ip remote 192.0.2.10 local 192.0.2.1 ttl inherit tos "
                                 "inherit nopmtudisc\n"
    );
    const std::string l3 = "l3: gre/ip remote 192.0.2.42 local 192.0.2.1 ttl 64 tos 0x10 key 5\n"
                           "  Drop packets out of sequence.\n"
                           "  Checksum in received packet is required.\n"
                           "  Sequence packets on output.\n"
                           "  Checksum output packets.\n";
    CHECK(run("tunnel show l3") == l3);
    CHECK(
        run("-s tunnel show l3") == l3 + "RX: Packets    Bytes        Errors CsumErrs OutOfSeq "
                                         "Mcasts\n"
                                         "    0          0            0      0        0        0   "
                                         "    \n"
                                         "TX: Packets    Bytes        Errors DeadLoop NoRoute  "
                                         "NoBufs\n"
                                         "    0          0            0      0        0        0   "
                                         "  \n"
    );
    CHECK(
        run("tunnel list l4") == "l4: gre/ip remote 192.0.2.43 local 192.0.2.1 ttl inherit "
                                 "nopmtudisc ikey 5 okey 6\n"
                                 "  Drop packets out of sequence.\n"
                                 "  Checksum output packets.\n"
    );
    CHECK(
        run("tunnel show g5") ==
        "g5: gre/ip remote 192.0.2.44 local any ttl inherit tos inherit/0x10\n"
    );
    CHECK(run("tunnel show h6").empty());
    CHECK(run("tunnel show nope").empty());
    CHECK(run("tunnel show mode gre remote 192.0.2.44").starts_with("g5: "));
    CHECK(run("tunnel show dev port0").starts_with("l1: "));
    CHECK(json("tunnel").size() >= 5);
    CHECK(
        json("tunnel show l3")[0].dump() ==
        R"({"ifname":"l3","mode":"gre/ip","remote":"192.0.2.42","local":"192.0.2.1","ttl":64,"tos":"0x10","key":5,)"
        R"("flags":["rx_drop_ooseq","rx_csum","tx_seq","tx_csum"]})"
    );
    CHECK(
        json("tunnel show t2")[0].dump() ==
        R"({"ifname":"t2","mode":"any/ip","remote":"192.0.2.10","local":"192.0.2.1","nopmtudisc":null})"
    );
    CHECK(
        json("tunnel show g5")[0].dump() ==
        R"({"ifname":"g5","mode":"gre/ip","remote":"192.0.2.44","local":"0.0.0.0","tos":"0x11","flags":[]})"
    );
}

TEST_CASE_METHOD(Lab, "IPIP-CRE-08 modes of ipip and sit", "[control][command]") {
    run("link add m1 type ipip remote 192.0.2.71 mode mplsip");
    CHECK(tunnel("m1").mode == encap::IpTunnelMode::mplsip);
    run("link add m2 type ipip remote 192.0.2.72");
    CHECK(tunnel("m2").mode == encap::IpTunnelMode::any);
    CHECK(
        refused("link add m3 type ipip remote 192.0.2.73 mode ip6ip", 1) ==
        "Error: link add: argument \"ip6ip\" is wrong: Cannot guess tunnel mode."
    );
    run("link add s1 type sit remote 192.0.2.74 local 192.0.2.1 mode ip6ip ttl 9");
    CHECK(tunnel("s1").mode == encap::IpTunnelMode::ip6ip);
    CHECK(core->links().find("s1")->mtu == 1480);
    CHECK(core->links().find("sit0") != nullptr);
    run("tunnel add s2 mode sit remote 192.0.2.75");
    CHECK(tunnel("s2").mode == encap::IpTunnelMode::ip6ip);
    CHECK(run("tunnel show s2").starts_with("s2: ipv6/ip remote 192.0.2.75 local any"));
    CHECK(run("-d link show s1").find("sit ip6ip remote 192.0.2.74") != std::string::npos);
    CHECK_FALSE(refused("link add s3 type sit remote 192.0.2.74 local 192.0.2.1", 2).empty());
}

TEST_CASE_METHOD(Lab, "UI-TUN-02 tunnel add, change and del", "[control][command]") {
    run("tunnel add l1 mode ipip remote 192.0.2.41 local 192.0.2.1");
    CHECK(tunnel("l1").mode == encap::IpTunnelMode::ipip);
    CHECK(tunnel("l1").pmtudisc);
    run("tunnel change l1 mode ipip remote 192.0.2.61 ttl 9");
    CHECK(tunnel("l1").remote == ip("192.0.2.61"));
    CHECK(tunnel("l1").local == ip("192.0.2.1"));
    run("tunnel change l1 ttl 10");
    CHECK(tunnel("l1").ttl == 10);
    run("tunnel add remote 192.0.2.46 mode gre");
    CHECK(tunnel("gre1").remote == ip("192.0.2.46"));
    run("tunnel add l9 mode ipip csum seq remote 192.0.2.99");
    CHECK_FALSE(tunnel("l9").in_checksum);

    const std::pair<const char*, const char*> wrong[] = {
        {"tunnel add l4 mode gre remote 192.0.2.44 ttl 5 nopmtudisc",
         "Error: tunnel add l4: ttl != 0 and nopmtudisc are incompatible"},
        {"tunnel add l5 mode ipip remote 192.0.2.45 key 5",
         "Error: tunnel add l5: Keys are not allowed with ipip and sit tunnels"},
        {"tunnel add l7 mode frog remote 192.0.2.45",
         "Error: tunnel add: argument \"frog\" is wrong: Unknown tunnel mode"},
        {"tunnel add l8 remote 192.0.2.47",
         "Error: tunnel add l8: cannot determine tunnel mode (ipip, gre or sit)"},
        {"tunnel change l1 mode gre",
         "Error: tunnel change l1: You managed to ask for more than one tunnel mode."},
    };
    for (const auto& [line, error] : wrong) {
        CHECK(refused(line, 1) == error);
    }
    CHECK(refused("tunnel add l1 mode ipip remote 192.0.2.48", 2).ends_with("(EEXIST)"));
    CHECK(refused("tunnel add l1 mode ipip remote 192.0.2.48", 2)
              .starts_with("Error: tunnel add "
                           "l1: "));
    CHECK(
        refused("tunnel change nope ttl 3", 2) ==
        "Error: tunnel change nope: Cannot find device \"nope\" (ENODEV)"
    );
    run("link add h1 type gretap remote 192.0.2.38");
    CHECK(
        refused("tunnel del h1", 2) ==
        "Error: tunnel del h1: it is no ipip, gre or sit link (EOPNOTSUPP)"
    );
    run("tunnel del l1");
    CHECK(core->links().find("l1") == nullptr);
}

TEST_CASE_METHOD(Lab, "show tunnels tells why an ipip cannot send", "[control][command]") {
    run("link add t1 type ipip remote 198.51.100.9");
    run("link set t1 up");
    CHECK(run("show tunnels") == "t1: remote 198.51.100.9 no_route (no route to 198.51.100.9)\n");
    CHECK_FALSE(json("show tunnels")[0].contains("vni"));
}

TEST_CASE_METHOD(
    Lab, "IPIP-FB-03 a fallback device is deleted by neither command", "[control][command]"
) {
    run("link add g1 type gre remote 192.0.2.9");
    REQUIRE(core->links().find("gre0") != nullptr);
    run("link del gre0");
    CHECK(core->links().find("gre0") != nullptr);
    CHECK(
        refused("tunnel del gre0", 2) ==
        "Error: tunnel del gre0: it takes what no other tunnel does (EPERM)"
    );
    CHECK(run("tunnel show gre0") == "gre0: gre/ip remote any local any ttl inherit nopmtudisc\n");
}

}  // namespace culvert::control::test
