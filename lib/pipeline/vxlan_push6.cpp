// SPDX-License-Identifier: BSD-3-Clause
// Frames to one remote over IPv6 that leave by a port.
#include "lib/encap/vxlan_push6.hpp"

#include "lib/pipeline/vxlan_push.hpp"

#include <algorithm>

namespace culvert::pipeline {

// Precondition: the template inherits nothing. Returns where the vector ends then.
[[gnu::noinline]] rte_mbuf** VxlanPush::push_flows6(
    rte_mbuf* const* packets, std::uint32_t count, const Run& run, rte_mbuf** tail
) noexcept {
    constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
    const encap::VxlanTemplate& outer = *run.direct;
    std::uint64_t bytes = 0;
    std::uint32_t pushed = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        const std::uint32_t frame_len = packet->pkt_len;
        const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        std::uint16_t l3_offset = kEther;
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): set where it is read
        encap::InnerFlow flow;
        if (!encap::inspect_plain_frame(frame, packet->data_len, flow)) [[unlikely]] {
            const encap::InnerFrame inner = inspect(packet);
            flow = {inner.flow_hash, inner.parsed.tos};
            l3_offset = std::max(inner.parsed.l3_offset, kEther);
        }
        const auto result = encap::vxlan_push6(packet, outer, flow, nullptr);
        if (result != encap::VxlanPushed::done) [[unlikely]] {
            if (push(packet, outer, inspect(packet), *run.device)) {
                note(packet).link_out = outer.link_out;
                *tail++ = packet;
            }
            continue;
        }
        ++pushed;
        bytes += frame_len - l3_offset;  // VXLAN-TX-35
        note(packet).link_out = outer.link_out;
        *tail++ = packet;
    }
    tx_.add(run.device->id, bytes, pushed);
    return tail;
}

}  // namespace culvert::pipeline
