// SPDX-License-Identifier: BSD-3-Clause
// Routing: what is IPv6's own. Link-local destinations are not in the FIB: they are never
// forwarded, and each link has its own ones.
#include "lib/net/ipv6.hpp"
#include "lib/route/routing_impl.hpp"

#include <fmt/format.h>
#include <rte_mbuf.h>

#include <cstring>

namespace culvert::route {

namespace {

// RFC 4291, appendix A: the MAC with ff:fe in the middle and its universal bit turned over.
net::IpAddress link_local_of(const net::MacAddress& mac) noexcept {
    const auto& m = mac.bytes;
    const auto first = static_cast<std::uint8_t>(m[0] ^ 0x02);
    return net::IpAddress::from_v6(
        {0xfe, 0x80, 0, 0, 0, 0, 0, 0, first, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
    );
}

}  // namespace

// --- addresses

bool Routing::Impl::is_local_on(LinkId link, const net::IpAddress& address) const {
    if (!address.is_link_local_v6()) {
        return is_local(address, link);
    }
    const Address* own = addresses_.find(link, address);
    return own != nullptr && !own->tentative && is_up(link);
}

net::IpAddress Routing::Impl::select_source6(LinkId link, const net::IpAddress& destination) const {
    const TableId table = table_id_of(link);
    return addresses_.select6(link, destination, [this, table](LinkId other) {
        return is_up(other) && table_id_of(other) == table;
    });
}

// What follows from the address itself. One that is there already stays as far as it is.
Address Routing::Impl::prepared6(const Address& address) const {
    Address prepared = address;
    const net::IpAddress& own = address.prefix.address;
    prepared.scope = own.is_link_local_v6() ? "link" : own.is_loopback() ? "host" : "global";
    prepared.tentative = !address.nodad && has_link_layer(address.link);
    if (const Address* before = addresses_.find(address.link, own); before != nullptr) {
        prepared.tentative = before->tentative;
        prepared.dad_failed = before->dad_failed;
        prepared.automatic = before->automatic;
    }
    return prepared;
}

void Routing::Impl::end_detection(LinkId link, const net::IpAddress& address, bool is_duplicate) {
    Address* own = addresses_.find(link, address);
    if (own == nullptr || !own->tentative) {
        return;
    }
    own->tentative = is_duplicate;
    own->dad_failed = is_duplicate;
    if (!is_duplicate) {
        // What finds no room is missing as after any refused add; there is nobody to tell here.
        static_cast<void>(sync_kernel_routes(link));
        ++generation_;
    }
    actions_.address_changed(Address{*own}, false);
}

// addrconf_dev_config(): a link that comes up has one.
void Routing::Impl::add_link_local(LinkId link) {
    const LinkParameters& parameters = links_.find(link)->second.parameters;
    if (!parameters.has_link_local || parameters.mac.is_zero() ||
        parameters.mtu < net::kIpv6MinMtu) {
        return;
    }
    Address address;
    address.link = link;
    address.prefix = {link_local_of(parameters.mac), 64};
    address.automatic = true;
    if (addresses_.find(link, address.prefix.address) == nullptr) {
        static_cast<void>(add_address(address, false));
    }
}

void Routing::Impl::drop_link_local(LinkId link) {
    std::vector<Address> automatic = addresses_of(link);
    std::erase_if(automatic, [](const Address& address) { return !address.automatic; });
    for (const Address& address : automatic) {
        static_cast<void>(del_address(link, address.prefix, {}));
    }
}

// The link is up again: who is on it now may have our addresses.
void Routing::Impl::detect_again(LinkId link) {
    for (const Address& address : addresses_of(link)) {
        if (address.prefix.address.is_v4() || address.nodad || address.tentative ||
            !has_link_layer(link)) {
            continue;
        }
        addresses_.find(link, address.prefix.address)->tentative = true;
        static_cast<void>(sync_kernel_routes(link));
        actions_.address_changed(Address{*addresses_.find(link, address.prefix.address)}, false);
    }
}

std::vector<Address> Routing::Impl::addresses_of(LinkId link) const {
    std::vector<Address> found;
    for (const Address& address : addresses_.all()) {
        if (address.link == link) {
            found.push_back(address);
        }
    }
    return found;
}

// --- routes

void Routing::Impl::for_each_route(const std::function<void(const Route&)>& visit) const {
    main_->rib.for_each_in_order(visit);
    for (const auto& [id, table] : tables_) {
        if (table.get() != main_) {
            table->rib.for_each_in_order(visit);
        }
    }
    for (const Address& address : addresses_.all()) {
        if (address.prefix.address.is_link_local_v6() && is_up(address.link) &&
            !address.noprefixroute && !address.prefix.is_host()) {
            Route network = AddressTable::network_route6(address);
            network.table = table_id_of(address.link);
            visit(network);
        }
    }
}

// ip6_validate_gw(). The link of a link-local gateway cannot be guessed.
Result<void> Routing::Impl::check_gateway6(Route& route) const {
    const net::IpAddress gateway = *route.gateway;
    const auto invalid = [&](std::errc code, std::string_view why) {
        return Error{
            code,
            fmt::format(
                "route {}: Nexthop has invalid gateway. {}: {}",
                route.prefix.to_string(),
                gateway.to_string(),
                why
            )};
    };
    if (gateway.is_v4() || gateway.is_unspecified() || gateway.is_multicast() ||
        gateway.is_loopback()) {
        return invalid(std::errc::invalid_argument, "it is not an IPv6 host's address");
    }
    if (gateway.is_link_local_v6() && route.link == kNoLink) {
        return invalid(std::errc::invalid_argument, "Egress device not specified");
    }
    if (route.link == kNoLink ? is_local_in(route.table, gateway)
                              : is_local_on(route.link, gateway)) {
        return invalid(std::errc::invalid_argument, "it is an address of ours");
    }
    if (!gateway.is_link_local_v6() && !route.onlink) {
        const Route* found = find_near(route, [&](const Route& other) {
            return other.type != RouteType::unicast || route.link == kNoLink ||
                   other.link == route.link;
        });
        if (found == nullptr || found->type != RouteType::unicast || found->gateway.has_value() ||
            !found->next_hops.empty()) {
            return invalid(std::errc::host_unreachable, "it is not on a connected network");
        }
        route.link = found->link;
    }
    if (route.link == kNoLink) {
        return invalid(std::errc::no_such_device, "Nexthop device required for onlink");
    }
    if (!is_up(route.link)) {
        return Error{
            std::errc::network_down,
            fmt::format(
                "route {}: Nexthop device is not up: {}",
                route.prefix.to_string(),
                name_of(route.link)
            )};
    }
    return {};
}

// --- neighbours

// ndisc_solicit(): as the waiting packet says if that is an address of ours, else the link's own.
net::IpAddress Routing::Impl::solicitation_source(const NeighbourKey& key) const {
    const Neighbour* neighbour = neighbours_.find(key);
    if (neighbour != nullptr && !neighbour->queue.empty()) {
        const rte_mbuf* packet = neighbour->queue.back();
        constexpr std::size_t kOffset = sizeof(net::EtherHeader);
        net::Ipv6Header ip{};
        if (rte_pktmbuf_data_len(packet) >= kOffset + sizeof(ip)) {
            std::memcpy(&ip, rte_pktmbuf_mtod_offset(packet, const char*, kOffset), sizeof(ip));
        }
        // An IPv4 packet may wait for an IPv6 gateway.
        if (ip.version() == 6) {
            const auto source = net::IpAddress::from_v6(ip.source);
            const Address* own = addresses_.find(key.link, source);
            if (own != nullptr && !own->tentative) {
                return source;
            }
        }
    }
    return select_source6(key.link, net::IpAddress::from_v6({0xfe, 0x80}));
}

}  // namespace culvert::route
