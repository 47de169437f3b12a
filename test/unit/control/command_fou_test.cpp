// SPDX-License-Identifier: BSD-3-Clause
// fou, and `encap` of tunnels. Expected strings are what ip(8) of iproute2 6.1 prints for the same
// commands on a 6.1 kernel.
#include "lib/control/fou.hpp"
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct Lab : CommandFixture {
    Lab() { add_port(0); }

    // The line of `link show -d` in which a link's own options stand.
    std::string info(const std::string& name) {
        std::string text = run("-d link show " + name);
        text.erase(0, text.find('\n') + 1);
        text.erase(0, text.find('\n') + 1);
        return text;
    }

    const LinkRecord& link(const std::string& name) {
        const LinkRecord* found = core->links().find(name);
        REQUIRE(found != nullptr);
        return *found;
    }
};

}  // namespace

TEST_CASE_METHOD(Lab, "UI-TUN-04 fou add, show, del", "[control][command][fou]") {
    run("fou add port 5555 ipproto 4");
    run("fou add port 5556 gue");
    run("fou add port 5557 ipproto 47 local 192.0.2.2");
    run("fou add port 5558 ipproto gre local 192.0.2.2 peer 192.0.2.9 peer_port 99 dev port0");
    CHECK(
        run("fou show") ==
        "port 5558 ipproto 47 local 192.0.2.2 peer 192.0.2.9 peer_port 99 dev port0\n"
        "port 5557 ipproto 47 local 192.0.2.2\n"
        "port 5556 gue\n"
        "port 5555 ipproto 4\n"
    );
    CHECK(
        json("fou show").dump() ==
        R"([{"port":5558,"ipproto":47,"family":"inet","local":"192.0.2.2","peer":"192.0.2.9",)"
        R"("peer_port":99,"dev":"port0"},{"port":5557,"ipproto":47,"family":"inet",)"
        R"("local":"192.0.2.2"},{"port":5556,"gue":null,"family":"inet"},)"
        R"({"port":5555,"ipproto":4,"family":"inet"}])"
    );
    CHECK(core->ip_tunnels().fou.may_take(5555));
    refused("fou add port 5555 ipproto 4", 2);
    refused("fou add port 5555 gue local 192.0.2.3", 2);
    run("fou add port 5557 gue local 192.0.2.3");
    refused("fou del port 5999", 2);
    refused("fou del port 5557", 2);
    run("fou del port 5557 local 192.0.2.2");
    run("fou del port 5557 local 192.0.2.3");
    run("fou del port 5555");
    CHECK_FALSE(core->ip_tunnels().fou.may_take(5555));
    CHECK(core->fou().ports().size() == 2);
}

TEST_CASE_METHOD(Lab, "UI-TUN-04 fou: what is refused, and why", "[control][command][fou]") {
    const auto expect = [&](const std::string& line, const std::string& why) {
        CHECK_THAT(refused(line, 1), Catch::Contains(why));
    };
    expect("fou add port 5560 gue ipproto 4", "fou: cannot set ipproto and gue");
    expect("fou add port 5560", "fou: must set ipproto or gue");
    expect("fou add ipproto 4", "fou: missing port");
    expect("fou del", "fou: missing port");
    expect("fou add port 0 gue", "invalid port");
    expect("fou add port 70000 gue", "invalid port");
    expect("fou add port 5560 ipproto frog", "invalid ipproto");
    expect("fou add port 5560 gue peer 192.0.2.9", "fou: both peer and peer port must be set");
    refused("fou add port 5560 gue foo", 1);
    CHECK(core->fou().ports().empty());
}

TEST_CASE_METHOD(Lab, "FOU-04 a UDP port is a vxlan's or fou's", "[control][command][fou]") {
    run("link add vx1 type vxlan id 1 dstport 4789 local 192.0.2.1 remote 192.0.2.9");
    run("fou add port 4789 gue");
    refused("link set vx1 up", 2);
    run("fou del port 4789");
    run("link set vx1 up");
    refused("fou add port 4789 gue", 2);
}

TEST_CASE_METHOD(Lab, "FOU-04 a port outlives its link, and takes nothing", "[control][fou]") {
    run("link add d0 type dummy");
    const LinkId old = link("d0").id;
    run("fou add port 5555 gue dev d0");
    CHECK(core->ip_tunnels().fou.find({0, 0, 5555, 0, old}) != nullptr);
    run("link del d0");
    CHECK(core->ip_tunnels().fou.find({0, 0, 5555, 0, old}) == nullptr);
    CHECK(run("fou show") == "port 5555 gue\n");
}

TEST_CASE_METHOD(Lab, "FOU-05 encap of ipip, gre and sit, as ip(8) shows it", "[control][fou]") {
    run("link add t1 type ipip local 192.0.2.2 remote 192.0.2.9 encap fou encap-sport auto "
        "encap-dport 5555");
    run("link add t3 type gre local 192.0.2.2 remote 192.0.2.10 key 3 encap gue encap-dport 5555 "
        "encap-csum encap-remcsum");
    run("link add t4 type gre local 192.0.2.2 remote 192.0.2.10 key 4 encap fou");
    run("link add t5 type sit local 192.0.2.2 remote 192.0.2.10 encap gue encap-sport 77 "
        "encap-dport 9 encap-csum6");
    run("link add t13 type ipip remote 192.0.2.8 encap none encap-dport 8 encap-csum");
    CHECK(
        info("t1") == "    ipip any remote 192.0.2.9 local 192.0.2.2 ttl inherit pmtudisc encap "
                      "fou encap-sport auto encap-dport 5555 noencap-csum noencap-csum6 "
                      "noencap-remcsum \n"
    );
    CHECK(
        info("t3") == "    gre remote 192.0.2.10 local 192.0.2.2 ttl inherit ikey 0.0.0.3 okey "
                      "0.0.0.3 encap gue encap-sport auto encap-dport 5555 encap-csum "
                      "noencap-csum6 encap-remcsum \n"
    );
    CHECK_THAT(info("t4"), Catch::Contains(" encap fou encap-sport auto encap-dport 0 noencap-"));
    CHECK_THAT(
        info("t5"),
        Catch::Contains(" encap gue encap-sport 77 encap-dport 9 noencap-csum "
                        "encap-csum6 noencap-remcsum ")
    );
    CHECK(info("t13") == "    ipip any remote 192.0.2.8 local any ttl inherit pmtudisc \n");
    CHECK(
        json("-d link show t1")[0]["linkinfo"]["info_data"].dump() ==
        R"({"proto":"any","remote":"192.0.2.9","local":"192.0.2.2","ttl":0,"pmtudisc":true,)"
        R"("encap":{"type":"fou","sport":0,"dport":5555,"csum":false,"csum6":false,)"
        R"("remcsum":false}})"
    );
    CHECK(json("-d link show t3")[0]["linkinfo"]["info_data"]["encap"]["csum"] == true);
}

TEST_CASE_METHOD(Lab, "FOU-01 TUN-MTU-11 encap and the MTU", "[control][fou]") {
    run("link add t1 type ipip remote 192.0.2.9 encap fou encap-dport 5555");
    run("link add t2 type gre remote 192.0.2.9 key 1 encap gue encap-dport 5555");
    run("link add t3 type gre remote 192.0.2.9 key 2 encap gue encap-dport 5555 encap-remcsum");
    run("link add t4 type gretap remote 192.0.2.9 encap fou encap-dport 5555");
    CHECK(link("t1").mtu == 1500 - 20 - 8);
    CHECK(link("t2").mtu == 1500 - 20 - 8 - 12);
    CHECK(link("t3").mtu == 1500 - 20 - 8 - 20);
    CHECK(link("t4").mtu == 1500 - 20 - 4 - 14 - 8);
    // As in Linux, what changes is what is asked for, and the MTU stays.
    run("link set t1 type ipip encap-dport 99 encap-csum");
    CHECK(link("t1").ip_tunnel.udp.kind == encap::UdpEncap::Kind::fou);
    CHECK(link("t1").ip_tunnel.udp.destination_port == 99);
    CHECK(link("t1").ip_tunnel.udp.checksum);
    run("link set t1 type ipip noencap");
    CHECK(link("t1").ip_tunnel.udp.kind == encap::UdpEncap::Kind::none);
    CHECK(link("t1").mtu == 1500 - 20 - 8);
    CHECK(link("t1").max_mtu == 65535 - 20);
    refused("link add t9 type ipip remote 192.0.2.7 encap frog", 1);
}

}  // namespace culvert::control::test
