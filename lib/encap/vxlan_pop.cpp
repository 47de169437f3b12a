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

[[gnu::always_inline]] inline UdpVerdict
examine_length(rte_mbuf* packet, std::uint16_t offset) noexcept {
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

}  // namespace

UdpVerdict examine_udp_length(rte_mbuf* packet, std::uint16_t offset) noexcept {
    return examine_length(packet, offset);
}

UdpVerdict examine_udp(rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const std::uint16_t offset = udp_offset_of(packet, l3_offset);
    if (const UdpVerdict verdict = examine_length(packet, offset); verdict != UdpVerdict::good) {
        return verdict;
    }
    const net::UdpHeader& udp = udp_at(packet, offset);
    if (udp.checksum.raw() == 0 || outer_checksum_is_known_good(packet)) {
        return UdpVerdict::good;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    return udp_checksum_is_valid(packet, ip, offset) ? UdpVerdict::good : UdpVerdict::checksum;
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

bool has_reserved_bits(const rte_mbuf* packet, std::uint16_t frame_offset) noexcept {
    const net::VxlanHeader& vxlan = vxlan_at(packet, frame_offset - sizeof(net::VxlanHeader));
    return vxlan.flags.host() != net::vxlan::kVniValid || vxlan.reserved() != 0;
}

}  // namespace culvert::encap
