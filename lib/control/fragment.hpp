// SPDX-License-Identifier: BSD-3-Clause
// What reassembly must know of a fragment, and how a datagram is made of them: all that differs
// between IPv4 and IPv6 (RFC 791 3.2, RFC 8200 4.5). Control only.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"
#include "lib/pipeline/icmp_demand.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <span>

struct rte_mbuf;
struct rte_mempool;

namespace culvert::control {

// What the fragments of one datagram have in common. IPv6 does not compare protocols.
struct FragmentKey {
    net::IpAddress source;
    net::IpAddress destination;
    std::uint32_t identification = 0;
    LinkId scope = kNoLink;  // where these addresses mean these hosts; kNoLink = everywhere
    std::uint8_t protocol = 0;
    // NOLINTNEXTLINE(modernize-use-nullptr): it takes the operator's 0 for a pointer
    friend auto operator<=>(const FragmentKey&, const FragmentKey&) = default;
};

struct FragmentPiece {
    std::uint32_t begin = 0;  // of its payload in the datagram's, bytes
    std::uint32_t end = 0;
    std::uint16_t front = 0;  // bytes of the packet in front of its payload
    rte_mbuf* packet = nullptr;
};

struct Fragment {
    FragmentKey key;
    FragmentPiece piece;
    std::uint32_t longest = 0;  // that a datagram's payload may be
    bool more = false;
    std::uint8_t ecn = 0;  // its codepoint
    // Against the rules by itself: its sender is to hear this. With a type of 0 nobody is told.
    std::optional<pipeline::IcmpError> wrong{};
};

// Of a packet whose IP header, note().l3_offset bytes behind its data's start, was checked.
[[nodiscard]] Fragment read_fragment(rte_mbuf* packet, LinkId scope);

// Whether the IPv6 packet, or an atomic fragment of one, says that it was cut.
[[nodiscard]] bool has_fragment_header(rte_mbuf* packet);

// A copy in buffers of `pool` with the first one's link header, note and IP header, `ecn` marked in
// it, and all payloads. Everything up to the inner transport header lies in the first buffer,
// however small the fragments were. nullptr = some buffer was not to be had. Precondition: the
// pieces are all of a datagram, in order.
[[nodiscard]] rte_mbuf*
join_fragments(std::span<const FragmentPiece> pieces, std::uint8_t ecn, rte_mempool* pool);

// Whether a datagram of `length` bytes of payload can be said in its header, given its first piece.
[[nodiscard]] bool fits_into_header(const FragmentPiece& first, std::uint32_t length);

}  // namespace culvert::control
