// SPDX-License-Identifier: BSD-3-Clause
// What workers are told of a link's IP addresses: whether there are any.
#include "lib/control/core.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"

#include <utility>

namespace culvert::control {

void LinkManager::note_addresses(const LinkRecord& record, pipeline::Link& link) const {
    const route::Routing& routing = core_.routing();
    const bool is_in_use = carries_ip(record);
    link.has_address = is_in_use && routing.has_address(record.id, net::Family::ipv4);
    link.has_address6 = is_in_use && routing.has_address(record.id, net::Family::ipv6);
}

void LinkManager::address_changed(LinkId link) {
    const LinkRecord* found = find(link);
    const pipeline::Link* published = core_.published_links().read(link);
    if (found == nullptr || published == nullptr) {
        return;
    }
    auto changed = std::make_unique<pipeline::Link>(*published);
    note_addresses(*found, *changed);
    if (changed->has_address != published->has_address ||
        changed->has_address6 != published->has_address6) {
        core_.published_links().publish(link, std::move(changed));
    }
}

}  // namespace culvert::control
