// SPDX-License-Identifier: BSD-3-Clause
// IPv6 in IPv4 (RFC 4213): what is behind the outer header of protocol 41.
#pragma once

#include "lib/encap/ip_tunnel_pop.hpp"
#include "lib/net/ipv6.hpp"

namespace culvert::encap {

[[nodiscard]] inline IpTunnelVerdict
sit_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept {
    const std::uint16_t offset = payload_offset_of(packet, l3_offset);
    if (packet->data_len < offset + sizeof(net::Ipv6Header)) [[unlikely]] {
        return IpTunnelVerdict::ipip_truncated;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    outer.key = key_of_packet(packet, l3_offset, IpTunnelKind::sit);
    outer.payload_offset = offset;
    outer.payload_type = net::ether_type::kIpv6;
    outer.tos = ip.type_of_service;
    outer.has_checksum = false;
    outer.has_sequence = false;
    return IpTunnelVerdict::good;
}

}  // namespace culvert::encap
