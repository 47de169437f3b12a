// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/tunnel_path.hpp"

#include "lib/net/ether.hpp"

namespace culvert::encap {

TunnelState judge_path(
    LinkId device,
    const net::IpAddress& local,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
) {
    if (remote.is_unspecified()) {
        return TunnelState::no_remote;
    }
    if (!local.is_unspecified() && local.family() != remote.family()) {
        return TunnelState::no_route;
    }
    switch (path.kind) {
    case route::AdjacencyKind::local:
        return TunnelState::local;
    case route::AdjacencyKind::glean:
    case route::AdjacencyKind::incomplete:
    case route::AdjacencyKind::rewrite:
    case route::AdjacencyKind::broadcast:
        break;
    case route::AdjacencyKind::no_route:
    case route::AdjacencyKind::unreachable:
    case route::AdjacencyKind::prohibit:
    case route::AdjacencyKind::blackhole:
    case route::AdjacencyKind::multipath:
    case route::AdjacencyKind::by_tos:
        return TunnelState::no_route;
    }
    // Nothing to send from yet: addresses that are being looked at for duplicates.
    if (!remote.is_v4() && local.is_unspecified() && path.source.is_unspecified()) {
        return TunnelState::no_route;
    }
    if (path.link == device) {
        return TunnelState::loop;
    }
    if (!neighbour.has_value()) {
        return TunnelState::unresolved;
    }
    return neighbour->header_len == sizeof(net::EtherHeader) ? TunnelState::ready
                                                             : TunnelState::no_route;
}

}  // namespace culvert::encap
