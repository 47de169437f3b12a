// SPDX-License-Identifier: BSD-3-Clause
// IP in IP (RFC 2003; catalogue 1.6): what is behind the outer header of protocol 4, and of 137,
// which an ipip device of any mode takes, too (IPIP-RX-05).
#pragma once

#include "lib/encap/ip_tunnel_pop.hpp"

namespace culvert::encap {

[[nodiscard]] inline IpTunnelVerdict
ipip_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept {
    const std::uint16_t offset = payload_offset_of(packet, l3_offset);
    if (packet->data_len < offset + sizeof(net::Ipv4Header)) [[unlikely]] {
        return IpTunnelVerdict::ipip_truncated;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    outer.key = key_of_packet(packet, l3_offset, IpTunnelKind::ipip);  // TUN-LKP-01
    outer.payload_offset = offset;
    outer.payload_type =
        ip.protocol == net::ip_protocol::kMplsInIp ? kEtherTypeMpls : net::ether_type::kIpv4;
    outer.tos = ip.type_of_service;
    outer.has_checksum = false;
    outer.has_sequence = false;
    return IpTunnelVerdict::good;
}

}  // namespace culvert::encap
