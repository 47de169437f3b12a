// SPDX-License-Identifier: BSD-3-Clause
// The words of `type ipip|gre|gretap` and of `tunnel` as options, with the checks that ip(8) makes
// before it asks the kernel.
#pragma once

#include "lib/control/command_context.hpp"

namespace culvert::control {

// In the words' order: `key 7 noikey` leaves okey. Unset: not said.
[[nodiscard]] Result<IpTunnelOptions>
ip_tunnel_options(Context& context, const Arguments& arguments);

// `now` is the tunnel as it is, or one with the defaults that is to be made; `options` change it.
// Fills in the keys that a multicast remote is given (UI-TUN-03).
[[nodiscard]] Result<void> check_ip_tunnel_options(
    Context& context, const encap::IpTunnelConfig& now, IpTunnelOptions& options
);

// ip(8) lets a TTL go without DF for gre alone (GRE-CRE-07), and for nothing in `tunnel`.
[[nodiscard]] Result<void> check_ttl_with_pmtudisc(
    Context& context, const encap::IpTunnelConfig& now, const IpTunnelOptions& options
);

}  // namespace culvert::control
