// SPDX-License-Identifier: BSD-3-Clause
// What a tunnel must know of the frame it carries: on the way in for the outer header's sake, on
// the way out to bring congestion marks over.
#pragma once

#include "lib/net/ecn.hpp"
#include "lib/net/flow_hash.hpp"
#include "lib/net/parse.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace culvert::encap {

// Looked at once a packet, whatever the number of remotes it goes to.
struct InnerFrame {
    net::ParsedPacket parsed;     // tos, ttl and DF are 0 for what is not IP
    std::uint32_t flow_hash = 0;  // never 0 once inspected
};

// `len`: contiguous bytes at `frame`, at least 14.
[[nodiscard]] InnerFrame inspect_any_frame(const std::uint8_t* frame, std::size_t len) noexcept;

// The same, short for what most frames are: untagged IPv4 without options, whole TCP or UDP.
[[nodiscard]] [[gnu::always_inline]] inline InnerFrame
inspect_frame(const std::uint8_t* frame, std::size_t len) noexcept {
    constexpr std::uint16_t kL3 = sizeof(net::EtherHeader);
    constexpr std::uint16_t kL4 = kL3 + sizeof(net::Ipv4Header);
    constexpr std::size_t kPorts = 4;
    constexpr std::uint32_t kTypeAndIhl =
        std::uint32_t{net::ether_type::kIpv4} << 8 | net::kIpv4VersionIhl;
    if (len < kL4 + kPorts) [[unlikely]] {
        return inspect_any_frame(frame, len);
    }
    // EtherType, version and header length, TOS.
    const std::uint32_t word = net::detail::load<net::Be32>(frame + kL3 - 2).host();
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(frame + kL3);
    const std::uint16_t flags = ip.flags_and_offset.raw();
    const std::uint16_t fragment = net::Be16{net::kIpv4MoreFragments | net::kIpv4OffsetMask}.raw();
    const bool has_ports =
        ip.protocol == net::ip_protocol::kTcp || ip.protocol == net::ip_protocol::kUdp;
    if (word >> 8 != kTypeAndIhl || (flags & fragment) != 0 || !has_ports) [[unlikely]] {
        return inspect_any_frame(frame, len);
    }
    const auto ports = net::detail::load<std::uint32_t>(frame + kL4);
    constexpr bool kLittle = std::endian::native == std::endian::little;
    const auto low_half = static_cast<std::uint16_t>(ports);
    const auto high_half = static_cast<std::uint16_t>(ports >> 16);
    InnerFrame inner;
    inner.flow_hash = net::flow_hash_ipv4(
        {ip.source.raw(), kLittle ? low_half : high_half},
        {ip.destination.raw(), kLittle ? high_half : low_half},
        ip.protocol
    );
    if (inner.flow_hash == 0) [[unlikely]] {
        return inspect_any_frame(frame, len);
    }
    inner.parsed.l3_offset = kL3;
    inner.parsed.l4_offset = kL4;
    inner.parsed.l3 = net::L3::ipv4;
    inner.parsed.protocol = ip.protocol;
    inner.parsed.tos = static_cast<std::uint8_t>(word);
    inner.parsed.ttl = ip.time_to_live;
    inner.parsed.dont_fragment = (flags & net::Be16{net::kIpv4DontFragment}.raw()) != 0;
    return inner;
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

}  // namespace culvert::encap
