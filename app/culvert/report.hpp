// SPDX-License-Identifier: BSD-3-Clause
// What the program prints of its own: rates while it runs (--stats-period), totals at its end.
#pragma once

#include "lib/control/core.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace culvert::app {

// Packets and bits a second of every port since the last call, and drops.
class RateReport {
public:
    std::string text(control::Core& core);

private:
    std::map<LinkId, control::LinkStats> before_;
    std::uint64_t before_ms_ = 0;
    std::uint64_t drops_before_ = 0;
};

std::string totals(control::Core& core);

}  // namespace culvert::app
