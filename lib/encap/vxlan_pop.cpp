// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/vxlan_pop.hpp"

namespace culvert::encap {

namespace {

const net::UdpHeader& udp_at(const rte_mbuf* packet, std::uint16_t offset) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, offset);
}

const net::VxlanHeader& vxlan_at(const rte_mbuf* packet, std::size_t offset) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, const net::VxlanHeader*, offset);
}

}  // namespace

UdpVerdict examine_udp_length(rte_mbuf* packet, std::uint16_t offset) noexcept {
    if (packet->data_len < offset + sizeof(net::UdpHeader)) {
        return UdpVerdict::truncated;
    }
    const net::UdpHeader& udp = udp_at(packet, offset);
    const std::uint16_t length = udp.length.host();
    if (length < sizeof(net::UdpHeader) || length > packet->pkt_len - offset) {
        return UdpVerdict::length;
    }
    if (length < packet->pkt_len - offset) {
        trim_to(packet, std::uint32_t{offset} + length);
    }
    return UdpVerdict::good;
}

UdpVerdict examine_udp(rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const std::uint16_t offset = udp_offset_of(packet, l3_offset);
    if (const UdpVerdict verdict = examine_udp_length(packet, offset);
        verdict != UdpVerdict::good) {
        return verdict;
    }
    const net::UdpHeader& udp = udp_at(packet, offset);
    if (udp.checksum.raw() == 0 || outer_checksum_is_known_good(packet)) {
        return UdpVerdict::good;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    return udp_checksum_is_valid(packet, ip, offset) ? UdpVerdict::good : UdpVerdict::checksum;
}

std::uint16_t udp_destination_port(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    return udp_at(packet, udp_offset_of(packet, l3_offset)).destination.host();
}

VxlanVerdict
examine_vxlan(const rte_mbuf* packet, std::uint16_t l3_offset, VxlanOuter& outer) noexcept {
    const std::size_t offset = udp_offset_of(packet, l3_offset) + sizeof(net::UdpHeader);
    if (packet->data_len < offset + sizeof(net::VxlanHeader)) {
        return VxlanVerdict::truncated;
    }
    if ((vxlan_at(packet, offset).flags.host() & net::vxlan::kVniValid) == 0) {
        return VxlanVerdict::no_vni_flag;
    }
    detail::read_outer(packet, l3_offset, outer);
    return VxlanVerdict::good;
}

bool has_reserved_bits(const rte_mbuf* packet, const VxlanOuter& outer) noexcept {
    const net::VxlanHeader& vxlan = vxlan_at(packet, outer.frame_offset - sizeof(net::VxlanHeader));
    return vxlan.flags.host() != net::vxlan::kVniValid || vxlan.reserved() != 0;
}

// How long the IP header was is found by looking for the one that ends where it should.
void vxlan_put_back(rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    constexpr unsigned kLeastWords = 5;
    constexpr unsigned kMostWords = 15;
    for (unsigned words = kLeastWords; words <= kMostWords; ++words) {
        const auto header_len = static_cast<std::uint16_t>(4 * words);
        const auto outer_len = static_cast<std::uint16_t>(
            header_len + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader)
        );
        const auto stripped = static_cast<std::uint16_t>(l3_offset + outer_len);
        if (stripped > packet->data_off) {
            return;
        }
        const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(
            rte_pktmbuf_mtod(packet, const std::uint8_t*) - outer_len
        );
        if (ip.version_and_ihl == ((net::kIpv4VersionIhl & 0xf0U) | words) &&
            ip.total_length.host() == packet->pkt_len + outer_len &&
            net::ipv4_header_checksum_is_valid(ip, header_len)) {
            rte_pktmbuf_prepend(packet, stripped);
            return;
        }
    }
}

}  // namespace culvert::encap
