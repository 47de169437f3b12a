// SPDX-License-Identifier: BSD-3-Clause
// Transmission, hand-over between workers, the round, the clock, and the end.
#include "test/unit/pipeline/fixture.hpp"

#include <rte_cycles.h>

#include <atomic>
#include <thread>

namespace culvert::pipeline::test {

namespace {

const net::MacAddress kStation1 = mac(1);
const net::MacAddress kStation2 = mac(2);

Packet frame(std::size_t len = 60) {
    return Packet().ether(kStation2, kStation1, 0x88b5).payload(len - 14);
}

// What comes in by port 0 leaves by port 1.
struct Wire : Machine {
    explicit Wire(const MachineOptions& options = {})
        : Machine(options)
        , bridge(add_bridge(mac(0xb0)))
        , in(port_link(0))
        , out(port_link(1)) {
        enslave(in, bridge);
        enslave(out, bridge);
        add_fdb(bridge, kStation1, in, true);
        add_fdb(bridge, kStation2, out, true);
    }

    LinkId bridge;
    LinkId in;
    LinkId out;
};

}  // namespace

TEST_CASE(
    "IPO-DEV-08 what the transmit queue does not take is dropped by name", "[pipeline][port_tx]"
) {
    Wire wire;
    wire.port(wire.out).limit_tx(21);
    for (int i = 0; i < 50; ++i) {
        wire.receive(wire.in, frame(60 + static_cast<std::size_t>(i)));
    }
    wire.run();
    wire.expect_only_drop(wire.out, Drop::port_tx_full, 29);
    CHECK(wire.tx_packets(wire.out) == 21);
    CHECK(wire.sent(wire.out).size() == 21);
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 0; i < 21; ++i) {
        bytes += 60 + i;
    }
    CHECK(wire.tx_bytes(wire.out) == bytes);
    CHECK(wire.total(&CounterBlock::sent) == 21);
}

TEST_CASE("frames leave in bursts, the last ones at the end of the round", "[pipeline][port_tx]") {
    Wire wire({.burst = 32});
    SECTION("whole bursts") {
        for (int i = 0; i < 70; ++i) {
            wire.receive(wire.in, frame());
        }
        wire.run();
        CHECK(wire.port(wire.out).tx_bursts() == std::vector<std::uint16_t>{32, 32, 6});
    }
    SECTION("runs to two ports are put together") {
        wire.enslave(wire.port_link(2), wire.bridge);
        wire.add_fdb(wire.bridge, mac(3), wire.port_link(2), true);
        for (int i = 0; i < 32; ++i) {
            const net::MacAddress to = i % 2 == 0 ? kStation2 : mac(3);
            wire.receive(wire.in, Packet().ether(to, kStation1, 0x88b5).payload(46));
        }
        wire.run();
        CHECK(wire.port(wire.out).tx_bursts() == std::vector<std::uint16_t>{16});
        CHECK(wire.port(wire.port_link(2)).tx_bursts() == std::vector<std::uint16_t>{16});
    }
    CHECK(wire.worker().tx_pending == 0);
    wire.expect_no_drop();
}

TEST_CASE("a port without a queue of ours: its owner sends, and counts", "[pipeline][handover]") {
    Wire wire({.workers = 2, .tx_queues = 1});
    for (int i = 0; i < 40; ++i) {
        wire.receive(wire.in, frame().bytes(), false, 1);
    }
    poll_once(wire.worker(1));
    CHECK(wire.tx_packets(wire.out) == 0);
    wire.run();
    wire.expect_no_drop();
    CHECK(wire.sent(wire.out).size() == 40);
    CHECK(wire.counters(0).link(wire.out).tx_packets.read() == 40);
    CHECK(wire.counters(1).received.read() == 40);
    CHECK(wire.counters(0).sent.read() == 40);
}

TEST_CASE("a full hand-over ring is a counted drop", "[pipeline][handover]") {
    Wire wire({.workers = 2, .tx_queues = 1, .ring_size = 16});
    for (int i = 0; i < 32; ++i) {
        wire.receive(wire.in, frame().bytes(), false, 1);
    }
    poll_once(wire.worker(1));
    wire.expect_only_drop(wire.out, Drop::worker_ring_full, 32 - 15);
    wire.run();
    CHECK(wire.sent(wire.out).size() == 15);
}

TEST_CASE("IPO-DEV-08 a port that nobody sends to", "[pipeline][handover]") {
    Wire wire({.tx_queues = 0});
    wire.receive(wire.in, frame());
    wire.run();
    wire.expect_only_drop(wire.out, Drop::port_stopped);
}

TEST_CASE("frames from control leave by any kind of link", "[pipeline]") {
    Wire wire;
    Link dummy;
    dummy.up = true;
    const LinkId nowhere = wire.add_link(dummy);
    wire.send_from_control(wire.port_link(3), frame());
    wire.send_from_control(wire.bridge, frame());
    wire.send_from_control(nowhere, frame());
    wire.run();
    wire.expect_no_drop();
    CHECK(wire.sent(wire.port_link(3)).size() == 1);
    CHECK(wire.sent(wire.out).size() == 1);
    CHECK(wire.tx_packets(nowhere) == 1);
    wire.send_from_control(999, frame());
    wire.run();
    wire.expect_only_drop(999, Drop::link_gone);
}

TEST_CASE(
    "stopped at the prompt: queues are not read, control's frames still leave", "[pipeline]"
) {
    Wire wire;
    std::atomic<bool> receiving{false};
    wire.worker().receiving = &receiving;
    wire.receive(wire.in, frame());
    wire.send_from_control(wire.port_link(3), frame());
    wire.run();
    CHECK(wire.total(&CounterBlock::received) == 0);
    CHECK(wire.sent(wire.port_link(3)).size() == 1);
    receiving = true;
    wire.run();
    CHECK(wire.sent(wire.out).size() == 1);
    wire.worker().receiving = nullptr;
}

TEST_CASE("what is left at the end is dropped as shutdown, wherever it is", "[pipeline]") {
    Wire wire({.workers = 2, .tx_queues = 1});
    Worker& worker = wire.worker(0);
    for (int i = 0; i < 3; ++i) {
        wire.receive(wire.in, frame().bytes(), false, 1);
    }
    poll_once(wire.worker(1));
    wire.send_from_control(wire.out, frame());
    const auto add = [&](LinkId in, LinkId out) {
        rte_mbuf* packet = make_mbuf(wire.pool(), frame().bytes());
        note(packet).link_in = in;
        note(packet).link_out = out;
        worker.counters.received.add(1);
        return packet;
    };
    worker.enqueue(Stage::bridge, add(wire.in, 0));
    worker.enqueue(Stage::port_tx, add(wire.in, wire.out));
    worker.enqueue(Stage::port_tx, add(wire.in, wire.out));
    port_tx_stage(worker);
    worker.punt(add(wire.in, 0), Punt::arp);
    CHECK(drain(worker) == 8);
    CHECK(drain(wire.worker(1)) == 0);
    CHECK(wire.drops(wire.in, Drop::shutdown) == 2);
    CHECK(wire.drops(wire.out, Drop::shutdown) == 6);
    CHECK(wire.dropped() == 8);
    CHECK(wire.packets_out() == 0);
}

TEST_CASE("the worker's clock counts the seconds since the common start", "[pipeline]") {
    Machine machine;
    Worker& worker = machine.worker();
    WorkerConfig config = worker.config;
    config.start_tsc = rte_rdtsc() - 10 * rte_get_tsc_hz() - rte_get_tsc_hz() / 2;
    Worker early(
        config, machine.tables, machine.domain, worker.counters, machine.doorbell(), machine.pool()
    );
    poll_once(early);
    CHECK(early.now_s >= 10);
    CHECK(early.next_second_tsc == config.start_tsc + (early.now_s + 1) * rte_get_tsc_hz());
    poll_once(worker);
    CHECK(worker.now_s < 10);
}

TEST_CASE("rounds are counted as busy or idle, and bursts by their size", "[pipeline]") {
    Wire wire;
    Worker& worker = wire.worker();
    poll_once(worker);
    const std::uint64_t busy = worker.loop.cycles_busy.read();
    wire.receive(wire.in, frame());
    wire.receive(wire.in, frame());
    poll_once(worker);
    CHECK(worker.loop.cycles_busy.read() == busy);
    const std::uint64_t idle = worker.loop.cycles_idle.read();
    poll_once(worker);
    CHECK(worker.loop.cycles_busy.read() > busy);
    CHECK(worker.loop.cycles_idle.read() == idle);
    CHECK(worker.loop.bursts.read() == 1);
    CHECK(worker.loop.packets.read() == 2);
}

TEST_CASE("a resting worker lets grace periods pass, and stops when told", "[pipeline]") {
    Wire wire;
    Worker& worker = wire.worker();
    WorkerConfig config = worker.config;
    config.idle_sleep_us = GENERATE(0U, 50U);
    Worker looping(config, wire.tables, wire.domain, worker.counters, wire.doorbell(), wire.pool());
    std::atomic<bool> stop{false};
    looping.stop = &stop;
    std::thread thread([&] { worker_loop(looping); });
    for (int i = 0; i < 20; ++i) {
        wire.domain.synchronize();
    }
    stop = true;
    thread.join();
    CHECK(wire.domain.has_passed(wire.domain.start_grace_period()));
}

TEST_CASE("a link's counters start anew for the number's next owner", "[pipeline][counters]") {
    CounterBlock block;
    block.drop(5, Drop::link_gone, 3);
    block.dropped.add(3);
    block.link(5).rx_packets.add(7);
    block.link(5).tx_bytes.add(7);
    block.link(6).rx_packets.add(1);
    block.reset_link(5);
    CHECK(block.drops(5, Drop::link_gone) == 0);
    CHECK(block.link(5).rx_packets.read() == 0);
    CHECK(block.link(5).tx_bytes.read() == 0);
    CHECK(block.link(6).rx_packets.read() == 1);
    CHECK(block.dropped.read() == 3);
    block.drop(kMaxLinks - 1, static_cast<Drop>(kDropCount - 1));
    CHECK(block.drops(kMaxLinks - 1, static_cast<Drop>(kDropCount - 1)) == 1);
}

TEST_CASE("every drop reason has a name of its own and a help text", "[pipeline][counters]") {
    std::map<std::string_view, int> names;
    for (const DropInfo& reason : kDropInfo) {
        CHECK(++names[reason.name] == 1);
        CHECK_FALSE(reason.help.empty());
    }
    CHECK(info(Drop::vxlan_ecn).name == "vxlan_ecn");
    CHECK(contains(info(Drop::vxlan_ecn).counters, KernelCounters::rx_frame_errors));
    CHECK(contains(info(Drop::vxlan_ecn).counters, KernelCounters::rx_errors));
    CHECK_FALSE(contains(info(Drop::vxlan_ecn).counters, KernelCounters::rx_dropped));
}

}  // namespace culvert::pipeline::test
