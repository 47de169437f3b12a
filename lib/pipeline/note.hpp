// SPDX-License-Identifier: BSD-3-Clause
// What the stages write down about a packet.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// Why a packet goes to control.
enum class Punt : std::uint8_t {
    arp,            // data at the Ethernet header
    icmp,           // to an address of ours; data at the Ethernet header, l3_offset set
    icmp6,          // the same, or to a group
    resolve,        // data at a link header to be written, for next_hop on link_out
    tunnel_remote,  // a frame to the tunnel link_out, whose remote next_hop control does not know
                    // yet
    icmp_error,     // to be dropped, and its sender told why (icmp_demand.hpp)
    host,           // for the tap of the link it came in by; data and l3_offset as received
    igmp,           // to an address of ours or a group that was joined; data and l3_offset as icmp
    keepalive,      // a GRE keepalive that is to go back; data and l3_offset as icmp
    fragment,       // of a datagram to an address of ours; data at the Ethernet header, l3_offset
                    // set
};

// Eight bytes where the driver left its hash of the packet: the first line of the mbuf is at hand
// whenever the packet is. What a Note is made of is copied whole.
struct [[gnu::may_alias]] Note {
    LinkId link_in = kNoLink;   // innermost link it was received on
    LinkId link_out = kNoLink;  // where it is to leave
    std::uint8_t l3_offset =
        0;                   // bytes from the data's start to the L3 header: who found it says so
    std::uint8_t depth = 0;  // tunnels gone through
    Punt punt = Punt::arp;
    bool for_us = false;  // ethernet takes it, whatever its destination MAC says (VXLAN-BYP-02)

    // Of a packet that comes in on `link`: nothing else is known of it.
    [[nodiscard]] static constexpr Note arrived(LinkId link) noexcept { return {.link_in = link}; }
};

static_assert(sizeof(Note) == sizeof(rte_mbuf::hash));

inline Note& note(rte_mbuf* packet) noexcept {
    return *reinterpret_cast<Note*>(&packet->hash);
}

// What a pool's packets have between mbuf and data room, bytes: a line, so that data begin at one.
inline constexpr std::uint16_t kPrivateSize = 64;

// Of a packet that goes to control as Punt::resolve or Punt::tunnel_remote: who is asked for.
inline net::IpAddress& next_hop_of(rte_mbuf* packet) noexcept {
    return *static_cast<net::IpAddress*>(rte_mbuf_to_priv(packet));
}

}  // namespace culvert::pipeline
