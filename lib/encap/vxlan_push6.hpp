// SPDX-License-Identifier: BSD-3-Clause
// The same as vxlan_push.hpp where IPv6 is underneath: no identification, no header checksum, no
// fragments on the way.
#pragma once

#include "lib/encap/vxlan_push.hpp"
#include "lib/net/ipv6.hpp"

namespace culvert::encap {

namespace detail {

// The traffic class and hop limit that this packet decides (VXLAN-TX-22, -23); the template has
// them 0.
inline void write_class6(
    const VxlanTemplate& outer, std::uint8_t tos, const InnerFrame* inner, net::Ipv6Header& ip
) noexcept {
    const auto& fixed =
        *reinterpret_cast<const net::Ipv6Header*>(outer.bytes.data() + VxlanTemplate::kIpOffset);
    std::uint8_t added = net::ecn_encapsulate(0, tos);
    if (inner != nullptr) [[unlikely]] {
        if (outer.tos_inherit) {
            added = static_cast<std::uint8_t>(added | (inner->parsed.tos & ~net::kEcnMask));
        }
        if (outer.ttl_inherit) {
            const std::uint8_t ttl = inner->parsed.ttl;
            ip.hop_limit = ttl != 0 ? ttl : net::kIpv4DefaultTtl;
        }
    }
    constexpr unsigned kClassShift = 20;
    ip.version_class_flow = net::Be32::from_raw(
        fixed.version_class_flow.raw() | net::Be32{std::uint32_t{added} << kClassShift}.raw()
    );
}

}  // namespace detail

// Puts `outer` in front of the frame. `inner`: where the template inherits, else nullptr. The
// packet is unchanged unless `done`. Precondition: outer.is_ipv6, and as vxlan_push().
[[nodiscard]] inline VxlanPushed vxlan_push6(
    rte_mbuf* packet, const VxlanTemplate& outer, InnerFlow flow, const InnerFrame* inner
) noexcept {
    constexpr std::uint16_t kLength = VxlanTemplate::kLengthIpv6;
    if (rte_pktmbuf_headroom(packet) < kLength) [[unlikely]] {
        return VxlanPushed::no_headroom;
    }
    constexpr std::uint32_t kIpOverhead = kLength - VxlanTemplate::kIpOffset;
    const std::uint32_t total_length = packet->pkt_len + kIpOverhead;
    if (total_length > outer.mtu) [[unlikely]] {
        return VxlanPushed::too_big;
    }
    const net::Be16 payload_length{
        static_cast<std::uint16_t>(total_length - sizeof(net::Ipv6Header))};
    const net::Be16 source_port{vxlan_source_port(outer, flow.hash)};
    const std::uint64_t inner_sum = outer.udp_checksum ? detail::sum_of_inner(packet) : 0;

    auto* const bytes = rte_pktmbuf_mtod(packet, std::uint8_t*) - kLength;
    std::memcpy(bytes, outer.bytes.data(), kLength);
    auto& ip = *reinterpret_cast<net::Ipv6Header*>(bytes + VxlanTemplate::kIpOffset);
    auto& udp = *reinterpret_cast<net::UdpHeader*>(bytes + VxlanTemplate::kUdpOffsetIpv6);
    if ((flow.tos & net::kEcnMask) != 0 || inner != nullptr) [[unlikely]] {
        detail::write_class6(outer, flow.tos, inner, ip);
    }
    ip.payload_length = payload_length;
    udp.source = source_port;
    udp.length = payload_length;
    if (outer.udp_checksum) {
        const std::uint64_t headers = std::uint64_t{outer.udp_sum} + source_port.raw() +
                                      2 * std::uint64_t{payload_length.raw()};
        udp.checksum = net::udp_checksum_from_sum(net::sum_add(inner_sum, headers));
    }
    packet->data_off = static_cast<std::uint16_t>(packet->data_off - kLength);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len + kLength);
    packet->pkt_len += kLength;
    forget_offloads(packet);
    return VxlanPushed::done;
}

}  // namespace culvert::encap
