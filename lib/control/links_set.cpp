// SPDX-License-Identifier: BSD-3-Clause
// `link set`: everything is checked on a copy first, then what may fail is done with a way back,
// and only then is the copy made true.
#include "lib/control/core.hpp"
#include "lib/control/group_reports.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"
#include "lib/control/tunnels.hpp"

#include <fmt/format.h>

#include <utility>

namespace culvert::control {

namespace {

bool sets_bridge_port(const LinkSetRequest& request) {
    return request.learning || request.flood || request.mcast_flood || request.bcast_flood ||
           request.hairpin || request.isolated;
}

void set_bridge_port(const LinkSetRequest& request, pipeline::BridgePort& port) {
    port.learning = request.learning.value_or(port.learning);
    port.flood = request.flood.value_or(port.flood);
    port.mcast_flood = request.mcast_flood.value_or(port.mcast_flood);
    port.bcast_flood = request.bcast_flood.value_or(port.bcast_flood);
    port.hairpin = request.hairpin.value_or(port.hairpin);
    port.isolated = request.isolated.value_or(port.isolated);
}

}  // namespace

Result<void> LinkManager::set(LinkId link, const LinkSetRequest& request) {
    const LinkRecord* found = find(link);
    if (found == nullptr) {
        return Error{std::errc::no_such_device, fmt::format("link set: there is no link {}", link)};
    }
    const LinkRecord old = *found;
    LinkRecord next = old;
    CULVERT_CHECK(plan("link set " + old.name, old, request, next));
    CULVERT_CHECK(apply_host_tap(old, next));
    if (auto done = apply_kind(old, next); !done) {
        if (next.host_tap != old.host_tap) {
            core_.host_taps().close(old.id);
        }
        return done;
    }
    commit(old, next);
    return {};
}

// May fail, and then nothing has changed.
Result<void> LinkManager::apply_kind(const LinkRecord& old, const LinkRecord& next) {
    if (old.kind == pipeline::LinkKind::port) {
        return apply_device(old, next);
    }
    if (old.kind == pipeline::LinkKind::vxlan) {
        return apply_vxlan(old, next);
    }
    return pipeline::is_ip_tunnel(old.kind) ? apply_ip_tunnel(old, next) : Result<void>{};
}

Result<void> LinkManager::plan_identity(
    const std::string& attempt,
    const LinkRecord& old,
    const LinkSetRequest& request,
    LinkRecord& next
) const {
    if (request.name && *request.name != old.name) {
        CULVERT_CHECK(check_name(attempt, *request.name));
        // UI-LINK-02. Ports are up from the start and may be renamed so.
        if (old.admin_up && request.up.value_or(true) && old.kind != pipeline::LinkKind::port) {
            return refuse(
                std::errc::device_or_resource_busy, attempt, "a link that is up cannot be renamed"
            );
        }
        next.name = *request.name;
    }
    next.link_local = request.link_local.value_or(old.link_local);
    next.reverse_path = request.reverse_path.value_or(old.reverse_path);
    CULVERT_CHECK(check_no_mac(attempt, old.kind, request.address));
    if (request.address) {
        if (!request.address->is_valid_station()) {
            return refuse(
                std::errc::address_not_available,
                attempt,
                request.address->to_string() + " is not a station's MAC address"
            );
        }
        next.mac = *request.address;
        next.mac_is_set = true;
    }
    return {};
}

Result<void> LinkManager::plan(
    const std::string& attempt,
    const LinkRecord& old,
    const LinkSetRequest& request,
    LinkRecord& next
) const {
    CULVERT_CHECK(plan_identity(attempt, old, request, next));
    CULVERT_CHECK(plan_type(attempt, old, request, next));
    CULVERT_CHECK(plan_mtu(attempt, old, request, next));
    if (request.master) {
        CULVERT_CHECK(plan_master(attempt, old, *request.master, next));
    }
    if (request.host_tap) {
        const bool is_whole = old.kind == pipeline::LinkKind::port ||
                              old.kind == pipeline::LinkKind::vlan ||
                              old.kind == pipeline::LinkKind::bridge;
        if (!is_whole) {
            return refuse(
                std::errc::operation_not_supported,
                attempt,
                "only ports, vlans and bridges have a tap"
            );
        }
        next.host_tap = *request.host_tap;
    }
    if (sets_bridge_port(request)) {
        if (next.master == kNoLink) {
            return refuse(std::errc::operation_not_supported, attempt, "it is in no bridge");
        }
        set_bridge_port(request, next.bridge_port);
    }
    next.admin_up = request.up.value_or(old.admin_up);
    if (old.kind == pipeline::LinkKind::vlan && next.admin_up && !old.admin_up &&
        !find(old.vlan.lower)->admin_up) {  // vlan_dev_open()
        return refuse(
            std::errc::network_down, attempt, fmt::format("{} is down", name_of(old.vlan.lower))
        );
    }
    return {};
}

// `type KIND ...`: what only links of that kind have.
Result<void> LinkManager::plan_type(
    const std::string& attempt,
    const LinkRecord& old,
    const LinkSetRequest& request,
    LinkRecord& next
) const {
    if (request.bridge) {
        if (old.kind != pipeline::LinkKind::bridge) {
            return refuse(std::errc::operation_not_supported, attempt, "it is not a bridge");
        }
        next.bridge_ageing_s = request.bridge->ageing_s.value_or(next.bridge_ageing_s);
    }
    if (request.vxlan) {
        CULVERT_CHECK(plan_vxlan(attempt, old, request, next));
    }
    if (request.ip_tunnel) {
        CULVERT_CHECK(plan_ip_tunnel(attempt, old, request, next));
    }
    return {};
}

Result<void> LinkManager::plan_mtu(
    const std::string& attempt,
    const LinkRecord& old,
    const LinkSetRequest& request,
    LinkRecord& next
) const {
    if (!request.mtu) {
        return {};
    }
    std::uint32_t most = next.max_mtu;
    std::string why;
    if (old.kind == pipeline::LinkKind::vxlan && next.vxlan.lower != kNoLink) {  // VXLAN-CHG-06
        most = std::min(most, vxlan_mtu_limit(next.vxlan));
        why = fmt::format(": {} leaves no more", name_of(next.vxlan.lower));
    }
    if (old.kind == pipeline::LinkKind::vlan && *request.mtu > find(old.vlan.lower)->mtu) {
        return refuse(  // vlan_dev_change_mtu()
            std::errc::result_out_of_range,
            attempt,
            fmt::format("mtu {} is more than {}'s", *request.mtu, name_of(old.vlan.lower))
        );
    }
    if (*request.mtu < kMinLinkMtu || *request.mtu > most) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format("mtu {} is not between {} and {}{}", *request.mtu, kMinLinkMtu, most, why)
        );
    }
    next.mtu = *request.mtu;
    next.mtu_is_set = true;
    return {};
}

Result<void> LinkManager::plan_master(
    const std::string& attempt, const LinkRecord& old, const std::string& master, LinkRecord& next
) const {
    if (old.kind == pipeline::LinkKind::vrf) {
        return refuse(std::errc::operation_not_supported, attempt, "a VRF has no master");
    }
    if (master.empty()) {
        next.master = kNoLink;
        next.bridge_port = {};
        next.vrf = kNoLink;
        return check_tunnels_over(attempt, old.id, kNoLink);
    }
    CULVERT_TRY(id, require(master));
    if (id == master_of(old)) {
        return {};
    }
    const LinkRecord* bridge = find(id);
    if (bridge->kind == pipeline::LinkKind::vrf) {
        next.master = kNoLink;
        next.bridge_port = {};
        next.vrf = id;
        return check_tunnels_over(attempt, old.id, id);
    }
    if (bridge->kind != pipeline::LinkKind::bridge) {
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            fmt::format("{} is no bridge and no VRF", master)
        );
    }
    if (old.kind == pipeline::LinkKind::bridge) {
        return refuse(
            std::errc::too_many_symbolic_link_levels,
            attempt,
            fmt::format("a bridge cannot be a member of bridge {}", master)
        );
    }
    if (!pipeline::has_link_layer(old.kind)) {
        return refuse(std::errc::invalid_argument, attempt, "what it carries are no frames");
    }
    if (old.id == id || depends_on(old.id, id)) {
        return refuse(
            std::errc::device_or_resource_busy,
            attempt,
            fmt::format("{} stands on {} itself", old.name, master)
        );
    }
    if (nesting_below(old.id) + 1 > kMaxNesting) {
        return refuse(
            std::errc::too_many_links,
            attempt,
            fmt::format("more than {} links on top of each other", kMaxNesting)
        );
    }
    next.master = id;
    next.bridge_port = {};
    next.vrf = kNoLink;
    return check_tunnels_over(attempt, old.id, kNoLink);
}

Result<void> LinkManager::apply_host_tap(const LinkRecord& old, const LinkRecord& next) {
    if (next.host_tap == old.host_tap) {
        return {};
    }
    if (next.host_tap.empty()) {
        core_.host_taps().close(old.id);
        return {};
    }
    if (auto done = core_.host_taps().open(next, next.host_tap); !done) {
        return refuse(done.error().code, "link set " + old.name, done.error().what);
    }
    return {};
}

Result<void> LinkManager::apply_device(const LinkRecord& old, const LinkRecord& next) {
    if (devices_ == nullptr) {
        return {};
    }
    if (next.mtu != old.mtu) {
        CULVERT_CHECK(devices_->set_mtu(old.port_id, next.mtu));
    }
    if (next.mac != old.mac) {
        if (auto done = devices_->set_mac(old.port_id, next.mac); !done) {
            if (next.mtu != old.mtu) {
                (void)devices_->set_mtu(old.port_id, old.mtu);
            }
            return done.error();
        }
    }
    return {};
}

// Nothing here can fail.
void LinkManager::commit(const LinkRecord& old, LinkRecord& next) {
    LinkRecord& kept = links_[old.id];
    if (next.name != old.name) {
        by_name_.erase(old.name);
        by_name_[next.name] = old.id;
    }
    unrelate(kept);
    kept = next;
    relate(kept);
    if (next.kind == pipeline::LinkKind::bridge && next.bridge_ageing_s != old.bridge_ageing_s) {
        core_.fdb().set_domain(old.id, {next.bridge_ageing_s, 0, true});
    }
    if (next.kind == pipeline::LinkKind::vxlan && next.vxlan.ageing_s != old.vxlan.ageing_s) {
        core_.fdb().set_domain(old.id, {next.vxlan.ageing_s, next.vxlan.limit, false});
    }
    if (next.master != old.master && old.master != kNoLink) {
        leave_bridge(old.master, old.id);
    }
    publish(kept);
    if (next.vrf != old.vrf) {
        move_tunnels_over(old.id);
    }
    if (next.admin_up && !old.admin_up) {
        core_.group_reports().link_up(old.id);
    }
    if (next.ip_tunnel != old.ip_tunnel) {
        core_.tunnels().follow(kept);
    }
    if (next.kind == pipeline::LinkKind::bridge) {
        refresh_bridge(old.id);
    }
    if (next.master != kNoLink) {
        if (old.admin_up && !next.admin_up) {
            flush_member(next.master, old.id, false);
        }
        refresh_bridge(next.master);
    }
    if (next.mac != old.mac || next.mtu != old.mtu) {
        core_.host_taps().follow(*find(old.id));
    }
    refresh_promiscuous(old.id);
    lead_vlans(old, *find(old.id));
}

}  // namespace culvert::control
