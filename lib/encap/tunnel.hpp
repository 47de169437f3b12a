// SPDX-License-Identifier: BSD-3-Clause
// What every kind of tunnel is, whatever its outer header.
#pragma once

#include <cstdint>

namespace culvert::encap {

// Why a template cannot send, or that it can.
enum class TunnelState : std::uint8_t {
    ready,       // all bytes are there
    failing,     // the same, but routers report errors: senders are to be told (TUN-TX-15)
    several,     // each packet's flow has its next hop: the route's has several (RT-09)
    unresolved,  // all but the outer Ethernet header: the next hop's MAC is not known (yet)
    no_route,    // VXLAN-TX-25, TUN-TX-11
    loop,        // the route leads back into this tunnel: VXLAN-TX-26, TUN-TX-12
    local,       // the route is to ourselves: VXLAN-TX-28
    no_remote,   // remote address 0: VXLAN-TX-21, TUN-TX-02
};

// What kind of address the outer packets go to.
enum class Cast : std::uint8_t { unicast, multicast, broadcast };

}  // namespace culvert::encap
