// SPDX-License-Identifier: BSD-3-Clause
// VLAN links: a tag names one on receive, and is put in front on transmit. Out of the way of frames
// without a tag.
#pragma once

#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

// Is this the EtherType of a tag?
[[nodiscard]] constexpr bool is_tag(std::uint16_t ether_type) noexcept {
    return ether_type == net::ether_type::kVlan || ether_type == net::ether_type::kQinq;
}

// The vlan link that the frame's outermost tag names on `lower`; kNoLink = none. Precondition: the
// frame has an Ethernet header whose type is a tag's.
[[nodiscard]] LinkId vlan_of(const Worker& worker, const rte_mbuf* packet, LinkId lower) noexcept;

// Takes the frame's outermost tag off, and the frame to the link that the tag names on `lower`,
// where it is counted; a priority tag (VID 0) that no link takes leaves it on `lower`. nullptr =
// the frame is gone. Precondition: as above.
[[nodiscard]] const Link* untag(Worker& worker, rte_mbuf* packet, const Link& lower) noexcept;

}  // namespace culvert::pipeline
