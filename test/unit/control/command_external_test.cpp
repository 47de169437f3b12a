// SPDX-License-Identifier: BSD-3-Clause
// `external` tunnels, and routes that say the outer header. Expected strings are what ip(8) of
// iproute2 6.1 prints for the same commands on a 6.1 kernel.
#include "lib/control/tunnel_metadata.hpp"
#include "lib/control/tunnels.hpp"
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct Lab : CommandFixture {
    Lab() {
        add_port(0);
        run("link set port0 up");
        run("addr add 192.0.2.1/24 dev port0");
        run("neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev port0 nud permanent");
    }

    LinkId id(const std::string& name) {
        const LinkRecord* found = core->links().find(name);
        REQUIRE(found != nullptr);
        return found->id;
    }

    // What `link show` prints behind the number.
    std::string shown(const std::string& name, const std::string& options = "") {
        std::string text = run(options + "link show " + name);
        return text.substr(text.find(' ') + 1);
    }

    // The template of a packet that a route into `device` gives this gateway.
    const encap::IpTunnelTemplate* outer(LinkId device, const net::IpAddress& gateway) {
        REQUIRE(core->tunnels().learn_remote(device, gateway));
        encap::IpTunnelTemplates::Id found = 0;
        REQUIRE(core->ip_tunnels().remotes.find({net::Be32{gateway.v4()}.raw(), device}, found));
        return core->ip_tunnels().templates.read(found);
    }
};

}  // namespace

TEST_CASE_METHOD(
    Lab, "IPIP-CRE-06 GRE-CRE-06 one external device of a kind", "[control][external]"
) {
    run("link add t7 type ipip external remote 192.0.2.7");
    run("link add t8 type gre external encap fou encap-dport 1");
    run("link add t9 type gretap external");
    refused("link add t10 type gre external", 2);
    refused("link add t11 type gretap external", 2);
    refused("link add t12 type ipip external", 2);
    refused("link add t14 type sit external", 2);  // as one without any address: sit0 is such
    run("link del t8");
    run("link add t10 type gre external");
}

TEST_CASE_METHOD(
    Lab,
    "IPIP-CRE-04 GRETAP-CRE-03 GRETAP-CRE-04 what is refused leaves nothing behind",
    "[control]"
) {
    run("link add t1 type ipip remote 192.0.2.9");
    refused("link add t1 type ipip remote 192.0.2.10", 2);
    run("link add t2 type ipip remote 192.0.2.10");
    run("link add h1 type gretap remote 192.0.2.9");
    const net::MacAddress random = core->links().find("h1")->mac;
    CHECK(random.is_valid_station());
    CHECK((random.bytes[0] & 2) != 0);
}

TEST_CASE_METHOD(Lab, "external devices, as ip(8) shows them", "[control][external]") {
    run("link add t7 type ipip external");
    run("link add t8 type gre external");
    CHECK(
        shown("t7") == "t7@NONE: <NOARP> mtu 1480 qdisc noqueue state DOWN mode DEFAULT group "
                       "default qlen 1000\n    link/ipip 0.0.0.0 brd 0.0.0.0\n"
    );
    CHECK(
        shown("t8") == "t8@NONE: <NOARP> mtu 1476 qdisc noqueue state DOWN mode DEFAULT group "
                       "default qlen 1000\n    link/none 00:00:00:00 brd 00:00:00:00\n"
    );
    CHECK_THAT(
        shown("t7", "-d "),
        Catch::Contains("    ipip external any remote any local any ttl inherit pmtudisc \n")
    );
    CHECK_THAT(
        shown("t8", "-d "), Catch::Contains("    gre external remote any local any ttl inherit \n")
    );
    const Json info = json("-d link show t8")[0];
    CHECK(info["link_type"] == "none");
    CHECK(
        info["linkinfo"]["info_data"].dump() ==
        R"({"external":true,"remote":"any","local":"any","ttl":0,"pmtudisc":true})"
    );
}

TEST_CASE_METHOD(Lab, "GRE-CRE-12 IPIP-CRE-10 no device becomes external", "[control][external]") {
    run("link add t1 type ipip remote 192.0.2.9");
    run("link add t2 type gre remote 192.0.2.9");
    refused("link set t1 type ipip external", 2);
    CHECK_THAT(
        refused("link set t2 type gre external", 2),
        Catch::Contains("Enabling collect_md on an existing device is not supported.")
    );
    run("link add t3 type gre external");
    run("link set t3 type gre external");
    CHECK(core->links().find("t3")->ip_tunnel.external);
}

TEST_CASE_METHOD(Lab, "TUN-MD-02 routes that say the outer header", "[control][external]") {
    run("link add t8 type gre external");
    run("link set t8 up");
    run("route add 10.9.0.0/24 encap ip id 7 dst 192.0.2.9 dev t8");
    run("route add 10.9.1.0/24 encap ip id 7 src 192.0.2.1 dst 192.0.2.9 tos 4 ttl 9 key csum seq "
        "dev t8");
    run("route add 10.9.3.0/24 encap ip id 99 dev t8");
    run("route add 2001:db8:9::/48 encap ip id 7 dst 192.0.2.9 dev t8");
    CHECK(
        run("route show dev t8") ==
        "10.9.0.0/24  encap ip id 7 src 0.0.0.0 dst 192.0.2.9 ttl 0 tos 0 scope link \n"
        "10.9.1.0/24  encap ip id 7 src 192.0.2.1 dst 192.0.2.9 ttl 9 tos 4 key csum seq "
        "scope link \n"
        "10.9.3.0/24  encap ip id 99 src 0.0.0.0 dst 0.0.0.0 ttl 0 tos 0 scope link \n"
    );
    CHECK_THAT(run("route get 10.9.0.5"), Catch::StartsWith("10.9.0.5  encap ip id 7 src "));
    const Json route = json("route show 10.9.1.0/24")[0];
    CHECK(route["encap"] == "ip");
    CHECK(route["encap_dst"] == "192.0.2.9");
    CHECK(route["seq"] == true);
    CHECK_THAT(run("-6 route show dev t8"), Catch::Contains("encap ip id 7 src 0.0.0.0 dst "));
    refused("route add 10.9.4.0/24 encap ip id 7 dst 192.0.2.9 dev port0", 2);
    refused("route add 10.9.4.0/24 encap ip7 id 7 dev t8", 1);
    refused("route add 10.9.4.0/24 id 7 dev t8", 1);
    run("route del 10.9.0.0/24 dev t8");
}

TEST_CASE_METHOD(Lab, "TUN-MD-01 the outer header is the route's", "[control][external]") {
    run("link add t8 type gre external");
    run("link set t8 up");
    const LinkId device = id("t8");
    encap::IpTunnelMetadata words;
    words.id = 0x1'0000'0007;
    words.destination = net::IpAddress::from_v4(0xc0000209);
    words.tos = 0x11;
    words.ttl = 9;
    words.key = true;
    words.sequence = true;
    const auto gateway = core->tunnel_metadata().gateway_for(words, net::Family::ipv4);
    REQUIRE(gateway.has_value());
    CHECK(core->tunnel_metadata().gateway_for(words, net::Family::ipv4) == gateway);
    const encap::IpTunnelTemplate* found = outer(device, *gateway);
    REQUIRE(found != nullptr);
    CHECK(found->state == encap::TunnelState::ready);
    CHECK(found->gre_len == 12);
    CHECK(found->sequence);
    CHECK_FALSE(found->df);
    CHECK_FALSE(found->df_inherit);
    CHECK_FALSE(found->ttl_inherit);
    CHECK_FALSE(found->tos_inherit);
    const std::uint8_t* ip = &found->bytes[found->ip_offset()];
    CHECK(ip[1] == 0x10);
    CHECK(ip[8] == 9);
    CHECK(ip[15] == 1);  // from 192.0.2.1, the route's choice
    CHECK(ip[19] == 9);
    CHECK(ip[20 + 7] == 7);  // the key: the lower half of the id
    words.tos = 1;
    words.ttl = 0;
    words.source = net::IpAddress::from_v4(0xc6336401);  // none of ours
    const auto other = core->tunnel_metadata().gateway_for(words, net::Family::ipv4);
    REQUIRE(other.has_value());
    CHECK(other != gateway);
    found = outer(device, *other);
    CHECK(found->state == encap::TunnelState::no_route);
    run("addr add 198.51.100.1/32 dev port0");
    found = outer(device, *other);
    CHECK(found->state == encap::TunnelState::ready);
    CHECK(found->tos_inherit);
    CHECK(found->ttl_inherit);
    // What is no metadata leads nowhere, and neither does metadata elsewhere.
    CHECK_FALSE(core->tunnels().learn_remote(device, net::IpAddress::from_v4(0xc0000209)));
    CHECK_FALSE(core->tunnels().learn_remote(device, net::IpAddress::from_v4(0xf0001234)));
    CHECK_THAT(run("show tunnels"), Catch::Contains("192.0.2.9"));
}

TEST_CASE_METHOD(Lab, "TUN-MD-03 TUN-LKP-07 external before the fallback", "[control][external]") {
    run("link add t8 type gre external");
    run("link add t1 type gre remote 192.0.2.9 key 5");
    run("link set t8 up");
    run("link set t1 up");
    run("link set gre0 up");
    const auto find = [&](bool has_key, std::uint32_t key, std::uint32_t remote) {
        return core->ip_tunnels().lookup.find(
            encap::IpTunnelKey::make(
                encap::IpTunnelKind::gre,
                net::Be32{0xc0000201}.raw(),
                net::Be32{remote}.raw(),
                has_key,
                key
            ),
            id("port0")
        );
    };
    CHECK(find(true, 5, 0xc0000209) == id("t1"));
    CHECK(find(true, 6, 0xc0000209) == id("t8"));
    CHECK(find(false, 0, 0xc0000255) == id("t8"));
    run("link set t8 down");
    CHECK(find(true, 6, 0xc0000209) == id("gre0"));
    run("link del t8");
    CHECK(find(true, 6, 0xc0000209) == id("gre0"));
}

}  // namespace culvert::control::test
