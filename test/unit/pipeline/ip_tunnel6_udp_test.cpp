// SPDX-License-Identifier: BSD-3-Clause
// Tunnels over IPv6 in UDP, both ways: FOU and GUE.
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/udp.hpp"
#include "test/unit/pipeline/ip_tunnel6_machine.hpp"

#include <algorithm>

namespace culvert::pipeline::test {

namespace {

using encap::FouPort;
using encap::IpTunnelKind;
using encap::UdpEncap;

constexpr std::uint16_t kPort = 5555;
constexpr std::uint8_t kUdp = net::ip_protocol::kUdp;

UdpEncap encap_of(UdpEncap::Kind kind, bool checksum = true, std::uint16_t source_port = 0) {
    UdpEncap udp;
    udp.kind = kind;
    udp.destination_port = kPort;
    udp.source_port = source_port;
    udp.checksum6 = checksum;
    return udp;
}

FouPort port_of(std::uint8_t protocol) {
    FouPort open;
    open.port = kPort;
    open.protocol = protocol;
    open.is_ipv6 = true;
    return open;
}

std::uint16_t half_at(const Bytes& bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

struct Fou6 : Tunnel6 {
    explicit Fou6(const encap::IpTunnelConfig& config, std::uint32_t mtu = 1500)
        : Tunnel6(config, mtu) {}

    void open(std::uint8_t protocol) { ip_tunnels.fou6.publish(domain, {port_of(protocol)}); }

    // What was sent, as if the other end had, cut to `len` bytes of IPv6 packet.
    void send_back(Bytes bytes, std::size_t len = SIZE_MAX) {
        forget_drops();
        bytes.resize(std::min(bytes.size(), len == SIZE_MAX ? len : len + 14));
        const auto payload = static_cast<std::uint16_t>(bytes.size() - 54);
        bytes[18] = static_cast<std::uint8_t>(payload >> 8);
        bytes[19] = static_cast<std::uint8_t>(payload);
        std::swap_ranges(&bytes[22], &bytes[38], &bytes[38]);
        const net::MacAddress own = port_mac(0);
        std::copy(own.bytes.begin(), own.bytes.end(), bytes.begin());
        receive(underlay, bytes, true);
        run();
    }
};

bool has_right_checksum(const Bytes& frame, std::size_t udp) {
    const auto& ip = *reinterpret_cast<const net::Ipv6Header*>(&frame[14]);
    const auto len = static_cast<std::uint32_t>(frame.size() - udp);
    const auto pseudo = net::pseudo_header_sum_v6(ip.source, ip.destination, kUdp, len);
    return net::sum_is_valid(net::sum_add(pseudo, net::sum_bytes(&frame[udp], len)));
}

Bytes udp_header(std::size_t payload, std::uint16_t port = kPort) {
    const auto len = static_cast<std::uint16_t>(8 + payload);
    return {
        0x9c,
        0x40,
        static_cast<std::uint8_t>(port >> 8),
        static_cast<std::uint8_t>(port),
        static_cast<std::uint8_t>(len >> 8),
        static_cast<std::uint8_t>(len),
        0,
        0};
}

}  // namespace

TEST_CASE("FOU-02 FOU-03 FOU-05 a tunnel over IPv6 in UDP, and out of it", "[ip_tunnel6][fou]") {
    const auto kind = GENERATE(IpTunnelKind::ip6tnl, IpTunnelKind::ip6gre, IpTunnelKind::ip6gretap);
    const auto type = GENERATE(UdpEncap::Kind::fou, UdpEncap::Kind::gue);
    const bool checksum = GENERATE(false, true);
    const bool has_limit = GENERATE(false, true);
    const bool has_gre_options = encap::traits(kind).has_gre && GENERATE(false, true);
    encap::IpTunnelConfig config = config6_of(kind);
    config.udp = encap_of(type, checksum, has_limit ? std::uint16_t{0} : std::uint16_t{777});
    if (!has_limit) {
        config.ip6.encap_limit.reset();
    }
    if (has_gre_options) {
        config.in_key = config.out_key = 7;
        config.in_checksum = config.out_checksum = true;
        config.in_sequence = config.out_sequence = true;
    }
    Fou6 machine(config);
    std::vector<Bytes> sent;
    for (int i = 0; i < 3; ++i) {
        machine.receive(machine.access, IpTunnelMachine::from_station());
    }
    machine.run();
    sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 3);
    machine.expect_no_drop();
    const bool is_gue = type == UdpEncap::Kind::gue;
    const std::size_t udp = has_limit ? 62 : 54;
    const std::uint8_t inside = kind == IpTunnelKind::ip6tnl ? 4 : 47;
    for (const Bytes& bytes : sent) {
        CHECK(half_at(bytes, 18) == bytes.size() - 54);
        CHECK(bytes.at(20) == (has_limit ? kOptions : kUdp));
        CHECK((!has_limit || bytes.at(54) == kUdp));
        CHECK((has_limit || half_at(bytes, udp) == 777));
        CHECK(half_at(bytes, udp + 2) == kPort);
        CHECK(half_at(bytes, udp + 4) == bytes.size() - udp);
        CHECK((half_at(bytes, udp + 6) != 0) == checksum);
        CHECK((!checksum || has_right_checksum(bytes, udp)));
        if (is_gue) {
            CHECK(Bytes(&bytes[udp + 8], &bytes[udp + 12]) == Bytes{0, inside, 0, 0});
        }
        const std::size_t tunnel_header = udp + (is_gue ? 12 : 8);
        CHECK((inside == 47 || bytes.at(tunnel_header) == 0x45));
    }
    machine.open(is_gue ? std::uint8_t{0} : inside);
    for (const Bytes& bytes : sent) {
        machine.send_back(bytes);
    }
    CHECK(machine.rx_packets(machine.tunnel) == 3);
}

TEST_CASE("FOU-03 ip6tnl in GUE: the header says which IP is inside", "[ip_tunnel6][fou]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6tnl);
    config.udp = encap_of(UdpEncap::Kind::gue);
    Fou6 machine(config);
    const auto sent = machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(30, 0x5a)));
    REQUIRE(sent.size() == 1);
    CHECK(Bytes(&sent[0][70], &sent[0][74]) == Bytes{0, 41, 0, 0});
    CHECK(has_right_checksum(sent[0], 62));
    machine.open(0);
    machine.send_back(sent[0]);
    CHECK(machine.rx_packets(machine.tunnel) == 1);
    // The inner packet's own limit goes in front of UDP, too.
    const Bytes limited{6, 0, 4, 1, 3, 1, 1, 0};
    const auto deeper =
        machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", kOptions, limited + Bytes(30, 0x5a))
        );
    REQUIRE(deeper.size() == 1);
    CHECK(Bytes(&deeper[0][54], &deeper[0][62]) == Bytes{kUdp, 0, 4, 1, 2, 1, 1, 0});
    CHECK(has_right_checksum(deeper[0], 62));
}

TEST_CASE("FOU-04 over IPv6: cut off at every length", "[ip_tunnel6][fou]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6gre);
    config.udp = encap_of(UdpEncap::Kind::gue, false);
    Fou6 machine(config);
    const auto sent = machine.forward(IpTunnelMachine::from_station().bytes());
    REQUIRE(sent.size() == 1);
    machine.open(0);
    constexpr std::size_t kUdpAt = 48;  // behind IPv6 and options
    for (std::size_t len = kUdpAt; len < sent[0].size() - 14; ++len) {
        machine.send_back(sent[0], len);
        // Behind UDP's own header its length says what is missing.
        const bool is_short = len < kUdpAt + 8;
        machine.expect_only_drop(
            machine.underlay, is_short ? Drop::udp_truncated : Drop::udp_length
        );
    }
    // With a length that is right, what is inside is too short.
    const auto take = [&](const Bytes& payload) {
        return machine.take(kUdp, udp_header(payload.size()) + payload);
    };
    const Bytes inside{0, 47, 0, 0, 0, 0, 8, 0};
    for (std::size_t len = 0; len < inside.size(); ++len) {
        CHECK(take(Bytes(inside.begin(), inside.begin() + static_cast<std::ptrdiff_t>(len))).empty()
        );
        machine.expect_only_drop(
            machine.underlay, len < 4 ? Drop::gue_refused : Drop::gre_truncated
        );
    }
}

TEST_CASE("FOU-04 over IPv6: who takes it, and what is answered", "[ip_tunnel6][fou]") {
    Fou6 machine(config6_of(IpTunnelKind::ip6tnl));
    const Bytes inner = IpTunnelMachine::inner_packet();
    const Bytes packet = udp_header(inner.size()) + inner;
    CHECK(machine.take(kUdp, packet).empty());
    machine.expect_only_drop(machine.underlay, Drop::udp_no_checksum);
    machine.open(4);
    CHECK(machine.take(kUdp, packet).size() == 1);  // as Linux, without a checksum, too
    Bytes wrong = packet;
    wrong[7] = 1;
    CHECK(machine.take(kUdp, wrong).empty());
    machine.expect_only_drop(machine.underlay, Drop::udp_checksum);
    // A port is open to its peer alone.
    FouPort to_one = port_of(4);
    to_one.peer = address("2001:db8::77");
    to_one.peer_port = 40000;
    machine.ip_tunnels.fou6.publish(machine.domain, {to_one});
    CHECK(machine.take(kUdp, packet).empty());
    machine.expect_only_drop(machine.underlay, Drop::udp_no_port);
    to_one.peer = address(kTheirs);
    to_one.local = address(kOurs);
    machine.ip_tunnels.fou6.publish(machine.domain, {to_one});
    CHECK(machine.take(kUdp, packet).size() == 1);
    // IPv4's port is another.
    machine.ip_tunnels.fou6.publish(machine.domain, {});
    FouPort other = port_of(4);
    other.is_ipv6 = false;
    machine.ip_tunnels.fou.publish(machine.domain, {other});
    CHECK(machine.take(kUdp, packet).empty());
    machine.expect_only_drop(machine.underlay, Drop::udp_no_checksum);
    // What is inside has no taker: the answer points at the byte that said UDP.
    (void)machine.icmp_asked();
    machine.open(6);
    CHECK(machine.take(kUdp, packet).empty());
    machine.expect_only_drop(machine.underlay, Drop::ip6_next_header_unknown);
    const auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kParameterProblem);
    CHECK(asked[0].error.code == 1);
    CHECK(asked[0].error.info == 6);
    CHECK(machine.take(kOptions, Bytes{kUdp, 0, 1, 4, 0, 0, 0, 0} + packet).empty());
    const auto behind_options = machine.icmp_asked();
    REQUIRE(behind_options.size() == 1);
    CHECK(behind_options[0].error.info == 40);
}

TEST_CASE("TUN-MTU-11 over IPv6 UDP counts, and GUE's spare room", "[ip_tunnel6][fou]") {
    const bool has_room = GENERATE(false, true);
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6tnl);
    config.udp = encap_of(UdpEncap::Kind::gue);
    config.udp.remote_checksum = has_room;
    const std::size_t taken = 40 + 8 + (has_room ? 20 : 12);
    CHECK(encap::overhead_bytes(config) == taken);
    Fou6 machine(config, 1400);
    const auto sized = [](std::size_t bytes) {
        return ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(bytes - 40, 0x5a));
    };
    CHECK(machine.forward6(sized(1400 - taken)).size() == 1);
    CHECK(machine.forward6(sized(1401 - taken)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_too_big);
}

}  // namespace culvert::pipeline::test
