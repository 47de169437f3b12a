// SPDX-License-Identifier: BSD-3-Clause
// Room for the link header of the way out in front of an IP packet that came under another.
#pragma once

#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// Makes the data start `link_header_len` bytes before the L3 header. False: no headroom.
[[nodiscard]] inline bool
place_link_header(rte_mbuf* packet, std::uint16_t link_header_len) noexcept {
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
    return rte_pktmbuf_prepend(packet, static_cast<std::uint16_t>(link_header_len - have)) !=
           nullptr;
}

}  // namespace culvert::pipeline
