// SPDX-License-Identifier: BSD-3-Clause
// Addresses, routes and neighbours as one whole, kept consistent with what workers read (Fib4,
// Fib6, AdjacencyTable). Control only. On-link destinations whose neighbour is known have a /32 or
// /128 of their own in the FIB, so that a worker needs one lookup; on-link prefixes end in a glean
// adjacency, which brings the first packet here.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/multipath_hash.hpp"
#include "lib/net/result.hpp"
#include "lib/route/adjacency.hpp"
#include "lib/route/fib4.hpp"
#include "lib/route/fib6.hpp"
#include "lib/route/neighbour.hpp"
#include "lib/route/own_addresses.hpp"
#include "lib/route/table_view.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::route {

// What routing must know of a link.
struct LinkParameters {
    std::string name{};
    net::MacAddress mac{};
    std::uint32_t mtu = 1500;
    bool up = false;
    // False: next hops there have no MAC. A packet's 14 bytes say its EtherType, and the gateway in
    // the first four, 0 without one (encap/ip_tunnel.hpp).
    bool has_link_layer = true;
    // While up it has the IPv6 address that follows from its MAC (RFC 4862 5.3).
    bool has_link_local = false;
    // The VRF it is in, or is, and the table that VRF has.
    LinkId vrf = kNoLink;
    TableId table = kMainTable;
    // Without a link layer: whether a neighbour's link-layer address, in its first four bytes, is
    // the gateway that is meant (GRE-TX-03).
    bool has_neighbours = false;
};

struct Address {
    LinkId link = kNoLink;
    net::Prefix prefix{};  // with host bits: 192.0.2.1/24
    // Who is on the other end (UI-ADDR-01): then the length is of this one's network.
    std::optional<net::IpAddress> peer{};
    std::optional<net::IpAddress> broadcast{};
    std::string scope = "global";
    std::string label{};  // the link's name
    bool noprefixroute = false;
    // IPv6
    bool nodad = false;       // no duplicate address detection
    bool tentative = false;   // it has not ended yet: not ours to use
    bool dad_failed = false;  // somebody else has it: tentative for good
    bool automatic = false;   // link-local, made of the MAC
    // Until when it is there, and chosen as a source, by the clock of tick(); 0 = for ever.
    std::uint64_t valid_until_ms = 0;
    std::uint64_t preferred_until_ms = 0;
    bool deprecated = false;  // no longer preferred

    // What is on-link by it.
    [[nodiscard]] net::Prefix network() const noexcept {
        return net::Prefix{peer.value_or(prefix.address), prefix.length}.network();
    }
};

enum class RouteType : std::uint8_t {
    unicast,
    local,
    broadcast,
    unreachable,
    prohibit,
    blackhole,
    throws  // as if there were none
};

// One of several.
struct NextHop {
    std::optional<net::IpAddress> gateway{};
    LinkId link = kNoLink;
    std::uint16_t weight = 1;  // 1 .. 256
    bool onlink = false;
    bool dead = false;  // its link is down

    friend bool operator==(const NextHop&, const NextHop&) = default;
};

struct Route {
    net::Prefix prefix{};
    RouteType type = RouteType::unicast;
    std::optional<net::IpAddress> gateway{};
    LinkId link = kNoLink;
    std::optional<net::IpAddress> preferred_source{};
    std::uint32_t metric = 0;
    std::uint32_t mtu = 0;  // 0 = the link's
    bool mtu_locked = false;
    bool onlink = false;
    std::uint8_t tos = 0;           // IPv4: of packets that are routed by it; 0 = of all
    std::string protocol = "boot";  // boot, kernel, static, ...
    std::string scope = "global";   // global, link, host
    TableId table = kMainTable;
    // Two or more; then `gateway`, `link` and `onlink` say nothing.
    std::vector<NextHop> next_hops{};

    friend bool operator==(const Route&, const Route&) = default;

    // Does it, or one of its next hops, leave by the link?
    [[nodiscard]] bool leaves_by(LinkId other) const noexcept {
        return link == other ||
               std::any_of(next_hops.begin(), next_hops.end(), [other](const NextHop& hop) {
                   return hop.link == other;
               });
    }

    // RT-05: whether it is for packets with this TOS.
    [[nodiscard]] bool takes(std::uint8_t packet_tos) const noexcept {
        return tos == 0 || tos == (packet_tos & kTosMask);
    }

    // The route as if this next hop were its only one.
    [[nodiscard]] Route by(const NextHop& hop) const;
};

// What a user wants done where a route of the same prefix and metric is, or none is.
enum class RouteVerb : std::uint8_t { add, append, prepend, replace, change, test };

// What a lookup answers: route get, tunnels' outer path, source address choice.
struct Path {
    AdjacencyKind kind = AdjacencyKind::no_route;
    AdjacencyId adjacency = 0;
    LinkId link = kNoLink;
    net::IpAddress next_hop;  // gateway, or the destination on-link
    bool via_gateway = false;
    bool learned = false;  // the MTU is a path's (RT-11), until expires_ms
    std::uint64_t expires_ms = 0;
    net::IpAddress source;  // preferred source (RT-07); unspecified if none
    std::uint32_t mtu = 0;  // route's mtu or the link's
    bool mtu_locked = false;
    // Of the route, if there is one.
    std::uint32_t metric = 0;
    std::string protocol{};
    std::uint8_t prefix_length = 0;
    TableId table = kMainTable;
};

// The several next hops of a path, for workers to choose from by each packet's flow, or first by
// its TOS. The adjacency stays published for as long as somebody has this.
struct Ways {
    AdjacencyId adjacency = AdjacencyTable::kNone;  // a multipath, or by_tos
    bool by_tos = false;
    std::vector<LinkId> links{};
    std::uint32_t mtu = 0;  // the smallest
};

struct Limits {
    std::uint32_t routes4 = 1048576;
    std::uint32_t routes6 = 262144;
    std::uint32_t neighbours = 65536;
    std::uint32_t adjacencies = 1 << 20;
    std::uint32_t tables = 16384;
};

// What control does for routing, besides sending ARP (NeighbourActions' subset that leaves this
// room).
class RoutingActions {
public:
    virtual ~RoutingActions() = default;
    // Send an ARP request from (source_mac, source) for target out of link, to `destination`.
    virtual void send_arp_request(
        LinkId link,
        const net::MacAddress& destination,
        const net::IpAddress& source,
        const net::IpAddress& target
    ) = 0;
    // The same as a neighbour solicitation: to `unicast_to`, else to the target's group.
    virtual void send_neighbour_solicitation(
        LinkId link,
        std::optional<net::MacAddress> unicast_to,
        const net::IpAddress& source,
        const net::IpAddress& target
    ) = 0;
    // `frame` starts at the link header, whose bytes are written here before this call. Send it out
    // of `link`.
    virtual void send_frame(LinkId link, rte_mbuf* frame) = 0;
    // The packet is given up; the owner counts and frees it.
    virtual void give_up(LinkId link, rte_mbuf* frame, QueueVerdict why) = 0;
    virtual void neighbour_changed(const Neighbour& neighbour, bool removed) = 0;
    virtual void route_changed(const Route& route, bool removed) = 0;
    virtual void address_changed(const Address& address, bool removed) = 0;

    // What is known of the way to it (learn_path_mtu) is another; unspecified = of any.
    virtual void path_mtu_changed(const net::IpAddress& /*destination*/) {}

    // Called every few milliseconds of work that may take seconds (a link with a million routes
    // goes down), when the tables agree with each other: packets may be handled, but no link,
    // address or route changed.
    virtual void breathe() {}
};

class Routing {
public:
    // Errors: ENOMEM.
    static Result<std::unique_ptr<Routing>> create(
        rcu::Domain& domain,
        RoutingActions& actions,
        Limits limits,
        NeighbourParameters neighbour_parameters
    );
    ~Routing();

    // --- readers (workers) ---
    [[nodiscard]] const Fib4& fib4() const noexcept;
    [[nodiscard]] const Fib6& fib6() const noexcept;
    [[nodiscard]] const AdjacencyTable& adjacencies() const noexcept;
    [[nodiscard]] const OwnAddresses& own_addresses() const noexcept;
    [[nodiscard]] const OwnAddresses& own_addresses6() const noexcept;  // by fold()
    // By what flows are told apart where a route has several next hops (RT-09).
    [[nodiscard]] const net::SharedMultipathSettings& multipath_settings() const noexcept;

    // --- links ---
    // A link appeared or changed: up/down moves its addresses' routes in and out of the FIB, a MAC
    // or MTU change rebuilds its adjacencies.
    void set_link(LinkId link, const LinkParameters& parameters, std::uint64_t now_ms);
    void del_link(LinkId link);

    // --- addresses (UI-ADDR-01) --- errors EEXIST, EADDRNOTAVAIL, EINVAL, ENODEV
    Result<void> add_address(const Address& address, bool replace);
    // Without `peer`, one that has none.
    Result<void> del_address(
        LinkId link, const net::Prefix& prefix, const std::optional<net::IpAddress>& peer = {}
    );
    std::size_t flush_addresses(LinkId link);
    // Packets to the group are for us where the link is routed, as often as it was joined there and
    // not left. Error: as a route's.
    Result<void> join(LinkId link, const net::IpAddress& group);
    void leave(LinkId link, const net::IpAddress& group);
    [[nodiscard]] const std::vector<Address>& addresses() const noexcept;
    // Is it one of ours, on any link that is up? (NEI-11, RT-08) In the table that `near` is routed
    // by: each VRF has its own addresses.
    [[nodiscard]] bool
    is_local(const net::IpAddress& address, LinkId near = kNoLink) const noexcept;
    // Is it one of ours that `link` answers to: a link-local one only its own link, others all
    // links of its table?
    [[nodiscard]] bool is_local_on(LinkId link, const net::IpAddress& address) const noexcept;
    [[nodiscard]] bool has_address(LinkId link, net::Family family) const noexcept;
    // What the link has as this IPv6 address; nullptr = nothing.
    [[nodiscard]] const Address*
    find_address(LinkId link, const net::IpAddress& address) const noexcept;
    // Duplicate address detection of a tentative address has ended.
    void end_detection(LinkId link, const net::IpAddress& address, bool is_duplicate);
    // RFC 6724: what to send from out of `link` to `destination`; "::" = none.
    [[nodiscard]] net::IpAddress
    select_source6(LinkId link, const net::IpAddress& destination) const;

    // --- routes (UI-RT-02) --- errors EEXIST, ENOENT, ESRCH, ENETUNREACH, ENETDOWN, ENODEV, EINVAL
    Result<void> modify_route(RouteVerb verb, const Route& route);
    // Deletes the first route of the prefix that matches, as `ip route del`. Members of `pattern`
    // that are as in a default-constructed Route match anything; the type does so among all but
    // local and broadcast.
    Result<void> del_route(const Route& pattern);
    void for_each_route(const std::function<void(const Route&)>& visit
    ) const;  // main first; by prefix, then metric; with local and broadcast ones

    void set_multipath(const net::MultipathSettings& settings) noexcept;

    // --- tables ---
    // The VRF that the link is in or is; kNoLink = none.
    [[nodiscard]] LinkId vrf_of(LinkId link) const noexcept;
    // By which its packets are routed.
    [[nodiscard]] TableId table_of(LinkId link) const noexcept;
    // For the workers, of any table but main; it is made if it is not there. Valid until the links
    // of its VRF and all its routes are gone. Errors ENOMEM, ENOSPC.
    Result<const TableView*> open_table(TableId table);

    // The dataplane's answer for `destination`. `link` as RT-02: with it and without a route, the
    // destination is on-link there. A VRF as `link` says the table only. `source`: must be local
    // (RT-01), else no_route.
    // `tos`: the packet's.
    [[nodiscard]] Path lookup(
        const net::IpAddress& destination,
        LinkId link = kNoLink,
        const net::IpAddress& source = {},
        std::uint8_t tos = 0
    ) const;
    // The same for a packet that comes in by `link_in`, from anywhere.
    [[nodiscard]] Path lookup_forward(
        const net::IpAddress& destination,
        const net::IpAddress& source,
        LinkId link_in = kNoLink,
        std::uint8_t tos = 0
    ) const;
    // Of a lookup() without a source; nullptr = there are not several. `tos`: of all packets;
    // nullopt = each has its own. To be let go before this object.
    [[nodiscard]] std::shared_ptr<const Ways> ways(
        const net::IpAddress& destination,
        LinkId link = kNoLink,
        std::optional<std::uint8_t> tos = 0
    );
    // A router takes no larger packets than `mtu` on the way to `destination`: lookups in the table
    // of `near` say so for ten minutes (RT-11).
    void learn_path_mtu(
        const net::IpAddress& destination,
        std::uint32_t mtu,
        std::uint64_t now_ms,
        LinkId near = kNoLink
    );
    // Number that changes whenever any lookup's or adjacency's answer may have changed.
    [[nodiscard]] std::uint64_t generation() const noexcept;

    // --- neighbours ---
    [[nodiscard]] NeighbourTable& neighbours() noexcept;
    // A worker met a glean or incomplete adjacency: `frame` (14 bytes for the link header reserved
    // in front of the L3 header) waits for next_hop. Takes the packet.
    void
    resolve(LinkId link, const net::IpAddress& next_hop, rte_mbuf* frame, std::uint64_t now_ms);
    // The complete link header towards next_hop, if its neighbour has a MAC now.
    // Of packets of the family.
    [[nodiscard]] std::optional<Adjacency>
    neighbour_adjacency(LinkId link, const net::IpAddress& next_hop, net::Family family) const;
    std::uint64_t tick(std::uint64_t now_ms);

private:
    class Impl;
    explicit Routing(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::route
