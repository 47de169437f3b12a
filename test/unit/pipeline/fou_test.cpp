// SPDX-License-Identifier: BSD-3-Clause
// Tunnels in UDP, both ways.
#include "lib/net/checksum.hpp"
#include "lib/net/gue.hpp"
#include "lib/net/udp.hpp"
#include "test/unit/pipeline/ip_tunnel_machine.hpp"

#include <array>
#include <set>

namespace culvert::pipeline::test {

namespace {

using encap::FouPort;
using encap::IpTunnelKind;
using encap::UdpEncap;

constexpr std::uint16_t kPort = 5555;
constexpr std::size_t kUdpAt = 34;
constexpr std::uint8_t kUdp = net::ip_protocol::kUdp;

std::uint8_t protocol_of(IpTunnelKind kind) {
    return encap::traits(kind).protocol;
}

struct Fou : IpTunnelMachine {
    explicit Fou(IpTunnelKind kind, const UdpEncap& udp = {}) {
        encap::IpTunnelConfig config = config_of(kind);
        config.udp = udp;
        make(config);
    }

    explicit Fou(const encap::IpTunnelConfig& config) { make(config); }

    void make(const encap::IpTunnelConfig& config) {
        tunnel = add_tunnel(config);
        if (has_link_layer(link(tunnel).kind)) {
            add_next_hop("10.0.3.0/24", tunnel, mac(0x99), link(tunnel).mtu);
        } else {
            route_into(tunnel, "10.0.3.0/24");
        }
    }

    void open(const std::vector<FouPort>& ports) { ip_tunnels.fou.publish(domain, ports); }

    std::vector<Bytes> forward(std::size_t payload = 30, std::uint32_t count = 1) {
        forget_drops();
        for (std::uint32_t i = 0; i < count; ++i) {
            receive(access, from_station(payload));
        }
        run();
        return sent(underlay);
    }

    // What was sent, as if the other end had.
    void send_back(Bytes bytes) {
        std::swap_ranges(&bytes[26], &bytes[30], &bytes[30]);
        const net::MacAddress own = port_mac(0);
        std::copy(own.bytes.begin(), own.bytes.end(), bytes.begin());
        receive(underlay, bytes, true);
        run();
    }

    // `payload` in UDP to kPort.
    void
    receive_udp(const Bytes& payload, std::uint16_t port = kPort, std::uint16_t source = 40000) {
        forget_drops();
        const net::UdpHeader udp{
            net::Be16{source},
            net::Be16{port},
            net::Be16{static_cast<std::uint16_t>(sizeof(net::UdpHeader) + payload.size())},
            {}};
        const auto* raw = reinterpret_cast<const std::uint8_t*>(&udp);
        receive_exact(
            underlay, outer_packet(gre(Bytes(raw, raw + sizeof(udp)), payload), {.protocol = kUdp})
        );
        run();
    }

    LinkId tunnel = kNoLink;
};

UdpEncap encap_of(UdpEncap::Kind kind, std::uint16_t source_port = 0, bool checksum = false) {
    UdpEncap udp;
    udp.kind = kind;
    udp.destination_port = kPort;
    udp.source_port = source_port;
    udp.checksum = checksum;
    return udp;
}

FouPort port_of(std::uint16_t port, std::uint8_t protocol = 0) {
    FouPort open;
    open.port = port;
    open.protocol = protocol;
    return open;
}

std::uint16_t half_at(const Bytes& bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

}  // namespace

TEST_CASE("FOU-02 FOU-03 TUN-TX-09 a tunnel's packets in UDP, and out of it", "[ip_tunnel][fou]") {
    const auto kind =
        GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre, IpTunnelKind::gretap, IpTunnelKind::sit);
    const auto type = GENERATE(UdpEncap::Kind::fou, UdpEncap::Kind::gue);
    const bool checksum = GENERATE(false, true);
    const std::uint16_t source_port = GENERATE(std::uint16_t{0}, std::uint16_t{777});
    const bool has_gre_options = encap::traits(kind).has_gre && GENERATE(false, true);
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(kind);
    config.udp = encap_of(type, source_port, checksum);
    if (has_gre_options) {
        config.in_key = config.out_key = 7;
        config.in_checksum = config.out_checksum = true;
        config.in_sequence = config.out_sequence = true;
    }
    Fou fou(config);
    fou.add_remote(fou.tunnel);
    const auto sent = fou.forward(30, 3);
    REQUIRE(sent.size() == 3);
    const bool is_gue = type == UdpEncap::Kind::gue;
    const std::uint8_t inside =
        kind == IpTunnelKind::sit ? net::ip_protocol::kIpip : protocol_of(kind);
    for (const Bytes& bytes : sent) {
        const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(&bytes[14]);
        CHECK(ip.protocol == kUdp);
        CHECK(net::ipv4_header_checksum_is_valid(ip));
        CHECK(ip.total_length.host() == bytes.size() - 14);
        CHECK(half_at(bytes, kUdpAt + 2) == kPort);
        CHECK(half_at(bytes, kUdpAt + 4) == bytes.size() - kUdpAt);
        const std::uint16_t from = half_at(bytes, kUdpAt);
        CHECK((source_port != 0 ? from == source_port : from >= 32768 && from < 60999));
        CHECK(from == half_at(sent[0], kUdpAt));
        if (checksum) {
            const std::uint64_t pseudo = net::pseudo_header_sum_v4(
                ip.source, ip.destination, kUdp, half_at(bytes, kUdpAt + 4)
            );
            CHECK(half_at(bytes, kUdpAt + 6) != 0);
            CHECK(net::sum_is_valid(
                net::sum_add(pseudo, net::sum_bytes(&bytes[kUdpAt], bytes.size() - kUdpAt))
            ));
        } else {
            CHECK(half_at(bytes, kUdpAt + 6) == 0);
        }
        if (is_gue) {
            CHECK(Bytes(&bytes[kUdpAt + 8], &bytes[kUdpAt + 12]) == Bytes{0, inside, 0, 0});
        }
    }
    CHECK(fou.tx_bytes(fou.tunnel) == std::uint64_t{3} * (20 + 30));
    fou.open({port_of(kPort, is_gue ? std::uint8_t{0} : inside)});
    for (const Bytes& bytes : sent) {
        fou.send_back(bytes);
    }
    CHECK(fou.rx_packets(fou.tunnel) == 3);
    const std::size_t frame = has_link_layer(fou.link(fou.tunnel).kind) ? 14 : 0;
    CHECK(fou.rx_bytes(fou.tunnel) == 3 * (20 + 30 + frame));
}

TEST_CASE("FOU-02 each inner flow has a source port of its own", "[ip_tunnel][fou]") {
    Fou fou(IpTunnelKind::gre, encap_of(UdpEncap::Kind::fou));
    fou.add_remote(fou.tunnel);
    std::set<std::uint16_t> ports;
    for (std::uint32_t host = 1; host <= 60; ++host) {
        Ipv4Options ip;
        ip.source = kStation;
        ip.destination = 0x0a000300 + host;
        fou.receive(fou.access, Packet().ether(fou.port_mac(1), mac(0x22)).ipv4(ip).payload(30));
    }
    fou.run();
    for (const Bytes& bytes : fou.sent(fou.underlay)) {
        ports.insert(half_at(bytes, kUdpAt));
    }
    CHECK(ports.size() > 55);
}

TEST_CASE(
    "TUN-PMTU-07 TUN-MTU-11 in UDP, what is too large goes in fragments", "[ip_tunnel][fou]"
) {
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::ipip);
    config.pmtudisc = false;
    config.udp = encap_of(UdpEncap::Kind::gue, 0, true);
    Fou fou(config);
    CHECK(fou.link(fou.tunnel).mtu == 1468);
    fou.add_remote(fou.tunnel, kRemote, fou.underlay, [](encap::IpTunnelTemplate& outer) {
        outer.mtu = 1000;
    });
    const auto sent = fou.forward(1200);
    REQUIRE(sent.size() == 2);
    CHECK(half_at(sent[0], kUdpAt + 4) == 8 + 4 + 20 + 1200);
    fou.expect_no_drop();
    config.udp.remote_checksum = true;
    CHECK(encap::overhead_bytes(config) == 40);
    config.udp.kind = UdpEncap::Kind::fou;
    CHECK(encap::overhead_bytes(config) == 28);
}

TEST_CASE("FOU-04 GUE: what is inside, and what is refused", "[ip_tunnel][fou]") {
    struct Header {
        Bytes bytes;
        bool good;
    };

    const auto [header, good] = GENERATE(
        Header{{0x00, 4, 0, 0}, true},
        Header{{0x02, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, true},  // options without a flag
        Header{{0x01, 4, 0, 1, 0, 0, 0, 0}, true},              // private flags, none set
        Header{{0x00, 4, 0, 1}, false},                         // private flags, no room
        Header{{0x01, 4, 0, 1, 0x80, 0, 0, 0}, false},          // their field has no room
        Header{{0x01, 4, 0, 1, 0x40, 0, 0, 0}, false},          // unknown private flag
        Header{{0x00, 4, 0, 2}, false},                         // unknown flag
        Header{{0x00, 4, 0x80, 0}, false},
        Header{{0x20, 4, 0, 0}, false},  // a control message
        Header{{0x80, 4, 0, 0}, false},  // version 2
        Header{{0xc0, 4, 0, 0}, false},  // version 3
        Header{{0x1f, 4, 0, 0}, false},  // longer than the packet
        Header{{0x75, 4, 0, 0}, false},  // version 1 and IP of another version
        Header{{}, true}                 // version 1: IPv4 at once
    );
    Fou fou(IpTunnelKind::ipip);
    fou.open({port_of(kPort)});
    const Bytes inner = IpTunnelMachine::inner_packet();
    fou.receive_udp(IpTunnelMachine::gre(header, inner));
    if (good) {
        CHECK(fou.rx_packets(fou.tunnel) == 1);
        REQUIRE(fou.sent(fou.access).size() == 1);
        fou.expect_no_drop();
        return;
    }
    fou.expect_only_drop(fou.underlay, Drop::gue_refused);
    CHECK(info(Drop::gue_refused).counters == KernelCounters::none);
    CHECK(fou.icmp_asked().empty());
}

TEST_CASE("FOU-04 GUE and FOU cut off anywhere", "[ip_tunnel][fou]") {
    const bool is_gue = GENERATE(true, false);
    Fou fou(IpTunnelKind::ipip);
    fou.open({port_of(kPort, is_gue ? std::uint8_t{0} : net::ip_protocol::kIpip)});
    const Bytes inner = IpTunnelMachine::inner_packet();
    const Bytes whole = is_gue ? IpTunnelMachine::gre({0x01, 4, 0, 0, 9, 9, 9, 9}, inner) : inner;
    const std::size_t gue_len = is_gue ? 8 : 0;
    for (std::size_t len = 0; len < gue_len + sizeof(net::Ipv4Header); ++len) {
        fou.receive_udp(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(len)));
        const Drop reason = len < gue_len ? Drop::gue_refused : Drop::ipip_truncated;
        fou.expect_only_drop(fou.underlay, reason);
    }
}

TEST_CASE("FOU-04 GUE's remote checksum offload: the checksum is made here", "[ip_tunnel][fou]") {
    Fou fou(IpTunnelKind::ipip);
    fou.open({port_of(kPort)});
    Bytes inner = IpTunnelMachine::inner_packet(32);
    // The field of a UDP checksum: 6 bytes into what follows the IP header. A pseudo sum is in it.
    inner[26] = 0x12;
    inner[27] = 0x34;
    const Bytes good{0x02, 4, 0, 1, 0x80, 0, 0, 0, 0, 20, 0, 26};
    fou.receive_udp(IpTunnelMachine::gre(good, inner));
    const auto sent = fou.sent(fou.access);
    REQUIRE(sent.size() == 1);
    const std::uint16_t made = half_at(sent[0], 14 + 26);
    CHECK(made != 0x1234);
    // It counts from byte 20, with the pseudo sum in its own place.
    std::uint64_t sum = net::sum_bytes(&inner[20], inner.size() - 20);
    CHECK(net::checksum_from_sum(sum).host() == made);
    const Bytes beyond{0x02, 4, 0, 1, 0x80, 0, 0, 0, 0, 20, 0, 51};
    fou.receive_udp(IpTunnelMachine::gre(beyond, inner));
    fou.expect_only_drop(fou.underlay, Drop::gue_refused);
}

TEST_CASE("FOU-04 which port takes a packet, and what nobody takes", "[ip_tunnel][fou]") {
    Fou fou(IpTunnelKind::ipip);
    const LinkId gre = fou.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre));
    FouPort connected = port_of(kPort, net::ip_protocol::kGre);
    connected.local = net::IpAddress::from_v4(kLocal);
    connected.peer = net::IpAddress::from_v4(kRemote);
    connected.peer_port = 99;
    FouPort elsewhere = port_of(6000, 4);
    elsewhere.local = net::IpAddress::from_v4(kLocal + 9);
    FouPort bound = port_of(6001, 4);
    bound.dev = fou.access;
    fou.open({port_of(kPort, 4), connected, elsewhere, bound, port_of(6002, 132)});
    const Bytes inner = IpTunnelMachine::inner_packet();
    fou.receive_udp(inner);
    CHECK(fou.rx_packets(fou.tunnel) == 1);
    fou.receive_udp(IpTunnelMachine::gre({0, 0, 8, 0}, inner), kPort, 99);
    CHECK(fou.rx_packets(gre) == 1);
    fou.expect_no_drop();
    for (const std::uint16_t port : std::to_array<std::uint16_t>({6000, 6001, 6003})) {
        fou.receive_udp(inner, port);
        fou.expect_only_drop(fou.underlay, Drop::udp_no_port);
        const auto asked = fou.icmp_asked();
        REQUIRE(asked.size() == 1);
        CHECK(asked[0].error.code == net::icmp_unreachable::kPort);
    }
    fou.receive_udp(inner, 6002);
    fou.expect_only_drop(fou.underlay, Drop::ip4_protocol_unknown);
    REQUIRE(fou.icmp_asked().size() == 1);
    fou.open({});
    fou.receive_udp(inner);
    fou.expect_only_drop(fou.underlay, Drop::udp_no_port);
}

TEST_CASE("FOU-04 UDP is checked first", "[ip_tunnel][fou]") {
    Fou fou(IpTunnelKind::ipip);
    fou.open({port_of(kPort, 4)});
    const auto [length, checksum, reason] = GENERATE(table<std::uint16_t, std::uint16_t, Drop>({
        {7, 0, Drop::udp_length},
        {200, 0, Drop::udp_length},
        {58, 0xbad, Drop::udp_checksum},
    }));
    const net::UdpHeader udp{
        net::Be16{1}, net::Be16{kPort}, net::Be16{length}, net::Be16{checksum}};
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&udp);
    const Bytes inner = IpTunnelMachine::inner_packet();
    const Bytes payload = IpTunnelMachine::gre(Bytes(raw, raw + sizeof(udp)), inner);
    fou.receive_exact(fou.underlay, IpTunnelMachine::outer_packet(payload, {.protocol = kUdp}));
    fou.run();
    fou.expect_only_drop(fou.underlay, reason);
}

}  // namespace culvert::pipeline::test
