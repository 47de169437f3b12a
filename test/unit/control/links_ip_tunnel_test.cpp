// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/control/core_fixture.hpp"

namespace culvert::control::test {

namespace {

using encap::IpTunnelKind;
using encap::TunnelState;
using pipeline::LinkKind;

struct Tunnelled : CoreFixture {
    Tunnelled() {
        port = add_port(0);
        add_address(port, "192.0.2.1/24");
    }

    static LinkAddRequest request(
        const std::string& name,
        LinkKind kind,
        const std::string& remote,
        const std::string& local = {}
    ) {
        LinkAddRequest request;
        request.name = name;
        request.kind = kind;
        if (!remote.empty()) {
            request.ip_tunnel.remote = ip(remote);
        }
        if (!local.empty()) {
            request.ip_tunnel.local = ip(local);
        }
        return request;
    }

    LinkId add(const LinkAddRequest& wanted) {
        const auto link = core->links().add(wanted);
        REQUIRE(link);
        core->settle();
        return *link;
    }

    std::errc refused(const LinkAddRequest& wanted) {
        const std::size_t before = events.size();
        const auto link = core->links().add(wanted);
        REQUIRE_FALSE(link);
        CHECK(events.size() == before);
        return link.error().code;
    }

    std::errc refused(LinkId link, const IpTunnelOptions& options) {
        LinkSetRequest change;
        change.ip_tunnel = options;
        const auto done = core->links().set(link, change);
        REQUIRE_FALSE(done);
        return done.error().code;
    }

    void change(LinkId link, const IpTunnelOptions& options) {
        LinkSetRequest wanted;
        wanted.ip_tunnel = options;
        const auto done = core->links().set(link, wanted);
        REQUIRE(done);
        core->settle();
    }

    // Whom a packet from 192.0.2.2 to 192.0.2.1 belongs to.
    LinkId found(IpTunnelKind kind, std::optional<std::uint32_t> key = std::nullopt) {
        const auto packet = encap::IpTunnelKey::make(
            kind,
            net::Be32{0xc0000201}.raw(),
            net::Be32{0xc0000202}.raw(),
            key.has_value(),
            key.value_or(0)
        );
        return core->ip_tunnels().lookup.find(packet, port);
    }

    const encap::IpTunnelTemplate* outer(LinkId link, std::uint32_t remote = 0xc0000202) {
        encap::IpTunnelTemplates& templates = core->ip_tunnels().templates;
        const LinkRecord* device = core->links().find(link);
        if (device != nullptr && device->ip_tunnel.remote == net::IpAddress::from_v4(remote)) {
            const auto own = core->ip_tunnels().own.read(link);
            return own != encap::IpTunnelTemplates::kNone ? templates.read(own) : nullptr;
        }
        encap::IpTunnelTemplates::Id id = 0;
        const encap::IpTunnelRemote key{net::Be32{remote}.raw(), link};
        return core->ip_tunnels().remotes.find(key, id) ? templates.read(id) : nullptr;
    }

    LinkId id_of(const std::string& name) {
        const LinkRecord* found = core->links().find(name);
        return found == nullptr ? kNoLink : found->id;
    }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE("IPIP-FB-01 IPIP-FB-03 IPIP-FB-04 GRE-CRE-13 the fallback devices", "[control]") {
    Tunnelled t;
    t.add(Tunnelled::request("tun0", LinkKind::ipip, "192.0.2.2"));
    const LinkId fallback = t.id_of("tunl0");
    REQUIRE(fallback != kNoLink);
    CHECK(t.id_of("gre0") == kNoLink);
    CHECK(t.record(fallback).mtu == 1480);
    CHECK(t.record(fallback).is_fallback);
    CHECK_FALSE(t.record(fallback).admin_up);
    REQUIRE(t.core->links().del(fallback));
    CHECK(t.id_of("tunl0") == fallback);
    IpTunnelOptions options;
    options.ttl = 5;
    CHECK(t.refused(fallback, options) == std::errc::invalid_argument);
    t.add(Tunnelled::request("tap0", LinkKind::gretap, "192.0.2.2"));
    CHECK(t.record(t.id_of("gre0")).mtu == 1476);
    CHECK(t.record(t.id_of("gretap0")).mtu == 1462);
}

TEST_CASE("IPIP-FB-05 IPIP-CRE-05 GRE-CRE-14 duplicates are refused", "[control]") {
    Tunnelled t;
    // The first one brings the fallback devices.
    t.add(Tunnelled::request("first", LinkKind::gre, "192.0.2.9"));
    CHECK(
        t.refused(Tunnelled::request("gre0", LinkKind::gre, "192.0.2.2")) == std::errc::file_exists
    );
    CHECK(
        t.core->links().add(Tunnelled::request("x", LinkKind::gre, "")).error().code ==
        std::errc::file_exists
    );
    t.add(Tunnelled::request("a", LinkKind::gre, "192.0.2.2", "192.0.2.1"));
    LinkAddRequest same = Tunnelled::request("b", LinkKind::gre, "192.0.2.2", "192.0.2.1");
    same.ip_tunnel.ttl = 9;
    same.ip_tunnel.out_key = 3;
    CHECK(t.refused(same) == std::errc::file_exists);
    same.ip_tunnel.in_key = 0;
    const LinkId keyed = t.add(same);
    same.name = "c";
    same.ip_tunnel.dev = "port0";
    t.add(same);
    IpTunnelOptions options;
    options.in_key = IpTunnelOptions::Key{};
    CHECK(t.refused(keyed, options) == std::errc::file_exists);
    t.add(Tunnelled::request("d", LinkKind::gretap, "192.0.2.2", "192.0.2.1"));
}

TEST_CASE("IPIP-CRE-07 GRE-CRE-07 GRETAP-CRE-01 what is refused, and what follows", "[control]") {
    Tunnelled t;
    LinkAddRequest request = Tunnelled::request("a", LinkKind::ipip, "192.0.2.2");
    t.add(Tunnelled::request("first", LinkKind::ipip, "192.0.2.9"));
    t.add(Tunnelled::request("second", LinkKind::gre, "192.0.2.9"));
    request.ip_tunnel.in_key = 1;
    CHECK(t.refused(request) == std::errc::invalid_argument);
    request.ip_tunnel.in_key.reset();
    request.ip_tunnel.ttl = 3;
    request.ip_tunnel.pmtudisc = false;
    CHECK(t.record(t.add(request)).ip_tunnel.pmtudisc);
    request = Tunnelled::request("b", LinkKind::gre, "192.0.2.2");
    request.ip_tunnel.ignore_df = true;
    CHECK(t.refused(request) == std::errc::invalid_argument);
    request.ip_tunnel.pmtudisc = false;
    request.ip_tunnel.ttl = 3;
    CHECK_FALSE(t.record(t.add(request)).ip_tunnel.pmtudisc);
    CHECK(
        t.refused(Tunnelled::request("c", LinkKind::gretap, "0.0.0.0")) ==
        std::errc::invalid_argument
    );
    CHECK(
        t.refused(Tunnelled::request("c", LinkKind::gre, "2001:db8::1")) ==
        std::errc::address_family_not_supported
    );
    CHECK(
        t.refused(Tunnelled::request("c", LinkKind::gre, "224.1.1.1")) ==
        std::errc::invalid_argument  // GRE-CRE-10: without a local address
    );
    request = Tunnelled::request("c", LinkKind::gre, "192.0.2.3");
    request.address = mac("02:00:00:00:00:33");
    CHECK(t.refused(request) == std::errc::invalid_argument);
    request.address.reset();
    request.ip_tunnel.dev = "nothing";
    CHECK(t.refused(request) == std::errc::no_such_device);
}

TEST_CASE(
    "GOLD-09 TUN-MTU-02 TUN-MTU-04 TUN-MTU-05 TUN-MTU-06 TUN-MTU-08 TUN-MTU-09 TUN-MTU-10 the "
    "MTU",
    "[control]"
) {
    Tunnelled t;
    LinkSetRequest smaller;
    smaller.mtu = 1000;
    REQUIRE(t.core->links().set(t.port, smaller));
    CHECK(t.record(t.add(Tunnelled::request("a", LinkKind::ipip, "192.0.2.2"))).mtu == 980);
    CHECK(t.record(t.add(Tunnelled::request("b", LinkKind::ipip, "203.0.113.1"))).mtu == 1480);
    LinkAddRequest request = Tunnelled::request("c", LinkKind::gre, "");
    request.ip_tunnel.dev = "port0";
    request.ip_tunnel.in_key = 1;
    request.ip_tunnel.out_key = 1;
    const LinkId gre = t.add(request);
    CHECK(t.record(gre).mtu == 972);
    request.name = "d";
    request.ip_tunnel.in_key = 2;
    request.mtu = 65535;
    CHECK(t.record(t.add(request)).mtu == 65535 - 28);
    LinkSetRequest larger;
    larger.mtu = 65535 - 28;
    CHECK(t.core->links().set(gre, larger));
    larger.mtu = 65535 - 27;
    CHECK_FALSE(t.core->links().set(gre, larger));
    smaller.mtu = 68;
    REQUIRE(t.core->links().set(t.port, smaller));
    CHECK(t.record(t.add(Tunnelled::request("e", LinkKind::ipip, "192.0.2.5"))).mtu == 68);
    CHECK(t.record(gre).mtu == 65535 - 28);  // TUN-MTU-10
}

TEST_CASE("TUN-LKP-09 TUN-TX-10 a link up, changed, down and deleted", "[control]") {
    Tunnelled t;
    const LinkId link = t.add(Tunnelled::request("a", LinkKind::gre, "192.0.2.2", "192.0.2.1"));
    CHECK(t.found(IpTunnelKind::gre) == kNoLink);
    REQUIRE(t.up(link));
    CHECK(t.found(IpTunnelKind::gre) == link);
    REQUIRE(t.outer(link) != nullptr);
    CHECK(t.outer(link)->state == TunnelState::unresolved);
    CHECK(t.outer(link)->link_out == t.port);
    CHECK_FALSE(t.sent_bytes().empty());  // who has 192.0.2.2?

    IpTunnelOptions options;
    options.in_key = 5;
    options.out_key = 6;
    options.remote = ip("192.0.2.3");
    t.change(link, options);
    CHECK(t.found(IpTunnelKind::gre) == kNoLink);
    CHECK(t.outer(link) == nullptr);
    REQUIRE(t.outer(link, 0xc0000203) != nullptr);
    CHECK(t.outer(link, 0xc0000203)->gre_len == 8);
    CHECK(t.record(link).mtu == 1472);  // GRE-CRE-12
    options = {};
    options.remote = ip("192.0.2.2");
    t.change(link, options);
    CHECK(t.record(link).ip_tunnel.out_key == 6U);
    CHECK(t.found(IpTunnelKind::gre, 5) == link);
    options.remote = ip("0.0.0.0");
    CHECK(t.refused(link, options) == std::errc::invalid_argument);  // IPIP-CRE-10

    REQUIRE(t.up(link, false));
    CHECK(t.found(IpTunnelKind::gre, 5) == kNoLink);
    REQUIRE(t.up(link));
    REQUIRE(t.core->links().del(link));
    CHECK(t.found(IpTunnelKind::gre, 5) == kNoLink);
    CHECK(t.outer(link) == nullptr);
    CHECK(t.core->tunnels().size() == 0);
}

TEST_CASE("IPIP-CRE-12 a tunnel outlives the link it is bound to", "[control]") {
    Tunnelled t;
    const LinkId below = t.add_link("dummy0", LinkKind::dummy);
    REQUIRE(t.up(below));
    t.add_address(below, "198.51.100.1/24");
    LinkAddRequest request = Tunnelled::request("a", LinkKind::ipip, "198.51.100.2");
    request.ip_tunnel.dev = "dummy0";
    const LinkId link = t.add(request);
    REQUIRE(t.up(link));
    REQUIRE(t.core->links().del(below));
    t.core->settle();
    REQUIRE(t.core->links().find(link) != nullptr);
    REQUIRE(t.outer(link, 0xc6336402) != nullptr);
    CHECK(t.outer(link, 0xc6336402)->state == TunnelState::no_route);
}

TEST_CASE("TUN-TX-12 a route to the remote through the tunnel is a loop", "[control]") {
    Tunnelled t;
    const LinkId link = t.add(Tunnelled::request("a", LinkKind::ipip, "203.0.113.9"));
    CHECK(t.outer(link, 0xcb007109)->state == TunnelState::no_route);
    REQUIRE(t.up(link));
    route::Route route;
    route.prefix = prefix("203.0.113.0/24");
    route.link = link;
    REQUIRE(t.core->routing().modify_route(route::RouteVerb::add, route));
    t.core->settle();
    CHECK(t.outer(link, 0xcb007109)->state == TunnelState::loop);
}

TEST_CASE("TUN-TX-03 remotes that packets name", "[control]") {
    Tunnelled t;
    LinkAddRequest request = Tunnelled::request("a", LinkKind::gre, "", "192.0.2.1");
    const LinkId link = t.add(request);
    Tunnels& tunnels = t.core->tunnels();
    CHECK_FALSE(tunnels.learn_remote(link, ip("192.0.2.2")));
    REQUIRE(t.up(link));
    CHECK(tunnels.learn_remote(link, ip("192.0.2.2")));
    CHECK(tunnels.learn_remote(link, ip("192.0.2.2")));
    CHECK_FALSE(tunnels.learn_remote(link, ip("224.0.0.1")));
    CHECK_FALSE(tunnels.learn_remote(t.port, ip("192.0.2.2")));
    CHECK(tunnels.size() == 1);
    CHECK(t.outer(link)->state == TunnelState::unresolved);
    for (std::uint32_t i = 0; i < 5000; ++i) {
        REQUIRE(tunnels.learn_remote(link, net::IpAddress::from_v4(0x0b000000 + i)));
    }
    CHECK(tunnels.size() <= 4096);
    REQUIRE(t.core->links().del(link));
    CHECK(tunnels.size() == 0);
}

TEST_CASE(
    "IPIP-CRE-02 routes into a tunnel need no neighbour; no frames in a bridge", "[control]"
) {
    Tunnelled t;
    const LinkId link = t.add(Tunnelled::request("a", LinkKind::ipip, "", "192.0.2.1"));
    REQUIRE(t.up(link));
    route::Route route;
    route.prefix = prefix("10.0.0.0/8");
    route.link = link;
    route.gateway = ip("192.0.2.7");
    route.onlink = true;
    REQUIRE(t.core->routing().modify_route(route::RouteVerb::add, route));
    const auto id = t.core->routing().fib4().lookup(0x0a000001);
    const route::Adjacency* adjacency = t.core->routing().adjacencies().read(id);
    REQUIRE(adjacency != nullptr);
    CHECK(adjacency->kind == route::AdjacencyKind::rewrite);
    CHECK(adjacency->link_out == link);
    CHECK(adjacency->mtu == 1480);
    CHECK(
        std::vector<std::uint8_t>(adjacency->header.begin(), adjacency->header.begin() + 4) ==
        std::vector<std::uint8_t>{192, 0, 2, 7}
    );
    t.add_link("br0", LinkKind::bridge);
    CHECK(t.set_master(link, "br0").error().code == std::errc::invalid_argument);
}

}  // namespace culvert::control::test
