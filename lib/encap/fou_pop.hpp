// SPDX-License-Identifier: BSD-3-Clause
// Received FOU and GUE: UDP and GUE headers come off from between the outer IP header and the
// tunnel's, so that the packet is what it would have been without them, and goes the same way on.
// An ICMP error about it quotes it so, too; who sent it finds the tunnel by its addresses.
#pragma once

#include "lib/encap/fou.hpp"

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>

namespace culvert::encap {

enum class FouVerdict : std::uint8_t {
    good,
    udp_truncated,
    udp_length,
    udp_checksum,
    no_port,  // not open to these addresses; the packet is as it was
    refused,  // GUE: truncated, of version 2 or 3, with unknown flags, or a control message
};

// What is inside, and over IPv6 where the header says so, from its begin.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): who opens sets what is read
struct FouInside {
    std::size_t said_at;
    std::uint8_t protocol;
};

// Takes the headers off; `inside` is set if good. Precondition: at `l3_offset` lies
// an IP header of the ports' family that was validated, options or extension headers and all, the
// packet ends where its length says, and it is UDP.
template <typename Address>
[[nodiscard]] FouVerdict fou_open(
    rte_mbuf* packet,
    std::uint16_t l3_offset,
    LinkId link_in,
    const BasicFouPorts<Address>& ports,
    FouInside& inside
) noexcept;

// Whether it might be for one of the ports. The same precondition.
template <typename Address>
[[nodiscard]] bool is_perhaps_fou(
    const rte_mbuf* packet, std::uint16_t l3_offset, const BasicFouPorts<Address>& ports
) noexcept;

}  // namespace culvert::encap
