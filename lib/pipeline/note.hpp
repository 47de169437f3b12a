// SPDX-License-Identifier: BSD-3-Clause
// What the stages write down about a packet: one cache line in the mbuf's private area.
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
    resolve,        // data at a link header to be written, for next_hop on link_out
    tunnel_remote,  // a frame to the tunnel link_out, whose remote next_hop control does not know
                    // yet
};

// Never constructed: it lies in the mbuf, and a stage writes a field before another reads it.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct alignas(64) Note {
    LinkId link_in;          // innermost link it was received on
    LinkId link_out;         // where it is to leave
    std::uint8_t l3_offset;  // bytes from the data's start to the L3 header: who found it says so
    std::uint8_t depth;      // tunnels gone through
    Punt punt;
    bool for_us;  // the ethernet stage takes it, whatever its destination MAC says (VXLAN-BYP-02)
    net::IpAddress next_hop;  // Punt::resolve

    // A packet comes in on `link`: nothing else is known of it. One store.
    void arrive(LinkId link) noexcept {
        link_in = link;
        link_out = kNoLink;
        l3_offset = 0;
        depth = 0;
        punt = Punt::arp;
        for_us = false;
    }
};

static_assert(sizeof(Note) == 64);

inline Note& note(rte_mbuf* packet) noexcept {
    return *static_cast<Note*>(rte_mbuf_to_priv(packet));
}

}  // namespace culvert::pipeline
