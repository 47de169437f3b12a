// SPDX-License-Identifier: BSD-3-Clause
// All that workers read and control writes, in one place.
#pragma once

#include "lib/encap/ip_tunnel_lookup.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/fdb/table.hpp"
#include "lib/pipeline/link.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/rcu/hash_table.hpp"
#include "lib/route/adjacency.hpp"
#include "lib/route/fib4.hpp"
#include "lib/route/fib6.hpp"
#include "lib/route/own_addresses.hpp"

namespace culvert::pipeline {

// (UDP port, VNI) -> the vxlan link, as in Link.
using VxlanDemux = rcu::HashTable<encap::VxlanKey, std::uint64_t>;

struct VlanKey {
    std::uint32_t lower = kNoLink;
    std::uint16_t protocol = 0;
    std::uint16_t id = 0;

    [[nodiscard]] static constexpr VlanKey
    make(LinkId lower, std::uint16_t protocol, std::uint16_t id) noexcept {
        return {lower, protocol, id};
    }

    friend constexpr bool operator==(const VlanKey&, const VlanKey&) = default;
};

// (lower link, tag) -> the vlan link, up or down.
using VlanDemux = rcu::HashTable<VlanKey, std::uint64_t>;

// worker: ro, control: wo
struct Tables {
    Links& links;
    fdb::Table& fdb;
    VxlanDemux& vxlan_demux;
    encap::VxlanDestinations& vxlan_destinations;  // by fdb::RemoteLists id
    encap::VxlanTemplates& vxlan_templates;
    encap::IpTunnelTables& ip_tunnels;
    const route::Fib4& fib4;
    const route::AdjacencyTable& adjacencies;
    const route::OwnAddresses& own_addresses;
    const route::Fib6& fib6;
    const route::OwnAddresses& own_addresses6;  // by route::fold()
    VlanDemux& vlans;
};

}  // namespace culvert::pipeline
