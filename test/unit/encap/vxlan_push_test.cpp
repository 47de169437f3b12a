// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/vxlan_push.hpp"
#include "test/unit/encap/golden.hpp"
#include "test/unit/encap/packets.hpp"

#include <algorithm>

namespace culvert::encap::test {

namespace {

InnerFrame inspect(const rte_mbuf* packet) {
    return inspect_frame(rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len);
}

// The outer headers and all; the push must succeed.
Bytes pushed(rte_mbuf* packet, const VxlanTemplate& outer) {
    const InnerFrame inner = inspect(packet);
    REQUIRE(vxlan_push(packet, outer, inner, 1) == VxlanPushed::done);
    return bytes_of(packet);
}

Bytes pushed(const Pool& pool, const Bytes& frame, const VxlanTemplate& outer) {
    return pushed(make_packet(pool, frame).get(), outer);
}

}  // namespace

TEST_CASE("GOLD-07 VXLAN-TX-34 VXLAN-CSUM-02 the bytes are scapy's", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.udp_checksum = GENERATE(true, false);
    const Packet packet = make_packet(pool, kGoldenInner);
    InnerFrame inner = inspect(packet.get());
    inner.flow_hash = kGoldenFlowHash;
    const auto done = vxlan_push(packet.get(), make_template(config), inner, kGoldenIdentification);
    REQUIRE(done == VxlanPushed::done);
    Bytes expected(kGoldenOuter.begin(), kGoldenOuter.end());
    expected.insert(expected.end(), kGoldenInner.begin(), kGoldenInner.end());
    if (!config.udp_checksum) {
        expected[40] = 0;  // VXLAN-CSUM-01
        expected[41] = 0;
    }
    CHECK(bytes_of(packet.get()) == expected);
    CHECK(packet->pkt_len == expected.size());
    CHECK(packet->data_len == expected.size());
}

TEST_CASE("GOLD-04 total length, checksum and UDP length of a 98-byte frame", "[encap]") {
    const Pool pool;
    const Packet packet = make_packet(pool, ipv4_frame(56));
    REQUIRE(packet->pkt_len == 98);
    const InnerFrame inner = inspect(packet.get());
    REQUIRE(vxlan_push(packet.get(), make_template(), inner, 0x1234) == VxlanPushed::done);
    const Bytes bytes = bytes_of(packet.get());
    CHECK(
        Bytes(bytes.begin() + 14, bytes.begin() + 26) ==
        Bytes{0x45, 0, 0, 134, 0x12, 0x34, 0, 0, 64, 17, 0xe4, 0x2f}
    );
    CHECK(bytes[38] == 0);
    CHECK(bytes[39] == 114);
}

TEST_CASE("VXLAN-CSUM-02 checksums are right for every length", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    for (std::size_t payload = 0; payload < 300; ++payload) {
        const Bytes bytes = pushed(pool, ipv4_frame(payload), outer);
        CAPTURE(payload);
        REQUIRE(ip_checksum_is_right(bytes, 14));
        REQUIRE(transport_checksum_is_right(bytes, 14));
    }
}

TEST_CASE("VXLAN-CSUM-02 a chain of segments of odd lengths", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    const Bytes frame = ipv4_frame(200);
    const Bytes whole = pushed(pool, frame, outer);
    const std::vector<std::vector<std::size_t>> cuttings{
        {60}, {61}, {61, 62}, {61, 62, 63}, {60, 77, 100}, {55, 56, 200, 241}, {61, 61, 90}};
    for (const auto& cuts : cuttings) {
        const Packet chain = make_chain(pool, frame, cuts);
        CHECK(pushed(chain.get(), outer) == whole);
        CHECK(chain->pkt_len == whole.size());
    }
}

TEST_CASE("VXLAN-CSUM-02 a checksum of 0 is sent as 0xffff", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    Bytes frame = ipv4_frame(20);
    frame[60] = 0;  // payload of the inner packet, even offset
    frame[61] = 0;
    const Bytes before = pushed(pool, frame, outer);
    // The checksum c is the complement of the sum; c added to the data makes the sum all ones.
    frame[60] = before[40];
    frame[61] = before[41];
    const Bytes after = pushed(pool, frame, outer);
    CHECK(after[40] == 0xff);
    CHECK(after[41] == 0xff);
}

TEST_CASE("VXLAN-CSUM-03 a verified inner checksum gives the same outer one", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    const bool tagged = GENERATE(false, true);
    // Short ones are summed all the same: from 256 bytes on it matters.
    for (std::size_t payload = 0; payload < 300; payload += payload < 200 ? 11 : 1) {
        Bytes frame = ipv4_frame(payload);
        if (tagged) {
            frame = with_vlan(frame, 100);
        }
        const Bytes read = pushed(pool, frame, outer);
        const Packet packet = make_packet(pool, frame);
        packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        std::uint64_t sum = 0;
        REQUIRE(detail::sum_by_transport_checksum(packet.get(), sum));
        CHECK(pushed(packet.get(), outer) == read);
    }
}

TEST_CASE("VXLAN-CSUM-03 not for packets without a checksum of their own", "[encap]") {
    const Pool pool;
    Bytes frame = ipv4_frame(30);
    const std::string what = GENERATE(
        as<std::string>{}, "no checksum", "padded", "cut", "fragment", "icmp", "udp length", "arp"
    );
    if (what == "no checksum") {
        frame[40] = 0;
        frame[41] = 0;
    } else if (what == "padded") {
        frame.push_back(0x55);
    } else if (what == "cut") {
        frame.pop_back();
    } else if (what == "fragment") {
        frame[20] = 0x20;
    } else if (what == "icmp") {
        frame[23] = 1;
    } else if (what == "udp length") {
        frame[39] = static_cast<std::uint8_t>(frame[39] - 1);
    } else {
        frame[12] = 0x08;
        frame[13] = 0x06;
    }
    CAPTURE(what);
    const Packet packet = make_packet(pool, frame);
    packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    std::uint64_t sum = 0;
    CHECK_FALSE(detail::sum_by_transport_checksum(packet.get(), sum));
    CHECK(transport_checksum_is_right(pushed(packet.get(), make_template()), 14));
}

TEST_CASE("VXLAN-CSUM-03 flags that do not say verified are not trusted", "[encap]") {
    const Pool pool;
    Bytes frame = ipv4_frame(30);
    frame.back() ^= 0x40;  // the inner checksum is wrong
    const Packet packet = make_packet(pool, frame);
    packet->ol_flags |= GENERATE(
        std::uint64_t{0},
        RTE_MBUF_F_RX_L4_CKSUM_BAD,
        RTE_MBUF_F_RX_L4_CKSUM_NONE,
        RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD
    );
    CHECK(transport_checksum_is_right(pushed(packet.get(), make_template()), 14));
}

TEST_CASE("TUN-ECN-05 GOLD-12 the outer ECN field is the inner one, CE as ECT(0)", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.tos = 0xb8 | 3;
    const VxlanTemplate outer = make_template(config);
    const std::array<std::uint8_t, 4> expected{0, 1, 2, 2};
    const auto inner = static_cast<std::uint8_t>(GENERATE(range(0, 4)));
    const Bytes frame = GENERATE_COPY(
        ipv4_frame(8, static_cast<std::uint8_t>(0x20 | inner)),
        ipv6_frame(static_cast<std::uint8_t>(0x20 | inner)),
        with_vlan(ipv4_frame(8, inner), 5),
        with_vlan(with_vlan(ipv6_frame(inner), 5), 6)
    );
    const Bytes bytes = pushed(pool, frame, outer);
    CHECK(bytes[15] == (0xb8 | expected[inner]));
    CHECK(ip_checksum_is_right(bytes, 14));
    CHECK(transport_checksum_is_right(bytes, 14));
}

TEST_CASE("TUN-ECN-05 what is not IP has ECN 0", "[encap]") {
    const Pool pool;
    Bytes arp = ipv4_frame(8, 3);
    arp[13] = 0x06;
    CHECK(pushed(pool, arp, make_template())[15] == 0);
}

TEST_CASE("an inherited TOS", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.tos = 1;
    const VxlanTemplate outer = make_template(config);
    const auto tos = [&](const Bytes& frame) {
        const Bytes bytes = pushed(pool, frame, outer);
        CHECK(ip_checksum_is_right(bytes, 14));
        return bytes[15];
    };
    CHECK(tos(ipv4_frame(8, 0xb9)) == 0xb9);
    CHECK(tos(ipv4_frame(8, 0xff)) == 0xfe);
    CHECK(tos(ipv6_frame(0x2e)) == 0x2e);
    CHECK(tos(with_vlan(ipv6_frame(0x2e), 1)) == 0x2e);
    Bytes arp = ipv4_frame(8, 0xb9);
    arp[13] = 0x06;
    CHECK(tos(arp) == 0);
}

TEST_CASE("VXLAN-TX-22 an inherited TTL; none or 0 is 64", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.ttl_inherit = true;
    const VxlanTemplate outer = make_template(config);
    const auto ttl = [&](const Bytes& frame) {
        const Bytes bytes = pushed(pool, frame, outer);
        CHECK(ip_checksum_is_right(bytes, 14));
        return bytes[22];
    };
    CHECK(ttl(ipv4_frame(8, 0, 17)) == 17);
    CHECK(ttl(ipv4_frame(8, 0, 255)) == 255);
    CHECK(ttl(ipv4_frame(8, 0, 0)) == 64);
    CHECK(ttl(ipv6_frame(0, 9)) == 9);
    Bytes arp = ipv4_frame(8, 0, 17);
    arp[13] = 0x06;
    CHECK(ttl(arp) == 64);
}

TEST_CASE("VXLAN-TX-30 an inherited DF: from IPv4, always for IPv6", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.df = DontFragment::inherit;
    const VxlanTemplate outer = make_template(config);
    const auto flags = [&](const Bytes& frame) {
        const Bytes bytes = pushed(pool, frame, outer);
        CHECK(ip_checksum_is_right(bytes, 14));
        return bytes[20] << 8 | bytes[21];
    };
    CHECK(flags(ipv4_frame(8, 0, 9, true)) == 0x4000);
    CHECK(flags(ipv4_frame(8, 0, 9, false)) == 0);
    CHECK(flags(ipv6_frame(0)) == 0x4000);
    Bytes arp = ipv4_frame(8, 0, 9, true);
    arp[13] = 0x06;
    CHECK(flags(arp) == 0);
}

TEST_CASE("everything inherited at once still has a right checksum", "[encap]") {
    const Pool pool;
    VxlanConfig config;
    config.df = DontFragment::inherit;
    config.ttl_inherit = true;
    config.tos = 1;
    const Bytes bytes = pushed(pool, ipv4_frame(8, 0xff, 255, true), make_template(config));
    CHECK(
        Bytes(bytes.begin() + 14, bytes.begin() + 24) ==
        Bytes{0x45, 0xfe, 0, 86, 0, 1, 0x40, 0, 255, 17}
    );
    CHECK(ip_checksum_is_right(bytes, 14));
}

TEST_CASE("VXLAN-SPORT-02 GOLD-07 source ports of known hashes", "[encap]") {
    VxlanConfig config;
    VxlanTemplate outer = make_template(config);
    CHECK(vxlan_source_port(outer, 0x00000001) == 32768);
    CHECK(vxlan_source_port(outer, 0x12345678) == 40299);
    CHECK(vxlan_source_port(outer, 0x80000000) == 46883);
    CHECK(vxlan_source_port(outer, 0xffffffff) == 32768);
    config.source_port_min = 1000;
    config.source_port_max = 1001;
    outer = make_template(config);
    const std::uint32_t hash = GENERATE(0U, 1U, 0x12345678U, 0x80000000U, 0xffff0000U, 0xffffffffU);
    CHECK(vxlan_source_port(outer, hash) == 1000);
    config.source_port_min = 5000;
    config.source_port_max = 5010;
    outer = make_template(config);
    CHECK(vxlan_source_port(outer, 0x12345678) == 5002);
    CHECK(vxlan_source_port(outer, 0x80000000) == 5005);
    CHECK(vxlan_source_port(outer, hash) < 5010);
}

TEST_CASE("VXLAN-SPORT-03 VXLAN-TX-24 one flow has one port, and many flows spread", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    std::vector<int> ports;
    for (std::uint8_t flow = 0; flow < 64; ++flow) {
        Bytes frame = ipv4_frame(8);
        frame[35] = flow;  // inner source port
        const Bytes first = pushed(pool, frame, outer);
        frame.push_back(1);  // another packet of the same flow
        const Bytes second = pushed(pool, frame, outer);
        CHECK(first[34] == second[34]);
        CHECK(first[35] == second[35]);
        ports.push_back(first[34] << 8 | first[35]);
    }
    std::sort(ports.begin(), ports.end());
    ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
    CHECK(ports.size() > 56);
    CHECK(ports.front() >= 32768);
    CHECK(ports.back() < 60999);
}

TEST_CASE("VXLAN-TX-32 no headroom: the packet is as it was", "[encap]") {
    const Pool pool;
    const Bytes frame = ipv4_frame(8);
    const Packet none = make_exact(pool, frame, 49);
    none->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    const std::uint64_t flags = none->ol_flags;
    const InnerFrame inner = inspect(none.get());
    CHECK(vxlan_push(none.get(), make_template(), inner, 1) == VxlanPushed::no_headroom);
    CHECK(bytes_of(none.get()) == frame);
    CHECK(none->ol_flags == flags);
    const Packet enough = make_exact(pool, frame, 50);
    CHECK(vxlan_push(enough.get(), make_template(), inner, 1) == VxlanPushed::done);
    CHECK(rte_pktmbuf_headroom(enough.get()) == 0);
}

TEST_CASE("VXLAN-PMTU-03 the outer packet fits the path's MTU to the byte", "[encap]") {
    const Pool pool;
    route::Path path = direct_path();
    const Bytes frame = ipv4_frame(100);
    path.mtu = static_cast<std::uint32_t>(frame.size() + 36);
    const Packet fits = make_packet(pool, frame);
    CHECK(
        vxlan_push(fits.get(), make_template({}, path), inspect(fits.get()), 1) == VxlanPushed::done
    );
    --path.mtu;
    const Packet large = make_packet(pool, frame);
    CHECK(
        vxlan_push(large.get(), make_template({}, path), inspect(large.get()), 1) ==
        VxlanPushed::too_big
    );
    CHECK(bytes_of(large.get()) == frame);
}

TEST_CASE("VXLAN-TX-37 short frames are not padded, cut ones are carried as they are", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    Bytes frame =
        GENERATE(ipv4_frame(12), ipv6_frame(3), with_vlan(with_vlan(ipv4_frame(4), 1), 2));
    while (frame.size() >= 14) {
        const Packet packet = make_exact(pool, frame, 50);
        const Bytes bytes = pushed(packet.get(), outer);
        CAPTURE(frame.size());
        REQUIRE(bytes.size() == frame.size() + 50);
        REQUIRE(std::equal(frame.begin(), frame.end(), bytes.begin() + 50));
        REQUIRE(transport_checksum_is_right(bytes, 14));
        frame.pop_back();
    }
}

TEST_CASE("VXLAN-CSUM-03 cut frames with a verified checksum are read within bounds", "[encap]") {
    const Pool pool;
    const VxlanTemplate outer = make_template();
    Bytes frame = GENERATE(ipv4_frame(12), ipv6_frame(3), with_vlan(ipv4_frame(4), 1));
    frame[frame[12] == 0x81 ? 27 : 23] = static_cast<std::uint8_t>(GENERATE(6, 17));
    while (frame.size() >= 14) {
        const Packet packet = make_exact(pool, frame, 50);
        packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        REQUIRE(pushed(packet.get(), outer).size() == frame.size() + 50);
        frame.pop_back();
    }
}

TEST_CASE("TUN-SCR-01 push forgets what the device said, not whose memory it is", "[encap]") {
    const Pool pool;
    const Packet packet = make_exact(pool, ipv4_frame(8), 64);
    packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD |
                        RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_TX_IP_CKSUM;
    packet->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4;
    packet->l2_len = 14;
    packet->l3_len = 20;
    static_cast<void>(pushed(packet.get(), make_template()));
    CHECK(packet->ol_flags == RTE_MBUF_F_EXTERNAL);
    CHECK(packet->packet_type == 0);
    CHECK(packet->tx_offload == 0);
}

}  // namespace culvert::encap::test
