// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/address_table.hpp"

#include "lib/net/ipv4.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::route {

namespace {

constexpr net::IpAddress kLimitedBroadcast = net::IpAddress::from_v4(net::kIpv4LimitedBroadcast);

Error refused(std::errc code, const Address& address, std::string_view why) {
    return {
        code,
        fmt::format("address {} on link {}: {}", address.prefix.to_string(), address.link, why)};
}

Result<void> check(const Address& address) {
    const net::IpAddress& own = address.prefix.address;
    if (address.prefix.length > address.prefix.max_length()) {
        return refused(std::errc::invalid_argument, address, "Invalid prefix length");
    }
    if (own.is_unspecified() || own.is_multicast() || own == kLimitedBroadcast) {
        // The kernel's ipv6_add_addr() and inet_rtm_newaddr() differ in this.
        const std::errc code =
            own.is_v4() ? std::errc::invalid_argument : std::errc::address_not_available;
        return refused(code, address, "it is not a host's address");
    }
    if (address.peer.has_value() && address.peer->is_v4() != own.is_v4()) {
        return refused(std::errc::invalid_argument, address, "its peer is of the other family");
    }
    if (!own.is_v4() && address.broadcast.has_value()) {
        return refused(std::errc::invalid_argument, address, "IPv6 has no broadcast addresses");
    }
    return {};
}

net::IpAddress last_of(const net::Prefix& prefix) noexcept {
    const std::uint32_t host_bits =
        prefix.length == 0 ? 0xffffffff : (1U << (32 - prefix.length)) - 1;
    return net::IpAddress::from_v4(prefix.network().address.v4() | host_bits);
}

Route kernel_route(
    const Address& address, const net::Prefix& prefix, RouteType type, const char* scope
) {
    Route route;
    route.prefix = prefix;
    route.type = type;
    route.link = address.link;
    route.preferred_source = address.prefix.address;
    route.protocol = "kernel";
    route.scope = scope;
    return route;
}

}  // namespace

Scope scope_of(const std::string& name) noexcept {
    if (name == "host") {
        return Scope::host;
    }
    if (name == "link") {
        return Scope::link;
    }
    return name == "site" ? Scope::site : Scope::global;
}

Result<void> AddressTable::add(const Address& address, bool replace) {
    CULVERT_CHECK(check(address));
    const auto same = std::find_if(addresses_.begin(), addresses_.end(), [&](const Address& other) {
        // IPv6: whatever the length.
        if (other.link != address.link) {
            return false;
        }
        const bool is_same = other.prefix == address.prefix && other.network() == address.network();
        return is_same ||
               (!address.prefix.address.is_v4() && other.prefix.address == address.prefix.address);
    });
    if (same == addresses_.end()) {
        addresses_.push_back(address);
        return {};
    }
    if (!replace) {
        return refused(std::errc::file_exists, address, "Address already assigned");
    }
    *same = address;
    return {};
}

Result<Address> AddressTable::remove(
    LinkId link, const net::Prefix& prefix, const std::optional<net::IpAddress>& peer
) {
    const net::Prefix network = net::Prefix{peer.value_or(prefix.address), prefix.length}.network();
    // IPv6 asks for no peer.
    const auto found =
        std::find_if(addresses_.begin(), addresses_.end(), [&](const Address& address) {
            return address.link == link && address.prefix == prefix &&
                   (!prefix.address.is_v4() || address.network() == network);
        });
    if (found == addresses_.end()) {
        Address absent;
        absent.link = link;
        absent.prefix = prefix;
        return refused(std::errc::address_not_available, absent, "Address not found");
    }
    Address removed = std::move(*found);
    addresses_.erase(found);
    return removed;
}

bool AddressTable::has(LinkId link, net::Family family) const noexcept {
    return std::any_of(addresses_.begin(), addresses_.end(), [&](const Address& address) {
        return address.link == link && address.prefix.address.family() == family;
    });
}

const Address* AddressTable::find(LinkId link, const net::IpAddress& address) const noexcept {
    for (const Address& own : addresses_) {
        if (own.link == link && own.prefix.address == address) {
            return &own;
        }
    }
    return nullptr;
}

Address* AddressTable::find(LinkId link, const net::IpAddress& address) noexcept {
    return const_cast<Address*>(std::as_const(*this).find(link, address));
}

bool AddressTable::is_secondary(const Address& address) const noexcept {
    for (const Address& other : addresses_) {
        if (&other == &address) {
            return false;
        }
        if (other.link == address.link && other.prefix.length == address.prefix.length &&
            other.network() == address.network()) {
            return true;
        }
    }
    return false;
}

std::vector<Route> AddressTable::kernel_routes(LinkId link) const {
    std::vector<Route> routes;
    for (const Address& address : addresses_) {
        if (address.link != link) {
            continue;
        }
        const net::IpAddress& own = address.prefix.address;
        if (!own.is_v4()) {
            add_kernel_routes6(address, routes);
            continue;
        }
        const net::Prefix network = address.network();
        routes.push_back(kernel_route(address, {own, 32}, RouteType::local, "host"));
        if (address.broadcast.has_value() && *address.broadcast != kLimitedBroadcast) {
            routes.push_back(
                kernel_route(address, {*address.broadcast, 32}, RouteType::broadcast, "link")
            );
        }
        // 0.0.0.0/8 is "this network" (RFC 1122 3.2.1.3); a /32 is covered by its local route.
        const bool has_network =
            network.address.v4() >> 24 != 0 && (network.length < 32 || network.address != own);
        if (!has_network || is_secondary(address)) {
            continue;
        }
        if (!address.noprefixroute) {
            routes.push_back(kernel_route(address, network, RouteType::unicast, "link"));
        }
        // RFC 3021: a /31 has no broadcast address.
        if (network.length < 31) {
            Route broadcast =
                kernel_route(address, {last_of(network), 32}, RouteType::broadcast, "link");
            if (std::find(routes.begin(), routes.end(), broadcast) == routes.end()) {
                routes.push_back(std::move(broadcast));
            }
        }
    }
    return routes;
}

net::IpAddress AddressTable::select(
    LinkId link,
    const net::IpAddress& near,
    Scope narrowest,
    const std::function<bool(LinkId)>& usable
) const {
    net::IpAddress first;
    for (const Address& address : addresses_) {
        if (!address.prefix.address.is_v4() || address.link != link ||
            scope_of(address.scope) > narrowest || is_secondary(address)) {
            continue;
        }
        if (near.is_unspecified() || address.network().contains(near)) {
            return address.prefix.address;
        }
        if (first.is_unspecified()) {
            first = address.prefix.address;
        }
    }
    if (!first.is_unspecified()) {
        return first;
    }
    for (const Address& address : addresses_) {
        const Scope scope = scope_of(address.scope);
        const bool is_fit = address.prefix.address.is_v4() && address.link != link &&
                            scope != Scope::link && scope <= narrowest;
        if (is_fit && usable(address.link) && !is_secondary(address)) {
            return address.prefix.address;
        }
    }
    return {};
}

}  // namespace culvert::route
