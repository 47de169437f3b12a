// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/flow_hash.hpp"
#include "test/unit/net/frame.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace culvert::net {
namespace {

constexpr std::uint32_t kSource = 0x0a000001;
constexpr std::uint32_t kDestination = 0x0a000002;

std::uint32_t hash_of(const Frame& frame) {
    return flow_hash(frame.data(), frame.size());
}

Frame v4(
    std::uint32_t source,
    std::uint32_t destination,
    std::uint8_t protocol,
    std::uint16_t source_port,
    std::uint16_t destination_port
) {
    return Frame{}
        .ether(0x0800)
        .ipv4(source, destination, protocol)
        .udp(source_port, destination_port);
}

TEST_CASE("GOLD-07 VXLAN-SPORT-02 source port of a hash", "[net]") {
    struct Case {
        std::uint32_t hash;
        std::uint16_t min;
        std::uint16_t max;
        std::uint16_t port;
    };

    const auto c = GENERATE(values<Case>({
        {0x00000001, 32768, 60999, 32768},
        {0x12345678, 32768, 60999, 40299},
        {0x80000000, 32768, 60999, 46883},
        {0xffffffff, 32768, 60999, 32768},
        {0x12345678, 5000, 5010, 5002},
        {0x80000000, 5000, 5010, 5005},
        {0x00000001, 1000, 1001, 1000},
        {0xffff0000, 1000, 1001, 1000},
    }));
    CHECK(flow_source_port(c.hash, c.min, c.max) == c.port);
}

TEST_CASE("VXLAN-SPORT-01 min not below max is the default range", "[net]") {
    struct Case {
        std::uint16_t min;
        std::uint16_t max;
    };

    const auto c = GENERATE(values<Case>({{0, 0}, {5000, 5000}, {5001, 5000}, {65535, 65535}}));
    CHECK(flow_source_port(0x12345678, c.min, c.max) == 40299);
    CHECK(flow_source_port(0x00000001, c.min, c.max) == 32768);
}

TEST_CASE("VXLAN-SPORT-02 max itself is never used, min is", "[net]") {
    // After the fold the highest value is 0xffffffff; the lowest is 0.
    CHECK(flow_source_port(0xffff0000, 5000, 5010) == 5009);
    CHECK(flow_source_port(0, 5000, 5010) == 5000);
    CHECK(flow_source_port(0xffff0000, 0, 65535) == 65534);
}

TEST_CASE("VXLAN-SPORT-02 both directions of a flow hash alike", "[net]") {
    const auto protocol = GENERATE(values<std::uint8_t>({6, 17, 132, 33, 136, 1, 47}));
    CHECK(
        hash_of(v4(kSource, kDestination, protocol, 1000, 80)) ==
        hash_of(v4(kDestination, kSource, protocol, 80, 1000))
    );
    CHECK(
        hash_of(v4(kSource, kSource, protocol, 1000, 80)) ==
        hash_of(v4(kSource, kSource, protocol, 80, 1000))
    );
    CHECK(
        hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, protocol).udp(1000, 80)) ==
        hash_of(Frame{}.ether(0x86dd).ipv6(2, 1, protocol).udp(80, 1000))
    );
}

TEST_CASE("VXLAN-SPORT-03 ports count where there are ports, and nowhere else", "[net]") {
    struct Case {
        std::uint8_t protocol;
        bool ports;
    };

    const auto c = GENERATE(
        values<Case>({{6, true}, {17, true}, {132, true}, {1, false}, {47, false}, {50, false}})
    );
    CHECK(
        (hash_of(v4(kSource, kDestination, c.protocol, 1000, 80)) !=
         hash_of(v4(kSource, kDestination, c.protocol, 1001, 80))) == c.ports
    );
    CHECK(
        (hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, c.protocol).udp(1000, 80)) !=
         hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, c.protocol).udp(1000, 81))) == c.ports
    );
    // Behind an IPv6 extension header too.
    const std::vector<std::uint8_t> options = {c.protocol, 0, 1, 4, 0, 0, 0, 0};
    CHECK(
        (hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, 60).add_bytes(options).udp(1000, 80)) !=
         hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, 60).add_bytes(options).udp(1000, 81))) == c.ports
    );
}

TEST_CASE("VXLAN-SPORT-03 all fragments of a datagram hash alike", "[net]") {
    const auto fragment = [](std::uint16_t flags_and_offset, std::uint16_t first_word) {
        return hash_of(Frame{}
                           .ether(0x0800)
                           .ipv4(kSource, kDestination, 17, flags_and_offset)
                           .udp(first_word, 9));
    };
    CHECK(fragment(0x2000, 1000) == fragment(0x20b9, 7777));
    CHECK(fragment(0x2000, 1000) == fragment(0x0172, 5));
}

TEST_CASE("VXLAN-SPORT-03 what changes from packet to packet does not count", "[net]") {
    Frame frame = v4(kSource, kDestination, 17, 1000, 80);
    const std::uint32_t hash = hash_of(frame);
    std::vector<std::uint8_t> bytes(frame.data(), frame.data() + frame.size());
    // MAC addresses, TOS, total length, id, TTL, header checksum, UDP length and checksum, payload.
    for (const std::size_t offset : {0U, 6U, 15U, 17U, 19U, 22U, 25U, 39U, 41U}) {
        std::vector<std::uint8_t> other = bytes;
        other[offset] ^= 0x5a;
        CHECK(flow_hash(other.data(), other.size()) == hash);
    }
    bytes.resize(bytes.size() + 1000);
    CHECK(flow_hash(bytes.data(), bytes.size()) == hash);
    const Frame tagged =
        Frame{}.ether(0x8100).vlan(7, 0x0800).ipv4(kSource, kDestination, 17).udp(1000, 80);
    CHECK(hash_of(tagged) == hash);
}

TEST_CASE("VXLAN-SPORT-03 addresses and protocol count", "[net]") {
    const std::uint32_t hash = hash_of(v4(kSource, kDestination, 17, 1000, 80));
    CHECK(hash_of(v4(kSource + 1, kDestination + 1, 17, 1000, 80)) != hash);
    CHECK(hash_of(v4(kSource, kDestination + 1, 17, 1000, 80)) != hash);
    CHECK(hash_of(v4(kSource, kDestination, 6, 1000, 80)) != hash);
    // Two flows between the same hosts with the ports the other way round are two flows.
    CHECK(hash_of(v4(kSource, kDestination, 17, 80, 1000)) != hash);
}

TEST_CASE("VXLAN-SPORT-02 an IPv6 flow label stands for the ports", "[net]") {
    const auto hash = [](std::uint32_t label, std::uint16_t port) {
        return hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, 17, label).udp(port, 80));
    };
    CHECK(hash(5, 1000) == hash(5, 1001));
    CHECK(hash(5, 1000) != hash(6, 1000));
    CHECK(hash(0, 1000) != hash(0, 1001));
}

TEST_CASE("VXLAN-SPORT-03 not IP: MAC addresses and EtherType", "[net]") {
    const auto hash = [](std::uint64_t destination, std::uint64_t source, std::uint16_t type) {
        return hash_of(Frame{}.add(EtherHeader{
            MacAddress::from_value(destination), MacAddress::from_value(source), Be16{type}}));
    };
    const std::uint32_t base = hash(0x020000000002, 0x020000000001, 0x0806);
    CHECK(base == hash(0x020000000002, 0x020000000001, 0x0806));
    CHECK(base != hash(0x020000000003, 0x020000000001, 0x0806));
    CHECK(base != hash(0x020000000002, 0x020000000004, 0x0806));
    CHECK(base != hash(0x020000000002, 0x020000000001, 0x88cc));
}

TEST_CASE("flow hash: never 0, not even of nothing", "[net]") {
    CHECK(flow_hash(nullptr, 0) == 1);
    const std::uint8_t byte = 0;
    CHECK(flow_hash(&byte, 1) == 1);
    CHECK(hash_of(Frame{}.add(EtherHeader{})) != 0);
}

// Ten thousand flows thrown into 28231 ports at random occupy 28231 * (1 - exp(-10000 / 28231)) =
// 8420 of them, with a deviation of about 35. A poor mix falls short of that by thousands.
TEST_CASE("VXLAN-SPORT-03 many flows spread over the range", "[net]") {
    constexpr int kFlows = 10000;
    const std::string pattern = GENERATE("ports", "addresses", "both", "high bits", "ipv6", "macs");
    std::set<std::uint16_t> ports;
    std::set<std::uint32_t> hashes;
    std::vector<int> low_byte(256);
    std::vector<int> high_byte(256);
    for (std::uint32_t i = 0; i < kFlows; ++i) {
        const auto low = static_cast<std::uint16_t>(i);
        std::uint32_t hash = 0;
        if (pattern == "ports") {
            hash =
                hash_of(v4(kSource, kDestination, 6, static_cast<std::uint16_t>(1024 + low), 80));
        } else if (pattern == "addresses") {
            hash = hash_of(v4(kSource + i, kDestination, 1, 0, 0));
        } else if (pattern == "both") {
            hash = hash_of(v4(kSource + i % 100, 0xac100001 + i / 100, 17, 5000, 5000));
        } else if (pattern == "high bits") {
            hash = hash_of(v4(i << 18, kDestination, 17, 5000, 5000));
        } else if (pattern == "ipv6") {
            hash = hash_of(Frame{}.ether(0x86dd).ipv6(1, 2, 6).udp(low, 80));
        } else {
            hash = hash_of(Frame{}.add(EtherHeader{
                kBroadcastMac, MacAddress::from_value(0x020000000000 + i), Be16{0x0806}}));
        }
        hashes.insert(hash);
        ports.insert(flow_source_port(hash, 0, 0));
        ++low_byte[hash & 0xff];
        ++high_byte[hash >> 24];
    }
    INFO(pattern);
    CHECK(hashes.size() >= kFlows - 2);
    CHECK(std::abs(static_cast<int>(ports.size()) - 8420) < 180);
    // 39 a bin; six deviations either way.
    for (const std::vector<int>& bins : {low_byte, high_byte}) {
        for (const int count : bins) {
            CHECK(count > 2);
            CHECK(count < 78);
        }
    }
}

}  // namespace
}  // namespace culvert::net
