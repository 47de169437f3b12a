// SPDX-License-Identifier: BSD-3-Clause
// What a route lookup ends in: bytes to put in front and the link to send on, or the reason why
// not, or several of these to choose from.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"
#include "lib/rcu/published_array.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace culvert::route {

enum class AdjacencyKind : std::uint8_t {
    no_route,     // ENETUNREACH
    unreachable,  // route type unreachable: EHOSTUNREACH
    prohibit,     // EACCES
    blackhole,    // EINVAL
    local,        // an address of ours
    broadcast,    // a subnet broadcast or 255.255.255.255: for us, and not forwarded
    glean,  // on-link, but no neighbour is known: control must ask for the packet's destination
    incomplete,  // the next hop is known, its MAC not (yet): control must ask for next_hop
    rewrite,     // complete: header[0, header_len) goes in front
    multipath,   // one of several, by the flow's hash
    by_tos,      // one of eight, by the packet's TOS
};

// Whether a packet to such an address is for us. No packet comes from one.
[[nodiscard]] constexpr bool is_ours(AdjacencyKind kind) noexcept {
    return kind == AdjacencyKind::local || kind == AdjacencyKind::broadcast;
}

// Whether a packet to such an address goes on to somebody else.
[[nodiscard]] constexpr bool leads_on(AdjacencyKind kind) noexcept {
    return kind == AdjacencyKind::glean || kind == AdjacencyKind::incomplete ||
           kind == AdjacencyKind::rewrite;
}

using AdjacencyId = std::uint32_t;

// The bits of an IPv4 packet's TOS that routes may ask for (IPTOS_RT_MASK): there are eight kinds
// of packets. Linux routes by these three alone, whatever DSCP a route is given.
inline constexpr std::uint8_t kTosMask = 0x1c;
inline constexpr std::size_t kTosKinds = 8;

[[nodiscard]] constexpr std::size_t tos_kind(std::uint8_t tos) noexcept {
    return (tos & kTosMask) >> 2;
}

// The next hops of a route that has several and that are alive (RT-09). Each has a piece of the
// hash's range as long as its weight, in their order; fib_rebalance() puts the bounds. In a
// `by_tos` there is one of each kind of TOS, and the bounds mean nothing.
struct Multipath {
    static constexpr unsigned kHashBits = 31;

    struct Member {
        std::uint32_t upper_bound = 0;  // the last hash that is this one's
        AdjacencyId adjacency = 0;
    };

    // Which member's the hash is. Precondition: hash < 2^31, and there are members: the last one's
    // bound is the largest hash.
    [[nodiscard]] std::size_t index(std::uint32_t hash) const noexcept {
        std::size_t i = 0;
        while (hash > members[i].upper_bound) {
            ++i;
        }
        return i;
    }

    [[nodiscard]] AdjacencyId pick(std::uint32_t hash) const noexcept {
        return members[index(hash)].adjacency;
    }

    // RT-05. Precondition: of a by_tos.
    [[nodiscard]] AdjacencyId of_tos(std::uint8_t tos) const noexcept {
        return members[tos_kind(tos)].adjacency;
    }

    std::vector<Member> members;
};

// Immutable once published. One cache line.
struct alignas(64) Adjacency {
    net::IpAddress next_hop;  // incomplete, rewrite: the gateway or the destination itself
    std::uint32_t mtu = 0;    // largest L3 packet on link_out, bytes
    LinkId link_out = kNoLink;
    AdjacencyKind kind = AdjacencyKind::no_route;
    std::uint8_t header_len = 0;            // bytes; 14 for plain Ethernet
    std::array<std::uint8_t, 22> header{};  // Ethernet, up to two VLAN tags; wire order
    std::shared_ptr<const Multipath> multipath{};

    friend bool operator==(const Adjacency&, const Adjacency&) = default;
};

static_assert(sizeof(Adjacency) == 64);

using AdjacencyTable = rcu::PublishedArray<Adjacency>;
static_assert(std::is_same_v<AdjacencyId, AdjacencyTable::Id>);

}  // namespace culvert::route
