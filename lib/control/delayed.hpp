// SPDX-License-Identifier: BSD-3-Clause
// Answers given for others: a random while later, so that who is asked itself is heard first
// (neigh's proxy_delay and proxy_qlen). Control only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <utility>

namespace culvert::control {

class Delayed {
public:
    static constexpr std::uint64_t kLongestMs = 800;
    static constexpr std::size_t kMost = 64;

    // False: too many wait.
    bool add(std::uint64_t now_ms, std::function<void()> answer) {
        if (waiting_.size() >= kMost) {
            return false;
        }
        std::uniform_int_distribution<std::uint64_t> delay(0, kLongestMs - 1);
        waiting_.emplace(now_ms + delay(random_), std::move(answer));
        return true;
    }

    // Returns when it wants to be called next (ms), UINT64_MAX = never.
    std::uint64_t tick(std::uint64_t now_ms) {
        while (!waiting_.empty() && waiting_.begin()->first <= now_ms) {
            const std::function<void()> answer = std::move(waiting_.begin()->second);
            waiting_.erase(waiting_.begin());
            answer();
        }
        return waiting_.empty() ? UINT64_MAX : waiting_.begin()->first;
    }

private:
    std::minstd_rand random_{std::random_device{}()};
    std::multimap<std::uint64_t, std::function<void()>> waiting_;
};

}  // namespace culvert::control
