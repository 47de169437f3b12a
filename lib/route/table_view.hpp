// SPDX-License-Identifier: BSD-3-Clause
// What workers read of a VRF's routing table. The main table's parts are in pipeline::Tables.
#pragma once

#include "lib/route/fib4.hpp"
#include "lib/route/fib6_by_length.hpp"
#include "lib/route/own_addresses.hpp"

#include <cstdint>

namespace culvert::route {

using TableId = std::uint32_t;

inline constexpr TableId kDefaultTable = 253;
inline constexpr TableId kMainTable = 254;
inline constexpr TableId kLocalTable = 255;

struct TableView {
    const Fib4& fib4;
    const Fib6ByLength& fib6;
    const OwnAddresses& own_addresses;
    const OwnAddresses& own_addresses6;  // by fold()
};

}  // namespace culvert::route
