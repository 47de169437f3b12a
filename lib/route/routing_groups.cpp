// SPDX-License-Identifier: BSD-3-Clause
// Routing: groups that links listen to. Packets to them are for us, as those to a broadcast
// address.
#include "lib/route/routing_impl.hpp"

namespace culvert::route {

namespace {

net::Prefix host_prefix(const net::IpAddress& address) noexcept {
    net::Prefix host{address, 0};
    host.length = host.max_length();
    return host;
}

}  // namespace

// Whether any link of the table listens to it.
bool Routing::Impl::has_joined(const RoutingTable& table, const net::IpAddress& group) const {
    for (auto at = groups_.lower_bound({group, 0}); at != groups_.end(); ++at) {
        const auto& [address, link] = at->first;
        if (address != group) {
            return false;
        }
        if (table_id_of(link) == table.id) {
            return true;
        }
    }
    return false;
}

Result<void> Routing::Impl::join(LinkId link, const net::IpAddress& group) {
    if (++groups_[{group, link}] > 1) {
        return {};
    }
    auto done = sync(table_of(link), host_prefix(group));
    if (!done) {
        groups_.erase({group, link});
    }
    return done;
}

void Routing::Impl::leave(LinkId link, const net::IpAddress& group) {
    const auto known = groups_.find({group, link});
    if (known != groups_.end() && --known->second == 0) {
        groups_.erase(known);
        // Taking away needs no room.
        static_cast<void>(sync(table_of(link), host_prefix(group)));
    }
}

// A link has left `table`, or come into it: what it listens to is for us there no more, or now.
void Routing::Impl::sync_groups(RoutingTable& table, LinkId link) {
    for (const auto& [key, users] : groups_) {
        if (key.second == link) {
            // What does not fit is missing as after any refused add; there is nobody to tell here.
            static_cast<void>(sync(table, host_prefix(key.first)));
        }
    }
}

void Routing::Impl::forget_groups(LinkId link) {
    RoutingTable& table = table_of(link);
    for (auto at = groups_.begin(); at != groups_.end();) {
        const auto [group, where] = at->first;
        if (where != link) {
            ++at;
            continue;
        }
        at = groups_.erase(at);
        static_cast<void>(sync(table, host_prefix(group)));
    }
}

}  // namespace culvert::route
