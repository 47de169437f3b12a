// SPDX-License-Identifier: BSD-3-Clause
// The burst functions of bench ports, as DPDK calls them.
#pragma once

#include "test/bench/source/port.hpp"

#include <cstdint>

namespace culvert::bench {

std::uint16_t receive_nothing(void* queue, rte_mbuf** packets, std::uint16_t n);
std::uint16_t receive(void* queue, rte_mbuf** packets, std::uint16_t n);
std::uint16_t transmit(void* queue, rte_mbuf** packets, std::uint16_t n);
// The same under callgrind, which counts what the program does outside of them.
std::uint16_t receive_counted(void* queue, rte_mbuf** packets, std::uint16_t n);
std::uint16_t transmit_counted(void* queue, rte_mbuf** packets, std::uint16_t n);

}  // namespace culvert::bench
