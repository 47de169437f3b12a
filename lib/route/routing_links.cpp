// SPDX-License-Identifier: BSD-3-Clause
// Routing: links and their addresses, and the routes that come and go with them.
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::route {

const Routing::Impl::Link* Routing::Impl::find_link(LinkId link) const {
    const auto found = links_.find(link);
    return found == links_.end() ? nullptr : &found->second;
}

bool Routing::Impl::is_up(LinkId link) const {
    const Link* found = find_link(link);
    return found != nullptr && found->parameters.up;
}

bool Routing::Impl::has_link_layer(LinkId link) const {
    const Link* found = find_link(link);
    return found == nullptr || found->parameters.has_link_layer;
}

std::string Routing::Impl::name_of(LinkId link) const {
    const Link* found = find_link(link);
    return found != nullptr ? found->parameters.name : fmt::format("link {}", link);
}

void Routing::Impl::set_link(LinkId link, const LinkParameters& parameters, std::uint64_t now_ms) {
    now_ms_ = now_ms;
    const auto [at, is_new] = links_.try_emplace(link);
    const LinkParameters old = at->second.parameters;
    at->second.parameters = parameters;
    if (!is_new || parameters.up) {
        ++generation_;
    }
    // Into a VRF or out of it is down and up again: cycle_netdev() of the kernel's.
    const bool has_moved = !is_new && old.table != parameters.table;
    if (old.up && (!parameters.up || has_moved)) {
        take_down(link, std::nullopt);
        drop_link_local(link);
    }
    if (has_moved) {
        for (const TableId table : {old.table, parameters.table}) {
            sync_groups(*find_table(table), link);
        }
    }
    if (!is_new && old.mac != parameters.mac) {
        // As the kernel does on NETDEV_CHANGEADDR: ARP starts over.
        neighbours_.link_down(link, std::nullopt);
    }
    adjacencies_.refresh_link(link);
    if (parameters.up && (!old.up || has_moved)) {
        // What does not fit is missing as after any refused add; there is nobody to tell here.
        static_cast<void>(sync_kernel_routes(link));
        mark_hops(link, std::nullopt, false);
        add_link_local(link);
        detect_again(link);
    } else if (old.up && parameters.up && old.has_link_local != parameters.has_link_local) {
        parameters.has_link_local ? add_link_local(link) : drop_link_local(link);
    }
}

void Routing::Impl::del_link(LinkId link) {
    if (links_.find(link) == links_.end()) {
        return;
    }
    take_down(link, std::nullopt);
    flush_addresses(link);
    // A route with several next hops does not outlive the link of any of them.
    remove_routes_by(link, [](const Route&) { return true; });
    const TableId table = table_id_of(link);
    forget_groups(link);
    links_.erase(link);
    drop_table_if_unused(table);
    ++generation_;
}

// The kernel's fib_disable_ip: all routes through the link go, static ones too, and its neighbours
// (NEI-13). Of one family, or of both.
void Routing::Impl::take_down(LinkId link, std::optional<net::Family> family) {
    const auto is_it = [&](const net::Prefix& prefix) {
        return !family.has_value() || prefix.address.family() == *family;
    };
    std::erase_if(links_.find(link)->second.kernel_routes, [&](const Route& route) {
        return is_it(route.prefix);
    });
    remove_routes_by(link, [&](const Route& route) {
        return route.link == link && is_it(route.prefix);
    });
    mark_hops(link, family, true);
    neighbours_.link_down(link, family);
    ++generation_;
}

// Brings the routes in line with the link's addresses. New ones go in before old ones go out, so
// that a prefix which both have stays in the FIB.
Result<void> Routing::Impl::sync_kernel_routes(LinkId link) {
    Link& state = links_.find(link)->second;
    std::vector<Route> next;
    if (state.parameters.up) {
        next = addresses_.kernel_routes(link);
        for (Route& route : next) {
            route.table = state.parameters.table;
        }
    }
    const std::vector<Route> old = std::exchange(state.kernel_routes, next);
    Result<void> result;
    for (const Route& route : next) {
        if (std::find(old.begin(), old.end(), route) == old.end()) {
            Result<void> added = change_rib(RouteVerb::append, route);
            if (!added && added.error().code != std::errc::file_exists) {
                result = added;
            }
        }
    }
    for (const Route& route : old) {
        const bool is_gone = std::find(next.begin(), next.end(), route) == next.end();
        if (is_gone &&
            find_table(route.table)->rib.erase_first(route.prefix, [&](const Route& other) {
                return other == route;
            })) {
            after_removal(route);
        }
    }
    return result;
}

Result<void> Routing::Impl::add_address(const Address& address, bool replace) {
    if (find_link(address.link) == nullptr) {
        return Error{
            std::errc::no_such_device,
            fmt::format("address add {}: no link {}", address.prefix.to_string(), address.link)};
    }
    Address labelled = address;
    if (labelled.label.empty()) {
        labelled.label = name_of(address.link);
    }
    if (!address.prefix.address.is_v4()) {
        labelled = prepared6(labelled);
    }
    // Only a replacement has something to put back.
    AddressTable before;
    if (replace) {
        before = addresses_;
    }
    CULVERT_CHECK(addresses_.add(labelled, replace));
    if (Result<void> synced = sync_kernel_routes(address.link); !synced) {
        if (replace) {
            addresses_ = std::move(before);
        } else {
            static_cast<void>(addresses_.remove(address.link, address.prefix, address.peer));
        }
        static_cast<void>(sync_kernel_routes(address.link));
        return synced;
    }
    ++generation_;
    actions_.address_changed(labelled, false);
    return {};
}

Result<void> Routing::Impl::del_address(
    LinkId link, const net::Prefix& prefix, const std::optional<net::IpAddress>& peer
) {
    CULVERT_TRY(removed, addresses_.remove(link, prefix, peer));
    forget_address(removed);
    return {};
}

// check_lifetime(), addrconf_verify_rtnl()
std::uint64_t Routing::Impl::age_addresses(std::uint64_t now_ms) {
    std::vector<Address> gone;
    std::uint64_t next = UINT64_MAX;
    addresses_.for_each_limited([&](Address& address) {
        if (address.valid_until_ms != 0 && address.valid_until_ms <= now_ms) {
            gone.push_back(address);
            return;
        }
        if (address.valid_until_ms != 0) {
            next = std::min(next, address.valid_until_ms);
        }
        if (address.preferred_until_ms == 0 || address.deprecated) {
            return;
        }
        if (address.preferred_until_ms > now_ms) {
            next = std::min(next, address.preferred_until_ms);
            return;
        }
        address.deprecated = true;
        ++generation_;
        actions_.address_changed(Address{address}, false);
    });
    for (const Address& address : gone) {
        static_cast<void>(del_address(address.link, address.prefix, address.peer));
    }
    return next;
}

// An address was taken out of the table.
void Routing::Impl::forget_address(const Address& address) {
    // IPv4 ends on a link with its last address there, IPv6 does not.
    if (!address.prefix.address.is_v4() || addresses_.has(address.link, net::Family::ipv4)) {
        static_cast<void>(sync_kernel_routes(address.link));
    } else {
        take_down(address.link, net::Family::ipv4);
    }
    const net::IpAddress& own = address.prefix.address;
    if (const TableId table = table_id_of(address.link); !is_local_in(table, own)) {
        remove_routes_from(table, own);
    }
    ++generation_;
    actions_.address_changed(address, true);
}

std::size_t Routing::Impl::flush_addresses(LinkId link) {
    std::size_t removed = 0;
    for (const Address& address : addresses_of(link)) {
        if (del_address(link, address.prefix, address.peer)) {
            ++removed;
        }
    }
    return removed;
}

}  // namespace culvert::route
