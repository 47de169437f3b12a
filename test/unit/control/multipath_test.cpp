// SPDX-License-Identifier: BSD-3-Clause
// Several next hops, end to end: by what flows are told apart, and which way tunnels' outer packets
// take.
#include "test/unit/control/vrf_machine.hpp"

#include <array>
#include <numeric>

namespace culvert::control::test {

namespace {

constexpr std::size_t kFlows = 400;

// 203.0.113.0/24 lies behind a router beyond port0, and three times as much behind one beyond
// port1.
struct ForkMachine : VrfMachine {
    ForkMachine() {
        run("addr add 192.0.2.1/24 dev port0");
        run("addr add 198.51.100.1/24 dev port1");
        run("addr add 10.0.0.1/24 dev port2");
        know(0, "192.0.2.2");
        know(1, "198.51.100.2");
        run("route add 203.0.113.0/24 nexthop via 192.0.2.2 dev port0 weight 1 "
            "nexthop via 198.51.100.2 dev port1 weight 3");
        (void)sent_counts();
    }

    // As many packets as went by port0 and port1.
    template <typename Make>
    std::array<std::size_t, 2> spread(Make make) {
        std::array<std::size_t, 2> counts{};
        for (std::size_t i = 0; i < kFlows; ++i) {
            receive(2, make(static_cast<std::uint16_t>(i)));
            if (i % 50 == 49) {
                settle();
                counts[0] += sent(0).size();
                counts[1] += sent(1).size();
            }
        }
        CHECK(counts[0] + counts[1] == kFlows);
        return counts;
    }
};

Bytes udp_to(const std::string& destination, std::uint16_t port) {
    return from_peer(2, {.source = v4("10.0.0.2"), .destination = v4(destination)})
        .udp(static_cast<std::uint16_t>(1000 + port), 2000)
        .payload(20)
        .bytes();
}

bool is_by_weight(const std::array<std::size_t, 2>& counts) {
    return counts[0] > kFlows / 4 - 50 && counts[0] < kFlows / 4 + 50;
}

bool is_one_way(const std::array<std::size_t, 2>& counts) {
    return counts[0] == 0 || counts[1] == 0;
}

}  // namespace

TEST_CASE("RT-09 fib_multipath_hash_policy decides what a flow is", "[control]") {
    ForkMachine machine;
    const auto by_port = [](std::uint16_t i) { return udp_to("203.0.113.7", i); };
    const auto by_inner = [](std::uint16_t i) {
        const Bytes inner =
            Packet()
                .ether({}, {})
                .ipv4({.source = v4("172.16.0.2") + i, .destination = v4("172.16.0.1")})
                .udp(1, 2)
                .payload(8)
                .bytes();
        return from_peer(
                   2,
                   {.source = v4("10.0.0.2"),
                    .destination = v4("203.0.113.7"),
                    .protocol = net::ip_protocol::kIpip}
        )
            .raw(Bytes(inner.begin() + 14, inner.end()))
            .bytes();
    };
    CHECK(is_one_way(machine.spread(by_port)));
    CHECK(is_one_way(machine.spread(by_inner)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_policy=1");
    CHECK(is_by_weight(machine.spread(by_port)));
    CHECK(is_one_way(machine.spread(by_inner)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_policy=2");
    CHECK(is_one_way(machine.spread(by_port)));
    CHECK(is_by_weight(machine.spread(by_inner)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_policy=3");
    CHECK(is_one_way(machine.spread(by_port)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_fields=0x10");
    CHECK(is_by_weight(machine.spread(by_port)));
    CHECK(is_one_way(machine.spread(by_inner)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_fields=64");
    CHECK(is_one_way(machine.spread(by_port)));
    CHECK(is_by_weight(machine.spread(by_inner)));
    // The other family's is its own.
    CHECK(
        machine.run("sysctl net.ipv6.fib_multipath_hash_policy net.ipv4.fib_multipath_hash_policy"
        ) == "net.ipv6.fib_multipath_hash_policy = 0\nnet.ipv4.fib_multipath_hash_policy = 3\n"
    );
}

TEST_CASE("RT-09 an ipip or gre tunnel's outer packets go by the flow inside", "[control]") {
    ForkMachine machine;
    const std::string kind = GENERATE(as<std::string>{}, "ipip", "gre", "sit");
    machine.run("link add tun type " + kind + " remote 203.0.113.9 local 10.0.0.1 ttl 64");
    machine.run("link set tun up");
    machine.run("route add 20.0.0.0/8 dev tun");
    const auto flow = [](std::uint16_t i) { return udp_to("20.1.1.1", i); };
    CHECK(is_by_weight(machine.spread(flow)));
    CHECK(machine.run("show tunnels").find("ready") != std::string::npos);
    // One flow has one way.
    CHECK(is_one_way(machine.spread([](std::uint16_t) { return udp_to("20.1.1.1", 1); })));
    // What is larger than its way is refused or cut as ever, by the smallest MTU.
    machine.run("link set port1 mtu 1300");
    CHECK(machine.run("show tunnels").find("mtu 1300") != std::string::npos);
    // A next hop dies, and lives again.
    machine.run("link set port0 down");
    const auto left = machine.spread(flow);
    CHECK(left[0] == 0);
    machine.run("link set port0 up");
    machine.know(0, "192.0.2.2");
    CHECK(is_by_weight(machine.spread(flow)));
    machine.run("route replace 203.0.113.0/24 via 192.0.2.2");
    CHECK(machine.spread(flow)[1] == 0);
    machine.run("link del tun");
}

TEST_CASE("RT-09 a tunnel's next hop without a MAC is asked for, the other goes on", "[control]") {
    ForkMachine machine;
    machine.run("neigh del 192.0.2.2 dev port0");
    machine.run("link add tun type ipip remote 203.0.113.9 local 10.0.0.1 ttl 64");
    machine.run("link set tun up");
    machine.run("route add 20.0.0.0/8 dev tun");
    (void)machine.sent_counts();
    for (std::uint16_t i = 0; i < 40; ++i) {
        machine.receive(2, udp_to("20.1.1.1", i));
    }
    machine.settle();
    const std::size_t waiting = 40 - machine.sent(1).size();
    CHECK(waiting > 0);
    CHECK(waiting < 30);
    REQUIRE(machine.sent(0).size() == 1);  // who has 192.0.2.2?
    machine.know(0, "192.0.2.2");
    machine.settle();
    CHECK(machine.sent(0).size() == waiting);
}

TEST_CASE("RT-09 a vxlan's outer packets go by their source port, if ports count", "[control]") {
    ForkMachine machine;
    machine.run("link add vx type vxlan id 42 remote 203.0.113.9 local 10.0.0.1 dstport 4789");
    machine.run("link set vx up");
    machine.run("addr add 10.99.0.1/24 dev vx");
    machine.run("neigh replace 10.99.0.2 lladdr 02:00:00:00:09:99 dev vx");
    machine.run("route add 20.0.0.0/8 via 10.99.0.2");
    const auto flow = [](std::uint16_t i) { return udp_to("20.1.1.1", i); };
    CHECK(is_one_way(machine.spread(flow)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_policy=1");
    CHECK(is_by_weight(machine.spread(flow)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_policy=3");
    CHECK(is_one_way(machine.spread(flow)));
    machine.run("sysctl net.ipv4.fib_multipath_hash_fields=0x10");
    CHECK(is_by_weight(machine.spread(flow)));
}

TEST_CASE("settings by the kernel's names", "[control]") {
    ForkMachine machine;
    CHECK(machine.run("sysctl net.ipv4.ip_forward") == "net.ipv4.ip_forward = 1\n");
    CHECK(machine.run("sysctl -w net/ipv4/ip_forward=1") == "net.ipv4.ip_forward = 1\n");
    CHECK(machine.refused("sysctl net.ipv4.ip_forward=0").find("EPERM") != std::string::npos);
    CHECK(machine.refused("sysctl net.ipv4.nothing").find("no such setting") != std::string::npos);
    for (const char* wrong : {"4", "-1", "x", ""}) {
        CAPTURE(wrong);
        CHECK(
            machine.refused(fmt::format("sysctl net.ipv4.fib_multipath_hash_policy={}", wrong))
                .find("EINVAL") != std::string::npos
        );
    }
    CHECK(
        machine.refused("sysctl net.ipv6.fib_multipath_hash_fields=0").find("1 to 4095") !=
        std::string::npos
    );
    // All or nothing.
    (void)machine.refused("sysctl net.ipv4.fib_multipath_hash_policy=1 net.ipv4.ip_forward=0");
    CHECK(
        machine.run("sysctl net.ipv4.fib_multipath_hash_policy") ==
        "net.ipv4.fib_multipath_hash_policy = 0\n"
    );
    machine.run("sysctl net.ipv4.neigh.default.gc_stale_time=90");
    CHECK(machine.core().routing().neighbours().parameters().gc_stale_time_ms == 90000);
    CHECK(
        machine.run("show sysctl").find("net.ipv4.neigh.default.gc_stale_time = 90\n") !=
        std::string::npos
    );
    CHECK(
        machine.run("-j sysctl net.ipv4.ip_default_ttl") ==
        "[{\"name\":\"net.ipv4.ip_default_ttl\",\"value\":64}]\n"
    );
}

}  // namespace culvert::control::test
