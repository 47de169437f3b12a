// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/inner_frame.hpp"
#include "test/unit/encap/packets.hpp"

namespace culvert::encap::test {

namespace {

constexpr int kDrop = -1;

// [inner][outer] -> delivered: the catalogue's table (1.7).
constexpr std::array<std::array<int, 4>, 4> kEcn{{
    {0, 0, 0, kDrop},
    {1, 1, 1, 3},
    {2, 1, 2, 3},
    {3, 3, 3, 3},
}};

constexpr std::uint8_t kDscp = 0xb8;

std::uint8_t tos(unsigned ecn) {
    return static_cast<std::uint8_t>(kDscp | ecn);
}

}  // namespace

TEST_CASE("TUN-ECN-02 TUN-ECN-03 GOLD-12 congestion marks into IPv4", "[encap]") {
    const unsigned inner = GENERATE(range(0U, 4U));
    const unsigned outer = GENERATE(range(0U, 4U));
    const std::size_t tag = GENERATE(std::size_t{0}, std::size_t{4}, std::size_t{8});
    Bytes frame = ipv4_frame(20, tos(inner));
    for (std::size_t i = 0; i < tag; i += 4) {
        frame = with_vlan(frame, 5);
    }
    const Bytes before = frame;
    const int expected = kEcn[inner][outer];
    CAPTURE(inner, outer, tag);
    const bool passes =
        decapsulate_ecn(frame.data(), frame.size(), static_cast<std::uint8_t>(0x20 | outer));
    REQUIRE(passes == (expected != kDrop));
    if (passes) {
        CHECK(frame[15 + tag] == tos(static_cast<unsigned>(expected)));
        CHECK(ip_checksum_is_right(frame, 14 + tag));
        frame[15 + tag] = before[15 + tag];
        frame[24 + tag] = before[24 + tag];
        frame[25 + tag] = before[25 + tag];
    }
    CHECK(frame == before);  // and nothing else has changed
}

TEST_CASE("TUN-ECN-02 TUN-ECN-04 congestion marks into IPv6", "[encap]") {
    const unsigned inner = GENERATE(range(0U, 4U));
    const unsigned outer = GENERATE(range(0U, 4U));
    const bool tagged = GENERATE(false, true);
    const int expected = kEcn[inner][outer];
    const auto make = [&](unsigned ecn) {
        const Bytes frame = ipv6_frame(tos(ecn));
        return tagged ? with_vlan(frame, 5) : frame;
    };
    Bytes frame = make(inner);
    CAPTURE(inner, outer, tagged);
    const bool passes =
        decapsulate_ecn(frame.data(), frame.size(), static_cast<std::uint8_t>(outer));
    REQUIRE(passes == (expected != kDrop));
    CHECK(frame == make(passes ? static_cast<unsigned>(expected) : inner));
}

TEST_CASE("TUN-ECN-04 what is not IP passes as it is, congested or not", "[encap]") {
    Bytes frame = ipv4_frame(20);
    frame[13] = GENERATE(std::uint8_t{0x06}, std::uint8_t{0x47});
    const Bytes before = frame;
    CHECK(decapsulate_ecn(frame.data(), frame.size(), 3));
    CHECK(frame == before);
}

TEST_CASE("TUN-ECN-04 frames cut off anywhere are not read beyond their end", "[encap]") {
    const Pool pool;
    Bytes frame = GENERATE(
        ipv4_frame(0, 2),
        ipv6_frame(2),
        with_vlan(ipv4_frame(0, 2), 1),
        with_vlan(with_vlan(ipv6_frame(2), 1), 2)
    );
    while (frame.size() > 14) {
        frame.pop_back();
        const Packet packet = make_exact(pool, frame);
        auto* data = rte_pktmbuf_mtod(packet.get(), std::uint8_t*);
        CHECK(decapsulate_ecn(data, frame.size(), 3));
        static_cast<void>(inspect_frame(data, frame.size()));
        static_cast<void>(inner_ip_is_whole(data, packet->pkt_len));
    }
}

TEST_CASE("VXLAN-RX-14 an untagged inner IP header must be whole", "[encap]") {
    const auto [frame, needed] = GENERATE(table<Bytes, std::size_t>({
        {ipv4_frame(40), 34},
        {ipv6_frame(0), 54},
        {with_vlan(ipv4_frame(40), 1), 14},
    }));
    for (std::size_t len = 14; len <= frame.size(); ++len) {
        CAPTURE(len);
        CHECK(inner_ip_is_whole(frame.data(), static_cast<std::uint32_t>(len)) == (len >= needed));
    }
    Bytes arp = frame;
    arp[12] = 0x08;
    arp[13] = 0x06;
    CHECK(inner_ip_is_whole(arp.data(), 14));
}

TEST_CASE("VXLAN-SPORT-02 the short look at a frame says what the long one does", "[encap]") {
    const auto [frame, is_plain] = GENERATE(table<Bytes, bool>({
        {ipv4_frame(40), true},
        {ipv4_frame(0, 3), true},
        {ipv6_frame(40), false},
        {with_vlan(ipv4_frame(40), 1), false},
    }));
    for (std::size_t len = 14; len <= frame.size(); ++len) {
        CAPTURE(len);
        InnerFlow flow{};
        const bool taken = inspect_plain_frame(frame.data(), len, flow);
        CHECK(taken == (is_plain && len >= 38));
        if (taken) {
            const InnerFrame inner = inspect_frame(frame.data(), len);
            CHECK(flow.hash == inner.flow_hash);
            CHECK(flow.tos == inner.parsed.tos);
        }
    }
    // Options, fragments, other protocols and other versions: the long look.
    const auto [offset, value] = GENERATE(table<std::size_t, std::uint8_t>(
        {{14, 0x46}, {14, 0x65}, {20, 0x20}, {21, 1}, {23, 1}, {23, 47}}
    ));
    Bytes other = ipv4_frame(40);
    other[offset] = value;
    InnerFlow flow{};
    CHECK_FALSE(inspect_plain_frame(other.data(), other.size(), flow));
}

TEST_CASE("VXLAN-SPORT-02 the hash of a frame is never 0, IP or not", "[encap]") {
    Bytes frame = ipv4_frame(8);
    CHECK(inspect_frame(frame.data(), frame.size()).flow_hash != 0);
    CHECK(inspect_frame(frame.data(), 14).flow_hash != 0);
    frame[13] = 0x06;
    CHECK(inspect_frame(frame.data(), frame.size()).flow_hash != 0);
}

}  // namespace culvert::encap::test
