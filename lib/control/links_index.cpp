// SPDX-License-Identifier: BSD-3-Clause
// Which links stand on which: what is asked of it costs no walk through all links.
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"

#include <algorithm>

namespace culvert::control {

namespace {

// `dev` of a tunnel, `link` of a vlan.
LinkId lower_of(const LinkRecord& record) {
    if (record.kind == pipeline::LinkKind::vxlan) {
        return record.vxlan.lower;
    }
    if (record.kind == pipeline::LinkKind::vlan) {
        return record.vlan.lower;
    }
    return pipeline::is_ip_tunnel(record.kind) ? record.ip_tunnel.lower : kNoLink;
}

}  // namespace

void LinkManager::relate(const LinkRecord& record) {
    if (const LinkId lower = lower_of(record); lower != kNoLink) {
        uppers_[lower].insert(record.id);
    }
    if (record.master != kNoLink) {
        members_[record.master].insert(record.id);
    }
    if (record.vrf != kNoLink && record.vrf != record.id) {
        in_vrf_[record.vrf].insert(record.id);
    }
    if (record.kind == pipeline::LinkKind::vxlan) {
        by_vni_[encap::VxlanKey::of(record.vxlan).packed] = record.id;
    }
}

void LinkManager::unrelate(const LinkRecord& record) {
    const auto take_out = [&record](auto& groups, LinkId key) {
        const auto group = groups.find(key);
        if (group != groups.end() && group->second.erase(record.id) != 0 && group->second.empty()) {
            groups.erase(group);
        }
    };
    take_out(uppers_, lower_of(record));
    take_out(members_, record.master);
    take_out(in_vrf_, record.vrf);
    if (record.kind == pipeline::LinkKind::vxlan) {
        by_vni_.erase(encap::VxlanKey::of(record.vxlan).packed);
    }
}

// Copies: whoever goes through them may change them.
std::vector<LinkId> LinkManager::uppers_of(LinkId lower) const {
    const auto found = uppers_.find(lower);
    return found == uppers_.end() ? std::vector<LinkId>{}
                                  : std::vector<LinkId>(found->second.begin(), found->second.end());
}

std::vector<LinkId> LinkManager::members_of(LinkId bridge) const {
    const auto found = members_.find(bridge);
    return found == members_.end()
               ? std::vector<LinkId>{}
               : std::vector<LinkId>(found->second.begin(), found->second.end());
}

// Whether `upper` stands on `lower`, through any number of others (VXLAN-CRE-23).
bool LinkManager::depends_on(LinkId upper, LinkId lower) const {
    if (upper == lower) {
        return true;
    }
    const LinkRecord* above = find(upper);
    if (above == nullptr) {
        return false;
    }
    if (const LinkId below = lower_of(*above); below != kNoLink) {
        return depends_on(below, lower);
    }
    const std::vector<LinkId> members = members_of(upper);
    return std::any_of(members.begin(), members.end(), [&](LinkId member) {
        return depends_on(member, lower);
    });
}

// How many levels stand below `link`.
unsigned LinkManager::nesting_below(LinkId link) const {
    const LinkRecord* found = find(link);
    unsigned levels = 0;
    if (found != nullptr && lower_of(*found) != kNoLink) {
        levels = 1 + nesting_below(lower_of(*found));
    }
    for (const LinkId member : members_of(link)) {
        levels = std::max(levels, 1 + nesting_below(member));
    }
    return std::min(levels, kMaxNesting + 1);
}

}  // namespace culvert::control
