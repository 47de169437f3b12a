// SPDX-License-Identifier: BSD-3-Clause
// ip6tnl, ip6gre and ip6gretap as commands, and what control makes of them. Expected strings are
// what ip(8) prints for the same commands.
#include "lib/control/tunnel_faults.hpp"
#include "lib/encap/ip_tunnel6.hpp"
#include "test/unit/control/command_fixture.hpp"
#include "test/unit/control/ip6_node.hpp"

namespace culvert::control::test {

namespace {

constexpr const char* kEnds = " local 2001:db8::1 remote 2001:db8::9 ";

struct Lab6 : CommandFixture {
    Lab6() { add_port(0); }

    void make(const std::string& type, const std::string& options = {}) {
        run("link add t1 type " + type + kEnds + options);
    }

    // The line of `link show -d` in which the link's own options stand.
    std::string info() {
        std::string text = run("-d link show t1");
        text.erase(0, text.find('\n') + 1);
        text.erase(0, text.find('\n') + 1);
        return text;
    }
};

// A node with an ip6tnl and an ip6gre to 3fff::7, and 192.0.2.0/24 and 2001:db8:f::/48 behind them.
struct TunnelNode : Node {
    TunnelNode() {
        REQUIRE(core->routing().modify_route(
            route::RouteVerb::add,
            {.prefix = *net::Prefix::parse("3fff::/32"), .gateway = ip("2001:db8::2")}
        ));
        ip6tnl = add("t6", pipeline::LinkKind::ip6tnl);
        ip6gre = add("g6", pipeline::LinkKind::ip6gre);
    }

    LinkId add(const std::string& name, pipeline::LinkKind kind) {
        LinkAddRequest request;
        request.name = name;
        request.kind = kind;
        request.ip_tunnel.local = ip("2001:db8::1");
        request.ip_tunnel.remote = ip("3fff::7");
        const auto link = core->links().add(request);
        REQUIRE(link);
        LinkSetRequest up;
        up.up = true;
        REQUIRE(core->links().set(*link, up));
        core->settle();
        return *link;
    }

    // An error about an outer packet with this behind its header, `length` bytes of it in all.
    void hear_error(
        std::uint8_t type,
        std::uint8_t code,
        std::uint32_t info,
        std::uint8_t protocol,
        const Bytes& behind,
        std::uint16_t length = 1400
    ) {
        Bytes message{type, code, 0, 0};
        for (int shift = 24; shift >= 0; shift -= 8) {
            message.push_back(static_cast<std::uint8_t>(info >> shift));
        }
        net::Ipv6Header quoted{};
        quoted.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
        quoted.payload_length = net::Be16{length};
        quoted.next_header = protocol;
        quoted.source = ip("2001:db8::1").bytes();
        quoted.destination = ip("3fff::7").bytes();
        const auto* raw = reinterpret_cast<const std::uint8_t*>(&quoted);
        message.insert(message.end(), raw, raw + sizeof(quoted));
        message.insert(message.end(), behind.begin(), behind.end());
        hear({.source = "2001:db8::2", .destination = "2001:db8::1", .message = message});
    }

    static Bytes inner6() {
        net::Ipv6Header inner{};
        inner.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
        inner.next_header = 6;
        inner.source = ip("2001:db8::77").bytes();
        inner.destination = ip("2001:db8:f::1").bytes();
        const auto* raw = reinterpret_cast<const std::uint8_t*>(&inner);
        return {raw, raw + sizeof(inner)};
    }

    std::uint64_t told() { return core->own_counters().read(pipeline::IpCounter::icmp_out_errors); }

    LinkId ip6tnl = kNoLink;
    LinkId ip6gre = kNoLink;
};

}  // namespace

TEST_CASE_METHOD(Lab6, "link show of ip6tnl, ip6gre and ip6gretap", "[control][command]") {
    make("ip6tnl");
    std::string text = run("link show t1");
    CHECK(
        text.substr(text.find(' ') + 1) ==
        "t1@NONE: <POINTOPOINT,NOARP> mtu 1452 qdisc noqueue state DOWN mode DEFAULT group default "
        "qlen 1000\n    link/tunnel6 2001:db8::1 peer 2001:db8::9\n"
    );
    CHECK(
        info() == "    ip6tnl any remote 2001:db8::9 local 2001:db8::1 hoplimit 64 encaplimit 4 "
                  "tclass 0x00 flowlabel 0x00000 \n"
    );
    CHECK(core->links().find("ip6tnl0") != nullptr);
    run("link set t1 type ip6tnl mode ip6ip6 encaplimit none tclass inherit flowlabel inherit "
        "hoplimit inherit dscp inherit");
    CHECK(
        info() == "    ip6tnl ip6ip6 remote 2001:db8::9 local 2001:db8::1 hoplimit inherit "
                  "encaplimit none tclass inherit flowlabel inherit dscp inherit \n"
    );
    CHECK(core->links().find("t1")->mtu == 1460);
    run("link del t1");
    make("ip6gre", "dev port0 key 7 icsum tclass b8 flowlabel 12345 encaplimit 0");
    CHECK(
        info() == "    ip6gre remote 2001:db8::9 local 2001:db8::1 dev port0 hoplimit 64 "
                  "encaplimit 0 tclass 0xb8 flowlabel 0x12345 ikey 0.0.0.7 okey 0.0.0.7 icsum \n"
    );
    CHECK(core->links().find("t1")->mtu == 1444);
    text = run("link show t1");
    CHECK(text.find("link/gre6 2001:db8::1 peer 2001:db8::9") != std::string::npos);
    const Json json_info = json("-d link show t1")[0]["linkinfo"]["info_data"];
    CHECK(
        json_info ==
        Json::parse(R"({"remote":"2001:db8::9","local":"2001:db8::1","link":"port0","ttl":64,)"
                    R"("encap_limit":0,"tclass":"0xb8","flowlabel":"0x12345",)"
                    R"("ikey":"0.0.0.7","okey":"0.0.0.7","icsum":true})")
    );
    run("link del t1");
    make("ip6gretap");
    CHECK(core->links().find("t1")->mtu == 1434);
    CHECK(run("link show t1").find("link/ether") != std::string::npos);
    CHECK(run("link show").find("ip6gre0@NONE: <NOARP> mtu 1448") != std::string::npos);
}

TEST_CASE_METHOD(Lab6, "ip6gre sends to a group, which it does not join", "[control][command]") {
    run("link set port0 up");
    run("addr add 2001:db8::1/64 dev port0 nodad");
    run("link add t1 type ip6gre local 2001:db8::1 remote ff05::1:1 dev port0");
    run("link set t1 up");
    INFO(run("show tunnels"));
    CHECK(run("show tunnels").find("ready") != std::string::npos);
    const auto group = net::IpAddress::parse("ff05::1:1").value();
    const auto* way = core->tables().adjacencies.read(core->tables().fib6.lookup(group.bytes()));
    CHECK((way == nullptr || !route::is_ours(way->kind)));
}

TEST_CASE_METHOD(Lab6, "what tunnels over IPv6 refuse", "[control][command]") {
    CHECK_FALSE(refused("link add t1 type ip6tnl local 192.0.2.1 remote 192.0.2.2", 2).empty());
    CHECK_FALSE(refused("link add t1 type ip6gretap local 2001:db8::1", 2).empty());
    CHECK_FALSE(refused("link add t1 type ip6tnl remote ff02::1 local 2001:db8::1", 2).empty());
    make("ip6tnl");
    CHECK_FALSE(
        refused("link add t2 type ip6tnl local 2001:db8::1 remote 2001:db8::9 ttl 3", 2).empty()
    );
    CHECK_FALSE(refused("link set ip6tnl0 type ip6tnl remote 2001:db8::9", 2).empty());
    run("link add t3 type ip6gre local 2001:db8::1 remote 2001:db8::9");
    run("link add t4 type ip6gre local 2001:db8::1 remote 2001:db8::9 key 4");
}

TEST_CASE("TUN-TX-11 a tunnel over IPv6 follows its route", "[control]") {
    TunnelNode node;
    const auto state = [&](LinkId link) {
        const auto id = node.core->ip_tunnels().own.read(link);
        REQUIRE(id != encap::IpTunnelTemplates6::kNone);
        const encap::IpTunnelTemplate6* outer = node.core->ip_tunnels().templates6.read(id);
        REQUIRE(outer != nullptr);
        return outer->state;
    };
    CHECK(state(node.ip6tnl) == encap::TunnelState::unresolved);
    REQUIRE(node.core->routing().neighbours().set(
        route::NeighbourTable::Verb::replace,
        {node.port, ip("2001:db8::2")},
        kPeer,
        route::NeighbourState::permanent,
        false,
        node.core->now_ms()
    ));
    node.core->settle();
    CHECK(state(node.ip6tnl) == encap::TunnelState::ready);
    IpTunnelOptions no_local;
    no_local.local = net::IpAddress{};
    LinkSetRequest change;
    change.ip_tunnel = no_local;
    REQUIRE(node.core->links().set(node.ip6tnl, change));
    node.core->settle();
    CHECK(state(node.ip6tnl) == encap::TunnelState::no_route);
    REQUIRE(node.core->links().del(node.ip6gre));
    node.core->settle();
    CHECK(node.core->ip_tunnels().own.read(node.ip6gre) == encap::IpTunnelTemplates6::kNone);
}

TEST_CASE("TUN-PMTU-05 errors about an ip6tnl's packets reach the inner sender", "[control]") {
    TunnelNode node;
    const Bytes options{41, 0, 4, 1, 4, 1, 1, 0};
    Bytes behind = options;
    const Bytes inner = TunnelNode::inner6();
    behind.insert(behind.end(), inner.begin(), inner.end());
    node.hear_error(2, 0, 1400, 60, behind);
    CHECK(node.core->routing().lookup(ip("3fff::7")).mtu == 1400);
    CHECK(node.told() == 1);
    // What was no larger than what is left is not at fault: only the path is learned.
    node.hear_error(2, 0, 1380, 60, behind, 1200);
    CHECK(node.core->routing().lookup(ip("3fff::7")).mtu == 1380);
    CHECK(node.told() == 1);
    node.hear_error(1, 0, 0, 60, behind);
    CHECK(node.told() == 2);
    node.hear_error(3, 1, 0, 60, behind);  // a datagram that was never whole
    CHECK(node.told() == 2);
    node.hear_error(4, 0, 44, 60, behind);  // its limit is not 0
    CHECK(node.told() == 2);
    // Nothing of it is quoted that would say whose it was.
    node.hear_error(1, 0, 0, 60, options);
    CHECK(node.told() == 2);
    CHECK_FALSE(node.core->tunnel_faults().has(node.ip6tnl));
}

TEST_CASE("GRE-ERR-04 errors about an ip6gre's packets make it fail for a while", "[control]") {
    TunnelNode node;
    const Bytes gre{0, 0, 0x86, 0xdd, 0, 0, 0, 0};
    node.hear_error(1, 4, 0, 47, gre);  // port unreachable: nobody there, and no fault of the way
    CHECK_FALSE(node.core->tunnel_faults().has(node.ip6gre));
    node.hear_error(1, 0, 0, 47, Bytes{0, 0});
    CHECK_FALSE(node.core->tunnel_faults().has(node.ip6gre));
    node.hear_error(1, 3, 0, 47, gre);
    CHECK(node.core->tunnel_faults().has(node.ip6gre));
}

TEST_CASE("TUN-PMTU-05 GRE-ERR-04 errors about packets in UDP", "[control][fou]") {
    TunnelNode node;
    for (const auto& [link, port] : {std::pair(node.ip6tnl, 5555), std::pair(node.ip6gre, 5556)}) {
        LinkSetRequest in_udp;
        in_udp.ip_tunnel.emplace();
        in_udp.ip_tunnel->udp = encap::UdpEncap::Kind::gue;
        in_udp.ip_tunnel->udp_destination_port = static_cast<std::uint16_t>(port);
        REQUIRE(node.core->links().set(link, in_udp));
    }
    const auto quoted = [](std::uint8_t port, std::uint8_t inside, const Bytes& behind) {
        Bytes bytes{0x9c, 0x40, 0x15, port, 0, 0, 0, 0, 0, inside, 0, 0};
        bytes.insert(bytes.end(), behind.begin(), behind.end());
        return bytes;
    };
    node.hear_error(1, 0, 0, 17, quoted(0xb3, 41, TunnelNode::inner6()));
    CHECK(node.told() == 1);
    node.hear_error(2, 0, 1380, 17, quoted(0xb3, 41, TunnelNode::inner6()));
    CHECK(node.told() == 2);
    CHECK(node.core->routing().lookup(ip("3fff::7")).mtu == 1380);
    CHECK_FALSE(node.core->tunnel_faults().has(node.ip6gre));
    node.hear_error(1, 0, 0, 17, quoted(0xb5, 47, {0, 0, 0x86, 0xdd}));  // nobody's port
    CHECK_FALSE(node.core->tunnel_faults().has(node.ip6gre));
    node.hear_error(1, 0, 0, 17, quoted(0xb4, 47, {0, 0, 0x86, 0xdd}));
    CHECK(node.core->tunnel_faults().has(node.ip6gre));
    node.hear_error(1, 0, 0, 17, Bytes{0x9c, 0x40, 0x15, 0xb3});  // cut off
    CHECK(node.told() == 2);
}

}  // namespace culvert::control::test
