// SPDX-License-Identifier: BSD-3-Clause
// The vlan kind (8021q's vlan_newlink() and vlan_device_event()): what may be configured, and how a
// link follows the one it stands on.
#include "lib/control/core.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"
#include "lib/rcu/hash_table_writer.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::control {

namespace {

constexpr std::uint32_t kMostVlanId = 4094;

pipeline::VlanKey key_of(const pipeline::VlanConfig& vlan) {
    return pipeline::VlanKey::make(vlan.lower, vlan.protocol, vlan.id);
}

}  // namespace

Result<void>
LinkManager::check_vlan(const std::string& attempt, const LinkAddRequest& request) const {
    if (!request.lower) {
        return refuse(std::errc::invalid_argument, attempt, "link not specified");
    }
    if (!request.vlan.id) {
        return refuse(std::errc::invalid_argument, attempt, "VLAN properties not specified");
    }
    if (*request.vlan.id > kMostVlanId) {
        return refuse(
            std::errc::result_out_of_range,
            attempt,
            fmt::format("id {} is not between 0 and {}", *request.vlan.id, kMostVlanId)
        );
    }
    CULVERT_TRY(lower, find_lower(attempt, *request.lower));
    const LinkRecord& below = *find(lower);
    if (!pipeline::has_link_layer(below.kind)) {
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            fmt::format("VLANs not supported on device {}", below.name)
        );
    }
    if (request.mtu && *request.mtu > below.mtu) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format("mtu {} is more than {}'s, {}", *request.mtu, below.name, below.mtu)
        );
    }
    return {};
}

Result<LinkId> LinkManager::add_vlan(const LinkAddRequest& request, LinkRecord next) {
    const std::string attempt = "link add " + request.name;
    CULVERT_CHECK(check_vlan(attempt, request));
    const LinkRecord& below = *find(*request.lower);
    next.vlan = {below.id, static_cast<std::uint16_t>(*request.vlan.id), request.vlan.protocol};
    next.mtu = request.mtu.value_or(below.mtu);
    next.mac = request.address.value_or(below.mac);
    next.carrier = below.carrier;
    pipeline::VlanDemux& demux = core_.vlan_demux();
    const pipeline::VlanKey key = key_of(next.vlan);
    std::uint64_t same = kNoLink;
    if (demux.find(key, same)) {
        return refuse(
            std::errc::file_exists,
            attempt,
            fmt::format(
                "VLAN device already exists: id {} of {} is {}'s",
                next.vlan.id,
                below.name,
                name_of(static_cast<LinkId>(same))
            )
        );
    }
    CULVERT_TRY(id, insert(std::move(next)));
    if (demux.insert(key, id) == pipeline::VlanDemux::Inserted::full) {
        forget(id);
        return refuse(std::errc::no_space_on_device, attempt, "no room for another VLAN");
    }
    publish(*find(find(id)->vlan.lower));  // workers look at tags there from now on
    refresh_promiscuous(id);
    return id;
}

// What the vlan link was, until now, is no longer asked for.
void LinkManager::close_vlan(const LinkRecord& gone) {
    core_.vlan_demux().erase(key_of(gone.vlan));
    if (const LinkRecord* below = find(gone.vlan.lower); below != nullptr) {
        publish(*below);
        refresh_promiscuous(below->id);
    }
}

bool LinkManager::has_vlans(LinkId link) const {
    const std::vector<LinkId> uppers = uppers_of(link);
    return std::any_of(uppers.begin(), uppers.end(), [this](LinkId upper) {
        return find(upper)->kind == pipeline::LinkKind::vlan;
    });
}

// A vlan link goes up and down with its lower link, takes its MAC unless it has one of its own, and
// is never larger.
void LinkManager::lead_vlans(const LinkRecord& before, const LinkRecord& lower) {
    if (before.admin_up == lower.admin_up && before.mac == lower.mac && before.mtu == lower.mtu) {
        return;
    }
    const bool is_up = lower.admin_up;
    const bool has_turned = before.admin_up != is_up;
    const net::MacAddress mac = lower.mac;
    const std::uint32_t mtu = lower.mtu;
    for (const LinkId id : uppers_of(lower.id)) {
        const LinkRecord old = *find(id);
        if (old.kind != pipeline::LinkKind::vlan) {
            continue;
        }
        LinkRecord next = old;
        next.admin_up = has_turned ? is_up : old.admin_up;
        next.mac = old.mac_is_set ? old.mac : mac;
        next.mtu = std::min(old.mtu, mtu);
        if (next.admin_up != old.admin_up || next.mac != old.mac || next.mtu != old.mtu) {
            commit(old, next);
        }
    }
}

// Whether the link must be given frames for other stations: a bridge is above, or another MAC.
bool LinkManager::wants_all_frames(LinkId link, const net::MacAddress& own) const {
    const LinkRecord& record = *find(link);
    if (record.master != kNoLink || record.mac != own) {
        return true;
    }
    const std::vector<LinkId> uppers = uppers_of(link);
    return std::any_of(uppers.begin(), uppers.end(), [&](LinkId upper) {
        return find(upper)->kind == pipeline::LinkKind::vlan && wants_all_frames(upper, own);
    });
}

// The port below `link`, if that or what is between is a vlan link, is told what it must receive.
void LinkManager::refresh_promiscuous(LinkId link) {
    const LinkRecord* record = find(link);
    while (record != nullptr && record->kind == pipeline::LinkKind::vlan) {
        record = find(record->vlan.lower);
    }
    if (record == nullptr || record->kind != pipeline::LinkKind::port || devices_ == nullptr) {
        return;
    }
    const bool wants = wants_all_frames(record->id, record->mac);
    if (wants != promiscuous_.contains(record->id)) {
        devices_->set_promiscuous(record->port_id, wants);
        if (wants) {
            promiscuous_.insert(record->id);
        } else {
            promiscuous_.erase(record->id);
        }
    }
}

}  // namespace culvert::control
