// SPDX-License-Identifier: BSD-3-Clause
// Control's half of the ip_tunnel push: writes down what is in front of every packet of a device to
// one remote.
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/route/routing.hpp"

#include <optional>

namespace culvert::encap {

// The template of `remote` for `device`, to be built again when `config`, the route or the
// neighbour changes. `path`: the answer for the remote's address, with the device's local address
// as source. `neighbour`: the next hop's complete link header, if its MAC is known. Never fails: a
// template that cannot send says why in `state`.
[[nodiscard]] IpTunnelTemplate build_ip_tunnel_template(
    const IpTunnelConfig& config,
    LinkId device,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
);

// The GRE header that a device sends, gre_len_bytes(config) long, but for checksum and sequence
// number (GRE-HDR-03). Of gre and ip6gre the protocol is what most packets are.
void write_gre(const IpTunnelConfig& config, std::uint8_t* bytes);
// FOU-02, -03: UDP and GUE headers, but for lengths, checksum and the flow's port.
void write_udp(const IpTunnelConfig& config, std::uint8_t* bytes);

}  // namespace culvert::encap
