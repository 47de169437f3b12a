// SPDX-License-Identifier: BSD-3-Clause
// What IpTunnelPop must know of the family underneath: how its headers are read and compared, which
// lookup its devices are in, and in what ip6_tunnel.c and ip6_gre.c differ from ip_tunnel.c.
#pragma once

#include "lib/encap/inner_frame.hpp"
#include "lib/encap/ip_tunnel_pop.hpp"
#include "lib/encap/ip_tunnel_pop6.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/icmp_demand.hpp"
#include "lib/pipeline/link.hpp"
#include "lib/pipeline/tables.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::pipeline {

struct IpTunnelOverIpv4 {
    using Key = encap::IpTunnelKey;
    using Lookup = encap::IpTunnelLookup;
    using Outer = encap::IpTunnelOuter;
    using Words = encap::IpTunnelWords;
    static constexpr Stage kStage = Stage::ip_tunnel_pop;
    // IPIP-RX-02, GRE-RX-11: it is the port that is unreachable, though neither has ports.
    static constexpr IcmpError kPortUnreachable = unreachable(net::icmp_unreachable::kPort);
    static constexpr bool kCountsLinkHeader = true;  // of a frame (TUN-RX-06)

    static const Lookup& lookup(const Tables& tables) noexcept { return tables.ip_tunnels.lookup; }

    // NOLINTNEXTLINE(readability-identifier-naming): it is called
    static constexpr auto parse = encap::ip_tunnel_parse;

    static bool
    is_like(const rte_mbuf* packet, std::uint16_t l3_offset, const Words& words) noexcept {
        return encap::ip_tunnel_is_like(packet, l3_offset, words);
    }

    static bool differs_by_key(
        const rte_mbuf* packet, std::uint16_t l3_offset, Words& words, Key& key
    ) noexcept {
        return encap::ip_tunnel_differs_by_key(packet, l3_offset, words, key);
    }

    static void inherit(const Link&, const Outer&, std::uint8_t*, std::size_t) noexcept {}

    static bool is_to_group(const Key& key) noexcept {
        return net::Be32::from_raw(key.local).host() >> 28 == 0xe;
    }
};

struct IpTunnelOverIpv6 {
    using Key = encap::IpTunnelKey6;
    using Lookup = encap::IpTunnelLookup6;
    using Outer = encap::IpTunnelOuter6;
    using Words = encap::IpTunnelWords6;
    static constexpr Stage kStage = Stage::ip_tunnel_pop6;
    // As for a closed UDP port (tunnel6_rcv, ip6_gre's gre_rcv).
    static constexpr IcmpError kPortUnreachable = unreachable6(net::icmpv6_unreachable::kPort);
    static constexpr bool kCountsLinkHeader = false;

    static const Lookup& lookup(const Tables& tables) noexcept { return tables.ip_tunnels.lookup6; }

    // NOLINTNEXTLINE(readability-identifier-naming): it is called
    static constexpr auto parse = encap::ip_tunnel_parse6;

    static bool
    is_like(const rte_mbuf* packet, std::uint16_t l3_offset, const Words& words) noexcept {
        return encap::ip_tunnel_is_like6(packet, l3_offset, words);
    }

    // Who differs at all is parsed anew.
    static bool differs_by_key(const rte_mbuf*, std::uint16_t, Words&, Key&) noexcept {
        return false;
    }

    // ip6_tunnel does not count them.
    static bool is_to_group(const Key&) noexcept { return false; }

    // `dscp inherit`: what the outer header says counts inside, too (ip4ip6_dscp_ecn_decapsulate).
    static void
    inherit(const Link& link, const Outer& outer, std::uint8_t* frame, std::size_t len) noexcept {
        if (link.ip_tunnel.ip6.dscp_copy) [[unlikely]] {
            encap::copy_dscp(frame, len, outer.tos);
        }
    }
};

}  // namespace culvert::pipeline
