// SPDX-License-Identifier: BSD-3-Clause
// Where the ip4 stage sends packets, and what it changes in them.
#include "test/unit/pipeline/router.hpp"

namespace culvert::pipeline::test {

TEST_CASE("a forwarded packet gets new MACs, one hop less, and its checksum", "[pipeline][ip4]") {
    Router router;
    const std::uint8_t ttl = GENERATE(as<std::uint8_t>{}, 2, 3, 64, 128, 255);
    const Packet packet = router.packet({.destination = kBehind, .ttl = ttl});
    router.receive_exact(router.in, packet);
    router.run();
    router.expect_no_drop();

    Bytes expected = packet.bytes();
    const net::EtherHeader ether{kNextHop, router.port_mac(1), net::Be16{net::ether_type::kIpv4}};
    std::memcpy(expected.data(), &ether, sizeof(ether));
    expected[14 + 8] = static_cast<std::uint8_t>(ttl - 1);
    set_ip_checksum(expected);
    CHECK(router.sent(router.out) == std::vector<Bytes>{expected});
    CHECK(router.rx_packets(router.in) == 1);
    CHECK(router.tx_packets(router.out) == 1);
    CHECK(router.tx_bytes(router.out) == expected.size());
}

TEST_CASE("the hop count's checksum update is right for every checksum", "[pipeline][ip4]") {
    Router router({.burst = 256, .pool_size = 8191});
    // The identification makes every sum: 2^16 headers in 32 turns.
    for (std::uint32_t turn = 0; turn < 32; ++turn) {
        for (std::uint32_t i = 0; i < 2048; ++i) {
            Bytes frame = router.packet({.destination = kBehind}, 0).bytes();
            const std::uint32_t id = turn * 2048 + i;
            frame[18] = static_cast<std::uint8_t>(id >> 8);
            frame[19] = static_cast<std::uint8_t>(id);
            set_ip_checksum(frame);
            router.receive(router.in, frame);
        }
        router.run();
        std::size_t wrong = 0;
        const auto frames = router.sent(router.out);
        for (const Bytes& frame : frames) {
            const auto* ip = reinterpret_cast<const net::Ipv4Header*>(&frame[14]);
            wrong += net::ipv4_header_checksum_is_valid(*ip) ? 0U : 1U;
        }
        REQUIRE(frames.size() == 2048);
        REQUIRE(wrong == 0);
    }
    router.expect_no_drop();
}

TEST_CASE("routes that lead nowhere say why", "[pipeline][ip4]") {
    Router router;
    router.expect_drop_of(router.packet({.destination = 0xc0000201}), Drop::ip4_no_route);
    using route::AdjacencyKind;
    const std::array<std::pair<AdjacencyKind, Drop>, 4> kinds{{
        {AdjacencyKind::no_route, Drop::ip4_no_route},
        {AdjacencyKind::unreachable, Drop::ip4_unreachable},
        {AdjacencyKind::prohibit, Drop::ip4_prohibit},
        {AdjacencyKind::blackhole, Drop::ip4_blackhole},
    }};
    std::uint32_t net = 0;
    for (const auto& [kind, reason] : kinds) {
        route::Adjacency adjacency;
        adjacency.kind = kind;
        router.add_route("10.2." + std::to_string(net) + ".0/24", adjacency);
        router.expect_drop_of(router.packet({.destination = 0x0a020001 + (net << 8)}), reason);
        ++net;
    }
}

TEST_CASE("time to live and MTU, in ip_forward's order", "[pipeline][ip4]") {
    Router router;
    router.add_next_hop("10.3.0.0/16", router.out, kNextHop, 100);
    router.expect_drop_of(
        router.packet({.destination = kBehind, .ttl = 1}), Drop::ip4_ttl_exceeded
    );
    router.expect_drop_of(
        router.packet({.destination = kBehind, .ttl = 0}), Drop::ip4_ttl_exceeded
    );
    router.expect_drop_of(
        router.packet({.destination = 0x0a030001, .ttl = 1}, 81), Drop::ip4_ttl_exceeded
    );
    router.forget_drops();
    router.receive_exact(
        router.in, router.packet({.destination = 0x0a030001, .flags_and_offset = 0x4000}, 81)
    );
    router.run();
    router.expect_only_drop(router.out, Drop::ip4_too_big);
    router.forget_drops();
    router.receive_exact(router.in, router.packet({.destination = 0x0a030001}, 80));
    router.run();
    router.expect_no_drop();
    CHECK(router.sent(router.out).size() == 1);
}

TEST_CASE(
    "for us: UDP to the tunnels, ping to control, all else dropped by name", "[pipeline][ip4]"
) {
    Router router;
    using namespace net::ip_protocol;
    SECTION("echo request") {
        const Packet ping =
            Packet()
                .ether(router.port_mac(0), mac(1))
                .ipv4({.source = kPeer, .destination = kRouter, .protocol = kIcmp, .ttl = 1})
                .icmp_echo()
                .payload(56);
        router.receive_exact(router.in, ping);
        router.run();
        router.expect_no_drop();
        const auto punted = router.punted();
        REQUIRE(punted.size() == 1);
        CHECK(punted[0].note.punt == Punt::icmp);
        CHECK(punted[0].note.link_in == router.in);
        CHECK(punted[0].note.l3_offset == 14);
        CHECK(punted[0].bytes == ping.bytes());
    }
    SECTION("ping to a broadcast address is not answered") {
        router.expect_drop_of(
            router.packet({.destination = kBroadcast, .protocol = kIcmp}), Drop::icmp_not_handled
        );
    }
    SECTION("UDP to a port that no tunnel has") {
        const std::uint32_t to = GENERATE(kRouter, kBroadcast);
        router.expect_drop_of(
            Packet()
                .ether(router.port_mac(0), mac(1))
                .ipv4({.source = kPeer, .destination = to})
                .udp(1, 4789)
                .payload(8),
            Drop::udp_no_port
        );
    }
    SECTION("other protocols") {
        const std::uint8_t protocol = GENERATE(kTcp, kRaw);
        const std::uint32_t to = GENERATE(kRouter, kBroadcast);
        router.expect_drop_of(
            router.packet({.destination = to, .protocol = protocol}), Drop::ip4_protocol_unknown
        );
    }
    SECTION("IGMP goes to control, which knows the groups") {
        router.receive_exact(
            router.in,
            router.packet({.destination = GENERATE(kRouter, kBroadcast), .protocol = kIgmp})
        );
        router.run();
        router.expect_no_drop();
        const auto punted = router.punted();
        REQUIRE(punted.size() == 1);
        CHECK(punted[0].note.punt == Punt::igmp);
    }
    SECTION("fragments, of whatever protocol") {
        const std::uint16_t fragment =
            GENERATE(as<std::uint16_t>{}, 0x2000, 0x0001, 0x2001, 0x1fff);
        const std::uint8_t protocol = GENERATE(kUdp, kIcmp, kTcp);
        const Packet piece = router.packet(
            {.destination = kRouter, .protocol = protocol, .flags_and_offset = fragment}
        );
        router.receive_exact(router.in, piece);
        router.run();
        router.expect_no_drop();
        const auto punted = router.punted();
        REQUIRE(punted.size() == 1);
        CHECK(punted[0].note.punt == Punt::fragment);
        CHECK(punted[0].bytes == piece.bytes());
    }
}

TEST_CASE(
    "a next hop without a MAC: the packet goes to control, ready to be sent", "[pipeline][ip4]"
) {
    Router router;
    route::Adjacency adjacency;
    adjacency.link_out = router.out;
    adjacency.mtu = 100;
    net::IpAddress asked_for = net::IpAddress::from_v4(0x0a020009);
    SECTION("on-link") {
        adjacency.kind = route::AdjacencyKind::glean;
    }
    SECTION("through a gateway") {
        adjacency.kind = route::AdjacencyKind::incomplete;
        adjacency.next_hop = net::IpAddress::from_v4(0x0a010001);
        asked_for = adjacency.next_hop;
    }
    router.add_route("10.2.0.0/16", adjacency);
    const Packet packet = router.packet({.destination = 0x0a020009});
    router.receive_exact(router.in, packet);
    router.run();
    router.expect_no_drop();
    const auto punted = router.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::resolve);
    CHECK(punted[0].note.link_out == router.out);
    CHECK(punted[0].next_hop == asked_for);
    Bytes expected = packet.bytes();
    --expected[14 + 8];
    set_ip_checksum(expected);
    CHECK(
        Bytes(punted[0].bytes.begin() + 14, punted[0].bytes.end()) ==
        Bytes(expected.begin() + 14, expected.end())
    );

    router.expect_drop_of(
        router.packet({.destination = 0x0a020009, .ttl = 1}), Drop::ip4_ttl_exceeded
    );
    router.forget_drops();
    router.receive_exact(
        router.in, router.packet({.destination = 0x0a020009, .flags_and_offset = 0x4000}, 81)
    );
    router.run();
    router.expect_only_drop(router.out, Drop::ip4_too_big);
}

TEST_CASE("IPO-DEV-04 the way out is down or gone", "[pipeline][ip4]") {
    Router router;
    SECTION("down") {
        router.change(router.out, [](Link& link) { link.up = false; });
        router.receive_exact(router.in, router.packet({.destination = kBehind}));
        router.run();
        router.expect_only_drop(router.out, Drop::link_down_tx);
    }
    SECTION("gone") {
        const LinkId gone = router.add_link({});
        router.add_next_hop("10.4.0.0/16", gone, kNextHop);
        router.erase_link(gone);
        router.receive_exact(router.in, router.packet({.destination = 0x0a040001}));
        router.run();
        router.expect_only_drop(gone, Drop::link_gone);
    }
}

TEST_CASE("a dummy link takes what is routed to it, and counts it", "[pipeline][ip4]") {
    Router router;
    Link dummy;
    dummy.up = true;
    const LinkId id = router.add_link(dummy);
    router.add_next_hop("10.5.0.0/16", id, kNextHop);
    router.receive_exact(router.in, router.packet({.destination = 0x0a050001}));
    router.run();
    router.expect_no_drop();
    CHECK(router.tx_packets(id) == 1);
    CHECK(router.tx_bytes(id) == 64);
    CHECK(router.total(&CounterBlock::consumed) == 1);
}

TEST_CASE(
    "a longer or shorter link header finds its place, or the drop its name", "[pipeline][ip4]"
) {
    Router router;
    route::Adjacency adjacency;
    adjacency.kind = route::AdjacencyKind::rewrite;
    adjacency.link_out = router.out;
    adjacency.mtu = 1500;
    adjacency.header_len = 18;
    for (std::uint8_t i = 0; i < 18; ++i) {
        adjacency.header[i] = static_cast<std::uint8_t>(0xa0 + i);
    }
    router.add_route("10.6.0.0/16", adjacency);
    router.receive(router.in, router.packet({.destination = 0x0a060001}));
    router.run();
    router.expect_no_drop();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].size() == 18 + 50);
    CHECK(
        Bytes(frames[0].begin(), frames[0].begin() + 18) ==
        Bytes(adjacency.header.begin(), adjacency.header.begin() + 18)
    );
    CHECK(frames[0][18] == 0x45);
    // Exact memory has no headroom.
    router.receive_exact(router.in, router.packet({.destination = 0x0a060001}));
    router.run();
    router.expect_only_drop(router.out, Drop::ip4_no_headroom);
}

TEST_CASE("bursts of any size are routed each packet its own way", "[pipeline][ip4]") {
    const std::uint32_t burst = GENERATE(1U, 32U, 63U, 65U, 256U);
    Router router({.burst = burst});
    router.add_next_hop("10.7.0.0/16", router.port_link(2), mac(0x78));
    router.add_next_hop("10.8.0.0/16", router.port_link(3), mac(0x79));
    const std::array<std::uint32_t, 4> nets{0x0a010000, 0x0a070000, 0x0a080000, 0xc0000200};
    std::array<std::size_t, 4> expected{};
    for (std::uint32_t i = 0; i < 500; ++i) {
        const std::uint32_t way = (i * 7 / 5) % 4;
        ++expected[way];
        router.receive(router.in, router.packet({.destination = nets[way] + i}, 30 + i % 7));
    }
    router.run();
    CHECK(router.sent(router.port_link(1)).size() == expected[0]);
    CHECK(router.sent(router.port_link(2)).size() == expected[1]);
    CHECK(router.sent(router.port_link(3)).size() == expected[2]);
    router.expect_only_drop(router.in, Drop::ip4_no_route, expected[3]);
}

TEST_CASE("routed from one bridge to another through their addresses", "[pipeline][ip4]") {
    Machine machine;
    const LinkId left = machine.add_bridge(mac(0xb1));
    const LinkId right = machine.add_bridge(mac(0xb2));
    machine.enslave(machine.port_link(0), left);
    machine.enslave(machine.port_link(1), right);
    machine.add_next_hop("10.1.0.0/16", right, kNextHop);
    const Packet packet = Packet()
                              .ether(mac(0xb1), mac(1))
                              .ipv4({.source = kPeer, .destination = kBehind})
                              .payload(20);
    machine.receive_exact(machine.port_link(0), packet);
    machine.run();
    machine.expect_no_drop();
    CHECK(machine.rx_packets(left) == 1);
    CHECK(machine.tx_packets(right) == 1);
    const auto frames = machine.sent(machine.port_link(1));
    REQUIRE(frames.size() == 1);
    const auto* ether = reinterpret_cast<const net::EtherHeader*>(frames[0].data());
    CHECK(ether->destination == kNextHop);
    CHECK(ether->source == mac(0xb2));
}

}  // namespace culvert::pipeline::test
