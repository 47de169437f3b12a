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

}  // namespace culvert::encap
