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

// Takes the frame's outermost tag off, and the frame to the link that the tag names on `lower`,
// where it is counted; a priority tag (VID 0) that no link takes leaves it on `lower`. nullptr =
// the frame is gone. Precondition: the frame has an Ethernet header whose type is a tag's.
[[nodiscard]] const Link* untag(Worker& worker, rte_mbuf* packet, const Link& lower) noexcept;

// The way of Worker::output() for a VLAN link: the frame leaves by the lower link, with its tag.
void output_tagged(Worker& worker, rte_mbuf* packet, const Link& vlan) noexcept;

}  // namespace culvert::pipeline
