// SPDX-License-Identifier: BSD-3-Clause
// GRE (RFC 2784, 2890; catalogue 2.2): what a received header says, in the order of gre_rcv() and
// gre_parse_header(). A kind of its own has what is inside an Ethernet frame (gretap).
#pragma once

#include "lib/encap/ip_tunnel_pop.hpp"

namespace culvert::encap {

[[nodiscard]] IpTunnelVerdict
gre_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept;
// The same over IPv6, at `offset` behind extension headers. There no handler asks for bytes behind
// the header, and reserved bits are none of the version's (ip6_gre's gre_rcv). Precondition: at
// `l3_offset` lies an IPv6 header that was validated.
[[nodiscard]] IpTunnelVerdict gre_parse6(
    const rte_mbuf* packet, std::uint16_t l3_offset, std::uint16_t offset, IpTunnelOuter6& outer
) noexcept;

}  // namespace culvert::encap
