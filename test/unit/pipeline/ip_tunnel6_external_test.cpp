// SPDX-License-Identifier: BSD-3-Clause
// Tunnels over IPv6 whose packets bring the outer header's words with them.
#include "test/unit/pipeline/ip_tunnel6_machine.hpp"

namespace culvert::pipeline::test {

namespace {

using encap::IpTunnelKind;

constexpr std::uint32_t kWords = 0xf0000003;  // what stands for them
constexpr std::uint32_t kOthers = 0xf0000004;

struct External6 : Tunnel6 {
    explicit External6(IpTunnelKind kind)
        : Tunnel6(config_of(kind)) {}

    static encap::IpTunnelConfig config_of(IpTunnelKind kind) {
        encap::IpTunnelConfig config;
        config.kind = kind;
        config.ip6.encap_limit = 0;
        config.external = true;
        return config;
    }

    static encap::IpTunnelMetadata words() {
        encap::IpTunnelMetadata words;
        words.is_ipv6 = true;
        words.id = 0x01020304;
        words.destination = address(kTheirs);
        words.tos = 0x13;
        words.ttl = 77;
        words.key = true;
        return words;
    }

    Bytes packet_to(std::uint32_t destination) const {
        Ipv4Options ip;
        ip.source = kStation;
        ip.destination = destination;
        return Packet().ether(port_mac(1), mac(0x22)).ipv4(ip).payload(30).bytes();
    }
};

std::uint8_t class_of(const Bytes& frame) {
    return static_cast<std::uint8_t>((frame.at(14) & 15) << 4 | frame.at(15) >> 4);
}

}  // namespace

TEST_CASE("TUN-MD-01 GRE-TX-07 external ip6gre sends what routes say", "[ip_tunnel6]") {
    External6 machine(IpTunnelKind::ip6gre);
    machine.add_metadata(kWords, External6::words());
    encap::IpTunnelMetadata others;
    others.is_ipv6 = true;
    others.id = 9;
    others.destination = address(kTheirs);
    machine.add_metadata(kOthers, others);
    machine.route_into(machine.tunnel, "10.0.3.0/25", kWords);
    machine.route_into(machine.tunnel, "10.0.3.128/25", kOthers);
    machine.route6_into("2001:db8:3::/48", kWords);
    for (const std::uint32_t host : {2U, 3U, 200U, 4U}) {
        machine.receive(machine.access, machine.packet_to(0x0a000300 + host));
    }
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 4);
    for (const std::size_t i : {0U, 1U, 3U}) {
        CHECK(sent[i].at(20) == 47);
        CHECK(sent[i].at(21) == 77);
        CHECK(class_of(sent[i]) == 0x13);
        CHECK(Bytes(&sent[i][54], &sent[i][62]) == Bytes{0x20, 0, 8, 0, 1, 2, 3, 4});
    }
    CHECK(sent[2].at(21) == 63);  // the inner TTL, and no key
    CHECK(class_of(sent[2]) == 0);
    CHECK(Bytes(&sent[2][54], &sent[2][59]) == Bytes{0, 0, 8, 0, 0x45});
    const auto sent6 = machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(30, 0x5a)));
    REQUIRE(sent6.size() == 1);
    CHECK(Bytes(&sent6[0][54], &sent6[0][62]) == Bytes{0x20, 0, 0x86, 0xdd, 1, 2, 3, 4});
    machine.expect_no_drop();
}

TEST_CASE("TUN-MD-01 external ip6tnl: no limit, and congestion is the packet's", "[ip_tunnel6]") {
    External6 machine(IpTunnelKind::ip6tnl);
    encap::IpTunnelMetadata words = External6::words();
    words.source = address("2001:db8:77::7");  // need not be ours
    machine.add_metadata(kWords, words);
    machine.route6_into("2001:db8:3::/48", kWords);
    const auto sent =
        machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(30, 0x5a), 0xba));
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].at(20) == 41);
    CHECK(class_of(sent[0]) == 0x12);
    const auto source = address("2001:db8:77::7").bytes();
    CHECK(Bytes(&sent[0][22], &sent[0][38]) == Bytes(source.begin(), source.end()));
    machine.expect_no_drop();
}

TEST_CASE("TUN-TX-06 GRE-TX-07 over IPv6 nothing leaves without metadata", "[ip_tunnel6]") {
    const auto [kind, reason, counters] = GENERATE(table<IpTunnelKind, Drop, KernelCounters>({
        {IpTunnelKind::ip6tnl,
         Drop::ip_tunnel6_no_metadata,
         KernelCounters::tx_errors | KernelCounters::tx_dropped},
        {IpTunnelKind::ip6gre, Drop::gre_no_metadata, KernelCounters::tx_dropped},
        {IpTunnelKind::ip6gretap, Drop::gre_no_metadata, KernelCounters::tx_dropped},
    }));
    External6 machine(kind);
    CHECK(machine.forward(IpTunnelMachine::from_station().bytes()).empty());
    machine.expect_only_drop(machine.tunnel, reason);
    CHECK(info(reason).counters == counters);
}

TEST_CASE("TUN-MD-01 control is asked for what no worker has met", "[ip_tunnel6]") {
    External6 machine(IpTunnelKind::ip6gre);
    machine.route_into(machine.tunnel, "10.0.3.0/24", kWords);
    CHECK(machine.forward(machine.packet_to(kFarHost)).empty());
    machine.expect_no_drop();
    const auto asked = machine.punted();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].note.punt == Punt::tunnel_remote);
    CHECK(asked[0].note.link_out == machine.tunnel);
    CHECK(asked[0].next_hop == net::IpAddress::from_v4(kWords));
}

TEST_CASE("TUN-MD-03 external devices over IPv6 take what no other does", "[ip_tunnel6]") {
    const auto kind = GENERATE(IpTunnelKind::ip6tnl, IpTunnelKind::ip6gre, IpTunnelKind::ip6gretap);
    External6 machine(kind);
    const Bytes inner = IpTunnelMachine::inner_packet();
    const Bytes frame = IpTunnelMachine::in_frame(inner);
    if (kind == IpTunnelKind::ip6tnl) {
        CHECK(machine.take(4, inner).size() == 1);
        CHECK(machine.take(47, IpTunnelMachine::gre({0, 0, 8, 0}, inner)).empty());
        machine.expect_only_drop(machine.underlay, Drop::ip_tunnel_no_device);
    } else if (kind == IpTunnelKind::ip6gre) {
        CHECK(machine.take(47, IpTunnelMachine::gre({0, 0, 8, 0}, inner)).size() == 1);
        CHECK(
            machine.take(47, IpTunnelMachine::gre({0x20, 0, 8, 0, 0, 0, 0, 9}, inner)).size() == 1
        );
    } else {
        CHECK(machine.take(47, IpTunnelMachine::gre({0, 0, 0x65, 0x58}, frame)).size() == 1);
    }
    const std::uint64_t before = machine.rx_packets(machine.tunnel);
    CHECK(before != 0);
    // ip6gre and ip6gretap have one together (ip6gre_newlink).
    const bool is_gre = kind != IpTunnelKind::ip6tnl;
    const auto& lookup = machine.ip_tunnels.lookup6;
    CHECK((lookup.find_external(IpTunnelKind::ip6gre) == machine.tunnel) == is_gre);
    CHECK((lookup.find_external(IpTunnelKind::ip6gretap) == machine.tunnel) == is_gre);
}

}  // namespace culvert::pipeline::test
