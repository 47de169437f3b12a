// SPDX-License-Identifier: BSD-3-Clause
// The outer header in front of a frame: one copy of the template, then what this packet decides.
// No byte is read back that was just written: sums come from the template and from values in
// registers, since a wide load over narrow stores waits for them (20 cycles).
#pragma once

#include "lib/encap/inner_frame.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/tcp.hpp"
#include "lib/net/udp.hpp"

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>

namespace culvert::encap {

enum class VxlanPushed : std::uint8_t {
    done,
    no_headroom,  // VXLAN-TX-32
    too_big,      // the outer IP packet is larger than the path's MTU
};

namespace detail {

// The one's-complement sum of less than 65536 16-bit words, folded and complemented.
[[nodiscard]] inline std::uint16_t complement_of(std::uint32_t sum) noexcept {
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    return static_cast<std::uint16_t>(~sum);
}

// The sum of the whole inner frame without reading its payload: where the transport checksum is
// known to be right, header and payload sum up to the complement of their pseudo header (what Linux
// calls local checksum offload, VXLAN-CSUM-03). False: not such a packet, its bytes must be summed.
[[nodiscard]] bool sum_by_transport_checksum(const rte_mbuf* packet, std::uint64_t& sum) noexcept;

// Copies what is inherited into the outer header, which has it 0 as yet, but for the ECN bits.
// Returns what that adds to the header's sum.
[[nodiscard]] std::uint32_t
inherit(const VxlanTemplate& outer, InnerFrame inner, net::Ipv4Header& ip) noexcept;

[[nodiscard]] inline std::uint64_t sum_of_inner(const rte_mbuf* packet) noexcept {
    // Below this it is as quick to sum the bytes as to find the transport header.
    constexpr std::uint32_t kWorthwhile = 256;
    std::uint64_t sum = 0;
    const bool verified =
        (packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    if (verified && packet->pkt_len >= kWorthwhile && sum_by_transport_checksum(packet, sum)) {
        return sum;
    }
    return sum_packet(packet, 0);
}

}  // namespace detail

// The outer source port of a flow (VXLAN-SPORT-02); the template's range is resolved.
[[nodiscard]] inline std::uint16_t
vxlan_source_port(const VxlanTemplate& outer, std::uint32_t flow_hash) noexcept {
    flow_hash ^= flow_hash << 16;
    const std::uint64_t scaled = std::uint64_t{flow_hash} * outer.source_port_span;
    return static_cast<std::uint16_t>((scaled >> 32) + outer.source_port_min);
}

namespace detail {

// `checksum` says what the template says, known where it is compiled; `inner`: where the template
// inherits, else nullptr.
[[nodiscard]] [[gnu::always_inline]] inline VxlanPushed put_header(
    rte_mbuf* packet,
    const VxlanTemplate& outer,
    InnerFlow flow,
    std::uint16_t identification,
    bool checksum,
    const InnerFrame* inner
) noexcept {
    if (rte_pktmbuf_headroom(packet) < VxlanTemplate::kLength) [[unlikely]] {
        return VxlanPushed::no_headroom;
    }
    constexpr std::uint32_t kIpOverhead = VxlanTemplate::kLength - VxlanTemplate::kIpOffset;
    const std::uint32_t total_length = packet->pkt_len + kIpOverhead;
    if (total_length > outer.mtu) [[unlikely]] {
        return VxlanPushed::too_big;
    }
    const net::Be16 ip_length{static_cast<std::uint16_t>(total_length)};
    const net::Be16 udp_length{static_cast<std::uint16_t>(total_length - sizeof(net::Ipv4Header))};
    const net::Be16 id{identification};
    const net::Be16 source_port{vxlan_source_port(outer, flow.hash)};
    const std::uint64_t udp_sum = checksum ? sum_of_inner(packet) : 0;

    auto* const bytes = rte_pktmbuf_mtod(packet, std::uint8_t*) - VxlanTemplate::kLength;
    std::memcpy(bytes, outer.bytes.data(), VxlanTemplate::kLength);
    auto& ip = *reinterpret_cast<net::Ipv4Header*>(bytes + VxlanTemplate::kIpOffset);
    auto& udp = *reinterpret_cast<net::UdpHeader*>(bytes + VxlanTemplate::kUdpOffset);

    // What is added here is 0 in the template, so an addition to the sum is all.
    std::uint32_t ip_sum = outer.ip_sum + ip_length.raw() + id.raw();
    if ((flow.tos & net::kEcnMask) != 0) [[unlikely]] {
        const std::uint8_t ecn = net::ecn_encapsulate(0, flow.tos);
        const std::uint8_t tos = outer.bytes[VxlanTemplate::kIpOffset + 1];
        ip.type_of_service = static_cast<std::uint8_t>(tos | ecn);
        ip_sum += net::Be16{ecn}.raw();
    }
    if (inner != nullptr) {
        ip_sum += inherit(outer, *inner, ip);
    }
    ip.total_length = ip_length;
    ip.identification = id;
    ip.checksum = net::Be16::from_raw(complement_of(ip_sum));
    udp.source = source_port;
    udp.length = udp_length;
    if (checksum) {
        const std::uint64_t headers =
            std::uint64_t{outer.udp_sum} + source_port.raw() + 2 * std::uint64_t{udp_length.raw()};
        udp.checksum = net::udp_checksum_from_sum(net::sum_add(udp_sum, headers));
    }

    packet->data_off = static_cast<std::uint16_t>(packet->data_off - VxlanTemplate::kLength);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len + VxlanTemplate::kLength);
    packet->pkt_len += VxlanTemplate::kLength;
    forget_offloads(packet);
    return VxlanPushed::done;
}

}  // namespace detail

// Puts `outer` in front of the frame at the packet's data, whose headers `inner` describes. The
// packet is unchanged unless `done`. Precondition: outer.state is ready or unresolved (then the
// Ethernet addresses are 0); the frame has at least 14 bytes.
[[nodiscard]] VxlanPushed vxlan_push(
    rte_mbuf* packet,
    const VxlanTemplate& outer,
    const InnerFrame& inner,
    std::uint16_t identification
) noexcept;

// The same for a template that is plain: all it asks for is the flow. Checksum says what
// outer.udp_checksum does.
template <bool Checksum>
[[nodiscard]] [[gnu::always_inline]] inline VxlanPushed vxlan_push_flow(
    rte_mbuf* packet, const VxlanTemplate& outer, InnerFlow flow, std::uint16_t identification
) noexcept {
    return detail::put_header(packet, outer, flow, identification, Checksum, nullptr);
}

}  // namespace culvert::encap
