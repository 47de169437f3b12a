// SPDX-License-Identifier: BSD-3-Clause
// What the ip4 stage asks of a packet before it looks where it goes.
#include "test/unit/pipeline/router.hpp"

namespace culvert::pipeline::test {

TEST_CASE("ICMP-07 padding is trimmed before a packet goes on", "[pipeline][ip4]") {
    Router router;
    const Packet packet = router.packet({.destination = kBehind}, 6).padding(20);
    router.receive_exact(router.in, packet);
    router.run();
    router.expect_no_drop();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].size() == 14 + 20 + 6);
}

TEST_CASE("ICMP-07 padding in segments of its own is given back", "[pipeline][ip4]") {
    Router router;
    const Bytes bytes = router.packet({.destination = kBehind}, 40).padding(100).bytes();
    rte_mbuf* head = nullptr;
    for (std::size_t at = 0; at < bytes.size(); at += 50) {
        const std::size_t end = std::min(bytes.size(), at + 50);
        rte_mbuf* segment = make_mbuf(
            router.pool(),
            Bytes(bytes.begin() + static_cast<long>(at), bytes.begin() + static_cast<long>(end))
        );
        if (head == nullptr) {
            head = segment;
        } else {
            REQUIRE(rte_pktmbuf_chain(head, segment) == 0);
        }
    }
    REQUIRE(router.port(router.in).inject(head));
    router.run();
    router.expect_no_drop();
    const auto packets = router.port(router.out).take_sent();
    REQUIRE(packets.size() == 1);
    CHECK(packets[0]->nb_segs == 2);
    CHECK(rte_pktmbuf_pkt_len(packets[0]) == 14 + 20 + 40);
    const char* why = nullptr;
    CHECK(rte_mbuf_check(packets[0], 1, &why) == 0);
    rte_pktmbuf_free(packets[0]);
}

TEST_CASE("ICMP-07 header errors are dropped in ip_rcv's order", "[pipeline][ip4]") {
    Router router;
    const std::uint32_t to = GENERATE(kBehind, kRouter);
    using Options = Ipv4Options;
    const auto expect = [&](const Options& options, Drop reason) {
        router.expect_drop_of(router.packet(options), reason);
    };
    expect({.destination = to, .version_and_ihl = 0x65}, Drop::ip4_version);
    expect({.destination = to, .version_and_ihl = 0x44}, Drop::ip4_header_length);
    expect({.destination = to, .version_and_ihl = 0x40}, Drop::ip4_header_length);
    expect({.destination = to, .wrong_checksum = true}, Drop::ip4_checksum);
    expect({.destination = to, .total_length = 51}, Drop::ip4_total_length);
    expect({.destination = to, .total_length = 19}, Drop::ip4_total_length);
    expect({.destination = to, .option_bytes = 8, .total_length = 27}, Drop::ip4_total_length);
    // Wrong in two ways: the checksum is looked at first.
    expect({.destination = to, .total_length = 51, .wrong_checksum = true}, Drop::ip4_checksum);
    expect({.destination = to, .version_and_ihl = 0x64}, Drop::ip4_version);
}

TEST_CASE("ICMP-07 a packet cut at every length is dropped and not read past", "[pipeline][ip4]") {
    Router router;
    const std::size_t option_bytes = GENERATE(0U, 4U, 40U);
    const Bytes whole =
        router.packet({.destination = kBehind, .option_bytes = option_bytes}, 10).bytes();
    for (std::size_t len = 14; len < whole.size(); ++len) {
        CAPTURE(len, option_bytes);
        router.forget_drops();
        router.receive(
            router.in, Bytes(whole.begin(), whole.begin() + static_cast<long>(len)), true
        );
        router.run();
        const Drop reason = len < 34                  ? Drop::ip4_truncated
                            : len < 34 + option_bytes ? Drop::ip4_header_length
                                                      : Drop::ip4_total_length;
        router.expect_only_drop(router.in, reason);
    }
}

TEST_CASE("a header with options is forwarded, and its checksum updated", "[pipeline][ip4]") {
    Router router;
    router.receive_exact(router.in, router.packet({.destination = kBehind, .option_bytes = 12}));
    router.run();
    router.expect_no_drop();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 1);
    const auto* ip = reinterpret_cast<const net::Ipv4Header*>(&frames[0][14]);
    CHECK(net::ipv4_header_checksum_is_valid(*ip, ip->header_len_bytes()));
}

TEST_CASE("a checksum that the device verified is not summed again", "[pipeline][ip4]") {
    Router router;
    const Bytes bytes = router.packet({.destination = kBehind, .wrong_checksum = true}).bytes();
    rte_mbuf* packet = make_mbuf(router.pool(), bytes);
    packet->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    REQUIRE(router.port(router.in).inject(packet));
    router.run();
    router.expect_no_drop();
    CHECK(router.sent(router.out).size() == 1);
}

TEST_CASE("addresses that no packet may come from or go to", "[pipeline][ip4]") {
    Router router;
    const std::uint32_t source =
        GENERATE(as<std::uint32_t>{}, 0xe0000001, 0xffffffff, 0x7f000001, 1, 0);
    router.expect_drop_of(
        router.packet({.source = source, .destination = kBehind}), Drop::ip4_source_invalid
    );
    const std::uint32_t destination = GENERATE(as<std::uint32_t>{}, 0x7f000001, 0, 1);
    router.expect_drop_of(
        router.packet({.destination = destination}), Drop::ip4_destination_invalid
    );
    router.expect_drop_of(router.packet({.destination = 0xe0000005}), Drop::ip4_not_forwarded);
    router.expect_drop_of(router.packet({.destination = 0xffffffff}), Drop::ip4_not_forwarded);
}

TEST_CASE("a packet from our own address is somebody else's", "[pipeline][ip4]") {
    Router router;
    const std::uint32_t destination = GENERATE(as<std::uint32_t>{}, kRouter, kBehind);
    router.expect_drop_of(
        router.packet({.source = kRouter, .destination = destination, .protocol = 1}, 8),
        Drop::ip4_source_invalid
    );
}

TEST_CASE("a source that only looks like ours to the quick question passes", "[pipeline][ip4]") {
    Router router;
    constexpr std::uint32_t kForeign = 0xc6336405;  // 198.51.100.5
    router.own_addresses.add(kForeign);
    router.receive_exact(router.in, router.packet({.source = kForeign, .destination = kBehind}));
    router.run();
    router.expect_no_drop();
    CHECK(router.sent(router.out).size() == 1);
}

TEST_CASE("240.0.0.0/4 is forwarded like any other address", "[pipeline][ip4]") {
    Router router;
    router.add_next_hop("240.0.0.0/4", router.out, kNextHop);
    router.receive_exact(
        router.in, router.packet({.source = 0xf0000001, .destination = 0xf0000002})
    );
    router.run();
    router.expect_no_drop();
    CHECK(router.sent(router.out).size() == 1);
}

TEST_CASE("a group is not forwarded, even by a default route", "[pipeline][ip4]") {
    Router router;
    router.add_next_hop("0.0.0.0/0", router.out, kNextHop);
    const std::uint32_t to = GENERATE(as<std::uint32_t>{}, 0xe0000001, 0xefffffff, 0xffffffff);
    router.expect_drop_of(router.packet({.destination = to}), Drop::ip4_not_forwarded);
}

TEST_CASE("what came as a link-layer group is not forwarded", "[pipeline][ip4]") {
    Router router;
    const net::MacAddress group = GENERATE(
        as<net::MacAddress>{}, net::kBroadcastMac, net::MacAddress::from_value(0x01005e000001)
    );
    router.expect_drop_of(
        Packet().ether(group, mac(1)).ipv4({.source = kPeer, .destination = kBehind}).payload(8),
        Drop::ip4_not_forwarded
    );
}

}  // namespace culvert::pipeline::test
