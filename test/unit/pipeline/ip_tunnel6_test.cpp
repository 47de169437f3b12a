// SPDX-License-Identifier: BSD-3-Clause
// Tunnels over IPv6: ip6tnl, ip6gre and ip6gretap, both ways.
#include "test/unit/pipeline/ip_tunnel6_machine.hpp"

namespace culvert::pipeline::test {

namespace {

using encap::IpTunnelKind;
using encap::IpTunnelMode;

const Bytes kInner6 = ip6("2001:db8:3::2", "2001:db8:2::2", 6, Bytes(30, 0x5a));

}  // namespace

TEST_CASE("ip6tnl: IPv4 and IPv6 in IPv6, behind an encapsulation limit", "[ip_tunnel6]") {
    Tunnel6 machine(config6_of(IpTunnelKind::ip6tnl));
    const Bytes inner = ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(30, 0x5a), 0, 0x12345);
    const auto sent6 = machine.forward6(inner);
    REQUIRE(sent6.size() == 1);
    CHECK(sent6[0].size() == 14 + 40 + 8 + inner.size());
    CHECK(Bytes(sent6[0].begin() + 18, sent6[0].begin() + 22) == Bytes{0, 78, kOptions, 64});
    CHECK(sent6[0].at(54) == 41);
    CHECK(Bytes(sent6[0].begin() + 55, sent6[0].begin() + 62) == kLimit4);
    CHECK(sent6[0].at(62 + 7) == 32);  // the inner hop limit, one router further
    const auto sent4 = machine.forward(IpTunnelMachine::from_station().bytes());
    REQUIRE(sent4.size() == 1);
    CHECK(sent4[0].at(54) == 4);
    CHECK(machine.tx_packets(machine.tunnel) == 2);
    CHECK(
        machine.tx_bytes(machine.tunnel) == sent4[0].size() + sent6[0].size() - std::size_t{2} * 62
    );
    machine.expect_no_drop();
}

TEST_CASE("ip6tnl: what an option says goes into the outer header", "[ip_tunnel6]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6tnl);
    config.ip6.encap_limit.reset();
    config.ttl = 0;
    config.ip6.class_inherit = true;
    config.ip6.label_inherit = true;
    Tunnel6 machine(config);
    const auto sent =
        machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(30, 0x5a), 0xbb, 0x12345));
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].size() == 14 + 40 + 70);
    // TUN-ECN-05: congestion inside is ECN-capable outside.
    CHECK(Bytes(sent[0].begin() + 14, sent[0].begin() + 18) == Bytes{0x6b, 0xa1, 0x23, 0x45});
    CHECK(sent[0].at(20) == 41);
    CHECK(sent[0].at(21) == 32);
}

TEST_CASE("ip6tnl: the inner packet's encapsulation limit counts", "[ip_tunnel6]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6tnl);
    if (GENERATE(false, true)) {
        config.ip6.encap_limit.reset();
    }
    Tunnel6 machine(config);
    const auto limited = [](std::uint8_t limit) {
        const Bytes options{6, 0, 4, 1, limit, 1, 1, 0};
        return ip6("2001:db8:2::2", "2001:db8:3::2", kOptions, options + Bytes(30, 0x5a));
    };
    const auto sent = machine.forward6(limited(3));
    REQUIRE(sent.size() == 1);
    CHECK(Bytes(sent[0].begin() + 54, sent[0].begin() + 62) == Bytes{41, 0, 4, 1, 2, 1, 1, 0});
    CHECK(sent[0].size() == 62 + 78);
    CHECK(machine.forward6(limited(0)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_encap_limit);
    const auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kParameterProblem);
    CHECK(asked[0].error.info == 44);
    // Options that end early say nothing.
    const Bytes lying{6, 0, 5, 9, 0, 4, 1, 0};
    CHECK(
        machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", kOptions, lying + Bytes(30, 0x5a)))
            .size() == 1
    );
}

TEST_CASE("ip6tnl: what is too big, and no way", "[ip_tunnel6]") {
    Tunnel6 machine(config6_of(IpTunnelKind::ip6tnl), 1400);
    const auto sized = [](std::size_t bytes) {
        return ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(bytes - 40, 0x5a));
    };
    CHECK(machine.forward6(sized(1352)).size() == 1);
    CHECK(machine.forward6(sized(1353)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_too_big);
    auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kPacketTooBig);
    CHECK(asked[0].error.info == 1352);
    // IPv6's least MTU is never refused, though it is lost.
    machine.set_way(1300);
    CHECK(machine.forward6(sized(1280)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_needs_fragments);
    // TUN-PMTU-04 here holds with and without DF.
    CHECK(machine.forward(IpTunnelMachine::from_station(1300).bytes()).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_too_big);
    asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.code == net::icmp_unreachable::kFragmentationNeeded);
    machine.set_way(1500, route::AdjacencyKind::no_route);
    CHECK(machine.forward6(sized(100)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_no_way);
    asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.code == net::icmpv6_unreachable::kAddress);
    // A packet from the tunnel's own remote would come back.
    machine.set_way(1500);
    CHECK(machine.forward6(ip6(kTheirs, "2001:db8:3::2", 6, Bytes(30, 0))).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_payload);
}

TEST_CASE("GRE-HDR-03 ip6gre: key, checksum and sequence number", "[ip_tunnel6]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6gre);
    config.out_key = 0x01020304;
    config.out_checksum = true;
    config.out_sequence = true;
    config.tos = 0xb9;  // as it is, congestion bits and all
    Tunnel6 machine(config);
    for (std::uint8_t number = 0; number < 3; ++number) {
        const auto sent = machine.forward6(ip6("2001:db8:2::2", "2001:db8:3::2", 6, Bytes(31, 7)));
        REQUIRE(sent.size() == 1);
        const Bytes& frame = sent[0];
        REQUIRE(frame.size() == 14 + 40 + 8 + 16 + 71);
        CHECK(Bytes(frame.begin() + 14, frame.begin() + 16) >= Bytes{0x6b, 0x90});
        CHECK((frame.at(15) & 0xf0) == 0x90);
        CHECK(frame.at(54) == 47);
        CHECK(Bytes(frame.begin() + 62, frame.begin() + 66) == Bytes{0xb0, 0, 0x86, 0xdd});
        CHECK(Bytes(frame.begin() + 70, frame.begin() + 78) == Bytes{1, 2, 3, 4, 0, 0, 0, number});
        CHECK(net::sum_is_valid(net::sum_bytes(frame.data() + 62, frame.size() - 62)));
    }
}

TEST_CASE(
    "ip6tnl: out of IPv6, behind any headers; whatever is cut off is dropped", "[ip_tunnel6]"
) {
    Tunnel6 machine(config6_of(IpTunnelKind::ip6tnl));
    const Bytes inner4 = IpTunnelMachine::inner_packet();
    const Bytes options4 = Bytes{4} + kLimit4;
    const Bytes options6 = Bytes{41} + kLimit4;
    const Bytes atomic{41, 0, 0, 0, 0, 0, 0, 9};
    const Bytes long_options{4, 1, 1, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0};
    CHECK(machine.take(4, inner4).size() == 1);
    CHECK(machine.take(41, kInner6).size() == 1);
    CHECK(machine.take(kOptions, options4 + inner4).size() == 1);
    CHECK(machine.take(kOptions, long_options + inner4).size() == 1);
    CHECK(machine.take(44, atomic + kInner6).size() == 1);
    const auto sent = machine.take(kOptions, options6 + kInner6);
    REQUIRE(sent.size() == 1);
    CHECK(Bytes(sent[0].begin() + 22, sent[0].end()) == Bytes(kInner6.begin() + 8, kInner6.end()));
    CHECK(machine.rx_packets(machine.tunnel) == 6);
    CHECK(machine.rx_bytes(machine.tunnel) == 3 * (inner4.size() + kInner6.size()));
    for (std::size_t len = 0; len < 40; ++len) {
        CHECK(machine
                  .take(
                      41, Bytes(kInner6.begin(), kInner6.begin() + static_cast<std::ptrdiff_t>(len))
                  )
                  .empty());
        machine.expect_only_drop(machine.underlay, Drop::ipip_truncated);
    }
    for (std::size_t len = 0; len < 20; ++len) {
        CHECK(machine
                  .take(
                      kOptions,
                      options4 +
                          Bytes(inner4.begin(), inner4.begin() + static_cast<std::ptrdiff_t>(len))
                  )
                  .empty());
        machine.expect_only_drop(machine.underlay, Drop::ipip_truncated);
    }
    for (std::size_t len = 0; len < 8; ++len) {
        CHECK(machine
                  .take(
                      kOptions,
                      Bytes(options4.begin(), options4.begin() + static_cast<std::ptrdiff_t>(len))
                  )
                  .empty());
        machine.expect_only_drop(machine.underlay, Drop::ip6_extension_header);
    }
    // An option that ends behind its header.
    CHECK(machine.take(kOptions, Bytes{4, 0, 4, 9, 4, 1, 1, 0} + inner4).empty());
    machine.expect_only_drop(machine.underlay, Drop::ip6_extension_header);
}

TEST_CASE("TUN-ECN-01 TUN-ECN-02 ip6tnl: congestion outside and `dscp inherit`", "[ip_tunnel6]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6tnl);
    config.ip6.dscp_copy = true;
    Tunnel6 machine(config);
    const Bytes capable = ip6("2001:db8:3::2", "2001:db8:2::2", 6, Bytes(30, 0x5a), 2);
    const auto sent = machine.take(41, capable, 0xb8 | 3);
    REQUIRE(sent.size() == 1);
    CHECK(Bytes(sent[0].begin() + 14, sent[0].begin() + 16) == Bytes{0x6b, 0xb0});
    CHECK(machine.take(41, kInner6, 3).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel_ecn);
}

TEST_CASE("ip6tnl: mode, and nobody's packets", "[ip_tunnel6]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6tnl);
    config.mode = IpTunnelMode::ip6ip;
    Tunnel6 machine(config);
    CHECK(machine.take(4, IpTunnelMachine::inner_packet()).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel_mode);
    CHECK(machine.take(47, Bytes{0, 0, 8, 0} + IpTunnelMachine::inner_packet()).empty());
    machine.expect_only_drop(machine.underlay, Drop::ip_tunnel_no_device);
    const auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.code == net::icmpv6_unreachable::kPort);
    CHECK(machine.forward(IpTunnelMachine::from_station().bytes()).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel6_payload);
}

TEST_CASE("GRE-RX-02 GRE-RX-03 GRE-RX-05 TUN-RX-02 TUN-RX-03 ip6gre receives", "[ip_tunnel6]") {
    encap::IpTunnelConfig config = config6_of(IpTunnelKind::ip6gre);
    config.in_key = 7;
    config.in_sequence = true;
    Tunnel6 machine(config);
    const auto gre = [](std::uint8_t flags, const Bytes& fields, std::uint8_t version = 0) {
        return Bytes{flags, version, 8, 0} + fields + IpTunnelMachine::inner_packet();
    };
    const Bytes key{0, 0, 0, 7};
    CHECK(machine.take(47, gre(0x30, key + Bytes{0, 0, 0, 5})).size() == 1);
    CHECK(machine.take(47, gre(0x30, key + Bytes{0, 0, 0, 5})).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel_sequence);
    CHECK(machine.take(47, gre(0x20, key)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::ip_tunnel_sequence);
    CHECK(machine.take(47, gre(0x30, Bytes{0, 0, 0, 8, 0, 0, 0, 9})).empty());
    machine.expect_only_drop(machine.underlay, Drop::ip_tunnel_no_device);
    CHECK(machine.take(47, gre(0x40, {})).empty());
    machine.expect_only_drop(machine.underlay, Drop::gre_routing);
    CHECK(machine.take(47, gre(0, {}, 1)).empty());
    machine.expect_only_drop(machine.underlay, Drop::gre_version);
    CHECK(machine.take(47, gre(0xb0, Bytes{1, 2, 0, 0} + key + Bytes{0, 0, 0, 9})).empty());
    machine.expect_only_drop(machine.underlay, Drop::gre_checksum);
    const Bytes whole{0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9};
    for (std::size_t len = 0; len < 16; ++len) {
        CHECK(machine
                  .take(47, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(len)))
                  .empty());
        machine.expect_only_drop(machine.underlay, Drop::gre_truncated);
    }
}

TEST_CASE("GRETAP-TX-01 GRE-RX-15 ip6gretap as a bridge's member", "[ip_tunnel6]") {
    Tunnel6 machine(config6_of(IpTunnelKind::ip6gretap));
    const LinkId bridge = machine.add_bridge(mac(0xb0));
    machine.enslave(machine.tunnel, bridge);
    machine.enslave(machine.access, bridge);
    machine.change(bridge, [](Link& link) { link.up = true; });
    const Bytes frame =
        Packet().ether(mac(1), mac(2), net::ether_type::kArp).arp_request(mac(2), 1, 2).bytes();
    const auto sent = machine.forward(frame);
    REQUIRE(sent.size() == 1);
    CHECK(Bytes(sent[0].begin() + 62, sent[0].begin() + 66) == Bytes{0, 0, 0x65, 0x58});
    CHECK(Bytes(sent[0].begin() + 66, sent[0].end()) == frame);
    const Bytes gre = Bytes{47} + kLimit4 + Bytes{0, 0, 0x65, 0x58};
    const auto out = machine.take(kOptions, gre + frame);
    REQUIRE(out.size() == 1);
    CHECK(out[0] == frame);
    CHECK(machine.rx_bytes(machine.tunnel) == frame.size() - 14);
    CHECK(machine.take(kOptions, gre + Bytes(13, 0)).empty());
    machine.expect_only_drop(machine.tunnel, Drop::gretap_inner_truncated);
}

TEST_CASE(
    "TUN-LKP-03 TUN-LKP-04 over IPv6: ip6tnl asks for the local address first", "[ip_tunnel6]"
) {
    Machine machine;
    encap::IpTunnelTables& tables = machine.ip_tunnels;
    const auto add = [&](int id, IpTunnelKind kind, const char* local, const char* remote) {
        encap::IpTunnelConfig config;
        config.kind = kind;
        config.local = address(local);
        config.remote = address(remote);
        REQUIRE(tables.set(static_cast<LinkId>(id), config, true));
    };
    const auto find = [&](IpTunnelKind kind) {
        const auto key = encap::IpTunnelKey6::make(kind, address(kOurs), address(kTheirs));
        return tables.lookup6.find(key, 1);
    };
    for (const auto kind : {IpTunnelKind::ip6tnl, IpTunnelKind::ip6gre}) {
        const int base = 100 + 10 * static_cast<int>(kind);
        const auto erase = [&](int id) { tables.erase(static_cast<LinkId>(id)); };
        CHECK(find(kind) == kNoLink);
        add(base, kind, "::", "::");
        CHECK(find(kind) == base);
        add(base + 1, kind, kOurs, "::");
        add(base + 2, kind, "::", kTheirs);
        CHECK(find(kind) == base + (kind == IpTunnelKind::ip6tnl ? 1 : 2));
        add(base + 3, kind, kOurs, kTheirs);
        CHECK(find(kind) == base + 3);
        erase(base + 3);
        erase(base + 2);
        erase(base + 1);
        CHECK(find(kind) == base);
        erase(base);
        CHECK(find(kind) == kNoLink);
    }
}

}  // namespace culvert::pipeline::test
