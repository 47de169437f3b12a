// SPDX-License-Identifier: BSD-3-Clause
// The outer headers of ip6tnl, ip6gre and ip6gretap in front of a packet: one copy of the template,
// then what this packet decides (ip6_tnl_xmit). There is no header checksum, no identification,
// and nobody cuts such a packet: what is too big is refused.
#pragma once

#include "lib/encap/inner_frame.hpp"
#include "lib/encap/ip_tunnel6.hpp"
#include "lib/encap/ip_tunnel_push.hpp"
#include "lib/net/udp.hpp"

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>

namespace culvert::encap {

// What the outer header must know of the packet inside.
struct IpTunnelInner6 {
    std::uint32_t flow_hash = 0;
    std::uint32_t flow_label = 0;  // of IPv6
    std::uint16_t type = 0;        // EtherType, behind VLAN tags
    std::uint16_t l3_offset = sizeof(net::EtherHeader);
    net::L3 l3 = net::L3::none;
    std::uint8_t tos = 0;
    std::uint8_t ttl = net::kIpv6DefaultHopLimit;
    bool truncated = false;       // not even its IP header is whole
    bool has_extensions = false;  // IPv6, and what says an encapsulation limit may be there
};

// Of any frame of at least 14 bytes.
[[nodiscard]] IpTunnelInner6 inspect_inner6(const rte_mbuf* packet) noexcept;

// Where the inner packet says its encapsulation limit, from its IPv6 header; 0 = nowhere
// (ip6_tnl_parse_tlv_enc_lim). Precondition: inner.has_extensions.
[[nodiscard]] std::uint32_t
find_encap_limit(const rte_mbuf* packet, const IpTunnelInner6& inner) noexcept;

// The same template with this limit, whether it had one or not.
[[nodiscard]] IpTunnelTemplate6
with_encap_limit(const IpTunnelTemplate6& outer, std::uint8_t limit) noexcept;

// The largest inner packet that Linux takes on this path, counted from its IP header: IPv6's least
// MTU always passes here, and is lost on the way (ip6_tnl_xmit).
[[nodiscard]] inline std::uint32_t
inner_mtu(const IpTunnelTemplate6& outer, const IpTunnelInner6& inner) noexcept {
    const std::uint32_t least =
        inner.l3 == net::L3::ipv6 ? std::uint32_t{net::kIpv6MinMtu} : std::uint32_t{68};
    const std::uint32_t taken =
        outer.ip_len() + (outer.carries_frames ? std::uint32_t{sizeof(net::EtherHeader)} : 0U);
    return outer.mtu > taken + least ? outer.mtu - taken : least;
}

namespace detail {

// Class and flow label (ip6_make_flowlabel).
[[nodiscard]] inline std::uint32_t
first_word(const IpTunnelTemplate6& outer, const IpTunnelInner6& inner) noexcept {
    constexpr std::uint32_t kLabelMask = 0xfffff;
    constexpr unsigned kClassShift = 20;
    std::uint32_t word = outer.first_word;
    std::uint32_t added = 0;
    if (outer.class_inherit) {
        added = inner.tos;
    }
    if (outer.marks_congestion) {
        added = net::ecn_encapsulate(static_cast<std::uint8_t>(added), inner.tos);
    }
    word |= added << kClassShift;
    if (outer.label_of_flow) {
        const std::uint32_t said = outer.label_inherit ? inner.flow_label : 0;
        word |= said != 0 ? said : (inner.flow_hash & kLabelMask);
    }
    return word;
}

// Checksum last, over all the rest (GRE-HDR-03).
inline void patch_gre6(
    std::uint8_t* gre,
    const IpTunnelTemplate6& outer,
    std::uint16_t inner_type,
    std::uint32_t sequence,
    std::uint64_t payload_sum
) noexcept {
    std::uint64_t header = outer.gre_sum;
    if (!outer.carries_frames && inner_type != net::ether_type::kIpv4) {
        const net::Be16 type{inner_type};
        std::memcpy(gre + offsetof(net::GreHeader, protocol), &type, sizeof(type));
        const auto before = static_cast<std::uint16_t>(~net::Be16{net::ether_type::kIpv4}.raw());
        header += std::uint64_t{before} + type.raw();
    }
    if (outer.sequence) {
        const net::Be32 number{sequence};
        std::memcpy(gre + outer.gre_len - sizeof(number), &number, sizeof(number));
        header += number.raw();
    }
    if (outer.checksum) {
        const net::Be16 checksum = net::checksum_from_sum(net::sum_add(payload_sum, header));
        std::memcpy(gre + sizeof(net::GreHeader), &checksum, sizeof(checksum));
    }
}

// UDP's length, port and checksum, and GUE's protocol, of a packet that has all its other headers
// (fou6_build_udp, udp6_set_csum).
inline void patch_udp6(
    const net::Ipv6Header& ip,
    std::uint8_t* udp,
    const IpTunnelTemplate6& outer,
    net::Be16 port,
    std::uint32_t length,
    std::uint64_t payload_sum
) noexcept {
    net::UdpHeader header{};
    std::memcpy(&header, udp, sizeof(header));
    header.length = net::Be16{static_cast<std::uint16_t>(length)};
    if (outer.is_flow_port) {
        header.source = port;
    }
    std::memcpy(udp, &header, sizeof(header));
    if (!outer.udp_checksum) {
        return;
    }
    const std::uint32_t headers_len = std::uint32_t{outer.udp_len} + outer.gre_len;
    const std::uint64_t pseudo =
        net::pseudo_header_sum_v6(ip.source, ip.destination, net::ip_protocol::kUdp, length);
    const std::uint64_t sum = net::sum_add(net::sum_bytes(udp, headers_len), payload_sum);
    header.checksum = net::udp_checksum_from_sum(net::sum_add(sum, pseudo));
    std::memcpy(udp, &header, sizeof(header));
}

}  // namespace detail

// Puts `outer` in front of the frame at the packet's data, in place of its link header if the
// device carries packets. The packet is unchanged unless `done`; too_big: its sender is to send
// less; needs_fragments: it would have to be cut. Preconditions: outer.state is ready, failing or
// unresolved (then the Ethernet addresses are 0), and there is UDP if InUdp; `inner` is what
// inspection said, not truncated, and of a type that the device sends.
template <bool InUdp>
[[nodiscard]] inline IpTunnelPushed ip_tunnel_push6(
    rte_mbuf* packet,
    const IpTunnelTemplate6& outer,
    const IpTunnelInner6& inner,
    std::uint32_t sequence
) noexcept {
    constexpr std::uint16_t kLink = IpTunnelTemplate6::kLinkHeaderLen;
    constexpr std::uint32_t kRoom =
        InUdp ? IpTunnelTemplate6::kRoom : IpTunnelTemplate6::kPlainRoom;
    constexpr std::uint32_t kIp = sizeof(net::Ipv6Header);
    const std::uint16_t stripped = outer.carries_frames ? std::uint16_t{0} : kLink;
    const std::uint32_t room = std::uint32_t{rte_pktmbuf_headroom(packet)} + stripped;
    const auto added = static_cast<std::uint16_t>(outer.length - stripped);
    const std::uint32_t total_length = packet->pkt_len + added - kLink;
    if (room < kRoom) [[unlikely]] {
        return IpTunnelPushed::no_headroom;
    }
    if (total_length > outer.mtu) [[unlikely]] {
        return packet->pkt_len - inner.l3_offset > inner_mtu(outer, inner)
                   ? IpTunnelPushed::too_big
                   : IpTunnelPushed::needs_fragments;
    }
    const bool sums = outer.checksum || (InUdp && outer.udp_checksum);
    const std::uint64_t payload_sum = sums ? sum_packet(packet, stripped) : std::uint64_t{0};
    net::Be16 port{};
    if constexpr (InUdp) {
        const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        port = ip_tunnel_source_port(frame, packet->data_len);
    }
    const net::Be32 first{detail::first_word(outer, inner)};
    const net::Be16 payload_length{static_cast<std::uint16_t>(total_length - kIp)};

    auto* const payload = rte_pktmbuf_mtod(packet, std::uint8_t*) + stripped;
    std::memcpy(payload - kRoom, &outer.bytes[IpTunnelTemplate6::kRoom - kRoom], kRoom);
    auto& ip = *reinterpret_cast<net::Ipv6Header*>(payload - outer.ip_len());
    ip.version_class_flow = first;
    ip.payload_length = payload_length;
    if (outer.hop_limit_inherit) {
        ip.hop_limit = inner.ttl;
    }
    if (outer.gre_len != 0) {
        detail::patch_gre6(payload - outer.gre_len, outer, inner.type, sequence, payload_sum);
    } else if (inner.l3 == net::L3::ipv4) {
        // In GUE's header, the limit's or IPv6's own, where the template says IPv6; FOU's port says
        // it already.
        if constexpr (InUdp) {
            if (outer.udp_len != sizeof(net::UdpHeader)) {
                *(payload - sizeof(net::GueHeader) + offsetof(net::GueHeader, protocol)) =
                    net::ip_protocol::kIpip;
            }
        } else {
            auto& next_header = outer.limit_len != 0 ? *(payload - kEncapLimitLen) : ip.next_header;
            next_header = net::ip_protocol::kIpip;
        }
    }
    if constexpr (InUdp) {
        const std::uint32_t behind = std::uint32_t{outer.udp_len} + outer.gre_len;
        detail::patch_udp6(
            ip, payload - behind, outer, port, total_length - kIp - outer.limit_len, payload_sum
        );
    }

    packet->data_off = static_cast<std::uint16_t>(packet->data_off - added);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len + added);
    packet->pkt_len += added;
    forget_offloads(packet);
    return IpTunnelPushed::done;
}

// The same, where the template says whether there is UDP.
[[nodiscard]] inline IpTunnelPushed ip_tunnel_push6(
    rte_mbuf* packet,
    const IpTunnelTemplate6& outer,
    const IpTunnelInner6& inner,
    std::uint32_t sequence
) noexcept {
    return outer.udp_len != 0 ? ip_tunnel_push6<true>(packet, outer, inner, sequence)
                              : ip_tunnel_push6<false>(packet, outer, inner, sequence);
}

// What most packets are, without a call: untagged IPv4, whole TCP or UDP. False: not such a one.
[[nodiscard]] [[gnu::always_inline]] inline bool
inspect_plain_inner6(const rte_mbuf* packet, IpTunnelInner6& inner) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    InnerFlow flow{};
    if (!inspect_plain_frame(frame, packet->data_len, flow)) {
        return false;
    }
    inner.flow_hash = flow.hash;
    inner.tos = flow.tos;
    inner.ttl =
        reinterpret_cast<const net::Ipv4Header*>(frame + sizeof(net::EtherHeader))->time_to_live;
    inner.type = net::ether_type::kIpv4;
    inner.l3 = net::L3::ipv4;
    return true;
}

}  // namespace culvert::encap
