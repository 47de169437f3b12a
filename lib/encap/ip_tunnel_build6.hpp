// SPDX-License-Identifier: BSD-3-Clause
// From a device over IPv6 and the route to its remote to the template that workers copy.
#pragma once

#include "lib/encap/ip_tunnel6.hpp"
#include "lib/route/routing.hpp"

#include <optional>

namespace culvert::encap {

// `path`: the answer for `remote`. `neighbour`: the next hop's complete link header, if its MAC is
// known. As in Linux a device without a local address has no way to send (ip6_tnl_xmit_ctl), but
// an external one has.
[[nodiscard]] IpTunnelTemplate6 build_ip_tunnel_template6(
    const IpTunnelConfig& config,
    LinkId device,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
);

}  // namespace culvert::encap
