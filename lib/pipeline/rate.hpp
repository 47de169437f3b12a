// SPDX-License-Identifier: BSD-3-Clause
// How often a worker asks control for something: a token bucket that is one number, the time up to
// which its tokens are spent.
#pragma once

#include <algorithm>
#include <cstdint>

namespace culvert::pipeline {

struct Rate {
    unsigned per_second_shift;
    std::uint64_t at_once;
};

// Whether it is permitted once more at `now`; then that is noted.
[[nodiscard]] inline bool
take_token(Rate rate, std::uint64_t tsc_hz, std::uint64_t now, std::uint64_t& paid_until) noexcept {
    const std::uint64_t cost = tsc_hz >> rate.per_second_shift;
    const std::uint64_t saved = cost * rate.at_once;
    const std::uint64_t since = now > saved ? now - saved : 0;
    const std::uint64_t paid = std::max(paid_until, since) + cost;
    if (paid > now) {
        return false;
    }
    paid_until = paid;
    return true;
}

}  // namespace culvert::pipeline
