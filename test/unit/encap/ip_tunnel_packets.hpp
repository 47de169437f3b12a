// SPDX-License-Identifier: BSD-3-Clause
// What the tests of ipip, gre and gretap share.
#pragma once

#include "lib/encap/ip_tunnel_build.hpp"
#include "lib/encap/ip_tunnel_pop.hpp"
#include "lib/encap/ip_tunnel_push.hpp"
#include "test/unit/encap/packets.hpp"

namespace culvert::encap::test {

inline const net::IpAddress kRemoteAddress = net::IpAddress::from_v4(0xc0000202);

inline IpTunnelTemplate
make_outer(const IpTunnelConfig& config, const route::Path& path = direct_path()) {
    return build_ip_tunnel_template(config, 7, kRemoteAddress, path, direct_neighbour());
}

inline IpTunnelPushed push_packet(
    const Packet& packet,
    const IpTunnelTemplate& outer,
    std::uint16_t identification = 0x1234,
    std::uint32_t sequence = 0
) {
    const IpTunnelInner inner = inspect_inner(packet.get());
    return ip_tunnel_push(packet.get(), outer, inner, identification, sequence);
}

// The bytes from `offset` on.
inline Bytes behind(const Bytes& bytes, std::size_t offset) {
    return {bytes.begin() + static_cast<std::ptrdiff_t>(offset), bytes.end()};
}

// The bytes up to `end`.
inline Bytes before(const Bytes& bytes, std::size_t end) {
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(end)};
}

inline IpTunnelConfig config_of_kind(IpTunnelKind kind) {
    IpTunnelConfig config;
    config.kind = kind;
    config.remote = kRemoteAddress;
    return config;
}

}  // namespace culvert::encap::test
