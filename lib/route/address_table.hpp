// SPDX-License-Identifier: BSD-3-Clause
// The links' own addresses (UI-ADDR-01), and what follows from them: the routes the kernel
// installs, and the source address of packets that have none (RT-07). Control only.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/result.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <functional>
#include <vector>

namespace culvert::route {

// rtnetlink's numbers: the higher, the narrower.
enum class Scope : std::uint8_t { global = 0, site = 200, link = 253, host = 254 };
[[nodiscard]] Scope scope_of(const std::string& name) noexcept;

class AddressTable {
public:
    // Errors EEXIST, EINVAL, EAFNOSUPPORT.
    Result<void> add(const Address& address, bool replace);
    // Error EADDRNOTAVAIL.
    Result<Address>
    remove(LinkId link, const net::Prefix& prefix, const std::optional<net::IpAddress>& peer = {});

    // Those that are not for ever.
    template <typename Visit>
    void for_each_limited(Visit visit) {
        for (Address& address : addresses_) {
            if (address.valid_until_ms != 0 || address.preferred_until_ms != 0) {
                visit(address);
            }
        }
    }

    [[nodiscard]] const std::vector<Address>& all() const noexcept { return addresses_; }

    [[nodiscard]] bool has(LinkId link, net::Family family) const noexcept;
    // The link's own IPv6 address; nullptr = it has no such.
    [[nodiscard]] Address* find(LinkId link, const net::IpAddress& address) noexcept;
    [[nodiscard]] const Address* find(LinkId link, const net::IpAddress& address) const noexcept;
    // The link's local, connected and broadcast routes while it is up.
    [[nodiscard]] std::vector<Route> kernel_routes(LinkId link) const;
    // The address to send from out of `link` to `near`: one in near's subnet (if near is
    // specified), else the link's first, else another link's for which `usable` holds; none
    // narrower than `narrowest`. "::" = none. IPv4.
    [[nodiscard]] net::IpAddress select(
        LinkId link,
        const net::IpAddress& near,
        Scope narrowest,
        const std::function<bool(LinkId)>& usable
    ) const;

    // RFC 6724: what to send from out of `link` to `destination`. "::" = none.
    [[nodiscard]] net::IpAddress select6(
        LinkId link, const net::IpAddress& destination, const std::function<bool(LinkId)>& usable
    ) const;

    // The route to an IPv6 address's network. Those of link-local ones are not in the RIB: each
    // link has the same one, and who asks for such a destination names its link.
    [[nodiscard]] static Route network_route6(const Address& address);

private:
    static void add_kernel_routes6(const Address& address, std::vector<Route>& routes);
    // Not the first of its link in its subnet: it has no connected route and is not chosen as a
    // source.
    [[nodiscard]] bool is_secondary(const Address& address) const noexcept;

    std::vector<Address> addresses_;  // in the order they were added
};

}  // namespace culvert::route
