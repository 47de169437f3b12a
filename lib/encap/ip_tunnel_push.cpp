// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_push.hpp"

namespace culvert::encap {

IpTunnelInner inspect_inner(const rte_mbuf* packet) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const net::EtherView ether = net::parse_ether(frame, packet->data_len);
    IpTunnelInner inner;
    if (!ether.ok) {
        inner.truncated = true;
        return inner;
    }
    const net::ParsedPacket parsed =
        net::parse_l3(frame, packet->data_len, ether.l3_offset, ether.ether_type);
    inner.type = ether.ether_type;
    inner.l3_offset = ether.l3_offset;
    inner.truncated = parsed.truncated;
    if (parsed.l3 != net::L3::none) {
        inner.l3 = parsed.l3;
        inner.tos = parsed.tos;
        inner.ttl = parsed.ttl;
        inner.dont_fragment = parsed.dont_fragment;
    }
    return inner;
}

namespace detail {

// tnl_update_pmtu(): only a sender that asked not to be fragmented is refused, and one by IPv6
// where IPv6's least MTU fits.
IpTunnelPushed refuse_size(
    const rte_mbuf* packet, const IpTunnelTemplate& outer, const IpTunnelInner& inner
) noexcept {
    constexpr std::uint32_t kIpv6MinMtu = 1280;
    if (inner.l3 == net::L3::ipv4) {
        return inner.dont_fragment && outer.inner_df_counts ? IpTunnelPushed::too_big
                                                            : IpTunnelPushed::needs_fragments;
    }
    if (inner.l3 == net::L3::ipv6 && outer.df) {
        const std::uint32_t inner_len = packet->pkt_len - inner.l3_offset;
        const std::uint32_t added =
            outer.length - IpTunnelTemplate::kLinkHeaderLen +
            (outer.carries_frames ? std::uint32_t{inner.l3_offset} : std::uint32_t{0});
        if (outer.mtu >= kIpv6MinMtu + added && outer.mtu - added < inner_len) {
            return IpTunnelPushed::too_big;
        }
    }
    return IpTunnelPushed::needs_fragments;
}

std::uint32_t
inherit_tos(const IpTunnelTemplate& outer, const IpTunnelInner& inner, std::uint8_t& tos) noexcept {
    if (inner.l3 == net::L3::none) {
        return 0;
    }
    const auto dscp = static_cast<std::uint8_t>(inner.tos & ~net::kEcnMask);
    const std::uint8_t before = outer.bytes[outer.ip_offset() + 1];
    tos = dscp;
    // RFC 1624: out with the old byte, in with the new one.
    return std::uint32_t{static_cast<std::uint16_t>(~net::Be16{before}.raw())} +
           net::Be16{dscp}.raw();
}

// GRE-HDR-03: the checksum last, over all the rest.
void patch_gre(
    std::uint8_t* gre,
    const IpTunnelTemplate& outer,
    const IpTunnelInner& inner,
    std::uint32_t sequence,
    std::uint64_t sum
) noexcept {
    std::uint64_t header = outer.gre_sum;
    if (!outer.carries_frames && inner.type != net::ether_type::kIpv4) {
        const net::Be16 type{inner.type};
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
        const net::Be16 checksum = net::checksum_from_sum(net::sum_add(sum, header));
        std::memcpy(gre + sizeof(net::GreHeader), &checksum, sizeof(checksum));
    }
}

}  // namespace detail

}  // namespace culvert::encap
