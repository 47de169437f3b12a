// SPDX-License-Identifier: BSD-3-Clause
// Groups that tunnels listen to, and what IGMP says of them.
#include "lib/control/group_reports.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/igmp.hpp"
#include "test/unit/control/command_fixture.hpp"

#include <cstring>

namespace culvert::control::test {

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kIgmpAt = 14 + 24;

struct Lab : CommandFixture {
    Lab() {
        port = add_quiet_port(0);
        run("link set port0 up");
        run("addr add 192.0.2.1/24 dev port0");
        core->set_now_ms(1000);
    }

    // The next IGMP message after `ms` more, other frames thrown away; empty = none.
    Bytes report(std::uint64_t ms = 0) {
        core->set_now_ms(core->now_ms() + ms);
        core->turn();
        for (Bytes bytes = sent_bytes(); !bytes.empty(); bytes = sent_bytes()) {
            if (bytes.size() > kIgmpAt && bytes[23] == 2) {
                return bytes;
            }
        }
        return {};
    }

    void add_vxlan(const std::string& name, int id, const std::string& group = "239.1.1.1") {
        run("link add " + name + " type vxlan id " + std::to_string(id) +
            " dstport 4789 local 192.0.2.1 dev port0 group " + group);
        run("link set " + name + " up");
    }

    bool is_ours(std::uint32_t group) {
        const auto* adjacency = core->tables().adjacencies.read(core->tables().fib4.lookup(group));
        return adjacency != nullptr && route::is_ours(adjacency->kind);
    }

    void query(std::uint8_t code, std::size_t len, std::uint32_t group = 0) {
        Bytes bytes(14 + 20 + len);
        bytes[12] = 8;
        bytes[14] = 0x45;
        bytes[23] = 2;
        const net::IgmpHeader igmp{net::igmp::kQuery, code, {}, net::Be32{group}};
        std::memcpy(&bytes[34], &igmp, sizeof(igmp));
        const net::Be16 checksum = net::checksum_from_sum(net::sum_bytes(&bytes[34], len));
        std::memcpy(&bytes[36], &checksum, sizeof(checksum));
        punt(bytes, pipeline::Punt::igmp, port);
    }

    LinkId port = kNoLink;
};

constexpr std::uint32_t kGroup = 0xef010101;

void expect_record(const Bytes& bytes, std::uint8_t type, bool has_source = true) {
    REQUIRE(bytes.size() == kIgmpAt + 16);
    CHECK(Bytes(&bytes[0], &bytes[6]) == Bytes{1, 0, 0x5e, 0, 0, 0x16});
    CHECK(bytes[14] == 0x46);
    CHECK(bytes[15] == 0xc0);
    CHECK(bytes[22] == 1);
    CHECK(Bytes(&bytes[30], &bytes[34]) == Bytes{224, 0, 0, 22});
    CHECK((bytes[26] == 192 || !has_source));
    CHECK(Bytes(&bytes[34], &bytes[38]) == Bytes{0x94, 4, 0, 0});
    CHECK(net::sum_is_valid(net::sum_bytes(&bytes[14], 24)));
    CHECK(net::sum_is_valid(net::sum_bytes(&bytes[kIgmpAt], 16)));
    CHECK(int{bytes[kIgmpAt]} == 0x22);
    CHECK(int{bytes[kIgmpAt + 7]} == 1);
    CHECK(int{bytes[kIgmpAt + 8]} == type);
    CHECK(Bytes(&bytes[kIgmpAt + 12], &bytes[kIgmpAt + 16]) == Bytes{239, 1, 1, 1});
}

}  // namespace

TEST_CASE_METHOD(Lab, "VXLAN-MC-01 a vxlan that is up listens to its group", "[control][igmp]") {
    CHECK_FALSE(is_ours(kGroup));
    add_vxlan("vx1", 1);
    CHECK(is_ours(kGroup));
    expect_record(report(), net::group_record::kToExclude);
    expect_record(report(1100), net::group_record::kToExclude);
    CHECK(report(5000).empty());
    const auto all = remotes(core->links().find("vx1")->id, net::MacAddress{});
    REQUIRE(all.size() == 1);
    CHECK(all[0].address == net::IpAddress::from_v4(kGroup));
    CHECK_THAT(run("show tunnels"), Catch::Contains("239.1.1.1"));
    CHECK_THAT(run("-d link show vx1"), Catch::Contains("group 239.1.1.1"));
}

TEST_CASE_METHOD(Lab, "VXLAN-MC-03 VXLAN-DEL-02 the last one leaves", "[control][igmp]") {
    add_vxlan("vx1", 1);
    add_vxlan("vx2", 2);
    while (!report(1100).empty()) {
    }
    run("link set vx1 down");
    CHECK(report(1100).empty());
    CHECK(is_ours(kGroup));
    run("link del vx2");
    CHECK_FALSE(is_ours(kGroup));
    CHECK_FALSE(is_ours(0xe0000001));
    expect_record(report(), net::group_record::kToInclude);
    expect_record(report(1100), net::group_record::kToInclude);
    CHECK(report(5000).empty());
    run("link set vx1 up");
    CHECK(is_ours(kGroup));
}

TEST_CASE_METHOD(Lab, "queries are answered in time", "[control][igmp]") {
    add_vxlan("vx1", 1);
    while (!report(1100).empty()) {
    }
    query(100, 12);
    expect_record(report(10'000), net::group_record::kIsExclude);
    CHECK(report(20'000).empty());
    query(100, 12, kGroup + 1);
    CHECK(report(10'000).empty());
    query(20, 12, kGroup);
    expect_record(report(2000), net::group_record::kIsExclude);
    // A querier of version 2, and then of 1: they are answered in their words for a time.
    query(10, 8);
    Bytes older = report(1000);
    REQUIRE(older.size() == kIgmpAt + 8);
    CHECK(int{older[kIgmpAt]} == 0x16);
    CHECK(Bytes(&older[30], &older[34]) == Bytes{239, 1, 1, 1});
    query(0, 8);
    older = report(10'000);
    REQUIRE(older.size() == kIgmpAt + 8);
    CHECK(int{older[kIgmpAt]} == 0x12);
    report(260'000);
    query(100, 12);
    expect_record(report(10'000), net::group_record::kIsExclude);
}

TEST_CASE_METHOD(Lab, "TUN-LKP-05 gre to a group listens to it", "[control][igmp]") {
    run("link add g1 type gre local 192.0.2.1 remote 239.1.1.1 dev port0");
    CHECK_FALSE(is_ours(kGroup));
    run("link set g1 up");
    CHECK(is_ours(kGroup));
    expect_record(report(), net::group_record::kToExclude);
    const LinkRecord& link = *core->links().find("g1");
    CHECK(link.ip_tunnel.in_key == kGroup);
    // TUN-LKP-05
    CHECK(
        core->ip_tunnels().lookup.find(
            encap::IpTunnelKey::make(
                encap::IpTunnelKind::gre,
                net::Be32{kGroup}.raw(),
                net::Be32{0xc0000209}.raw(),
                true,
                kGroup
            ),
            port
        ) == link.id
    );
    run("link del g1");
    CHECK_FALSE(is_ours(kGroup));
    // Without dev the route says where, and without one it cannot be.
    run("link add g2 type gretap local 192.0.2.1 remote 239.1.1.2");
    refused("link set g2 up", 2);
    run("route add 239.0.0.0/8 dev port0");
    run("link set g2 up");
    CHECK(is_ours(kGroup + 1));
    refused("link add g3 type gre remote 239.1.1.1", 1);
}

TEST_CASE_METHOD(Lab, "VXLAN-CHG-04 another group, or the same elsewhere", "[control][igmp]") {
    add_vxlan("vx1", 1);
    add_quiet_port(1);
    run("link set port1 up");
    run("link set vx1 type vxlan group 239.1.1.2 dev port0");
    CHECK_FALSE(is_ours(kGroup));
    CHECK(is_ours(kGroup + 1));
    run("link set vx1 type vxlan group 239.1.1.2 dev port1");
    CHECK(is_ours(kGroup + 1));
    run("link del vx1");
    CHECK_FALSE(is_ours(kGroup + 1));
}

TEST_CASE_METHOD(Lab, "a link that comes up says what is listened to on it", "[control][igmp]") {
    run("link set port0 down");
    add_vxlan("vx1", 1);
    CHECK(report(5000).empty());
    run("link set port0 up");
    expect_record(report(10), net::group_record::kToExclude, false);
    while (!report(1100).empty()) {
    }
    CHECK(is_ours(kGroup));
}

TEST_CASE_METHOD(Lab, "a group is its VRF's, wherever that goes", "[control][igmp][vrf]") {
    add_vxlan("vx1", 1);
    run("link add red type vrf table 10");
    run("link set red up");
    run("link set port0 master red");
    CHECK_FALSE(is_ours(kGroup));
    const auto in_vrf = [&] {
        const auto* link = core->published_links().read(port);
        REQUIRE(link != nullptr);
        const auto* way = core->tables().adjacencies.read(link->routed_by->fib4.lookup(kGroup));
        return way != nullptr && route::is_ours(way->kind);
    };
    CHECK(in_vrf());
    run("link set vx1 down");
    CHECK_FALSE(in_vrf());
    run("link set vx1 up");
    run("link set port0 nomaster");
    CHECK(is_ours(kGroup));
    run("link del red");
    CHECK(is_ours(kGroup));
}

TEST_CASE_METHOD(Lab, "VXLAN-MC-01 VXLAN-MC-03 groups of IPv6", "[control][mld]") {
    run("addr add 2001:db8::1/64 dev port0 nodad");
    const auto is_ours6 = [&] {
        const auto group = net::IpAddress::parse("ff05::1:1").value();
        const auto* way =
            core->tables().adjacencies.read(core->tables().fib6.lookup(group.bytes()));
        return way != nullptr && route::is_ours(way->kind);
    };
    // A report's record of the group; 0 = none was sent.
    const auto record = [&](std::uint64_t ms) -> int {
        core->set_now_ms(core->now_ms() + ms);
        core->turn();
        int type = 0;
        for (Bytes bytes = sent_bytes(); !bytes.empty(); bytes = sent_bytes()) {
            constexpr std::size_t kMessage = 14 + 40 + 8;
            for (std::size_t at = kMessage + 8; bytes.size() >= at + 20 && bytes[kMessage] == 143;
                 at += 20) {
                if (bytes[at + 4] == 0xff && bytes[at + 5] == 5 && bytes[at + 19] == 1) {
                    type = bytes[at];
                }
            }
        }
        return type;
    };
    for (int i = 0; i < 4; ++i) {
        record(5000);  // of the addresses
    }
    run("link add vx6 type vxlan id 6 dstport 4789 local 2001:db8::1 dev port0 group ff05::1:1");
    CHECK_FALSE(is_ours6());
    run("link set vx6 up");
    CHECK(is_ours6());
    CHECK(record(20) == 4);
    CHECK(record(1000) == 4);
    CHECK(record(5000) == 0);
    run("link set vx6 down");
    CHECK_FALSE(is_ours6());
    CHECK(record(20) == 3);
    run("link set vx6 up");
    CHECK(is_ours6());
    run("link del vx6");
    CHECK_FALSE(is_ours6());
}

TEST_CASE_METHOD(Lab, "GRE-CRE-10 UI-TUN-03 what a group needs", "[control][igmp]") {
    refused("link add g3 type gre remote 239.1.1.1", 1);
    refused("tunnel add g3 mode gre remote 239.1.1.1", 1);
    run("tunnel add g4 mode gre remote 239.1.1.1 local 192.0.2.1 key 7");
    CHECK(core->links().find("g4")->ip_tunnel.in_key == 7U);
    run("tunnel add g5 mode gre remote 239.1.1.1 local 192.0.2.1");
    CHECK(core->links().find("g5")->ip_tunnel.out_key == kGroup);
    const std::string shown = run("link show g5");
    CHECK(shown.find("<BROADCAST>") != std::string::npos);
    CHECK(shown.find("link/gre 192.0.2.1 brd 239.1.1.1") != std::string::npos);
}

}  // namespace culvert::control::test
