// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/vxlan_pop6.hpp"

#include "lib/net/parse.hpp"

namespace culvert::encap {

namespace {

template <typename Header>
const Header& header_at(const rte_mbuf* packet, std::size_t offset) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, const Header*, offset);
}

void read_outer6(
    const rte_mbuf* packet, std::uint16_t l3_offset, std::uint16_t udp_offset, VxlanOuter6& outer
) noexcept {
    const auto& ip = header_at<net::Ipv6Header>(packet, l3_offset);
    const auto& udp = header_at<net::UdpHeader>(packet, udp_offset);
    const std::size_t vxlan_offset = udp_offset + sizeof(udp);
    outer.source = net::IpAddress::from_v6(ip.source);
    outer.vni = header_at<net::VxlanHeader>(packet, vxlan_offset).vni();
    outer.udp_port = udp.destination.host();
    outer.frame_offset = static_cast<std::uint16_t>(vxlan_offset + sizeof(net::VxlanHeader));
    outer.tos = ip.traffic_class();
    outer.has_checksum = udp.checksum.raw() != 0;
}

}  // namespace

std::uint16_t udp_offset_of6(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const auto& ip = header_at<net::Ipv6Header>(packet, l3_offset);
    const auto fixed = static_cast<std::uint16_t>(l3_offset + sizeof(ip));
    if (ip.next_header == net::ip_protocol::kUdp) [[likely]] {
        return fixed;
    }
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const net::ParsedPacket parsed =
        net::parse_l3(data, packet->data_len, l3_offset, net::ether_type::kIpv6);
    return parsed.l4_offset != 0 ? parsed.l4_offset : fixed;
}

bool udp_checksum_is_valid6(
    const rte_mbuf* packet, std::uint16_t l3_offset, std::uint16_t udp_offset
) noexcept {
    const auto& ip = header_at<net::Ipv6Header>(packet, l3_offset);
    const std::uint64_t pseudo = net::pseudo_header_sum_v6(
        ip.source, ip.destination, net::ip_protocol::kUdp, packet->pkt_len - udp_offset
    );
    return net::sum_is_valid(net::sum_add(sum_packet(packet, udp_offset), pseudo));
}

bool vxlan_parse6(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter6& outer) noexcept {
    constexpr std::uint32_t kHeaders =
        sizeof(net::UdpHeader) + sizeof(net::VxlanHeader) + sizeof(net::EtherHeader);
    const std::uint16_t udp_offset = udp_offset_of6(packet, l3_offset);
    if (packet->data_len < udp_offset + kHeaders) [[unlikely]] {
        return false;
    }
    const auto& udp = header_at<net::UdpHeader>(packet, udp_offset);
    const auto frame_offset =
        static_cast<std::uint16_t>(udp_offset + sizeof(udp) + sizeof(net::VxlanHeader));
    if (has_reserved_bits(packet, frame_offset) ||
        udp.length.host() != packet->pkt_len - udp_offset) [[unlikely]] {
        return false;
    }
    if (udp.checksum.raw() != 0 && !outer_checksum_is_known_good(packet) &&
        !udp_checksum_is_valid6(packet, l3_offset, udp_offset)) [[unlikely]] {
        return false;
    }
    read_outer6(packet, l3_offset, udp_offset, outer);
    return true;
}

UdpVerdict examine_udp6(rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const std::uint16_t offset = udp_offset_of6(packet, l3_offset);
    if (const UdpVerdict verdict = examine_udp_length(packet, offset);
        verdict != UdpVerdict::good) {
        return verdict;
    }
    const auto& udp = header_at<net::UdpHeader>(packet, offset);
    const bool is_right = udp.checksum.raw() == 0 || outer_checksum_is_known_good(packet) ||
                          udp_checksum_is_valid6(packet, l3_offset, offset);
    return is_right ? UdpVerdict::good : UdpVerdict::checksum;
}

VxlanVerdict
examine_vxlan6(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter6& outer) noexcept {
    const std::uint16_t udp_offset = udp_offset_of6(packet, l3_offset);
    const std::size_t offset = udp_offset + sizeof(net::UdpHeader);
    if (packet->data_len < offset + sizeof(net::VxlanHeader)) {
        return VxlanVerdict::truncated;
    }
    const auto& vxlan = header_at<net::VxlanHeader>(packet, offset);
    if ((vxlan.flags.host() & net::vxlan::kVniValid) == 0) {
        return VxlanVerdict::no_vni_flag;
    }
    read_outer6(packet, l3_offset, udp_offset, outer);
    return VxlanVerdict::good;
}

}  // namespace culvert::encap
