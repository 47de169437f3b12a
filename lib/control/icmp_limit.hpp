// SPDX-License-Identifier: BSD-3-Clause
// How many ICMP errors may leave (ICMP-05): so many in all, and so many to one host. The numbers
// are the kernel's defaults: icmp_msgs_per_sec 1000, icmp_msgs_burst 50, icmp_ratelimit 1000 ms.
// Control only.
#pragma once

#include "lib/net/address.hpp"

#include <cstddef>
#include <cstdint>
#include <map>

namespace culvert::control {

class IcmpLimit {
public:
    static constexpr std::uint64_t kTimeoutMs = 1000;

    // icmp_global_allow. A message may cost nothing or two, so that nobody outside can count what
    // others were sent by what he is not (CVE-2020-25705).
    [[nodiscard]] bool permits(std::uint64_t now_ms);
    // inet_peer_xrlim_allow: one a timeout, 6 after a rest.
    [[nodiscard]] bool
    permits_to(const net::IpAddress& host, std::uint64_t now_ms, std::uint64_t timeout_ms);
    // ip_error (RT-13): routes that refuse are told of once a second, after a rest 5 times; from
    // the host's same tokens, which the message itself then takes, too.
    [[nodiscard]] bool permits_route_error(const net::IpAddress& host, std::uint64_t now_ms);

    [[nodiscard]] std::size_t hosts() const noexcept { return hosts_.size(); }

private:
    struct Tokens {
        std::uint64_t saved_ms = 0;
        std::uint64_t last_ms = 0;
        bool is_new = true;  // as if it had rested long
    };

    [[nodiscard]] bool
    take(const net::IpAddress& host, std::uint64_t now_ms, std::uint64_t cost, std::uint64_t most);
    void forget_rested(std::uint64_t now_ms);

    std::map<net::IpAddress, Tokens> hosts_;
    std::uint64_t forgot_ms_ = 0;
    std::uint64_t stamp_ms_ = 0;
    std::uint64_t credit_ = 0;
    bool started_ = false;
};

}  // namespace culvert::control
