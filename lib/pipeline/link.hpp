// SPDX-License-Identifier: BSD-3-Clause
// A link as workers see it: immutable, replaced whole when anything about it changes.
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/rcu/published_array.hpp"
#include "lib/route/table_view.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace culvert::pipeline {

enum class LinkKind : std::uint8_t {
    port,
    bridge,
    vxlan,
    dummy,
    vlan,
    vrf,
    ipip,  // from here on encap::IpTunnelKind
    gre,
    gretap,
    sit,
    ip6tnl,  // from here on over IPv6
    ip6gre,
    ip6gretap,
};

inline constexpr std::size_t kLinkKinds = static_cast<std::size_t>(LinkKind::ip6gretap) + 1;

// One engine moves packets for all of these (encap/ip_tunnel.hpp).
[[nodiscard]] constexpr bool is_ip_tunnel(LinkKind kind) noexcept {
    return kind >= LinkKind::ipip;
}

// Of these: whether IPv6 is underneath.
[[nodiscard]] constexpr bool is_ip_tunnel6(LinkKind kind) noexcept {
    return kind >= LinkKind::ip6tnl;
}

// The same, whatever is inside.
[[nodiscard]] constexpr bool is_tunnel(LinkKind kind) noexcept {
    return kind == LinkKind::vxlan || is_ip_tunnel(kind);
}

[[nodiscard]] constexpr LinkKind link_kind(encap::IpTunnelKind kind) noexcept {
    constexpr auto kFirst = static_cast<std::uint8_t>(LinkKind::ipip);
    return static_cast<LinkKind>(kFirst + static_cast<std::uint8_t>(kind));
}

// Precondition: is_ip_tunnel(kind).
[[nodiscard]] constexpr encap::IpTunnelKind ip_tunnel_kind(LinkKind kind) noexcept {
    constexpr auto kFirst = static_cast<std::uint8_t>(LinkKind::ipip);
    return static_cast<encap::IpTunnelKind>(static_cast<std::uint8_t>(kind) - kFirst);
}

static_assert(link_kind(encap::IpTunnelKind::sit) == LinkKind::sit);
static_assert(link_kind(encap::IpTunnelKind::ip6tnl) == LinkKind::ip6tnl);

// Frames have addresses there; ipip, gre and the like have none (encap/ip_tunnel.hpp), and a vrf
// has no frames.
[[nodiscard]] constexpr bool has_link_layer(LinkKind kind) noexcept {
    return is_ip_tunnel(kind) ? encap::traits(ip_tunnel_kind(kind)).carries_frames
                              : kind != LinkKind::vrf;
}

// brport flags of a member link (`bridge link set`).
struct BridgePort {
    bool learning = true;
    bool flood = true;  // unknown unicast
    bool mcast_flood = true;
    bool bcast_flood = true;
    bool hairpin = false;
    bool isolated = false;
};

// Whether a packet's source must be reached by the link it came in by (RFC 3704), or by any.
enum class ReversePath : std::uint8_t { off, strict, loose };

// A link of kind vlan: frames on `lower` with this tag.
struct VlanConfig {
    LinkId lower = kNoLink;
    std::uint16_t id = 0;
    std::uint16_t protocol = net::ether_type::kVlan;
    friend bool operator==(const VlanConfig&, const VlanConfig&) = default;
};

// What workers ask for of most packets lies in the first line.
struct alignas(64) Link {
    LinkId id = kNoLink;
    LinkKind kind = LinkKind::dummy;
    bool up = false;
    bool has_address = false;   // an IPv4 address is on it: broadcasts are of interest
    bool has_address6 = false;  // an IPv6 address is: its groups are
    net::MacAddress mac;
    std::uint32_t mtu = 1500;  // L3 bytes
    LinkId master = kNoLink;   // the bridge it is a member of
    BridgePort bridge_port;
    bool has_host = false;      // what nobody here takes goes to the kernel's tap
    bool has_vlans = false;     // vlan links stand on it: tags are looked at before its bridge is
    std::uint16_t port_id = 0;  // kind port: DPDK's port number
    LinkId vrf = kNoLink;       // the VRF it is in, or is
    ReversePath reverse_path = ReversePath::off;
    const route::TableView* routed_by = nullptr;          // in a VRF: its table
    std::vector<LinkId> members;                          // kind bridge: members that are up, by id
    encap::VxlanConfig vxlan;                             // kind vxlan
    encap::IpTunnelConfig ip_tunnel;                      // ipip and the like
    std::shared_ptr<encap::IpTunnelSequences> sequences;  // those with GRE
    VlanConfig vlan;                                      // kind vlan
    std::shared_ptr<encap::IpTunnelFaults> faults;        // ipip and the like: once there was one
};

// Its IP packets go straight to ip4 and ip6; else the vrf stage takes them.
[[nodiscard]] inline bool is_routed_plainly(const Link& link) noexcept {
    return link.vrf == kNoLink && link.reverse_path == ReversePath::off;
}

using Links = rcu::PublishedArray<Link>;

}  // namespace culvert::pipeline
