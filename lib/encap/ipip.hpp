// SPDX-License-Identifier: BSD-3-Clause
// IP in IP (RFC 2003; catalogue 1.6): what is behind the outer header of protocol 4, and of 137,
// which an ipip device of any mode takes, too (IPIP-RX-05).
#pragma once

#include "lib/encap/ip_tunnel_pop.hpp"

namespace culvert::encap {

[[nodiscard]] inline IpTunnelVerdict
ipip_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    const std::uint16_t type =
        ip.protocol == net::ip_protocol::kMplsInIp ? kEtherTypeMpls : net::ether_type::kIpv4;
    return parse_bare(packet, l3_offset, IpTunnelKind::ipip, type, sizeof(net::Ipv4Header), outer);
}

}  // namespace culvert::encap
