// SPDX-License-Identifier: BSD-3-Clause
// GRE's sequence numbers on receive, whatever is underneath.
#pragma once

#include "lib/encap/ip_tunnel.hpp"

#include <cstdint>

namespace culvert::pipeline {

// TUN-RX-03. As in the kernel, two workers that receive for one device at once may both take a
// number that only one of them should.
[[nodiscard]] inline bool
is_in_sequence(encap::IpTunnelSequences& sequences, std::uint32_t number) noexcept {
    const std::uint32_t expected = sequences.expected_in.load(std::memory_order_relaxed);
    if (expected != 0 && static_cast<std::int32_t>(number - expected) < 0) {
        return false;
    }
    sequences.expected_in.store(number + 1, std::memory_order_relaxed);
    return true;
}

}  // namespace culvert::pipeline
