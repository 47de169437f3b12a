// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/encap/ip_tunnel_packets.hpp"

namespace culvert::encap::test {

namespace {

constexpr std::size_t kIp = 14;

// A frame with `ip` behind a link header of nobody.
Bytes frame_of(const Bytes& ip, std::uint16_t type = 0x0800) {
    Bytes frame(12, 0);
    frame.push_back(static_cast<std::uint8_t>(type >> 8));
    frame.push_back(static_cast<std::uint8_t>(type));
    frame.insert(frame.end(), ip.begin(), ip.end());
    return frame;
}

Bytes pushed(const Pool& pool, const IpTunnelConfig& config, const Bytes& frame) {
    const Packet packet = make_packet(pool, frame);
    REQUIRE(push_packet(packet, make_outer(config)) == IpTunnelPushed::done);
    return bytes_of(packet.get());
}

}  // namespace

TEST_CASE("GOLD-03 TUN-TX-18 the outer header of ipip", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::ipip);
    config.ttl = 64;
    const Bytes outer = pushed(pool, config, ipv4_frame(56));  // 84 bytes
    CHECK(before(behind(outer, kIp), 20) == Bytes{0x45, 0,    0,    0x68, 0x12, 0x34, 0x40,
                                                  0,    0x40, 4,    0xa4, 0x5a, 0xc0, 0,
                                                  2,    1,    0xc0, 0,    2,    2});
    CHECK(before(outer, kIp) == Bytes{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0});
    CHECK(behind(outer, 34) == behind(ipv4_frame(56), 14));
}

TEST_CASE("GOLD-05 GRE-HDR-03 a GRE header with key, number and checksum", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::gre);
    config.out_key = 1;
    config.out_checksum = true;
    config.out_sequence = true;
    const Bytes inner{0x45, 0,    0,  0x14, 0, 0, 0,  0, 0x40, 0x3b,
                      0x66, 0xad, 10, 0,    0, 1, 10, 0, 0,    2};
    const Bytes outer = pushed(pool, config, frame_of(inner));
    Bytes gre{0xb0, 0, 8, 0, 0x47, 0xfe, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    gre.insert(gre.end(), inner.begin(), inner.end());
    CHECK(behind(outer, 34) == gre);
    CHECK(ip_checksum_is_right(outer, kIp));
}

TEST_CASE("GRE-HDR-02 GOLD-06 flags and fields in front of the payload", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(GENERATE(IpTunnelKind::gre, IpTunnelKind::gretap));
    const bool frames = config.kind == IpTunnelKind::gretap;
    const unsigned options = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U);
    config.out_checksum = (options & 1) != 0;
    config.out_key = (options & 2) != 0 ? std::optional(0x01020304U) : std::nullopt;
    config.out_sequence = (options & 4) != 0;
    for (std::size_t payload = 0; payload < 60; ++payload) {
        const Bytes frame = ipv4_frame(payload);
        const Packet packet = make_packet(pool, frame);
        REQUIRE(push_packet(packet, make_outer(config), 1, 0x0a0b0c0d) == IpTunnelPushed::done);
        const Bytes outer = bytes_of(packet.get());
        const Bytes gre = behind(outer, 34);
        std::uint16_t flags = config.out_checksum ? 0x8000 : 0;
        flags = static_cast<std::uint16_t>(flags | (config.out_key ? 0x2000 : 0));
        flags = static_cast<std::uint16_t>(flags | (config.out_sequence ? 0x1000 : 0));
        Bytes expected{static_cast<std::uint8_t>(flags >> 8), 0};
        expected.insert(
            expected.end(),
            {static_cast<std::uint8_t>(frames ? 0x65 : 0x08),
             static_cast<std::uint8_t>(frames ? 0x58 : 0x00)}
        );
        if (config.out_checksum) {
            expected.insert(expected.end(), {gre.at(4), gre.at(5), 0, 0});
            REQUIRE(reference_sum(gre) == 0xffff);
        }
        if (config.out_key) {
            expected.insert(expected.end(), {1, 2, 3, 4});
        }
        if (config.out_sequence) {
            expected.insert(expected.end(), {0x0a, 0x0b, 0x0c, 0x0d});
        }
        const Bytes inside = frames ? frame : behind(frame, 14);
        expected.insert(expected.end(), inside.begin(), inside.end());
        REQUIRE(gre == expected);
        REQUIRE(ip_checksum_is_right(outer, kIp));
        REQUIRE(outer.at(16) * 256U + outer.at(17) == outer.size() - kIp);
        REQUIRE(outer.at(23) == 47);
        REQUIRE(packet->pkt_len == outer.size());
    }
}

TEST_CASE("GRE-HDR-03 the checksum of a packet in pieces", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(GENERATE(IpTunnelKind::gre, IpTunnelKind::gretap));
    config.out_checksum = true;
    const Bytes frame = ipv4_frame(201);
    const Packet packet = make_chain(pool, frame, {77, 78, 130});
    REQUIRE(push_packet(packet, make_outer(config)) == IpTunnelPushed::done);
    CHECK(reference_sum(behind(bytes_of(packet.get()), 34)) == 0xffff);
}

TEST_CASE("GRE-HDR-05 GRE-TX-02 gre says what is inside", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::gre);
    config.out_checksum = GENERATE(false, true);
    Bytes outer = pushed(pool, config, ipv6_frame(0));
    CHECK(before(behind(outer, 36), 2) == Bytes{0x86, 0xdd});
    CHECK((!config.out_checksum || reference_sum(behind(outer, 34)) == 0xffff));
    outer = pushed(pool, config, frame_of(Bytes(30, 7), 0x8847));
    CHECK(before(behind(outer, 36), 2) == Bytes{0x88, 0x47});
    CHECK((!config.out_checksum || reference_sum(behind(outer, 34)) == 0xffff));
}

TEST_CASE("TUN-TX-16 GRE-TX-05 the TTL is the link's, or else the inner one, or 64", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::gretap);
    config.ttl = GENERATE(std::uint8_t{0}, std::uint8_t{9});
    const bool inherit = config.ttl == 0;
    CHECK(pushed(pool, config, ipv4_frame(5, 0, 33)).at(22) == (inherit ? 33 : 9));
    CHECK(pushed(pool, config, with_vlan(ipv4_frame(5, 0, 33), 5)).at(22) == (inherit ? 33 : 9));
    CHECK(pushed(pool, config, ipv6_frame(0, 17)).at(22) == (inherit ? 17 : 9));
    CHECK(pushed(pool, config, frame_of(Bytes(28, 1), 0x0806)).at(22) == (inherit ? 64 : 9));
}

TEST_CASE("TUN-TX-07 TUN-ECN-05 TUN-ECN-06 the TOS, and what becomes of ECN", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(GENERATE(IpTunnelKind::gre, IpTunnelKind::gretap));
    const std::array<std::uint8_t, 4> ecn{0, 1, 2, 2};
    for (std::uint8_t inner = 0; inner < 4; ++inner) {
        const auto tos = static_cast<std::uint8_t>(0xb8 | inner);
        config.tos = 0x26;  // the low bits never leave; bit 0 would be inherit
        Bytes outer = pushed(pool, config, ipv4_frame(5, tos));
        CHECK(outer.at(15) == (0x24 | ecn.at(inner)));
        CHECK(ip_checksum_is_right(outer, kIp));
        config.tos = 0x25;
        outer = pushed(pool, config, ipv4_frame(5, tos));
        CHECK(outer.at(15) == (0xb8 | ecn.at(inner)));
        CHECK(ip_checksum_is_right(outer, kIp));
        outer = pushed(pool, config, ipv6_frame(tos));
        CHECK(outer.at(15) == (0xb8 | ecn.at(inner)));
        CHECK(ip_checksum_is_right(outer, kIp));
        outer = pushed(pool, config, frame_of(Bytes(28, 1), 0x0806));
        CHECK(outer.at(15) == 0x24);
        CHECK(ip_checksum_is_right(outer, kIp));
    }
}

TEST_CASE("TUN-TX-13 TUN-TX-20 DF is the link's or the inner one", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::gre);
    const bool inner = GENERATE(false, true);
    const Bytes frame = ipv4_frame(5, 0, 63, inner);
    CHECK(pushed(pool, config, frame).at(20) == 0x40);
    config.pmtudisc = false;
    CHECK(pushed(pool, config, frame).at(20) == (inner ? 0x40 : 0));
    CHECK(ip_checksum_is_right(pushed(pool, config, frame), kIp));
    config.ignore_df = true;
    CHECK(pushed(pool, config, frame).at(20) == 0);

    route::Path locked = direct_path();
    locked.mtu_locked = true;
    config = config_of_kind(IpTunnelKind::gre);
    const Packet packet = make_packet(pool, frame);
    REQUIRE(push_packet(packet, make_outer(config, locked)) == IpTunnelPushed::done);
    CHECK(bytes_of(packet.get()).at(20) == 0);
}

TEST_CASE("TUN-PMTU-01 TUN-PMTU-02 what the path does not take", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::gretap);
    const Bytes fits = ipv4_frame(1462 - 28, 0, 63, true);
    CHECK(pushed(pool, config, fits).size() == 1514);
    const auto result = [&](const Bytes& frame) {
        const Packet packet = make_packet(pool, frame);
        const IpTunnelPushed pushed = push_packet(packet, make_outer(config));
        CHECK(bytes_of(packet.get()) == frame);
        return pushed;
    };
    const Bytes long_df = ipv4_frame(1463 - 28, 0, 63, true);
    const Bytes long_frame = ipv4_frame(1463 - 28);
    CHECK(result(long_df) == IpTunnelPushed::too_big);
    CHECK(result(long_frame) == IpTunnelPushed::needs_fragments);
    config.pmtudisc = false;
    CHECK(result(long_df) == IpTunnelPushed::too_big);
    CHECK(result(long_frame) == IpTunnelPushed::needs_fragments);
    config.ignore_df = true;
    CHECK(result(long_df) == IpTunnelPushed::needs_fragments);
}

TEST_CASE("IPv6 is told to send less where its least MTU fits", "[encap]") {
    const Pool pool;
    const IpTunnelConfig config = config_of_kind(IpTunnelKind::gre);
    Bytes frame = ipv6_frame(0);
    frame.resize(14 + 1400);
    route::Path path = direct_path();
    path.mtu = 1304;
    Packet packet = make_packet(pool, frame);
    CHECK(push_packet(packet, make_outer(config, path)) == IpTunnelPushed::too_big);
    path.mtu = 1303;
    packet = make_packet(pool, frame);
    CHECK(push_packet(packet, make_outer(config, path)) == IpTunnelPushed::needs_fragments);
}

TEST_CASE("TUN-TX-17 whatever room is in front is used, and no byte more", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(GENERATE(IpTunnelKind::ipip, IpTunnelKind::gretap));
    config.out_key = config.kind == IpTunnelKind::gretap ? std::optional(7U) : std::nullopt;
    const IpTunnelTemplate outer = make_outer(config);
    const std::uint16_t needed = outer.carries_frames ? outer.length : outer.length - 14;
    const Bytes frame = ipv4_frame(20);
    for (std::uint16_t room = 0; room < 100; ++room) {
        const Packet packet = make_exact(pool, frame, room);
        const IpTunnelPushed result = push_packet(packet, outer);
        REQUIRE(result == (room < needed ? IpTunnelPushed::no_headroom : IpTunnelPushed::done));
        const Bytes expected = room < needed ? frame : pushed(pool, config, frame);
        REQUIRE(bytes_of(packet.get()) == expected);
    }
}

TEST_CASE("IPIP-TX-02 GRE-TX-02 an inner header that is not whole", "[encap]") {
    const Pool pool;
    for (std::size_t len = 14; len < 14 + 20; ++len) {
        const Packet packet = make_exact(pool, before(ipv4_frame(0), len));
        REQUIRE(inspect_inner(packet.get()).truncated);
    }
    for (std::size_t len = 14; len < 14 + 40; ++len) {
        const Packet packet = make_exact(pool, before(ipv6_frame(0), len));
        REQUIRE(inspect_inner(packet.get()).truncated);
    }
    const Packet arp = make_exact(pool, frame_of({}, 0x0806));
    CHECK_FALSE(inspect_inner(arp.get()).truncated);
}

TEST_CASE("TUN-TX-11 TUN-TX-12 why a remote has no bytes", "[encap]") {
    const IpTunnelConfig config = config_of_kind(IpTunnelKind::gre);
    const auto state = [&](const net::IpAddress& remote, const route::Path& path) {
        return build_ip_tunnel_template(config, 7, remote, path, direct_neighbour()).state;
    };
    route::Path path = direct_path();
    CHECK(state(kRemoteAddress, path) == TunnelState::ready);
    CHECK(state({}, path) == TunnelState::no_remote);
    path.link = 7;
    CHECK(state(kRemoteAddress, path) == TunnelState::loop);
    path.kind = route::AdjacencyKind::no_route;
    CHECK(state(kRemoteAddress, path) == TunnelState::no_route);
    path.kind = route::AdjacencyKind::local;
    CHECK(state(kRemoteAddress, path) == TunnelState::local);
    const IpTunnelTemplate outer =
        build_ip_tunnel_template(config, 7, kRemoteAddress, direct_path(), std::nullopt);
    CHECK(outer.state == TunnelState::unresolved);
    CHECK(outer.next_hop == kRemoteAddress);
    IpTunnelTemplate ready = make_outer(config);
    CHECK(outer.ip_sum == ready.ip_sum);
}

TEST_CASE("GOLD-09 TUN-MTU-01 TUN-MTU-07 what each kind takes from the lower MTU", "[encap]") {
    const auto taken = [](IpTunnelKind kind, bool key, bool rest) {
        IpTunnelConfig config = config_of_kind(kind);
        config.out_key = key ? std::optional(1U) : std::nullopt;
        config.out_checksum = rest;
        config.out_sequence = rest;
        return 1500 - overhead_bytes(config);
    };
    CHECK(taken(IpTunnelKind::ipip, false, false) == 1480);
    CHECK(taken(IpTunnelKind::gre, false, false) == 1476);
    CHECK(taken(IpTunnelKind::gre, true, false) == 1472);
    CHECK(taken(IpTunnelKind::gre, true, true) == 1464);
    CHECK(taken(IpTunnelKind::gretap, false, false) == 1462);
    CHECK(taken(IpTunnelKind::gretap, true, false) == 1458);
}

}  // namespace culvert::encap::test
