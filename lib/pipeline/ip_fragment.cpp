// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/ip_fragment.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"

#include <algorithm>
#include <cstring>

namespace culvert::pipeline {

namespace {

constexpr std::uint16_t kUnit = 8;  // of fragment offsets, bytes

net::Ipv4Header& header_at(rte_mbuf* packet, std::uint16_t offset) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, net::Ipv4Header*, offset);
}

std::uint32_t payload_len(const net::Ipv4Header& ip) noexcept {
    return ip.total_length.host() - static_cast<std::uint32_t>(ip.header_len_bytes());
}

// FRAG-06 (ip_options_fragment): options that are not to be copied become NOPs, so that the header
// keeps its length. `options`: `len` bytes of them.
void blank_options(std::uint8_t* options, std::size_t len) noexcept {
    constexpr std::uint8_t kEnd = 0;
    constexpr std::uint8_t kNop = 1;
    constexpr std::uint8_t kCopied = 0x80;
    while (len > 0 && *options != kEnd) {
        std::size_t option_len = 1;
        if (*options != kNop) {
            option_len = len > 1 ? options[1] : 0;
            if (option_len < 2 || option_len > len) {
                return;  // malformed: as it is
            }
            if ((*options & kCopied) == 0) {
                std::memset(options, kNop, option_len);
            }
        }
        options += option_len;
        len -= option_len;
    }
}

}  // namespace

bool is_cut(rte_mbuf* packet, const FragmentCut& cut) noexcept {
    if (is_ip6(packet)) {
        return is_cut6(packet, cut);
    }
    return cut.done >= payload_len(header_at(packet, note(packet).l3_offset));
}

// FRAG-04, FRAG-05 (ip_frag_next).
rte_mbuf* cut_fragment(rte_mbuf* packet, FragmentCut& cut, rte_mempool* pool) noexcept {
    if (is_ip6(packet)) {
        return cut_fragment6(packet, cut, pool);
    }
    const std::uint16_t l3_offset = note(packet).l3_offset;
    const net::Ipv4Header& whole = header_at(packet, l3_offset);
    const auto header_len = static_cast<std::uint16_t>(whole.header_len_bytes());
    const std::uint32_t left = payload_len(whole) - cut.done;
    const std::uint32_t room = std::uint32_t{cut.mtu} - header_len;
    const std::uint32_t len = left <= room ? left : room & ~std::uint32_t{kUnit - 1};

    const auto front_len = static_cast<std::uint16_t>(l3_offset + header_len);
    rte_mbuf* fragment = rte_pktmbuf_copy(packet, pool, std::uint32_t{front_len} + cut.done, len);
    if (fragment == nullptr) {
        return nullptr;
    }
    auto* front = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(fragment, front_len));
    if (front == nullptr) {  // a pool whose buffers have less headroom than a header
        rte_pktmbuf_free(fragment);
        return nullptr;
    }
    std::memcpy(front, rte_pktmbuf_mtod(packet, const void*), front_len);
    encap::forget_offloads(fragment);
    note(fragment) = note(packet);

    net::Ipv4Header& ip = header_at(fragment, l3_offset);
    if (cut.done != 0) {
        blank_options(front + l3_offset + sizeof(net::Ipv4Header), header_len - sizeof(ip));
    }
    const bool more = len < left || whole.more_fragments();
    const std::size_t offset = whole.fragment_offset_bytes() + cut.done;
    ip.flags_and_offset = net::Be16{static_cast<std::uint16_t>(
        offset / kUnit | (more ? net::kIpv4MoreFragments : std::uint16_t{0})
    )};
    ip.total_length = net::Be16{static_cast<std::uint16_t>(header_len + len)};
    ip.checksum = net::ipv4_header_checksum(ip, header_len);
    cut.done = static_cast<std::uint16_t>(cut.done + len);
    return fragment;
}

}  // namespace culvert::pipeline
