// SPDX-License-Identifier: BSD-3-Clause
// The outer headers of ipip, gre and gretap in front of a packet: one copy of the template, then
// what this packet decides. No byte is read back that was just written (see vxlan_push.hpp).
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ecn.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/parse.hpp"

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>

namespace culvert::encap {

enum class IpTunnelPushed : std::uint8_t {
    done,
    no_headroom,      // TUN-TX-17
    too_big,          // TUN-PMTU-04, -05: the sender is to send less
    needs_fragments,  // TUN-PMTU-06, -07
};

// What the outer header must know of the packet inside.
struct IpTunnelInner {
    std::uint16_t type = 0;  // EtherType, behind VLAN tags
    std::uint16_t l3_offset = sizeof(net::EtherHeader);
    net::L3 l3 = net::L3::none;
    std::uint8_t tos = 0;
    std::uint8_t ttl = net::kIpv4DefaultTtl;
    bool dont_fragment = false;
    bool truncated = false;  // not even its IP header is whole
};

// Of any frame of at least 14 bytes.
[[nodiscard]] IpTunnelInner inspect_inner(const rte_mbuf* packet) noexcept;

// What stands in UDP's source port (FOU-02). `frame`: what begins with an Ethernet header, at least
// 14 bytes of it.
[[nodiscard]] net::Be16 ip_tunnel_source_port(const std::uint8_t* frame, std::size_t len) noexcept;

// Puts `outer` in front of the frame at the packet's data, in place of its link header if the
// device carries packets. The packet is unchanged unless `done`. Preconditions: outer.state is
// ready or unresolved (then the Ethernet addresses are 0); the frame has at least 14 bytes; `inner`
// is what inspection said, not truncated, and of a type that the device's kind takes.
[[nodiscard]] IpTunnelPushed ip_tunnel_push(
    rte_mbuf* packet,
    const IpTunnelTemplate& outer,
    const IpTunnelInner& inner,
    std::uint16_t identification,
    std::uint32_t sequence = 0
) noexcept;

// The same for an untagged IPv4 packet that fits, without ECN, through a device that adds neither
// checksum nor sequence number: most packets. False: not such a one, and it is unchanged. UDP's
// length and source port are the caller's.
[[nodiscard]] [[gnu::always_inline]] inline bool ip_tunnel_push_plain(
    rte_mbuf* packet, const IpTunnelTemplate& outer, std::uint16_t identification
) noexcept {
    using net::detail::load;
    constexpr std::uint16_t kLink = sizeof(net::EtherHeader);
    constexpr std::size_t kType = offsetof(net::EtherHeader, type);
    constexpr std::size_t kLength = offsetof(net::Ipv4Header, total_length);
    constexpr std::size_t kFlags = offsetof(net::Ipv4Header, flags_and_offset);
    const std::uint16_t data_off = packet->data_off;
    auto* const frame = static_cast<std::uint8_t*>(packet->buf_addr) + data_off;
    const std::uint32_t pkt_len = packet->pkt_len + outer.added;
    const std::uint32_t total_length = pkt_len - kLink;
    const auto type_and_tos = load<std::uint32_t>(frame + kType) & outer.plain_mask;
    if (packet->data_len < kLink + sizeof(net::Ipv4Header) || data_off < outer.plain_data_off ||
        total_length > outer.mtu || type_and_tos != net::Be16{net::ether_type::kIpv4}.raw())
        [[unlikely]] {
        return false;
    }
    const std::uint32_t inherited = load<std::uint32_t>(frame + kLink + kFlags) & outer.inherited;
    const net::Be16 ip_length{static_cast<std::uint16_t>(total_length)};
    const net::Be16 id{identification};

    auto* const front = frame - outer.added;
    auto* const payload = front + outer.length;
    std::memcpy(payload - IpTunnelTemplate::kRoom, outer.bytes.data(), IpTunnelTemplate::kRoom);
    std::uint8_t* const ip = front + kLink;
    std::uint32_t sum =
        outer.ip_sum + ip_length.raw() + id.raw() + (inherited & 0xffff) + (inherited >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    const auto checksum = net::Be16::from_raw(static_cast<std::uint16_t>(~sum));
    const std::uint32_t flags = outer.flags_word | inherited;
    std::memcpy(ip + kLength, &ip_length, sizeof(ip_length));
    std::memcpy(ip + offsetof(net::Ipv4Header, identification), &id, sizeof(id));
    std::memcpy(ip + kFlags, &flags, sizeof(flags));
    std::memcpy(ip + offsetof(net::Ipv4Header, checksum), &checksum, sizeof(checksum));

    packet->data_off = static_cast<std::uint16_t>(data_off - outer.added);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len + outer.added);
    packet->pkt_len = pkt_len;
    forget_offloads(packet);
    return true;
}

}  // namespace culvert::encap
