// SPDX-License-Identifier: BSD-3-Clause
// Packets into tunnels without a remote of their own: IPv6 over IPv4 (TUN-TX-04), and metadata.
#pragma once

#include "lib/net/checksum.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// Of an IPv6 packet on-link, what its destination says if that is ::a.b.c.d; as on the wire, 0 =
// nothing.
[[nodiscard]] std::uint32_t remote_in_ipv6(const rte_mbuf* packet) noexcept;

// To an external link by a route that says nothing of the outer header.
[[nodiscard]] constexpr Drop no_metadata(LinkKind kind) noexcept {
    if (encap::traits(ip_tunnel_kind(kind)).has_gre) {
        return Drop::gre_no_metadata;
    }
    return is_ip_tunnel6(kind) ? Drop::ip_tunnel6_no_metadata : Drop::ip_tunnel_no_metadata;
}

// What stands for the outer header of a packet to an external link (TUN-MD-01); as on the wire, 0 =
// nothing: a frame comes with no route.
[[nodiscard]] inline std::uint32_t
metadata_of(const Link& device, const rte_mbuf* packet) noexcept {
    return has_link_layer(device.kind)
               ? 0
               : net::detail::load<std::uint32_t>(rte_pktmbuf_mtod(packet, const std::uint8_t*));
}

// Nobody says where the packet goes: it is dropped (TUN-TX-02), and of IPv6 the sender is told.
void refuse_without_remote(Worker& worker, rte_mbuf* packet, const Link& device) noexcept;

}  // namespace culvert::pipeline
