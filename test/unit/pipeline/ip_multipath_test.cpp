// SPDX-License-Identifier: BSD-3-Clause
// Among several next hops each flow has one, in both families.
#include "lib/net/icmp.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/pipeline/router.hpp"

#include <array>
#include <map>

namespace culvert::pipeline::test {

namespace {

constexpr std::uint32_t kTenth = 0x7fffffff / 10;

// 10.1.0.0/16 and 2001:db8:1::/48 lie behind two routers: a tenth of the flows goes by port 2.
struct Fork : Router {
    Fork() {
        for (const char* prefix : {"10.1.0.0/16", "2001:db8:1::/48"}) {
            auto several = std::make_shared<route::Multipath>();
            several->members = {
                {kTenth, add_next_hop(prefix, port_link(2), mac(0x88))},
                {0x7fffffff, add_next_hop(prefix, out, kNextHop)}};
            route::Adjacency fork;
            fork.kind = route::AdjacencyKind::multipath;
            fork.multipath = several;
            add_route(prefix, fork);
        }
    }
};

Packet packet6(std::uint32_t flow, std::uint32_t label = 0) {
    Packet packet = Packet().ether(Machine::port_mac(0), mac(1), net::ether_type::kIpv6);
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(0, label);
    ip.next_header = net::ip_protocol::kUdp;
    ip.hop_limit = 64;
    ip.source = net::IpAddress::parse("2001:db8::2").value().bytes();
    ip.destination = net::IpAddress::parse("2001:db8:1::").value().bytes();
    std::memcpy(&ip.destination[12], &flow, sizeof(flow));
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    return packet.raw(Bytes(raw, raw + sizeof(ip)));
}

}  // namespace

TEST_CASE("multipath: flows spread over the next hops by weight", "[pipeline][ip4][ip6]") {
    Fork fork;
    const bool is_ip6 = GENERATE(false, true);
    constexpr std::uint32_t kFlows = 2000;
    for (std::uint32_t i = 0; i < kFlows; ++i) {
        fork.receive(
            fork.in,
            is_ip6 ? packet6(i * 77)
                   : fork.packet({.source = 0x0a000002 + i / 50, .destination = kBehind + i})
        );
        if (i % 200 == 199) {
            fork.run();
        }
    }
    fork.expect_no_drop();
    const std::vector<Bytes> few = fork.sent(fork.port_link(2));
    const std::vector<Bytes> most = fork.sent(fork.out);
    CHECK(few.size() + most.size() == kFlows);
    CHECK(few.size() > kFlows / 10 - 60);
    CHECK(few.size() < kFlows / 10 + 60);
    REQUIRE_FALSE(few.empty());
    CHECK(few.front().at(5) == 0x88);
    CHECK(most.front().at(5) == 0x77);
    CHECK(few.front().at(is_ip6 ? 21 : 22) == 63);
}

TEST_CASE("multipath: a flow's packets, and errors about it, take one way", "[pipeline][ip4]") {
    Fork fork;
    for (std::uint32_t i = 0; i < 100; ++i) {
        // One packet of the flow, and what a host in it says of the way back.
        const Ipv4Options flow{.source = kPeer + i, .destination = kBehind};
        fork.receive(fork.in, fork.packet(flow, 8));
        fork.receive(fork.in, fork.packet(flow, 100));
        Bytes quote = fork.packet({.source = kBehind, .destination = kPeer + i}, 8).bytes();
        quote.erase(quote.begin(), quote.begin() + 14);
        Bytes error(8);
        error[0] = net::icmp_type::kTimeExceeded;
        error.insert(error.end(), quote.begin(), quote.end());
        fork.receive(
            fork.in,
            Packet()
                .ether(fork.port_mac(0), mac(1))
                .ipv4(
                    {.source = 0x0a0000fe,
                     .destination = kBehind,
                     .protocol = net::ip_protocol::kIcmp}
                )
                .raw(error)
        );
        fork.run();
        const std::size_t one = fork.sent(fork.out).size();
        const std::size_t other = fork.sent(fork.port_link(2)).size();
        CHECK(((one == 3 && other == 0) || (one == 0 && other == 3)));
    }
    fork.expect_no_drop();
}

TEST_CASE("multipath: a next hop without a MAC is asked for, the others go on", "[pipeline][ip4]") {
    Fork fork;
    auto several = std::make_shared<route::Multipath>();
    route::Adjacency unknown;
    unknown.kind = route::AdjacencyKind::incomplete;
    unknown.link_out = fork.out;
    unknown.mtu = 1500;
    unknown.next_hop = net::IpAddress::parse("fe80::1").value();
    several->members = {
        {0x3fffffff, fork.add_route("10.7.0.0/16", unknown)},
        {0x7fffffff, fork.add_next_hop("10.7.0.0/16", fork.port_link(2), mac(0x88))}};
    route::Adjacency both;
    both.kind = route::AdjacencyKind::multipath;
    both.multipath = several;
    fork.add_route("10.7.0.0/16", both);
    for (std::uint32_t i = 0; i < 64; ++i) {
        fork.receive(fork.in, fork.packet({.destination = 0x0a070001 + i}));
    }
    fork.run();
    const std::vector<Punted> asked = fork.punted();
    CHECK(asked.size() + fork.sent(fork.port_link(2)).size() == 64);
    REQUIRE_FALSE(asked.empty());
    CHECK(asked.front().note.punt == Punt::resolve);
    CHECK(asked.front().next_hop == unknown.next_hop);
    fork.expect_no_drop();
}

TEST_CASE("multipath: IPv6 flows are told apart by their labels", "[pipeline][ip6]") {
    Fork fork;
    for (std::uint32_t label = 0; label < 200; ++label) {
        fork.receive(fork.in, packet6(1, label));
    }
    fork.run();
    CHECK_FALSE(fork.sent(fork.out).empty());
    CHECK_FALSE(fork.sent(fork.port_link(2)).empty());
    fork.expect_no_drop();
}

}  // namespace culvert::pipeline::test
