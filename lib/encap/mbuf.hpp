// SPDX-License-Identifier: BSD-3-Clause
// What tunnels do to a packet buffer besides writing headers.
//
// Headers up to the inner transport header are looked for in the first segment alone: receive
// queues split at the data room's 2 KB, far behind them. Payloads may lie in any number of
// segments.
#pragma once

#include "lib/net/checksum.hpp"

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>

namespace culvert::encap {

// After a push or pop nothing that the receiving device said about the packet is true any more:
// its type, its checksums, its header lengths. What says whose memory it is stays.
inline void forget_offloads(rte_mbuf* packet) noexcept {
    packet->packet_type = RTE_PTYPE_UNKNOWN;
    packet->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    packet->tx_offload = 0;
}

// Takes `len` bytes from the front. Precondition: len <= data_len.
inline void strip_front(rte_mbuf* packet, std::uint16_t len) noexcept {
    packet->data_off = static_cast<std::uint16_t>(packet->data_off + len);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len - len);
    packet->pkt_len -= len;
}

// Cuts the packet to its first `len` bytes and gives segments that are empty then back to their
// pool. Precondition: len <= pkt_len.
void trim_to(rte_mbuf* packet, std::uint32_t len) noexcept;

// IPO-F2-01: makes the headroom at least `len` bytes, where it is not: the bytes move towards the
// buffer's end, and the last of them into a segment of their own if there is too little room. Only
// a packet that has several already gets one more: ports whose packets have but one may not know
// how to send others. Who pointed into the packet points elsewhere. False: it is unchanged.
[[nodiscard]] bool make_headroom(rte_mbuf* packet, std::uint16_t len, rte_mempool* pool) noexcept;

// The checksum sum of everything from `offset` to the packet's end, as if `offset` were even; any
// segment may have an odd length. Precondition: offset <= data_len of the first segment.
[[nodiscard]] inline std::uint64_t
sum_packet(const rte_mbuf* packet, std::uint16_t offset) noexcept {
    const auto* data = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset);
    const std::size_t first_len = std::size_t{packet->data_len} - offset;
    std::uint64_t sum = net::sum_bytes(data, first_len);
    std::size_t summed = first_len;
    for (const rte_mbuf* segment = packet->next; segment != nullptr; segment = segment->next)
        [[unlikely]] {
            const auto* piece = rte_pktmbuf_mtod(segment, const std::uint8_t*);
            sum = net::sum_chain(sum, net::sum_bytes(piece, segment->data_len), summed);
            summed += segment->data_len;
        }
    return sum;
}

}  // namespace culvert::encap
