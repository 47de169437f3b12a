// SPDX-License-Identifier: BSD-3-Clause
// Tunnels whose packets bring the outer header's words with them, and what else is out of the
// ordinary on receipt.
#include "test/unit/pipeline/ip_tunnel_machine.hpp"

namespace culvert::pipeline::test {

namespace {

using encap::IpTunnelKind;

constexpr std::uint32_t kWords = 0xf0000003;  // what stands for them

struct External : IpTunnelMachine {
    explicit External(IpTunnelKind kind) {
        encap::IpTunnelConfig config = config_of(kind, 0, 0);
        config.external = true;
        tunnel = add_tunnel(config);
    }

    void add_words(const encap::IpTunnelMetadata& words) {
        const encap::IpTunnelConfig device = link(tunnel).ip_tunnel;
        change(tunnel, [&](Link& next) { next.ip_tunnel = with_metadata(device, words); });
        add_remote(tunnel, kRemote);  // under the remote's own address, whence it is moved
        encap::IpTunnelTemplates::Id id = 0;
        REQUIRE(ip_tunnels.remotes.find({net::Be32{kRemote}.raw(), tunnel}, id));
        ip_tunnels.remotes.erase({net::Be32{kRemote}.raw(), tunnel});
        ip_tunnels.remotes.insert({net::Be32{kWords}.raw(), tunnel}, id);
        change(tunnel, [&](Link& next) { next.ip_tunnel = device; });
    }

    LinkId tunnel = kNoLink;
};

}  // namespace

TEST_CASE("TUN-MD-01 TUN-TX-06 GRE-TX-07 an external link sends what routes say", "[ip_tunnel]") {
    External external(IpTunnelKind::gre);
    encap::IpTunnelMetadata words;
    words.id = 0x01020304;
    words.ttl = 77;
    words.key = true;
    words.sequence = true;
    words.checksum = true;
    external.add_words(words);
    external.route_into(external.tunnel, "10.0.3.0/24", kWords);
    for (int i = 0; i < 3; ++i) {
        external.receive(
            external.access, IpTunnelMachine::from_station(30, net::kIpv4DontFragment)
        );
    }
    external.run();
    const auto sent = external.sent(external.underlay);
    REQUIRE(sent.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        const Bytes& bytes = sent[i];
        CHECK(Bytes(&bytes[34], &bytes[38]) == Bytes{0xb0, 0, 8, 0});
        CHECK(Bytes(&bytes[42], &bytes[46]) == Bytes{1, 2, 3, 4});
        CHECK(bytes[49] == i);
        CHECK(bytes[22] == 77);
        CHECK(bytes[20] == 0);  // the inner DF is not copied
    }
    external.expect_no_drop();
}

TEST_CASE("TUN-TX-06 GRE-TX-07 without metadata nothing leaves", "[ip_tunnel]") {
    const auto [kind, reason, counters] = GENERATE(table<IpTunnelKind, Drop, KernelCounters>({
        {IpTunnelKind::ipip, Drop::ip_tunnel_no_metadata, KernelCounters::tx_errors},
        {IpTunnelKind::gre, Drop::gre_no_metadata, KernelCounters::tx_dropped},
        {IpTunnelKind::gretap, Drop::gre_no_metadata, KernelCounters::tx_dropped},
    }));
    External external(kind);
    if (has_link_layer(external.link(external.tunnel).kind)) {
        external.add_next_hop("10.0.3.0/24", external.tunnel, mac(0x99));
    } else {
        external.route_into(external.tunnel, "10.0.3.0/24");
    }
    external.receive(external.access, IpTunnelMachine::from_station());
    external.run();
    external.expect_only_drop(external.tunnel, reason);
    CHECK(info(reason).counters == counters);
}

TEST_CASE(
    "TUN-MD-03 IPIP-RX-06 GRE-RX-13 an external link takes what no other does", "[ip_tunnel]"
) {
    const auto kind = GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre);
    External external(kind);
    const LinkId other = external.add_tunnel(IpTunnelMachine::config_of(kind));
    const Bytes inner = IpTunnelMachine::inner_packet();
    const bool is_gre = kind == IpTunnelKind::gre;
    const auto receive = [&](const Bytes& header, std::uint32_t source) {
        const Bytes payload = is_gre ? IpTunnelMachine::gre(header, inner) : inner;
        external.receive_exact(
            external.underlay,
            IpTunnelMachine::outer_packet(
                payload, {.protocol = encap::traits(kind).protocol, .source = source}
            )
        );
        external.run();
    };
    receive({0, 0, 8, 0}, kRemote);
    CHECK(external.rx_packets(other) == 1);
    receive({0, 0, 8, 0}, kRemote + 7);
    CHECK(external.rx_packets(external.tunnel) == 1);
    if (is_gre) {
        receive({0x20, 0, 8, 0, 0, 0, 0, 9}, kRemote);  // a key that is nobody's
        CHECK(external.rx_packets(external.tunnel) == 2);
    }
    external.expect_no_drop();
}

TEST_CASE("GRE-CRE-15 a GRE keepalive goes back through control", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre));
    const auto receive = [&](std::uint32_t source, std::uint32_t destination, std::uint8_t ttl) {
        machine.forget_drops();
        Ipv4Options ip;
        ip.source = source;
        ip.destination = destination;
        ip.protocol = net::ip_protocol::kGre;
        ip.ttl = ttl;
        const Bytes frame = Packet().ether({}, {}).ipv4(ip).raw({0, 0, 0, 0}).bytes();
        const Bytes inner(frame.begin() + 14, frame.end());
        machine.receive_exact(
            machine.underlay,
            IpTunnelMachine::outer_packet(
                IpTunnelMachine::gre({0, 0, 8, 0}, inner), {.protocol = net::ip_protocol::kGre}
            )
        );
        machine.run();
    };
    receive(kLocal, kRemote, 255);
    machine.expect_no_drop();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::keepalive);
    CHECK(machine.rx_packets(tunnel) == 1);
    // Nobody else may speak in our name.
    receive(kLocal, kRemote + 1, 255);
    machine.expect_only_drop(tunnel, Drop::ip4_source_invalid);
    receive(kLocal, kRemote, 1);
    machine.expect_only_drop(tunnel, Drop::ip4_source_invalid);
}

TEST_CASE("GRE-RX-08 VXLAN-MC-04 what we sent to a group ourselves is not taken", "[ip_tunnel]") {
    IpTunnelMachine machine;
    machine.add_local("239.1.1.1/32");
    machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre, 0xef010101, 0));
    Ipv4Options ip;
    ip.source = kLocal;
    ip.destination = 0xef010101;
    ip.protocol = net::ip_protocol::kGre;
    const Bytes payload = IpTunnelMachine::gre({0, 0, 8, 0}, IpTunnelMachine::inner_packet());
    const net::MacAddress group{{1, 0, 0x5e, 1, 1, 1}};
    machine.receive_exact(
        machine.underlay, Packet().ether(group, kUnderlayHop).ipv4(ip).raw(payload)
    );
    machine.run();
    machine.expect_only_drop(machine.underlay, Drop::ip4_source_invalid);
}

TEST_CASE("TUN-RX-01 TUN-LKP-05 what came to a group is counted as such", "[ip_tunnel]") {
    IpTunnelMachine machine;
    machine.add_local("239.1.1.1/32");
    const LinkId tunnel =
        machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre, 0xef010101, 0));
    const auto receive = [&](std::uint32_t destination, std::uint16_t flags) {
        Ipv4Options ip;
        ip.source = kRemote;
        ip.destination = destination;
        ip.protocol = net::ip_protocol::kGre;
        const Bytes gre{static_cast<std::uint8_t>(flags), 0, 8, 0};
        machine.receive_exact(
            machine.underlay,
            Packet()
                .ether(Machine::port_mac(0), kUnderlayHop)
                .ipv4(ip)
                .raw(IpTunnelMachine::gre(gre, IpTunnelMachine::inner_packet()))
        );
        machine.run();
    };
    receive(0xef010101, 0);
    CHECK(machine.rx_packets(tunnel) == 1);
    CHECK(machine.multicasts(tunnel) == 1);
    machine.expect_no_drop();
    // Before anything that may drop it.
    machine.change(tunnel, [](Link& link) { link.ip_tunnel.in_sequence = true; });
    receive(0xef010101, 0);
    machine.expect_only_drop(tunnel, Drop::ip_tunnel_sequence);
    CHECK(machine.multicasts(tunnel) == 2);
}

TEST_CASE("TUN-RX-11 a frame for another host counts as received, and ends there", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    const Bytes frame =
        Packet().ether(mac(0x4711), mac(0x99)).raw(IpTunnelMachine::inner_packet()).bytes();
    machine.receive_exact(
        machine.underlay,
        IpTunnelMachine::outer_packet(
            IpTunnelMachine::gre({0, 0, 0x65, 0x58}, frame), {.protocol = net::ip_protocol::kGre}
        )
    );
    machine.run();
    CHECK(machine.rx_packets(tunnel) == 1);
    machine.expect_only_drop(tunnel, Drop::ether_other_host);
}

}  // namespace culvert::pipeline::test
