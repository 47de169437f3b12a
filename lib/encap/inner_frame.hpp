// SPDX-License-Identifier: BSD-3-Clause
// What a tunnel must know of the frame it carries: on the way in for the outer header's sake, on
// the way out to bring congestion marks over.
#pragma once

#include "lib/net/ecn.hpp"
#include "lib/net/flow_hash.hpp"
#include "lib/net/parse.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::encap {

// Looked at once a packet, whatever the number of remotes it goes to.
struct InnerFrame {
    net::ParsedPacket parsed;     // tos, ttl and DF are 0 for what is not IP
    std::uint32_t flow_hash = 0;  // never 0 once inspected
};

// `len`: contiguous bytes at `frame`, at least 14.
[[nodiscard]] InnerFrame inspect_frame(const std::uint8_t* frame, std::size_t len) noexcept;

// As much as most outer headers need.
struct InnerFlow {
    std::uint32_t hash;  // never 0
    std::uint8_t tos;
};

// True, and `flow` is set, for what most frames are: untagged IPv4 without options, whole TCP or
// UDP. Then inspect_frame() says the same.
[[nodiscard]] [[gnu::always_inline]] inline bool
inspect_plain_frame(const std::uint8_t* frame, std::size_t len, InnerFlow& flow) noexcept {
    constexpr std::uint16_t kL3 = sizeof(net::EtherHeader);
    constexpr std::uint16_t kL4 = kL3 + sizeof(net::Ipv4Header);
    constexpr std::size_t kPorts = 4;
    constexpr std::uint32_t kTypeAndIhl =
        std::uint32_t{net::ether_type::kIpv4} << 16 | std::uint32_t{net::kIpv4VersionIhl} << 8;
    if (len < kL4 + kPorts) [[unlikely]] {
        return false;
    }
    // EtherType, version and header length, TOS.
    const auto word = net::detail::load<std::uint32_t>(frame + kL3 - 2);
    const std::uint32_t type_and_ihl = word & net::Be32{0xffffff00}.raw();
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(frame + kL3);
    const std::uint16_t fragment = net::Be16{net::kIpv4MoreFragments | net::kIpv4OffsetMask}.raw();
    const bool has_ports =
        ip.protocol == net::ip_protocol::kTcp || ip.protocol == net::ip_protocol::kUdp;
    if (type_and_ihl != net::Be32{kTypeAndIhl}.raw() ||
        (ip.flags_and_offset.raw() & fragment) != 0 || !has_ports) [[unlikely]] {
        return false;
    }
    flow.hash = net::flow_hash_ipv4(
        {ip.source.raw(), net::detail::load<std::uint16_t>(frame + kL4)},
        {ip.destination.raw(), net::detail::load<std::uint16_t>(frame + kL4 + 2)},
        ip.protocol
    );
    flow.tos = ip.type_of_service;
    return flow.hash != 0;
}

// VXLAN-RX-14: an untagged frame that says IPv4 or IPv6 holds that header's fixed part. A tagged
// one is not asked, as in the kernel, which goes by the outermost EtherType.
[[nodiscard]] inline bool inner_ip_is_whole(const std::uint8_t* frame, std::uint32_t len) noexcept {
    constexpr std::uint32_t kLongest = sizeof(net::EtherHeader) + sizeof(net::Ipv6Header);
    if (len >= kLongest) [[likely]] {
        return true;
    }
    const std::uint16_t type = reinterpret_cast<const net::EtherHeader*>(frame)->type.host();
    if (type == net::ether_type::kIpv4) {
        return len >= sizeof(net::EtherHeader) + sizeof(net::Ipv4Header);
    }
    return type != net::ether_type::kIpv6;
}

// Brings the outer header's congestion mark into the inner IP header, behind up to two VLAN tags
// (TUN-ECN-01..04). False: the packet must be dropped. What is not IP passes as it is. `len`:
// contiguous bytes.
[[nodiscard]] bool
mark_inner_frame(std::uint8_t* frame, std::size_t len, std::uint8_t outer_tos) noexcept;

// The same; an unmarked outer header changes nothing, whatever the inner one says.
[[nodiscard]] inline bool
decapsulate_ecn(std::uint8_t* frame, std::size_t len, std::uint8_t outer_tos) noexcept {
    if ((outer_tos & net::kEcnMask) == net::kEcnNotEct) [[likely]] {
        return true;
    }
    return mark_inner_frame(frame, len, outer_tos);
}

// Brings the outer header's DSCP over to the inner IP header, if there is one
// (ip4ip6_dscp_ecn_decapsulate).
void copy_dscp(std::uint8_t* frame, std::size_t len, std::uint8_t outer_tos) noexcept;

}  // namespace culvert::encap
