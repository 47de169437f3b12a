// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_push6.hpp"

#include "lib/net/flow_hash.hpp"

#include <algorithm>

namespace culvert::encap {

namespace {

constexpr std::uint8_t kEncapLimitOption = 4;

// Of destination options at `offset`, `len` bytes that are there: where the limit's option begins.
std::size_t
find_limit_option(const std::uint8_t* data, std::size_t offset, std::size_t len) noexcept {
    constexpr std::size_t kOption = 3;  // type, length, limit
    for (std::size_t at = offset + 2; at + kOption <= offset + len;) {
        if (data[at] == kEncapLimitOption && data[at + 1] == 1) {
            return at;
        }
        at += data[at] != 0 ? std::size_t{2} + data[at + 1] : std::size_t{1};
    }
    return 0;
}

}  // namespace

IpTunnelInner6 inspect_inner6(const rte_mbuf* packet) noexcept {
    IpTunnelInner6 inner;
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const net::EtherView ether = net::parse_ether(frame, packet->data_len);
    if (!ether.ok) {
        inner.truncated = true;
        return inner;
    }
    const net::ParsedPacket parsed =
        net::parse_l3(frame, packet->data_len, ether.l3_offset, ether.ether_type);
    inner.type = ether.ether_type;
    inner.l3_offset = ether.l3_offset;
    inner.truncated = parsed.truncated;
    inner.flow_hash = net::flow_hash_l3(frame, packet->data_len, parsed);
    if (parsed.l3 != net::L3::none) {
        inner.l3 = parsed.l3;
        inner.tos = parsed.tos;
        inner.ttl = parsed.ttl;
        inner.flow_label = parsed.flow_label;
    } else {
        inner.flow_hash = net::flow_hash(frame, packet->data_len);
    }
    if (parsed.l3 == net::L3::ipv6) {
        const auto& ip = *reinterpret_cast<const net::Ipv6Header*>(frame + ether.l3_offset);
        inner.has_extensions = net::detail::is_extension_header(ip.next_header);
    }
    return inner;
}

std::uint32_t find_encap_limit(const rte_mbuf* packet, const IpTunnelInner6& inner) noexcept {
    using namespace net::ip_protocol;
    const auto* data = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, inner.l3_offset);
    const std::size_t len = std::size_t{packet->data_len} - inner.l3_offset;
    std::uint8_t next = reinterpret_cast<const net::Ipv6Header*>(data)->next_header;
    std::size_t offset = sizeof(net::Ipv6Header);
    for (int count = 0; count < net::kMaxExtensionHeaders; ++count) {
        if (!net::detail::is_extension_header(next) || offset + 2 > len) {
            return 0;
        }
        std::size_t header_len = (std::size_t{data[offset + 1]} + 1) * 8;
        if (next == kFragment) {
            header_len = sizeof(net::Ipv6FragmentHeader);
        } else if (next == kAuthentication) {
            header_len = (std::size_t{data[offset + 1]} + 2) * 4;
        }
        if (offset + header_len > len) {
            return 0;
        }
        if (next == kFragment && (data[offset + 2] != 0 || data[offset + 3] != 0)) {
            return 0;
        }
        if (next == kDestinationOptions) {
            if (const std::size_t at = find_limit_option(data, offset, header_len); at != 0) {
                return static_cast<std::uint32_t>(at);
            }
        }
        next = data[offset];
        offset += header_len;
    }
    return 0;
}

IpTunnelTemplate6 with_encap_limit(const IpTunnelTemplate6& outer, std::uint8_t limit) noexcept {
    constexpr std::uint32_t kFront = IpTunnelTemplate6::kLinkHeaderLen + sizeof(net::Ipv6Header);
    constexpr std::uint8_t kPadN = 1;
    IpTunnelTemplate6 changed = outer;
    std::uint8_t* const end = changed.bytes.data() + IpTunnelTemplate6::kRoom;
    std::uint8_t* const option = end - outer.gre_len - outer.udp_len - kEncapLimitLen;
    if (outer.limit_len == 0) {
        // Everything in front of UDP and GRE moves to make room.
        std::memmove(option - kFront, option - kFront + kEncapLimitLen, kFront);
        auto& ip = *reinterpret_cast<net::Ipv6Header*>(option - sizeof(net::Ipv6Header));
        const std::array<std::uint8_t, kEncapLimitLen> header{
            ip.next_header, 0, kEncapLimitOption, 1, limit, kPadN, 1, 0};
        std::copy(header.begin(), header.end(), option);
        ip.next_header = net::ip_protocol::kDestinationOptions;
        changed.limit_len = kEncapLimitLen;
        changed.length = static_cast<std::uint8_t>(changed.length + kEncapLimitLen);
    }
    option[4] = limit;
    return changed;
}

}  // namespace culvert::encap
