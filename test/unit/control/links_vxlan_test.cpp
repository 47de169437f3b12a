// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

namespace culvert::control::test {

namespace {

using pipeline::LinkKind;

constexpr net::MacAddress kAllZeros{};

std::errc code(const Result<LinkId>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

std::errc code(const Result<void>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

}  // namespace

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-CRE-02 VXLAN-CRE-09 a MAC address must be a station's", "[control][vxlan]"
) {
    const LinkId kept = core->links().add(vxlan("vx1", 2)).value();
    for (const char* bad : {"00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"}) {
        LinkAddRequest request = vxlan("vx0", 1);
        request.address = mac(bad);
        CHECK(code(core->links().add(request)) == std::errc::address_not_available);
        // Nor can it get one that would keep it from being opened.
        LinkSetRequest change;
        change.address = mac(bad);
        CHECK(code(core->links().set(kept, change)) == std::errc::address_not_available);
    }
    CHECK(up(kept));
}

TEST_CASE_METHOD(
    CoreFixture,
    "VXLAN-CRE-03 VXLAN-CRE-10 no options at all is refused, no id is VNI 0",
    "[control][vxlan]"
) {
    LinkAddRequest request;
    request.name = "vx0";
    request.kind = LinkKind::vxlan;
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    request.vxlan.learning = true;
    auto link = core->links().add(request);
    REQUIRE(link);
    CHECK(record(*link).vxlan.vni == 0);
}

TEST_CASE_METHOD(CoreFixture, "VXLAN-CRE-04 VNI 16777215 is the last", "[control][vxlan]") {
    CHECK(core->links().add(vxlan("vx0", 16777215)));
    CHECK(code(core->links().add(vxlan("vx1", 16777216))) == std::errc::result_out_of_range);
}

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-CRE-05 a source port range must not be reversed", "[control][vxlan]"
) {
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.source_port_min = 2000;
    request.vxlan.source_port_max = 1999;
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    request.vxlan.source_port_max = 2000;
    CHECK(core->links().add(request));
}

TEST_CASE_METHOD(CoreFixture, "VXLAN-CRE-06 the MTU is between 68 and 65535", "[control][vxlan]") {
    LinkAddRequest request = vxlan("vx0", 1);
    for (std::uint32_t mtu : {0U, 67U, 65536U}) {
        request.mtu = mtu;
        CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    }
    request.mtu = 68;
    CHECK(core->links().add(request));
}

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-CRE-07 VXLAN-CRE-08 VXLAN-CRE-17 VXLAN-CRE-18 defaults", "[control][vxlan]"
) {
    auto link = core->links().add(vxlan("vx0", 42));
    REQUIRE(link);
    const LinkRecord& made = record(*link);
    CHECK(made.mac.is_valid_station());
    CHECK((made.mac.bytes[0] & 2) != 0);
    CHECK(made.mtu == 1500);
    encap::VxlanConfig expected;
    expected.vni = 42;
    CHECK(made.vxlan == expected);
    CHECK(made.vxlan.destination_port == 8472);
    CHECK(made.vxlan.udp_checksum);
    CHECK(made.vxlan.learning);
    CHECK((made.vxlan.tos == 0 && made.vxlan.ttl == 0));
    CHECK((made.vxlan.ageing_s == 300 && made.vxlan.limit == 0));
    CHECK((made.vxlan.source_port_min == 0 && made.vxlan.source_port_max == 0));
    CHECK(made.vxlan.df == encap::DontFragment::unset);
    LinkAddRequest zero = vxlan("vx1", 43);
    zero.vxlan.destination_port = 0;
    CHECK(record(core->links().add(zero).value()).vxlan.destination_port == 8472);
}

TEST_CASE_METHOD(CoreFixture, "families and group addresses", "[control][vxlan]") {
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.remote = ip("192.0.2.1");
    request.vxlan.local = ip("2001:db8::1");
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    request.vxlan.remote.reset();
    request.vxlan.local = ip("239.1.1.1");
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    request.vxlan.local.reset();
    request.vxlan.remote = ip("239.1.1.1");
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    request.vxlan.remote_is_group = true;
    request.vxlan.remote = ip("192.0.2.1");
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
}

TEST_CASE_METHOD(CoreFixture, "dev must exist, and a group needs one", "[control][vxlan]") {
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.dev = "nope";
    CHECK(code(core->links().add(request)) == std::errc::no_such_device);
    request.vxlan.dev.reset();
    request.vxlan.remote = ip("239.1.1.1");
    request.vxlan.remote_is_group = true;
    CHECK(code(core->links().add(request)) == std::errc::invalid_argument);
    add_port(0);
    request.vxlan.dev = "port0";
    CHECK(core->links().add(request).has_value());
}

TEST_CASE_METHOD(CoreFixture, "the MTU follows the lower link's", "[control][vxlan]") {
    add_port(0);
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.dev = "port0";
    CHECK(record(core->links().add(request).value()).mtu == 1450);
    request = vxlan("vx1", 2);
    request.vxlan.dev = "port0";
    request.mtu = 1451;
    CHECK(record(core->links().add(request).value()).mtu == 1450);
    request = vxlan("vx2", 3);
    request.vxlan.dev = "port0";
    request.mtu = 1000;
    CHECK(record(core->links().add(request).value()).mtu == 1000);
    LinkAddRequest tiny;
    tiny.name = "d0";
    tiny.mtu = 70;
    REQUIRE(core->links().add(tiny));
    request = vxlan("vx3", 4);
    request.vxlan.dev = "d0";
    CHECK(record(core->links().add(request).value()).mtu == 68);
}

TEST_CASE_METHOD(CoreFixture, "VXLAN-CRE-19 ageing 0 becomes 300", "[control][vxlan]") {
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.ageing_s = 0;
    CHECK(record(core->links().add(request).value()).vxlan.ageing_s == 300);
}

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-CRE-20 VNI and port make the device, up or not", "[control][vxlan]"
) {
    LinkAddRequest request = vxlan("vx1", 42);
    request.vxlan.destination_port = 4789;
    request.vxlan.remote = ip("192.0.2.1");
    REQUIRE(core->links().add(request));
    request.name = "vx2";
    request.vxlan.remote = ip("192.0.2.2");
    auto refused = core->links().add(request);
    CHECK(code(refused) == std::errc::file_exists);
    CHECK(refused.error().what == "link add vx2: vni 42 on port 4789 is already vx1's");
    // Nor do the local address, the lower link, or being up make another device of it.
    add_port(0);
    request.vxlan.local = ip("192.0.2.77");
    request.vxlan.dev = "port0";
    CHECK(code(core->links().add(request)) == std::errc::file_exists);
    REQUIRE(up(core->links().find("vx1")->id));
    CHECK(code(core->links().add(request)) == std::errc::file_exists);
    request.vxlan.destination_port = 8472;
    CHECK(core->links().add(request));
}

TEST_CASE_METHOD(
    CoreFixture, "VXLAN-CRE-21 the default remote is an FDB entry", "[control][vxlan]"
) {
    const LinkId port = add_port(0);
    LinkAddRequest request = vxlan("vx0", 42);
    request.vxlan.dev = "port0";
    request.vxlan.remote = ip("192.0.2.9");
    const LinkId link = core->links().add(request).value();
    const auto list = remotes(link, kAllZeros);
    REQUIRE(list.size() == 1);
    CHECK(list[0] == fdb::Remote{ip("192.0.2.9"), 42, 8472, port});
    const auto entry = core->fdb().get(link, kAllZeros);
    CHECK(entry->value.is_pinned());
    CHECK(entry->shadow.state == (fdb::nud::kReachable | fdb::nud::kPermanent));
    CHECK(entry->shadow.flags == fdb::ntf::kSelf);

    CHECK(remotes(core->links().add(vxlan("vx1", 43)).value(), kAllZeros).empty());

    // It counts against the limit.
    request = vxlan("vx2", 44);
    request.vxlan.remote = ip("192.0.2.9");
    request.vxlan.limit = 1;
    const LinkId full = core->links().add(request).value();
    fdb::VxlanFdbRequest one_more;
    one_more.mac = mac("02:00:00:00:01:02");
    one_more.destination = ip("192.0.2.8");
    const auto refused = core->vxlan_fdb().modify(vxlan_fdb_defaults(record(full)), one_more, 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_space_on_device);
}

TEST_CASE_METHOD(CoreFixture, "VXLAN-CRE-22 a vxlan goes with its lower link", "[control][vxlan]") {
    const LinkId lower = add_link("d0", LinkKind::dummy);
    LinkAddRequest request = vxlan("vx0", 1);
    request.vxlan.dev = "d0";
    const LinkId first = core->links().add(request).value();
    REQUIRE(up(first));
    request = vxlan("vx1", 2);
    request.vxlan.dev = "vx0";
    REQUIRE(core->links().add(request));
    REQUIRE(core->links().del(lower));
    CHECK(core->links().find("vx0") == nullptr);
    CHECK(core->links().find("vx1") == nullptr);
    CHECK_FALSE(is_open(8472, 1));
    CHECK_FALSE(has_socket(8472));
}

TEST_CASE_METHOD(CoreFixture, "VXLAN-CRE-23 circles and towers are refused", "[control][vxlan]") {
    LinkAddRequest request = vxlan("vx0", 1);
    REQUIRE(core->links().add(request));
    std::string below = "vx0";
    for (std::uint32_t level = 1; level <= 8; ++level) {
        request = vxlan("vx" + std::to_string(level), level + 1);
        request.vxlan.dev = below;
        REQUIRE(core->links().add(request));
        below = request.name;
    }
    request = vxlan("vx9", 10);
    request.vxlan.dev = below;
    CHECK(code(core->links().add(request)) == std::errc::too_many_links);
    LinkSetRequest change;
    change.vxlan.emplace();
    change.vxlan->dev = "vx3";
    CHECK(
        code(core->links().set(core->links().find("vx0")->id, change)) ==
        std::errc::device_or_resource_busy
    );
    change.vxlan->dev = "vx0";
    CHECK(
        code(core->links().set(core->links().find("vx0")->id, change)) ==
        std::errc::device_or_resource_busy
    );
}

TEST_CASE_METHOD(
    CoreFixture,
    "VXLAN-SOCK-01 VXLAN-SOCK-04 up opens the port, shared by its devices",
    "[control][vxlan]"
) {
    const LinkId first = core->links().add(vxlan("vx0", 1)).value();
    const LinkId second = core->links().add(vxlan("vx1", 2)).value();
    CHECK_FALSE(has_socket(8472));
    REQUIRE(up(first));
    REQUIRE(up(second));
    REQUIRE(up(second));
    CHECK(has_socket(8472));
    CHECK((is_open(8472, 1) && is_open(8472, 2)));
    REQUIRE(up(first, false));
    CHECK((has_socket(8472) && !is_open(8472, 1) && is_open(8472, 2)));
    REQUIRE(core->links().del(second));
    CHECK_FALSE(has_socket(8472));
    CHECK_FALSE(is_open(8472, 2));
}

}  // namespace culvert::control::test
