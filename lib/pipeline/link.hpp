// SPDX-License-Identifier: BSD-3-Clause
// A link as workers see it: immutable, replaced whole when anything about it changes.
#pragma once

#include "lib/encap/vxlan.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/rcu/published_array.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace culvert::pipeline {

enum class LinkKind : std::uint8_t { port, bridge, vxlan, dummy };

// brport flags of a member link (`bridge link set`).
struct BridgePort {
    bool learning = true;
    bool flood = true;  // unknown unicast
    bool mcast_flood = true;
    bool bcast_flood = true;
    bool hairpin = false;
    bool isolated = false;
};

struct Link {
    LinkId id = kNoLink;
    LinkKind kind = LinkKind::dummy;
    bool up = false;
    bool has_address = false;  // an IP address is on it: broadcasts are of interest
    net::MacAddress mac;
    std::uint32_t mtu = 1500;  // L3 bytes
    LinkId master = kNoLink;   // the bridge it is a member of
    BridgePort bridge_port;
    std::uint16_t port_id = 0;    // kind port: DPDK's port number
    std::vector<LinkId> members;  // kind bridge: members that are up, by id
    encap::VxlanConfig vxlan;     // kind vxlan
};

using Links = rcu::PublishedArray<Link>;

}  // namespace culvert::pipeline
