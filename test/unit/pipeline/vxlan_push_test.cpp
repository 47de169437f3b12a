// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/vxlan_machine.hpp"

#include <algorithm>

namespace culvert::pipeline::test {

namespace {

// The frame meets this drop on `link` and leaves no other trace.
void expect_drop(VxlanMachine& machine, const Packet& frame, LinkId link, Drop reason) {
    machine.forget_drops();
    const std::uint64_t tx = machine.tx_packets(machine.vx);
    machine.send_from_control(machine.vx, frame);
    machine.run();
    machine.expect_only_drop(link, reason);
    CHECK(machine.sent(machine.underlay).empty());
    CHECK(machine.punted().empty());
    CHECK(machine.tx_packets(machine.vx) == tx);
}

// kFar is behind one remote whose template is changed by `change`.
template <typename Change>
void add_changed(VxlanMachine& machine, Change&& change) {
    const auto id =
        machine.add_template(machine.vx, kRemote, machine.underlay, std::forward<Change>(change));
    machine.add_fdb(machine.vx, kFar, machine.add_destination(machine.vx, {id}));
}

void add_state(VxlanMachine& machine, encap::TunnelState state) {
    add_changed(machine, [&](encap::VxlanTemplate& outer) { outer.state = state; });
}

}  // namespace

TEST_CASE("VXLAN-TX-35 VXLAN-TX-36 TUN-TX-22 a frame into the tunnel", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    machine.add_fdb(machine.bridge, kFar, machine.vx, true);
    machine.receive(machine.access, kFrame);
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    CHECK(inner_of(sent[0]) == kFrame.bytes());
    CHECK(word_at(sent[0], 26) == kLocal);
    CHECK(word_at(sent[0], 30) == kRemote);
    CHECK(word_at(sent[0], 42) == net::vxlan::kVniValid);
    CHECK(word_at(sent[0], 46) == kVni << 8);
    CHECK(machine.tx_packets(machine.vx) == 1);
    CHECK(machine.tx_bytes(machine.vx) == kFrame.bytes().size() - 14);
    CHECK(machine.rx_packets(machine.vx) == 0);
    CHECK(machine.tx_packets(machine.underlay) == 1);
    CHECK(machine.tx_bytes(machine.underlay) == sent[0].size());
    machine.expect_no_drop();
}

TEST_CASE("TUN-TX-22 bytes of a tagged frame are those of its IP packet", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    const Packet tagged = Packet()
                              .ether(kFar, kNear, net::ether_type::kVlan)
                              .vlan(5, net::ether_type::kIpv4)
                              .ipv4()
                              .payload(40);
    machine.send_from_control(machine.vx, tagged);
    machine.run();
    CHECK(machine.sent(machine.underlay).size() == 1);
    CHECK(machine.tx_bytes(machine.vx) == 60);
}

TEST_CASE("what was pushed can be popped: the frame is the same", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) {
        link.vxlan.learning = false;
        link.bridge_port.learning = false;
    });
    machine.add_remote(kNear);
    for (std::size_t payload = 0; payload < 200; payload += 13) {
        const Packet frame = station_frame(kNear, kFar, payload);
        machine.send_from_control(machine.vx, frame);
        machine.run();
        auto sent = machine.sent(machine.underlay);
        REQUIRE(sent.size() == 1);
        // Back to where it came from: MAC and addresses the other way round.
        const auto port = Machine::port_mac(0).bytes;
        std::copy(port.begin(), port.end(), sent[0].begin());
        std::swap_ranges(sent[0].begin() + 26, sent[0].begin() + 30, sent[0].begin() + 30);
        machine.receive(machine.underlay, sent[0], true);
        machine.run();
        REQUIRE(machine.sent(machine.access) == std::vector<Bytes>{frame.bytes()});
    }
    machine.expect_no_drop();
}

TEST_CASE("TUN-TX-19 the IP identification counts up", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    machine.worker().ip_identification = 0xfffe;
    for (int i = 0; i < 4; ++i) {
        machine.send_from_control(machine.vx, kFrame);
    }
    machine.run();
    std::vector<std::uint32_t> ids;
    for (const Bytes& bytes : machine.sent(machine.underlay)) {
        ids.push_back(word_at(bytes, 18) >> 16);
    }
    CHECK(ids == std::vector<std::uint32_t>{0xfffe, 0xffff, 0, 1});
}

TEST_CASE(
    "VXLAN-TX-05 VXLAN-TX-06 VXLAN-TX-09 the default entry takes what has no other",
    "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    const net::MacAddress group = net::MacAddress::from_value(0x01005e000005);
    machine.add_remote(net::MacAddress{}, 0xc0000210);
    machine.add_remote(kFar, 0xc0000211);
    machine.add_remote(group, 0xc0000212);
    for (const auto& to : {kFar, mac(0x99), net::kBroadcastMac, group, kFar}) {
        machine.send_from_control(machine.vx, station_frame(to, kNear));
    }
    machine.run();
    CHECK(
        destinations_of(machine.sent(machine.underlay)) ==
        std::vector<std::uint32_t>{0xc0000211, 0xc0000210, 0xc0000210, 0xc0000212, 0xc0000211}
    );
    CHECK(machine.tx_packets(machine.vx) == 5);
}

TEST_CASE("VXLAN-TX-05 no entry at all", "[pipeline][vxlan]") {
    VxlanMachine machine;
    expect_drop(machine, kFrame, machine.vx, Drop::vxlan_no_destination);
    CHECK(info(Drop::vxlan_no_destination).counters == KernelCounters::tx_dropped);
}

TEST_CASE("VXLAN-AGE-02 sending alone keeps an entry alive", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(net::MacAddress{});
    machine.add_remote(kFar);
    machine.worker().now_s = 9;
    machine.worker().next_second_tsc = UINT64_MAX;
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    CHECK(machine.used(kFar) == 9);
    CHECK(machine.used(net::MacAddress{}) == 0);
    machine.worker().now_s = 11;
    machine.send_from_control(machine.vx, station_frame(mac(0x99), kNear));
    machine.run();
    CHECK(machine.used(kFar) == 9);
    CHECK(machine.used(net::MacAddress{}) == 11);
}

TEST_CASE("VXLAN-TX-07 all remotes, the first one last", "[pipeline][vxlan]") {
    VxlanMachine machine;
    std::vector<encap::VxlanTemplates::Id> ids;
    for (std::uint32_t i = 0; i < 7; ++i) {
        ids.push_back(machine.add_template(machine.vx, 0xc0000210 + i, machine.underlay));
    }
    machine.add_fdb(machine.vx, net::MacAddress{}, machine.add_destination(machine.vx, ids));
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    const auto sent = machine.sent(machine.underlay);
    CHECK(
        destinations_of(sent) ==
        std::vector<std::uint32_t>{
            0xc0000211, 0xc0000212, 0xc0000213, 0xc0000214, 0xc0000215, 0xc0000216, 0xc0000210}
    );
    for (const Bytes& bytes : sent) {
        CHECK(inner_of(bytes) == kFrame.bytes());
    }
    CHECK(machine.tx_packets(machine.vx) == 7);
    CHECK(machine.tx_bytes(machine.vx) == 7 * (kFrame.bytes().size() - 14));
    CHECK(machine.total(&CounterBlock::replicated) == 6);
    machine.expect_no_drop();
}

TEST_CASE(
    "VXLAN-TX-07 more remotes than a vector holds, several packets at once", "[pipeline][vxlan]"
) {
    MachineOptions options;
    options.pool_size = 16383;
    VxlanMachine machine(options);
    const bool over_bridge = GENERATE(false, true);
    LinkId out = machine.underlay;
    if (over_bridge) {
        // The underlay's address is a bridge's; its only member is port 2.
        out = machine.add_bridge(mac(0xb1));
        machine.enslave(machine.port_link(2), out);
        machine.add_fdb(out, kVtep, machine.port_link(2), true);
    }
    constexpr std::uint32_t kRemotes = 1500;
    std::vector<encap::VxlanTemplates::Id> ids;
    for (std::uint32_t i = 0; i < kRemotes; ++i) {
        ids.push_back(machine.add_template(machine.vx, 0x0b000000 + i, out));
    }
    machine.add_fdb(machine.vx, net::MacAddress{}, machine.add_destination(machine.vx, ids));
    constexpr std::size_t kPackets = 2;
    for (unsigned i = 0; i < kPackets; ++i) {
        machine.send_from_control(machine.vx, station_frame(mac(0x3000 + i), kNear));
    }
    machine.run();
    const auto sent = machine.sent(over_bridge ? machine.port_link(2) : machine.underlay);
    REQUIRE(sent.size() == kPackets * kRemotes);
    std::vector<std::uint32_t> seen = destinations_of(sent);
    std::sort(seen.begin(), seen.end());
    for (std::uint32_t i = 0; i < kRemotes; ++i) {
        REQUIRE(seen[kPackets * i] == 0x0b000000 + i);
        REQUIRE(seen[kPackets * i + 1] == 0x0b000000 + i);
    }
    CHECK(machine.tx_packets(machine.vx) == kPackets * kRemotes);
    machine.expect_no_drop();
}

TEST_CASE(
    "VXLAN-TX-07 when no buffer is free the original still goes to the first remote",
    "[pipeline][vxlan]"
) {
    MachineOptions options;
    options.pool_size = 3;
    VxlanMachine machine(options);
    std::vector<encap::VxlanTemplates::Id> ids;
    for (std::uint32_t i = 0; i < 10; ++i) {
        ids.push_back(machine.add_template(machine.vx, 0xc0000210 + i, machine.underlay));
    }
    machine.add_fdb(machine.vx, net::MacAddress{}, machine.add_destination(machine.vx, ids));
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    CHECK(
        destinations_of(machine.sent(machine.underlay)) ==
        std::vector<std::uint32_t>{0xc0000211, 0xc0000212, 0xc0000210}
    );
    machine.expect_only_drop(machine.vx, Drop::pool_exhausted, 7);
}

TEST_CASE("VXLAN-TX-25 VXLAN-TX-26 remotes that cannot be reached", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const auto [state, reason, counters] =
        GENERATE(table<encap::TunnelState, Drop, KernelCounters>({
            {encap::TunnelState::no_remote, Drop::vxlan_no_remote, KernelCounters::tx_dropped},
            {encap::TunnelState::no_route,
             Drop::vxlan_no_route,
             KernelCounters::tx_carrier_errors | KernelCounters::tx_errors},
            {encap::TunnelState::loop,
             Drop::vxlan_loop,
             KernelCounters::collisions | KernelCounters::tx_errors},
        }));
    add_state(machine, state);
    expect_drop(machine, kFrame, machine.vx, reason);
    CHECK(info(reason).counters == counters);
}

TEST_CASE("an unreachable remote does not hold up the others", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const auto good = machine.add_template(machine.vx, kRemote, machine.underlay);
    const auto bad = machine.add_template(
        machine.vx,
        kRemote,
        machine.underlay,
        [](encap::VxlanTemplate& outer) { outer.state = encap::TunnelState::no_route; }
    );
    const auto gone = machine.vxlan_templates.allocate();
    machine.add_fdb(machine.vx, kFar, machine.add_destination(machine.vx, {bad, good, gone, good}));
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    CHECK(machine.sent(machine.underlay).size() == 2);
    CHECK(machine.drops(machine.vx, Drop::vxlan_no_route) == 1);
    CHECK(machine.drops(machine.vx, Drop::vxlan_no_destination) == 1);
    CHECK(machine.dropped() == 2);
}

TEST_CASE(
    "an unresolved next hop: the packet goes to control, ready but for its MACs",
    "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    add_changed(machine, [](encap::VxlanTemplate& outer) {
        outer.state = encap::TunnelState::unresolved;
        std::fill_n(outer.bytes.begin(), 14, std::uint8_t{0});
    });
    machine.send_from_control(machine.vx, kFrame);
    machine.run();
    const auto punted = machine.punted();
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].note.punt == Punt::resolve);
    CHECK(punted[0].next_hop == net::IpAddress::from_v4(kRemote));
    CHECK(punted[0].note.link_out == machine.underlay);
    CHECK(Bytes(punted[0].bytes.begin(), punted[0].bytes.begin() + 14) == Bytes(14, 0));
    CHECK(word_at(punted[0].bytes, 30) == kRemote);
    CHECK(inner_of(punted[0].bytes) == kFrame.bytes());
    CHECK(machine.tx_packets(machine.vx) == 1);
    machine.expect_no_drop();
}

TEST_CASE("VXLAN-TX-32 no room for the outer header", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    machine.add_fdb(machine.bridge, kFar, machine.vx, true);
    machine.receive_exact(machine.access, kFrame);  // no headroom at all
    machine.run();
    machine.expect_only_drop(machine.vx, Drop::vxlan_no_headroom);
    CHECK(machine.sent(machine.underlay).empty());
    CHECK(machine.tx_packets(machine.vx) == 0);
    CHECK(info(Drop::vxlan_no_headroom).counters == KernelCounters::tx_errors);
}

TEST_CASE("VXLAN-PMTU-03 an outer packet beyond the path's MTU", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    machine.send_from_control(machine.vx, station_frame(kFar, kNear, 1450 - 28));
    machine.run();
    CHECK(machine.sent(machine.underlay).size() == 1);
    machine.send_from_control(machine.vx, station_frame(kFar, kNear, 1451 - 28));
    machine.run();
    machine.expect_no_drop();
    const auto pieces = machine.sent(machine.underlay);
    REQUIRE(pieces.size() == 2);
    CHECK(pieces[0].size() == 1514);
    CHECK((word_at(pieces[0], 18) & 0xffff) == 0x2000);
    CHECK((word_at(pieces[1], 18) & 0xffff) == 185);
    CHECK(word_at(pieces[0], 18) >> 16 == word_at(pieces[1], 18) >> 16);
    CHECK(machine.tx_packets(machine.vx) == 2);
    CHECK(machine.tx_bytes(machine.vx) == 1450 + 1451);

    add_changed(machine, [](encap::VxlanTemplate& outer) { outer.df = encap::DontFragment::set; });
    expect_drop(machine, station_frame(kFar, kNear, 1451 - 28), machine.vx, Drop::vxlan_too_big);
}

TEST_CASE(
    "VXLAN-PMTU-02 a bridged frame with DF is answered in its receiver's name", "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    machine.add_remote(kFar);
    machine.add_fdb(machine.bridge, kFar, machine.vx, true);
    Ipv4Options options;
    options.flags_and_offset = 0x4000;
    options.ttl = 61;
    options.tos = 0xb8;
    SECTION("answered") {
        const Packet large = Packet().ether(kFar, kNear).ipv4(options).payload(1431);
        machine.receive(machine.access, large);
        machine.run();
        machine.expect_no_drop();
        CHECK(machine.sent(machine.underlay).empty());
        const auto answers = machine.sent(machine.access);
        REQUIRE(answers.size() == 1);
        const Bytes& answer = answers[0];
        REQUIRE(answer.size() == 14 + 576);
        CHECK(std::memcmp(answer.data(), kNear.bytes.data(), 6) == 0);
        CHECK(std::memcmp(answer.data() + 6, kFar.bytes.data(), 6) == 0);
        CHECK(word_at(answer, 14) == 0x45000240);
        CHECK(word_at(answer, 18) == 0x00004000);
        CHECK(word_at(answer, 22) >> 16 == ((61U << 8) | 1U));
        CHECK(word_at(answer, 26) == options.destination);
        CHECK(word_at(answer, 30) == options.source);
        CHECK(word_at(answer, 34) >> 16 == 0x0304);
        CHECK(word_at(answer, 38) == 1450);
        CHECK(net::sum_is_valid(net::sum_bytes(answer.data() + 14, 20)));
        CHECK(net::sum_is_valid(net::sum_bytes(answer.data() + 34, answer.size() - 34)));
        const Bytes asked = large.bytes();
        CHECK(std::memcmp(answer.data() + 42, asked.data() + 14, 548) == 0);
        CHECK(machine.tx_packets(machine.vx) == 1);
        CHECK(machine.rx_packets(machine.vx) == 1);
        CHECK(machine.rx_bytes(machine.vx) == answer.size());
        CHECK(machine.learned().empty());
    }
    SECTION("not answered: the outer packet is cut") {
        const std::uint8_t icmp_type = GENERATE(as<std::uint8_t>{}, 0, 3, 5);
        if (icmp_type != 0) {
            options.protocol = net::ip_protocol::kIcmp;
        } else {
            options.source = GENERATE(0x00000001U, 0x7f000001U, 0xe0000001U, 0xffffffffU);
        }
        machine.receive(
            machine.access, Packet().ether(kFar, kNear).ipv4(options).raw({icmp_type}).payload(1430)
        );
        machine.run();
        machine.expect_no_drop();
        CHECK(machine.sent(machine.underlay).size() == 2);
        CHECK(machine.sent(machine.access).empty());
    }
}

TEST_CASE("a frame shorter than its Ethernet header", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(net::MacAddress{});
    for (std::size_t len = 1; len < 14; ++len) {
        expect_drop(machine, Packet().payload(len), machine.vx, Drop::vxlan_frame_truncated);
    }
    machine.send_from_control(machine.vx, Packet().payload(14));
    machine.run();
    CHECK(machine.sent(machine.underlay).size() == 1);
    CHECK(machine.tx_bytes(machine.vx) == 0);
}

TEST_CASE("TUN-TX-23 the lower link is down or gone: the tunnel's loss", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    machine.change(machine.underlay, [](Link& link) { link.up = false; });
    expect_drop(machine, kFrame, machine.vx, Drop::link_down_tx);
    const LinkId dummy = machine.add_link({});
    const auto id = machine.add_template(machine.vx, kRemote, dummy);
    machine.add_fdb(machine.vx, kFar, machine.add_destination(machine.vx, {id}));
    machine.erase_link(dummy);
    expect_drop(machine, kFrame, machine.vx, Drop::link_gone);
}

TEST_CASE("IPO-DEV-04 the device went down or away while packets waited", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.add_remote(kFar);
    const auto wait = [&] {
        rte_mbuf* packet = make_mbuf(machine.pool(), kFrame.bytes());
        note(packet).link_out = machine.vx;
        note(packet).depth = 0;
        machine.worker().counters.originated.add(1);
        machine.worker().enqueue(Stage::vxlan_push, packet);
    };
    wait();
    machine.change(machine.vx, [](Link& link) { link.up = false; });
    run_stages(machine.worker());
    machine.expect_only_drop(machine.vx, Drop::link_down_tx);
    machine.forget_drops();
    wait();
    machine.erase_link(machine.vx);
    run_stages(machine.worker());
    machine.expect_only_drop(machine.vx, Drop::link_gone);
}

TEST_CASE("many stations and devices in one burst", "[pipeline][vxlan]") {
    MachineOptions options;
    options.burst = GENERATE(1U, 5U, 32U, 256U);
    VxlanMachine machine(options);
    const LinkId other = machine.add_vxlan(77, 9999);
    for (std::uint32_t i = 0; i < 40; ++i) {
        const LinkId device = i % 2 == 0 ? machine.vx : other;
        const auto id = machine.add_template(device, 0xc0000300 + i, machine.port_link(i % 3));
        machine.add_fdb(device, mac(0x4000 + i), machine.add_destination(device, {id}));
    }
    std::map<LinkId, std::vector<std::uint32_t>> expected;
    constexpr std::uint32_t kCount = 250;
    for (std::uint32_t i = 0; i < kCount; ++i) {
        const std::uint32_t station = i * i / 3 % 40;
        machine.send_from_control(
            station % 2 == 0 ? machine.vx : other,
            station_frame(mac(0x4000 + station), kNear, i % 100)
        );
        expected[machine.port_link(station % 3)].push_back(0xc0000300 + station);
    }
    machine.run();
    for (std::uint32_t i = 0; i < 3; ++i) {
        const LinkId port = machine.port_link(i);
        CHECK(destinations_of(machine.sent(port)) == expected[port]);
    }
    CHECK(machine.tx_packets(machine.vx) + machine.tx_packets(other) == kCount);
    machine.expect_no_drop();
}

}  // namespace culvert::pipeline::test
