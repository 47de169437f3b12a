// SPDX-License-Identifier: BSD-3-Clause
// Routes by TOS, end to end: forwarding, VRFs, reverse paths, tunnels' outer packets.
#include "test/unit/control/vrf_machine.hpp"

#include <array>

namespace culvert::control::test {

namespace {

constexpr std::array<std::uint8_t, 3> kKinds{0x00, 0x08, 0x10};

// 203.0.113.0/24 lies behind a router beyond port0, and for packets with TOS 0x10 behind one beyond
// port1.
struct TosMachine : VrfMachine {
    TosMachine() {
        run("addr add 192.0.2.1/24 dev port0");
        run("addr add 198.51.100.1/24 dev port1");
        run("addr add 10.0.0.1/24 dev port2");
        know(0, "192.0.2.2");
        know(1, "198.51.100.2");
        run("route add 203.0.113.0/24 via 192.0.2.2");
        run("route add 203.0.113.0/24 tos 0x10 via 198.51.100.2");
        (void)sent_counts();
    }

    // By which port a packet of each kind leaves: -1 = by none.
    std::array<int, 3> ports(const std::string& destination) {
        std::array<int, 3> taken{};
        for (std::size_t i = 0; i < kKinds.size(); ++i) {
            Ipv4Options ip{.source = v4("10.0.0.2"), .destination = v4(destination)};
            ip.tos = kKinds[i];
            receive(2, from_peer(2, ip).udp(1000, 2000).payload(20).bytes());
            settle();
            const bool by_first = !sent(0).empty();
            const bool by_second = !sent(1).empty();
            taken[i] = by_first ? 0 : by_second ? 1 : -1;
        }
        return taken;
    }
};

using Ports = std::array<int, 3>;

}  // namespace

TEST_CASE("RT-05 a worker takes the route of the packet's TOS", "[control]") {
    TosMachine machine;
    CHECK(machine.ports("203.0.113.9") == Ports{0, 0, 1});
    machine.run("route add blackhole 203.0.113.0/24 tos 8");
    CHECK(machine.ports("203.0.113.9") == Ports{0, -1, 1});
    machine.run("route del 203.0.113.0/24");
    CHECK(machine.ports("203.0.113.9") == Ports{-1, -1, 1});
    machine.run("route add default via 192.0.2.2");
    CHECK(machine.ports("203.0.113.9") == Ports{0, -1, 1});
    machine.run("route del 203.0.113.0/24 tos 0x10");
    machine.run("route del 203.0.113.0/24 dsfield 8");
    CHECK(machine.ports("203.0.113.9") == Ports{0, 0, 0});
}

TEST_CASE("RT-05 what a VRF has no route by TOS for is main's", "[control]") {
    TosMachine machine;
    machine.run("link add red type vrf table 10");
    machine.run("link set red up");
    machine.run("link set port2 master red");
    machine.run("addr replace 10.0.0.1/24 dev port2");
    CHECK(machine.ports("203.0.113.9") == Ports{0, 0, 1});
    machine.run("route add 203.0.113.0/25 tos 8 table 10 via 198.51.100.2 dev port1 onlink");
    CHECK(machine.ports("203.0.113.9") == Ports{0, 1, 1});
}

TEST_CASE("TUN-TX-08 RT-05 a tunnel's outer packets go by their TOS", "[control]") {
    TosMachine machine;
    const std::string kind = GENERATE(as<std::string>{}, "ipip", "gre", "vxlan");
    const bool is_vxlan = kind == "vxlan";
    const std::string rest = is_vxlan ? " id 5 dstport 4789 remote 203.0.113.9 local 10.0.0.1"
                                      : " remote 203.0.113.9 local 10.0.0.1 ttl 64";
    const auto make = [&](const std::string& tos) {
        machine.run("link add tun type " + kind + rest + " tos " + tos);
        if (is_vxlan) {
            machine.run("link set tun address 02:00:00:00:00:99");
        }
        machine.run("link set tun up");
        machine.run("addr add 20.0.0.1/24 dev tun");
        if (is_vxlan) {
            machine.run("neigh replace 20.0.0.2 lladdr 02:00:00:00:00:20 dev tun");
        }
        (void)machine.sent_counts();
    };
    make("0x10");
    CHECK(machine.ports("20.0.0.2") == Ports{1, 1, 1});
    machine.run("link del tun");
    make("0x8");
    CHECK(machine.ports("20.0.0.2") == Ports{0, 0, 0});
    machine.run("link del tun");
    make("inherit");
    CHECK(machine.ports("20.0.0.2") == Ports{0, 0, 1});
    CHECK(machine.run("show tunnels").find("ready") != std::string::npos);
    // They follow the routes.
    machine.run("route del 203.0.113.0/24");
    CHECK(machine.ports("20.0.0.2") == Ports{-1, -1, 1});
    machine.run("route add 203.0.113.0/24 via 198.51.100.2");
    machine.run("route replace 203.0.113.0/24 tos 0x10 via 192.0.2.2");
    CHECK(machine.ports("20.0.0.2") == Ports{1, 1, 0});
    machine.run("route del 203.0.113.0/24 tos 0x10");
    CHECK(machine.ports("20.0.0.2") == Ports{1, 1, 1});
    machine.run("link del tun");
}

}  // namespace culvert::control::test
