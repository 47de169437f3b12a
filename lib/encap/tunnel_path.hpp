// SPDX-License-Identifier: BSD-3-Clause
// What a route says about a tunnel's remote, whatever the tunnel.
#pragma once

#include "lib/encap/tunnel.hpp"
#include "lib/route/routing.hpp"

#include <optional>

namespace culvert::encap {

// The state of the template, in the kernel's order: no remote, no route, loop, local, unresolved.
// `path`: the answer for `remote`. `neighbour`: the next hop's complete link header, if its MAC is
// known. A source of the other family, and link headers other than 14 bytes, have no route.
[[nodiscard]] TunnelState judge_path(
    LinkId device,
    const net::IpAddress& local,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
);

// What kind of address `remote` is.
[[nodiscard]] inline Cast cast_of(const net::IpAddress& remote, const route::Path& path) noexcept {
    if (remote.is_multicast()) {
        return Cast::multicast;
    }
    return path.kind == route::AdjacencyKind::broadcast ? Cast::broadcast : Cast::unicast;
}

}  // namespace culvert::encap
