// SPDX-License-Identifier: BSD-3-Clause
// The UDP ports that take tunnels' packets (`fou add`): what may be opened beside what. Control
// only.
#pragma once

#include "lib/encap/fou.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <vector>

namespace culvert::control {

class Core;

class Fou {
public:
    explicit Fou(Core& core)
        : core_(core) {}

    // Error EADDRINUSE: another port that takes some of the same packets, or a vxlan's.
    [[nodiscard]] Result<void> add(const encap::FouPort& port);
    // Error EINVAL: there is none that says just this.
    [[nodiscard]] Result<void> del(const encap::FouPort& port);
    // Ports that were bound to it take nothing any more.
    void link_gone(LinkId link);

    // Whether a socket on all addresses of the family would be in the way of one of these.
    [[nodiscard]] bool is_open(std::uint16_t port, bool is_ipv6) const;

    // Newest first, as in Linux.
    [[nodiscard]] const std::vector<encap::FouPort>& ports() const noexcept { return ports_; }

private:
    void publish();

    Core& core_;
    std::vector<encap::FouPort> ports_;
};

}  // namespace culvert::control
