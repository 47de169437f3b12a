// SPDX-License-Identifier: BSD-3-Clause
// VRFs, end to end: the same addresses and tunnels in two of them and in none.
#include "lib/net/udp.hpp"
#include "lib/net/vxlan.hpp"
#include "test/unit/control/vrf_machine.hpp"

namespace culvert::control::test {

namespace {

using pipeline::Drop;

using Machine = TwoVrfs;

Bytes vxlan_frame(std::uint16_t port, std::uint32_t vni, std::uint32_t inner_destination) {
    net::VxlanHeader vxlan{};
    vxlan.flags = net::Be32{net::vxlan::kVniValid};
    vxlan.vni_and_reserved = net::Be32{vni << 8};
    Bytes header(sizeof(vxlan));
    std::memcpy(header.data(), &vxlan, sizeof(vxlan));
    const Bytes inner = Packet()
                            .ether(net::MacAddress::from_value(0x02000000aaaa), VrfMachine::peer())
                            .ipv4({.source = v4("172.16.0.2"), .destination = inner_destination})
                            .udp(1, 2)
                            .payload(30)
                            .bytes();
    return from_peer(port, {.source = v4("10.0.0.2"), .destination = v4("10.0.0.1")})
        .udp(40000, 4789)
        .raw(header)
        .raw(inner)
        .bytes();
}

Bytes fragment(std::uint16_t port, bool is_last) {
    const auto offset = static_cast<std::uint16_t>(is_last ? 3 : 0x2000);
    Bytes bytes = from_peer(
                      port,
                      {.source = v4("10.0.0.2"),
                       .destination = v4("10.0.0.1"),
                       .protocol = net::ip_protocol::kIcmp,
                       .flags_and_offset = offset}
    )
                      .raw(Bytes{8, 0, 0xf7, 0xfd, 0, 1, 0, 1})
                      .raw(Bytes(16))
                      .bytes();
    return bytes;
}

}  // namespace

TEST_CASE("one address in two VRFs and in none: each answers for its own", "[control][vrf]") {
    Machine machine;
    const auto port = static_cast<std::uint16_t>(GENERATE(0, 1, 2));
    const std::array<const char*, 3> counts_by_link{"1 0 0 0", "0 1 0 0", "0 0 1 0"};
    machine.receive(port, echo_request(port, "10.0.0.2", "10.0.0.1"));
    CHECK(machine.sent_counts() == counts_by_link.at(port));
    machine.receive(
        port,
        Packet()
            .ether(net::kBroadcastMac, VrfMachine::peer(), net::ether_type::kArp)
            .arp_request(VrfMachine::peer(), v4("10.0.0.2"), v4("10.0.0.1"))
            .padding(18)
            .bytes()
    );
    CHECK(machine.sent_counts() == counts_by_link.at(port));
    // What is an address of ours elsewhere is none here, where the VRF's routes end.
    machine.run("route add unreachable default metric 4278198272 vrf red");
    machine.run("route add unreachable default metric 4278198272 vrf blue");
    machine.receive(port, echo_request(port, "10.0.0.2", "10.9.0.1"));
    CHECK(
        machine.sent_counts() == counts_by_link.at(port)
    );  // an answer, or that there is no route
    CHECK(machine.drops(fmt::format("port{}", port), Drop::ip4_unreachable) == (port == 2 ? 0 : 1));
    machine.receive(
        port,
        Packet()
            .ether(net::kBroadcastMac, VrfMachine::peer(), net::ether_type::kArp)
            .arp_request(VrfMachine::peer(), v4("10.0.0.2"), v4("10.9.0.1"))
            .padding(18)
            .bytes()
    );
    CHECK(machine.sent_counts() == (port == 2 ? "0 0 1 0" : "0 0 0 0"));
}

TEST_CASE("a VRF's links are routed by its table", "[control][vrf]") {
    Machine machine;
    machine.run("route add 20.0.0.0/8 via 10.9.0.2 table 10 dev port3");  // a leak
    machine.run("route add 20.0.0.0/8 via 10.0.0.2 vrf blue");
    machine.receive(0, udp_between(0, "10.0.0.2", "20.1.1.1"));
    CHECK(machine.sent_counts() == "0 0 0 1");
    machine.receive(1, udp_between(1, "10.0.0.2", "20.1.1.1"));
    CHECK(machine.sent_counts() == "0 1 0 0");
    machine.receive(2, udp_between(2, "10.0.0.2", "20.1.1.1"));
    (void)machine.sent_counts();
    CHECK(machine.drops("port2", Drop::ip4_no_route) == 1);
    machine.run("route del 20.0.0.0/8 vrf blue");
    machine.receive(1, udp_between(1, "10.0.0.2", "20.1.1.1"));
    (void)machine.sent_counts();
    CHECK(machine.drops("port1", Drop::ip4_no_route) == 1);
}

TEST_CASE("where a VRF's table ends main goes on, unless it says no", "[control][vrf]") {
    Machine machine;
    machine.run("route add 30.0.0.0/8 via 10.9.0.2");
    machine.run("addr add 2001:db8:9::1/64 dev port3 nodad");
    machine.know(3, "2001:db8:9::2");
    machine.run("-6 route add 2001:db8:30::/48 via 2001:db8:9::2");
    const auto get = [&](const std::string& to) {
        return machine.run("route get " + to + " vrf red");
    };
    const auto send6 = [&] {
        net::Ipv6Header ip{};
        ip.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
        ip.next_header = 59;
        ip.hop_limit = 64;
        ip.source = net::IpAddress::parse("2001:db8::2").value().bytes();
        ip.destination = net::IpAddress::parse("2001:db8:30::1").value().bytes();
        const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
        machine.receive(
            0,
            Packet()
                .ether(VrfMachine::mac_of_port(0), VrfMachine::peer(), net::ether_type::kIpv6)
                .raw(Bytes(raw, raw + sizeof(ip)))
                .bytes()
        );
    };
    // Nothing, and `throw`, are not the end.
    for (const std::string line : {"", "route add throw 30.0.0.0/8 vrf red"}) {
        if (!line.empty()) {
            machine.run(line);
        }
        machine.receive(0, udp_between(0, "10.0.0.2", "30.1.1.1"));
        CHECK(machine.sent_counts() == "0 0 0 1");
        CHECK(get("30.1.1.1").starts_with("30.1.1.1 via 10.9.0.2 dev port3 "));
        CHECK(
            machine.run("route get 30.1.1.1 from 10.0.0.2 iif port0").find("dev port3") !=
            std::string::npos
        );
    }
    machine.run("route del throw 30.0.0.0/8 vrf red");
    send6();
    CHECK(machine.sent_counts() == "0 0 0 1");
    CHECK(get("2001:db8:30::1").find("dev port3") != std::string::npos);
    // Main's addresses are the machine's.
    machine.receive(0, echo_request(0, "10.0.0.2", "10.9.0.1"));
    CHECK(machine.sent_counts() == "1 0 0 0");

    machine.run("route add unreachable default metric 4278198272 vrf red");
    machine.run("-6 route add unreachable default metric 4278198272 vrf red");
    machine.receive(0, udp_between(0, "10.0.0.2", "30.1.1.1"));
    CHECK(machine.sent_counts() == "1 0 0 0");  // what the sender hears of it
    CHECK(machine.drops("port0", Drop::ip4_unreachable) == 1);
    send6();
    CHECK(machine.sent_counts() == "1 0 0 0");
    CHECK(
        machine.refused("route get 30.1.1.1 vrf red").find("No route to host") != std::string::npos
    );
    CHECK(
        machine.refused("route get 2001:db8:30::1 vrf red").find("No route to host") !=
        std::string::npos
    );
}

TEST_CASE("VXLAN-SOCK-02 one VNI in two VRFs and in none", "[control][vrf]") {
    Machine machine;
    const std::array<std::string, 3> names_of_tunnels{"vxr", "vxb", "vxm"};
    for (std::size_t i = 0; i < 3; ++i) {
        machine.run(fmt::format(
            "link add {} type vxlan id 42 dstport 4789 remote 10.0.0.2{}",
            names_of_tunnels.at(i),
            i == 2 ? "" : fmt::format(" dev port{}", i)
        ));
        machine.run(fmt::format("link set {} up", names_of_tunnels.at(i)));
    }
    CHECK(
        machine.refused("link add vx2 type vxlan id 42 dstport 4789 remote 10.0.0.3 dev red") ==
        "Error: link add vx2: vni 42 on port 4789 is already vxr's (EEXIST)"
    );
    for (std::uint16_t port = 0; port < 3; ++port) {
        machine.receive(port, vxlan_frame(port, 42, v4("172.16.0.1")));
        machine.settle();
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(machine.rx_packets(names_of_tunnels.at(i)) == (i <= port ? 1 : 0));
        }
    }
    // Out of it: red's device is where none is said now, and there is one already.
    CHECK(machine.refused("link set port0 nomaster").find("EEXIST") != std::string::npos);
    machine.run("link del vxm");
    machine.run("link set port0 nomaster");
    machine.receive(0, vxlan_frame(0, 42, v4("172.16.0.1")));
    machine.settle();
    CHECK(machine.rx_packets("vxr") == 2);
    machine.run("link set port0 master red");
    machine.receive(2, vxlan_frame(2, 42, v4("172.16.0.1")));
    machine.settle();
    CHECK(machine.rx_packets("vxr") == 2);
    CHECK(machine.drops("port2", Drop::udp_no_port) == 1);
}

TEST_CASE("TUN-LKP-10 tunnels with the same addresses in two VRFs", "[control][vrf]") {
    Machine machine;
    machine.run("link add in type vrf table 30");
    machine.run("link set in up");
    machine.run("link add ipr type ipip local 10.0.0.1 remote 10.0.0.2 dev port0");
    machine.run("link add ipb type ipip local 10.0.0.1 remote 10.0.0.2 dev blue");
    machine.run("link set ipr up");
    machine.run("link set ipb up");
    // What comes out of red's is routed by a third table, and what goes in by red.
    machine.run("link set ipr master in");
    machine.run("addr add 172.16.0.1/24 dev ipr");
    machine.receive(0, ipip_packet(0));
    machine.receive(1, ipip_packet(1));
    machine.receive(2, ipip_packet(2));
    machine.settle();
    CHECK(machine.rx_packets("ipr") == 1);
    CHECK(machine.rx_packets("ipb") == 1);
    CHECK(machine.drops("port2", Drop::ip_tunnel_no_device) == 1);
    CHECK(machine.drops("ipr", Drop::udp_no_port) == 1);   // 172.16.0.1 is ours there
    CHECK(machine.drops("ipb", Drop::ip4_no_route) == 1);  // and is not here
    // The answer that the port is closed went back through the tunnel, in red.
    const auto frames = machine.sent(0);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].at(23) == net::ip_protocol::kIpip);
    CHECK(machine.sent(1).empty());  // nobody here knows the way to 172.16.0.2
}

TEST_CASE("TUN-RX-10 what a tunnel over IPv6 carried is routed by its VRF", "[control][vrf]") {
    Machine machine;
    machine.run("link add t1 type ip6tnl local 2001:db8::1 remote 2001:db8::2 dev port2");
    machine.run("link set t1 up");
    machine.run("route add 172.16.0.1/32 via 10.9.0.2");  // main's
    machine.receive(2, ip6tnl_packet(2));
    CHECK(machine.sent_counts() == "0 0 0 1");
    machine.run("link set t1 master blue");
    machine.run("route add unreachable default metric 4278198272 vrf blue");
    machine.receive(2, ip6tnl_packet(2));
    CHECK(machine.sent_counts() == "0 0 0 0");
    CHECK(machine.drops("t1", Drop::ip4_unreachable) == 1);
    machine.run("route add 172.16.0.1/32 via 10.0.0.2 vrf blue");
    machine.receive(2, ip6tnl_packet(2));
    CHECK(machine.sent_counts() == "0 1 0 0");
}

TEST_CASE("TUN-RX-12 fragments in two VRFs are of two datagrams", "[control][vrf]") {
    Machine machine;
    machine.receive(0, fragment(0, false));
    machine.receive(1, fragment(1, true));
    CHECK(machine.sent_counts() == "0 0 0 0");
    machine.receive(0, fragment(0, true));
    CHECK(machine.sent_counts() == "1 0 0 0");
}

TEST_CASE("a link's routes go into its VRF with it, and out again", "[control][vrf]") {
    Machine machine;
    machine.run("route add 20.0.0.0/8 via 10.9.0.2");
    CHECK(
        machine.run("route show") == "10.0.0.0/24 dev port2 proto kernel scope link src 10.0.0.1 \n"
                                     "10.9.0.0/24 dev port3 proto kernel scope link src 10.9.0.1 \n"
                                     "20.0.0.0/8 via 10.9.0.2 dev port3 \n"
    );
    machine.run("link set port3 master red");
    // As in Linux, where the link goes down and up for it: what users added is gone.
    CHECK(
        machine.run("route show") == "10.0.0.0/24 dev port2 proto kernel scope link src 10.0.0.1 \n"
    );
    CHECK(
        machine.run("route show vrf red") ==
        "10.0.0.0/24 dev port0 proto kernel scope link src 10.0.0.1 \n"
        "local 10.0.0.1 dev port0 proto kernel scope host src 10.0.0.1 \n"
        "broadcast 10.0.0.255 dev port0 proto kernel scope link src 10.0.0.1 \n"
        "10.9.0.0/24 dev port3 proto kernel scope link src 10.9.0.1 \n"
        "local 10.9.0.1 dev port3 proto kernel scope host src 10.9.0.1 \n"
        "broadcast 10.9.0.255 dev port3 proto kernel scope link src 10.9.0.1 \n"
    );
    CHECK(machine.run("route show table 10") == machine.run("route show vrf red"));
    CHECK(
        machine.run("route show table all 10.9.0.0/24") ==
        "10.9.0.0/24 dev port3 table 10 proto kernel scope link src 10.9.0.1 \n"
    );
    CHECK(machine.run("route get 10.9.0.2 vrf red").starts_with("10.9.0.2 dev port3 table 10 "));
    CHECK(machine.run("route get 10.0.0.2 oif port1")
              .starts_with("10.0.0.2 dev port1 table 20 src 10.0.0.1 uid 0 \n"));
    CHECK(
        machine.refused("route get 10.9.0.2") ==
        "Error: route get 10.9.0.2: Network is unreachable (ENETUNREACH)"
    );
    machine.know(3, "10.9.0.2");
    machine.receive(0, udp_between(0, "10.0.0.2", "10.9.0.2"));
    CHECK(machine.sent_counts() == "0 0 0 1");
    machine.run("link set port3 nomaster");
    machine.know(3, "10.9.0.2");
    machine.receive(2, udp_between(2, "10.0.0.2", "10.9.0.2"));
    CHECK(machine.sent_counts() == "0 0 0 1");
    // Red has no route there any more, and main has.
    machine.receive(0, udp_between(0, "10.0.0.2", "10.9.0.2"));
    CHECK(machine.sent_counts() == "0 0 0 1");
    machine.run("route add unreachable default metric 4278198272 vrf red");
    machine.receive(0, udp_between(0, "10.0.0.2", "10.9.0.2"));
    CHECK(machine.sent_counts() == "1 0 0 0");  // what the sender hears of it
    CHECK(machine.drops("port0", Drop::ip4_unreachable) == 1);
}

TEST_CASE("UI-NEI-02 what is said of VRFs", "[control][vrf]") {
    Machine machine;
    CHECK(machine.run("link show vrf red").find("port0") != std::string::npos);
    CHECK(machine.run("link show vrf red").find("port1") == std::string::npos);
    CHECK(machine.run("link show master blue").find("port1: ") != std::string::npos);
    const std::string alone = machine.run("link show nomaster");
    CHECK(alone.find("port2") != std::string::npos);
    CHECK(alone.find("port0") == std::string::npos);
    CHECK(alone.find("red: <NOARP,MASTER,UP,LOWER_UP> mtu 65535 ") != std::string::npos);
    CHECK(machine.run("-d link show red").find("    vrf table 10 ") != std::string::npos);
    CHECK(machine.run("-d link show port0").find("    vrf_slave table 10 ") != std::string::npos);
    CHECK(machine.run("link show port0").find(" master red ") != std::string::npos);
    CHECK(machine.run("-4 neigh show vrf red").starts_with("10.0.0.2 dev port0 "));
    CHECK(machine.run("-4 neigh show nomaster").find("port0") == std::string::npos);
    CHECK(
        machine.refused("link add v type vrf").find("VRF table id is missing") != std::string::npos
    );
    CHECK(machine.refused("link add v type vrf table 254").find("EINVAL") != std::string::npos);
    CHECK(
        machine.refused("link add v type vrf table 10") ==
        "Error: link add v: table 10 is red's already (EEXIST)"
    );
    CHECK(machine.refused("link set blue master red").find("EOPNOTSUPP") != std::string::npos);
    CHECK(machine.refused("route show vrf port0").find("port0 is not a VRF") != std::string::npos);
    CHECK(
        machine.refused("route add 20.0.0.0/8 via 99.9.9.9 vrf red").find("ENETUNREACH") !=
        std::string::npos
    );
    machine.run("route add unreachable default metric 4278198272 vrf red");
    machine.run("route replace 40.0.0.0/8 via 10.0.0.2 vrf red");
    machine.run("route flush table 10 root 40.0.0.0/8");
    CHECK(machine.run("route show vrf red root 40.0.0.0/8").empty());
    // The VRF goes, and its links are routed by main; what users put into the table stays there.
    machine.run("link del red");
    CHECK(machine.run("route show table 10") == "unreachable default metric 4278198272 \n");
    machine.receive(0, udp_between(0, "10.0.0.2", "10.9.0.2"));
    CHECK(machine.sent_counts() == "0 0 0 1");
    machine.run("route del unreachable default metric 4278198272 table 10");
    CHECK(machine.run("route show table 10").empty());
}

TEST_CASE("a VRF that is down has no way out", "[control][vrf]") {
    Machine machine;
    machine.run("link set red down");
    CHECK(machine.refused("route get 10.0.0.2 vrf red").find("ENETUNREACH") != std::string::npos);
    machine.run("link set red up");
    CHECK(machine.run("route get 10.0.0.2 vrf red").starts_with("10.0.0.2 dev port0 table 10 "));
}

}  // namespace culvert::control::test
