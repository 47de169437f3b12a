// SPDX-License-Identifier: BSD-3-Clause
// Bridges: who is in them, and what follows from that for the bridge's MAC, MTU and FDB.
#include "lib/control/core.hpp"
#include "lib/control/links.hpp"
#include "lib/control/log.hpp"

#include <algorithm>
#include <optional>

namespace culvert::control {

// Entries behind the member. `permanent_too`: it leaves the bridge; else it only went down and
// static ones stay.
void LinkManager::flush_member(LinkId bridge, LinkId member, bool permanent_too) {
    core_.fdb().flush(bridge, [member, permanent_too](const fdb::Table::Entry& entry) {
        constexpr std::uint8_t kStatic = fdb::nud::kNoarp | fdb::nud::kPermanent;
        return entry.value.target() == member &&
               (permanent_too || (entry.shadow.state & kStatic) == 0);
    });
}

// The member's record says already that it has left, or is gone.
void LinkManager::leave_bridge(LinkId bridge, LinkId member) {
    refresh_bridge(bridge);
    flush_member(bridge, member, true);
}

// MAC and MTU from the members, the members' list, and the permanent FDB entries for our own MACs.
void LinkManager::refresh_bridge(LinkId bridge) {
    LinkRecord* found = record(bridge);
    if (found == nullptr) {
        return;
    }
    const LinkRecord before = *found;
    std::optional<net::MacAddress> lowest;
    std::optional<std::uint32_t> least;
    std::set<net::MacAddress> wanted;
    for (const LinkId id : members_of(bridge)) {
        const LinkRecord& member = *find(id);
        lowest = std::min(lowest.value_or(member.mac), member.mac);
        least = std::min(least.value_or(member.mtu), member.mtu);
        wanted.insert(member.mac);
    }
    if (!found->mac_is_set) {
        found->mac = lowest.value_or(found->own_mac);
    }
    if (!found->mtu_is_set) {
        found->mtu = least.value_or(1500);
    }
    wanted.insert(found->mac);

    std::set<net::MacAddress>& present = local_macs_[bridge];
    for (auto mac = present.begin(); mac != present.end();) {
        if (wanted.contains(*mac)) {
            ++mac;
            continue;
        }
        core_.fdb().erase(bridge, *mac);
        mac = present.erase(mac);
    }
    for (const net::MacAddress& mac : wanted) {
        if (present.contains(mac)) {
            continue;
        }
        const fdb::Shadow shadow{core_.now_s(), fdb::nud::kPermanent, 0, 0};
        if (auto done = core_.fdb().set(bridge, mac, bridge, shadow, core_.now_s()); done) {
            present.insert(mac);
        } else {
            // Frames for ourselves are then flooded like any unknown; the next change tries again.
            RTE_LOG(
                WARNING, CULVERT, "bridge %s: %s\n", found->name.c_str(), done.error().what.c_str()
            );
        }
    }
    publish(*found);
    lead_vlans(before, *found);
}

}  // namespace culvert::control
