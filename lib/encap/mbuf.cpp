// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/mbuf.hpp"

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

}  // namespace culvert::encap
