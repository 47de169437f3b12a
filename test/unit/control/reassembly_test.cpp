// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/checksum.hpp"
#include "test/unit/control/reassembly_fixture.hpp"

#include <random>

namespace culvert::control::test {

namespace {

struct Datagram {
    std::uint32_t source = 0xc0000202;
    std::uint16_t id = 7;
    std::uint8_t protocol = 17;
    std::uint8_t tos = 0;
};

// 14 bytes of link header, then the fragment.
Bytes fragment(const Datagram& datagram, std::size_t offset, const Bytes& payload, bool more) {
    Bytes bytes(14 + 20 + payload.size(), 0x11);
    net::Ipv4Header ip{};
    ip.version_and_ihl = net::kIpv4VersionIhl;
    ip.type_of_service = datagram.tos;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(20 + payload.size())};
    ip.identification = net::Be16{datagram.id};
    ip.flags_and_offset = net::Be16{static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000 : 0))};
    ip.time_to_live = 9;
    ip.protocol = datagram.protocol;
    ip.source = net::Be32{datagram.source};
    ip.destination = net::Be32{0xc0000201};
    ip.checksum = net::ipv4_header_checksum(ip);
    std::memcpy(&bytes[14], &ip, sizeof(ip));
    std::copy(payload.begin(), payload.end(), bytes.begin() + 34);
    return bytes;
}

void check_whole(const Bytes& whole, const Bytes& payload) {
    REQUIRE(whole.size() == 34 + payload.size());
    net::Ipv4Header ip{};
    std::memcpy(&ip, &whole[14], sizeof(ip));
    CHECK(net::ipv4_header_checksum_is_valid(ip));
    CHECK(ip.total_length.host() == 20 + payload.size());
    CHECK_FALSE(ip.is_fragment());
    CHECK(part(whole, 34, whole.size()) == payload);
    CHECK(Bytes(whole.begin(), whole.begin() + 14) == Bytes(14, 0x11));
}

}  // namespace

TEST_CASE("TUN-RX-12 VXLAN-PMTU-05 fragments in any order", "[control][fragment]") {
    // 9000 bytes over links of 576, and a datagram in the smallest fragments there are.
    const auto [length, room] =
        GENERATE(table<std::size_t, std::size_t>({{8980, 552}, {401, 8}, {65512, 1480}, {16, 8}}));
    const std::size_t split = GENERATE(64U, 2048U);
    std::mt19937 random(static_cast<unsigned>(length));
    Assembler assembler({.max_distance = 100000});
    const Bytes payload = counted(length);
    for (int order = 0; order < 6; ++order) {
        std::vector<std::size_t> offsets;
        for (std::size_t at = 0; at < length; at += room) {
            offsets.push_back(at);
        }
        if (order == 1) {
            std::reverse(offsets.begin(), offsets.end());
        } else if (order > 1) {
            std::shuffle(offsets.begin(), offsets.end(), random);
        }
        Bytes whole;
        for (std::size_t i = 0; i < offsets.size(); ++i) {
            const std::size_t at = offsets[i];
            REQUIRE(whole.empty());
            whole = assembler.add(
                fragment({}, at, part(payload, at, at + room), at + room < length), 0, split
            );
        }
        check_whole(whole, payload);
        CHECK(assembler.reassembly.datagrams() == 0);
    }
    CHECK(assembler.drops.empty());
    CHECK(assembler.counters[IpCounter::reasm_oks] == 6);
    CHECK(assembler.consumed == assembler.counters[IpCounter::reasm_reqds]);
}

TEST_CASE("TUN-RX-12 addresses, protocol and id tell datagrams apart", "[control][fragment]") {
    Assembler assembler;
    const Bytes payload = counted(32);
    std::vector<Datagram> datagrams(4);
    datagrams[1].id = 8;
    datagrams[2].protocol = 4;
    datagrams[3].source = 0xc0000203;
    for (const Datagram& datagram : datagrams) {
        CHECK(assembler.add(fragment(datagram, 0, part(payload, 0, 16), true)).empty());
    }
    CHECK(assembler.reassembly.datagrams() == 4);
    for (const Datagram& datagram : datagrams) {
        check_whole(assembler.add(fragment(datagram, 16, part(payload, 16, 32), false)), payload);
    }
}

TEST_CASE("TUN-RX-12 a fragment that overlaps gives the datagram up", "[control][fragment]") {
    const auto [begin, end] =
        GENERATE(table<std::size_t, std::size_t>({{8, 24}, {24, 48}, {8, 56}, {40, 64}, {0, 24}}));
    Assembler assembler;
    const Bytes payload = counted(128);
    CHECK(assembler.add(fragment({}, 16, part(payload, 16, 32), true)).empty());
    CHECK(assembler.add(fragment({}, 48, part(payload, 48, 56), true)).empty());
    CHECK(assembler.add(fragment({}, begin, part(payload, begin, end), true)).empty());
    CHECK(assembler.drops == std::map<Drop, std::size_t>{{Drop::fragment_overlap, 3}});
    CHECK(assembler.reassembly.datagrams() == 0);
    CHECK(assembler.counters[IpCounter::reasm_overlaps] == 1);
    CHECK(assembler.counters[IpCounter::reasm_fails] == 1);
}

TEST_CASE("TUN-RX-12 a fragment that is there already is dropped alone", "[control][fragment]") {
    const auto [begin, end] =
        GENERATE(table<std::size_t, std::size_t>({{16, 32}, {16, 24}, {24, 40}, {16, 48}}));
    Assembler assembler;
    const Bytes payload = counted(128);
    CHECK(assembler.add(fragment({}, 16, part(payload, 16, 32), true)).empty());
    CHECK(assembler.add(fragment({}, 32, part(payload, 32, 48), true)).empty());
    CHECK(assembler.add(fragment({}, begin, part(payload, begin, end), true)).empty());
    CHECK(assembler.drops == std::map<Drop, std::size_t>{{Drop::fragment_duplicate, 1}});
    CHECK(assembler.add(fragment({}, 0, part(payload, 0, 16), true)).empty());
    check_whole(assembler.add(fragment({}, 48, part(payload, 48, 128), false)), payload);
}

TEST_CASE("TUN-RX-12 fragments that cannot belong together", "[control][fragment]") {
    Assembler assembler;
    const Bytes payload = counted(64);
    SECTION("without payload") {
        CHECK(assembler.add(fragment({}, 8, {}, true)).empty());
        CHECK(assembler.drops[Drop::fragment_malformed] == 1);
    }
    SECTION("less than a unit, but not the last") {
        CHECK(assembler.add(fragment({}, 8, counted(7), true)).empty());
        CHECK(assembler.drops[Drop::fragment_malformed] == 1);
    }
    SECTION("behind the last one") {
        CHECK(assembler.add(fragment({}, 16, part(payload, 16, 24), false)).empty());
        CHECK(assembler.add(fragment({}, 24, part(payload, 24, 32), true)).empty());
        CHECK(assembler.drops[Drop::fragment_malformed] == 2);
    }
    SECTION("two ends") {
        CHECK(assembler.add(fragment({}, 16, part(payload, 16, 24), false)).empty());
        CHECK(assembler.add(fragment({}, 24, part(payload, 24, 32), false)).empty());
        CHECK(assembler.drops[Drop::fragment_malformed] == 2);
    }
    SECTION("the end before what is there") {
        CHECK(assembler.add(fragment({}, 40, part(payload, 40, 48), true)).empty());
        CHECK(assembler.add(fragment({}, 16, part(payload, 16, 24), false)).empty());
        CHECK(assembler.drops[Drop::fragment_malformed] == 2);
    }
    SECTION("beyond 65535 bytes") {
        CHECK(assembler.add(fragment({}, 0, counted(8), true)).empty());
        CHECK(assembler.add(fragment({}, 65512, counted(8), false)).empty());
        CHECK(assembler.drops[Drop::fragment_too_big] == 2);
    }
    CHECK(assembler.reassembly.datagrams() == 0);
    CHECK(assembler.counters[IpCounter::reasm_fails] == 1);
}

TEST_CASE(
    "TUN-RX-12 what is beyond a unit of a middle fragment is cut off", "[control][fragment]"
) {
    Assembler assembler;
    const Bytes payload = counted(32);
    CHECK(assembler.add(fragment({}, 0, part(payload, 0, 19), true)).empty());
    check_whole(assembler.add(fragment({}, 16, part(payload, 16, 32), false)), payload);
}

TEST_CASE(
    "TUN-RX-12 after 30 s it is given up, its sender told if the first is there",
    "[control][fragment]"
) {
    Assembler assembler;
    const bool has_first = GENERATE(true, false);
    CHECK(assembler.add(fragment({}, has_first ? 0 : 8, counted(8), true), 1000).empty());
    CHECK(assembler.add(fragment({}, 16, counted(8), true), 20000).empty());
    CHECK(assembler.reassembly.tick(1000) == 31000);
    CHECK(assembler.reassembly.tick(30999) == 31000);
    CHECK(assembler.reassembly.datagrams() == 1);
    CHECK(assembler.reassembly.tick(31000) == UINT64_MAX);
    CHECK(assembler.drops == std::map<Drop, std::size_t>{{Drop::fragment_timeout, 2}});
    CHECK(assembler.told == (has_first ? 1 : 0));
    CHECK(assembler.counters[IpCounter::reasm_timeout] == 1);
    CHECK(assembler.counters[IpCounter::reasm_fails] == 1);
}

TEST_CASE("TUN-RX-12 memory is bounded, whatever comes", "[control][fragment]") {
    constexpr std::size_t kMemory = 100000;
    Assembler assembler({.memory = kMemory, .max_distance = 100000});
    const bool one_datagram = GENERATE(true, false);
    for (std::uint16_t i = 0; i < 2000; ++i) {
        const Datagram datagram{.id = one_datagram ? std::uint16_t{1} : i};
        CHECK(
            assembler
                .add(fragment(datagram, std::size_t{8} * (std::size_t{2} * i + 1), counted(8), true)
                )
                .empty()
        );
        REQUIRE(assembler.reassembly.memory() <= 2 * kMemory + 4096);
    }
    CHECK(assembler.drops[Drop::fragment_memory] > 1900);
    assembler.reassembly.tick(30000);
    CHECK(assembler.reassembly.memory() == 0);
}

TEST_CASE(
    "TUN-RX-12 a datagram starts over when 64 other fragments came in between",
    "[control][fragment]"
) {
    Assembler assembler;
    const Bytes payload = counted(32);
    const auto others = GENERATE(as<std::uint16_t>{}, 63, 64);
    CHECK(assembler.add(fragment({}, 0, part(payload, 0, 16), true)).empty());
    for (std::uint16_t i = 0; i < others; ++i) {
        CHECK(assembler
                  .add(fragment({.id = static_cast<std::uint16_t>(100 + i)}, 0, counted(8), true))
                  .empty());
    }
    const Bytes whole = assembler.add(fragment({}, 16, part(payload, 16, 32), false));
    if (others < 64) {
        check_whole(whole, payload);
    } else {
        CHECK(whole.empty());
        CHECK(assembler.drops[Drop::fragment_distance] == 1);
        check_whole(assembler.add(fragment({}, 0, part(payload, 0, 16), true)), payload);
    }
}

TEST_CASE("TUN-RX-12 congestion marks of fragments (RFC 3168, 5.3)", "[control][fragment]") {
    struct Case {
        std::uint8_t first;
        std::uint8_t second;
        int expected;  // -1 = dropped
    };

    const std::vector<Case> cases{
        {0, 0, 0},
        {1, 1, 1},
        {2, 2, 2},
        {3, 3, 3},
        {2, 3, 3},
        {3, 2, 3},
        {1, 3, 3},
        {1, 2, 1},
        {2, 1, 2},
        {0, 1, -1},
        {2, 0, -1},
        {0, 3, -1},
        {3, 0, -1}};
    for (const Case& marks : cases) {
        Assembler assembler;
        CAPTURE(int{marks.first}, int{marks.second});
        Datagram datagram{.tos = static_cast<std::uint8_t>(0xb8 | marks.first)};
        CHECK(assembler.add(fragment(datagram, 0, counted(8), true)).empty());
        datagram.tos = static_cast<std::uint8_t>(0xb8 | marks.second);
        const Bytes whole = assembler.add(fragment(datagram, 8, counted(8), false));
        REQUIRE(whole.empty() == (marks.expected < 0));
        if (marks.expected >= 0) {
            CHECK(int{whole[15]} == (0xb8 | marks.expected));
        } else {
            CHECK(assembler.drops[Drop::fragment_ecn] == 2);
        }
    }
}

}  // namespace culvert::control::test
