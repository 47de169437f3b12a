// SPDX-License-Identifier: BSD-3-Clause
// IPv6: the routes of addresses, and which of them a packet is sent from.
#include "lib/route/address_table.hpp"

#include <algorithm>
#include <bit>
#include <tuple>

namespace culvert::route {

namespace {

constexpr std::uint32_t kKernelMetric = 256;  // IP6_RT_PRIO_ADDRCONF

unsigned common_bits(const net::IpAddress& a, const net::IpAddress& b) noexcept {
    for (std::size_t i = 0; i < a.bytes().size(); ++i) {
        const auto different = static_cast<std::uint8_t>(a.bytes()[i] ^ b.bytes()[i]);
        if (different != 0) {
            return static_cast<unsigned>(i) * 8 +
                   static_cast<unsigned>(std::countl_zero(different));
        }
    }
    return 128;
}

// RFC 4007: a group says it itself.
std::uint8_t scope_number(const net::IpAddress& address) noexcept {
    constexpr std::uint8_t kLinkLocal = 0x2;
    constexpr std::uint8_t kGlobal = 0xe;
    if (address.is_multicast()) {
        return address.bytes()[1] & 0x0f;
    }
    return address.is_link_local_v6() || address.is_loopback() ? kLinkLocal : kGlobal;
}

}  // namespace

Route AddressTable::network_route6(const Address& address) {
    Route route;
    route.link = address.link;
    route.protocol = "kernel";
    route.prefix = address.prefix.network();
    route.metric = kKernelMetric;
    return route;
}

// addrconf: the host route when the address is ours for certain, the network's at once.
void AddressTable::add_kernel_routes6(const Address& address, std::vector<Route>& routes) {
    Route route;
    route.link = address.link;
    route.protocol = "kernel";
    if (!address.tentative) {
        route.prefix = {address.prefix.address, 128};
        route.type = RouteType::local;
        routes.push_back(route);
    }
    if (!address.noprefixroute && !address.prefix.is_host() &&
        !address.prefix.address.is_link_local_v6()) {
        route = network_route6(address);
        if (std::find(routes.begin(), routes.end(), route) == routes.end()) {
            routes.push_back(route);
        }
    }
    // Beside its own network: __ipv6_ifa_notify().
    if (address.peer.has_value()) {
        route = network_route6(address);
        route.prefix = {*address.peer, 128};
        routes.push_back(route);
    }
}

// Rules 1, 2, 3, 5 and 8 of RFC 6724, 5. A link-local destination has none but its link's own.
net::IpAddress AddressTable::select6(
    LinkId link, const net::IpAddress& destination, const std::function<bool(LinkId)>& usable
) const {
    const std::uint8_t wanted = scope_number(destination);
    // (same address, scope fits, larger is closer, preferred, on the link, common bits)
    using Rank = std::tuple<bool, bool, int, bool, bool, unsigned>;
    const Address* best = nullptr;
    Rank best_rank;
    for (const Address& address : addresses_) {
        const net::IpAddress& own = address.prefix.address;
        const bool is_here = address.link == link;
        const std::uint8_t scope = own.is_v4() ? 0 : scope_number(own);
        const bool is_far_link_local = own.is_link_local_v6() && !is_here;
        if (own.is_v4() || address.tentative || is_far_link_local || !usable(address.link)) {
            continue;
        }
        const bool is_enough = scope >= wanted;
        const Rank rank{
            own == destination,
            is_enough,
            is_enough ? -scope : scope,
            !address.deprecated,
            is_here,
            std::min<unsigned>(common_bits(own, destination), address.prefix.length)};
        if (best == nullptr || rank > best_rank) {
            best = &address;
            best_rank = rank;
        }
    }
    return best != nullptr ? best->prefix.address : net::IpAddress{};
}

}  // namespace culvert::route
