// SPDX-License-Identifier: BSD-3-Clause
// What neighbour discovery tells the neighbour table (ndisc_update and its callers).
#include "lib/route/neighbour.hpp"

namespace culvert::route {

void NeighbourTable::discovery_input(
    const NeighbourKey& key, const Heard& heard, std::uint64_t now_ms
) {
    auto at = neighbours_.find(key);
    const bool is_known = at != neighbours_.end() && at->second.state != NeighbourState::none;
    if (!is_known) {
        if (!heard.create || !find_or_create(key, now_ms)) {
            return;
        }
        at = neighbours_.find(key);
    }
    Neighbour& neighbour = at->second;
    // An advertisement that comes too late is not taken (ndisc_recv_na).
    const bool is_late = !heard.create && neighbour.state == NeighbourState::failed;
    if (is_late || (!heard.mac.has_value() && !neighbour.has_mac)) {
        return;
    }
    const bool is_refused = neighbour.has_mac && heard.mac.has_value() &&
                            *heard.mac != neighbour.mac && !heard.is_override;
    Update update;
    update.mac = heard.mac;
    update.state = heard.is_reachable ? NeighbourState::reachable : NeighbourState::stale;
    update.is_override = heard.is_override;
    update.is_weak_override = true;
    this->update(neighbour, update, now_ms);
    if (heard.is_router.has_value() && !is_refused && neighbour.router != *heard.is_router) {
        neighbour.router = *heard.is_router;
        actions_.changed(neighbour, false);
    }
}

}  // namespace culvert::route
