// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/path_mtus.hpp"

#include "lib/net/ipv6.hpp"

#include <algorithm>

namespace culvert::route {

// __ip_rt_update_pmtu; rt6_do_update_pmtu, for which nothing is smaller than every link's MTU.
bool PathMtus::learn(
    const net::IpAddress& destination,
    std::uint32_t mtu,
    std::uint32_t current,
    std::uint64_t now_ms
) {
    const bool is_v4 = destination.is_v4();
    if (!is_v4) {
        mtu = std::max(mtu, std::uint32_t{net::kIpv6MinMtu});
    }
    if (current < mtu) {
        return false;
    }
    PathMtu next{mtu, false, now_ms + kLifetimeMs};
    if (is_v4 && mtu < kLeast) {
        next.mtu = std::min(current, kLeast);
        next.locked = true;
    }
    auto known = entries_.find(destination);
    if (known == entries_.end() && entries_.size() >= kMost) {
        // Whoever is to expire first makes room.
        entries_.erase(std::min_element(
            entries_.begin(),
            entries_.end(),
            [](const auto& a, const auto& b) { return a.second.expires_ms < b.second.expires_ms; }
        ));
    }
    const bool is_same = known != entries_.end() && known->second.mtu == next.mtu &&
                         known->second.locked == next.locked;
    entries_.insert_or_assign(destination, next);
    next_ms_ = std::min(next_ms_, next.expires_ms);
    return !is_same;
}

const PathMtu* PathMtus::find(const net::IpAddress& destination) const {
    const auto found = entries_.find(destination);
    return found == entries_.end() ? nullptr : &found->second;
}

bool PathMtus::tick(std::uint64_t now_ms) {
    if (now_ms < next_ms_) {
        return false;
    }
    const std::size_t forgotten = std::erase_if(entries_, [now_ms](const auto& entry) {
        return entry.second.expires_ms <= now_ms;
    });
    next_ms_ = UINT64_MAX;
    for (const auto& [destination, entry] : entries_) {
        next_ms_ = std::min(next_ms_, entry.expires_ms);
    }
    return forgotten != 0;
}

}  // namespace culvert::route
