// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/ipv4.hpp"
#include "lib/net/udp.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <optional>

namespace culvert::control::test {

namespace {

using encap::TunnelState;

constexpr net::MacAddress kAllZeros{};

struct Underlay : CoreFixture {
    Underlay() {
        port = add_quiet_port(0);
        add_address(port, "192.0.2.1/24");
    }

    LinkId tunnel_to(const std::string& remote, const std::string& local = {}) {
        LinkAddRequest request = vxlan("vx0", 42);
        request.vxlan.remote = ip(remote);
        if (!local.empty()) {
            request.vxlan.local = ip(local);
        }
        const LinkId link = core->links().add(request).value();
        REQUIRE(up(link));
        core->settle();
        return link;
    }

    const encap::VxlanDestination&
    destination(LinkId link, const net::MacAddress& address = kAllZeros) {
        const auto entry = core->fdb().get(link, address);
        REQUIRE(entry);
        const encap::VxlanDestination* found =
            core->vxlan_destinations().read(entry->value.target());
        REQUIRE(found != nullptr);
        return *found;
    }

    const encap::VxlanTemplate& outer(LinkId link, std::uint32_t index = 0) {
        const encap::VxlanTemplate* found =
            core->vxlan_templates().read(destination(link).id(index));
        REQUIRE(found != nullptr);
        return *found;
    }

    void set_neighbour(const std::string& address, const std::string& text) {
        REQUIRE(core->routing().neighbours().set(
            route::NeighbourTable::Verb::replace,
            {port, ip(address)},
            mac(text),
            route::NeighbourState::permanent,
            false,
            core->now_ms()
        ));
        core->settle();
    }

    std::string why(LinkId link) {
        std::string text = "no such tunnel";
        core->tunnels().for_each([&](const TunnelView& view) {
            if (view.device == link) {
                text = view.why;
            }
        });
        return text;
    }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE_METHOD(
    Underlay, "VXLAN-TX-36 a template holds route, addresses and neighbour", "[control][tunnels]"
) {
    const LinkId link = tunnel_to("192.0.2.2");
    CHECK(outer(link).state == TunnelState::unresolved);
    CHECK(outer(link).next_hop == ip("192.0.2.2"));
    CHECK(outer(link).link_out == port);
    CHECK(why(link) == "no MAC address known for 192.0.2.2 on port0");
    // What it waits for was asked for at once.
    const auto question = sent_bytes();
    REQUIRE(question.size() == 42);
    CHECK(sent() == nullptr);

    set_neighbour("192.0.2.2", "02:00:00:00:02:02");
    const encap::VxlanTemplate& ready = outer(link);
    CHECK(ready.state == TunnelState::ready);
    CHECK(why(link).empty());
    net::EtherHeader ether{};
    net::Ipv4Header header{};
    std::memcpy(&ether, ready.bytes.data(), sizeof(ether));
    std::memcpy(&header, ready.bytes.data() + encap::VxlanTemplate::kIpOffset, sizeof(header));
    CHECK(ether.destination == mac("02:00:00:00:02:02"));
    CHECK(ether.source == record(port).mac);
    CHECK(header.source.host() == ip("192.0.2.1").v4());
    CHECK(header.destination.host() == ip("192.0.2.2").v4());
}

TEST_CASE_METHOD(
    Underlay, "NEI-12 a template follows its neighbour's MAC, link and MTU", "[control][tunnels]"
) {
    const LinkId link = tunnel_to("192.0.2.2");
    set_neighbour("192.0.2.2", "02:00:00:00:02:02");
    const encap::VxlanTemplate* before = &outer(link);
    core->settle();
    CHECK(&outer(link) == before);  // nothing changed, nothing published
    set_neighbour("192.0.2.2", "02:00:00:00:02:03");
    CHECK(outer(link).bytes[5] == 3);
    LinkSetRequest request;
    request.mtu = 1400;
    request.address = mac("02:00:00:00:00:55");
    REQUIRE(core->links().set(port, request));
    core->settle();
    CHECK(outer(link).mtu == 1400);
    CHECK(
        outer(link).state == TunnelState::unresolved
    );  // a new MAC of ours: neighbours are asked anew, as in Linux
    set_neighbour("192.0.2.2", "02:00:00:00:02:03");
    CHECK(outer(link).bytes[5] == 3);
    CHECK(outer(link).bytes[11] == 0x55);
    REQUIRE(up(port, false));
    core->settle();
    CHECK(outer(link).state == TunnelState::no_route);
}

TEST_CASE_METHOD(
    Underlay,
    "VXLAN-TX-25 VXLAN-TX-27 no route, and a local address that is not ours",
    "[control][tunnels]"
) {
    SECTION("no route") {
        const LinkId link = tunnel_to("198.51.100.9");
        CHECK(outer(link).state == TunnelState::no_route);
        CHECK(why(link) == "no route to 198.51.100.9");
        route::Route route;
        route.prefix = prefix("198.51.100.0/24");
        route.gateway = ip("192.0.2.254");
        REQUIRE(core->routing().modify_route(route::RouteVerb::add, route));
        core->settle();
        CHECK(outer(link).state == TunnelState::unresolved);
        CHECK(outer(link).next_hop == ip("192.0.2.254"));
    }
    SECTION("local") {
        const LinkId link = tunnel_to("192.0.2.2", "192.0.2.77");
        CHECK(outer(link).state == TunnelState::no_route);
        CHECK(why(link) == "local 192.0.2.77 is no address of ours");
        add_address(port, "192.0.2.77/24");
        CHECK(outer(link).state == TunnelState::unresolved);
    }
    SECTION("unreachable") {
        route::Route route;
        route.prefix = prefix("198.51.100.0/24");
        route.type = route::RouteType::unreachable;
        REQUIRE(core->routing().modify_route(route::RouteVerb::add, route));
        const LinkId link = tunnel_to("198.51.100.9");
        CHECK(outer(link).state == TunnelState::no_route);
        CHECK(why(link) == "the route to 198.51.100.9 says unreachable");
    }
}

TEST_CASE_METHOD(Underlay, "VXLAN-TX-26 a way that leads back is a loop", "[control][tunnels]") {
    SECTION("over the device itself") {
        const LinkId link = tunnel_to("10.0.0.2");
        add_address(link, "10.0.0.1/24");
        CHECK(outer(link).state == TunnelState::loop);
        CHECK(why(link) == "the way to 10.0.0.2 leads back into vx0");
    }
    SECTION("over a bridge that has no other member") {
        const LinkId bridge = add_link("br0", pipeline::LinkKind::bridge);
        REQUIRE(up(bridge));
        const LinkId link = tunnel_to("10.0.0.2");
        REQUIRE(set_master(link, "br0"));
        add_address(bridge, "10.0.0.1/24");
        CHECK(outer(link).state == TunnelState::loop);
        REQUIRE(set_master(port, "br0"));
        core->settle();
        CHECK(outer(link).state == TunnelState::unresolved);
    }
    SECTION("over another tunnel that goes over this one") {
        const LinkId link = tunnel_to("10.0.0.2");
        LinkAddRequest request = vxlan("vx1", 43);
        request.vxlan.remote = ip("10.1.0.2");
        const LinkId other = core->links().add(request).value();
        REQUIRE(up(other));
        add_address(other, "10.0.0.1/24");
        add_address(link, "10.1.0.1/24");
        CHECK(outer(link).state == TunnelState::loop);
        CHECK(outer(other).state == TunnelState::loop);
    }
}

TEST_CASE_METHOD(
    Underlay, "VXLAN-TX-28 a remote that is ourselves is local", "[control][tunnels]"
) {
    const LinkId link = tunnel_to("192.0.2.1");
    CHECK(outer(link).state == TunnelState::local);
    CHECK(outer(link).vni == 42);
    CHECK(outer(link).destination_port == 8472);
}

TEST_CASE_METHOD(
    Underlay, "VXLAN-TX-07 lists keep their order, and 0.0.0.0 is no remote", "[control][tunnels]"
) {
    const LinkId link = tunnel_to("192.0.2.2");
    fdb::VxlanFdbRequest request;
    request.verb = fdb::FdbVerb::append;
    for (const char* address :
         {"192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "0.0.0.0"}) {
        request.destination = ip(address);
        REQUIRE(core->vxlan_fdb().modify(vxlan_fdb_defaults(record(link)), request, 1));
    }
    const encap::VxlanDestination& list = destination(link);
    REQUIRE(list.count == 7);
    CHECK(list.first_address == ip("192.0.2.2"));
    CHECK(outer(link, 0).next_hop == ip("192.0.2.2"));
    CHECK(outer(link, 3).next_hop == ip("192.0.2.5"));
    CHECK(outer(link, 4).next_hop == ip("192.0.2.6"));
    CHECK(outer(link, 6).state == TunnelState::no_remote);
    CHECK(core->tunnels().size() == 7);
    request.destination = ip("192.0.2.3");
    REQUIRE(core->vxlan_fdb().del(vxlan_fdb_defaults(record(link)), request));
    CHECK(destination(link).count == 6);
    CHECK(core->tunnels().size() == 6);
    REQUIRE(core->links().del(link));
    CHECK(core->tunnels().size() == 0);
}

TEST_CASE_METHOD(
    Underlay, "VXLAN-TX-20 an entry's own output link rules its route", "[control][tunnels]"
) {
    const LinkId other = add_quiet_port(1);
    const LinkId link = tunnel_to("192.0.2.2");
    fdb::VxlanFdbRequest request;
    request.mac = mac("02:00:00:00:01:01");
    request.destination = ip("192.0.2.2");
    request.via = other;
    REQUIRE(core->vxlan_fdb().modify(vxlan_fdb_defaults(record(link)), request, 1));
    const encap::VxlanTemplate* found =
        core->vxlan_templates().read(destination(link, request.mac).id(0));
    REQUIRE(found != nullptr);
    CHECK(found->link_out == other);
    CHECK(outer(link).link_out == port);
}

TEST_CASE_METHOD(Underlay, "an entry goes with the link it was to leave by", "[control][tunnels]") {
    const LinkId way = add_link("d0", pipeline::LinkKind::dummy);
    const LinkId link = tunnel_to("192.0.2.2");
    fdb::VxlanFdbRequest request;
    request.mac = mac("02:00:00:00:01:01");
    request.destination = ip("192.0.2.2");
    request.via = way;
    REQUIRE(core->vxlan_fdb().modify(vxlan_fdb_defaults(record(link)), request, 1));
    REQUIRE(core->links().del(way));
    CHECK_FALSE(core->fdb().get(link, request.mac));
    CHECK(core->fdb().get(link, kAllZeros));
}

TEST_CASE_METHOD(
    Underlay, "an unanswered next hop is asked for once, not for ever", "[control][tunnels]"
) {
    (void)tunnel_to("192.0.2.2");
    std::size_t asked = 0;
    for (std::uint64_t now = 1000; now <= 20000; now += 100) {
        core->set_now_ms(now);
        core->turn();
        for (auto frame = sent_bytes(); !frame.empty(); frame = sent_bytes()) {
            const bool is_arp = frame.at(12) == 0x08 && frame.at(13) == 0x06;
            asked += is_arp ? 1U : 0U;
        }
    }
    CHECK(asked == 3);  // NEI-02
}

}  // namespace culvert::control::test
