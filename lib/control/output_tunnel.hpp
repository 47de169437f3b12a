// SPDX-License-Identifier: BSD-3-Clause
// ipip, gre and gretap links as `ip -d link show` and `ip tunnel show` print them.
#pragma once

#include "lib/control/command_context.hpp"

#include <string>

namespace culvert::control {

// "ipip any remote 192.0.2.2 ..." (UI-SHOW-07, -08). Precondition of all here: an IP tunnel's link.
[[nodiscard]] std::string
ip_tunnel_info_text(const Context& context, const encap::IpTunnelConfig& tunnel);
[[nodiscard]] Json ip_tunnel_info_json(const Context& context, const encap::IpTunnelConfig& tunnel);

// `tunnel show` (UI-TUN-02).
[[nodiscard]] std::string tunnel_text(const Context& context, const LinkRecord& link);
[[nodiscard]] Json tunnel_json(const Context& context, const LinkRecord& link);

}  // namespace culvert::control
