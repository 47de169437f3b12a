// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/checksum.hpp"
#include "test/unit/net/exact_buffer.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <random>
#include <vector>

namespace culvert::net {
namespace {

std::vector<std::uint8_t> random_bytes(std::size_t len, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> bytes(len);
    for (std::uint8_t& byte : bytes) {
        byte = static_cast<std::uint8_t>(random());
    }
    return bytes;
}

// RFC 1071 by the letter: big-endian words, carries brought round at the end.
std::uint16_t reference_checksum(const std::uint8_t* data, std::size_t len) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < len; ++i) {
        sum += std::uint64_t{data[i]} << ((i & 1) != 0 ? 0 : 8);
    }
    while ((sum >> 16) != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

Ipv4Header outer_header(std::uint16_t total_length, std::uint16_t fragment, std::uint8_t protocol) {
    return {
        kIpv4VersionIhl,
        0,
        Be16{total_length},
        Be16{0x1234},
        Be16{fragment},
        64,
        protocol,
        Be16{0},
        Be32{0xc0000201},
        Be32{0xc0000202}};
}

TEST_CASE("checksum of the outer IPv4 header of an ipip packet", "[net]") {
    Ipv4Header ip = outer_header(104, kIpv4DontFragment, ip_protocol::kIpip);
    ip.checksum = ipv4_header_checksum(ip);
    const std::uint8_t golden[20] = {0x45, 0,    0,   0x68, 0x12, 0x34, 0x40, 0, 0x40, 4,
                                     0xa4, 0x5a, 192, 0,    2,    1,    192,  0, 2,    2};
    CHECK(std::memcmp(&ip, golden, 20) == 0);
    CHECK(ipv4_header_checksum_is_valid(ip));
}

TEST_CASE("GOLD-04 outer IPv4 of vxlan: checksum", "[net]") {
    const Ipv4Header ip = outer_header(20 + 8 + 8 + 98, 0, ip_protocol::kUdp);
    CHECK(ip.total_length.host() == 134);
    CHECK(ipv4_header_checksum(ip).host() == 0xe42f);
}

TEST_CASE("checksum of a keyed GRE header and a small packet", "[net]") {
    const std::uint8_t bytes[] = {0xb0, 0,  8,    0,    0,    0, 0, 0,  0,  0, 0, 1,
                                  0,    0,  0,    0,    0x45, 0, 0, 20, 0,  0, 0, 0,
                                  0x40, 59, 0x66, 0xad, 10,   0, 0, 1,  10, 0, 0, 2};
    CHECK(checksum_from_sum(sum_bytes(bytes, sizeof(bytes))).host() == 0x47fe);
}

TEST_CASE("checksum: every length and alignment equals the reference", "[net]") {
    const std::vector<std::uint8_t> bytes = random_bytes(300, 1);
    for (std::size_t offset = 0; offset < 8; ++offset) {
        for (std::size_t len = 0; len <= 260; ++len) {
            const std::uint8_t* data = bytes.data() + offset;
            REQUIRE(
                checksum_from_sum(sum_bytes(data, len)).host() == reference_checksum(data, len)
            );
        }
    }
}

TEST_CASE("checksum: no length is read past its end", "[net]") {
    const std::vector<std::uint8_t> bytes = random_bytes(200, 2);
    for (std::size_t len = 0; len <= bytes.size(); ++len) {
        ExactBuffer exact(bytes.data(), len);
        REQUIRE(
            checksum_from_sum(sum_bytes(exact.data(), len)).host() ==
            reference_checksum(bytes.data(), len)
        );
    }
}

TEST_CASE("checksum: carries of all-ones data are not lost", "[net]") {
    const std::vector<std::uint8_t> ones(9001, 0xff);
    for (const std::size_t len : {2U, 8U, 16U, 32U, 64U, 9000U, 9001U}) {
        CHECK(
            checksum_from_sum(sum_bytes(ones.data(), len, UINT64_MAX)).host() ==
            reference_checksum(ones.data(), len)
        );
    }
}

TEST_CASE("checksum: pieces chained at every offset equal the whole", "[net]") {
    const std::vector<std::uint8_t> bytes = random_bytes(97, 3);
    for (std::size_t first = 0; first <= bytes.size(); ++first) {
        for (std::size_t second = first; second <= bytes.size(); ++second) {
            std::uint64_t sum = sum_bytes(bytes.data(), first);
            sum = sum_chain(sum, sum_bytes(bytes.data() + first, second - first), first);
            sum = sum_chain(sum, sum_bytes(bytes.data() + second, bytes.size() - second), second);
            REQUIRE(
                checksum_from_sum(sum).host() == reference_checksum(bytes.data(), bytes.size())
            );
        }
    }
}

TEST_CASE("checksum: an IPv4 header with options, and one that is wrong", "[net]") {
    std::vector<std::uint8_t> bytes = random_bytes(60, 4);
    bytes[0] = 0x4f;
    bytes[10] = 0;
    bytes[11] = 0;
    const std::uint16_t expected = reference_checksum(bytes.data(), bytes.size());
    // The field's old content does not count.
    bytes[10] = 0x55;
    ExactBuffer exact(bytes.data(), bytes.size());
    auto* ip = reinterpret_cast<Ipv4Header*>(exact.data());
    CHECK(ipv4_header_checksum(*ip, ip->header_len_bytes()).host() == expected);
    CHECK_FALSE(ipv4_header_checksum_is_valid(*ip, ip->header_len_bytes()));
    ip->checksum = Be16{expected};
    CHECK(ipv4_header_checksum_is_valid(*ip, ip->header_len_bytes()));
    exact.data()[59] ^= 1;
    CHECK_FALSE(ipv4_header_checksum_is_valid(*ip, ip->header_len_bytes()));
}

TEST_CASE("checksum: a UDP result of 0 is sent as 0xffff", "[net]") {
    CHECK(udp_checksum_from_sum(0xffff).host() == 0xffff);
    CHECK(checksum_from_sum(0xffff).host() == 0);
    CHECK(udp_checksum_from_sum(Be16{0x1234}.raw()).host() == 0xedcb);
}

TEST_CASE("checksum: pseudo headers equal the bytes they stand for", "[net]") {
    // RFC 768's pseudo header, written out.
    const std::uint8_t v4[12] = {192, 0, 2, 1, 198, 51, 100, 2, 0, 17, 0x12, 0x35};
    const std::uint64_t v4_sum =
        pseudo_header_sum_v4(Be32{0xc0000201}, Be32{0xc6336402}, ip_protocol::kUdp, 0x1235);
    CHECK(checksum_from_sum(v4_sum).host() == reference_checksum(v4, sizeof(v4)));

    // RFC 8200, 8.1: addresses, 32-bit length, three zero bytes, next header.
    std::vector<std::uint8_t> v6 = random_bytes(32, 5);
    std::array<std::uint8_t, 16> source{};
    std::array<std::uint8_t, 16> destination{};
    std::memcpy(source.data(), v6.data(), 16);
    std::memcpy(destination.data(), v6.data() + 16, 16);
    const std::uint8_t rest[8] = {0, 1, 0x12, 0x35, 0, 0, 0, 58};
    v6.insert(v6.end(), rest, rest + 8);
    const std::uint64_t v6_sum =
        pseudo_header_sum_v6(source, destination, ip_protocol::kIcmpv6, 0x11235);
    CHECK(checksum_from_sum(v6_sum).host() == reference_checksum(v6.data(), v6.size()));
}

TEST_CASE("checksum: a 16-bit update equals the checksum computed anew", "[net]") {
    std::mt19937 random(6);
    for (int i = 0; i < 20000; ++i) {
        Ipv4Header ip = outer_header(static_cast<std::uint16_t>(random()), 0, 17);
        ip.checksum = ipv4_header_checksum(ip);
        // The ends of the range are where eqn. 2 of RFC 1624 went wrong.
        const std::uint16_t next = i % 3 == 0 ? std::uint16_t{0}
                                              : (i % 3 == 1 ? std::uint16_t{0xffff}
                                                            : static_cast<std::uint16_t>(random()));
        const Be16 updated = checksum_update(ip.checksum, ip.identification, Be16{next});
        ip.identification = Be16{next};
        REQUIRE(updated == ipv4_header_checksum(ip));
    }
}

TEST_CASE("checksum: a 32-bit update equals the checksum computed anew", "[net]") {
    std::mt19937 random(7);
    for (int i = 0; i < 20000; ++i) {
        Ipv4Header ip = outer_header(100, 0, 17);
        ip.source = Be32{static_cast<std::uint32_t>(random())};
        ip.checksum = ipv4_header_checksum(ip);
        const Be32 next{static_cast<std::uint32_t>(random())};
        const Be16 updated = checksum_update(ip.checksum, ip.source, next);
        ip.source = next;
        REQUIRE(updated == ipv4_header_checksum(ip));
    }
}

TEST_CASE("checksum: the example of RFC 1624, section 4", "[net]") {
    CHECK(checksum_update(Be16{0xdd2f}, Be16{0x5555}, Be16{0x3285}).host() == 0x0000);
}

}  // namespace
}  // namespace culvert::net
