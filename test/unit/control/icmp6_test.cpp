// SPDX-License-Identifier: BSD-3-Clause
// ICMPv6 as control does it: echo and errors.
#include "test/unit/control/ip6_node.hpp"

namespace culvert::control::test {

TEST_CASE("ICMPv6: echo is answered, also to a group and link-local", "[control][nd]") {
    Node node;
    Bytes message{128, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2, 3, 4, 5};
    const std::string to = GENERATE(as<std::string>{}, kOurLocal, "ff02::1");
    REQUIRE(node.core->routing().neighbours().set(
        route::NeighbourTable::Verb::add,
        {node.port, ip(kPeerLocal)},
        kPeer,
        route::NeighbourState::permanent,
        false,
        node.core->now_ms()
    ));
    node.hear({.destination = to, .hop_limit = 3, .message = message});
    const Bytes reply = node.sent_bytes();
    REQUIRE(reply.size() == kIcmpAt + message.size());
    CHECK(text_at(reply, 22) == kOurLocal);
    CHECK(text_at(reply, 38) == kPeerLocal);
    CHECK(reply[21] == 64);
    CHECK(reply[14] == 0x62);  // the traffic class
    CHECK(reply[kIcmpAt] == 129);
    CHECK(std::equal(message.begin() + 4, message.end(), reply.begin() + kIcmpAt + 4));
    CHECK(checksum_is_right(reply));
}

TEST_CASE("ICMPv6: wrong checksums and others' link-local addresses", "[control][nd]") {
    Node node;
    Bytes broken = frame({.message = {128, 0, 0, 0, 0, 1, 0, 1}});
    broken.back() ^= 1;
    node.punt(broken, Punt::icmp6, node.port);
    CHECK(node.drops(Drop::icmp_malformed) == 1);
    node.hear({.destination = "fe80::99", .message = {128, 0, 0, 0, 0, 1, 0, 1}});
    CHECK(node.drops(Drop::ip6_not_local) == 1);
    CHECK(node.sent_bytes().empty());
}

TEST_CASE("RT-11 a router on the way says what it takes of our packets", "[control][nd]") {
    Node node;
    REQUIRE(node.core->routing().modify_route(
        route::RouteVerb::add,
        {.prefix = *net::Prefix::parse("3fff::/32"), .gateway = ip("2001:db8::2")}
    ));
    // Packet too big, with the 40 bytes of header that it is about.
    const auto hear = [&](std::uint16_t mtu, const std::string& source, std::uint8_t protocol) {
        Bytes message{
            2, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(mtu >> 8), static_cast<std::uint8_t>(mtu)};
        net::Ipv6Header quoted{};
        quoted.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
        quoted.next_header = protocol;
        quoted.source = ip(source).bytes();
        quoted.destination = ip("3fff::7").bytes();
        const auto* raw = reinterpret_cast<const std::uint8_t*>(&quoted);
        message.insert(message.end(), raw, raw + sizeof(quoted));
        node.hear({.source = "2001:db8::2", .destination = "2001:db8::1", .message = message});
        return node.core->routing().lookup(ip("3fff::7"));
    };
    CHECK(hear(1400, "2001:db8::9", 47).mtu == 1500);  // not ours
    CHECK(hear(1400, "2001:db8::1", 6).mtu == 1500);   // we send no TCP
    CHECK(node.drops(Drop::icmp_not_handled) == 2);
    const route::Path path = hear(1400, "2001:db8::1", 47);
    CHECK(path.mtu == 1400);
    CHECK(path.learned);
    CHECK_FALSE(path.mtu_locked);
    CHECK(node.core->routing().lookup(ip("3fff::8")).mtu == 1500);
    // No link is narrower than 1280 (RFC 8200, 5).
    CHECK(hear(600, "2001:db8::1", 58).mtu == 1280);
    node.core->set_now_ms(node.core->now_ms() + 600001);
    node.core->routing().tick(node.core->now_ms());
    CHECK(node.core->routing().lookup(ip("3fff::7")).mtu == 1500);
}

TEST_CASE("ICMP-06 errors: to whom, how many, and how long", "[control][nd]") {
    Node node;
    REQUIRE(node.core->routing().neighbours().set(
        route::NeighbourTable::Verb::add,
        {node.port, ip("2001:db8::2")},
        kPeer,
        route::NeighbourState::permanent,
        false,
        node.core->now_ms()
    ));
    const auto refuse = [&](const Icmp& what, std::uint8_t type, std::uint8_t code) {
        rte_mbuf* made = node.packet(frame(what), Punt::icmp_error, node.port);
        pipeline::icmp_demand_of(made
        ) = {{.type = type, .code = code}, node.port, Drop::ip6_no_route};
        node.core->own_counters().received.add(1);
        node.core->slow_path().handle(made);
        return node.sent_bytes();
    };
    const Bytes echo{128, 0, 0, 0, 0, 1, 0, 1};
    Icmp good{.source = "2001:db8::2", .destination = "3fff::1", .message = echo};
    SECTION("as much of the packet as fits into 1280 bytes") {
        good.message.resize(1400);
        const Bytes error = refuse(good, 1, 0);
        REQUIRE(error.size() == 14 + 1280);
        CHECK(text_at(error, 22) == "2001:db8::1");
        CHECK(checksum_is_right(error));
    }
    SECTION("not about errors, to nobody, and to no group") {
        Icmp other = good;
        other.message[0] = 1;
        CHECK(refuse(other, 1, 0).empty());
        other = good;
        other.source = "::";
        CHECK(refuse(other, 1, 0).empty());
        other = good;
        other.destination = "ff05::1";
        CHECK(refuse(other, 1, 0).empty());
        CHECK_FALSE(refuse(other, 2, 0).empty());
    }
    SECTION("six at once, then four a second on a /64; packet too big always") {
        int heard = 0;
        for (int i = 0; i < 20; ++i) {
            heard += refuse(good, 1, 0).empty() ? 0 : 1;
        }
        CHECK(heard == 6);
        CHECK_FALSE(refuse(good, 2, 0).empty());
        node.core->set_now_ms(node.core->now_ms() + 250);
        CHECK_FALSE(refuse(good, 1, 0).empty());
        CHECK(refuse(good, 1, 0).empty());
    }
}

}  // namespace culvert::control::test
