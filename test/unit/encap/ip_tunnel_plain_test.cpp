// SPDX-License-Identifier: BSD-3-Clause
// The short way of ip_tunnel_push_plain() against ip_tunnel_push(), which takes any packet.
#include "test/unit/encap/ip_tunnel_packets.hpp"

namespace culvert::encap::test {

namespace {

// True: plain, and then both ways leave the same bytes; else it is unchanged.
bool is_plain(
    const Pool& pool,
    const IpTunnelTemplate& outer,
    const Bytes& frame,
    std::uint16_t headroom = RTE_PKTMBUF_HEADROOM
) {
    constexpr std::uint16_t kIdentification = 0xfffe;
    const Packet packet = make_exact(pool, frame, headroom);
    if (!ip_tunnel_push_plain(packet.get(), outer, kIdentification)) {
        REQUIRE(bytes_of(packet.get()) == frame);
        return false;
    }
    const Packet reference = make_exact(pool, frame, headroom);
    REQUIRE(push_packet(reference, outer, kIdentification) == IpTunnelPushed::done);
    REQUIRE(bytes_of(packet.get()) == bytes_of(reference.get()));
    REQUIRE(packet->pkt_len == reference->pkt_len);
    REQUIRE(packet->data_len == reference->data_len);
    return true;
}

}  // namespace

TEST_CASE("TUN-TX-13 TUN-TX-16 TUN-TX-18 most packets go the short way, byte for byte", "[encap]") {
    const Pool pool;
    IpTunnelConfig config =
        config_of_kind(GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre, IpTunnelKind::gretap));
    config.pmtudisc = GENERATE(true, false);
    config.ignore_df = GENERATE(true, false);
    config.ttl = GENERATE(std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{255});
    config.tos = GENERATE(std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{0xb8});
    if (config.kind != IpTunnelKind::ipip && GENERATE(true, false)) {
        config.out_key = 0xffffffff;
    }
    const IpTunnelTemplate outer = make_outer(config);
    for (const std::uint8_t ttl : Bytes{1, 63, 255}) {
        for (const bool df : {false, true}) {
            for (std::size_t payload = 0; payload < 50; payload += 7) {
                REQUIRE(is_plain(pool, outer, ipv4_frame(payload, 0, ttl, df)));
            }
        }
    }
}

TEST_CASE("TUN-TX-07 TUN-ECN-02 what a packet's TOS decides is not plain", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(GENERATE(IpTunnelKind::ipip, IpTunnelKind::gretap));
    for (unsigned tos = 0; tos < 256; ++tos) {
        const Bytes frame = ipv4_frame(20, static_cast<std::uint8_t>(tos));
        config.tos = 0;
        REQUIRE(is_plain(pool, make_outer(config), frame) == ((tos & 3) == 0));
        config.tos = 1;
        REQUIRE(is_plain(pool, make_outer(config), frame) == (tos == 0));
        config.tos = 0xb9;  // inherit, and bits that only a packet other than IP would have
        REQUIRE_FALSE(is_plain(pool, make_outer(config), frame));
    }
}

TEST_CASE("GRE-HDR-03 TUN-TX-17 TUN-PMTU-04 nor is what the device or the size asks", "[encap]") {
    const Pool pool;
    IpTunnelConfig config = config_of_kind(IpTunnelKind::gre);
    const Bytes frame = ipv4_frame(20);
    CHECK(is_plain(pool, make_outer(config), frame));
    CHECK_FALSE(is_plain(pool, make_outer(config), ipv6_frame(20)));
    CHECK_FALSE(is_plain(pool, make_outer(config), before(ipv4_frame(0), 33)));

    route::Path path = direct_path();
    const auto outer_len = static_cast<std::uint32_t>(frame.size() - 14 + 24);
    path.mtu = outer_len;
    CHECK(is_plain(pool, make_outer(config, path), frame));
    path.mtu = outer_len - 1;
    CHECK_FALSE(is_plain(pool, make_outer(config, path), frame));

    // The whole array is copied, whatever part of it counts.
    CHECK(is_plain(pool, make_outer(config), frame, IpTunnelTemplate::kRoom - 14));
    CHECK_FALSE(is_plain(pool, make_outer(config), frame, IpTunnelTemplate::kRoom - 15));

    config.out_sequence = GENERATE(false, true);
    config.out_checksum = !config.out_sequence;
    CHECK_FALSE(is_plain(pool, make_outer(config), frame));
}

}  // namespace culvert::encap::test
