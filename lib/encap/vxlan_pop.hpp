// SPDX-License-Identifier: BSD-3-Clause
// The outer header of a received VXLAN packet: what it says, whether it is sound, and taking it
// off. Which link it belongs to, and what is learned from it, is the pipeline's.
#pragma once

#include "lib/encap/mbuf.hpp"
#include "lib/net/endian.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/udp.hpp"
#include "lib/net/vxlan.hpp"

#include <rte_mbuf.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace culvert::encap {

// What the rest of the way needs of the outer headers.
struct VxlanOuter {
    net::Be32 source;  // IPv4
    std::uint32_t vni;
    std::uint16_t udp_port;      // destination
    std::uint16_t frame_offset;  // of the inner frame, from the packet's data
    std::uint8_t tos;
};

enum class UdpVerdict : std::uint8_t { good, truncated, length, checksum };
enum class VxlanVerdict : std::uint8_t { good, truncated, no_vni_flag };

// The device's word on the outer UDP checksum. When it looked inside the tunnel its L4 flags are
// about the inner packet.
[[nodiscard]] inline bool outer_checksum_is_known_good(const rte_mbuf* packet) noexcept {
    const std::uint64_t flags = packet->ol_flags;
    if ((flags & RTE_MBUF_F_RX_OUTER_L4_CKSUM_MASK) == RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD) {
        return true;
    }
    return (flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD &&
           (packet->packet_type & RTE_PTYPE_TUNNEL_MASK) == 0;
}

// Whether header, payload and pseudo header sum up. Precondition: the UDP length is the packet's
// rest from `udp_offset` on, as many as 65535.
[[nodiscard]] inline bool udp_checksum_is_valid(
    const rte_mbuf* packet, const net::Ipv4Header& ip, std::uint16_t udp_offset
) noexcept {
    const auto length = static_cast<std::uint16_t>(packet->pkt_len - udp_offset);
    const std::uint64_t pseudo =
        net::pseudo_header_sum_v4(ip.source, ip.destination, net::ip_protocol::kUdp, length);
    return net::sum_is_valid(net::sum_add(sum_packet(packet, udp_offset), pseudo));
}

// The offset of the UDP header. Precondition: a validated IPv4 header lies at `l3_offset`.
[[nodiscard]] inline std::uint16_t
udp_offset_of(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    return static_cast<std::uint16_t>(l3_offset + ip->header_len_bytes());
}

namespace detail {

inline void
read_outer(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter& outer) noexcept {
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(data + l3_offset);
    const std::uint16_t udp_offset = udp_offset_of(packet, l3_offset);
    const auto& udp = *reinterpret_cast<const net::UdpHeader*>(data + udp_offset);
    const auto& vxlan =
        *reinterpret_cast<const net::VxlanHeader*>(data + udp_offset + sizeof(net::UdpHeader));
    outer.source = ip.source;
    outer.vni = vxlan.vni();
    outer.udp_port = udp.destination.host();
    outer.frame_offset =
        static_cast<std::uint16_t>(udp_offset + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader));
    outer.tos = ip.type_of_service;
}

}  // namespace detail

// True: everything up to the inner Ethernet header is there and as it should be, but for the lookup
// of port and VNI; `outer` is set. False: something is unusual, and the functions below say what,
// asked in the kernel's order (VXLAN-RX-18). Precondition: at `l3_offset` lies an IPv4 header that
// was validated, options and all, and the packet ends where its total length says.
[[nodiscard]] inline bool
vxlan_parse(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter& outer) noexcept {
    constexpr std::uint32_t kHeaders =
        sizeof(net::UdpHeader) + sizeof(net::VxlanHeader) + sizeof(net::EtherHeader);
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(data + l3_offset);
    const std::uint16_t udp_offset = udp_offset_of(packet, l3_offset);
    if (packet->data_len < udp_offset + kHeaders) [[unlikely]] {
        return false;
    }
    const auto& udp = *reinterpret_cast<const net::UdpHeader*>(data + udp_offset);
    const auto& vxlan =
        *reinterpret_cast<const net::VxlanHeader*>(data + udp_offset + sizeof(net::UdpHeader));
    const bool is_plain = (vxlan.flags.raw() == net::Be32{net::vxlan::kVniValid}.raw()) &
                          (vxlan.reserved() == 0) &
                          (udp.length.host() == packet->pkt_len - udp_offset);
    if (!is_plain) [[unlikely]] {
        return false;
    }
    if (udp.checksum.raw() != 0 && !outer_checksum_is_known_good(packet) &&
        !udp_checksum_is_valid(packet, ip, udp_offset)) [[unlikely]] {
        return false;
    }
    detail::read_outer(packet, l3_offset, outer);
    return true;
}

// Of a VXLAN header's 8 bytes: the VNI flag alone, and nothing reserved.
[[nodiscard]] constexpr bool vxlan_is_plain(std::uint64_t header) noexcept {
    constexpr auto kPlain =
        std::bit_cast<std::uint64_t>(std::array{net::Be32{net::vxlan::kVniValid}, net::Be32{0}});
    constexpr auto kVni =
        std::bit_cast<std::uint64_t>(std::array{net::Be32{0}, net::Be32{0xffffff00}});
    return (header & ~kVni) == kPlain;
}

// All that a VXLAN packet says but its lengths, ID, source port and checksums: what neighbours in a
// burst mostly share.
struct VxlanWords {
    std::uint16_t version_and_tos = 0;
    std::uint16_t udp_port = 0;
    std::uint64_t addresses = 0;
    std::uint64_t vxlan = 0;

    static constexpr std::uint16_t kUdpOffset = sizeof(net::Ipv4Header);
    static constexpr std::uint16_t kVxlanOffset = kUdpOffset + sizeof(net::UdpHeader);
    static constexpr std::uint16_t kFrameOffset = kVxlanOffset + sizeof(net::VxlanHeader);

    // Reads kFrameOffset bytes from an IPv4 header.
    [[nodiscard]] static VxlanWords load(const std::uint8_t* ip) noexcept {
        using net::detail::load;
        return {
            load<std::uint16_t>(ip),
            load<std::uint16_t>(ip + kUdpOffset + offsetof(net::UdpHeader, destination)),
            load<std::uint64_t>(ip + offsetof(net::Ipv4Header, source)),
            load<std::uint64_t>(ip + kVxlanOffset),
        };
    }

    // No IP options, the VNI flag alone, nothing reserved.
    [[nodiscard]] bool is_plain() const noexcept {
        const auto version = std::bit_cast<std::array<std::uint8_t, 2>>(version_and_tos)[0];
        return vxlan_is_plain(vxlan) && version == net::kIpv4VersionIhl;
    }

    // What they say of a packet whose IPv4 header lies at `l3_offset`. Precondition: is_plain().
    [[nodiscard]] VxlanOuter outer(std::uint16_t l3_offset) const noexcept {
        return {
            std::bit_cast<std::array<net::Be32, 2>>(addresses)[0],
            std::bit_cast<net::VxlanHeader>(vxlan).vni(),
            net::Be16::from_raw(udp_port).host(),
            static_cast<std::uint16_t>(l3_offset + kFrameOffset),
            std::bit_cast<std::array<std::uint8_t, 2>>(version_and_tos)[1],
        };
    }

    friend bool operator==(const VxlanWords&, const VxlanWords&) = default;
};

// Whether VxlanWords::load() may be asked, and an inner Ethernet header is there.
[[nodiscard]] inline bool vxlan_is_whole(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    return packet->data_len >= l3_offset + VxlanWords::kFrameOffset + sizeof(net::EtherHeader);
}

// The rest of a packet whose words are plain: True: vxlan_parse() would take it, and say what
// VxlanWords::outer() does. Precondition: vxlan_is_whole(), and as vxlan_parse().
[[nodiscard]] [[gnu::always_inline]] inline bool
vxlan_is_sound(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const std::uint32_t udp_offset = std::uint32_t{l3_offset} + VxlanWords::kUdpOffset;
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const auto& udp = *reinterpret_cast<const net::UdpHeader*>(ip + VxlanWords::kUdpOffset);
    return udp.length.host() == packet->pkt_len - udp_offset &&
           (udp.checksum.raw() == 0 || outer_checksum_is_known_good(packet) ||
            udp_checksum_is_valid(
                packet,
                *reinterpret_cast<const net::Ipv4Header*>(ip),
                static_cast<std::uint16_t>(udp_offset)
            ));
}

// Of the UDP header at `offset`: is it whole, and its length possible? Cuts off what follows the
// length. Good says nothing of the checksum.
[[nodiscard]] UdpVerdict examine_udp_length(rte_mbuf* packet, std::uint16_t offset) noexcept;
// First of the sorting-out: is it sound UDP? Cuts off what follows the UDP length (VXLAN-SOCK-11).
[[nodiscard]] UdpVerdict examine_udp(rte_mbuf* packet, std::uint16_t l3_offset) noexcept;
// Second: a VXLAN header with a VNI? Then `outer` is set. Precondition as before.
[[nodiscard]] VxlanVerdict
examine_vxlan(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter& outer) noexcept;

// Last, once the VNI has been found. Preconditions: examine_vxlan() said good.
[[nodiscard]] inline bool
has_inner_ether(const rte_mbuf* packet, std::uint16_t frame_offset) noexcept {
    return packet->data_len >= frame_offset + sizeof(net::EtherHeader);
}

[[nodiscard]] bool has_reserved_bits(const rte_mbuf* packet, std::uint16_t frame_offset) noexcept;

// Takes the outer headers off; the packet begins at the inner frame. Precondition:
// has_inner_ether().
inline void vxlan_strip(rte_mbuf* packet, std::uint16_t frame_offset) noexcept {
    strip_front(packet, frame_offset);
    forget_offloads(packet);
}

// The reverse, while the headers still lie in front: for a packet that nobody takes.
inline void vxlan_put_back(rte_mbuf* packet, std::uint16_t frame_offset) noexcept {
    rte_pktmbuf_prepend(packet, frame_offset);
}

}  // namespace culvert::encap
