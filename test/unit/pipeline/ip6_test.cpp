// SPDX-License-Identifier: BSD-3-Clause
// The ip6 stage: what it refuses, where it sends the rest.
#include "lib/net/ipv6.hpp"
#include "test/unit/pipeline/fixture.hpp"

namespace culvert::pipeline::test {

namespace {

constexpr const char* kOurs = "2001:db8::1";
constexpr const char* kHost = "2001:db8::2";
constexpr const char* kFar = "2001:db8:1::5";  // behind a router on port 1
const net::MacAddress kNextHop = mac(0x77);

struct Ip6 {
    const char* source = kHost;
    const char* destination = kFar;
    std::uint8_t next_header = net::ip_protocol::kUdp;
    std::uint8_t hop_limit = 64;
    std::size_t payload = 32;
    std::uint8_t version = 6;
    int length_error = 0;
    Bytes extensions{};  // between header and payload
};

Bytes packet(const Ip6& what, net::MacAddress destination = Machine::port_mac(0)) {
    Bytes bytes = Packet().ether(destination, mac(1), net::ether_type::kIpv6).bytes();
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Be32{std::uint32_t{what.version} << 28};
    const std::size_t len = what.extensions.size() + what.payload;
    ip.payload_length =
        net::Be16{static_cast<std::uint16_t>(static_cast<int>(len) + what.length_error)};
    ip.next_header = what.next_header;
    ip.hop_limit = what.hop_limit;
    ip.source = net::IpAddress::parse(what.source).value().bytes();
    ip.destination = net::IpAddress::parse(what.destination).value().bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    bytes.insert(bytes.end(), raw, raw + sizeof(ip));
    bytes.insert(bytes.end(), what.extensions.begin(), what.extensions.end());
    bytes.resize(bytes.size() + what.payload, 0x55);
    return bytes;
}

// Port 0 is 2001:db8::1/64, 2001:db8:1::/48 lies behind a router on port 1.
struct Router6 : Machine {
    Router6()
        : in(port_link(0))
        , out(port_link(1)) {
        add_local("2001:db8::1/128");
        add_next_hop("2001:db8:1::/48", out, kNextHop);
    }

    void expect(const Ip6& what, Drop reason) {
        forget_drops();
        receive(in, packet(what), true);
        run();
        expect_only_drop(in, reason);
        CHECK(punted().empty());
        CHECK(sent(out).empty());
    }

    // Dropped by control, which tells the sender.
    IcmpError told(const Ip6& what) {
        receive(in, packet(what), true);
        run();
        const std::vector<IcmpAsked> asked = icmp_asked();
        REQUIRE(asked.size() == 1);
        CHECK(sent(out).empty());
        return asked.front().error;
    }

    LinkId in;
    LinkId out;
};

}  // namespace

TEST_CASE("ip6: forwarded with its hop limit one less", "[pipeline][ip6]") {
    Router6 router;
    for (int i = 0; i < 3; ++i) {
        router.receive(router.in, packet({}), true);
    }
    router.receive(router.in, packet({.destination = "2001:db8:1::6"}), true);
    router.run();
    router.expect_no_drop();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 4);
    Bytes expected = packet({.hop_limit = 63}, kNextHop);
    const net::MacAddress own = Machine::port_mac(1);
    std::copy(own.bytes.begin(), own.bytes.end(), expected.begin() + 6);
    CHECK(frames[0] == expected);
    CHECK(frames[2] == expected);
}

TEST_CASE("ip6: what is behind the packet is cut off", "[pipeline][ip6]") {
    Router6 router;
    Bytes bytes = packet({});
    bytes.resize(bytes.size() + 11);
    router.receive(router.in, bytes, true);
    router.run();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].size() == packet({}).size());
}

TEST_CASE("ip6: cut off at every length, it is dropped by name", "[pipeline][ip6]") {
    Router6 router;
    const Ip6 with_options{.next_header = 0, .payload = 8, .extensions = {17, 0, 1, 4, 0, 0, 0, 0}};
    const Bytes whole = packet(with_options);
    for (std::size_t len = 14; len < whole.size(); ++len) {
        router.forget_drops();
        router.receive(
            router.in, Bytes(whole.begin(), whole.begin() + static_cast<long>(len)), true
        );
        router.run();
        router.expect_only_drop(
            router.in, len < 14 + 40 ? Drop::ip6_truncated : Drop::ip6_payload_length
        );
    }
}

TEST_CASE("ip6: headers against the rules are dropped by name", "[pipeline][ip6]") {
    Router6 router;
    router.expect({.version = 4}, Drop::ip6_version);
    router.expect({.length_error = 1}, Drop::ip6_payload_length);
    router.expect({.source = "ff02::1"}, Drop::ip6_source_invalid);
    router.expect({.source = "::1"}, Drop::ip6_source_invalid);
    router.expect({.source = kOurs}, Drop::ip6_source_invalid);
    router.expect({.destination = "::1"}, Drop::ip6_destination_invalid);
    router.expect({.destination = "::"}, Drop::ip6_destination_invalid);
    router.expect({.destination = "ff01::1"}, Drop::ip6_destination_invalid);
    router.expect({.destination = "ff02::fb"}, Drop::ip6_group_unknown);
    router.expect({.source = "::"}, Drop::ip6_source_scope);
}

TEST_CASE("ip6: a link-layer group is not forwarded", "[pipeline][ip6]") {
    Router6 router;
    router.receive(router.in, packet({}, net::MacAddress::from_value(0x333300000001)), true);
    router.run();
    router.expect_only_drop(router.in, Drop::ip6_not_forwarded);
}

TEST_CASE("ICMPv6: whose sender is to hear of it", "[pipeline][ip6]") {
    Router6 router;
    route::Adjacency refusal;
    SECTION("hop limit") {
        const IcmpError error = router.told({.hop_limit = 1});
        CHECK(error.type == 3);
        CHECK(error.code == 0);
        CHECK(router.drops(router.in, Drop::ip6_hop_limit) == 1);
    }
    SECTION("no route") {
        const IcmpError error = router.told({.destination = "3fff::1"});
        CHECK(error.type == 1);
        CHECK(error.code == 0);
        CHECK(router.drops(router.in, Drop::ip6_no_route) == 1);
    }
    SECTION("prohibited") {
        refusal.kind = route::AdjacencyKind::prohibit;
        router.add_route("3fff::/20", refusal);
        CHECK(router.told({.destination = "3fff::1"}).code == 1);
        CHECK(router.drops(router.in, Drop::ip6_prohibit) == 1);
    }
    SECTION("a source that is not valid beyond its link") {
        CHECK(router.told({.source = "fe80::2"}).code == 2);
        CHECK(router.drops(router.in, Drop::ip6_source_scope) == 1);
    }
    SECTION("too big") {
        router.add_next_hop("2001:db8:2::/48", router.out, kNextHop, 1300);
        const IcmpError error =
            router.told({.destination = "2001:db8:2::1", .payload = 1300 - 40 + 1});
        CHECK(error.type == 2);
        CHECK(error.info == 1300);
        CHECK(router.drops(router.out, Drop::ip6_too_big) == 1);
    }
    SECTION("a next header that nothing takes") {
        const IcmpError error = router.told(
            {.destination = kOurs, .next_header = 60, .extensions = {99, 0, 1, 4, 0, 0, 0, 0}}
        );
        CHECK(error.type == 4);
        CHECK(error.code == 1);
        CHECK(error.info == 40);  // where the field is
    }
    SECTION("an option that says so") {
        const IcmpError error =
            router.told({.next_header = 0, .extensions = {17, 0, 1, 0, 0x9e, 2, 0, 0}});
        CHECK(error.type == 4);
        CHECK(error.code == 2);
        CHECK(error.info == 44);
    }
    SECTION("a routing header with segments left") {
        const IcmpError error = router.told(
            {.destination = kOurs, .next_header = 43, .extensions = {17, 0, 3, 1, 0, 0, 0, 0}}
        );
        CHECK(error.type == 4);
        CHECK(error.code == 0);
        CHECK(error.info == 42);
    }
}

TEST_CASE("ip6: a route that is a black hole says nothing", "[pipeline][ip6]") {
    Router6 router;
    route::Adjacency hole;
    hole.kind = route::AdjacencyKind::blackhole;
    router.add_route("3fff::/20", hole);
    router.expect({.destination = "3fff::1"}, Drop::ip6_blackhole);
}

TEST_CASE("ip6: options and extension headers within bounds", "[pipeline][ip6]") {
    Router6 router;
    // Skipped, discarded, and discarded in a packet to a group.
    router.receive(
        router.in, packet({.next_header = 0, .extensions = {17, 0, 0x1e, 4, 0, 0, 0, 0}}), true
    );
    router.run();
    CHECK(router.sent(router.out).size() == 1);
    router.expect(
        {.next_header = 0, .extensions = {17, 0, 0x5e, 4, 0, 0, 0, 0}}, Drop::ip6_option_unknown
    );
    // Longer than what is there; an option beyond its header; nine headers.
    router.expect(
        {.next_header = 0, .payload = 0, .extensions = {17, 1, 1, 4, 0, 0, 0, 0}},
        Drop::ip6_extension_header
    );
    router.expect(
        {.next_header = 0, .extensions = {17, 0, 1, 5, 0, 0, 0, 0}}, Drop::ip6_extension_header
    );
    Bytes many;
    for (int i = 0; i < 9; ++i) {
        const Bytes one{static_cast<std::uint8_t>(i == 8 ? 58 : 60), 0, 1, 4, 0, 0, 0, 0};
        many.insert(many.end(), one.begin(), one.end());
    }
    router.expect(
        {.destination = kOurs, .next_header = 60, .extensions = many}, Drop::ip6_extension_header
    );
    router.expect(
        {.destination = kOurs, .next_header = 44, .extensions = {17, 0, 0, 1, 0, 0, 0, 1}},
        Drop::ip6_fragment_local
    );
}

TEST_CASE("ip6: what control answers", "[pipeline][ip6]") {
    Router6 router;
    const char* to = GENERATE("2001:db8::1", "fe80::5", "ff02::1", "ff02::2", "ff02::1:ff00:1");
    router.receive(
        router.in, packet({.destination = to, .next_header = net::ip_protocol::kIcmpv6}), true
    );
    router.run();
    router.expect_no_drop();
    const auto punted = router.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::icmp6);
    CHECK(punted[0].note.l3_offset == 14);
    CHECK(punted[0].note.link_in == router.in);
}

TEST_CASE("ip6: a next hop without a MAC goes to control", "[pipeline][ip6]") {
    Router6 router;
    route::Adjacency adjacency;
    adjacency.link_out = router.out;
    adjacency.mtu = 1500;
    adjacency.kind = GENERATE(route::AdjacencyKind::glean, route::AdjacencyKind::incomplete);
    adjacency.next_hop = net::IpAddress::parse("fe80::9").value();
    router.add_route("2001:db8:3::/48", adjacency);
    router.receive(router.in, packet({.destination = "2001:db8:3::3"}), true);
    router.run();
    const auto punted = router.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::resolve);
    CHECK(punted[0].note.link_out == router.out);
    const bool is_glean = adjacency.kind == route::AdjacencyKind::glean;
    CHECK(punted[0].next_hop.to_string() == (is_glean ? "2001:db8:3::3" : "fe80::9"));
    CHECK(punted[0].bytes[14 + 7] == 63);
}

TEST_CASE("IPv4 and IPv6 in one burst find their stages", "[pipeline][ip6]") {
    Router6 router;
    router.add_next_hop("10.1.0.0/16", router.out, kNextHop);
    for (int i = 0; i < 8; ++i) {
        router.receive(router.in, packet({}), true);
        router.receive(
            router.in,
            Packet()
                .ether(Machine::port_mac(0), mac(1))
                .ipv4({.destination = 0x0a010005})
                .payload(9)
        );
    }
    router.run();
    router.expect_no_drop();
    CHECK(router.sent(router.out).size() == 16);
}

}  // namespace culvert::pipeline::test
