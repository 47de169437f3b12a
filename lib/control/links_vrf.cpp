// SPDX-License-Identifier: BSD-3-Clause
// The vrf kind (the kernel's vrf_newlink() and vrf_add_slave()): a link that has a routing table,
// by which the links in it are routed. Tunnels whose `dev` is in a VRF, or is one, have their outer
// packets there.
#include "lib/control/core.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"
#include "lib/control/log.hpp"
#include "lib/control/tunnels.hpp"

#include <fmt/format.h>

#include <utility>

namespace culvert::control {

Result<void> LinkManager::check_vrf(const std::string& attempt, const VrfOptions& options) const {
    if (!options.table) {
        return refuse(std::errc::invalid_argument, attempt, "VRF table id is missing");
    }
    const std::uint32_t table = *options.table;
    const bool is_everybodys = table == 0 || table == route::kMainTable ||
                               table == route::kLocalTable || table == route::kDefaultTable;
    if (is_everybodys) {
        return refuse(
            std::errc::invalid_argument, attempt, fmt::format("table {} is no VRF's", table)
        );
    }
    if (const LinkId other = vrf_of_table(table); other != kNoLink) {
        return refuse(
            std::errc::file_exists,
            attempt,
            fmt::format("table {} is {}'s already", table, name_of(other))
        );
    }
    return {};
}

Result<LinkId> LinkManager::add_vrf(const LinkAddRequest& request, LinkRecord next) {
    const std::string attempt = "link add " + request.name;
    CULVERT_CHECK(check_vrf(attempt, request.vrf));
    next.table = *request.vrf.table;
    next.mtu = request.mtu.value_or(kMaxLinkMtu);
    if (auto opened = core_.routing().open_table(next.table); !opened) {
        return refuse(opened.error().code, attempt, opened.error().what);
    }
    const std::uint32_t table = next.table;
    CULVERT_TRY(id, insert(std::move(next)));
    vrfs_[table] = id;
    return id;
}

// The VRF goes; its links do not.
void LinkManager::release_vrf(LinkId vrf) {
    const auto found = in_vrf_.find(vrf);
    const std::set<LinkId> inside = found == in_vrf_.end() ? std::set<LinkId>{} : found->second;
    for (const LinkId id : inside) {
        LinkRecord& freed = *record(id);
        unrelate(freed);
        freed.vrf = kNoLink;
        relate(freed);
        publish(freed);
        move_tunnels_over(id);
    }
    vrfs_.erase(find(vrf)->table);
}

LinkId LinkManager::vrf_of_table(std::uint32_t table) const {
    const auto found = vrfs_.find(table);
    return found == vrfs_.end() ? kNoLink : found->second;
}

// Where the outer packets of what stands on `lower` are routed.
LinkId LinkManager::vrf_over(LinkId lower) const {
    const LinkRecord* below = find(lower);
    return below != nullptr ? below->vrf : kNoLink;
}

// VXLAN-CRE-20, VXLAN-SOCK-02
Result<void> LinkManager::check_vni(
    const std::string& attempt, LinkId self, const encap::VxlanConfig& config
) const {
    const auto same = by_vni_.find(encap::VxlanKey::of(config).packed);
    if (same == by_vni_.end() || same->second == self) {
        return {};
    }
    return refuse(
        std::errc::file_exists,
        attempt,
        fmt::format(
            "vni {} on port {} is already {}'s",
            config.vni,
            config.destination_port,
            name_of(same->second)
        )
    );
}

Result<void> LinkManager::check_tunnel_in(
    const std::string& attempt, const LinkRecord& tunnel, LinkId vrf
) const {
    if (tunnel.kind == pipeline::LinkKind::vxlan) {
        encap::VxlanConfig moved = tunnel.vxlan;
        moved.vrf = vrf;
        return check_vni(attempt, tunnel.id, moved);
    }
    if (pipeline::is_ip_tunnel(tunnel.kind)) {
        encap::IpTunnelConfig moved = tunnel.ip_tunnel;
        moved.vrf = vrf;
        return check_duplicate(attempt, tunnel.id, moved);
    }
    return {};
}

// Whether the tunnels that stand on `lower` have room where `vrf` routes.
Result<void>
LinkManager::check_tunnels_over(const std::string& attempt, LinkId lower, LinkId vrf) const {
    for (const LinkId id : uppers_of(lower)) {
        CULVERT_CHECK(check_tunnel_in(attempt, *find(id), vrf));
    }
    return {};
}

void LinkManager::move_vxlan(LinkRecord& link, LinkId vrf) {
    if (link.admin_up) {
        close_vxlan(link);
    }
    unrelate(link);
    link.vxlan.vrf = vrf;
    relate(link);
    if (link.admin_up) {
        if (auto done = open_vxlan(link); !done) {
            link.admin_up = false;
            RTE_LOG(WARNING, CULVERT, "%s\n", done.error().what.c_str());
        }
    }
    publish(link);
}

void LinkManager::move_ip_tunnel(LinkRecord& link, LinkId vrf) {
    unrelate(link);
    link.ip_tunnel.vrf = vrf;
    relate(link);
    (void)core_.ip_tunnels().set(link.id, link.ip_tunnel, link.admin_up, link.is_fallback);
    publish(link);
    core_.tunnels().follow(link);
}

// `lower` has come into a VRF, or out of one: so do the tunnels on it.
void LinkManager::move_tunnels_over(LinkId lower) {
    const LinkId vrf = vrf_over(lower);
    for (const LinkId id : uppers_of(lower)) {
        LinkRecord& upper = *record(id);
        if (upper.kind == pipeline::LinkKind::vxlan && upper.vxlan.vrf != vrf) {
            move_vxlan(upper, vrf);
        } else if (pipeline::is_ip_tunnel(upper.kind) && upper.ip_tunnel.vrf != vrf) {
            move_ip_tunnel(upper, vrf);
        }
    }
}

}  // namespace culvert::control
