// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/mbuf.hpp"
#include "lib/net/header.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/parse.hpp"
#include "lib/pipeline/ip_fragment.hpp"

#include <cstring>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kUnit = 8;  // of fragment offsets, bytes
constexpr std::uint32_t kFragmentLen = sizeof(net::Ipv6FragmentHeader);

// What each fragment has a copy of: the headers that routers on the way look at, and destination
// options unless a routing header is in front of them (RFC 8200, 4.5; ip6_find_1stfragopt).
struct Unfragmentable {
    std::uint16_t len = sizeof(net::Ipv6Header);
    // Of the byte that says what comes behind them.
    std::uint16_t next_header_at = offsetof(net::Ipv6Header, next_header);
};

Unfragmentable unfragmentable_part(rte_mbuf* packet) noexcept {
    using namespace net::ip_protocol;
    const std::uint16_t l3_offset = note(packet).l3_offset;
    const auto* data = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const std::size_t available = std::size_t{rte_pktmbuf_data_len(packet)} - l3_offset;
    Unfragmentable part;
    bool has_routing = false;
    for (int count = 0; count < net::kMaxExtensionHeaders; ++count) {
        const std::uint8_t next = data[part.next_header_at];
        const bool is_option = next == kDestinationOptions && !has_routing;
        if (next != kHopByHop && next != kRouting && !is_option) {
            break;
        }
        has_routing |= next == kRouting;
        const std::size_t end =
            available < part.len + 2U ? SIZE_MAX : part.len + (data[part.len + 1] + 1U) * kUnit;
        if (end > available) {
            break;
        }
        part.next_header_at = part.len;
        part.len = static_cast<std::uint16_t>(end);
    }
    return part;
}

const net::Ipv6Header& header_at(rte_mbuf* packet, std::uint16_t offset) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, offset);
}

std::uint32_t payload_len(rte_mbuf* packet, const Unfragmentable& part) noexcept {
    const net::Ipv6Header& ip = header_at(packet, note(packet).l3_offset);
    return static_cast<std::uint32_t>(sizeof(ip)) + ip.payload_length.host() - part.len;
}

}  // namespace

bool may_fragment6(rte_mbuf* packet, std::uint32_t mtu) noexcept {
    return mtu >= unfragmentable_part(packet).len + kFragmentLen + kUnit;
}

bool is_cut6(rte_mbuf* packet, const FragmentCut& cut) noexcept {
    return cut.done >= payload_len(packet, unfragmentable_part(packet));
}

// ip6_frag_next()
rte_mbuf* cut_fragment6(rte_mbuf* packet, FragmentCut& cut, rte_mempool* pool) noexcept {
    const std::uint16_t l3_offset = note(packet).l3_offset;
    const Unfragmentable part = unfragmentable_part(packet);
    const std::uint32_t left = payload_len(packet, part) - cut.done;
    const std::uint32_t room = cut.mtu - part.len - kFragmentLen;
    const std::uint32_t len = left <= room ? left : room & ~(kUnit - 1);

    const auto kept_len = static_cast<std::uint16_t>(l3_offset + part.len);
    const auto front_len = static_cast<std::uint16_t>(kept_len + kFragmentLen);
    rte_mbuf* fragment = rte_pktmbuf_copy(packet, pool, std::uint32_t{kept_len} + cut.done, len);
    if (fragment == nullptr) {
        return nullptr;
    }
    auto* front = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(fragment, front_len));
    if (front == nullptr) {  // headers larger than the headroom
        rte_pktmbuf_free(fragment);
        return nullptr;
    }
    std::memcpy(front, rte_pktmbuf_mtod(packet, const void*), kept_len);
    encap::forget_offloads(fragment);
    note(fragment) = note(packet);

    std::uint8_t& next_header = front[l3_offset + part.next_header_at];
    net::Ipv6FragmentHeader header{};
    header.next_header = next_header;
    header.offset_and_more =
        net::Be16{static_cast<std::uint16_t>(cut.done | (len < left ? 1U : 0U))};
    header.identification = net::Be32{cut.identification};
    next_header = net::ip_protocol::kFragment;
    std::memcpy(front + kept_len, &header, sizeof(header));
    const net::Be16 payload_length{
        static_cast<std::uint16_t>(part.len + kFragmentLen + len - sizeof(net::Ipv6Header))};
    std::memcpy(
        front + l3_offset + offsetof(net::Ipv6Header, payload_length),
        &payload_length,
        sizeof(payload_length)
    );
    cut.done = static_cast<std::uint16_t>(cut.done + len);
    return fragment;
}

}  // namespace culvert::pipeline
