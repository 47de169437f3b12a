// SPDX-License-Identifier: BSD-3-Clause
// What a frame out of a vxlan must be, whichever family is underneath.
#pragma once

#include "lib/encap/inner_frame.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>

namespace culvert::pipeline {

// The packet begins at the inner frame; `tos`: the outer header's, for its congestion mark. False:
// dropped.
[[nodiscard]] [[gnu::always_inline]] inline bool
check_vxlan_inner(Worker& worker, rte_mbuf* packet, const Link& link, std::uint8_t tos) noexcept {
    auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
    Drop reason{};
    if (!encap::inner_ip_is_whole(frame, packet->pkt_len)) [[unlikely]] {
        reason = Drop::vxlan_inner_ip_truncated;
    } else if (!encap::decapsulate_ecn(frame, packet->data_len, tos)) [[unlikely]] {
        reason = Drop::vxlan_ecn;
    } else if (!link.up) [[unlikely]] {
        reason = Drop::link_down_rx;
    } else if (++note(packet).depth > kMaxDepth) [[unlikely]] {
        reason = Drop::depth_exceeded;
    } else {
        return true;
    }
    worker.drop(packet, link.id, reason);
    return false;
}

}  // namespace culvert::pipeline
