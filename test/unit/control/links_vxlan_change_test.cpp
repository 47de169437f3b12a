// SPDX-License-Identifier: BSD-3-Clause
// vxlan links that change, go down, and go.
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace culvert::control::test {

namespace {

using pipeline::LinkKind;

constexpr net::MacAddress kAllZeros{};

std::errc code(const Result<void>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

}  // namespace

TEST_CASE_METHOD(CoreFixture, "what may be changed", "[control][vxlan]") {
    add_port(0);
    const LinkId link = core->links().add(vxlan("vx0", 42)).value();
    LinkSetRequest request;
    VxlanOptions& options = request.vxlan.emplace();
    options.vni = 42;
    options.local = ip("192.0.2.1");
    options.tos = std::uint8_t{0x10};
    options.ttl = std::uint8_t{7};
    options.learning = false;
    options.ageing_s = 10;
    options.df = encap::DontFragment::set;
    options.dev = "port0";
    REQUIRE(core->links().set(link, request));
    const encap::VxlanConfig& config = published(link).vxlan;
    CHECK(config.local == ip("192.0.2.1"));
    CHECK((config.tos == 0x10 && config.ttl == 7 && !config.learning && config.ageing_s == 10));
    CHECK(config.df == encap::DontFragment::set);
    CHECK(config.lower == core->links().find("port0")->id);
    request.vxlan = VxlanOptions{};
    request.vxlan->local = ip("2001:db8::1");
    CHECK(code(core->links().set(link, request)) == std::errc::operation_not_supported);
}

TEST_CASE_METHOD(CoreFixture, "VXLAN-CHG-02 what may not be changed", "[control][vxlan]") {
    const LinkId link = core->links().add(vxlan("vx0", 42)).value();
    auto refused = [&](auto&& change) {
        LinkSetRequest request;
        request.vxlan.emplace();
        change(request);
        return code(core->links().set(link, request)) == std::errc::operation_not_supported;
    };
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->vni = 43; }));
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->limit = 0; }));
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->source_port_min = 0; }));
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->destination_port = 8472; }));
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->udp_checksum = true; }));
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->ttl_inherit = true; }));
    CHECK(refused([](LinkSetRequest& r) { r.vxlan->source_port_max = 0; }));
    CHECK(refused([](LinkSetRequest& r) { r.mtu = 1400; }));
    const LinkId dummy = add_link("d0", LinkKind::dummy);
    LinkSetRequest request;
    request.vxlan.emplace();
    CHECK(code(core->links().set(dummy, request)) == std::errc::operation_not_supported);
}

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-CHG-03 a new remote is appended, then the old one goes", "[control][vxlan]"
) {
    LinkAddRequest add = vxlan("vx0", 42);
    add.vxlan.remote = ip("192.0.2.1");
    const LinkId link = core->links().add(add).value();
    fdb::VxlanFdbRequest append;
    append.verb = fdb::FdbVerb::append;
    append.destination = ip("192.0.2.5");
    REQUIRE(core->vxlan_fdb().modify(vxlan_fdb_defaults(record(link)), append, 1));
    LinkSetRequest request;
    request.vxlan.emplace();
    request.vxlan->remote = ip("192.0.2.2");
    REQUIRE(core->links().set(link, request));
    auto list = remotes(link, kAllZeros);
    REQUIRE(list.size() == 2);
    CHECK(list[0].address == ip("192.0.2.5"));
    CHECK(list[1].address == ip("192.0.2.2"));
    request.vxlan->remote = ip("0.0.0.0");
    REQUIRE(core->links().set(link, request));
    list = remotes(link, kAllZeros);
    REQUIRE(list.size() == 1);
    CHECK(list[0].address == ip("192.0.2.5"));
}

TEST_CASE_METHOD(
    CoreFixture,
    "VXLAN-CHG-05 VXLAN-CHG-06 VXLAN-CHG-07 the MTU and the lower link",
    "[control][vxlan]"
) {
    const LinkId port = add_port(0);
    const LinkId link = core->links().add(vxlan("vx0", 42)).value();
    LinkSetRequest request;
    request.vxlan.emplace();
    request.vxlan->dev = "port0";
    REQUIRE(core->links().set(link, request));
    CHECK(record(link).mtu == 1450);

    LinkSetRequest mtu;
    mtu.mtu = 1451;
    CHECK(code(core->links().set(link, mtu)) == std::errc::invalid_argument);
    mtu.mtu = 67;
    CHECK(code(core->links().set(link, mtu)) == std::errc::invalid_argument);
    mtu.mtu = 1400;
    REQUIRE(core->links().set(link, mtu));
    CHECK(published(link).mtu == 1400);

    mtu.mtu = 1000;
    REQUIRE(core->links().set(port, mtu));
    CHECK(record(link).mtu == 1400);
}

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-DEL-01 VXLAN-DEL-02 down and deletion flush the FDB", "[control][vxlan]"
) {
    LinkAddRequest add = vxlan("vx0", 42);
    add.vxlan.remote = ip("192.0.2.1");
    const LinkId link = core->links().add(add).value();
    REQUIRE(up(link));
    const auto defaults = vxlan_fdb_defaults(record(link));
    core->vxlan_fdb().learn(defaults, mac("02:00:00:00:01:01"), ip("192.0.2.7"), 1);
    fdb::VxlanFdbRequest permanent;
    permanent.mac = mac("02:00:00:00:01:02");
    permanent.destination = ip("192.0.2.8");
    REQUIRE(core->vxlan_fdb().modify(defaults, permanent, 1));
    CHECK(core->fdb().domain_size(link) == 3);
    REQUIRE(up(link, false));
    CHECK_FALSE(core->fdb().get(link, mac("02:00:00:00:01:01")));
    CHECK(core->fdb().get(link, permanent.mac));
    CHECK(core->fdb().get(link, kAllZeros));
    events.clear();
    REQUIRE(core->links().del(link));
    CHECK(core->fdb().domain_size(link) == 0);
    CHECK(core->tunnels().size() == 0);
    const auto deleted = std::count_if(events.begin(), events.end(), [](const Event& event) {
        return event.object == Event::Object::fdb && event.removed;
    });
    CHECK(deleted == 2);
}

}  // namespace culvert::control::test
