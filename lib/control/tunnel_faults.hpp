// SPDX-License-Identifier: BSD-3-Clause
// Tunnels about whose outer packets routers report errors (err_count and err_time of the kernel's
// ip_tunnel: IPIP-ERR-06, GRE-ERR-04): for 30 seconds, and for as many packets as there were
// reports, workers tell the inner senders (TUN-TX-15). Control only.
#pragma once

#include "lib/net/link_id.hpp"

#include <cstdint>
#include <map>

namespace culvert::control {

class Core;

class TunnelFaults {
public:
    static constexpr std::uint64_t kLifetimeMs = 30000;  // IPTUNNEL_ERR_TIMEO

    explicit TunnelFaults(Core& core)
        : core_(core) {}

    // One more report about an ipip, gre or gretap link.
    void add(LinkId device, std::uint64_t now_ms);
    // Ends what is told of or too old.
    void tick(std::uint64_t now_ms);

    [[nodiscard]] bool has(LinkId device) const { return reported_ms_.contains(device); }

private:
    Core& core_;
    std::map<LinkId, std::uint64_t> reported_ms_;  // the last report
};

}  // namespace culvert::control
