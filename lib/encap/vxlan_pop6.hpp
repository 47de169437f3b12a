// SPDX-License-Identifier: BSD-3-Clause
// The same as vxlan_pop.hpp where IPv6 is underneath.
#pragma once

#include "lib/encap/vxlan_pop.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/link_id.hpp"

namespace culvert::encap {

// What the rest of the way needs of the outer headers.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): who parses sets what is read
struct VxlanOuter6 {
    net::IpAddress source;
    std::uint32_t vni;
    std::uint16_t udp_port;      // destination
    std::uint16_t frame_offset;  // of the inner frame, from the packet's data
    std::uint8_t tos;            // the traffic class
    bool has_checksum;
};

// VxlanWords for IPv6; the destination is ours, whichever it is.
struct VxlanWords6 {
    std::uint64_t source_first = 0;
    std::uint64_t source_last = 0;
    std::uint64_t vxlan = 0;
    std::uint16_t version_and_class = 0;  // without the flow label's bits
    std::uint16_t udp_port = 0;
    std::uint8_t next_header = 0;
    bool has_checksum = false;
    LinkId link_in = kNoLink;  // fe80:: is another on each

    static constexpr std::uint16_t kUdpOffset = sizeof(net::Ipv6Header);
    static constexpr std::uint16_t kVxlanOffset = kUdpOffset + sizeof(net::UdpHeader);
    static constexpr std::uint16_t kFrameOffset = kVxlanOffset + sizeof(net::VxlanHeader);

    // Reads kFrameOffset bytes from an IPv6 header.
    [[nodiscard]] static VxlanWords6 load(const std::uint8_t* ip, LinkId link_in) noexcept {
        using net::detail::load;
        constexpr auto kClass = std::bit_cast<std::uint16_t>(net::Be16{0xfff0});
        const std::uint8_t* source = ip + offsetof(net::Ipv6Header, source);
        const std::uint8_t* udp = ip + kUdpOffset;
        return {
            load<std::uint64_t>(source),
            load<std::uint64_t>(source + 8),
            load<std::uint64_t>(ip + kVxlanOffset),
            static_cast<std::uint16_t>(load<std::uint16_t>(ip) & kClass),
            load<std::uint16_t>(udp + offsetof(net::UdpHeader, destination)),
            ip[offsetof(net::Ipv6Header, next_header)],
            load<std::uint16_t>(udp + offsetof(net::UdpHeader, checksum)) != 0,
            link_in,
        };
    }

    // No extension headers, the VNI flag alone, nothing reserved.
    [[nodiscard]] bool is_plain() const noexcept {
        return vxlan_is_plain(vxlan) && next_header == net::ip_protocol::kUdp;
    }

    // What they say of a packet whose IPv6 header lies at `l3_offset`. Precondition: is_plain().
    [[nodiscard]] VxlanOuter6 outer(std::uint16_t l3_offset) const noexcept {
        return {
            net::IpAddress::from_v6(std::bit_cast<std::array<std::uint8_t, 16>>(std::array{
                source_first, source_last})),
            std::bit_cast<net::VxlanHeader>(vxlan).vni(),
            net::Be16::from_raw(udp_port).host(),
            static_cast<std::uint16_t>(l3_offset + kFrameOffset),
            static_cast<std::uint8_t>(net::Be16::from_raw(version_and_class).host() >> 4),
            has_checksum,
        };
    }

    friend bool operator==(const VxlanWords6&, const VxlanWords6&) = default;
};

// The offset of the UDP header, behind whatever extension headers. Precondition: at `l3_offset`
// lies an IPv6 header whose chain was followed, and ends in UDP.
[[nodiscard]] std::uint16_t
udp_offset_of6(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept;

[[nodiscard]] bool udp_checksum_is_valid6(
    const rte_mbuf* packet, std::uint16_t l3_offset, std::uint16_t udp_offset
) noexcept;

// vxlan_is_sound() for a packet whose VxlanWords6 are plain.
[[nodiscard]] [[gnu::always_inline]] inline bool
vxlan_is_sound6(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const std::uint32_t udp_offset = std::uint32_t{l3_offset} + VxlanWords6::kUdpOffset;
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, udp_offset);
    return udp.length.host() == packet->pkt_len - udp_offset &&
           (udp.checksum.raw() == 0 || outer_checksum_is_known_good(packet) ||
            udp_checksum_is_valid6(packet, l3_offset, static_cast<std::uint16_t>(udp_offset)));
}

// True: everything up to the inner Ethernet header is there and as it should be, but for the lookup
// of port and VNI and whether a packet without checksum is taken; `outer` is set. False: something
// is unusual, and the functions below say what. Preconditions: as above, and the packet ends where
// its payload length says.
[[nodiscard]] bool
vxlan_parse6(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter6& outer) noexcept;

// First of the sorting-out: is it sound UDP, but for having no checksum? Cuts off what follows the
// UDP length.
[[nodiscard]] UdpVerdict examine_udp6(rte_mbuf* packet, std::uint16_t l3_offset) noexcept;
// Second: a VXLAN header with a VNI? Then `outer` is set. Precondition: examine_udp6() said good.
[[nodiscard]] VxlanVerdict
examine_vxlan6(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter6& outer) noexcept;

}  // namespace culvert::encap
