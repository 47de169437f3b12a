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

// True, and `inner` is set, for untagged IPv4: most packets.
[[nodiscard]] [[gnu::always_inline]] inline bool
inspect_plain_ipv4(const rte_mbuf* packet, IpTunnelInner& inner) noexcept {
    constexpr std::uint16_t kL3 = sizeof(net::EtherHeader);
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    if (packet->data_len < kL3 + sizeof(net::Ipv4Header) ||
        reinterpret_cast<const net::EtherHeader*>(frame)->type.raw() !=
            net::Be16{net::ether_type::kIpv4}.raw()) [[unlikely]] {
        return false;
    }
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(frame + kL3);
    inner.type = net::ether_type::kIpv4;
    inner.l3_offset = kL3;
    inner.l3 = net::L3::ipv4;
    inner.tos = ip.type_of_service;
    inner.ttl = ip.time_to_live;
    inner.dont_fragment =
        (ip.flags_and_offset.raw() & net::Be16{net::kIpv4DontFragment}.raw()) != 0;
    inner.truncated = false;
    return true;
}

// The same for any frame of at least 14 bytes.
[[nodiscard]] IpTunnelInner inspect_inner(const rte_mbuf* packet) noexcept;

namespace detail {

// Why the outer packet does not fit.
[[nodiscard]] IpTunnelPushed refuse_size(
    const rte_mbuf* packet, const IpTunnelTemplate& outer, const IpTunnelInner& inner
) noexcept;

// The TOS of a device that inherits it, without ECN. Returns what that adds to the header's sum.
[[nodiscard]] std::uint32_t
inherit_tos(const IpTunnelTemplate& outer, const IpTunnelInner& inner, std::uint8_t& tos) noexcept;

// Fills in what a GRE header has beyond the template's: protocol, sequence number and checksum.
// `gre`: the header, its template copied there. `sum`: of the payload, if there is a checksum.
void patch_gre(
    std::uint8_t* gre,
    const IpTunnelTemplate& outer,
    const IpTunnelInner& inner,
    std::uint32_t sequence,
    std::uint64_t sum
) noexcept;

}  // namespace detail

// Puts `outer` in front of the frame at the packet's data, in place of its link header if the
// device carries packets. The packet is unchanged unless `done`. Preconditions: outer.state is
// ready or unresolved (then the Ethernet addresses are 0); the frame has at least 14 bytes; `inner`
// is what inspection said, not truncated, and of a type that the device's kind takes.
[[nodiscard]] [[gnu::always_inline]] inline IpTunnelPushed ip_tunnel_push(
    rte_mbuf* packet,
    const IpTunnelTemplate& outer,
    const IpTunnelInner& inner,
    std::uint16_t identification,
    std::uint32_t sequence = 0
) noexcept {
    constexpr std::uint16_t kLink = IpTunnelTemplate::kLinkHeaderLen;
    constexpr std::uint32_t kRoom = IpTunnelTemplate::kRoom;
    const std::uint16_t stripped = outer.carries_frames ? std::uint16_t{0} : kLink;
    const std::uint32_t room = std::uint32_t{rte_pktmbuf_headroom(packet)} + stripped;
    const auto added = static_cast<std::uint16_t>(outer.length - stripped);
    const std::uint32_t total_length = packet->pkt_len + added - kLink;
    if (room < outer.length) [[unlikely]] {
        return IpTunnelPushed::no_headroom;
    }
    if (total_length > outer.mtu) [[unlikely]] {
        return detail::refuse_size(packet, outer, inner);
    }
    const net::Be16 ip_length{static_cast<std::uint16_t>(total_length)};
    const net::Be16 id{identification};
    const std::uint64_t payload_sum =
        outer.checksum ? sum_packet(packet, stripped) : std::uint64_t{0};

    auto* const payload = rte_pktmbuf_mtod(packet, std::uint8_t*) + stripped;
    if (room >= kRoom) [[likely]] {
        std::memcpy(payload - kRoom, outer.bytes.data(), kRoom);
    } else {
        std::memcpy(
            payload - outer.length, outer.bytes.data() + kRoom - outer.length, outer.length
        );
    }
    std::uint8_t* const gre = payload - outer.gre_len;
    auto& ip = *reinterpret_cast<net::Ipv4Header*>(gre - sizeof(net::Ipv4Header));

    // What is added here is 0 in the template, so an addition to the sum is all.
    std::uint32_t sum = outer.ip_sum + ip_length.raw() + id.raw();
    if (outer.ttl_inherit) {
        ip.time_to_live = inner.ttl;
        sum += net::Be16{static_cast<std::uint16_t>(inner.ttl << 8)}.raw();
    }
    if (outer.tos_inherit || (inner.tos & net::kEcnMask) != 0) [[unlikely]] {
        std::uint8_t tos = outer.bytes[outer.ip_offset() + 1];
        if (outer.tos_inherit) {
            sum += detail::inherit_tos(outer, inner, tos);
        }
        const std::uint8_t ecn = net::ecn_encapsulate(0, inner.tos);
        ip.type_of_service = static_cast<std::uint8_t>(tos | ecn);
        sum += net::Be16{ecn}.raw();
    }
    if (outer.df_inherit && inner.dont_fragment) {
        const net::Be16 flag{net::kIpv4DontFragment};
        ip.flags_and_offset = flag;
        sum += flag.raw();
    }
    ip.total_length = ip_length;
    ip.identification = id;
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    ip.checksum = net::Be16::from_raw(static_cast<std::uint16_t>(~sum));
    if (outer.patches_gre || inner.type != net::ether_type::kIpv4) [[unlikely]] {
        detail::patch_gre(gre, outer, inner, sequence, payload_sum);
    }

    packet->data_off = static_cast<std::uint16_t>(packet->data_off - added);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len + added);
    packet->pkt_len += added;
    forget_offloads(packet);
    return IpTunnelPushed::done;
}

}  // namespace culvert::encap
