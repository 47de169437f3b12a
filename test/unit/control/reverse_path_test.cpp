// SPDX-License-Identifier: BSD-3-Clause
// Which packets a router takes from whom: reverse path filters, source routes, redirects. And
// routes with next hops on the link itself.
#include "test/unit/control/vrf_machine.hpp"

#include <rte_ring.h>

namespace culvert::control::test {

namespace {

using pipeline::Drop;
using Machine = TwoVrfs;

}  // namespace

TEST_CASE(
    "RT-13 rp_filter: the way back to the source must be the link, or any", "[control][vrf]"
) {
    Machine machine;
    machine.run("route add 20.0.0.0/8 via 10.9.0.2");
    machine.run("route add 30.0.0.0/8 via 10.0.0.2 vrf red");
    const std::uint16_t port = 2;
    // From the link's own network, from behind another link, from nowhere, from who has no address.
    const std::array<Bytes, 4> packets_of_each{
        udp_between(port, "10.0.0.2", "10.9.0.2"),
        udp_between(port, "20.0.0.9", "10.9.0.2"),
        udp_between(port, "40.0.0.9", "10.9.0.2"),
        udp_between(port, "0.0.0.0", "10.9.0.2")};
    const auto passed = [&] {
        std::string text;
        for (const Bytes& bytes : packets_of_each) {
            const std::uint64_t before = machine.drops("port2", Drop::ip4_reverse_path);
            machine.receive(port, bytes);
            (void)machine.sent_counts();
            text += machine.drops("port2", Drop::ip4_reverse_path) == before ? "+" : "-";
        }
        return text;
    };
    CHECK(passed() == "++++");
    machine.run("link set port2 rp_filter strict");
    CHECK(passed() == "+--+");
    machine.run("link set port2 rp_filter 2");
    CHECK(passed() == "++-+");
    machine.run("link set port2 rp_filter 0");
    CHECK(passed() == "++++");
    // What passes goes its way; and in a VRF its table is asked.
    machine.run("link set port2 rp_filter 1");
    machine.receive(port, udp_between(port, "10.0.0.2", "10.9.0.2"));
    CHECK(machine.sent_counts() == "0 0 0 1");
    machine.run("link set port0 rp_filter strict");
    machine.receive(0, echo_request(0, "30.0.0.9", "10.0.0.1"));
    CHECK(machine.sent_counts() == "1 0 0 0");
    machine.receive(0, echo_request(0, "20.0.0.9", "10.0.0.1"));
    CHECK(machine.sent_counts() == "0 0 0 0");
    CHECK(machine.drops("port0", Drop::ip4_reverse_path) == 1);
}

TEST_CASE("RT-13 what a tunnel carried is filtered as the tunnel's", "[control][vrf]") {
    const bool is_over_ipv6 = GENERATE(false, true);
    const std::string type = is_over_ipv6 ? "ip6tnl local 2001:db8::1 remote 2001:db8::2"
                                          : "ipip local 10.0.0.1 remote 10.0.0.2";
    const Bytes packet = is_over_ipv6 ? ip6tnl_packet(2) : ipip_packet(2);  // from 172.16.0.2
    Machine machine;
    machine.run("link add t1 type " + type + " dev port2");
    machine.run("link set t1 up rp_filter strict");
    machine.receive(2, packet);
    machine.settle();
    CHECK(machine.drops("t1", Drop::ip4_reverse_path) == 1);
    machine.run("addr add 172.16.0.1/24 dev t1");
    machine.receive(2, packet);
    machine.settle();
    CHECK(machine.drops("t1", Drop::ip4_reverse_path) == 1);
    CHECK(machine.drops("t1", Drop::udp_no_port) == 1);
}

TEST_CASE("RT-12 source routes and redirects are not followed", "[control][vrf]") {
    Machine machine;
    const auto type = static_cast<std::uint8_t>(GENERATE(131, 137));
    // Through us, and to us.
    for (const char* to : {"10.9.0.2", "10.0.0.1"}) {
        const std::uint64_t before = machine.drops("port2", Drop::ip4_source_route);
        Bytes bytes =
            from_peer(2, {.source = v4("10.0.0.2"), .destination = v4(to), .option_bytes = 8})
                .udp(1000, 2000)
                .bytes();
        const Bytes option{1, type, 7, 4, 10, 9, 0, 2};
        std::copy(option.begin(), option.end(), bytes.begin() + 34);
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(&bytes[14]);
        ip.checksum = net::Be16{0};
        ip.checksum = net::ipv4_header_checksum(ip, ip.header_len_bytes());
        machine.receive(2, bytes);
        CHECK(machine.sent_counts() == "0 0 0 0");
        CHECK(machine.drops("port2", Drop::ip4_source_route) == before + 1);
    }
    // As a router of Linux's: accept_redirects is off where forwarding is on.
    machine.run("route add 50.0.0.0/8 via 10.9.0.2");
    Bytes redirect = from_peer(
                         2,
                         {.source = v4("10.0.0.2"),
                          .destination = v4("10.0.0.1"),
                          .protocol = net::ip_protocol::kIcmp}
    )
                         .raw(Bytes{5, 1, 0, 0, 10, 0, 0, 7})
                         .raw(Bytes(28, 0x45))
                         .bytes();
    const net::Be16 sum =
        net::checksum_from_sum(net::sum_bytes(redirect.data() + 34, redirect.size() - 34));
    std::memcpy(redirect.data() + 36, &sum, sizeof(sum));
    machine.receive(2, redirect);
    machine.settle();
    CHECK(machine.drops("port2", Drop::icmp_not_handled) == 1);
    CHECK(machine.run("route get 50.0.0.1").starts_with("50.0.0.1 via 10.9.0.2 dev port3 "));
}

TEST_CASE("a next hop without gateway resolves once, not a packet at a time", "[control][vrf]") {
    Machine machine;
    machine.run("route add 60.0.0.0/24 nexthop dev port2 nexthop via 10.9.0.2");
    machine.know(2, "60.0.0.5");
    const auto to_control = [&] {
        for (std::uint16_t last = 3; last < 40; ++last) {
            machine.receive(3, udp_between(3, fmt::format("10.9.0.{}", last), "60.0.0.5"));
        }
        (void)pipeline::poll_once(*machine.core().workers().front());
        (void)machine.sent(2);
        return rte_ring_count(machine.core().workers().front()->rings.to_control);
    };
    CHECK(to_control() == 0);
    // Both next hops have their part.
    for (std::uint16_t last = 3; last < 40; ++last) {
        machine.receive(3, udp_between(3, fmt::format("10.9.0.{}", last), "60.0.0.5"));
    }
    (void)pipeline::poll_once(*machine.core().workers().front());
    const std::size_t direct = machine.sent(2).size();
    CHECK(direct > 5);
    CHECK(direct < 32);
    // A host nobody knows is asked for.
    (void)machine.sent_counts();
    for (std::uint16_t last = 3; last < 15; ++last) {
        machine.receive(3, udp_between(3, fmt::format("10.9.0.{}", last), "60.0.0.6"));
    }
    machine.settle();
    CHECK_FALSE(machine.sent(2).empty());
    // The neighbour goes, and the host's own route with it.
    machine.run("neigh del 60.0.0.5 dev port2");
    machine.run("route del 60.0.0.0/24");
    CHECK(machine.refused("route get 60.0.0.5").find("ENETUNREACH") != std::string::npos);
}

}  // namespace culvert::control::test
