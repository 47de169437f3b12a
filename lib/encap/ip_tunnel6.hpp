// SPDX-License-Identifier: BSD-3-Clause
// What workers copy in front of packets to ip6tnl, ip6gre and ip6gretap devices (RFC 2473).
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/rcu/published_array.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::encap {

// One remote of a device over IPv6, flattened over its route and neighbour: everything in front of
// the payload. Immutable once published.
struct alignas(64) IpTunnelTemplate6 {
    static constexpr std::uint8_t kLinkHeaderLen = 14;
    static constexpr std::uint8_t kRoom = 96;
    static constexpr std::uint8_t kPlainRoom = 80;  // without UDP
    static constexpr std::uint8_t kMaxPlain = kLinkHeaderLen + 40 + kEncapLimitLen + 16;
    static constexpr std::uint8_t kMaxLength = kMaxPlain + 12;

    // Ethernet | IPv6 | encapsulation limit | UDP | GUE | GRE, ending where the array ends, so that
    // one copy of its last kPlainRoom or kRoom bytes puts them in front of any payload. What a
    // packet decides is 0: lengths, hop limit, class and label where these are its own, GRE's
    // checksum and sequence number, UDP's checksum and its source port if that is the flow's.
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
    std::uint8_t udp_len = 0;    // bytes of UDP and GUE header
    bool is_direct = false;      // ready, without UDP, to one station: what most tunnels are
    bool carries_frames = false;
    bool checksum = false;
    bool sequence = false;
    bool hop_limit_inherit = false;
    bool class_inherit = false;
    bool label_inherit = false;
    bool label_of_flow = false;     // where nobody says another
    bool marks_congestion = false;  // the inner ECN is copied: ip6tnl alone
    Cast cast = Cast::unicast;
    // From here on: not for most packets.
    bool udp_checksum = false;
    bool is_flow_port = false;  // UDP's source port is the inner flow's
    net::IpAddress next_hop;    // of the outer route; for `unresolved`
    friend bool operator==(const IpTunnelTemplate6&, const IpTunnelTemplate6&) = default;

    // Bytes between the outer IPv6 header's begin and the payload.
    [[nodiscard]] std::uint32_t ip_len() const noexcept {
        return std::uint32_t{length} - kLinkHeaderLen;
    }

    void become(TunnelState next) noexcept {
        state = next;
        is_direct = state == TunnelState::ready && udp_len == 0 && cast == Cast::unicast;
    }
};

// Most packets ask for two lines of it.
static_assert(offsetof(IpTunnelTemplate6, udp_checksum) <= 128);
static_assert(sizeof(IpTunnelTemplate6) == 192);
static_assert(IpTunnelTemplate6::kMaxPlain <= IpTunnelTemplate6::kPlainRoom);
static_assert(IpTunnelTemplate6::kMaxLength <= IpTunnelTemplate6::kRoom);

using IpTunnelTemplates6 = rcu::PublishedArray<IpTunnelTemplate6>;

}  // namespace culvert::encap
