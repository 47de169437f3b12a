// SPDX-License-Identifier: BSD-3-Clause
// Many tunnels: what a change costs, counted in looks at tunnels, and that what is not looked at
// has not changed.
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <random>
#include <string>
#include <vector>

namespace culvert::control::test {

namespace {

struct ManyTunnels : CoreFixture {
    ManyTunnels() {
        port = add_port(0);
        add_address(port, "192.0.2.1/24");
    }

    LinkId add_ipip(const std::string& name, std::uint32_t remote) {
        LinkAddRequest request;
        request.name = name;
        request.kind = pipeline::LinkKind::ipip;
        request.ip_tunnel.remote = net::IpAddress::from_v4(remote);
        request.ip_tunnel.local = ip("192.0.2.1");
        return core->links().add(request).value();
    }

    LinkId add_vxlan(const std::string& name, std::uint32_t vni, std::uint32_t remote) {
        LinkAddRequest request = vxlan(name, vni);
        request.vxlan.remote = net::IpAddress::from_v4(remote);
        return core->links().add(request).value();
    }

    std::uint64_t looks_during(const std::function<void()>& change) {
        const std::uint64_t before = core->tunnels().looks();
        change();
        core->settle();
        return core->tunnels().looks() - before;
    }

    void route(route::RouteVerb verb, const std::string& to, const std::string& gateway) {
        route::Route wanted;
        wanted.prefix = prefix(to);
        wanted.gateway = ip(gateway);
        (void)core->routing().modify_route(verb, wanted);
    }

    LinkId port = kNoLink;
};

constexpr std::uint32_t kMany = 500;
constexpr std::uint32_t kRemotes = 0x0a000001;  // 10.0.0.1 and on

}  // namespace

TEST_CASE_METHOD(
    ManyTunnels,
    "TUN-TX-10 VXLAN-TX-36 a tunnel more, or one less, makes nobody look at the others",
    "[control][tunnels]"
) {
    route(route::RouteVerb::add, "10.0.0.0/8", "192.0.2.2");
    std::vector<LinkId> links;
    for (std::uint32_t i = 0; i < kMany; ++i) {
        const bool is_vxlan = i % 2 != 0;
        const std::string name = (is_vxlan ? "vx" : "t") + std::to_string(i);
        const std::uint64_t looks = looks_during([&] {
            links.push_back(
                is_vxlan ? add_vxlan(name, i, kRemotes + i) : add_ipip(name, kRemotes + i)
            );
            REQUIRE(up(links.back()));
        });
        REQUIRE(looks <= 4);
    }
    REQUIRE(core->tunnels().size() == kMany);
    // Nor an address on one of them.
    CHECK(looks_during([&] { add_address(links[0], "198.51.100.1/32"); }) <= 4);
    for (std::uint32_t i = 0; i < kMany / 2; ++i) {
        REQUIRE(looks_during([&] { REQUIRE(core->links().del(links[i])); }) <= 4);
    }
    CHECK(core->tunnels().size() == kMany / 2);
    // What concerns all reaches all: once each.
    CHECK(looks_during([&] {
              route(route::RouteVerb::replace, "10.0.0.0/8", "192.0.2.3");
          }) == kMany / 2);
    // What concerns one reaches it alone.
    CHECK(looks_during([&] { route(route::RouteVerb::add, "10.0.1.200/32", "192.0.2.9"); }) == 1);
    CHECK(looks_during([&] { route(route::RouteVerb::add, "203.0.113.0/24", "192.0.2.9"); }) == 0);
    CHECK(looks_during([] {}) == 0);
}

TEST_CASE_METHOD(
    ManyTunnels,
    "NEI-12 what was not looked at after a change would give the same template",
    "[control][tunnels]"
) {
    std::mt19937 random(GENERATE(1U, 2U, 3U, 4U));
    const auto dice = [&](std::uint32_t sides) {
        return static_cast<std::uint32_t>(random() % sides);
    };
    const LinkId other = add_port(1);
    const LinkId bridge = add_link("br0", pipeline::LinkKind::bridge);
    REQUIRE(up(bridge));
    std::vector<LinkId> links{port, other, bridge};
    for (std::uint32_t i = 0; i < 6; ++i) {
        links.push_back(add_ipip("t" + std::to_string(i), kRemotes + i));
        links.push_back(add_vxlan("vx" + std::to_string(i), i, kRemotes + 100 + i));
    }
    const auto address = [&] { return "10.0.0." + std::to_string(1 + dice(120)); };
    const auto hop = [&] { return "192.0.2." + std::to_string(2 + dice(4)); };
    const auto any_link = [&] { return links[dice(static_cast<std::uint32_t>(links.size()))]; };
    for (unsigned round = 0; round < 1500; ++round) {
        const LinkId link = any_link();
        switch (dice(9)) {
        case 0:
        case 1:
            (void)up(link, dice(4) != 0);
            break;
        case 2: {
            route::Address wanted;
            wanted.link = link;
            wanted.prefix = prefix(dice(3) == 0 ? "192.0.2.1/24" : address() + "/24");
            (void)core->routing().add_address(wanted, false);
            break;
        }
        case 3:
            (void)core->routing().flush_addresses(link);
            break;
        case 4: {
            const auto length = std::to_string(24 + dice(9));
            const auto wanted = net::Prefix::parse(address() + "/" + length).value().network();
            route(route::RouteVerb::replace, wanted.to_string(), hop());
            break;
        }
        case 5: {
            route::Route gone;
            gone.prefix = net::Prefix::parse(address() + "/" + std::to_string(24 + dice(9)))
                              .value()
                              .network();
            (void)core->routing().del_route(gone);
            break;
        }
        case 6:
            (void)core->routing().neighbours().set(
                route::NeighbourTable::Verb::replace,
                {link, ip(hop())},
                net::MacAddress::from_value(0x020000000000 + dice(5)),
                route::NeighbourState::permanent,
                false,
                core->now_ms()
            );
            break;
        case 7: {
            LinkSetRequest request;
            request.master = dice(2) == 0 ? "br0" : "";
            (void)core->links().set(link, request);
            break;
        }
        default: {
            LinkSetRequest request;
            request.mtu = 1300 + dice(200);
            (void)core->links().set(link, request);
            break;
        }
        }
        core->settle();
        core->domain().reclaim();
        while (rte_mbuf* packet = sent()) {
            rte_pktmbuf_free(packet);
        }
        const std::uint64_t published = core->tunnels().publications();
        core->tunnels().mark_all();
        core->settle();
        INFO("round " << round << ", link " << link);
        REQUIRE(core->tunnels().publications() == published);
        while (rte_mbuf* packet = sent()) {
            rte_pktmbuf_free(packet);
        }
    }
}

}  // namespace culvert::control::test
