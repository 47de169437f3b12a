// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/vxlan_push.hpp"

#include "lib/encap/vxlan_push6.hpp"

namespace culvert::encap {

namespace detail {

namespace {

// Bytes of transport header and payload by the IP header, or 0 if frame and header disagree: then
// there is padding, or the packet is cut off.
std::uint32_t transport_len(const rte_mbuf* packet, const net::ParsedPacket& parsed) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const std::uint8_t* header = frame + parsed.l3_offset;
    std::uint32_t l3_len = 0;
    if (parsed.l3 == net::L3::ipv4) {
        l3_len = reinterpret_cast<const net::Ipv4Header*>(header)->total_length.host();
    } else {
        const auto* ip = reinterpret_cast<const net::Ipv6Header*>(header);
        l3_len = ip->payload_length.host() + std::uint32_t{sizeof(net::Ipv6Header)};
    }
    const std::uint32_t end = parsed.l3_offset + l3_len;
    return end == packet->pkt_len && end > parsed.l4_offset ? end - parsed.l4_offset : 0;
}

// A TCP or UDP packet that carries a checksum and whose header is whole.
bool carries_checksum(
    const rte_mbuf* packet, const net::ParsedPacket& parsed, std::uint32_t len
) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    if (parsed.protocol == net::ip_protocol::kTcp) {
        const auto* tcp = net::header_at<net::TcpHeader>(frame, packet->data_len, parsed.l4_offset);
        return tcp != nullptr && len >= sizeof(net::TcpHeader) && tcp->checksum.raw() != 0;
    }
    if (parsed.protocol == net::ip_protocol::kUdp) {
        const auto* udp = net::header_at<net::UdpHeader>(frame, packet->data_len, parsed.l4_offset);
        return udp != nullptr && udp->length.host() == len && len >= sizeof(net::UdpHeader) &&
               udp->checksum.raw() != 0;
    }
    return false;
}

}  // namespace

std::uint32_t inherit(const VxlanTemplate& outer, InnerFrame inner, net::Ipv4Header& ip) noexcept {
    std::uint32_t added = 0;
    if (outer.tos_inherit) {
        const auto dscp = static_cast<std::uint8_t>(inner.parsed.tos & ~net::kEcnMask);
        ip.type_of_service = static_cast<std::uint8_t>(ip.type_of_service | dscp);
        added += net::Be16{dscp}.raw();
    }
    if (outer.ttl_inherit) {
        const std::uint8_t ttl = inner.parsed.ttl != 0 ? inner.parsed.ttl : net::kIpv4DefaultTtl;
        ip.time_to_live = ttl;
        added += net::Be16{static_cast<std::uint16_t>(ttl << 8)}.raw();
    }
    // VXLAN-TX-30: IPv6 is never fragmented on the way.
    const bool dont_fragment = inner.parsed.dont_fragment || inner.parsed.l3 == net::L3::ipv6;
    if (outer.df == DontFragment::inherit && dont_fragment) {
        const net::Be16 flag{net::kIpv4DontFragment};
        ip.flags_and_offset = flag;
        added += flag.raw();
    }
    return added;
}

bool sum_by_transport_checksum(const rte_mbuf* packet, std::uint64_t& sum) noexcept {
    const net::ParsedPacket parsed =
        net::parse_frame(rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len);
    if (parsed.l4_offset == 0 || parsed.is_fragment) {
        return false;
    }
    const std::uint32_t len = transport_len(packet, parsed);
    if (len == 0 || !carries_checksum(packet, parsed, len)) {
        return false;
    }
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const std::uint8_t* header = frame + parsed.l3_offset;
    std::uint64_t pseudo = 0;
    if (parsed.l3 == net::L3::ipv4) {
        const auto* ip = reinterpret_cast<const net::Ipv4Header*>(header);
        pseudo = net::pseudo_header_sum_v4(
            ip->source, ip->destination, parsed.protocol, static_cast<std::uint16_t>(len)
        );
    } else {
        // With a routing header the pseudo header's destination is not this header's.
        const auto* ip = reinterpret_cast<const net::Ipv6Header*>(header);
        if (ip->next_header != parsed.protocol) {
            return false;
        }
        pseudo = net::pseudo_header_sum_v6(ip->source, ip->destination, parsed.protocol, len);
    }
    const auto transport = static_cast<std::uint16_t>(~net::sum_fold(pseudo));
    sum = net::sum_add(net::sum_bytes(frame, parsed.l4_offset), transport);
    return true;
}

}  // namespace detail

VxlanPushed vxlan_push(
    rte_mbuf* packet,
    const VxlanTemplate& outer,
    const InnerFrame& inner,
    std::uint16_t identification
) noexcept {
    const InnerFlow flow{inner.flow_hash, inner.parsed.tos};
    if (outer.is_ipv6) {
        return vxlan_push6(packet, outer, flow, outer.inherits ? &inner : nullptr);
    }
    return detail::put_header(
        packet, outer, flow, identification, outer.udp_checksum, outer.inherits ? &inner : nullptr
    );
}

}  // namespace culvert::encap
