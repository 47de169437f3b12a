// SPDX-License-Identifier: BSD-3-Clause
// The bounded parser: where the headers of a frame are, reading no byte past its end. It judges
// only what it needs to find its way; whether an IP header is acceptable (version, total length,
// checksum) is for the IP input to say.
#pragma once

#include "lib/net/ether.hpp"
#include "lib/net/header.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

struct EtherView {
    std::uint16_t l3_offset = 0;   // behind Ethernet and VLAN tags
    std::uint16_t ether_type = 0;  // of what is there; a VLAN type if there are more than two tags
    std::uint8_t vlan_count = 0;   // 0..2
    bool ok = false;               // false: the frame ends within Ethernet or a tag
};

enum class L3 : std::uint8_t { none, ipv4, ipv6 };

struct ParsedPacket {
    std::uint16_t l3_offset = 0;
    std::uint16_t l4_offset = 0;   // 0: none, cut off, malformed or not in this fragment
    L3 l3 = L3::none;              // ipv4, ipv6: the fixed header (20, 40 bytes) is there
    std::uint8_t protocol = 0;     // of the transport header: behind IPv6 extension headers
    std::uint8_t tos = 0;          // or traffic class
    std::uint8_t ttl = 0;          // or hop limit
    bool dont_fragment = false;    // IPv4's DF
    bool is_fragment = false;      // any part of a datagram; not an atomic fragment (RFC 6946)
    bool first_fragment = false;   // the part with the transport header
    bool truncated = false;        // the type says IPv4 or IPv6, but the fixed header is cut off
    std::uint32_t flow_label = 0;  // IPv6
};

// Extension headers walked before giving up; a chain longer than this is no honest packet.
inline constexpr int kMaxExtensionHeaders = 8;

[[nodiscard]] inline EtherView parse_ether(const std::uint8_t* data, std::size_t len) noexcept {
    EtherView view;
    const auto* ether = header_at<EtherHeader>(data, len, 0);
    if (ether == nullptr) [[unlikely]] {
        return view;
    }
    view.ether_type = ether->type.host();
    view.l3_offset = sizeof(EtherHeader);
    while ((view.ether_type == ether_type::kVlan || view.ether_type == ether_type::kQinq) &&
           view.vlan_count < 2)
        [[unlikely]] {
            const auto* vlan = header_at<VlanHeader>(data, len, view.l3_offset);
            if (vlan == nullptr) {
                return view;
            }
            view.ether_type = vlan->type.host();
            view.l3_offset = static_cast<std::uint16_t>(view.l3_offset + sizeof(VlanHeader));
            ++view.vlan_count;
        }
    view.ok = true;
    return view;
}

namespace detail {

// Walks from packet.protocol at `offset`; sets protocol, l4_offset and the fragment flags.
void walk_extension_headers(
    const std::uint8_t* data, std::size_t len, std::size_t offset, ParsedPacket& packet
) noexcept;

// Hop-by-hop, routing, fragment, destination options, AH and mobility: what may stand before the
// transport header.
[[nodiscard]] constexpr bool is_extension_header(std::uint8_t protocol) noexcept {
    return protocol == ip_protocol::kHopByHop || protocol == ip_protocol::kRouting ||
           protocol == ip_protocol::kFragment || protocol == ip_protocol::kAuthentication ||
           protocol == ip_protocol::kDestinationOptions || protocol == ip_protocol::kMobility;
}

inline void parse_ipv4(
    const std::uint8_t* data, std::size_t len, std::size_t offset, ParsedPacket& packet
) noexcept {
    const auto* ip = header_at<Ipv4Header>(data, len, offset);
    if (ip == nullptr) [[unlikely]] {
        packet.truncated = true;
        return;
    }
    const std::uint16_t fragment = ip->flags_and_offset.host();
    packet.l3 = L3::ipv4;
    packet.protocol = ip->protocol;
    packet.tos = ip->type_of_service;
    packet.ttl = ip->time_to_live;
    packet.dont_fragment = (fragment & kIpv4DontFragment) != 0;
    packet.is_fragment = (fragment & (kIpv4MoreFragments | kIpv4OffsetMask)) != 0;
    packet.first_fragment = packet.is_fragment && (fragment & kIpv4OffsetMask) == 0;
    const std::size_t header_len = ip->header_len_bytes();
    if (header_len >= sizeof(Ipv4Header) && header_len <= len - offset &&
        (fragment & kIpv4OffsetMask) == 0) {
        packet.l4_offset = static_cast<std::uint16_t>(offset + header_len);
    }
}

inline void parse_ipv6(
    const std::uint8_t* data, std::size_t len, std::size_t offset, ParsedPacket& packet
) noexcept {
    const auto* ip = header_at<Ipv6Header>(data, len, offset);
    if (ip == nullptr) [[unlikely]] {
        packet.truncated = true;
        return;
    }
    packet.l3 = L3::ipv6;
    packet.protocol = ip->next_header;
    packet.tos = ip->traffic_class();
    packet.ttl = ip->hop_limit;
    packet.flow_label = ip->flow_label();
    if (is_extension_header(packet.protocol)) [[unlikely]] {
        walk_extension_headers(data, len, offset + sizeof(Ipv6Header), packet);
    } else {
        packet.l4_offset = static_cast<std::uint16_t>(offset + sizeof(Ipv6Header));
    }
}

}  // namespace detail

// `len`: contiguous bytes at `data`, at most 65535 looked at; `l3_offset` counts from `data`.
[[nodiscard]] inline ParsedPacket parse_l3(
    const std::uint8_t* data, std::size_t len, std::uint16_t l3_offset, std::uint16_t ether_type
) noexcept {
    ParsedPacket packet;
    packet.l3_offset = l3_offset;
    len = len > 0xffff ? 0xffff : len;
    if (ether_type == ether_type::kIpv4) [[likely]] {
        detail::parse_ipv4(data, len, l3_offset, packet);
    } else if (ether_type == ether_type::kIpv6) {
        detail::parse_ipv6(data, len, l3_offset, packet);
    }
    return packet;
}

// A whole Ethernet frame. A frame that ends within its Ethernet header or tags has l3 none and is
// not `truncated`.
[[nodiscard]] inline ParsedPacket parse_frame(const std::uint8_t* data, std::size_t len) noexcept {
    const EtherView ether = parse_ether(data, len);
    if (!ether.ok) [[unlikely]] {
        return {};
    }
    return parse_l3(data, len, ether.l3_offset, ether.ether_type);
}

}  // namespace culvert::net
