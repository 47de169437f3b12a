// SPDX-License-Identifier: BSD-3-Clause
// Which of the packets that the ip4 and tunnel stages drop control is asked to tell their senders
// of, and as what.
#include "test/unit/pipeline/router.hpp"

namespace culvert::pipeline::test {

namespace {

Packet router_packet(std::uint32_t destination) {
    return Router::packet({.destination = destination});
}

struct Telling : Router {
    // `wrong` is dropped, and control asked for this error: (type, code, MTU).
    void expect_told(const Packet& wrong, Drop reason, LinkId link, const IcmpError& error) {
        forget_drops();
        receive_exact(in, wrong);
        run();
        expect_only_drop(link, reason);
        const auto asked = icmp_asked();
        REQUIRE(asked.size() == 1);
        CHECK(int{asked[0].error.type} == int{error.type});
        CHECK(int{asked[0].error.code} == int{error.code});
        CHECK(asked[0].error.info == error.info);
        CHECK(asked[0].error.as_received);
        // It is told of as it was received.
        CHECK(asked[0].bytes == wrong.bytes());
        CHECK(asked[0].note.l3_offset == 14);
    }

    void expect_silent(const Packet& wrong, Drop reason) {
        expect_drop_of(wrong, reason);
        CHECK(icmp_asked().empty());
    }
};

}  // namespace

TEST_CASE("forwarding that fails asks for the kernel's errors", "[pipeline][icmp]") {
    Telling router;
    using route::AdjacencyKind;
    for (const auto kind :
         {AdjacencyKind::unreachable, AdjacencyKind::prohibit, AdjacencyKind::blackhole}) {
        route::Adjacency adjacency;
        adjacency.kind = kind;
        router.add_route("10.2." + std::to_string(static_cast<int>(kind)) + ".0/24", adjacency);
    }
    const auto to = [](AdjacencyKind kind) {
        return router_packet(0x0a020001 + (static_cast<std::uint32_t>(kind) << 8));
    };
    router.expect_told(
        to(AdjacencyKind::unreachable), Drop::ip4_unreachable, router.in, unreachable(1)
    );
    router.expect_told(to(AdjacencyKind::prohibit), Drop::ip4_prohibit, router.in, unreachable(13));
    router.expect_silent(to(AdjacencyKind::blackhole), Drop::ip4_blackhole);
    router.expect_told(router_packet(0xc0000201), Drop::ip4_no_route, router.in, unreachable(0));
    router.expect_told(
        router.packet({.destination = kBehind, .ttl = 1}),
        Drop::ip4_ttl_exceeded,
        router.in,
        {.type = 11, .code = 0}
    );
    router.add_next_hop("10.3.0.0/16", router.out, kNextHop, 1400);
    router.expect_told(
        router.packet({.destination = 0x0a030001, .flags_and_offset = 0x4000}, 1381),
        Drop::ip4_too_big,
        router.out,
        {.type = 3, .code = 4, .info = 1400}
    );
    CHECK(router.counters().read(IpCounter::frag_fails) == 1);
}

TEST_CASE(
    "ICMP-01 for us: what nothing takes is told, but not to a broadcast", "[pipeline][icmp]"
) {
    Telling router;
    using namespace net::ip_protocol;
    router.expect_told(
        router.packet({.destination = kRouter, .protocol = kTcp}),
        Drop::ip4_protocol_unknown,
        router.in,
        unreachable(2)
    );
    router.expect_silent(
        router.packet({.destination = kBroadcast, .protocol = kTcp}), Drop::ip4_protocol_unknown
    );
}

TEST_CASE("VXLAN-SOCK-09 UDP to a port that nothing listens on", "[pipeline][icmp]") {
    Telling router;
    const bool is_vxlan = GENERATE(true, false);
    const auto option_bytes = GENERATE(std::size_t{0}, std::size_t{8});
    Packet packet;
    packet.ether(router.port_mac(0), mac(1))
        .ipv4({.source = kPeer, .destination = kRouter, .option_bytes = option_bytes})
        .udp(1, 4789);
    if (is_vxlan) {
        // A running device's packet in all but that there is none.
        packet.raw({8, 0, 0, 0, 0, 0, 42, 0}).ether(mac(5), mac(6), 0x88b5).payload(40);
    } else {
        packet.payload(8);
    }
    router.expect_told(packet, Drop::udp_no_port, router.in, unreachable(3));
}

TEST_CASE("IPIP-RX-02 GRE-RX-11 a tunnel packet that no link takes", "[pipeline][icmp]") {
    Telling router;
    Packet packet;
    packet.ether(router.port_mac(0), mac(1));
    SECTION("ipip") {
        packet.ipv4({.source = kPeer, .destination = kRouter, .protocol = 4});
        packet.raw(Bytes(20, 0x45)).payload(20);
    }
    SECTION("GRE") {
        packet.ipv4({.source = kPeer, .destination = kRouter, .protocol = 47});
        packet.raw({0, 0, 8, 0}).raw(Bytes(20, 0x45)).payload(20);
    }
    SECTION("IPv6, which none of the kinds carries") {
        packet.ipv4({.source = kPeer, .destination = kRouter, .protocol = 41}).payload(60);
    }
    router.expect_told(packet, Drop::ip_tunnel_no_device, router.in, unreachable(3));
}

TEST_CASE("a flood of packets that end here does not fill control's ring", "[pipeline][icmp]") {
    Router router({.ring_size = 256});
    // What is urgent finds room however many were told of; run() would empty the ring in between.
    for (int i = 0; i < 2000; ++i) {
        router.receive(router.in, router.packet({.destination = 0xc0000201}));
        if (i % 32 == 31) {
            poll_once(router.worker());
        }
    }
    CHECK(rte_ring_count(router.worker().rings.to_control) <= 129);
    CHECK(router.counters().read(IpCounter::icmp_limited_worker) == 1984 - 129);
    router.run();
    CHECK(router.drops(router.in, Drop::ip4_no_route) == 2000);
    CHECK(router.drops(router.in, Drop::control_ring_full) == 0);
    CHECK(router.icmp_asked().size() <= 129);
}

TEST_CASE(
    "a worker asks for 512 errors at once, and then as many as time has passed for",
    "[pipeline][icmp]"
) {
    Router router({.ring_size = 4096});
    const auto flood = [&] {
        const std::uint64_t now = router.worker().round_tsc;
        for (int i = 0; i < 1000; ++i) {
            rte_mbuf* packet = make_mbuf(router.pool(), router_packet(0xc0000201).bytes());
            router.worker().counters.received.add(1);
            note(packet) = Note::arrived(router.in);
            note(packet).l3_offset = 14;
            router.worker().enqueue(Stage::ip4, packet);
            run_stages(router.worker());
            router.worker().round_tsc = now;  // the clock stands still
        }
    };
    flood();
    router.worker().round_tsc += router.worker().tsc_hz / 16;
    flood();
    router.run();
    CHECK(router.icmp_asked().size() == 512 + 512);
    CHECK(router.counters().read(IpCounter::icmp_limited_worker) == 2000 - 1024);
}

}  // namespace culvert::pipeline::test
