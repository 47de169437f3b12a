// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

namespace culvert::control::test {

namespace {

using pipeline::LinkKind;

}  // namespace

TEST_CASE_METHOD(CoreFixture, "a bridge takes MAC and MTU from its members", "[control][bridge]") {
    const LinkId port0 = add_port(0);
    const LinkId port1 = add_port(1);
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    const net::MacAddress own = record(bridge).mac;
    REQUIRE(set_master(port1, "br0"));
    CHECK(record(bridge).mac == record(port1).mac);
    LinkSetRequest mtu;
    mtu.mtu = 1300;
    REQUIRE(core->links().set(port0, mtu));
    REQUIRE(set_master(port0, "br0"));
    CHECK(record(bridge).mac == record(port0).mac);
    CHECK(published(bridge).mtu == 1300);
    REQUIRE(set_master(port0, ""));
    CHECK(record(bridge).mac == record(port1).mac);
    CHECK(record(bridge).mtu == 1500);
    REQUIRE(set_master(port1, ""));
    CHECK(record(bridge).mac == own);

    LinkSetRequest set;
    set.mtu = 1200;
    set.address = mac("02:aa:00:00:00:01");
    REQUIRE(core->links().set(bridge, set));
    REQUIRE(set_master(port0, "br0"));
    CHECK(published(bridge).mac == mac("02:aa:00:00:00:01"));
    CHECK(published(bridge).mtu == 1200);
}

TEST_CASE_METHOD(
    CoreFixture, "a bridge knows its members' MACs and its own as local", "[control][bridge]"
) {
    const LinkId port = add_port(0);
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    const net::MacAddress own = record(bridge).mac;
    REQUIRE(core->fdb().get(bridge, own));
    REQUIRE(set_master(port, "br0"));
    CHECK_FALSE(core->fdb().get(bridge, own));
    auto entry = core->fdb().get(bridge, record(port).mac);
    REQUIRE(entry);
    CHECK(entry->value.target() == bridge);
    CHECK(entry->value.is_pinned());
    LinkSetRequest change;
    change.address = mac("02:00:00:00:00:77");
    REQUIRE(core->links().set(port, change));
    CHECK_FALSE(core->fdb().get(bridge, mac("02:00:00:00:00:10")));
    CHECK(core->fdb().get(bridge, mac("02:00:00:00:00:77")));
    REQUIRE(core->links().del(bridge));
    CHECK(core->fdb().size() == 0);
    CHECK(record(port).master == kNoLink);
    CHECK(published(port).master == kNoLink);
}

TEST_CASE_METHOD(CoreFixture, "who may be a member", "[control][bridge]") {
    const LinkId port = add_port(0);
    const LinkId first = add_link("br0", LinkKind::bridge);
    add_link("br1", LinkKind::bridge);
    CHECK(set_master(first, "br1").error().code == std::errc::too_many_symbolic_link_levels);
    CHECK(set_master(port, "port0").error().code == std::errc::operation_not_supported);
    CHECK(set_master(port, "nope").error().code == std::errc::no_such_device);
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.dev = "br0";
    const LinkId tunnel = core->links().add(request).value();
    CHECK(set_master(tunnel, "br0").error().code == std::errc::device_or_resource_busy);
    REQUIRE(set_master(tunnel, "br1"));
    LinkSetRequest flags;
    flags.isolated = true;
    CHECK(core->links().set(port, flags).error().code == std::errc::operation_not_supported);
    REQUIRE(core->links().set(tunnel, flags));
    CHECK(published(tunnel).bridge_port.isolated);
    REQUIRE(set_master(tunnel, ""));
    CHECK_FALSE(published(tunnel).bridge_port.isolated);
}

TEST_CASE_METHOD(
    CoreFixture, "a member moves to another bridge as ip link set master does", "[control][bridge]"
) {
    const LinkId port = add_port(0);
    const LinkId first = add_link("br0", LinkKind::bridge);
    const LinkId second = add_link("br1", LinkKind::bridge);
    REQUIRE(set_master(port, "br0"));
    CHECK(published(first).members == std::vector<LinkId>{port});
    REQUIRE(set_master(port, "br1"));
    CHECK(published(first).members.empty());
    CHECK(published(second).members == std::vector<LinkId>{port});
    CHECK_FALSE(core->fdb().get(first, record(port).mac));
}

TEST_CASE_METHOD(
    CoreFixture, "members that are down are not in the bridge workers see", "[control][bridge]"
) {
    const LinkId port0 = add_port(0);
    const LinkId port1 = add_port(1);
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    REQUIRE(set_master(port0, "br0"));
    REQUIRE(set_master(port1, "br0"));
    core->fdb().learn(bridge, mac("02:00:00:00:02:01"), port0, 1);
    REQUIRE(core->fdb().set(bridge, mac("02:00:00:00:02:02"), port0, {0, fdb::nud::kNoarp, 0, 0}, 1)
    );
    REQUIRE(up(port0, false));
    CHECK(published(bridge).members == std::vector<LinkId>{port1});
    CHECK_FALSE(core->fdb().get(bridge, mac("02:00:00:00:02:01")));
    CHECK(core->fdb().get(bridge, mac("02:00:00:00:02:02")));
    REQUIRE(set_master(port0, ""));
    CHECK_FALSE(core->fdb().get(bridge, mac("02:00:00:00:02:02")));
}

TEST_CASE_METHOD(
    CoreFixture, "a member's addresses rest until it leaves its bridge", "[control][bridge]"
) {
    const LinkId port = add_port(0);
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    REQUIRE(up(bridge));
    add_address(port, "192.0.2.1/24");
    CHECK(core->routing().is_local(ip("192.0.2.1")));
    CHECK(published(port).has_address);
    REQUIRE(set_master(port, "br0"));
    CHECK_FALSE(core->routing().is_local(ip("192.0.2.1")));
    CHECK_FALSE(published(port).has_address);
    add_address(bridge, "198.51.100.1/24");
    CHECK(published(bridge).has_address);
    REQUIRE(set_master(port, ""));
    CHECK(core->routing().is_local(ip("192.0.2.1")));
    CHECK(published(port).has_address);
}

TEST_CASE_METHOD(CoreFixture, "links go in any order", "[control][bridge]") {
    const LinkId port = add_port(0);
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.remote = ip("192.0.2.9");
    const LinkId tunnel = core->links().add(request).value();
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    REQUIRE(up(tunnel));
    REQUIRE(set_master(port, "br0"));
    REQUIRE(set_master(tunnel, "br0"));
    const bool bridge_first = GENERATE(true, false);
    CAPTURE(bridge_first);
    REQUIRE(core->links().del(bridge_first ? bridge : tunnel));
    REQUIRE(core->links().del(bridge_first ? tunnel : bridge));
    core->turn();
    CHECK(core->fdb().size() == 0);
    CHECK(core->tunnels().size() == 0);
    CHECK_FALSE(has_socket(8472));
    CHECK(published(port).master == kNoLink);
}

}  // namespace culvert::control::test
