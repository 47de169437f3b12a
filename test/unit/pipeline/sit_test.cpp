// SPDX-License-Identifier: BSD-3-Clause
// IPv6 in IPv4, and what goes into tunnels without a remote by IPv6.
#include "lib/net/ipv6.hpp"
#include "test/unit/pipeline/ip_tunnel_machine.hpp"

namespace culvert::pipeline::test {

namespace {

using encap::IpTunnelKind;
using encap::IpTunnelMode;

constexpr std::uint8_t kIpv6InIpv4 = 41;

net::IpAddress address(const char* text) {
    return net::IpAddress::parse(text).value();
}

// Without a link header.
Bytes ip6(const char* from, const char* to, std::size_t payload = 30, std::uint8_t tos = 0) {
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(tos, 0);
    ip.payload_length = net::Be16{static_cast<std::uint16_t>(payload)};
    ip.next_header = net::ip_protocol::kTcp;
    ip.hop_limit = 33;
    ip.source = address(from).bytes();
    ip.destination = address(to).bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    Bytes bytes(raw, raw + sizeof(ip));
    bytes.resize(bytes.size() + payload, 0x5a);
    return bytes;
}

// 2001:db8:2::/48's stations are behind port 1, 2001:db8:3::/48 behind the tunnel.
struct Sit : IpTunnelMachine {
    explicit Sit(IpTunnelMode mode = IpTunnelMode::any, std::uint32_t remote = kRemote) {
        encap::IpTunnelConfig config = config_of(IpTunnelKind::sit, kLocal, remote);
        config.mode = mode;
        tunnel = add_tunnel(config);
        add_next_hop("2001:db8:2::/48", access, mac(0x22));
        route6_into("2001:db8:3::/48", 0);
        route_into(tunnel, "10.0.3.0/24");
    }

    void route6_into(const std::string& prefix, std::uint32_t gateway) {
        route::Adjacency adjacency;
        adjacency.kind = route::AdjacencyKind::rewrite;
        adjacency.link_out = tunnel;
        adjacency.mtu = link(tunnel).mtu;
        adjacency.header_len = 14;
        const net::Be32 four{gateway};
        std::memcpy(adjacency.header.data(), &four, sizeof(four));
        adjacency.header[12] = 0x86;
        adjacency.header[13] = 0xdd;
        add_route(prefix, adjacency);
    }

    std::vector<Bytes> forward6(const char* to) {
        forget_drops();
        const Bytes ip = ip6("2001:db8:2::2", to, 30, 0x28);
        receive(
            access, Packet().ether(port_mac(1), mac(0x22), net::ether_type::kIpv6).raw(ip).bytes()
        );
        run();
        return sent(underlay);
    }

    LinkId tunnel = kNoLink;
};

}  // namespace

TEST_CASE("sit: IPv6 out of IPv4", "[ip_tunnel][sit]") {
    Sit sit;
    const Bytes inner = ip6("2001:db8:3::2", "2001:db8:2::2");
    const Packet packet =
        IpTunnelMachine::outer_packet(inner, {.protocol = kIpv6InIpv4, .option_bytes = 8});
    sit.receive_exact(sit.underlay, packet);
    sit.run();
    const auto sent = sit.sent(sit.access);
    REQUIRE(sent.size() == 1);
    CHECK(std::equal(sent[0].begin() + 14 + 8, sent[0].end(), inner.begin() + 8));
    CHECK(sit.rx_packets(sit.tunnel) == 1);
    CHECK(sit.rx_bytes(sit.tunnel) == inner.size());
    sit.expect_no_drop();
}

TEST_CASE("sit: IPv4 in IPv4 is its when no ipip link takes it", "[ip_tunnel][sit]") {
    Sit sit;
    const Bytes inner = IpTunnelMachine::inner_packet();
    sit.receive_exact(sit.underlay, IpTunnelMachine::outer_packet(inner, {.protocol = 4}));
    sit.run();
    CHECK(sit.sent(sit.access).size() == 1);
    CHECK(sit.rx_packets(sit.tunnel) == 1);
    const LinkId ipip = sit.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::ipip));
    sit.receive_exact(sit.underlay, IpTunnelMachine::outer_packet(inner, {.protocol = 4}));
    sit.run();
    CHECK(sit.rx_packets(ipip) == 1);
    CHECK(sit.rx_packets(sit.tunnel) == 1);
}

TEST_CASE("sit: what is dropped on receipt", "[ip_tunnel][sit]") {
    Sit sit(IpTunnelMode::ip6ip);
    const auto expect = [&](const Bytes& inner, std::uint8_t protocol, LinkId on, Drop reason) {
        sit.forget_drops();
        const Packet packet = IpTunnelMachine::outer_packet(inner, {.protocol = protocol});
        sit.receive(sit.underlay, packet.bytes(), true);
        sit.run();
        sit.expect_only_drop(on, reason);
    };
    const Bytes whole = ip6("2001:db8:3::2", "2001:db8:2::2");
    expect(IpTunnelMachine::inner_packet(), 4, sit.tunnel, Drop::ip_tunnel_mode);
    for (std::size_t len = 0; len < sizeof(net::Ipv6Header); ++len) {
        const auto end = whole.begin() + static_cast<std::ptrdiff_t>(len);
        expect(Bytes(whole.begin(), end), kIpv6InIpv4, sit.underlay, Drop::ipip_truncated);
    }
    sit.forget_drops();
    const IpTunnelMachine::Outer stranger{.protocol = kIpv6InIpv4, .source = kRemote + 1};
    sit.receive_exact(sit.underlay, IpTunnelMachine::outer_packet(whole, stranger));
    sit.run();
    sit.expect_only_drop(sit.underlay, Drop::ip_tunnel_no_device);
    sit.forget_drops();
    const IpTunnelMachine::Outer marked{.protocol = kIpv6InIpv4, .tos = 3};
    sit.receive_exact(sit.underlay, IpTunnelMachine::outer_packet(whole, marked));
    sit.run();
    sit.expect_only_drop(sit.tunnel, Drop::ip_tunnel_ecn);
}

TEST_CASE("sit: IPv6 and IPv4 into IPv4", "[ip_tunnel][sit]") {
    Sit sit;
    sit.add_remote(sit.tunnel);
    auto sent = sit.forward6("2001:db8:3::2");
    REQUIRE(sent.size() == 1);
    REQUIRE(sent[0].size() == 34 + 70);
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(&sent[0][14]);
    CHECK(ip.protocol == kIpv6InIpv4);
    CHECK(ip.time_to_live == 32);  // inherited from what was forwarded
    CHECK(ip.total_length.host() == 90);
    CHECK(ip.source.host() == kLocal);
    CHECK(ip.destination.host() == kRemote);
    CHECK(net::ipv4_header_checksum_is_valid(ip));
    CHECK(sent[0][34] >> 4 == 6);
    CHECK(sit.tx_bytes(sit.tunnel) == 70);

    sit.receive(sit.access, IpTunnelMachine::from_station());
    sit.run();
    sent = sit.sent(sit.underlay);
    REQUIRE(sent.size() == 1);
    const auto& four = *reinterpret_cast<const net::Ipv4Header*>(&sent[0][14]);
    CHECK(four.protocol == net::ip_protocol::kIpip);
    CHECK(net::ipv4_header_checksum_is_valid(four));
    CHECK(sent[0][34] == 0x45);
    sit.expect_no_drop();
}

TEST_CASE("sit of mode ip6ip sends no IPv4", "[ip_tunnel][sit]") {
    Sit sit(IpTunnelMode::ip6ip);
    sit.add_remote(sit.tunnel);
    sit.receive(sit.access, IpTunnelMachine::from_station());
    sit.run();
    sit.expect_only_drop(sit.tunnel, Drop::ip_tunnel_payload_type);
}

TEST_CASE("sit of mode ipip sends no IPv6", "[ip_tunnel][sit]") {
    Sit sit(IpTunnelMode::ipip);
    sit.add_remote(sit.tunnel);
    CHECK(sit.forward6("2001:db8:3::2").empty());
    sit.expect_only_drop(sit.tunnel, Drop::ip_tunnel_payload_type);
}

TEST_CASE("TUN-TX-04 the remote is the IPv6 next hop's low 32 bits", "[ip_tunnel][sit]") {
    Sit sit(IpTunnelMode::any, 0);
    sit.add_remote(sit.tunnel);
    sit.route6_into("2001:db8:4::/48", kRemote);
    sit.route6_into("::/96", 0);
    for (const char* to : {"2001:db8:4::1", "::192.0.2.2"}) {
        const auto sent = sit.forward6(to);
        REQUIRE(sent.size() == 1);
        const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(&sent[0][14]);
        CHECK(ip.destination.host() == kRemote);
    }
    CHECK(sit.forward6("2001:db8:3::2").empty());
    sit.expect_only_drop(sit.tunnel, Drop::ip_tunnel_no_remote6);
    CHECK(info(Drop::ip_tunnel_no_remote6).counters == KernelCounters::tx_errors);
    const auto asked = sit.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kDestinationUnreachable);
    CHECK(asked[0].error.code == 3);
}

TEST_CASE("IPIP-RX-05 ipip of mode mplsip takes protocol 137 alone", "[ip_tunnel][sit]") {
    IpTunnelMachine machine;
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::ipip);
    const auto [mode, takes_ip, takes_mpls] = GENERATE(table<IpTunnelMode, bool, bool>({
        {IpTunnelMode::any, true, true},
        {IpTunnelMode::ipip, true, false},
        {IpTunnelMode::mplsip, false, true},
    }));
    config.mode = mode;
    const LinkId tunnel = machine.add_tunnel(config);
    const auto is_taken = [&](std::uint8_t protocol) {
        const std::uint64_t before = machine.rx_packets(tunnel);
        const Bytes inner = IpTunnelMachine::inner_packet();
        machine.receive_exact(
            machine.underlay, IpTunnelMachine::outer_packet(inner, {.protocol = protocol})
        );
        machine.run();
        return machine.rx_packets(tunnel) != before;
    };
    CHECK(is_taken(4) == takes_ip);
    CHECK(is_taken(137) == takes_mpls);
}

}  // namespace culvert::pipeline::test
