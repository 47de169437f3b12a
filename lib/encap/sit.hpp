// SPDX-License-Identifier: BSD-3-Clause
// IPv6 in IPv4 (RFC 4213): what is behind the outer header of protocol 41.
#pragma once

#include "lib/encap/ip_tunnel_pop.hpp"
#include "lib/net/ipv6.hpp"

namespace culvert::encap {

[[nodiscard]] inline IpTunnelVerdict
sit_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept {
    return parse_bare(
        packet, l3_offset, IpTunnelKind::sit, net::ether_type::kIpv6, sizeof(net::Ipv6Header), outer
    );
}

}  // namespace culvert::encap
