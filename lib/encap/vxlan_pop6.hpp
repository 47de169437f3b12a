// SPDX-License-Identifier: BSD-3-Clause
// The same as vxlan_pop.hpp where IPv6 is underneath.
#pragma once

#include "lib/encap/vxlan_pop.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ipv6.hpp"

namespace culvert::encap {

// What the rest of the way needs of the outer headers.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): who parses sets what is read
struct VxlanOuter6 {
    net::IpAddress source;
    std::uint32_t vni;
    std::uint16_t udp_port;      // destination
    std::uint16_t frame_offset;  // of the inner frame, from the packet's data
    std::uint8_t traffic_class;
    bool has_checksum;
};

// The offset of the UDP header, behind whatever extension headers. Precondition: at `l3_offset`
// lies an IPv6 header whose chain was followed, and ends in UDP.
[[nodiscard]] std::uint16_t
udp_offset_of6(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept;

[[nodiscard]] bool udp_checksum_is_valid6(
    const rte_mbuf* packet, std::uint16_t l3_offset, std::uint16_t udp_offset
) noexcept;

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
// Third, once the VNI has been found. Precondition: examine_vxlan6() said good.
[[nodiscard]] bool has_reserved_bits6(const rte_mbuf* packet, const VxlanOuter6& outer) noexcept;

}  // namespace culvert::encap
