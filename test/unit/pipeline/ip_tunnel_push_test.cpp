// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/ip_tunnel_machine.hpp"

#include <set>

namespace culvert::pipeline::test {

namespace {

using encap::IpTunnelKind;
using encap::IpTunnelTemplate;

std::uint32_t word_at(const Bytes& bytes, std::size_t at) {
    return std::uint32_t{bytes.at(at)} << 24 | std::uint32_t{bytes.at(at + 1)} << 16 |
           std::uint32_t{bytes.at(at + 2)} << 8 | bytes.at(at + 3);
}

struct Sender : IpTunnelMachine {
    explicit Sender(const encap::IpTunnelConfig& config)
        : tunnel(add_tunnel(config)) {
        if (has_link_layer(link(tunnel).kind)) {
            add_next_hop("10.0.3.0/24", tunnel, mac(0x99), link(tunnel).mtu);
        } else {
            route_into(tunnel, "10.0.3.0/24");
        }
    }

    std::vector<Bytes> forward(const Packet& packet, std::uint32_t count = 1) {
        forget_drops();
        for (std::uint32_t i = 0; i < count; ++i) {
            receive(access, packet);
        }
        run();
        return sent(underlay);
    }

    LinkId tunnel;
};

}  // namespace

TEST_CASE(
    "TUN-TX-01 TUN-TX-18 TUN-TX-19 TUN-TX-22 a routed packet leaves in a tunnel", "[ip_tunnel]"
) {
    const auto kind = GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre, IpTunnelKind::gretap);
    Sender sender(IpTunnelMachine::config_of(kind));
    sender.add_remote(sender.tunnel);
    const auto sent = sender.forward(IpTunnelMachine::from_station(), 40);
    REQUIRE(sent.size() == 40);
    const std::size_t header = kind == IpTunnelKind::ipip  ? 34
                               : kind == IpTunnelKind::gre ? 38
                                                           : 52;
    const Bytes frame = IpTunnelMachine::from_station().bytes();
    std::set<std::uint32_t> ids;
    for (const Bytes& bytes : sent) {
        REQUIRE(bytes.size() == frame.size() - 14 + header);
        REQUIRE(std::equal(
            bytes.begin() + static_cast<std::ptrdiff_t>(header) + 12,
            bytes.end(),
            frame.begin() + 26
        ));
        REQUIRE(bytes.at(header + 8) == 63);
        REQUIRE(bytes.at(22) == 63);  // TUN-TX-16
        REQUIRE(word_at(bytes, 26) == kLocal);
        REQUIRE(word_at(bytes, 30) == kRemote);
        ids.insert(word_at(bytes, 16) & 0xffff0000U);
        ids.insert(word_at(bytes, 18) >> 16);
    }
    CHECK(ids.size() >= 40);
    CHECK(sender.tx_packets(sender.tunnel) == 40);
    CHECK(sender.tx_bytes(sender.tunnel) == 40 * (frame.size() - 14));
    sender.expect_no_drop();
}

TEST_CASE("GRETAP-TX-01 gretap as a bridge's member", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tap = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    machine.add_remote(tap);
    const LinkId bridge = machine.add_bridge(mac(0xb0));
    machine.enslave(tap, bridge);
    machine.enslave(machine.access, bridge);
    machine.change(bridge, [](Link& link) { link.up = true; });
    const Packet frame =
        Packet().ether(mac(1), mac(2), net::ether_type::kArp).arp_request(mac(2), 1, 2);
    machine.receive(machine.access, frame);
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    CHECK(Bytes(sent[0].begin() + 38, sent[0].end()) == frame.bytes());
    CHECK(machine.tx_bytes(tap) == frame.bytes().size() - 14);
}

TEST_CASE("GRE-HDR-06 a frame goes with its tag, and without an FCS", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tap = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    machine.add_remote(tap);
    Link vlan;
    vlan.kind = LinkKind::vlan;
    vlan.up = true;
    vlan.vlan = {tap, 5, net::ether_type::kVlan};
    const LinkId tagged = machine.add_link(vlan);
    const Packet frame = Packet().ether(mac(1), mac(2)).ipv4().payload(50);
    machine.send_from_control(tagged, frame);
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    Bytes expected = frame.bytes();
    const Bytes tag{0x81, 0, 0, 5};
    expected.insert(expected.begin() + 12, tag.begin(), tag.end());
    CHECK(Bytes(sent[0].begin() + 38, sent[0].end()) == expected);
    CHECK(sent[0][16] * 256U + sent[0][17] == 20 + 4 + expected.size());
}

TEST_CASE("GRE-HDR-04 sequence numbers begin at 0 and miss none", "[ip_tunnel]") {
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::gre);
    config.out_sequence = true;
    Sender sender(config);
    sender.add_remote(sender.tunnel);
    std::uint32_t next = 0;
    for (const std::uint32_t count : {1U, 5U, 70U}) {
        for (const Bytes& bytes : sender.forward(IpTunnelMachine::from_station(), count)) {
            REQUIRE(word_at(bytes, 38) == next++);
        }
    }
    CHECK(next == 76);
}

TEST_CASE("IPIP-TX-01 what ipip does not carry", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::ipip));
    sender.add_remote(sender.tunnel);
    sender.send_from_control(
        sender.tunnel, Packet().ether({}, {}, net::ether_type::kIpv6).payload(60)
    );
    sender.run();
    sender.expect_only_drop(sender.tunnel, Drop::ip_tunnel_payload_type);
}

TEST_CASE("IPIP-TX-02 GRE-TX-02 an inner header that is not whole is not sent", "[ip_tunnel]") {
    const auto kind = GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre);
    Sender sender(IpTunnelMachine::config_of(kind));
    sender.add_remote(sender.tunnel);
    sender.send_from_control(sender.tunnel, Packet().ether({}, {}).payload(19));
    sender.run();
    sender.expect_only_drop(
        sender.tunnel,
        kind == IpTunnelKind::gre ? Drop::gre_packet_truncated : Drop::ipip_packet_truncated
    );
}

TEST_CASE("TUN-TX-02 TUN-TX-11 TUN-TX-12 TUN-TX-23 why a tunnel cannot send", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::gre));
    const auto [state, reason] = GENERATE(table<encap::TunnelState, Drop>({
        {encap::TunnelState::no_route, Drop::ip_tunnel_no_route},
        {encap::TunnelState::loop, Drop::ip_tunnel_loop},
        {encap::TunnelState::local, Drop::ip_tunnel_local},
        {encap::TunnelState::no_remote, Drop::ip_tunnel_no_remote},
    }));
    const encap::TunnelState why = state;
    sender.add_remote(sender.tunnel, kRemote, sender.underlay, [why](IpTunnelTemplate& outer) {
        outer.become(why);
    });
    CHECK(sender.forward(IpTunnelMachine::from_station()).empty());
    sender.expect_only_drop(sender.tunnel, reason);
}

TEST_CASE("TUN-TX-23 a lower link that is down, and a tunnel that is", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::gre));
    sender.add_remote(sender.tunnel);
    sender.change(sender.underlay, [](Link& link) { link.up = false; });
    CHECK(sender.forward(IpTunnelMachine::from_station()).empty());
    sender.expect_only_drop(sender.tunnel, Drop::link_down_tx);
}

TEST_CASE("TUN-PMTU-04 TUN-PMTU-06 TUN-TX-14 what the outer path does not take", "[ip_tunnel]") {
    const auto [kind, overhead] = GENERATE(table<IpTunnelKind, std::uint32_t>(
        {{IpTunnelKind::ipip, 20}, {IpTunnelKind::gre, 24}, {IpTunnelKind::gretap, 38}}
    ));
    Sender sender(IpTunnelMachine::config_of(kind));
    sender.add_remote(sender.tunnel, kRemote, sender.underlay, [](IpTunnelTemplate& outer) {
        outer.mtu = 1000;
    });
    const std::size_t fits = 1000 - overhead - 20;
    CHECK(sender.forward(IpTunnelMachine::from_station(fits)).size() == 1);
    CHECK(sender.forward(IpTunnelMachine::from_station(fits + 1)).empty());
    sender.expect_only_drop(sender.tunnel, Drop::ip_tunnel_needs_fragments);
    CHECK(sender.icmp_asked().empty());
    CHECK(sender.forward(IpTunnelMachine::from_station(fits + 1, 0x4000)).empty());
    sender.expect_only_drop(sender.tunnel, Drop::ip_tunnel_too_big);
    const auto asked = sender.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(int{asked[0].error.type} == 3);
    CHECK(int{asked[0].error.code} == 4);
    CHECK(asked[0].error.info == 1000 - overhead);
    CHECK_FALSE(asked[0].error.as_received);
    CHECK(asked[0].note.l3_offset == 14);
    CHECK(word_at(asked[0].bytes, 30) == kFarHost);
}

TEST_CASE("TUN-PMTU-04 a frame that a bridge sent has no sender to tell", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    sender.add_remote(sender.tunnel, kRemote, sender.underlay, [](IpTunnelTemplate& outer) {
        outer.mtu = 1000;
    });
    sender.change(sender.tunnel, [](Link& link) { link.master = 99; });
    CHECK(sender.forward(IpTunnelMachine::from_station(1000, 0x4000)).empty());
    sender.expect_only_drop(sender.tunnel, Drop::ip_tunnel_too_big);
    CHECK(sender.icmp_asked().empty());
}

TEST_CASE("TUN-PMTU-07 without DF the outer packet goes in fragments", "[ip_tunnel]") {
    auto config = IpTunnelMachine::config_of(IpTunnelKind::gre);
    config.pmtudisc = false;
    Sender sender(config);
    const bool is_direct = GENERATE(true, false);
    sender.add_remote(sender.tunnel, kRemote, sender.underlay, [&](IpTunnelTemplate& outer) {
        outer.mtu = 1000;
        outer.become(is_direct ? encap::TunnelState::ready : encap::TunnelState::unresolved);
    });
    auto sent = sender.forward(IpTunnelMachine::from_station(1200), 3);
    if (!is_direct) {
        for (const Punted& punted : sender.punted()) {
            CHECK(punted.note.punt == Punt::resolve);
            CHECK(punted.note.link_out == sender.underlay);
            CHECK(punted.next_hop == net::IpAddress::from_v4(kRemote));
            sent.push_back(punted.bytes);
        }
    }
    sender.expect_no_drop();
    REQUIRE(sent.size() == 6);
    std::set<std::uint32_t> ids;
    for (std::size_t i = 0; i < sent.size(); i += 2) {
        CHECK(sent[i].size() == 14 + 20 + 976);
        CHECK(sent[i + 1].size() == 14 + 20 + 4 + 1220 - 976);
        CHECK(word_at(sent[i], 16) >> 16 == 996);
        CHECK((word_at(sent[i], 18) & 0xffff) == 0x2000);
        CHECK((word_at(sent[i + 1], 18) & 0xffff) == 976 / 8);
        CHECK(word_at(sent[i], 18) >> 16 == word_at(sent[i + 1], 18) >> 16);
        ids.insert(word_at(sent[i], 18) >> 16);
        CHECK(word_at(sent[i], 30) == kRemote);
        CHECK(word_at(sent[i + 1], 30) == kRemote);
    }
    CHECK(ids.size() == 3);
    CHECK(sender.tx_packets(sender.tunnel) == 3);
    CHECK(sender.tx_bytes(sender.tunnel) == std::uint64_t{3} * 1220);
    CHECK(sender.total(&CounterBlock::replicated) == 6);
}

TEST_CASE("TUN-TX-15 routers report errors: senders are told, packets go", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::gre));
    const auto faults = std::make_shared<encap::IpTunnelFaults>();
    faults->left = 2;
    const bool is_bridged = GENERATE(false, true);
    sender.change(sender.tunnel, [&](Link& link) {
        link.faults = faults;
        link.master = is_bridged ? 99 : kNoLink;
    });
    sender.add_remote(sender.tunnel, kRemote, sender.underlay, [](IpTunnelTemplate& outer) {
        outer.become(encap::TunnelState::failing);
    });
    CHECK(sender.forward(IpTunnelMachine::from_station(), 5).size() == 5);
    CHECK(faults->left == 0);
    CHECK(sender.tx_packets(sender.tunnel) == 5);
    const auto asked = sender.icmp_asked();
    if (is_bridged) {
        CHECK(asked.empty());
        sender.expect_no_drop();
        return;
    }
    sender.expect_only_drop(sender.tunnel, Drop::ip_tunnel_fault_copy, 2);
    REQUIRE(asked.size() == 2);
    CHECK(int{asked[0].error.type} == 3);
    CHECK(int{asked[0].error.code} == 1);
    CHECK(asked[0].note.l3_offset == 14);
    CHECK(word_at(asked[0].bytes, 30) == kFarHost);
}

TEST_CASE("unresolved: the packet waits with its outer headers", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::ipip));
    sender.add_remote(sender.tunnel, kRemote, sender.underlay, [](IpTunnelTemplate& outer) {
        outer.become(encap::TunnelState::unresolved);
    });
    CHECK(sender.forward(IpTunnelMachine::from_station()).empty());
    const auto punted = sender.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::resolve);
    CHECK(punted[0].note.link_out == sender.underlay);
    CHECK(punted[0].next_hop == net::IpAddress::from_v4(kRemote));
    CHECK(punted[0].bytes.size() == IpTunnelMachine::from_station().bytes().size() + 20);
}

TEST_CASE(
    "TUN-TX-03 without a remote it is the route's gateway, or the packet's destination",
    "[ip_tunnel]"
) {
    IpTunnelMachine machine;
    const auto kind = GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre);
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(kind, kLocal, 0));
    machine.route_into(tunnel, "10.0.3.0/24", kRemote);
    machine.route_into(tunnel, "198.51.100.0/24");
    machine.add_remote(tunnel, kRemote);
    machine.receive(machine.access, IpTunnelMachine::from_station());
    machine.run();
    auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    CHECK(word_at(sent[0], 30) == kRemote);

    const Packet direct = Packet()
                              .ether(Machine::port_mac(1), mac(0x22))
                              .ipv4({.source = kStation, .destination = 0xc6336407})
                              .payload(9);
    machine.receive(machine.access, direct);
    machine.run();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::tunnel_remote);
    CHECK(punted[0].note.link_out == tunnel);
    CHECK(punted[0].next_hop == net::IpAddress::from_v4(0xc6336407));
    machine.add_remote(tunnel, 0xc6336407);
    machine.receive(machine.access, direct);
    machine.run();
    sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    CHECK(word_at(sent[0], 30) == 0xc6336407);
    machine.expect_no_drop();
}

TEST_CASE("TUN-TX-02 a frame to a gretap without a remote has nobody to go to", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tap =
        machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap, kLocal, 0));
    machine.send_from_control(tap, Packet().ether(mac(1), mac(2)).ipv4().payload(9));
    machine.run();
    machine.expect_only_drop(tap, Drop::ip_tunnel_no_remote);
}

TEST_CASE("TUN-TX-05 what is not IP says nobody's address", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tunnel =
        machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre, kLocal, 0));
    constexpr std::uint16_t kMpls = 0x8847;
    machine.send_from_control(tunnel, Packet().ether({}, {}, kMpls).payload(60));
    machine.run();
    machine.expect_only_drop(tunnel, Drop::ip_tunnel_no_remote);
    machine.forget_drops();
    // GRE-TX-03: but a neighbour may.
    machine.add_remote(tunnel, kRemote);
    const auto octet = [](unsigned shift) { return static_cast<std::uint8_t>(kRemote >> shift); };
    const net::MacAddress neighbour{{octet(24), octet(16), octet(8), octet(0), 0, 0}};
    machine.send_from_control(tunnel, Packet().ether(neighbour, {}, kMpls).payload(60));
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    CHECK(word_at(sent[0], 30) == kRemote);
    machine.expect_no_drop();
}

TEST_CASE("a tunnel in a tunnel, and one that leads back into itself", "[ip_tunnel]") {
    Sender sender(IpTunnelMachine::config_of(IpTunnelKind::gre));
    const LinkId lower =
        sender.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::ipip, kLocal, kRemote + 1));
    sender.add_remote(sender.tunnel, kRemote, lower, [](IpTunnelTemplate&) {});
    SECTION("to the port") {
        sender.add_remote(lower, kRemote + 1);
        const auto sent = sender.forward(IpTunnelMachine::from_station(), 3);
        REQUIRE(sent.size() == 3);
        CHECK(word_at(sent[2], 30) == kRemote + 1);
        CHECK(word_at(sent[2], 50) == kRemote);
        CHECK(sent[2].size() == IpTunnelMachine::from_station().bytes().size() + 20 + 24);
        sender.expect_no_drop();
    }
    SECTION("round and round") {
        sender.add_remote(lower, kRemote + 1, sender.tunnel, [](IpTunnelTemplate& outer) {
            outer.mtu = 9000;
        });
        CHECK(sender.forward(IpTunnelMachine::from_station(), 3).empty());
        CHECK(
            sender.drops(sender.tunnel, Drop::depth_exceeded) +
                sender.drops(lower, Drop::depth_exceeded) +
                sender.drops(sender.tunnel, Drop::ip_tunnel_no_headroom) +
                sender.drops(lower, Drop::ip_tunnel_no_headroom) ==
            3
        );
    }
}

}  // namespace culvert::pipeline::test
