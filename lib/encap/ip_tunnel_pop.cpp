// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_pop.hpp"

#include "lib/encap/gre.hpp"
#include "lib/encap/ipip.hpp"

namespace culvert::encap {

IpTunnelVerdict
ip_tunnel_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    switch (ip.protocol) {
    case net::ip_protocol::kIpip:
    case net::ip_protocol::kMplsInIp:
        return ipip_parse(packet, l3_offset, outer);
    case net::ip_protocol::kGre:
        return gre_parse(packet, l3_offset, outer);
    default:
        return IpTunnelVerdict::no_device;
    }
}

bool IpTunnelWords::load(
    const rte_mbuf* packet, std::uint16_t l3_offset, const IpTunnelOuter& outer
) noexcept {
    constexpr std::uint16_t kIp = sizeof(net::Ipv4Header);
    constexpr std::uint16_t kBoth = 8;
    const auto behind = static_cast<std::uint16_t>(outer.payload_offset - l3_offset - kIp);
    if (packet->data_len < l3_offset + kIp + kLeast || outer.has_checksum || outer.has_sequence ||
        payload_offset_of(packet, l3_offset) != l3_offset + kIp || behind > kBoth) {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const std::uint16_t base = sizeof(net::Be32);
    addresses = net::detail::load<std::uint64_t>(ip + offsetof(net::Ipv4Header, source));
    version_and_tos = net::detail::load<std::uint16_t>(ip);
    protocol = ip[offsetof(net::Ipv4Header, protocol)];
    std::uint64_t bytes = 0;
    std::memset(&bytes, 0xff, behind);
    mask = bytes;
    behind_ip = net::detail::load<std::uint64_t>(ip + kIp) & mask;
    // WCCP's version is in its payload.
    const auto type = net::detail::load<std::uint16_t>(ip + kIp + base / 2);
    return behind < base || type != net::Be16{net::gre::kProtocolWccp}.raw();
}

}  // namespace culvert::encap
