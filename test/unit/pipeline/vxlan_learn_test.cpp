// SPDX-License-Identifier: BSD-3-Clause
// What the vxlan_pop stage learns from inner sources, and whom it refuses for them.
#include "test/unit/pipeline/vxlan_machine.hpp"

namespace culvert::pipeline::test {

namespace {

const Bytes kInner = station_frame(kNear, kFar).bytes();

}  // namespace

TEST_CASE("VXLAN-LRN-06 an unknown source is told to control and delivered", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
    for (int i = 0; i < 3; ++i) {
        machine.receive_exact(machine.underlay, vxlan_packet(kInner));
    }
    machine.run();
    CHECK(machine.sent(machine.access).size() == 3);
    const auto events = machine.learned();
    REQUIRE(events.size() == 1);
    CHECK(events[0].mac == kFar);
    CHECK(events[0].source == net::IpAddress::from_v4(kRemote));
    CHECK(events[0].domain == machine.vx);
    CHECK(events[0].port == kNoLink);
}

TEST_CASE("VXLAN-LRN-01 a device with nolearning learns nothing", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) {
        link.vxlan.learning = false;
        link.bridge_port.learning = false;
    });
    machine.add_remote(kFar, 0xc0000209, true);  // pinned elsewhere: no matter
    machine.receive_exact(machine.underlay, vxlan_packet(kInner));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 1);
    CHECK(machine.learned().empty());
}

TEST_CASE(
    "VXLAN-LRN-03 VXLAN-AGE-02 a known source at its place is refreshed, not told",
    "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
    machine.add_remote(kFar, kRemote, GENERATE(false, true));
    machine.worker().now_s = 7;
    machine.worker().next_second_tsc = UINT64_MAX;
    machine.receive_exact(machine.underlay, vxlan_packet(kInner));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 1);
    CHECK(machine.learned().empty());
    CHECK(machine.used(kFar) == 7);
}

TEST_CASE(
    "VXLAN-LRN-05 a dynamic source behind another VTEP is told and delivered", "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
    machine.add_remote(kFar, 0xc0000209);
    machine.receive_exact(machine.underlay, vxlan_packet(kInner));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 1);
    const auto events = machine.learned();
    REQUIRE(events.size() == 1);
    CHECK(events[0].source == net::IpAddress::from_v4(kRemote));
}

TEST_CASE("VXLAN-LRN-04 a static source behind another VTEP is dropped", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar, 0xc0000209, true);
    expect_drop(machine, vxlan_packet(kInner).bytes(), machine.vx, Drop::vxlan_source_pinned);
    CHECK(machine.learned().empty());
    // The same MAC from two VTEPs in one burst: each is judged by itself.
    OuterOptions there;
    there.source = 0xc0000209;
    machine.forget_drops();
    machine.receive_exact(machine.underlay, vxlan_packet(kInner, there));
    machine.receive_exact(machine.underlay, vxlan_packet(kInner));
    machine.receive_exact(machine.underlay, vxlan_packet(kInner, there));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 2);
    machine.expect_only_drop(machine.vx, Drop::vxlan_source_pinned);
}

TEST_CASE("a static entry with `via` never matches: its frames are dropped", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const auto id = machine.add_template(machine.vx, kRemote, machine.underlay);
    const auto list = machine.add_destination(machine.vx, {id}, kRemote, machine.underlay);
    machine.add_fdb(machine.vx, kFar, list, true);
    expect_drop(machine, vxlan_packet(kInner).bytes(), machine.vx, Drop::vxlan_source_pinned);
}

TEST_CASE(
    "VXLAN-LRN-04 VXLAN-LRN-05 of neighbours in a burst each is judged", "[pipeline][vxlan]"
) {
    constexpr std::uint32_t kElsewhere = 0xc0000209;
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
    machine.worker().now_s = 7;
    machine.worker().next_second_tsc = UINT64_MAX;
    // Five stations behind one VTEP, the third pinned there, the fifth of an older second; all send
    // from another VTEP.
    const auto list = machine.add_destination(
        machine.vx, {machine.add_template(machine.vx, kElsewhere, machine.underlay)}, kElsewhere
    );
    std::vector<net::MacAddress> stations;
    for (std::uint64_t i = 0; i < 5; ++i) {
        stations.push_back(net::MacAddress::from_value(0x020000000100 + i));
        machine.add_fdb(machine.vx, stations.back(), list, i == 2);
        if (i != 4) {
            machine.stamp(stations.back(), 7);
        }
        const Bytes inner = station_frame(kNear, stations.back()).bytes();
        machine.receive_exact(machine.underlay, vxlan_packet(inner));
    }
    machine.run();
    CHECK(machine.sent(machine.access).size() == 4);
    machine.expect_only_drop(machine.vx, Drop::vxlan_source_pinned);
    const auto events = machine.learned();
    REQUIRE(events.size() == 4);
    for (const fdb::LearnEvent& event : events) {
        CHECK(event.mac != stations[2]);
        CHECK(event.source == net::IpAddress::from_v4(kRemote));
    }
}

}  // namespace culvert::pipeline::test
