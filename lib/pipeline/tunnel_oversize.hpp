// SPDX-License-Identifier: BSD-3-Clause
// Packets whose outer packet would be larger than the path's MTU (catalogue 1.10, 3.13): the sender
// is told, or the outer packet goes in fragments. And packets into tunnels that fail. Both push
// stages come here; nothing else does.
#pragma once

#include "lib/encap/ip_tunnel_push.hpp"
#include "lib/encap/vxlan_push.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>

namespace culvert::pipeline {

// The packet is dropped, or on its way elsewhere and counted in `tx`. Takes an outer IP id from
// the worker if it needs one. `why`: what ip_tunnel_push() said but `done`; `sequence` as for it.
void push_oversize(
    Worker& worker,
    rte_mbuf* packet,
    const encap::IpTunnelTemplate& outer,
    std::uint32_t sequence,
    encap::IpTunnelPushed why,
    TxTally& tx
) noexcept;

// The same for vxlan, where vxlan_push() said too_big.
void push_oversize(
    Worker& worker,
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const Link& device,
    TxTally& tx
) noexcept;

// TUN-TX-15: routers report errors about the device's outer packets. The sender is told that the
// host is unreachable, but the packet itself goes on: control gets a copy.
void tell_of_fault(Worker& worker, rte_mbuf* packet, const Link& device) noexcept;

// From a device over IPv6 no way leads to the remote: the packet is dropped, and its sender told
// that the host is unreachable (dst_link_failure).
void refuse_without_way(Worker& worker, rte_mbuf* packet, const Link& device) noexcept;

}  // namespace culvert::pipeline
