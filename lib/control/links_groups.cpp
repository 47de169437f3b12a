// SPDX-License-Identifier: BSD-3-Clause
// Tunnels to groups listen to them while they are up (VXLAN-MC-01, GRE-CRE-10).
#include "lib/control/core.hpp"
#include "lib/control/group_reports.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace culvert::control {

namespace {

// The group, and the link on which it is.
std::optional<std::pair<LinkId, net::IpAddress>> group_of(Core& core, const LinkRecord& record) {
    const bool is_vxlan = record.kind == pipeline::LinkKind::vxlan;
    const net::IpAddress& remote = is_vxlan ? record.vxlan.remote : record.ip_tunnel.remote;
    const bool listens = is_vxlan || encap::traits(pipeline::ip_tunnel_kind(record.kind)).has_gre;
    const bool joins_ip6 = is_vxlan;  // ip6gre has no ndo_open() that would
    if (!record.admin_up || !listens || !remote.is_multicast() || (!remote.is_v4() && !joins_ip6)) {
        return std::nullopt;
    }
    LinkId lower = is_vxlan ? record.vxlan.lower : record.ip_tunnel.lower;
    if (lower == kDeletedLink) {
        return std::nullopt;
    }
    if (lower == kNoLink) {
        lower = core.routing()
                    .lookup(remote, kNoLink, record.ip_tunnel.local, record.ip_tunnel.tos)
                    .link;
    }
    return std::pair{lower, remote};
}

}  // namespace

Result<void> LinkManager::join_group(const LinkRecord& record) {
    const auto group = group_of(core_, record);
    if (!group) {
        return {};
    }
    const std::string attempt = "link set " + record.name;
    if (group->first == kNoLink) {  // ipgre_open()
        return refuse(
            std::errc::address_not_available,
            attempt,
            fmt::format("no route to group {}", group->second.to_string())
        );
    }
    auto joined = core_.group_reports().join(group->first, group->second);
    if (joined) {
        joined_[record.id] = *group;
    }
    return joined;
}

// A tunnel changed, or goes up or down. What was joined is kept if this fails.
Result<void> LinkManager::follow_group(const LinkRecord& old, const LinkRecord& next) {
    const auto joined = joined_.find(old.id);
    const auto before = joined != joined_.end() ? std::optional(joined->second) : std::nullopt;
    const auto wanted = group_of(core_, next);
    if (wanted == before) {
        return {};
    }
    leave_group(old.id);
    auto done = join_group(next);
    if (!done && before) {
        (void)core_.group_reports().join(before->first, before->second);  // there was room
        joined_[old.id] = *before;
    }
    return done;
}

void LinkManager::leave_group(LinkId device) {
    const auto joined = joined_.find(device);
    if (joined != joined_.end()) {
        core_.group_reports().leave(joined->second.first, joined->second.second);
        joined_.erase(joined);
    }
}

// The link goes away, and so do those groups: its number may come again.
void LinkManager::leave_groups_on(LinkId lower) {
    std::erase_if(joined_, [&](const auto& entry) {
        if (entry.second.first == lower) {
            core_.group_reports().leave(entry.second.first, entry.second.second);
            return true;
        }
        return false;
    });
}

}  // namespace culvert::control
