// SPDX-License-Identifier: BSD-3-Clause
// vxlan links with IPv6 underneath: what may be configured, and what workers get to see.
#include "lib/net/ipv6.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <optional>

namespace culvert::control::test {

namespace {

constexpr net::MacAddress kAllZeros{};

struct Underlay6 : CoreFixture {
    Underlay6() {
        port = add_quiet_port(0);
        route::Address address;
        address.link = port;
        address.prefix = prefix("2001:db8::1/64");
        address.nodad = true;
        REQUIRE(core->routing().add_address(address, false));
        core->settle();
    }

    static LinkAddRequest vxlan6(
        const std::string& name,
        std::uint32_t vni,
        const std::string& remote = {},
        const std::string& local = {}
    ) {
        LinkAddRequest request = vxlan(name, vni);
        if (!remote.empty()) {
            request.vxlan.remote = ip(remote);
        }
        if (!local.empty()) {
            request.vxlan.local = ip(local);
        }
        return request;
    }

    std::optional<std::errc> refusal(const LinkAddRequest& request) {
        const auto done = core->links().add(request);
        return done ? std::nullopt : std::optional(done.error().code);
    }

    std::optional<std::errc> refusal(LinkId link, const VxlanOptions& options) {
        LinkSetRequest request;
        request.vxlan = options;
        const auto done = core->links().set(link, request);
        return done ? std::nullopt : std::optional(done.error().code);
    }

    std::uint64_t socket6(std::uint16_t udp_port) {
        std::uint64_t flags = UINT64_MAX;
        core->vxlan_demux().find(encap::VxlanKey::socket_ipv6(udp_port), flags);
        return flags;
    }

    const encap::VxlanTemplate& outer(LinkId link) {
        const auto entry = core->fdb().get(link, kAllZeros);
        REQUIRE(entry);
        const auto* destination = core->vxlan_destinations().read(entry->value.target());
        REQUIRE(destination != nullptr);
        const auto* found = core->vxlan_templates().read(destination->id(0));
        REQUIRE(found != nullptr);
        return *found;
    }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE_METHOD(
    Underlay6, "VXLAN-CRE-11 VXLAN-CRE-12 one address says the family", "[control][vxlan6]"
) {
    const LinkId by_local = core->links().add(vxlan6("a", 1, "", "2001:db8::1")).value();
    const LinkId by_remote = core->links().add(vxlan6("b", 2, "2001:db8::2")).value();
    const LinkId plain = core->links().add(vxlan6("c", 3)).value();
    CHECK(record(by_local).vxlan.is_ipv6);
    CHECK(record(by_remote).vxlan.is_ipv6);
    CHECK_FALSE(record(plain).vxlan.is_ipv6);
    CHECK(vxlan_fdb_defaults(record(by_remote)).family == net::Family::ipv6);
    CHECK(refusal(vxlan6("d", 4, "2001:db8::2", "192.0.2.1")) == std::errc::invalid_argument);
    CHECK(refusal(vxlan6("d", 4, "", "ff02::1")) == std::errc::invalid_argument);
    CHECK(refusal(vxlan6("d", 4, "ff02::1")) == std::errc::invalid_argument);
}

TEST_CASE_METHOD(
    Underlay6, "VXLAN-CRE-14 VXLAN-CRE-24 link-local addresses and flow labels", "[control][vxlan6]"
) {
    CHECK(refusal(vxlan6("a", 1, "fe80::2")) == std::errc::invalid_argument);
    CHECK(refusal(vxlan6("a", 1, "", "fe80::1")) == std::errc::invalid_argument);
    LinkAddRequest mixed = vxlan6("a", 1, "2001:db8::2", "fe80::1");
    mixed.vxlan.dev = "port0";
    CHECK(refusal(mixed) == std::errc::invalid_argument);
    mixed = vxlan6("a", 1, "fe80::2", "2001:db8::1");
    mixed.vxlan.dev = "port0";
    CHECK(refusal(mixed) == std::errc::invalid_argument);
    LinkAddRequest good = vxlan6("a", 1, "fe80::2", "fe80::1");
    good.vxlan.dev = "port0";
    CHECK(refusal(good) == std::nullopt);
    LinkAddRequest label = vxlan6("b", 2, "192.0.2.2");
    label.vxlan.flow_label = 5;
    CHECK(refusal(label) == std::errc::invalid_argument);
    label = vxlan6("b", 2, "2001:db8::2");
    label.vxlan.flow_label = 5;
    CHECK(refusal(label) == std::nullopt);
}

TEST_CASE_METHOD(Underlay6, "70 bytes of overhead over IPv6", "[control][vxlan6]") {
    LinkAddRequest request = vxlan6("a", 1, "2001:db8::2");
    request.vxlan.dev = "port0";
    const LinkId link = core->links().add(request).value();
    CHECK(record(link).mtu == 1430);
    LinkSetRequest larger;
    larger.mtu = 1431;
    CHECK_FALSE(core->links().set(link, larger));
    larger.mtu = 1430;
    CHECK(core->links().set(link, larger));
}

TEST_CASE_METHOD(
    Underlay6, "VXLAN-CRE-20 VXLAN-SOCK-02b a VNI over IPv6 is another", "[control][vxlan6]"
) {
    const LinkId four = core->links().add(vxlan6("a", 1, "192.0.2.2")).value();
    const LinkId six = core->links().add(vxlan6("b", 1, "2001:db8::2")).value();
    CHECK(refusal(vxlan6("c", 1, "2001:db8::3")) == std::errc::file_exists);
    REQUIRE(up(four));
    CHECK(socket6(8472) == UINT64_MAX);
    REQUIRE(up(six));
    CHECK(socket6(8472) == 0);
    std::uint64_t found = kNoLink;
    REQUIRE(core->vxlan_demux().find(encap::VxlanKey::make_ipv6(8472, 1), found));
    CHECK(found == six);
    REQUIRE(up(six, false));
    CHECK(socket6(8472) == UINT64_MAX);
    CHECK(is_open(8472, 1));
    REQUIRE(core->links().del(six));
    CHECK(refusal(vxlan6("c", 1, "2001:db8::3")) == std::nullopt);
}

TEST_CASE_METHOD(
    Underlay6,
    "VXLAN-CRE-20 VXLAN-SOCK-06 link-local links of one VNI stand on different ones",
    "[control][vxlan6]"
) {
    add_quiet_port(1);
    LinkAddRequest request = vxlan6("a", 1, "fe80::2");
    request.vxlan.dev = "port0";
    CHECK(refusal(request) == std::nullopt);
    request.name = "b";
    CHECK(refusal(request) == std::errc::file_exists);
    request.vxlan.dev = "port1";
    CHECK(refusal(request) == std::nullopt);
}

TEST_CASE_METHOD(
    Underlay6, "VXLAN-SOCK-03 VXLAN-SOCK-11 one port, one udp6zerocsumrx", "[control][vxlan6]"
) {
    LinkAddRequest tolerant = vxlan6("a", 1, "2001:db8::2");
    tolerant.vxlan.no_checksum6_rx = true;
    const LinkId first = core->links().add(tolerant).value();
    const LinkId second = core->links().add(vxlan6("b", 2, "2001:db8::2")).value();
    REQUIRE(up(first));
    CHECK(socket6(8472) == encap::VxlanKey::kNoChecksum);
    const auto refused = up(second);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::address_in_use);
    CHECK_FALSE(record(second).admin_up);
    REQUIRE(up(first, false));
    REQUIRE(up(second));
    CHECK(socket6(8472) == 0);
}

TEST_CASE_METHOD(Underlay6, "VXLAN-CHG-02 changes over IPv6", "[control][vxlan6]") {
    const LinkId link = core->links().add(vxlan6("a", 1, "2001:db8::2")).value();
    VxlanOptions options;
    options.remote = ip("192.0.2.2");
    CHECK(refusal(link, options) == std::errc::operation_not_supported);
    options.remote.reset();
    options.local = ip("192.0.2.1");
    CHECK(refusal(link, options) == std::errc::operation_not_supported);
    options.local.reset();
    options.no_checksum6_tx = false;
    CHECK(refusal(link, options) == std::errc::operation_not_supported);
    options.no_checksum6_tx.reset();
    options.remote = ip("2001:db8::3");
    options.local = ip("2001:db8::1");
    options.flow_label = 0x77;
    CHECK(refusal(link, options) == std::nullopt);
    CHECK(remotes(link, kAllZeros).at(0).address == ip("2001:db8::3"));
    CHECK(record(link).vxlan.flow_label == 0x77);
    options = {};
    options.remote = ip("fe80::3");
    CHECK(refusal(link, options) == std::errc::invalid_argument);
}

TEST_CASE_METHOD(
    Underlay6,
    "VXLAN-TX-20 VXLAN-TX-36 a template over IPv6 holds route, addresses and neighbour",
    "[control][vxlan6]"
) {
    LinkAddRequest request = vxlan6("a", 42, "2001:db8::2");
    request.vxlan.no_checksum6_tx = true;
    const LinkId link = core->links().add(request).value();
    REQUIRE(up(link));
    core->settle();
    CHECK(outer(link).state == encap::TunnelState::unresolved);
    CHECK_FALSE(sent_bytes().empty());  // who has it is asked
    REQUIRE(core->routing().neighbours().set(
        route::NeighbourTable::Verb::replace,
        {port, ip("2001:db8::2")},
        mac("02:00:00:00:02:02"),
        route::NeighbourState::permanent,
        false,
        core->now_ms()
    ));
    core->settle();
    const encap::VxlanTemplate& ready = outer(link);
    CHECK(ready.state == encap::TunnelState::ready);
    CHECK(ready.is_ipv6);
    CHECK_FALSE(ready.is_plain);
    CHECK_FALSE(ready.udp_checksum);
    CHECK(ready.mtu == 1500);
    net::EtherHeader ether{};
    net::Ipv6Header header{};
    std::memcpy(&ether, ready.bytes.data(), sizeof(ether));
    std::memcpy(&header, ready.bytes.data() + sizeof(ether), sizeof(header));
    CHECK(ether.destination == mac("02:00:00:00:02:02"));
    CHECK(ether.type.host() == net::ether_type::kIpv6);
    CHECK(net::IpAddress::from_v6(header.source) == ip("2001:db8::1"));
    CHECK(net::IpAddress::from_v6(header.destination) == ip("2001:db8::2"));
    CHECK(header.hop_limit == 64);
}

TEST_CASE_METHOD(
    Underlay6, "VXLAN-LRN-07 a link-local VTEP is learned with its link", "[control][vxlan6]"
) {
    const LinkId link = core->links().add(vxlan6("a", 42, "2001:db8::2")).value();
    REQUIRE(up(link));
    const auto learn = [&](const char* source) {
        fdb::LearnEvent event{ip(source), mac("02:00:00:00:00:0b"), link, port, {}};
        REQUIRE(
            rte_ring_enqueue_elem(core->workers().front()->rings.learned, &event, sizeof(event)) ==
            0
        );
        core->turn();
        return remotes(link, mac("02:00:00:00:00:0b")).at(0);
    };
    const fdb::Remote near = learn("fe80::2");
    CHECK(near.address == ip("fe80::2"));
    CHECK(near.via == port);
    CHECK(learn("2001:db8::7").address == ip("2001:db8::7"));
}

}  // namespace culvert::control::test
