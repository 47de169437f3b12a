// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/ecn.hpp"

#include <catch2/catch.hpp>

namespace culvert::net {
namespace {

TEST_CASE("GOLD-12 ECN decapsulation, all sixteen pairs", "[net]") {
    struct Case {
        std::uint8_t outer;
        std::uint8_t inner;
        EcnResult result;
    };

    const auto c = GENERATE(values<Case>({
        {0, 0, {0, false, false}},
        {1, 0, {0, false, true}},
        {2, 0, {0, false, true}},
        {3, 0, {0, true, true}},
        {0, 1, {1, false, false}},
        {1, 1, {1, false, false}},
        {2, 1, {1, false, false}},
        {3, 1, {3, false, false}},
        {0, 2, {2, false, false}},
        {1, 2, {1, false, false}},
        {2, 2, {2, false, false}},
        {3, 2, {3, false, false}},
        {0, 3, {3, false, false}},
        {1, 3, {3, false, false}},
        {2, 3, {3, false, false}},
        {3, 3, {3, false, false}},
    }));
    CHECK(ecn_decapsulate(c.outer, c.inner) == c.result);
    // The DSCPs have no say.
    const auto outer_tos = static_cast<std::uint8_t>(0xb8 | c.outer);
    const auto inner_tos = static_cast<std::uint8_t>(0x28 | c.inner);
    CHECK(ecn_decapsulate(outer_tos, inner_tos) == c.result);
}

TEST_CASE("TUN-ECN-02 inner ECT(0) becomes ECT(1) under outer ECT(1)", "[net]") {
    CHECK(ecn_decapsulate(kEcnEct1, kEcnEct0) == EcnResult{kEcnEct1, false, false});
}

TEST_CASE("TUN-ECN-05 GOLD-12 outer ECN is the inner's, CE becomes ECT(0)", "[net]") {
    struct Case {
        std::uint8_t inner;
        std::uint8_t outer;
    };

    const auto c = GENERATE(values<Case>({{0, 0}, {1, 1}, {2, 2}, {3, 2}}));
    const auto inner_dscp = GENERATE(values<std::uint8_t>({0x00, 0xfc}));
    const auto inner_tos = static_cast<std::uint8_t>(inner_dscp | c.inner);
    CHECK(ecn_encapsulate(0x00, inner_tos) == c.outer);
    CHECK(ecn_encapsulate(0xb8, inner_tos) == (0xb8 | c.outer));
}

TEST_CASE("TUN-ECN-06 the low bits of a configured tos are never sent", "[net]") {
    const auto low_bits = GENERATE(values<std::uint8_t>({0, 1, 2, 3}));
    CHECK(ecn_encapsulate(static_cast<std::uint8_t>(0x10 | low_bits), kEcnNotEct) == 0x10);
    CHECK(ecn_encapsulate(static_cast<std::uint8_t>(0x10 | low_bits), kEcnEct1) == 0x11);
}

TEST_CASE("TUN-ECN-03 a new ECN field keeps the IPv4 checksum right", "[net]") {
    const auto old_tos = GENERATE(range(0, 256));
    const auto ecn = GENERATE(values<std::uint8_t>({0, 1, 2, 3}));
    Ipv4Header ip{
        kIpv4VersionIhl,
        static_cast<std::uint8_t>(old_tos),
        Be16{1500},
        Be16{0xbeef},
        Be16{kIpv4DontFragment},
        64,
        ip_protocol::kTcp,
        Be16{0},
        Be32{0x0a000001},
        Be32{0x0a000002}};
    ip.checksum = ipv4_header_checksum(ip);
    set_ecn(ip, ecn);
    CHECK(ip.ecn() == ecn);
    CHECK(ip.dscp() == old_tos >> 2);
    CHECK(ip.checksum == ipv4_header_checksum(ip));
}

TEST_CASE("TUN-ECN-03 a new ECN field leaves the rest of the IPv6 word alone", "[net]") {
    Ipv6Header ip{};
    ip.version_class_flow = Be32{0x6b9abcde};
    set_ecn(ip, kEcnCe);
    CHECK(ip.version_class_flow == Be32{0x6bbabcde});
    set_ecn(ip, kEcnNotEct);
    CHECK(ip.version_class_flow == Be32{0x6b8abcde});
}

}  // namespace
}  // namespace culvert::net
