// SPDX-License-Identifier: BSD-3-Clause
// Floods of what only control can answer. What good traffic keeps of its rate is the bench's to say
// (test/bench/flood_bench.cpp); here: none of it is lost, memory stays bounded, and what is dropped
// is dropped by name.
#include "test/unit/control/flood_machine.hpp"

#include <catch2/catch.hpp>

namespace culvert::control::test {

using pipeline::Drop;

TEST_CASE("floods cost no good packet, and memory stays bounded", "[control][flood]") {
    constexpr std::uint32_t kRounds = 4000;
    constexpr std::uint32_t kGood = 8;
    constexpr std::uint32_t kBad = 24;
    const Flood flood = GENERATE(values(kFloods));
    CAPTURE(std::string(name_of(flood)));
    FloodMachine machine;
    std::size_t good = 0;
    std::uint32_t most = 0;
    std::uint32_t sent = 0;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
        for (std::uint32_t i = 0; i < kGood; ++i) {
            REQUIRE(machine.receive(0, FloodMachine::good()));
        }
        for (std::uint32_t i = 0; i < kBad; ++i) {
            REQUIRE(machine.receive(0, FloodMachine::of(flood, sent++)));
        }
        machine.poll();
        if (round % 64 == 0) {
            machine.turn(10);
        }
        good += machine.good_sent();
        most = std::max(most, machine.packets_in_use());
    }
    machine.poll();
    good += machine.good_sent();
    CHECK(good == std::size_t{kRounds} * kGood);
    // The rings to and from control, what waits for next hops and for the rest of datagrams.
    CHECK(most < FloodMachine::kPackets / 2 + FloodMachine::kPackets / 8);
    CHECK(machine.core().routing().neighbours().size() <= FloodMachine::kNeighbours + 4);

    using Names = std::vector<Drop>;
    const Names by_limits{
        Drop::next_hop_limited,
        Drop::discovery_limited,
        Drop::control_ring_full,
        Drop::fragment_ring_full,
        Drop::ip4_ttl_exceeded,
        Drop::fragment_memory,
        Drop::neighbour_table_full,
        Drop::neighbour_queue_full};
    std::uint64_t named = 0;
    for (const Drop reason : by_limits) {
        named += machine.drops(reason);
    }
    CHECK(named > kRounds * kBad / 4);
    // Afterwards all is given back.
    for (int i = 0; i < 900; ++i) {
        machine.turn(100);
        machine.poll();
        (void)machine.good_sent();
    }
    CHECK(machine.packets_in_use() == 0);
    const ProcessStats stats = machine.core().process_stats();
    CHECK(
        stats.received + stats.originated + stats.replicated ==
        stats.sent + stats.dropped + stats.consumed + stats.in_flight
    );
}

TEST_CASE("in a flood, a next hop that is there is still found", "[control][flood]") {
    const Flood flood = GENERATE(
        Flood::fragments, Flood::fragments6, Flood::arp_others, Flood::echo, Flood::expired
    );
    CAPTURE(std::string(name_of(flood)));
    FloodMachine machine;
    constexpr std::uint32_t kStation = 0x14000005;  // 20.0.0.5
    bool is_asked = false;
    bool is_sent = false;
    std::uint32_t sent = 0;
    for (std::uint32_t round = 0; round < 4000 && !is_sent; ++round) {
        for (std::uint32_t i = 0; i < 30; ++i) {
            REQUIRE(machine.receive(0, FloodMachine::of(flood, sent++)));
        }
        if (round % 100 == 50) {
            REQUIRE(machine.receive(
                0, FloodMachine::ipv4(0x0a000002, kStation, net::ip_protocol::kUdp, 64, 0)
            ));
        }
        machine.poll();
        if (round % 16 == 0) {
            machine.turn(1);
        }
        for (const FloodFrame& frame : machine.sent(1)) {
            const std::uint16_t type = static_cast<std::uint16_t>(frame[12] << 8 | frame[13]);
            if (type == net::ether_type::kArp && frame[41] == 5 && !is_asked) {
                is_asked = true;
                REQUIRE(
                    machine.receive(1, FloodMachine::arp(kStation, 0x14000001, net::arp::kReply))
                );
            }
            is_sent |= type == net::ether_type::kIpv4 && frame[33] == 5;
        }
        (void)machine.sent(0);
    }
    CHECK(is_asked);
    CHECK(is_sent);
}

}  // namespace culvert::control::test
