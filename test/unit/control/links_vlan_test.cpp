// SPDX-License-Identifier: BSD-3-Clause
#include "lib/rcu/hash_table_writer.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace culvert::control::test {

namespace {

struct VlanLinks : CoreFixture {
    VlanLinks() { port = add_port(0); }

    static LinkAddRequest
    vlan(const std::string& name, const std::string& lower, std::uint32_t id) {
        LinkAddRequest request;
        request.name = name;
        request.kind = pipeline::LinkKind::vlan;
        request.lower = lower;
        request.vlan.id = id;
        return request;
    }

    LinkId add(const LinkAddRequest& request) { return core->links().add(request).value(); }

    std::errc refused(const LinkAddRequest& request) {
        const auto done = core->links().add(request);
        REQUIRE_FALSE(done);
        return done.error().code;
    }

    std::errc refused(LinkId link, const LinkSetRequest& request) {
        const auto done = core->links().set(link, request);
        REQUIRE_FALSE(done);
        return done.error().code;
    }

    LinkId tag_leads_to(LinkId lower, std::uint16_t id) {
        std::uint64_t found = kNoLink;
        core->vlan_demux().find(pipeline::VlanKey::make(lower, net::ether_type::kVlan, id), found);
        return static_cast<LinkId>(found);
    }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE_METHOD(
    VlanLinks,
    "a vlan link has its lower link's MAC and MTU, and is found by its tag",
    "[control][vlan]"
) {
    const LinkId link = add(vlan("port0.100", "port0", 100));
    CHECK(record(link).mac == record(port).mac);
    CHECK(record(link).mtu == record(port).mtu);
    CHECK_FALSE(record(link).admin_up);
    CHECK(tag_leads_to(port, 100) == link);
    CHECK(published(port).has_vlans);
    CHECK(published(link).vlan.id == 100);
    REQUIRE(core->links().del(link));
    CHECK(tag_leads_to(port, 100) == kNoLink);
    CHECK_FALSE(published(port).has_vlans);
}

TEST_CASE_METHOD(VlanLinks, "what a vlan link cannot be", "[control][vlan]") {
    add(vlan("v1", "port0", 1));
    CHECK(refused(vlan("v2", "port0", 1)) == std::errc::file_exists);
    CHECK(refused(vlan("v2", "port0", 4095)) == std::errc::result_out_of_range);
    CHECK(refused(vlan("v2", "nothing", 2)) == std::errc::no_such_device);
    LinkAddRequest request = vlan("v2", "port0", 2);
    request.lower.reset();
    CHECK(refused(request) == std::errc::invalid_argument);
    request = vlan("v2", "port0", 2);
    request.vlan.id.reset();
    CHECK(refused(request) == std::errc::invalid_argument);
    request = vlan("v2", "port0", 2);
    request.mtu = 1501;
    CHECK(refused(request) == std::errc::invalid_argument);
    LinkAddRequest tunnel;
    tunnel.name = "t0";
    tunnel.kind = pipeline::LinkKind::ipip;
    tunnel.ip_tunnel.remote = ip("192.0.2.2");
    add(tunnel);
    CHECK(refused(vlan("v2", "t0", 2)) == std::errc::operation_not_supported);
    request = vlan("v2", "port0", 1);
    request.vlan.protocol = net::ether_type::kQinq;
    CHECK(core->links().add(request));  // another tag
    request = vlan("d0", "port0", 1);
    request.kind = pipeline::LinkKind::dummy;
    CHECK(refused(request) == std::errc::operation_not_supported);
}

TEST_CASE_METHOD(VlanLinks, "a vlan link follows its lower link", "[control][vlan]") {
    const LinkId outer = add(vlan("v1", "port0", 1));
    const LinkId inner = add(vlan("v2", "v1", 2));
    LinkAddRequest own = vlan("v3", "port0", 3);
    own.address = mac("02:00:00:00:00:99");
    const LinkId other = add(own);
    SECTION("up and down") {
        LinkSetRequest request;
        request.up = true;
        CHECK(refused(inner, request) == std::errc::network_down);
        REQUIRE(up(outer));
        REQUIRE(up(inner));
        REQUIRE(up(port, false));
        CHECK_FALSE(record(outer).admin_up);
        CHECK_FALSE(record(inner).admin_up);
        CHECK_FALSE(published(inner).up);
        REQUIRE(up(port));
        CHECK(record(outer).admin_up);
        CHECK(record(inner).admin_up);
    }
    SECTION("MAC") {
        LinkSetRequest request;
        request.address = mac("02:00:00:00:00:55");
        REQUIRE(core->links().set(port, request));
        CHECK(record(inner).mac == mac("02:00:00:00:00:55"));
        CHECK(published(outer).mac == mac("02:00:00:00:00:55"));
        CHECK(record(other).mac == mac("02:00:00:00:00:99"));
    }
    SECTION("MTU") {
        LinkSetRequest request;
        request.mtu = 1400;
        REQUIRE(core->links().set(port, request));
        CHECK(record(outer).mtu == 1400);
        CHECK(record(inner).mtu == 1400);
        request.mtu = 1401;
        CHECK(refused(outer, request) == std::errc::result_out_of_range);
        request.mtu = 2000;
        REQUIRE(core->links().set(port, request));
        CHECK(record(outer).mtu == 1400);
    }
    SECTION("carrier") {
        core->links().set_carrier(port, false);
        CHECK_FALSE(record(inner).carrier);
    }
    SECTION("its end") {
        REQUIRE(core->links().del(outer));
        CHECK(core->links().find(inner) == nullptr);
        CHECK(tag_leads_to(outer, 2) == kNoLink);
        CHECK(core->links().find(other) != nullptr);
    }
}

TEST_CASE_METHOD(
    VlanLinks, "VXLAN-TX-26 a tunnel over a vlan link over itself is a loop", "[control][vlan]"
) {
    LinkAddRequest request = vxlan("vx0", 42);
    request.vxlan.remote = ip("10.0.0.2");
    const LinkId tunnel = add(request);
    REQUIRE(up(tunnel));
    const LinkId link = add(vlan("v1", "vx0", 5));
    REQUIRE(up(link));
    add_address(link, "10.0.0.1/24");
    bool seen = false;
    core->tunnels().for_each([&](const TunnelView& view) {
        seen = true;
        CHECK(view.state == encap::TunnelState::loop);
    });
    CHECK(seen);
}

}  // namespace culvert::control::test
