// SPDX-License-Identifier: BSD-3-Clause
// Room for the link header of the way out in front of an IP packet that came under another.
#pragma once

#include "lib/encap/mbuf.hpp"
#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// Makes the data start `link_header_len` bytes before the L3 header. False: there is no room, and
// none can be made (IPO-F2-01).
[[nodiscard]] inline bool
place_link_header(rte_mbuf* packet, std::uint16_t link_header_len, rte_mempool* pool) noexcept {
    Note& packet_note = note(packet);
    const std::uint16_t have = packet_note.l3_offset;
    if (have == link_header_len) [[likely]] {
        return true;
    }
    packet_note.l3_offset = static_cast<std::uint8_t>(link_header_len);
    if (have > link_header_len) {
        return rte_pktmbuf_adj(packet, static_cast<std::uint16_t>(have - link_header_len)) !=
               nullptr;
    }
    const auto more = static_cast<std::uint16_t>(link_header_len - have);
    return rte_pktmbuf_prepend(packet, more) != nullptr ||
           (encap::make_headroom(packet, more, pool) && rte_pktmbuf_prepend(packet, more) != nullptr
           );
}

}  // namespace culvert::pipeline
