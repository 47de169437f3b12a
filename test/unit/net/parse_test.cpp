// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/flow_hash.hpp"
#include "lib/net/parse.hpp"
#include "test/unit/net/exact_buffer.hpp"
#include "test/unit/net/frame.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <vector>

namespace culvert::net {
namespace {

constexpr std::uint32_t kSender = 0x0a000001;
constexpr std::uint32_t kReceiver = 0x0a000002;

// An extension header of (1 + extra) * 8 bytes.
std::vector<std::uint8_t> extension(std::uint8_t next_header, std::uint8_t extra = 0) {
    std::vector<std::uint8_t> bytes(8 * (std::size_t{extra} + 1));
    bytes[0] = next_header;
    bytes[1] = extra;
    return bytes;
}

std::vector<std::uint8_t> fragment(std::uint8_t next_header, std::uint16_t offset_and_more) {
    return {
        next_header,
        0,
        static_cast<std::uint8_t>(offset_and_more >> 8),
        static_cast<std::uint8_t>(offset_and_more),
        0,
        0,
        0,
        1};
}

TEST_CASE("parse: ethernet and up to two tags", "[net]") {
    struct Case {
        Frame frame;
        std::uint16_t l3_offset = 0;
        std::uint16_t ether_type = 0;
        std::uint8_t vlan_count = 0;
    };

    const Case cases[] = {
        {Frame{}.ether(0x0800), 14, 0x0800, 0},
        {Frame{}.ether(0x8100).vlan(5, 0x86dd), 18, 0x86dd, 1},
        {Frame{}.ether(0x88a8).vlan(5, 0x8100).vlan(6, 0x0806), 22, 0x0806, 2},
        {Frame{}.ether(0x8100).vlan(5, 0x8100).vlan(6, 0x8100).vlan(7, 0x0800), 22, 0x8100, 2},
        {Frame{}.ether(60), 14, 60, 0},
    };
    for (const Case& c : cases) {
        const EtherView view = parse_ether(c.frame.data(), c.frame.size());
        CHECK(view.ok);
        CHECK(view.l3_offset == c.l3_offset);
        CHECK(view.ether_type == c.ether_type);
        CHECK(view.vlan_count == c.vlan_count);
    }
}

TEST_CASE("parse: a frame that ends within ethernet or a tag is not ok", "[net]") {
    const Frame frame = Frame{}.ether(0x88a8).vlan(5, 0x8100).vlan(6, 0x0800);
    for (std::size_t len = 0; len < frame.size(); ++len) {
        ExactBuffer exact(frame.data(), len);
        CHECK_FALSE(parse_ether(exact.data(), len).ok);
    }
    CHECK(parse_ether(frame.data(), frame.size()).ok);
}

TEST_CASE("parse: IPv4 with UDP", "[net]") {
    const Frame frame =
        Frame{}.ether(0x0800).ipv4(kSender, kReceiver, 17, kIpv4DontFragment).udp(1, 2);
    const ParsedPacket packet = parse_frame(frame.data(), frame.size());
    CHECK(packet.l3 == L3::ipv4);
    CHECK(packet.l3_offset == 14);
    CHECK(packet.l4_offset == 34);
    CHECK(packet.protocol == 17);
    CHECK(packet.tos == 0x2a);
    CHECK(packet.ttl == 63);
    CHECK(packet.dont_fragment);
    CHECK_FALSE(packet.is_fragment);
    CHECK_FALSE(packet.truncated);
}

TEST_CASE("parse: IPv4 options move the transport header, a bad length hides it", "[net]") {
    Frame frame =
        Frame{}.ether(0x0800).ipv4(kSender, kReceiver, 17).add_bytes(std::vector<std::uint8_t>(40));

    struct Case {
        std::uint8_t version_and_ihl;
        std::uint16_t l4_offset;
    };

    const auto c =
        GENERATE(values<Case>({{0x45, 34}, {0x46, 38}, {0x4f, 74}, {0x44, 0}, {0x40, 0}}));
    ExactBuffer exact(frame.data(), frame.size());
    exact.data()[14] = c.version_and_ihl;
    CHECK(parse_frame(exact.data(), exact.size()).l4_offset == c.l4_offset);
    // One byte short of the longest header: there is no room for ihl 15.
    const std::uint16_t shorter = c.version_and_ihl == 0x4f ? std::uint16_t{0} : c.l4_offset;
    CHECK(parse_frame(exact.data(), exact.size() - 1).l4_offset == shorter);
}

TEST_CASE("parse: IPv4 fragments", "[net]") {
    struct Case {
        std::uint16_t flags_and_offset;
        bool is_fragment;
        bool first;
    };

    const auto c = GENERATE(values<Case>({
        {0x0000, false, false},
        {0x4000, false, false},
        {0x2000, true, true},
        {0x2001, true, false},
        {0x00b9, true, false},
        {0x1fff, true, false},
    }));
    const Frame frame =
        Frame{}.ether(0x0800).ipv4(kSender, kReceiver, 17, c.flags_and_offset).udp(1, 2);
    const ParsedPacket packet = parse_frame(frame.data(), frame.size());
    CHECK(packet.is_fragment == c.is_fragment);
    CHECK(packet.first_fragment == c.first);
    CHECK(packet.l4_offset == (c.is_fragment && !c.first ? 0 : 34));
    CHECK(packet.protocol == 17);
}

TEST_CASE("parse: IPv6 with and without extension headers", "[net]") {
    struct Case {
        std::string name;
        Frame frame;
        std::uint16_t l4_offset;
        std::uint8_t protocol;
        bool is_fragment;
        bool first;
    };

    const std::vector<std::uint8_t> authentication = {17, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                      0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const Case cases[] = {
        {"udp", Frame{}.ether(0x86dd).ipv6(1, 2, 17).udp(1, 2), 54, 17, false, false},
        {"no next header", Frame{}.ether(0x86dd).ipv6(1, 2, 59), 54, 59, false, false},
        {"hop by hop",
         Frame{}.ether(0x86dd).ipv6(1, 2, 0).add_bytes(extension(17)).udp(1, 2),
         62,
         17,
         false,
         false},
        {"long routing, options",
         Frame{}.ether(0x86dd).ipv6(1, 2, 43).add_bytes(extension(60, 2)).add_bytes(extension(6)),
         86,
         6,
         false,
         false},
        {"authentication",
         Frame{}.ether(0x86dd).ipv6(1, 2, 51).add_bytes(authentication).udp(1, 2),
         78,
         17,
         false,
         false},
        {"first fragment",
         Frame{}.ether(0x86dd).ipv6(1, 2, 44).add_bytes(fragment(17, 0x0001)).udp(1, 2),
         62,
         17,
         true,
         true},
        {"later fragment",
         Frame{}.ether(0x86dd).ipv6(1, 2, 44).add_bytes(fragment(17, 0x00b8)).udp(1, 2),
         0,
         17,
         true,
         false},
        {"atomic fragment",
         Frame{}.ether(0x86dd).ipv6(1, 2, 44).add_bytes(fragment(17, 0x0000)).udp(1, 2),
         62,
         17,
         false,
         false},
        {"header as long as a byte can say, longer than the frame",
         Frame{}.ether(0x86dd).ipv6(1, 2, 0).add_bytes({17, 255, 0, 0, 0, 0, 0, 0}),
         0,
         0,
         false,
         false},
    };
    for (const Case& c : cases) {
        INFO(c.name);
        const ParsedPacket packet = parse_frame(c.frame.data(), c.frame.size());
        CHECK(packet.l3 == L3::ipv6);
        CHECK(packet.l4_offset == c.l4_offset);
        CHECK(packet.protocol == c.protocol);
        CHECK(packet.is_fragment == c.is_fragment);
        CHECK(packet.first_fragment == c.first);
        CHECK(packet.tos == 0x2a);
        CHECK(packet.ttl == 63);
        CHECK_FALSE(packet.dont_fragment);
    }
}

TEST_CASE("parse: a chain of more than eight extension headers is given up", "[net]") {
    for (int count = 1; count <= 10; ++count) {
        Frame frame = Frame{}.ether(0x86dd).ipv6(1, 2, 60);
        for (int i = 1; i < count; ++i) {
            frame.add_bytes(extension(60));
        }
        frame.add_bytes(extension(17)).udp(1, 2);
        const ParsedPacket packet = parse_frame(frame.data(), frame.size());
        const int expected = count <= kMaxExtensionHeaders ? 54 + 8 * count : 0;
        CHECK(packet.l4_offset == expected);
    }
}

TEST_CASE("parse: what is not IP has no network header", "[net]") {
    const auto type = GENERATE(values<std::uint16_t>({0x0806, 0x8847, 0x0000, 60, 0x8100}));
    const Frame frame = Frame{}.ether(type).ipv4(kSender, kReceiver, 17);
    const ParsedPacket packet = parse_frame(frame.data(), frame.size());
    CHECK(packet.l3 == L3::none);
    CHECK_FALSE(packet.truncated);
    CHECK(packet.l4_offset == 0);
}

TEST_CASE("parse: truncation at every length, in memory of exactly that length", "[net]") {
    struct Case {
        std::string name;
        Frame frame;
        std::size_t l3_end;  // the fixed IP header is whole from here on
    };

    const Case cases[] = {
        {"v4", Frame{}.ether(0x0800).ipv4(kSender, kReceiver, 17).udp(1, 2), 34},
        {"v4 tagged twice",
         Frame{}
             .ether(0x88a8)
             .vlan(1, 0x8100)
             .vlan(2, 0x0800)
             .ipv4(kSender, kReceiver, 6)
             .udp(1, 2),
         42},
        {"v6", Frame{}.ether(0x86dd).ipv6(1, 2, 17).udp(1, 2), 54},
        {"v6 extended",
         Frame{}
             .ether(0x86dd)
             .ipv6(1, 2, 0)
             .add_bytes(extension(43, 1))
             .add_bytes(extension(44, 2))
             .add_bytes(fragment(51, 1))
             .add_bytes({60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
             .add_bytes(extension(17))
             .udp(1, 2),
         54},
        {"arp", Frame{}.ether(0x0806).add(ArpHeader{}), SIZE_MAX},
    };
    for (const Case& c : cases) {
        for (std::size_t len = 0; len <= c.frame.size(); ++len) {
            INFO(c.name << ", " << len << " bytes");
            ExactBuffer exact(c.frame.data(), len);
            const EtherView ether = parse_ether(exact.data(), len);
            const ParsedPacket packet = parse_frame(exact.data(), len);
            CHECK((packet.l3 != L3::none) == (len >= c.l3_end));
            CHECK(packet.truncated == (ether.ok && len < c.l3_end && ether.ether_type != 0x0806));
            CHECK(packet.l4_offset <= len);
            CHECK(flow_hash(exact.data(), len) != 0);
        }
        const ParsedPacket whole = parse_frame(c.frame.data(), c.frame.size());
        CHECK((whole.l4_offset == c.frame.size() - 8) == (whole.l3 != L3::none));
    }
}

TEST_CASE("parse: random bytes never lead out of the frame", "[net]") {
    std::mt19937 random(8);
    constexpr std::uint16_t kTypes[] = {0x0800, 0x86dd, 0x8100, 0x88a8};
    constexpr std::uint8_t kNext[] = {0, 43, 44, 51, 60, 135};
    for (int i = 0; i < 20000; ++i) {
        std::vector<std::uint8_t> bytes(random() % 140);
        for (std::uint8_t& byte : bytes) {
            byte = random() % 4 == 0 ? kNext[random() % 6] : static_cast<std::uint8_t>(random());
        }
        if (bytes.size() > 20) {
            const std::uint16_t type = kTypes[random() % 4];
            bytes[12] = static_cast<std::uint8_t>(type >> 8);
            bytes[13] = static_cast<std::uint8_t>(type);
            bytes[20] = kNext[random() % 6];
        }
        ExactBuffer exact(bytes.data(), bytes.size());
        const ParsedPacket packet = parse_frame(exact.data(), exact.size());
        REQUIRE(packet.l4_offset <= exact.size());
        REQUIRE(flow_hash(exact.data(), exact.size()) != 0);
    }
}

}  // namespace
}  // namespace culvert::net
