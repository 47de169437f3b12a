// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_pop6.hpp"

#include "lib/encap/gre.hpp"
#include "lib/net/parse.hpp"

#include <cstring>

namespace culvert::encap {

namespace {

// Where the extension headers end, and in which protocol.
struct Upper {
    std::uint16_t offset;
    std::uint8_t protocol;
};

Upper find_upper(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    constexpr std::uint16_t kIp = sizeof(net::Ipv6Header);
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, l3_offset);
    const auto* behind = reinterpret_cast<const std::uint8_t*>(ip + 1);
    if (!net::detail::is_extension_header(ip->next_header)) {
        return {static_cast<std::uint16_t>(l3_offset + kIp), ip->next_header};
    }
    const bool is_short = packet->data_len >= l3_offset + kIp + kEncapLimitLen &&
                          ip->next_header == net::ip_protocol::kDestinationOptions &&
                          behind[1] == 0 && !net::detail::is_extension_header(behind[0]);
    if (is_short) [[likely]] {
        return {static_cast<std::uint16_t>(l3_offset + kIp + kEncapLimitLen), behind[0]};
    }
    const net::ParsedPacket parsed = net::parse_l3(
        rte_pktmbuf_mtod(packet, const std::uint8_t*),
        packet->data_len,
        l3_offset,
        net::ether_type::kIpv6
    );
    return {parsed.l4_offset, parsed.protocol};
}

// Behind the headers lies the inner packet, with nothing in between.
IpTunnelVerdict parse_bare6(
    const rte_mbuf* packet,
    std::uint16_t l3_offset,
    std::uint16_t offset,
    std::uint16_t payload_type,
    IpTunnelOuter6& outer
) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, l3_offset);
    outer.key = IpTunnelKey6::make(
        IpTunnelKind::ip6tnl,
        net::IpAddress::from_v6(ip.destination),
        net::IpAddress::from_v6(ip.source)
    );
    outer.payload_offset = offset;
    outer.payload_type = payload_type;
    outer.tos = ip.traffic_class();
    outer.sequence = 0;
    outer.has_checksum = false;
    outer.has_sequence = false;
    return IpTunnelVerdict::good;
}

}  // namespace

IpTunnelVerdict
ip_tunnel_parse6(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter6& outer) noexcept {
    const Upper upper = find_upper(packet, l3_offset);
    if (upper.offset == 0) {
        return IpTunnelVerdict::ipip_truncated;
    }
    // tunnel46_rcv, tunnel6_rcv: as much of the inner header as decides whose it is.
    const auto holds = [&](std::size_t least) { return packet->data_len >= upper.offset + least; };
    switch (upper.protocol) {
    case net::ip_protocol::kIpip:
        return holds(sizeof(net::Ipv4Header))
                   ? parse_bare6(packet, l3_offset, upper.offset, net::ether_type::kIpv4, outer)
                   : IpTunnelVerdict::ipip_truncated;
    case net::ip_protocol::kIpv6:
        return holds(sizeof(net::Ipv6Header))
                   ? parse_bare6(packet, l3_offset, upper.offset, net::ether_type::kIpv6, outer)
                   : IpTunnelVerdict::ipip_truncated;
    case net::ip_protocol::kMplsInIp:
        return holds(sizeof(net::Ipv6Header))
                   ? parse_bare6(packet, l3_offset, upper.offset, kEtherTypeMpls, outer)
                   : IpTunnelVerdict::ipip_truncated;
    case net::ip_protocol::kGre:
        return gre_parse6(packet, l3_offset, upper.offset, outer);
    default:
        return IpTunnelVerdict::no_device;
    }
}

bool find_second_key(const IpTunnelOuter6& outer, IpTunnelKey6& key) noexcept {
    constexpr auto kKinds = ~(IpTunnelKey6::kHasKey - 1);
    const auto kind = static_cast<IpTunnelKind>(outer.key.kind_and_flags & ~kKinds);
    if (kind != IpTunnelKind::ip6gretap) {
        return false;
    }
    key = outer.key;
    key.kind_and_flags =
        (key.kind_and_flags & kKinds) | static_cast<std::uint32_t>(IpTunnelKind::ip6gre);
    return true;
}

bool IpTunnelWords6::load(
    const rte_mbuf* packet, std::uint16_t l3_offset, const IpTunnelOuter6& outer
) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::Ipv6Header);
    const std::uint32_t behind = outer.payload_offset - l3_offset - kIp;
    if (packet->data_len < l3_offset + kIp + kMostBehind + kIp || outer.has_checksum ||
        outer.has_sequence || behind > kMostBehind) {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    std::memcpy(addresses.data(), ip + offsetof(net::Ipv6Header, source), sizeof(addresses));
    mask = {};
    std::memset(mask.data(), 0xff, behind);
    std::memcpy(behind_ip.data(), ip + kIp, sizeof(behind_ip));
    version_and_class = net::detail::load<std::uint32_t>(ip) & net::Be32{0xfff00000}.raw();
    next_header = ip[offsetof(net::Ipv6Header, next_header)];
    // WCCP's version is in its payload.
    return outer.payload_type != net::ether_type::kIpv6 ||
           outer.key.kind_and_flags == static_cast<std::uint32_t>(IpTunnelKind::ip6tnl) ||
           net::detail::load<std::uint16_t>(ip + kIp + behind - 2) !=
               net::Be16{net::gre::kProtocolWccp}.raw();
}

}  // namespace culvert::encap
