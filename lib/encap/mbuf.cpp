// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/mbuf.hpp"

#include <cstring>

namespace culvert::encap {

void trim_to(rte_mbuf* packet, std::uint32_t len) noexcept {
    std::uint32_t left = len;
    rte_mbuf* last = packet;
    std::uint16_t segments = 1;
    while (left > last->data_len) {
        left -= last->data_len;
        last = last->next;
        ++segments;
    }
    last->data_len = static_cast<std::uint16_t>(left);
    rte_mbuf* surplus = last->next;
    last->next = nullptr;
    packet->nb_segs = segments;
    packet->pkt_len = len;
    while (surplus != nullptr) {
        rte_mbuf* next = surplus->next;
        rte_pktmbuf_free_seg(surplus);
        surplus = next;
    }
}

bool make_headroom(rte_mbuf* packet, std::uint16_t len, rte_mempool* pool) noexcept {
    const std::uint32_t have = rte_pktmbuf_headroom(packet);
    if (have >= len) {
        return true;
    }
    const bool is_own = RTE_MBUF_DIRECT(packet) && rte_mbuf_refcnt_read(packet) == 1;
    if (!is_own || len >= packet->buf_len) {
        return false;
    }
    const std::uint32_t shift = len - have;
    const std::uint32_t end = std::uint32_t{packet->data_off} + packet->data_len;
    const std::uint32_t behind = packet->buf_len - end;
    if (shift > behind) {
        const auto moved = static_cast<std::uint16_t>(shift - behind);
        if (packet->nb_segs == 1 || packet->nb_segs == UINT16_MAX || moved > packet->data_len) {
            return false;
        }
        rte_mbuf* segment = rte_pktmbuf_alloc(pool);
        if (segment == nullptr) {
            return false;
        }
        if (moved > rte_pktmbuf_tailroom(segment)) {
            rte_pktmbuf_free(segment);
            return false;
        }
        packet->data_len = static_cast<std::uint16_t>(packet->data_len - moved);
        const auto* last = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, packet->data_len);
        std::memcpy(rte_pktmbuf_mtod(segment, void*), last, moved);
        segment->data_len = moved;
        segment->next = packet->next;
        packet->next = segment;
        ++packet->nb_segs;
    }
    auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
    std::memmove(data + shift, data, packet->data_len);
    packet->data_off = static_cast<std::uint16_t>(packet->data_off + shift);
    return true;
}

}  // namespace culvert::encap
