// SPDX-License-Identifier: BSD-3-Clause
// What workers copy in front of packets to ip6tnl, ip6gre and ip6gretap devices (RFC 2473).
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/rcu/published_array.hpp"

#include <array>
#include <cstdint>

namespace culvert::encap {

// The one remote of a device over IPv6, flattened over its route and neighbour: everything in front
// of the payload. Immutable once published.
struct alignas(64) IpTunnelTemplate6 {
    static constexpr std::uint8_t kLinkHeaderLen = 14;
    static constexpr std::uint8_t kRoom = 80;
    static constexpr std::uint8_t kMaxLength = kLinkHeaderLen + 40 + kEncapLimitLen + 16;

    // Ethernet | IPv6 | encapsulation limit | GRE, ending where the array ends, so that one copy of
    // the whole array puts them in front of any payload. What a packet decides is 0: length, hop
    // limit, class and label where these are its own, GRE's checksum and sequence number.
    std::array<std::uint8_t, kRoom> bytes{};
    std::uint32_t gre_sum = 0;     // of the GRE header as in bytes, folded
    std::uint32_t mtu = 0;         // of the outer path, bytes of outer IP packet
    std::uint32_t first_word = 0;  // of the IPv6 header as in bytes, in host order
    LinkId device = kNoLink;       // the tunnel link
    LinkId link_out = kNoLink;
    TunnelState state = TunnelState::no_remote;
    IpTunnelKind kind = IpTunnelKind::ip6tnl;
    std::uint8_t length = 0;     // bytes of all these headers
    std::uint8_t gre_len = 0;    // bytes of GRE header
    std::uint8_t limit_len = 0;  // 0, or kEncapLimitLen
    bool carries_frames = false;
    bool checksum = false;
    bool sequence = false;
    bool hop_limit_inherit = false;
    bool class_inherit = false;
    bool label_inherit = false;
    bool label_of_flow = false;     // where nobody says another
    bool marks_congestion = false;  // the inner ECN is copied: ip6tnl alone
    Cast cast = Cast::unicast;
    net::IpAddress next_hop;  // of the outer route; for `unresolved`
    friend bool operator==(const IpTunnelTemplate6&, const IpTunnelTemplate6&) = default;

    // Bytes between the outer IPv6 header's begin and the payload.
    [[nodiscard]] std::uint32_t ip_len() const noexcept {
        return std::uint32_t{sizeof(net::Ipv6Header)} + limit_len + gre_len;
    }
};

static_assert(sizeof(IpTunnelTemplate6) == 128 && IpTunnelTemplate6::kMaxLength <= 80);

using IpTunnelTemplates6 = rcu::PublishedArray<IpTunnelTemplate6>;

}  // namespace culvert::encap
