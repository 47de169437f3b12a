// SPDX-License-Identifier: BSD-3-Clause
// When to walk over items each of which has a time of its own: when the first is due, but never
// sooner than 10 ms after the last walk, since there may be 10,000 that are due one after another.
#pragma once

#include <algorithm>
#include <cstdint>

namespace culvert::control {

class WalkTimer {
public:
    // An item is due then (ms); UINT64_MAX = never.
    void want(std::uint64_t due_ms) noexcept { due_ms_ = std::min(due_ms_, due_ms); }

    // True: the walk is to be done now, and says of each item that stays when it is due.
    [[nodiscard]] bool begins(std::uint64_t now_ms) noexcept {
        if (now_ms < next_ms()) {
            return false;
        }
        earliest_ms_ = now_ms + kApartMs;
        due_ms_ = UINT64_MAX;
        return true;
    }

    // Of the next walk; UINT64_MAX = none.
    [[nodiscard]] std::uint64_t next_ms() const noexcept { return std::max(due_ms_, earliest_ms_); }

private:
    static constexpr std::uint64_t kApartMs = 10;

    std::uint64_t due_ms_ = UINT64_MAX;
    std::uint64_t earliest_ms_ = 0;
};

}  // namespace culvert::control
