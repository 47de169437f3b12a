// SPDX-License-Identifier: BSD-3-Clause
// What routers on the way have said that they take (RT-11, IPIP-ERR-07; the kernel's next hop
// exceptions): a destination's MTU for ten minutes. It counts for what is sent from here, not for
// what is forwarded (FRAG-01). Control only.
#pragma once

#include "lib/net/address.hpp"

#include <cstddef>
#include <cstdint>
#include <map>

namespace culvert::route {

struct PathMtu {
    std::uint32_t mtu = 0;
    bool locked = false;  // smaller than what is believed: packets go without DF
    std::uint64_t expires_ms = 0;
};

class PathMtus {
public:
    static constexpr std::uint32_t kLeast = 552;          // ip_rt_min_pmtu
    static constexpr std::uint64_t kLifetimeMs = 600000;  // ip_rt_mtu_expires
    static constexpr std::size_t kMost = 4096;

    // A router takes no more than `mtu` on the way to `destination`, where `current` was thought
    // right. Returns whether anything changed.
    bool learn(
        const net::IpAddress& destination,
        std::uint32_t mtu,
        std::uint32_t current,
        std::uint64_t now_ms
    );
    // nullptr = nothing is known.
    [[nodiscard]] const PathMtu* find(const net::IpAddress& destination) const;
    // Forgets what is too old. Returns whether anything was.
    bool tick(std::uint64_t now_ms);

    // When tick() has something to do; UINT64_MAX = never.
    [[nodiscard]] std::uint64_t next_ms() const noexcept { return next_ms_; }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    std::map<net::IpAddress, PathMtu> entries_;
    std::uint64_t next_ms_ = UINT64_MAX;
};

}  // namespace culvert::route
