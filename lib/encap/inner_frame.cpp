// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/inner_frame.hpp"

namespace culvert::encap {

InnerFrame inspect_frame(const std::uint8_t* frame, std::size_t len) noexcept {
    InnerFrame inner;
    inner.parsed = net::parse_frame(frame, len);
    inner.flow_hash = net::flow_hash_l3(frame, len, inner.parsed);
    if (inner.flow_hash == 0) [[unlikely]] {
        inner.flow_hash = net::flow_hash(frame, len);
    }
    return inner;
}

bool mark_inner_frame(std::uint8_t* frame, std::size_t len, std::uint8_t outer_tos) noexcept {
    const net::ParsedPacket inner = net::parse_frame(frame, len);
    if (inner.l3 == net::L3::none) {
        return true;
    }
    const net::EcnResult result = net::ecn_decapsulate(outer_tos, inner.tos);
    if (result.drop) {
        return false;
    }
    std::uint8_t* header = frame + inner.l3_offset;
    if (inner.l3 == net::L3::ipv4) {
        net::set_ecn(*reinterpret_cast<net::Ipv4Header*>(header), result.ecn);
    } else {
        net::set_ecn(*reinterpret_cast<net::Ipv6Header*>(header), result.ecn);
    }
    return true;
}

void copy_dscp(std::uint8_t* frame, std::size_t len, std::uint8_t outer_tos) noexcept {
    const net::ParsedPacket inner = net::parse_frame(frame, len);
    const auto dscp = static_cast<std::uint8_t>(outer_tos & ~net::kEcnMask);
    if (inner.l3 == net::L3::ipv4) {
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(frame + inner.l3_offset);
        const std::uint8_t before = ip.type_of_service;
        ip.type_of_service = static_cast<std::uint8_t>(dscp | (before & net::kEcnMask));
        ip.checksum =
            net::checksum_update(ip.checksum, net::Be16{before}, net::Be16{ip.type_of_service});
    } else if (inner.l3 == net::L3::ipv6) {
        constexpr std::uint32_t kDscpMask = 0x0fc00000;
        auto& ip = *reinterpret_cast<net::Ipv6Header*>(frame + inner.l3_offset);
        const std::uint32_t rest = ip.version_class_flow.host() & ~kDscpMask;
        ip.version_class_flow = net::Be32{rest | std::uint32_t{dscp} << 20};
    }
}

}  // namespace culvert::encap
