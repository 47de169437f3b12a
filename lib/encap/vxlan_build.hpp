// SPDX-License-Identifier: BSD-3-Clause
// Control's half of the vxlan push: writes down what is in front of every packet to one remote.
#pragma once

#include "lib/encap/vxlan.hpp"
#include "lib/route/routing.hpp"

#include <optional>

namespace culvert::encap {

// One remote of an FDB entry with every default resolved.
struct VxlanRemote {
    net::IpAddress address;
    std::uint32_t vni = 0;
    std::uint16_t port = 0;  // UDP destination port
    LinkId via = kNoLink;    // output interface; has been applied in `path`
    friend bool operator==(const VxlanRemote&, const VxlanRemote&) = default;
};

// The template of `remote` for `device`, to be built again when `config`, the route or the
// neighbour changes. `path`: the answer for the remote's address, with the device's local address
// as source. `neighbour`: the next hop's complete link header, if its MAC is known. Never fails: a
// template that cannot send says why in `state`, in the kernel's order: no remote, no route, loop,
// local, unresolved. Link headers other than 14 bytes have no route.
[[nodiscard]] VxlanTemplate build_vxlan_template(
    const VxlanConfig& config,
    LinkId device,
    const VxlanRemote& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
);

}  // namespace culvert::encap
