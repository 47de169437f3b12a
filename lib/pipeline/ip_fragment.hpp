// SPDX-License-Identifier: BSD-3-Clause
// Fragmentation (catalogue 4.3, RFC 791 3.2, RFC 8200 4.5): a packet larger than its way out
// becomes copies of its headers with pieces of its payload behind. The packet itself stays as it
// is, and what is already cut is noted beside it, so that cutting can stop anywhere for lack of
// room.
//
// IPv6 packets are cut by their source alone: those that culvert itself sends, and tunnels' outer
// ones. Nothing here asks whose a packet is.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/pipeline/ip_counters.hpp"
#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// How far a packet is cut. Lies in its private area, behind next_hop_of().
struct FragmentCut {
    std::uint16_t mtu = 0;   // of the way out, bytes of IP packet
    std::uint16_t done = 0;  // bytes of payload that are in fragments
    bool resolve = false;  // the fragments wait at control for next_hop_of(); else out by link_out
    std::uint32_t identification = 0;  // IPv6: of all its fragments (fragment_ids.hpp)
};

inline FragmentCut& fragment_cut_of(rte_mbuf* packet) noexcept {
    constexpr std::uint16_t kOffset = sizeof(net::IpAddress);
    static_assert(kOffset + sizeof(FragmentCut) <= kPrivateSize);
    return *reinterpret_cast<FragmentCut*>(
        static_cast<std::uint8_t*>(rte_mbuf_to_priv(packet)) + kOffset
    );
}

// FRAG-02, FRAG-03. Precondition: the header is whole.
[[nodiscard]] inline bool may_fragment(const net::Ipv4Header& ip, std::uint32_t mtu) noexcept {
    return !ip.dont_fragment() && mtu >= ip.header_len_bytes() + 8;
}

// The same for IPv6: there must be room for a fragment header and 8 bytes. Precondition: the fixed
// header lies in the first segment.
[[nodiscard]] bool may_fragment6(rte_mbuf* packet, std::uint32_t mtu) noexcept;

// The next fragment of a packet whose link header is note().l3_offset bytes long and whose headers
// are in its first segment: a packet of its own with the same note. nullptr = the pool is empty.
// Preconditions: may_fragment() or may_fragment6(), and more than cut.done bytes of payload.
[[nodiscard]] rte_mbuf*
cut_fragment(rte_mbuf* packet, FragmentCut& cut, rte_mempool* pool) noexcept;

// Whether all of the packet is in fragments.
[[nodiscard]] bool is_cut(rte_mbuf* packet, const FragmentCut& cut) noexcept;

// What these two are for packets of IPv6.
[[nodiscard]] rte_mbuf*
cut_fragment6(rte_mbuf* packet, FragmentCut& cut, rte_mempool* pool) noexcept;
[[nodiscard]] bool is_cut6(rte_mbuf* packet, const FragmentCut& cut) noexcept;

// Whose IP header lies where its note says.
[[nodiscard]] inline bool is_ip6(rte_mbuf* packet) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, note(packet).l3_offset) >> 4 == 6;
}

// What cutting counts.
struct FragmentCounters {
    IpCounter oks;
    IpCounter fails;
    IpCounter creates;
};

// Those of the packet's family.
[[nodiscard]] inline const FragmentCounters& fragment_counters(rte_mbuf* packet) noexcept {
    static constexpr FragmentCounters kIpv4{
        IpCounter::frag_oks, IpCounter::frag_fails, IpCounter::frag_creates};
    static constexpr FragmentCounters kIpv6{
        IpCounter::ip6_frag_oks, IpCounter::ip6_frag_fails, IpCounter::ip6_frag_creates};
    return is_ip6(packet) ? kIpv6 : kIpv4;
}

}  // namespace culvert::pipeline
