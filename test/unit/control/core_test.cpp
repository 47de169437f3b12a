// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/log.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>
#include <rte_log.h>

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <string>

namespace culvert::control::test {

namespace {

using pipeline::Drop;
using pipeline::LinkKind;

struct Learning : CoreFixture {
    void report(
        LinkId domain,
        const net::MacAddress& address,
        LinkId port,
        const net::IpAddress& source = {}
    ) {
        fdb::LearnEvent event;
        event.domain = domain;
        event.mac = address;
        event.port = port;
        event.source = source;
        REQUIRE(
            rte_ring_enqueue_elem(core->workers().front()->rings.learned, &event, sizeof(event)) ==
            0
        );
    }
};

const net::MacAddress kStation = mac("02:00:00:00:01:01");

}  // namespace

TEST_CASE_METHOD(
    Learning,
    "a bridge learns from its members that may learn, and from nobody else",
    "[control][learn]"
) {
    const LinkId port0 = add_port(0);
    const LinkId port1 = add_port(1);
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    REQUIRE(set_master(port0, "br0"));
    report(bridge, kStation, port0);
    core->turn();
    REQUIRE(core->fdb().get(bridge, kStation));
    CHECK(core->fdb().get(bridge, kStation)->value.target() == port0);

    report(bridge, kStation, port1);  // no member
    report(bridge, mac("02:00:00:00:01:02"), port1);
    report(bridge, mac("01:00:00:00:01:02"), port0);  // a group
    report(port0, mac("02:00:00:00:01:03"), port0);   // no domain
    report(bridge, record(port0).mac, port0);         // ourselves
    LinkSetRequest off;
    off.learning = false;
    REQUIRE(core->links().set(port0, off));
    report(bridge, mac("02:00:00:00:01:04"), port0);
    core->turn();
    CHECK(core->fdb().get(bridge, kStation)->value.target() == port0);
    CHECK(core->fdb().domain_size(bridge) == 2);
    CHECK(core->fdb().get(bridge, record(port0).mac)->value.target() == bridge);
}

TEST_CASE_METHOD(
    Learning, "VXLAN-LRN-05 VXLAN-LRN-06 a vxlan learns while it is up", "[control][learn]"
) {
    const LinkId link = core->links().add(vxlan("vx0", 42)).value();
    report(link, kStation, kNoLink, ip("192.0.2.9"));
    core->turn();
    CHECK_FALSE(core->fdb().get(link, kStation));
    REQUIRE(up(link));
    report(link, kStation, kNoLink, ip("192.0.2.9"));
    core->turn();
    REQUIRE(remotes(link, kStation).size() == 1);
    CHECK(remotes(link, kStation)[0] == fdb::Remote{ip("192.0.2.9"), 42, 8472, kNoLink});
    report(link, kStation, kNoLink, ip("192.0.2.10"));
    core->turn();
    CHECK(remotes(link, kStation)[0].address == ip("192.0.2.10"));
}

TEST_CASE_METHOD(
    Learning, "VXLAN-LRN-05 a migration is logged, ten times in five seconds", "[control][learn]"
) {
    const LinkId link = core->links().add(vxlan("vx0", 42)).value();
    REQUIRE(up(link));
    char* text = nullptr;
    std::size_t size = 0;
    FILE* stream = open_memstream(&text, &size);
    REQUIRE(stream != nullptr);
    REQUIRE(rte_openlog_stream(stream) == 0);
    const auto type = static_cast<std::uint32_t>(culvert_log_type);
    const int level = rte_log_get_level(type);
    const std::uint32_t global = rte_log_get_global_level();
    rte_log_set_global_level(RTE_LOG_INFO);
    rte_log_set_level(type, RTE_LOG_INFO);
    const auto move = [&](unsigned times) {
        for (unsigned i = 0; i < times; ++i) {
            report(link, kStation, kNoLink, ip(i % 2 == 0 ? "192.0.2.9" : "192.0.2.10"));
        }
        core->turn();
    };
    core->set_now_ms(1000);
    move(30);
    core->set_now_ms(6000);
    move(2);
    rte_log_set_level(type, static_cast<unsigned>(level));
    rte_log_set_global_level(global);
    rte_openlog_stream(nullptr);
    fclose(stream);
    const std::string said(text, size);
    free(text);
    CHECK(said.find("vx0: 02:00:00:00:01:01 migrated from 192.0.2.9 to 192.0.2.10\n") < size);
    CHECK(std::count(said.begin(), said.end(), '\n') == 12);
}

TEST_CASE_METHOD(Learning, "VXLAN-AGE-01 an entry that is not used goes", "[control][learn]") {
    LinkAddRequest request = vxlan("vx0", 42);
    request.vxlan.ageing_s = 20;
    const LinkId link = core->links().add(request).value();
    REQUIRE(up(link));
    report(link, kStation, kNoLink, ip("192.0.2.9"));
    core->turn();
    REQUIRE(core->fdb().get(link, kStation));
    for (std::uint64_t now = 1000; now <= 40000; now += 100) {
        core->set_now_ms(now);
        core->turn();
    }
    CHECK_FALSE(core->fdb().get(link, kStation));
}

TEST_CASE_METHOD(Learning, "a flood of new MACs is taken in bounded turns", "[control][learn]") {
    const LinkId port = add_port(0);
    const LinkId bridge = add_link("br0", LinkKind::bridge);
    REQUIRE(set_master(port, "br0"));
    const std::size_t own = core->fdb().domain_size(bridge);  // the bridge's addresses
    for (std::uint64_t i = 0; i < 3000; ++i) {
        report(bridge, net::MacAddress::from_value(0x020000100000 + i), port);
    }
    CHECK(core->has_work());
    CHECK(core->turn() == 0);
    CHECK(core->fdb().domain_size(bridge) < own + 3000);
    CHECK(core->turn() != 0);
    CHECK(core->is_learning());
    core->turn();
    CHECK_FALSE(core->is_learning());
    report(bridge, kStation, port);
    core->turn();
    CHECK_FALSE(core->is_learning());
    CHECK(core->fdb().domain_size(bridge) == own + 3001);
    CHECK_FALSE(core->has_work());
}

TEST_CASE_METHOD(CoreFixture, "a full ring to a worker is a counted drop", "[control]") {
    const LinkId port = add_port(0);
    std::uint64_t sent_packets = 0;
    while (core->drops(port, Drop::worker_ring_full) == 0) {
        rte_mbuf* frame = rte_pktmbuf_alloc(pool);
        if (frame == nullptr) {
            FAIL("the pool ran out before the ring");
        }
        core->send(port, frame, false);
        ++sent_packets;
    }
    const ProcessStats stats = core->process_stats();
    CHECK(stats.originated == sent_packets);
    CHECK(stats.dropped == 1);
    CHECK(stats.in_flight == sent_packets - 1);
    CHECK(stats.mbufs_free == stats.mbufs_total - (sent_packets - 1));
    CHECK(core->stats(port).tx_dropped == 0);
}

TEST_CASE_METHOD(CoreFixture, "drops move the kernel counters that the table says", "[control]") {
    const LinkId port = add_port(0);
    core->worker_counters(0).drop(port, Drop::vxlan_ecn, 3);
    core->worker_counters(0).drop(port, Drop::vxlan_no_route, 2);
    core->own_counters().drop(port, Drop::link_down_rx);
    core->worker_counters(0).link(port).rx_packets.add(5);
    core->own_counters().link(port).rx_packets.add(1);
    const LinkStats stats = core->stats(port);
    CHECK(stats.rx_packets == 6);
    CHECK(stats.rx_frame_errors == 3);
    CHECK(stats.rx_errors == 3);
    CHECK(stats.rx_dropped == 1);
    CHECK(stats.tx_carrier_errors == 2);
    CHECK(stats.tx_errors == 2);
    CHECK(stats.tx_dropped == 0);
    CHECK(core->drops(port, Drop::vxlan_ecn) == 3);
}

}  // namespace culvert::control::test
