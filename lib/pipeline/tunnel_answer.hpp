// SPDX-License-Identifier: BSD-3-Clause
// Frames out of a bridge that are too large for a vxlan: their sender hears of it in the receiver's
// name (VXLAN-PMTU-02), since nobody on the way is a router to it.
#pragma once

#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>

namespace culvert::pipeline {

// True: the frame has become the answer, and is on its way back. False: this one is not answered,
// and is as it was. `mtu`: the largest inner IP packet.
[[nodiscard]] bool answer_oversize(
    Worker& worker, rte_mbuf* packet, std::uint32_t mtu, const Link& device, TxTally& tx
) noexcept;

}  // namespace culvert::pipeline
