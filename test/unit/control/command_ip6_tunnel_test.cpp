// SPDX-License-Identifier: BSD-3-Clause
// `-6 tunnel`, and what tunnels over IPv6 share with the others: external, and UDP. Expected
// strings are what ip(8) of iproute2 6.1 prints for the same commands on a 6.1 kernel.
#include "lib/control/fou.hpp"
#include "lib/control/tunnel_metadata.hpp"
#include "lib/control/tunnels.hpp"
#include "test/unit/control/command_fixture.hpp"

#include <algorithm>
#include <array>

namespace culvert::control::test {

namespace {

struct Lab : CommandFixture {
    Lab() {
        add_port(0);
        run("link set port0 up");
        run("addr add 2001:db8::1/64 dev port0 nodad");
        run("neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev port0 nud permanent");
    }

    const LinkRecord& link(const std::string& name) {
        const LinkRecord* found = core->links().find(name);
        REQUIRE(found != nullptr);
        return *found;
    }

    // The line of `link show -d` in which a link's own options stand.
    std::string info(const std::string& name) {
        std::string text = run("-d link show " + name);
        text.erase(0, text.find('\n') + 1);
        text.erase(0, text.find('\n') + 1);
        return text;
    }

    Json info_json(const std::string& name) {
        return json("-d link show " + name)[0]["linkinfo"]["info_data"];
    }

    const encap::IpTunnelTemplate6*
    outer(const std::string& name, const encap::IpTunnelMetadata& words) {
        const auto gateway = core->tunnel_metadata().gateway_for(words, net::Family::ipv4);
        REQUIRE(gateway.has_value());
        const LinkId device = link(name).id;
        REQUIRE(core->tunnels().learn_remote(device, *gateway));
        encap::IpTunnelTemplates::Id found = 0;
        REQUIRE(core->ip_tunnels().remotes.find({net::Be32{gateway->v4()}.raw(), device}, found));
        return core->ip_tunnels().templates6.read(found);
    }
};

}  // namespace

TEST_CASE_METHOD(Lab, "UI-TUN-02 -6 tunnel add, change, show, del", "[control][command]") {
    run("-6 tunnel add l1 local 2001:db8::1 remote 2001:db8::9");
    CHECK(
        run("-6 tunnel show l1") ==
        "l1: ipv6/ipv6 remote 2001:db8::9 local 2001:db8::1 encaplimit 4 hoplimit 64 tclass 0x00 "
        "flowlabel 0x00000 (flowinfo 0x00000000)\n"
    );
    CHECK(link("l1").ip_tunnel.mode == encap::IpTunnelMode::ip6ip);
    run("-6 tunnel change l1 mode any encaplimit none tclass inherit flowlabel inherit dscp inherit"
    );
    CHECK(
        run("-6 tunnel show l1") ==
        "l1: any/ipv6 remote 2001:db8::9 local 2001:db8::1 encaplimit none hoplimit 64 tclass "
        "inherit flowlabel inherit (flowinfo 0x00000000) dscp inherit\n"
    );
    run("-6 tunnel add l2 mode ipip6 local 2001:db8::1 remote 2001:db8::8 dev port0 ttl 9 tos 2c "
        "flowlabel 12345 encaplimit 7");
    CHECK(
        run("-6 tunnel show l2") ==
        "l2: ip/ipv6 remote 2001:db8::8 local 2001:db8::1 dev port0 encaplimit 7 hoplimit 9 "
        "tclass 0x2c flowlabel 0x12345 (flowinfo 0x02c12345)\n"
    );
    run("-6 tunnel add l3 mode ip6gre local 2001:db8::1 remote 2001:db8::7 key 5 csum iseq");
    CHECK(
        run("-6 tunnel show l3") ==
        "l3: gre/ipv6 remote 2001:db8::7 local 2001:db8::1 encaplimit 4 hoplimit 64 tclass 0x00 "
        "flowlabel 0x00000 (flowinfo 0x00000000) key 5\n"
        "  Drop packets out of sequence.\n"
        "  Checksum in received packet is required.\n"
        "  Checksum output packets.\n"
    );
    CHECK(
        json("-6 tunnel show l2")[0].dump() ==
        R"({"ifname":"l2","mode":"ip/ipv6","remote":"2001:db8::8","local":"2001:db8::1",)"
        R"("link":"port0","encap_limit":7,"hoplimit":9,"tclass":"0x2c","flowlabel":"0x12345",)"
        R"("flowinfo":"0x02c12345"})"
    );
    CHECK(json("-6 tunnel show l1")[0]["ip6_tnl_f_use_orig_tclass"].is_null());
    CHECK(json("-6 tunnel show l3")[0]["flags"][2] == "tx_csum");
    CHECK(run("tunnel show l1").empty());
    CHECK(run("-6 tunnel show mode ip6gre remote 2001:db8::7").starts_with("l3: "));
    CHECK(run("-6 tunnel show mode ipip6 dev port0").starts_with("l2: "));
    run("-6 tunnel add remote 2001:db8::6 local 2001:db8::1");
    CHECK(link("ip6tnl1").ip_tunnel.remote == ip("2001:db8::6"));
    run("-6 tunnel del l1");
    CHECK(core->links().find("l1") == nullptr);
    CHECK(refused("tunnel del l2", 2).find("it is no ipip, gre or sit link") != std::string::npos);
}

TEST_CASE_METHOD(Lab, "UI-TUN-02 what tunnel refuses by name", "[control][command]") {
    const std::pair<const char*, const char*> unsupported[] = {
        {"tunnel add l1 mode isatap local 192.0.2.1", "mode isatap is not supported"},
        {"tunnel add l1 mode vti remote 192.0.2.9", "mode vti is not supported"},
        {"-6 tunnel add l1 mode vti6 remote 2001:db8::9", "mode vti6 is not supported"},
        {"-6 tunnel del port0", "it is no ip6tnl or ip6gre link"},
    };
    for (const auto& [line, why] : unsupported) {
        CHECK_THAT(refused(line, 2), Catch::Contains(why));
    }
    const std::pair<const char*, const char*> wrong[] = {
        {"tunnel add l1 mode ip6ip6 remote 192.0.2.9", "Unknown tunnel mode \"ip6ip6\""},
        {"-6 tunnel add l1 mode gre remote 2001:db8::9", "Unknown tunnel mode \"gre\""},
        {"-6 tunnel add l1 remote 192.0.2.9", "inet6 address is expected"},
        {"tunnel add l1 mode gre remote 2001:db8::9", "inet address is expected"},
        {"-6 tunnel add l1 remote 2001:db8::9 nopmtudisc", "\"pmtudisc\" is no word of"},
        {"tunnel add l1 mode gre encaplimit 3", "\"encaplimit\" is no word of"},
    };
    for (const auto& [line, why] : wrong) {
        CHECK_THAT(refused(line, 1), Catch::Contains(why));
    }
}

TEST_CASE_METHOD(
    Lab, "UI-SHOW-07 UI-SHOW-08 a firewall mark is refused by name", "[control][command]"
) {
    for (const std::string kind : {"ipip", "gre", "gretap"}) {
        const std::string line = "link add t1 type " + kind + " remote 192.0.2.9 fwmark ";
        CHECK_THAT(refused(line + "7", 2), Catch::Contains("fwmark"));
        run(line + "0");
        CHECK_THAT(info("t1"), !Catch::Contains("fwmark"));
        CHECK_FALSE(info_json("t1").contains("fwmark"));
        run("link del t1");
    }
}

TEST_CASE_METHOD(
    Lab, "IPIP-CRE-06 external over IPv6: one of a kind, as ip(8) shows it", "[control][external]"
) {
    run("link add t6 type ip6tnl external");
    run("link add g6 type ip6gre external");
    CHECK(
        info("t6") ==
        "    ip6tnl external any remote :: local :: hoplimit inherit encaplimit 0 tclass 0x00 "
        "flowlabel 0x00000 \n"
    );
    CHECK(
        info("g6") == "    ip6gre external remote any local any hoplimit inherit encaplimit 0 "
                      "tclass 0x00 flowlabel 0x00000 \n"
    );
    CHECK(
        info_json("g6").dump() ==
        R"({"external":true,"remote":"any","local":"any","ttl":0,"encap_limit":0,"tclass":"0x00",)"
        R"("flowlabel":"0x00000"})"
    );
    CHECK(link("t6").mtu == 1452);
    CHECK(link("g6").mtu == 1448);
    refused("link add t7 type ip6tnl external", 2);
    refused("link add h6 type ip6gretap external", 2);  // it shares ip6gre's
    run("link del g6");
    run("link add h6 type ip6gretap external");
    refused("link add g6 type ip6gre external", 2);
}

TEST_CASE_METHOD(Lab, "TUN-MD-02 routes that say an outer IPv6 header", "[control][external]") {
    run("link add t6 type ip6tnl external");
    run("link set t6 up");
    run("route add 10.9.0.0/24 encap ip6 id 7 dst 2001:db8::9 dev t6");
    run("route add 10.9.1.0/24 encap ip6 id 7 src 2001:db8::1 dst 2001:db8::9 tc 4 hoplimit 9 key "
        "csum seq dev t6");
    run("-6 route add 2001:db8:9::/48 encap ip6 id 7 dst 2001:db8::9 dev t6");
    CHECK(
        run("route show dev t6") ==
        "10.9.0.0/24  encap ip6 id 7 src :: dst 2001:db8::9 hoplimit 0 tc 0 scope link \n"
        "10.9.1.0/24  encap ip6 id 7 src 2001:db8::1 dst 2001:db8::9 hoplimit 9 tc 4 key csum seq "
        "scope link \n"
    );
    const Json route = json("route show 10.9.1.0/24")[0];
    CHECK(route["encap"] == "ip6");
    CHECK(route["encap_dst"] == "2001:db8::9");
    CHECK(route["hoplimit"] == 9);
    CHECK(route["tc"] == 4);
    CHECK_THAT(run("-6 route show dev t6"), Catch::Contains("encap ip6 id 7 src :: dst "));
    refused("route add 10.9.4.0/24 encap ip6 id 7 dst 192.0.2.9 dev t6", 1);
    refused("route add 10.9.4.0/24 encap ip id 7 dst 2001:db8::9 dev t6", 1);
    refused("route add 10.9.4.0/24 encap ip id 7 tc 4 dev t6", 1);
    refused("route add 10.9.4.0/24 encap ip6 id 7 tos 4 dev t6", 1);
    refused("route add 10.9.4.0/24 tc 4 dev t6", 1);
}

TEST_CASE_METHOD(Lab, "TUN-MD-01 an outer IPv6 header is the route's", "[control][external]") {
    run("link add t6 type ip6tnl external");
    run("link add g6 type ip6gre external");
    run("link add t4 type ipip external");
    run("link set t6 up");
    run("link set g6 up");
    run("link set t4 up");
    encap::IpTunnelMetadata words;
    words.is_ipv6 = true;
    words.id = 0x1'0000'0007;
    words.destination = ip("2001:db8::9");
    words.tos = 0x13;
    words.ttl = 9;
    words.key = true;
    words.source = ip("2001:db8:77::7");  // none of ours
    const encap::IpTunnelTemplate6* tnl = outer("t6", words);
    REQUIRE(tnl != nullptr);
    CHECK(tnl->state == encap::TunnelState::ready);
    CHECK(tnl->limit_len == 0);
    CHECK_FALSE(tnl->hop_limit_inherit);
    const auto source_in = [](const encap::IpTunnelTemplate6& found) {
        const std::uint8_t* header =
            found.bytes.data() + encap::IpTunnelTemplate6::kRoom - found.ip_len();
        std::array<std::uint8_t, 16> bytes{};
        std::copy_n(header + 8, 16, bytes.begin());
        return net::IpAddress::from_v6(bytes);
    };
    CHECK(source_in(*tnl) == ip("2001:db8:77::7"));
    const encap::IpTunnelTemplate6* gre = outer("g6", words);
    REQUIRE(gre != nullptr);
    CHECK(gre->state == encap::TunnelState::ready);
    CHECK(gre->gre_len == 8);
    CHECK(source_in(*gre) == ip("2001:db8::1"));  // ip6gre does not look at the words' source
    words.ttl = 0;
    CHECK(outer("t6", words)->hop_limit_inherit);
    words.destination = ip("3fff::1");
    CHECK(outer("t6", words)->state == encap::TunnelState::no_route);
    // A device of the other family takes none of it.
    const auto gateway = core->tunnel_metadata().gateway_for(words, net::Family::ipv4);
    CHECK_FALSE(core->tunnels().learn_remote(link("t4").id, *gateway));
}

TEST_CASE_METHOD(Lab, "UI-TUN-04 FOU-04 fou of IPv6 ports", "[control][command][fou]") {
    run("-6 fou add port 5555 ipproto 41");
    run("fou add port 5555 gue");
    run("fou add port 5556 gue -6 local 2001:db8::1 peer 2001:db8::9 peer_port 99 dev port0");
    CHECK(
        run("fou show") ==
        "port 5556 gue -6 local 2001:db8::1 peer 2001:db8::9 peer_port 99 dev port0\n"
        "port 5555 gue\n"
        "port 5555 ipproto 41 -6\n"
    );
    CHECK(json("fou show")[2].dump() == R"({"port":5555,"ipproto":41,"family":"inet6"})");
    CHECK(core->ip_tunnels().fou6.may_take(5555));
    CHECK(core->ip_tunnels().fou6.may_take(5556));
    CHECK_FALSE(core->ip_tunnels().fou.may_take(5556));
    refused("-6 fou add port 5555 gue", 2);
    refused("-6 fou add port 5557 gue local 192.0.2.1", 1);
    refused("fou add port 5557 gue local 2001:db8::1", 1);
    run("link add vx1 type vxlan id 1 dstport 5555 local 2001:db8::1 remote 2001:db8::9");
    refused("link set vx1 up", 2);
    run("fou del port 5555 -6");
    CHECK_FALSE(core->ip_tunnels().fou6.may_take(5555));
    CHECK(core->ip_tunnels().fou.may_take(5555));
    run("link set vx1 up");
    refused("-6 fou add port 5555 gue", 2);
}

TEST_CASE_METHOD(Lab, "FOU-05 TUN-MTU-11 encap over IPv6", "[control][fou]") {
    run("link add t1 type ip6tnl local 2001:db8::1 remote 2001:db8::9 encap fou encap-dport 5555");
    run("link add g1 type ip6gre local 2001:db8::1 remote 2001:db8::9 key 3 encaplimit none encap "
        "gue encap-sport 77 encap-dport 5555 noencap-udp6-csum encap-remcsum");
    CHECK_THAT(
        info("t1"),
        Catch::EndsWith(" flowlabel 0x00000 encap fou encap-sport auto encap-dport 5555 "
                        "noencap-csum encap-csum6 noencap-remcsum \n")
    );
    CHECK_THAT(
        info("g1"),
        Catch::EndsWith(" ikey 0.0.0.3 okey 0.0.0.3 encap gue encap-sport 77 encap-dport 5555 "
                        "noencap-csum noencap-csum6 encap-remcsum \n")
    );
    CHECK(info_json("t1")["encap"]["csum6"] == true);
    CHECK(link("t1").mtu == 1500 - 40 - 8 - 8);
    CHECK(link("g1").mtu == 1500 - 40 - 8 - 20);
    run("link set t1 type ip6tnl noencap-csum6");
    CHECK_FALSE(link("t1").ip_tunnel.udp.checksum6);
    run("link set t1 type ip6tnl noencap");
    CHECK(link("t1").mtu == 1500 - 40 - 8);
}

}  // namespace culvert::control::test
