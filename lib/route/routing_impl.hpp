// SPDX-License-Identifier: BSD-3-Clause
// Routing's inside. What a prefix forwards to is always derived anew from routes, addresses and
// neighbours (wanted()), compared with what the FIB says, and corrected (sync()): there is one
// place that writes the FIB, and no event needs to know what an earlier one did.
#pragma once

#include "lib/net/ipv4.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/address_table.hpp"
#include "lib/route/adjacency_set.hpp"
#include "lib/route/multipath_set.hpp"
#include "lib/route/neighbour.hpp"
#include "lib/route/routing.hpp"
#include "lib/route/routing_table.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace culvert::route {

inline constexpr net::IpAddress kLimitedBroadcast =
    net::IpAddress::from_v4(net::kIpv4LimitedBroadcast);

// RT-10 (ipv4_mtu): one that is locked without being said is 576 behind a gateway.
[[nodiscard]] inline std::uint32_t mtu_of_route(const Route& route) noexcept {
    constexpr std::uint32_t kLockedMtu = 576;
    const bool is_unsaid = route.mtu == 0 && route.mtu_locked && route.gateway.has_value();
    return is_unsaid && route.prefix.address.is_v4() ? kLockedMtu : route.mtu;
}

class Routing::Impl final : private NeighbourActions {
public:
    Impl(
        rcu::Domain& domain,
        RoutingActions& actions,
        const Limits& limits,
        NeighbourParameters neighbour_parameters,
        std::unique_ptr<Fib4> fib,
        std::unique_ptr<Fib6> fib6
    );
    ~Impl() override;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    // Installs what is there without any route. Error as Fib4::set.
    Result<void> start();

    // routing_links.cpp
    void set_link(LinkId link, const LinkParameters& parameters, std::uint64_t now_ms);
    void del_link(LinkId link);
    Result<void> add_address(const Address& address, bool replace);
    Result<void> del_address(LinkId link, const net::Prefix& prefix);
    std::size_t flush_addresses(LinkId link);

    // routing_groups.cpp
    Result<void> join(LinkId link, const net::IpAddress& group);
    void leave(LinkId link, const net::IpAddress& group);

    // routing_routes.cpp
    Result<void> modify_route(RouteVerb verb, const Route& route);
    Result<void> del_route(const Route& pattern);

    // routing_tables.cpp
    [[nodiscard]] LinkId vrf_of(LinkId link) const;
    [[nodiscard]] TableId table_id_of(LinkId link) const;
    Result<const TableView*> open_table(TableId table);

    // routing_lookup.cpp
    [[nodiscard]] bool is_local(const net::IpAddress& address, LinkId near) const;
    [[nodiscard]] Path
    lookup(const net::IpAddress& destination, LinkId by, const net::IpAddress& source) const;
    [[nodiscard]] Path lookup_forward(
        const net::IpAddress& destination, const net::IpAddress& source, LinkId link_in
    ) const;

    void learn_path_mtu(
        const net::IpAddress& destination, std::uint32_t mtu, std::uint64_t now_ms, LinkId near
    );

    // routing_neighbours.cpp
    void
    resolve(LinkId link, const net::IpAddress& next_hop, rte_mbuf* frame, std::uint64_t now_ms);
    [[nodiscard]] std::optional<Adjacency>
    neighbour_adjacency(LinkId link, const net::IpAddress& next_hop, net::Family family) const;
    std::uint64_t tick(std::uint64_t now_ms);

    // routing_ip6.cpp
    void for_each_route(const std::function<void(const Route&)>& visit) const;
    [[nodiscard]] bool is_local_on(LinkId link, const net::IpAddress& address) const;
    void end_detection(LinkId link, const net::IpAddress& address, bool is_duplicate);
    [[nodiscard]] net::IpAddress
    select_source6(LinkId link, const net::IpAddress& destination) const;

    [[nodiscard]] const Fib4& fib() const noexcept { return *main_->fib4; }

    [[nodiscard]] const Fib6& fib6() const noexcept { return *main_->fib6; }

    [[nodiscard]] const OwnAddresses& own_addresses6() const noexcept {
        return main_->own_addresses6;
    }

    [[nodiscard]] const AdjacencyTable& adjacencies() const noexcept {
        return adjacencies_.table();
    }

    [[nodiscard]] const OwnAddresses& own_addresses() const noexcept {
        return main_->own_addresses;
    }

    [[nodiscard]] const AddressTable& addresses() const noexcept { return addresses_; }

    [[nodiscard]] NeighbourTable& neighbours() noexcept { return neighbours_; }

    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

    // routing_multipath.cpp
    [[nodiscard]] std::shared_ptr<const Ways> ways(const net::IpAddress& destination, LinkId by);

    [[nodiscard]] const net::SharedMultipathSettings& multipath_settings() const noexcept {
        return multipath_settings_;
    }

    void set_multipath(const net::MultipathSettings& settings) noexcept {
        multipath_settings_.store(settings, std::memory_order_relaxed);
        ++generation_;
    }

private:
    struct Link {
        LinkParameters parameters;
        std::vector<Route>
            kernel_routes;  // what its addresses installed, whether or not users left it there
    };

    // What the FIB should say for a prefix.
    struct Wanted {
        AdjacencyKey key;
        bool holds_neighbour = false;
        MultipathHops hops{};  // of a multipath, whose number is not in the key yet
    };

    // NeighbourActions
    void solicit(const NeighbourKey& key, std::optional<net::MacAddress> unicast_to) override;
    void changed(const Neighbour& neighbour, bool removed) override;
    void send(const Neighbour& neighbour, rte_mbuf* packet) override;
    void give_up(const Neighbour& neighbour, rte_mbuf* packet, QueueVerdict why) override;

    // links and addresses
    [[nodiscard]] const Link* find_link(LinkId link) const;
    [[nodiscard]] bool is_up(LinkId link) const;
    [[nodiscard]] bool has_link_layer(LinkId link) const;
    [[nodiscard]] std::string name_of(LinkId link) const;
    void take_down(LinkId link, std::optional<net::Family> family);
    Result<void> sync_kernel_routes(LinkId link);
    void forget_address(const Address& address);
    [[nodiscard]] std::vector<Address> addresses_of(LinkId link) const;
    [[nodiscard]] Address prepared6(const Address& address) const;
    void add_link_local(LinkId link);
    void drop_link_local(LinkId link);
    void detect_again(LinkId link);

    // tables
    [[nodiscard]] const RoutingTable& table_of(LinkId link) const;
    [[nodiscard]] RoutingTable& table_of(LinkId link);
    [[nodiscard]] RoutingTable* find_table(TableId table);
    [[nodiscard]] const RoutingTable* find_table(TableId table) const;
    Result<RoutingTable*> make_table(TableId table);
    void drop_table_if_unused(TableId table);
    void note_leaks(RoutingTable& table, const Route& route) const;
    [[nodiscard]] bool is_vrf(LinkId link) const;
    [[nodiscard]] bool is_local_in(TableId table, const net::IpAddress& address) const;
    [[nodiscard]] bool is_source_of(const Route& route) const;

    // fib_check_nh(): who a gateway is, says the route's own table, or else its link's.
    template <typename Accept>
    [[nodiscard]] const Route* find_near(const Route& route, Accept accept) const {
        const RoutingTable* own = find_table(route.table);
        const Route* found =
            own != nullptr ? own->rib.longest_match(*route.gateway, accept) : nullptr;
        const RoutingTable& other = table_of(route.link);
        return found == nullptr && &other != own ? other.rib.longest_match(*route.gateway, accept)
                                                 : found;
    }

    // routes
    Result<void> check(Route& route) const;
    Result<void> check_next_hop(Route& route) const;
    Result<void> check_next_hops(Route& route) const;
    Result<void> check_gateway(Route& route) const;
    Result<void> check_gateway6(Route& route) const;
    Result<void> change_rib(RouteVerb verb, const Route& route);
    void after_removal(const Route& route);
    void remove_routes_by(LinkId link, const std::function<bool(const Route&)>& pick);
    void remove_routes_from(TableId table, const net::IpAddress& source);
    void remove_routes(std::vector<Route> picked);
    [[nodiscard]] std::optional<Wanted>
    wanted(const RoutingTable& table, const net::Prefix& prefix, const Rib::Node* node) const;
    [[nodiscard]] Wanted wanted_of(const Route& route) const;
    [[nodiscard]] bool is_as_wanted(const Rib::Node& node, const Wanted& next) const;
    Result<void> sync(RoutingTable& table, const net::Prefix& prefix);
    Result<void> install(RoutingTable& table, const net::Prefix& prefix, const Wanted& next);
    Result<void> withdraw(RoutingTable& table, const net::Prefix& prefix);
    static void note_own(
        RoutingTable& table,
        const net::Prefix& prefix,
        const AdjacencyEntry* before,
        const AdjacencyEntry* after
    ) noexcept;
    [[nodiscard]] AdjacencyEntry* acquire(const MultipathHop& hop);
    [[nodiscard]] AdjacencyEntry* acquire(const Wanted& next);
    void release(AdjacencyEntry* entry, bool holds_neighbour);
    void mark_hops(LinkId link, std::optional<net::Family> family, bool dead);
    void
    mark_hops_in(RoutingTable& table, LinkId link, std::optional<net::Family> family, bool dead);
    [[nodiscard]] Result<Route> merged(const Route& route) const;
    bool del_sibling(const Route& pattern);
    void sync_hosts(RoutingTable& table, const net::Prefix& prefix);
    [[nodiscard]] bool has_joined(const RoutingTable& table, const net::IpAddress& group) const;
    void sync_groups(RoutingTable& table, LinkId link);
    void forget_groups(LinkId link);
    void sync_host(const NeighbourKey& key);

    // lookups
    [[nodiscard]] bool goes_on_to_main(const RoutingTable& table, const Route* route) const;
    [[nodiscard]] Path path_of(const Route& route, const net::IpAddress& destination) const;
    [[nodiscard]] Route one_of(
        const RoutingTable& table,
        const Route& route,
        LinkId link,
        const net::IpAddress& source,
        const net::IpAddress& destination
    ) const;
    [[nodiscard]] std::uint32_t
    hash_of(const net::IpAddress& source, const net::IpAddress& destination) const;
    static void
    take_learned_mtu(const RoutingTable& table, Path& path, const net::IpAddress& destination);
    [[nodiscard]] Path on_link_path(const net::IpAddress& destination, LinkId link) const;
    void complete(Path& path, const AdjacencyKey& unresolved) const;
    [[nodiscard]] net::IpAddress
    select_source(LinkId link, const net::IpAddress& near, Scope narrowest) const;
    [[nodiscard]] std::uint32_t mtu_of(LinkId link, std::uint32_t route_mtu) const;

    // neighbours
    [[nodiscard]] Adjacency describe(const AdjacencyKey& key) const;
    [[nodiscard]] std::optional<net::MacAddress>
    known_mac_of(LinkId link, const net::IpAddress& next_hop) const;
    [[nodiscard]] std::optional<net::MacAddress>
    mac_of(LinkId link, const net::IpAddress& next_hop) const;
    [[nodiscard]] std::optional<net::MacAddress>
    tunnel_address_of(LinkId link, const net::IpAddress& next_hop) const;
    [[nodiscard]] std::optional<net::MacAddress>
    group_mac_of(LinkId link, const net::IpAddress& next_hop) const;
    [[nodiscard]] net::IpAddress arp_source(const NeighbourKey& key) const;
    [[nodiscard]] net::IpAddress solicitation_source(const NeighbourKey& key) const;
    void send_frame(LinkId link, const net::MacAddress& destination, rte_mbuf* frame);
    void send_by_tunnel(LinkId link, const net::IpAddress& next_hop, rte_mbuf* frame);

    rcu::Domain& domain_;
    RoutingActions& actions_;
    Limits limits_;
    std::uint64_t now_ms_ = 0;  // as last told
    std::uint64_t generation_ = 1;
    std::map<LinkId, Link> links_;
    AddressTable addresses_;
    std::map<TableId, std::unique_ptr<RoutingTable>> tables_;
    RoutingTable* main_ = nullptr;  // in tables_
    AdjacencySet adjacencies_;
    MultipathSet multipaths_;
    // (group, link) that were joined, how often
    std::map<std::pair<net::IpAddress, LinkId>, unsigned> groups_;
    net::SharedMultipathSettings multipath_settings_{net::MultipathSettings{}};
    std::set<std::pair<net::IpAddress, LinkId>>
        with_mac_;               // neighbours that may have a host route in the FIB
    NeighbourTable neighbours_;  // last: its end gives up packets through this object
};

}  // namespace culvert::route
