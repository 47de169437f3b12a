// SPDX-License-Identifier: BSD-3-Clause
// VXLAN with IPv6 underneath: the template, push and pop.
#include "lib/encap/vxlan_pop6.hpp"
#include "lib/encap/vxlan_push.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/encap/golden.hpp"
#include "test/unit/encap/packets.hpp"

namespace culvert::encap::test {

namespace {

constexpr std::uint16_t kL3 = 14;
constexpr std::uint16_t kUdp = 54;

// The same as kGoldenOuter over IPv6: 2001:db8::1 to 2001:db8::2, flow label 0x12345, hop limit 64.
// Made by hand, not by the code under test.
// clang-format off
constexpr auto kGoldenOuter6 = std::to_array<std::uint8_t>({
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x01,
    0x23, 0x45, 0x00, 0x51, 0x11, 0x40, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x9d, 0x6b, 0x21, 0x18, 0x00, 0x51, 0xbb, 0x71, 0x08, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x2a, 0x00,
});

// clang-format on

net::IpAddress address(const char* text) {
    return net::IpAddress::parse(text).value();
}

VxlanConfig config6() {
    VxlanConfig config;
    config.vni = 42;
    config.is_ipv6 = true;
    config.flow_label = 0x12345;
    return config;
}

VxlanTemplate make_template6(const VxlanConfig& config, std::uint32_t mtu = 1500) {
    route::Path path = direct_path();
    path.next_hop = address("2001:db8::2");
    path.source = address("2001:db8::1");
    path.mtu = mtu;
    route::Adjacency neighbour = direct_neighbour();
    neighbour.header[12] = 0x86;
    neighbour.header[13] = 0xdd;
    const VxlanRemote remote{address("2001:db8::2"), 42, 8472, kNoLink};
    return build_vxlan_template(config, 7, remote, path, neighbour);
}

Bytes golden6() {
    Bytes bytes(kGoldenOuter6.begin(), kGoldenOuter6.end());
    bytes.insert(bytes.end(), kGoldenInner.begin(), kGoldenInner.end());
    return bytes;
}

// What `outer` puts in front of `frame`.
Bytes pushed(const VxlanTemplate& outer, const Bytes& frame) {
    const Pool pool;
    const Packet packet = make_packet(pool, frame);
    InnerFrame inner = inspect_frame(frame.data(), frame.size());
    inner.flow_hash = kGoldenFlowHash;
    REQUIRE(vxlan_push(packet.get(), outer, inner, 7) == VxlanPushed::done);
    return bytes_of(packet.get());
}

bool checksum_is_right(const Bytes& bytes) {
    const auto all = std::span(bytes);
    const std::uint32_t pseudo =
        reference_sum(all.subspan(22, 32), 17 + static_cast<std::uint32_t>(bytes.size() - kUdp));
    return reference_sum(all.subspan(kUdp), pseudo) == 0xffff;
}

const net::Ipv6Header& ip_of(const Bytes& bytes) {
    return *reinterpret_cast<const net::Ipv6Header*>(&bytes[kL3]);
}

// The first `len` bytes, with lengths that say so and no checksum.
Bytes cut(Bytes bytes, std::size_t len) {
    bytes.resize(len);
    const std::size_t payload = len - kUdp;
    for (const std::size_t at : {std::size_t{18}, std::size_t{58}}) {
        if (len >= at + 2) {
            bytes[at] = static_cast<std::uint8_t>(payload >> 8);
            bytes[at + 1] = static_cast<std::uint8_t>(payload);
        }
    }
    if (len >= 62) {
        bytes[60] = 0;
        bytes[61] = 0;
    }
    return bytes;
}

}  // namespace

TEST_CASE("GOLD-07 VXLAN-TX-36 VXLAN-CSUM-01 the outer header over IPv6", "[encap][vxlan6]") {
    const Bytes inner(kGoldenInner.begin(), kGoldenInner.end());
    CHECK(pushed(make_template6(config6()), inner) == golden6());
}

TEST_CASE("VXLAN-CSUM-01 udp6zerocsumtx sends none, udpcsum is IPv4's", "[encap][vxlan6]") {
    VxlanConfig config = config6();
    config.udp_checksum = false;
    CHECK(checksum_is_right(pushed(make_template6(config), ipv4_frame(40))));
    config.no_checksum6_tx = true;
    const Bytes bytes = pushed(make_template6(config), ipv4_frame(40));
    CHECK((bytes[60] == 0 && bytes[61] == 0));
}

TEST_CASE("VXLAN-CSUM-02 the checksum over IPv6 is right for every length", "[encap][vxlan6]") {
    const VxlanTemplate outer = make_template6(config6());
    for (std::size_t payload = 0; payload < 300; payload += 7) {
        CHECK(checksum_is_right(pushed(outer, ipv4_frame(payload, 3))));
    }
}

TEST_CASE("VXLAN-TX-22 VXLAN-TX-23 traffic class and hop limit over IPv6", "[encap][vxlan6]") {
    VxlanConfig config = config6();
    config.tos = 0xb8;
    config.ttl = 17;
    Bytes bytes = pushed(make_template6(config), ipv4_frame(40, 0x2a));
    CHECK(ip_of(bytes).traffic_class() == 0xba);
    CHECK(ip_of(bytes).flow_label() == 0x12345);
    CHECK(ip_of(bytes).hop_limit == 17);
    // CE becomes ECT(0) (TUN-ECN-05).
    CHECK(ip_of(pushed(make_template6(config), ipv4_frame(40, 3))).traffic_class() == 0xba);
    config.tos = 1;
    config.ttl = 0;
    config.ttl_inherit = true;
    bytes = pushed(make_template6(config), ipv4_frame(40, 0x2a, 33));
    CHECK(ip_of(bytes).traffic_class() == 0x2a);
    CHECK(ip_of(bytes).flow_label() == 0x12345);
    CHECK(ip_of(bytes).hop_limit == 33);
    CHECK(checksum_is_right(bytes));
    bytes = pushed(make_template6(config), ipv6_frame(0x6d, 9));
    CHECK(ip_of(bytes).traffic_class() == 0x6d);
    CHECK(ip_of(bytes).hop_limit == 9);
}

TEST_CASE("VXLAN-TX-30 over IPv6 there is no DF, and 70 bytes", "[encap][vxlan6]") {
    VxlanConfig config = config6();
    config.df = DontFragment::set;
    const VxlanTemplate outer = make_template6(config, 1400);
    CHECK(outer.df == DontFragment::unset);
    CHECK(outer.overhead() == 70);
    const Pool pool;
    // 42 bytes of headers before the payload.
    for (const auto& [payload, result] :
         {std::pair{1344U - 42U, VxlanPushed::done}, {1345U - 42U, VxlanPushed::too_big}}) {
        const Bytes frame = ipv4_frame(payload);
        const Packet packet = make_packet(pool, frame);
        CHECK(
            vxlan_push(packet.get(), outer, inspect_frame(frame.data(), frame.size()), 1) == result
        );
    }
}

TEST_CASE("VXLAN-TX-25 a source of the other family leads nowhere", "[encap][vxlan6]") {
    VxlanConfig config = config6();
    config.local = address("192.0.2.1");
    CHECK(make_template6(config).state == TunnelState::no_route);
}

TEST_CASE("VXLAN-RX-09 what the outer headers over IPv6 say", "[encap][vxlan6]") {
    const Pool pool;
    const Packet packet = make_packet(pool, golden6());
    VxlanOuter6 outer{};
    REQUIRE(vxlan_parse6(packet.get(), kL3, outer));
    CHECK(outer.source == address("2001:db8::1"));
    CHECK(outer.vni == 42);
    CHECK(outer.udp_port == 8472);
    CHECK(outer.frame_offset == 70);
    CHECK(outer.has_checksum);
    vxlan_strip(packet.get(), outer.frame_offset);
    CHECK(bytes_of(packet.get()) == Bytes(kGoldenInner.begin(), kGoldenInner.end()));
}

TEST_CASE("VXLAN-SOCK-11 a wrong UDP checksum over IPv6 is seen", "[encap][vxlan6]") {
    const Pool pool;
    for (const std::size_t at : {22U, 40U, 54U, 60U, 70U, 100U}) {
        Bytes bytes = golden6();
        bytes[at] ^= 0x10;
        const Packet packet = make_packet(pool, bytes);
        VxlanOuter6 outer{};
        CHECK_FALSE(vxlan_parse6(packet.get(), kL3, outer));
        CHECK(examine_udp6(packet.get(), kL3) == UdpVerdict::checksum);
    }
}

TEST_CASE("VXLAN-RX-18 over IPv6 nothing is read beyond what is there", "[encap][vxlan6]") {
    const Pool pool;
    for (std::size_t len = kUdp; len < kUdp + 30U; ++len) {
        const Packet packet = make_exact(pool, cut(golden6(), len));
        VxlanOuter6 outer{};
        CHECK(vxlan_parse6(packet.get(), kL3, outer) == (len >= 84));
        const UdpVerdict udp = examine_udp6(packet.get(), kL3);
        CHECK(udp == (len < 62 ? UdpVerdict::truncated : UdpVerdict::good));
        if (udp == UdpVerdict::good) {
            const VxlanVerdict vxlan = examine_vxlan6(packet.get(), kL3, outer);
            CHECK(vxlan == (len < 70 ? VxlanVerdict::truncated : VxlanVerdict::good));
        }
    }
}

TEST_CASE("extension headers in front of UDP are gone past", "[encap][vxlan6]") {
    const Pool pool;
    Bytes bytes = golden6();
    const Bytes options{17, 0, 1, 4, 0, 0, 0, 0};
    bytes.insert(bytes.begin() + kUdp, options.begin(), options.end());
    bytes[20] = net::ip_protocol::kDestinationOptions;
    bytes[19] = static_cast<std::uint8_t>(bytes[19] + options.size());
    const Packet packet = make_packet(pool, bytes);
    VxlanOuter6 outer{};
    REQUIRE(vxlan_parse6(packet.get(), kL3, outer));
    CHECK(outer.frame_offset == 78);
}

}  // namespace culvert::encap::test
