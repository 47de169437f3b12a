// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/ip_tunnel_machine.hpp"

#include <map>
#include <vector>

namespace culvert::pipeline::test {

namespace {

using encap::IpTunnelKind;
using Outer = IpTunnelMachine::Outer;

Bytes inner_packet(std::size_t payload = 30, const Ipv4Options& options = {}) {
    return IpTunnelMachine::inner_packet(payload, options);
}

Packet outer_packet(const Bytes& payload, const IpTunnelMachine::Outer& outer) {
    return IpTunnelMachine::outer_packet(payload, outer);
}

Bytes gre(const Bytes& header, const Bytes& payload) {
    return IpTunnelMachine::gre(header, payload);
}

Bytes ip_of(const Bytes& frame) {
    return {frame.begin() + 14, frame.end()};
}

// A packet as it leaves the router: TTL one less.
bool is_forwarded(const Bytes& frame, const Bytes& ip) {
    const Bytes sent = ip_of(frame);
    return sent.size() == ip.size() && sent.at(8) == ip.at(8) - 1 &&
           std::equal(sent.begin() + 12, sent.end(), ip.begin() + 12);
}

}  // namespace

TEST_CASE("IPIP-RX-03 TUN-RX-06 ipip: the inner packet is routed on", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::ipip));
    const Bytes inner = inner_packet();
    const std::size_t options = GENERATE(std::size_t{0}, std::size_t{4}, std::size_t{40});
    for (int i = 0; i < 3; ++i) {
        machine.receive(
            machine.underlay, outer_packet(inner, {.option_bytes = options}).bytes(), true
        );
    }
    machine.run();
    const auto sent = machine.sent(machine.access);
    REQUIRE(sent.size() == 3);
    CHECK(is_forwarded(sent[0], inner));
    CHECK(is_forwarded(sent[2], inner));
    CHECK(machine.rx_packets(tunnel) == 3);
    CHECK(machine.rx_bytes(tunnel) == 3 * inner.size());
    machine.expect_no_drop();
}

TEST_CASE("GRE-RX-10 GRE-RX-12 TUN-RX-06 gre: by key, and whatever is inside", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId plain = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre));
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::gre);
    config.in_key = 7;
    const LinkId keyed = machine.add_tunnel(config);
    const Bytes inner = inner_packet();
    machine.receive(machine.underlay, outer_packet(gre({0, 0, 8, 0}, inner), {.protocol = 47}));
    machine.receive(
        machine.underlay, outer_packet(gre({0x20, 0, 8, 0, 0, 0, 0, 7}, inner), {.protocol = 47})
    );
    machine.run();
    CHECK(machine.sent(machine.access).size() == 2);
    CHECK(machine.rx_bytes(plain) == inner.size());
    CHECK(machine.rx_bytes(keyed) == inner.size());
    machine.expect_no_drop();
    machine.receive(
        machine.underlay, outer_packet(gre({0x20, 0, 8, 0, 0, 0, 0, 8}, inner), {.protocol = 47})
    );
    machine.run();
    machine.expect_only_drop(machine.underlay, Drop::ip_tunnel_no_device);
    machine.forget_drops();
    machine.receive(
        machine.underlay, outer_packet(gre({0, 0, 0x88, 0x47}, Bytes(20, 1)), {.protocol = 47})
    );
    machine.run();
    machine.expect_only_drop(plain, Drop::ether_type_unknown);
    CHECK(machine.rx_packets(plain) == 2);
}

TEST_CASE(
    "GRE-RX-10 TUN-LKP-01 neighbours in a burst are told apart by all that their headers say",
    "[ip_tunnel]"
) {
    IpTunnelMachine machine;
    constexpr std::uint32_t kOther = kRemote + 1;
    const auto keyed = [&](std::uint32_t key, std::uint32_t remote) {
        auto config = IpTunnelMachine::config_of(IpTunnelKind::gre, kLocal, remote);
        config.in_key = key;
        return machine.add_tunnel(config);
    };
    const auto plain = [&](IpTunnelKind kind, std::uint32_t remote) {
        return machine.add_tunnel(IpTunnelMachine::config_of(kind, kLocal, remote));
    };
    const Bytes inner = inner_packet();
    const auto gre_packet = [&](const Bytes& header, const IpTunnelMachine::Outer& outer) {
        return outer_packet(gre(header, inner), outer).bytes();
    };

    struct Arrival {
        Bytes frame;
        LinkId link;  // kNoLink = no device
    };

    const std::vector<Arrival> arrivals{
        {outer_packet(inner, {}).bytes(), plain(IpTunnelKind::ipip, kRemote)},
        {outer_packet(inner, {.source = kOther}).bytes(), plain(IpTunnelKind::ipip, kOther)},
        {gre_packet({0, 0, 8, 0}, {.protocol = 47}), plain(IpTunnelKind::gre, kRemote)},
        {gre_packet({0, 0, 8, 0}, {.protocol = 47, .source = kOther}),
         plain(IpTunnelKind::gre, kOther)},
        {gre_packet({0x20, 0, 8, 0, 0, 0, 0, 7}, {.protocol = 47}), keyed(7, kRemote)},
        {gre_packet({0x20, 0, 8, 0, 0, 0, 0, 8}, {.protocol = 47}), keyed(8, kRemote)},
        {gre_packet({0x20, 0, 8, 0, 0, 0, 0, 7}, {.protocol = 47, .source = kOther}),
         keyed(7, kOther)},
        {gre_packet({0x20, 0, 8, 0, 0, 0, 0, 9}, {.protocol = 47}), kNoLink},
        {outer_packet(gre({0, 0, 0x65, 0x58}, IpTunnelMachine::in_frame(inner)), {.protocol = 47})
             .bytes(),
         plain(IpTunnelKind::gretap, kRemote)},
    };
    std::map<LinkId, std::uint64_t> expected;
    std::uint64_t nobodys = 0;
    for (const Arrival& first : arrivals) {
        for (const Arrival& second : arrivals) {
            for (const Arrival* arrival : {&first, &second, &first}) {
                machine.receive(machine.underlay, arrival->frame, true);
                ++(arrival->link == kNoLink ? nobodys : expected[arrival->link]);
            }
            machine.run();
            CHECK(machine.drops(machine.underlay, Drop::ip_tunnel_no_device) == nobodys);
            for (const auto& [link, packets] : expected) {
                CHECK(machine.rx_packets(link) == packets);
            }
        }
    }
}

TEST_CASE(
    "GRE-RX-09 TUN-RX-06 TUN-RX-07 gretap: frames for its bridge, or for itself", "[ip_tunnel]"
) {
    IpTunnelMachine machine;
    const LinkId tap = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    const bool bridged = GENERATE(false, true);
    if (bridged) {
        const LinkId bridge = machine.add_bridge(mac(0xb0));
        machine.enslave(tap, bridge);
        machine.enslave(machine.access, bridge);
        machine.change(bridge, [](Link& link) { link.up = true; });
    }
    const Bytes frame = IpTunnelMachine::in_frame(inner_packet());
    machine.receive(
        machine.underlay, outer_packet(gre({0, 0, 0x65, 0x58}, frame), {.protocol = 47})
    );
    machine.run();
    const auto sent = machine.sent(machine.access);
    REQUIRE(sent.size() == 1);
    CHECK((bridged ? sent[0] == frame : is_forwarded(sent[0], ip_of(frame))));
    CHECK(machine.rx_packets(tap) == 1);
    CHECK(machine.rx_bytes(tap) == frame.size());
    machine.expect_no_drop();
}

TEST_CASE("TUN-LKP-07 IPIP-FB-05 the fallback takes the rest", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId one = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::ipip));
    const LinkId rest =
        machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::ipip, 0, 0), true);
    machine.receive(machine.underlay, outer_packet(inner_packet(), {}));
    machine.receive(machine.underlay, outer_packet(inner_packet(), {.source = kRemote + 1}));
    machine.run();
    CHECK(machine.rx_packets(one) == 1);
    CHECK(machine.rx_packets(rest) == 1);
    CHECK(machine.sent(machine.access).size() == 2);
}

TEST_CASE(
    "IPIP-RX-01 IPIP-RX-04 GRE-RX-01 GRE-RX-05 TUN-LKP-09 dropped without a "
    "counter of the link's",
    "[ip_tunnel]"
) {
    IpTunnelMachine machine;
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::ipip);
    config.mode = encap::IpTunnelMode::ipip;
    const LinkId tunnel = machine.add_tunnel(config);
    const LinkId tap = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    const auto expect = [&](const Packet& packet, LinkId link, Drop reason) {
        machine.forget_drops();
        machine.receive(machine.underlay, packet.bytes(), true);
        machine.run();
        machine.expect_only_drop(link, reason);
    };
    const LinkId underlay = machine.underlay;
    expect(outer_packet(Bytes(19, 0x45), {}), underlay, Drop::ipip_truncated);
    expect(
        outer_packet(inner_packet(), {.source = 1 + kRemote}), underlay, Drop::ip_tunnel_no_device
    );
    expect(outer_packet(inner_packet(), {.protocol = 41}), underlay, Drop::ip_tunnel_no_device);
    expect(outer_packet(Bytes(40, 1), {.protocol = 137}), tunnel, Drop::ip_tunnel_mode);
    expect(outer_packet(Bytes(11, 0), {.protocol = 47}), underlay, Drop::gre_truncated);
    expect(
        outer_packet(gre({0, 1, 8, 0}, Bytes(20)), {.protocol = 47}), underlay, Drop::gre_version
    );
    expect(
        outer_packet(gre({0x40, 0, 8, 0}, Bytes(20)), {.protocol = 47}), underlay, Drop::gre_routing
    );
    expect(
        outer_packet(gre({0x80, 0, 8, 0, 1, 2, 0, 0}, Bytes(20)), {.protocol = 47}),
        underlay,
        Drop::gre_checksum
    );
    expect(
        outer_packet(gre({0, 0, 0x65, 0x58}, Bytes(13)), {.protocol = 47}),
        tap,
        Drop::gretap_inner_truncated
    );
    REQUIRE(machine.ip_tunnels.lookup.set_up(tunnel, false));
    expect(outer_packet(inner_packet(), {}), underlay, Drop::ip_tunnel_no_device);
    CHECK(machine.rx_packets(tunnel) == 0);
}

TEST_CASE(
    "TUN-RX-02 GRE-RX-14 a checksum must be there exactly where it is configured", "[ip_tunnel]"
) {
    IpTunnelMachine machine;
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::gre);
    config.in_checksum = GENERATE(false, true);
    const LinkId tunnel = machine.add_tunnel(config);
    const Bytes with = gre({0x80, 0, 8, 0, 0xff - 0x80 - 8, 0xff, 0, 0}, inner_packet(0));
    Bytes right = with;
    std::uint32_t sum = 0;
    right[4] = right[5] = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
        sum += std::uint32_t{right[i]} << (i % 2 == 0 ? 8 : 0);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    right[4] = static_cast<std::uint8_t>(~sum >> 8);
    right[5] = static_cast<std::uint8_t>(~sum);
    const Bytes without = gre({0, 0, 8, 0}, inner_packet(0));
    machine.receive(machine.underlay, outer_packet(right, {.protocol = 47}));
    machine.receive(machine.underlay, outer_packet(without, {.protocol = 47}));
    machine.run();
    machine.expect_only_drop(tunnel, Drop::ip_tunnel_checksum_rule);
    CHECK(machine.rx_packets(tunnel) == 1);
    CHECK(machine.sent(machine.access).size() == 1);
}

TEST_CASE(
    "TUN-RX-03 GRE-RX-14 sequence numbers: the first, later ones, and across the wrap",
    "[ip_tunnel]"
) {
    IpTunnelMachine machine;
    encap::IpTunnelConfig config = IpTunnelMachine::config_of(IpTunnelKind::gre);
    config.in_sequence = true;
    const LinkId tunnel = machine.add_tunnel(config);
    const auto receive = [&](std::uint32_t number) {
        const auto byte = [number](int shift) {
            return static_cast<std::uint8_t>(number >> shift);
        };
        const Bytes header{0x10, 0, 8, 0, byte(24), byte(16), byte(8), byte(0)};
        machine.receive(
            machine.underlay, outer_packet(gre(header, inner_packet()), {.protocol = 47})
        );
    };
    for (const std::uint32_t number :
         {0xfffffff0U, 0xfffffff1U, 0xfffffff1U, 0xfffffff0U, 5U, 4U, 6U}) {
        receive(number);
    }
    machine.receive(
        machine.underlay, outer_packet(gre({0, 0, 8, 0}, inner_packet()), {.protocol = 47})
    );
    machine.run();
    CHECK(machine.sent(machine.access).size() == 4);
    CHECK(machine.rx_packets(tunnel) == 4);
    machine.expect_only_drop(tunnel, Drop::ip_tunnel_sequence, 4);
}

TEST_CASE("TUN-RX-03 a number where none is asked for is not looked at", "[ip_tunnel]") {
    IpTunnelMachine machine;
    machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre));
    for (const std::uint8_t number : Bytes{9, 3}) {
        const Bytes header{0x10, 0, 8, 0, 0, 0, 0, number};
        machine.receive(
            machine.underlay, outer_packet(gre(header, inner_packet()), {.protocol = 47})
        );
    }
    machine.run();
    CHECK(machine.sent(machine.access).size() == 2);
    machine.expect_no_drop();
}

TEST_CASE("TUN-RX-04 GRE-RX-15 an inner IP header that is not whole", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gre));
    const LinkId tap = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::gretap));
    Bytes frame = IpTunnelMachine::in_frame(inner_packet());
    frame.resize(33);
    machine.receive(
        machine.underlay, outer_packet(gre({0, 0, 8, 0}, Bytes(19, 0x45)), {.protocol = 47})
    );
    machine.run();
    machine.expect_only_drop(tunnel, Drop::ip_tunnel_inner_truncated);
    machine.forget_drops();
    machine.receive(
        machine.underlay, outer_packet(gre({0, 0, 0x65, 0x58}, frame), {.protocol = 47})
    );
    machine.run();
    machine.expect_only_drop(tap, Drop::ip_tunnel_inner_truncated);
}

TEST_CASE("TUN-RX-05 TUN-ECN-03 congestion marks come through every kind", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const auto kind = GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre, IpTunnelKind::gretap);
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(kind));
    const std::uint8_t inner_ecn = GENERATE(std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2});
    const Bytes inner = inner_packet(30, {.tos = inner_ecn});
    Outer outer{.protocol = 47, .tos = 3};
    Bytes payload = gre({0, 0, 8, 0}, inner);
    if (kind == IpTunnelKind::ipip) {
        outer.protocol = 4;
        payload = inner;
    } else if (kind == IpTunnelKind::gretap) {
        payload = gre({0, 0, 0x65, 0x58}, IpTunnelMachine::in_frame(inner));
    }
    machine.receive(machine.underlay, outer_packet(payload, outer));
    machine.run();
    const auto sent = machine.sent(machine.access);
    if (inner_ecn == 0) {
        machine.expect_only_drop(tunnel, Drop::ip_tunnel_ecn);
        return;
    }
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].at(15) == 3);
    machine.expect_no_drop();  // ip4 has verified the checksum
}

TEST_CASE("TUN-RX-10 tunnels inside each other, to a depth", "[ip_tunnel]") {
    IpTunnelMachine machine;
    const LinkId tunnel = machine.add_tunnel(IpTunnelMachine::config_of(IpTunnelKind::ipip));
    const unsigned levels = GENERATE(2U, 8U, 9U);
    Bytes packet = inner_packet();
    for (unsigned i = 0; i < levels; ++i) {
        const Bytes frame = outer_packet(packet, {}).bytes();
        packet = ip_of(frame);
    }
    machine.receive(
        machine.underlay, Packet().ether(Machine::port_mac(0), kUnderlayHop).raw(packet)
    );
    machine.run();
    if (levels > kMaxDepth) {
        machine.expect_only_drop(tunnel, Drop::depth_exceeded);
    } else {
        CHECK(machine.sent(machine.access).size() == 1);
        CHECK(machine.rx_packets(tunnel) == levels);
    }
}

}  // namespace culvert::pipeline::test
