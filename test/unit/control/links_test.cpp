// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

namespace culvert::control::test {

namespace {

using pipeline::LinkKind;

std::errc code(const Result<LinkId>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

std::errc code(const Result<void>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

// Keeps what it was asked, and refuses when told to.
struct FakeDevices final : PortDevices {
    Result<void> set_mtu(std::uint16_t /*port*/, std::uint32_t value) override {
        mtu = value;
        return {};
    }

    Result<void> set_mac(std::uint16_t /*port*/, const net::MacAddress& value) override {
        if (refuses_mac) {
            return Error{
                std::errc::operation_not_supported, "port net_test0: setting MAC address: refused"};
        }
        address = value;
        return {};
    }

    void set_promiscuous(std::uint16_t /*port*/, bool on) override { promiscuous = on; }

    std::uint32_t mtu = 0;
    net::MacAddress address;
    bool promiscuous = false;
    bool refuses_mac = false;
};

}  // namespace

TEST_CASE_METHOD(CoreFixture, "names are checked and new links are down", "[control][links]") {
    LinkAddRequest request;
    for (const char* name : {"", ".", "..", "a/b", "a b", "sixteencharacter", "a\tb"}) {
        request.name = name;
        CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    }
    request.name = "fifteencharacte";
    auto link = core->links().add(request);
    REQUIRE(link);
    CHECK_FALSE(record(*link).admin_up);
    CHECK_FALSE(published(*link).up);
    CHECK(code(core->links().add(request)) == std::errc::file_exists);
    CHECK(core->links().require("nope").error().what == "Cannot find device \"nope\"");
}

TEST_CASE_METHOD(CoreFixture, "a link that is up is not renamed, a port is", "[control][links]") {
    const LinkId dummy = add_link("d0", LinkKind::dummy);
    const LinkId port = add_port(0);
    REQUIRE(up(dummy));
    LinkSetRequest request;
    request.name = "d1";
    CHECK(code(core->links().set(dummy, request)) == std::errc::device_or_resource_busy);
    request.up = false;
    REQUIRE(core->links().set(dummy, request));
    CHECK(core->links().find("d0") == nullptr);
    CHECK(core->links().find("d1")->id == dummy);
    LinkSetRequest wan;
    wan.name = "wan";
    REQUIRE(core->links().set(port, wan));
    CHECK(core->links().find("wan")->id == port);
    CHECK(core->links().find("port0") == nullptr);
}

TEST_CASE_METHOD(CoreFixture, "a port is not deleted", "[control][links]") {
    const LinkId port = add_port(0);
    CHECK(code(core->links().del(port)) == std::errc::operation_not_supported);
    CHECK(record(port).admin_up);
}

TEST_CASE_METHOD(
    CoreFixture, "a link's number is not given away before a grace period", "[control][links]"
) {
    core->domain().online(0);
    const LinkId first = add_link("d0", LinkKind::dummy);
    core->own_counters().drop(first, pipeline::Drop::link_gone);
    REQUIRE(core->links().del(first));
    CHECK(core->published_links().read(first) == nullptr);
    core->domain().reclaim();
    const LinkId second = add_link("d1", LinkKind::dummy);
    CHECK(second != first);
    CHECK(core->drops(first, pipeline::Drop::link_gone) == 1);
    core->domain().quiescent(0);
    core->domain().reclaim();
    CHECK(core->drops(first, pipeline::Drop::link_gone) == 0);
    CHECK(add_link("d2", LinkKind::dummy) == first);
    core->domain().offline(0);
}

TEST_CASE_METHOD(
    CoreFixture, "a device that refuses leaves the port as it was", "[control][links]"
) {
    FakeDevices devices;
    core->links().use_devices(&devices);
    const LinkId port = add_port(0);
    devices.refuses_mac = true;
    LinkSetRequest request;
    request.mtu = 2000;
    request.address = mac("02:00:00:00:00:99");
    CHECK(code(core->links().set(port, request)) == std::errc::operation_not_supported);
    CHECK(devices.mtu == 1500);
    CHECK(record(port).mtu == 1500);
    CHECK(published(port).mac == mac("02:00:00:00:00:10"));
    devices.refuses_mac = false;
    REQUIRE(core->links().set(port, request));
    CHECK(devices.address == mac("02:00:00:00:00:99"));
    CHECK(published(port).mtu == 2000);
    request.mtu = 9001;
    CHECK(code(core->links().set(port, request)) == std::errc::invalid_argument);
}

TEST_CASE_METHOD(
    CoreFixture,
    "NEI-13 loss of carrier takes along what was learned, and not what was said",
    "[control][links]"
) {
    const LinkId port = add_quiet_port(0);
    add_address(port, "192.0.2.1/24");
    route::NeighbourTable& table = core->routing().neighbours();
    const auto know = [&](const std::string& address, route::NeighbourState state) {
        REQUIRE(table.set(
            route::NeighbourTable::Verb::replace,
            {port, ip(address)},
            mac("02:00:00:00:00:09"),
            state,
            false,
            core->now_ms()
        ));
    };
    const auto is_known = [&](const std::string& address) {
        const route::Neighbour* found = table.find({port, ip(address)});
        return found != nullptr && found->has_mac;
    };
    know("192.0.2.2", route::NeighbourState::reachable);
    know("192.0.2.3", route::NeighbourState::permanent);
    core->links().set_carrier(port, false);
    CHECK_FALSE(is_known("192.0.2.2"));
    CHECK(is_known("192.0.2.3"));
    know("192.0.2.2", route::NeighbourState::stale);
    core->links().set_carrier(port, true);
    CHECK(is_known("192.0.2.2"));
}

}  // namespace culvert::control::test
