// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/tunnel_faults.hpp"

#include "lib/control/core.hpp"
#include "lib/control/tunnels.hpp"

namespace culvert::control {

void TunnelFaults::add(LinkId device, std::uint64_t now_ms) {
    const LinkRecord* link = core_.links().find(device);
    if (link == nullptr || !pipeline::is_ip_tunnel(link->kind)) {
        return;
    }
    encap::IpTunnelFaults& faults = core_.links().open_faults(device);
    const auto known = reported_ms_.find(device);
    if (known != reported_ms_.end() && now_ms < known->second + kLifetimeMs) {
        faults.left.fetch_add(1, std::memory_order_relaxed);
    } else {
        faults.left.store(1, std::memory_order_relaxed);
    }
    reported_ms_[device] = now_ms;
    core_.tunnels().link_changed(device);
}

void TunnelFaults::tick(std::uint64_t now_ms) {
    std::erase_if(reported_ms_, [&](const auto& entry) {
        const LinkRecord* link = core_.links().find(entry.first);
        const bool is_told = link == nullptr || link->faults == nullptr ||
                             link->faults->left.load(std::memory_order_relaxed) == 0;
        const bool is_over = is_told || now_ms >= entry.second + kLifetimeMs;
        if (is_over) {
            core_.tunnels().link_changed(entry.first);
        }
        return is_over;
    });
}

}  // namespace culvert::control
