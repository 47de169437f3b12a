// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/arp.hpp"
#include "lib/net/gre.hpp"
#include "lib/net/header.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/tcp.hpp"
#include "lib/net/udp.hpp"
#include "lib/net/vxlan.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>

namespace culvert::net {
namespace {

template <typename Header, std::size_t N>
Header from_bytes(const std::array<std::uint8_t, N>& bytes) {
    static_assert(N == sizeof(Header));
    Header header{};
    std::memcpy(&header, bytes.data(), N);
    return header;
}

TEST_CASE("ipv4 header: fields at their places", "[net]") {
    const auto ip =
        from_bytes<Ipv4Header, 20>({0x46, 0xb9, 0x01, 0x02, 0x12, 0x34, 0x60, 0x03, 64,  17,
                                    0xab, 0xcd, 192,  0,    2,    1,    198,  51,   100, 2});
    CHECK(ip.version() == 4);
    CHECK(ip.header_len_bytes() == 24);
    CHECK(ip.dscp() == 0x2e);
    CHECK(ip.ecn() == 1);
    CHECK(ip.total_length.host() == 0x0102);
    CHECK(ip.identification.host() == 0x1234);
    CHECK(ip.dont_fragment());
    CHECK(ip.more_fragments());
    CHECK(ip.is_fragment());
    CHECK(ip.fragment_offset_bytes() == 24);
    CHECK(ip.time_to_live == 64);
    CHECK(ip.protocol == ip_protocol::kUdp);
    CHECK(ip.checksum.host() == 0xabcd);
    CHECK(ip.source.host() == 0xc0000201);
    CHECK(ip.destination.host() == 0xc6336402);
}

TEST_CASE("ipv6 header: the first word's parts", "[net]") {
    Ipv6Header ip{};
    ip.version_class_flow = Be32{0x6b9abcde};
    CHECK(ip.version() == 6);
    CHECK(ip.traffic_class() == 0xb9);
    CHECK(ip.dscp() == 0x2e);
    CHECK(ip.ecn() == 1);
    CHECK(ip.flow_label() == 0xabcde);
    CHECK(Ipv6Header::make_first_word(0xb9, 0xabcde) == Be32{0x6b9abcde});
    CHECK(Ipv6Header::make_first_word(0, 0xfff00000) == Be32{0x60000000});
}

TEST_CASE("ipv6 fragment header: offset and M", "[net]") {
    const auto fragment = from_bytes<Ipv6FragmentHeader, 8>({17, 0, 0x00, 0xb9, 0, 0, 0, 1});
    CHECK(fragment.next_header == ip_protocol::kUdp);
    CHECK(fragment.fragment_offset_bytes() == 184);
    CHECK(fragment.more_fragments());
    CHECK(fragment.identification.host() == 1);
}

TEST_CASE("tcp and udp headers: ports and header length", "[net]") {
    const auto tcp = from_bytes<TcpHeader, 20>({0x30, 0x39, 0,    80,   0, 0, 0, 1, 0, 0,
                                                0,    2,    0x80, 0x12, 0, 1, 0, 0, 0, 0});
    CHECK(tcp.source.host() == 12345);
    CHECK(tcp.destination.host() == 80);
    CHECK(tcp.header_len_bytes() == 32);
    const auto udp = from_bytes<UdpHeader, 8>({0x80, 0x00, 0x12, 0xb5, 0, 50, 0, 0});
    CHECK(udp.source.host() == 32768);
    CHECK(udp.destination.host() == kVxlanPort);
    CHECK(udp.length.host() == 50);
}

TEST_CASE("arp header: ethernet and ipv4 only, hardware type 1 or 6", "[net]") {
    struct Case {
        std::uint16_t hardware_type;
        std::uint16_t protocol_type;
        std::uint8_t hardware_length;
        std::uint8_t protocol_length;
        bool accepted;
    };

    const auto c = GENERATE(values<Case>({
        {1, 0x0800, 6, 4, true},
        {6, 0x0800, 6, 4, true},
        {2, 0x0800, 6, 4, false},
        {1, 0x86dd, 6, 4, false},
        {1, 0x0800, 8, 4, false},
        {1, 0x0800, 6, 16, false},
    }));
    ArpHeader arp{};
    arp.hardware_type = Be16{c.hardware_type};
    arp.protocol_type = Be16{c.protocol_type};
    arp.hardware_length = c.hardware_length;
    arp.protocol_length = c.protocol_length;
    CHECK(arp.is_ethernet_ipv4() == c.accepted);
}

TEST_CASE("icmp header: echo and frag-needed share its layout", "[net]") {
    const std::array<std::uint8_t, 8> bytes{8, 0, 0xab, 0xcd, 0x12, 0x34, 0x05, 0xb4};
    const auto echo = from_bytes<IcmpEchoHeader>(bytes);
    CHECK(echo.identifier.host() == 0x1234);
    CHECK(echo.sequence.host() == 0x05b4);
    CHECK(from_bytes<IcmpFragmentationNeededHeader>(bytes).next_hop_mtu.host() == 1460);
    CHECK(from_bytes<IcmpHeader>(bytes).rest.host() == 0x123405b4);
}

TEST_CASE("flags and protocol in four bytes", "[net]") {
    const auto gre = from_bytes<GreHeader, 4>({0xb0, 0x00, 0x65, 0x58});
    const std::uint16_t flags = gre.flags_and_version.host();
    CHECK((flags & gre::kChecksum) != 0);
    CHECK((flags & gre::kKey) != 0);
    CHECK((flags & gre::kSequence) != 0);
    CHECK((flags & gre::kRouting) == 0);
    CHECK((flags & gre::kVersion) == 0);
    CHECK(gre.protocol.host() == ether_type::kTeb);
    // Every bit belongs to one mask.
    CHECK(
        (gre::kChecksum ^ gre::kRouting ^ gre::kKey ^ gre::kSequence ^ gre::kStrictRoute ^
         gre::kRecursion ^ gre::kAcknowledgment ^ gre::kReserved ^ gre::kVersion) == 0xffff
    );
}

TEST_CASE("gre header lengths by flags", "[net]") {
    CHECK(gre_header_len_bytes(0x0000) == 4);
    CHECK(gre_header_len_bytes(0x2000) == 8);
    CHECK(gre_header_len_bytes(0x8000) == 8);
    CHECK(gre_header_len_bytes(0x1000) == 8);
    CHECK(gre_header_len_bytes(0xb000) == 16);
    // Flags that bring no field with them.
    CHECK(gre_header_len_bytes(0x4fff) == 4);
}

TEST_CASE("vxlan header: vni and reserved byte", "[net]") {
    const auto vxlan = from_bytes<VxlanHeader, 8>({0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0x78});
    CHECK(vxlan.flags.host() == vxlan::kVniValid);
    CHECK(vxlan.vni() == 0x123456);
    CHECK(vxlan.reserved() == 0x78);
    const VxlanHeader made = VxlanHeader::make(kMaxVni);
    CHECK(made.vni() == 16777215);
    CHECK(made.reserved() == 0);
    CHECK(made.flags == Be32{0x08000000});
}

TEST_CASE("header_at: only what lies wholly within the data", "[net]") {
    std::array<std::uint8_t, 16> bytes{};
    CHECK(header_at<UdpHeader>(bytes.data(), 16, 8) != nullptr);
    CHECK(header_at<UdpHeader>(bytes.data(), 16, 9) == nullptr);
    CHECK(header_at<UdpHeader>(bytes.data(), 7, 0) == nullptr);
    CHECK(header_at<UdpHeader>(bytes.data(), 16, 17) == nullptr);
    CHECK(header_at<UdpHeader>(bytes.data(), 16, SIZE_MAX) == nullptr);
}

}  // namespace
}  // namespace culvert::net
