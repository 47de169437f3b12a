// SPDX-License-Identifier: BSD-3-Clause
// A Routing with two links and somebody who writes down what it asks for.
#pragma once

#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/routing.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <rte_mbuf.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::route::test {

constexpr LinkId kWan = 1;
constexpr LinkId kLan = 2;
constexpr net::MacAddress kWanMac = net::MacAddress::from_value(0x0200000000a1);
constexpr net::MacAddress kLanMac = net::MacAddress::from_value(0x0200000000a2);
constexpr net::MacAddress kPeerMac = net::MacAddress::from_value(0x020000000001);
constexpr net::MacAddress kOtherMac = net::MacAddress::from_value(0x020000000002);

inline net::IpAddress ip(std::string_view text) {
    return *net::IpAddress::parse(text);
}

inline net::Prefix prefix(std::string_view text) {
    return *net::Prefix::parse(text);
}

using Events = std::vector<std::string>;

class Recorder : public RoutingActions {
public:
    void send_arp_request(
        LinkId link,
        const net::MacAddress& destination,
        const net::IpAddress& source,
        const net::IpAddress& target
    ) override {
        events.push_back(fmt::format(
            "arp {} {} {} {}", link, destination.to_string(), source.to_string(), target.to_string()
        ));
    }

    void send_neighbour_solicitation(
        LinkId link,
        std::optional<net::MacAddress> unicast_to,
        const net::IpAddress& source,
        const net::IpAddress& target
    ) override {
        events.push_back(fmt::format(
            "solicit {} {} {} {}",
            link,
            unicast_to ? unicast_to->to_string() : "group",
            source.to_string(),
            target.to_string()
        ));
    }

    void send_frame(LinkId link, rte_mbuf* frame) override {
        net::EtherHeader header;
        std::memcpy(&header, rte_pktmbuf_mtod(frame, const void*), sizeof(header));
        events.push_back(fmt::format(
            "frame {} {} {} {:x}",
            link,
            header.destination.to_string(),
            header.source.to_string(),
            header.type.host()
        ));
        rte_pktmbuf_free(frame);
    }

    void give_up(LinkId link, rte_mbuf* frame, QueueVerdict why) override {
        events.push_back(fmt::format("give up {} {}", link, static_cast<int>(why)));
        rte_pktmbuf_free(frame);
    }

    void neighbour_changed(const Neighbour& /*neighbour*/, bool /*removed*/) override {}

    void route_changed(const Route& route, bool removed) override {
        route_events.push_back((removed ? "- " : "+ ") + route.prefix.to_string());
    }

    void address_changed(const Address& address, bool removed) override {
        address_events.push_back((removed ? "- " : "+ ") + address.prefix.to_string());
    }

    Events take() { return std::exchange(events, {}); }

    Events events;
    Events route_events;
    Events address_events;
};

// Packets of this file; all of them are back at the end.
class Pool {
public:
    Pool()
        : pool_(rte_pktmbuf_pool_create("routing_test", 63, 0, 0, 512, SOCKET_ID_ANY)) {
        REQUIRE(pool_ != nullptr);
    }

    ~Pool() {
        CHECK(rte_mempool_in_use_count(pool_) == 0);
        rte_mempool_free(pool_);
    }

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    // Room for a link header, then an IPv4 header.
    rte_mbuf* packet(const net::IpAddress& source) {
        rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
        REQUIRE(frame != nullptr);
        constexpr std::size_t kLength = sizeof(net::EtherHeader) + sizeof(net::Ipv4Header);
        char* bytes = rte_pktmbuf_append(frame, kLength);
        std::memset(bytes, 0, kLength);
        net::Ipv4Header header{};
        header.source = net::Be32(source.v4());
        std::memcpy(bytes + sizeof(net::EtherHeader), &header, sizeof(header));
        return frame;
    }

private:
    rte_mempool* pool_;
};

struct Fixture {
    explicit Fixture(Limits limits = {.routes4 = 1000, .neighbours = 100, .adjacencies = 1000}) {
        auto created = Routing::create(domain, recorder, limits, {.random_seed = 5});
        REQUIRE(created.has_value());
        routing = std::move(*created);
        set_link(kWan, true);
        set_link(kLan, true);
    }

    void set_link(LinkId link, bool up, std::uint32_t mtu = 1500) {
        routing->set_link(
            link, {link == kWan ? "wan" : "lan", link == kWan ? kWanMac : kLanMac, mtu, up}, now
        );
    }

    void address(std::string_view text, LinkId link = kWan) {
        REQUIRE(routing->add_address({.link = link, .prefix = prefix(text)}, false));
    }

    std::errc try_route(RouteVerb verb, const Route& route) {
        const auto result = routing->modify_route(verb, route);
        last_error = result ? "" : result.error().what;
        return result ? std::errc{} : result.error().code;
    }

    std::errc add(const Route& route) { return try_route(RouteVerb::add, route); }

    std::errc del(const Route& pattern) {
        const auto result = routing->del_route(pattern);
        return result ? std::errc{} : result.error().code;
    }

    static Route via(std::string_view to, std::string_view gateway, std::uint32_t metric = 0) {
        Route route;
        route.prefix = prefix(to);
        route.gateway = ip(gateway);
        route.metric = metric;
        return route;
    }

    static Route dev(std::string_view to, LinkId link) {
        Route route;
        route.prefix = prefix(to);
        route.link = link;
        return route;
    }

    static Route typed(std::string_view to, RouteType type) {
        Route route;
        route.prefix = prefix(to);
        route.type = type;
        return route;
    }

    void neighbour(std::string_view address, LinkId link = kWan, net::MacAddress mac = kPeerMac) {
        REQUIRE(routing->neighbours().set(
            NeighbourTable::Verb::replace,
            {link, ip(address)},
            mac,
            NeighbourState::reachable,
            false,
            now
        ));
    }

    // What a worker finds.
    [[nodiscard]] Adjacency find(std::string_view address) const {
        const AdjacencyId id = routing->fib4().lookup(ip(address).v4());
        if (id == 0) {
            return {};
        }
        const Adjacency* adjacency = routing->adjacencies().read(id);
        REQUIRE(adjacency != nullptr);
        return *adjacency;
    }

    [[nodiscard]] AdjacencyKind kind(std::string_view address) const { return find(address).kind; }

    [[nodiscard]] static std::string macs(const Adjacency& adjacency) {
        net::EtherHeader header;
        std::memcpy(&header, adjacency.header.data(), sizeof(header));
        return fmt::format(
            "{} {} {:x}",
            header.destination.to_string(),
            header.source.to_string(),
            header.type.host()
        );
    }

    // "PREFIX TYPE [via G] dev L [src A] proto scope metric".
    [[nodiscard]] Events routes() const {
        static constexpr std::array<const char*, 7> kTypes{
            "unicast", "local", "broadcast", "unreachable", "prohibit", "blackhole", "throw"};
        Events all;
        routing->for_each_route([&](const Route& route) {
            std::string line = fmt::format(
                "{} {}", route.prefix.to_string(), kTypes.at(static_cast<std::size_t>(route.type))
            );
            if (route.gateway) {
                line += " via " + route.gateway->to_string();
            }
            line += fmt::format(" dev {}", route.link);
            if (route.preferred_source) {
                line += " src " + route.preferred_source->to_string();
            }
            all.push_back(
                fmt::format("{} {} {} {}", line, route.protocol, route.scope, route.metric)
            );
        });
        return all;
    }

    rcu::Domain domain{1};
    Recorder recorder;
    std::unique_ptr<Routing> routing;
    std::uint64_t now = 1'000'000;
    std::string last_error;
};

}  // namespace culvert::route::test
