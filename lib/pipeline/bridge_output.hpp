// SPDX-License-Identifier: BSD-3-Clause
// How frames leave a bridge: to one member, to all of them, or up to the bridge's own address.
#pragma once

#include "lib/net/ether.hpp"
#include "lib/pipeline/worker.hpp"

#include <algorithm>
#include <cstdint>

namespace culvert::pipeline {

// What a VLAN tag may add to a frame beyond the MTU and the Ethernet header (is_skb_forwardable).
inline constexpr std::uint32_t kFrameOverhead = sizeof(net::EtherHeader) + sizeof(net::VlanHeader);

// A frame for no one member: to every member that may have it, and up to the bridge if that has an
// address and the frame is for a group. Precondition: make_room() for all members and one more.
void flood(
    Worker& worker, rte_mbuf* packet, const Link& in, const Link& bridge, fdb::Key destination
) noexcept;

// True when `needed` packets find room, whichever way they go. Nothing holds more than a vector of
// them: what is to be flooded to more members starts with empty ones.
[[nodiscard]] bool make_room(Worker& worker, std::uint32_t needed) noexcept;

// Members are never bridges.
[[nodiscard]] inline std::uint32_t room_ahead(Worker& worker) noexcept {
    return std::min(
        {worker.vector(Stage::port_tx).room(),
         worker.vector(Stage::vxlan_push).room(),
         std::min(
             worker.vector(Stage::ip_tunnel_push).room(),
             worker.vector(Stage::ip_tunnel_push6).room()
         ),
         worker.vector(Stage::ethernet).room()}
    );
}

// should_deliver(): may what came in by `in` leave by `to`?
[[nodiscard]] inline bool is_allowed(const Link& in, const Link& to) noexcept {
    return to.up && (&in != &to || to.bridge_port.hairpin) &&
           !(in.bridge_port.isolated && to.bridge_port.isolated);
}

// To the bridge's own address.
inline void pass_up(Worker& worker, rte_mbuf* packet, const Link& bridge) noexcept {
    note(packet).link_in = bridge.id;
    worker.enqueue(Stage::ethernet, packet);
}

}  // namespace culvert::pipeline
