// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/icmp_limit.hpp"

#include <rte_random.h>

#include <algorithm>

namespace culvert::control {

namespace {

constexpr std::uint64_t kPerSecond = 1000;
constexpr std::uint64_t kBurst = 50;
constexpr std::uint64_t kRefillMs = 20;  // the kernel's HZ / 50
constexpr std::uint64_t kHostBurst = 6;  // XRLIM_BURST_FACTOR
constexpr std::uint64_t kRouteErrorBurst = 5;
constexpr std::uint64_t kRestMs = kHostBurst * IcmpLimit::kTimeoutMs;
constexpr std::size_t kMaxHosts = 65536;

}  // namespace

bool IcmpLimit::permits(std::uint64_t now_ms) {
    const std::uint64_t passed = started_ ? std::min(now_ms - stamp_ms_, kPerSecond) : kPerSecond;
    if (passed >= kRefillMs) {
        started_ = true;
        stamp_ms_ = now_ms;
        credit_ = std::min(credit_ + passed * kPerSecond / 1000, kBurst);
    }
    if (credit_ == 0) {
        return false;
    }
    constexpr std::uint64_t kCostBound = 3;
    credit_ -= std::min(credit_, rte_rand_max(kCostBound));
    return true;
}

bool IcmpLimit::permits_to(
    const net::IpAddress& host, std::uint64_t now_ms, std::uint64_t timeout_ms
) {
    return take(host, now_ms, timeout_ms, kHostBurst * timeout_ms);
}

bool IcmpLimit::permits_route_error(const net::IpAddress& host, std::uint64_t now_ms) {
    return take(host, now_ms, kTimeoutMs, kRouteErrorBurst * kTimeoutMs);
}

bool IcmpLimit::take(
    const net::IpAddress& host, std::uint64_t now_ms, std::uint64_t cost, std::uint64_t most
) {
    auto found = hosts_.find(host);
    if (found == hosts_.end()) {
        forget_rested(now_ms);
        if (hosts_.size() >= kMaxHosts) {
            return true;  // as in the kernel, when it has no memory for one more
        }
        found = hosts_.try_emplace(host).first;
    }
    Tokens& tokens = found->second;
    const std::uint64_t passed = tokens.is_new ? kRestMs : now_ms - tokens.last_ms;
    tokens.is_new = false;
    tokens.saved_ms = std::min(tokens.saved_ms + passed, most);
    tokens.last_ms = now_ms;
    if (tokens.saved_ms < cost) {
        return false;
    }
    tokens.saved_ms -= cost;
    return true;
}

// Who has rested long enough is as one who was never heard of.
void IcmpLimit::forget_rested(std::uint64_t now_ms) {
    if (now_ms - forgot_ms_ < kRestMs) {
        return;
    }
    forgot_ms_ = now_ms;
    std::erase_if(hosts_, [now_ms](const auto& entry) {
        return now_ms - entry.second.last_ms >= kRestMs;
    });
}

}  // namespace culvert::control
