// SPDX-License-Identifier: BSD-3-Clause
// IPv6 packets into tunnels over IPv4 without a remote of their own (TUN-TX-04).
#pragma once

#include "lib/pipeline/worker.hpp"

#include <cstdint>

namespace culvert::pipeline {

// Of an IPv6 packet on-link, what its destination says if that is ::a.b.c.d; as on the wire, 0 =
// nothing.
[[nodiscard]] std::uint32_t remote_in_ipv6(const rte_mbuf* packet) noexcept;

// To an external link by a route that says nothing of the outer header.
[[nodiscard]] constexpr Drop no_metadata(LinkKind kind) noexcept {
    return encap::traits(ip_tunnel_kind(kind)).has_gre ? Drop::gre_no_metadata
                                                       : Drop::ip_tunnel_no_metadata;
}

// Nobody says where the packet goes: it is dropped (TUN-TX-02), and of IPv6 the sender is told.
void refuse_without_remote(Worker& worker, rte_mbuf* packet, const Link& device) noexcept;

}  // namespace culvert::pipeline
