// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/vxlan_pop.hpp"
#include "lib/encap/vxlan_push.hpp"
#include "test/unit/encap/golden.hpp"
#include "test/unit/encap/packets.hpp"

namespace culvert::encap::test {

namespace {

constexpr std::uint16_t kL3 = 14;

Bytes golden() {
    Bytes bytes(kGoldenOuter.begin(), kGoldenOuter.end());
    bytes.insert(bytes.end(), kGoldenInner.begin(), kGoldenInner.end());
    return bytes;
}

// The first `len` bytes with lengths that say so, as ip4 validation would leave them: whole IP
// header, total length = what is there. The UDP checksum is taken off.
Bytes cut(Bytes bytes, std::size_t len) {
    bytes.resize(len);
    const std::size_t total = len - kL3;
    bytes[16] = static_cast<std::uint8_t>(total >> 8);
    bytes[17] = static_cast<std::uint8_t>(total);
    if (len >= 40) {
        bytes[38] = static_cast<std::uint8_t>((total - 20) >> 8);
        bytes[39] = static_cast<std::uint8_t>(total - 20);
    }
    if (len >= 42) {
        bytes[40] = 0;
        bytes[41] = 0;
    }
    return bytes;
}

VxlanVerdict examine(const rte_mbuf* packet) {
    VxlanOuter outer{};
    return examine_vxlan(packet, kL3, outer);
}

}  // namespace

TEST_CASE("VXLAN-RX-09 what the outer headers say, and the inner frame comes out", "[encap]") {
    const Pool pool;
    const Packet packet = make_packet(pool, golden());
    packet->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    packet->packet_type = RTE_PTYPE_L3_IPV4;
    VxlanOuter outer{};
    REQUIRE(vxlan_parse(packet.get(), kL3, outer));
    CHECK(outer.source.host() == 0xc0000201);
    CHECK(outer.vni == 42);
    CHECK(outer.udp_port == 8472);
    CHECK(outer.frame_offset == 50);
    CHECK(outer.tos == 0);
    vxlan_strip(packet.get(), outer.frame_offset);
    CHECK(bytes_of(packet.get()) == Bytes(kGoldenInner.begin(), kGoldenInner.end()));
    CHECK(packet->pkt_len == kGoldenInner.size());
    CHECK(packet->ol_flags == 0);
    CHECK(packet->packet_type == 0);
}

TEST_CASE("pop(push(p)) == p", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.udp_checksum = GENERATE(true, false);
    const VxlanTemplate outer = make_template(config);
    for (std::size_t payload = 0; payload < 80; ++payload) {
        const Bytes frame =
            payload % 2 == 0 ? ipv4_frame(payload) : with_vlan(ipv4_frame(payload), 9);
        const Packet packet = payload % 3 == 0
                                  ? make_packet(pool, frame)
                                  : make_chain(pool, frame, {frame.size() - payload / 2});
        const InnerFrame inner =
            inspect_frame(rte_pktmbuf_mtod(packet.get(), const std::uint8_t*), packet->data_len);
        REQUIRE(vxlan_push(packet.get(), outer, inner, 1) == VxlanPushed::done);
        VxlanOuter said{};
        REQUIRE(vxlan_parse(packet.get(), kL3, said));
        vxlan_strip(packet.get(), said.frame_offset);
        REQUIRE(bytes_of(packet.get()) == frame);
        REQUIRE(packet->pkt_len == frame.size());
    }
}

TEST_CASE("VXLAN-RX-01 VXLAN-RX-09 cut off at every length", "[encap]") {
    const Pool pool;
    for (std::size_t len = kL3 + 20; len <= golden().size(); ++len) {
        const Packet packet = make_exact(pool, cut(golden(), len));
        CAPTURE(len);
        VxlanOuter outer{};
        REQUIRE(vxlan_parse(packet.get(), kL3, outer) == (len >= 64));
        if (len < 42) {
            REQUIRE(examine_udp(packet.get(), kL3) == UdpVerdict::truncated);
            continue;
        }
        REQUIRE(examine_udp(packet.get(), kL3) == UdpVerdict::good);
        REQUIRE(
            examine_vxlan(packet.get(), kL3, outer) ==
            (len < 50 ? VxlanVerdict::truncated : VxlanVerdict::good)
        );
        if (len >= 50) {
            REQUIRE(has_inner_ether(packet.get(), outer.frame_offset) == (len >= 64));
            REQUIRE_FALSE(has_reserved_bits(packet.get(), outer.frame_offset));
        }
    }
}

TEST_CASE("VXLAN-RX-02 VXLAN-RX-03 GOLD-02 headers that must be dropped", "[encap]") {
    const Pool pool;
    const auto [words, verdict] = GENERATE(table<Bytes, VxlanVerdict>({
        {{0x00, 0, 0, 0, 0, 0, 0x2a, 0}, VxlanVerdict::no_vni_flag},
        {{0x08, 0, 0, 1, 0, 0, 0x2a, 0}, VxlanVerdict::good},
        {{0x08, 0, 0, 0, 0, 0, 0x2a, 1}, VxlanVerdict::good},
        {{0x88, 0, 0x01, 0x23, 0, 0, 0x2a, 0}, VxlanVerdict::good},
        {{0x08, 0x20, 0, 0, 0, 0, 0x2a, 0x91}, VxlanVerdict::good},
    }));
    Bytes bytes = cut(golden(), golden().size());
    std::copy(words.begin(), words.end(), bytes.begin() + 42);
    const Packet packet = make_packet(pool, bytes);
    VxlanOuter outer{};
    CHECK_FALSE(vxlan_parse(packet.get(), kL3, outer));
    CHECK(examine_udp(packet.get(), kL3) == UdpVerdict::good);
    REQUIRE(examine_vxlan(packet.get(), kL3, outer) == verdict);
    if (verdict == VxlanVerdict::good) {
        CHECK(has_reserved_bits(packet.get(), outer.frame_offset));
        CHECK(outer.vni == 42);
    }
}

TEST_CASE("VXLAN-RX-03 every reserved bit is looked at", "[encap]") {
    const Pool pool;
    for (unsigned bit = 0; bit < 64; ++bit) {
        const bool is_vni = bit >= 32 && bit < 56;
        const bool is_flag = bit == 4;
        if (is_vni || is_flag) {
            continue;
        }
        Bytes bytes = cut(golden(), golden().size());
        bytes[42 + bit / 8] = static_cast<std::uint8_t>(bytes[42 + bit / 8] ^ (0x80 >> bit % 8));
        const Packet packet = make_packet(pool, bytes);
        VxlanOuter outer{};
        CAPTURE(bit);
        REQUIRE_FALSE(vxlan_parse(packet.get(), kL3, outer));
        REQUIRE(examine(packet.get()) == VxlanVerdict::good);
        REQUIRE(examine_vxlan(packet.get(), kL3, outer) == VxlanVerdict::good);
        REQUIRE(has_reserved_bits(packet.get(), outer.frame_offset));
    }
}

TEST_CASE("UDP checksum: 0 passes, a wrong one does not", "[encap]") {
    const Pool pool;
    VxlanOuter outer{};
    Bytes bytes = golden();
    bytes.back() ^= 1;
    const Packet wrong = make_packet(pool, bytes);
    CHECK_FALSE(vxlan_parse(wrong.get(), kL3, outer));
    CHECK(examine_udp(wrong.get(), kL3) == UdpVerdict::checksum);
    bytes[40] = 0;
    bytes[41] = 0;
    const Packet none = make_packet(pool, bytes);
    CHECK(vxlan_parse(none.get(), kL3, outer));
    CHECK(examine_udp(none.get(), kL3) == UdpVerdict::good);
}

TEST_CASE("the device's word on the checksum, when it is about this one", "[encap]") {
    const Pool pool;
    Bytes bytes = golden();
    bytes.back() ^= 1;
    const auto [flags, type, trusted] = GENERATE(table<std::uint64_t, std::uint32_t, bool>({
        {RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0, true},
        {RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_PTYPE_TUNNEL_VXLAN, false},
        {RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD, RTE_PTYPE_TUNNEL_VXLAN, true},
        {RTE_MBUF_F_RX_L4_CKSUM_NONE, 0, false},
        {RTE_MBUF_F_RX_L4_CKSUM_BAD, 0, false},
        {RTE_MBUF_F_RX_OUTER_L4_CKSUM_BAD, 0, false},
        {RTE_MBUF_F_RX_OUTER_L4_CKSUM_INVALID, 0, false},
        {0, 0, false},
    }));
    const Packet packet = make_packet(pool, bytes);
    packet->ol_flags |= flags;
    packet->packet_type = type;
    VxlanOuter outer{};
    CHECK(vxlan_parse(packet.get(), kL3, outer) == trusted);
}

TEST_CASE("UDP length: below 8 or beyond the packet is an error", "[encap]") {
    const Pool pool;
    Bytes bytes = cut(golden(), golden().size());
    const std::size_t udp_len = bytes.size() - 34;
    const std::size_t length = GENERATE_COPY(
        std::size_t{0}, std::size_t{1}, std::size_t{7}, udp_len + 1, std::size_t{65535}
    );
    bytes[38] = static_cast<std::uint8_t>(length >> 8);
    bytes[39] = static_cast<std::uint8_t>(length);
    const Packet packet = make_exact(pool, bytes);
    VxlanOuter outer{};
    CHECK_FALSE(vxlan_parse(packet.get(), kL3, outer));
    CHECK(examine_udp(packet.get(), kL3) == UdpVerdict::length);
}

TEST_CASE("what stands behind the UDP length is cut off", "[encap]") {
    const Pool pool;
    const Bytes inner(kGoldenInner.begin(), kGoldenInner.end());
    const std::size_t surplus = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{40});
    Bytes bytes = golden();
    bytes.insert(bytes.end(), surplus, 0xee);
    const std::vector<std::size_t> cuts = GENERATE(
        std::vector<std::size_t>{},
        std::vector<std::size_t>{100},
        std::vector<std::size_t>{100, 115},
        std::vector<std::size_t>{100, 115, 116}
    );
    const Packet packet = make_chain(pool, bytes, cuts);
    VxlanOuter outer{};
    CHECK_FALSE(vxlan_parse(packet.get(), kL3, outer));
    REQUIRE(examine_udp(packet.get(), kL3) == UdpVerdict::good);  // its checksum is scapy's
    REQUIRE(examine_vxlan(packet.get(), kL3, outer) == VxlanVerdict::good);
    vxlan_strip(packet.get(), outer.frame_offset);
    CHECK(bytes_of(packet.get()) == inner);
    CHECK(packet->pkt_len == inner.size());
    rte_mbuf_sanity_check(packet.get(), 1);
}

TEST_CASE("an outer header with options", "[encap]") {
    const Pool pool;
    Bytes bytes = golden();
    const std::array<std::uint8_t, 8> options{1, 1, 1, 1, 1, 1, 1, 0};
    bytes.insert(bytes.begin() + 34, options.begin(), options.end());
    bytes[14] = 0x47;
    const Packet packet = make_packet(pool, bytes);
    VxlanOuter outer{};
    REQUIRE(vxlan_parse(packet.get(), kL3, outer));
    CHECK(outer.frame_offset == 58);
    vxlan_strip(packet.get(), outer.frame_offset);
    CHECK(bytes_of(packet.get()) == Bytes(kGoldenInner.begin(), kGoldenInner.end()));
}

TEST_CASE("VXLAN-RX-17 a tagged inner frame keeps its tag", "[encap]") {
    const Pool pool;
    const Bytes frame = with_vlan(ipv4_frame(10), 77);
    const Packet packet = make_packet(pool, frame);
    const InnerFrame inner =
        inspect_frame(rte_pktmbuf_mtod(packet.get(), const std::uint8_t*), packet->data_len);
    REQUIRE(vxlan_push(packet.get(), make_template(), inner, 1) == VxlanPushed::done);
    VxlanOuter outer{};
    REQUIRE(vxlan_parse(packet.get(), kL3, outer));
    vxlan_strip(packet.get(), outer.frame_offset);
    CHECK(bytes_of(packet.get()) == frame);
}

}  // namespace culvert::encap::test
