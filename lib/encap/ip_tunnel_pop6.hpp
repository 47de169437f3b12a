// SPDX-License-Identifier: BSD-3-Clause
// The same as ip_tunnel_pop.hpp where IPv6 is underneath: ip6tnl (RFC 2473), ip6gre, ip6gretap.
// Between the outer header and the payload there may be extension headers: most often the
// destination options of an encapsulation limit, which say nothing to whom they have reached.
#pragma once

#include "lib/encap/ip_tunnel_pop.hpp"
#include "lib/net/ipv6.hpp"

#include <array>

namespace culvert::encap {

// Preconditions of all that follows: at `l3_offset` lies an IPv6 header that was validated, whose
// chain of extension headers was followed to a protocol that tunnels have; and the packet ends
// where its payload length says.

// The outer headers; `outer` is set if good.
[[nodiscard]] IpTunnelVerdict
ip_tunnel_parse6(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter6& outer) noexcept;

// Whose packet it is when no device of its own kind takes it: frames in GRE are an ip6gre device's.
[[nodiscard]] bool find_second_key(const IpTunnelOuter6& outer, IpTunnelKey6& key) noexcept;

// What neighbours in a burst mostly share: all that the outer headers say but lengths, flow label
// and hop limit (see IpTunnelWords).
struct IpTunnelWords6 {
    static constexpr std::uint32_t kMostBehind = 16;  // bytes between IPv6 header and payload

    std::array<std::uint64_t, 4> addresses{};
    std::array<std::uint64_t, 2> behind_ip{};  // as far as mask says
    std::array<std::uint64_t, 2> mask{};
    std::uint32_t version_and_class = 0;  // as the machine loads them
    std::uint8_t next_header = 0;

    // False: not a packet whose words say it all.
    [[nodiscard]] bool
    load(const rte_mbuf* packet, std::uint16_t l3_offset, const IpTunnelOuter6& outer) noexcept;
};

// True: ip_tunnel_parse6() would say the same of it as of the packet whose words these are.
[[nodiscard]] [[gnu::always_inline]] inline bool ip_tunnel_is_like6(
    const rte_mbuf* packet, std::uint16_t l3_offset, const IpTunnelWords6& words
) noexcept {
    using net::detail::load;
    constexpr std::uint32_t kIp = sizeof(net::Ipv6Header);
    if (packet->data_len < l3_offset + kIp + IpTunnelWords6::kMostBehind + sizeof(net::Ipv6Header))
        [[unlikely]] {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const auto* address = ip + offsetof(net::Ipv6Header, source);
    const std::uint32_t first = load<std::uint32_t>(ip) & net::Be32{0xfff00000}.raw();
    std::uint64_t different =
        std::uint64_t(first ^ words.version_and_class) |
        std::uint64_t(ip[offsetof(net::Ipv6Header, next_header)] ^ words.next_header);
    for (std::size_t i = 0; i < words.addresses.size(); ++i) {
        different |= load<std::uint64_t>(address + 8 * i) ^ words.addresses[i];
    }
    for (std::size_t i = 0; i < words.mask.size(); ++i) {
        different |= (load<std::uint64_t>(ip + kIp + 8 * i) ^ words.behind_ip[i]) & words.mask[i];
    }
    return different == 0;
}

}  // namespace culvert::encap
