// SPDX-License-Identifier: BSD-3-Clause
// Keeps what packets cause us to say from filling the log: at most kBurst lines in kPeriodMs, as
// many as the kernel says.
#pragma once

#include <cstdint>

namespace culvert::control {

class LogLimit {
public:
    // Whether another line may be written now.
    bool permits(std::uint64_t now_ms) noexcept {
        if (!began_ || now_ms - begin_ms_ >= kPeriodMs) {
            began_ = true;
            begin_ms_ = now_ms;
            said_ = 0;
        }
        return said_++ < kBurst;
    }

private:
    static constexpr std::uint64_t kPeriodMs = 5000;
    static constexpr std::uint32_t kBurst = 10;
    std::uint64_t begin_ms_ = 0;
    std::uint32_t said_ = 0;
    bool began_ = false;
};

}  // namespace culvert::control
