// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/vxlan_machine.hpp"

#include <algorithm>

namespace culvert::pipeline::test {

namespace {

const Bytes kInner = station_frame(kNear, kFar).bytes();

// Changes bytes of a finished packet.
Bytes with(Bytes bytes, std::size_t at, std::uint8_t value) {
    bytes.at(at) = value;
    return bytes;
}

// The same at a place of the inner frame.
Bytes inner_with(std::size_t at, std::initializer_list<std::uint8_t> values) {
    Bytes bytes = kInner;
    std::copy(values.begin(), values.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    return bytes;
}

}  // namespace

TEST_CASE("VXLAN-RX-09 VXLAN-RX-15 a frame comes out of its tunnel", "[pipeline][vxlan]") {
    VxlanMachine machine;
    OuterOptions options;
    options.option_bytes = GENERATE(0U, 8U);
    const Packet packet = vxlan_packet(kInner, options);
    machine.receive_exact(machine.underlay, packet);
    machine.run();
    CHECK(machine.sent(machine.access) == std::vector<Bytes>{kInner});
    CHECK(machine.rx_packets(machine.underlay) == 1);
    CHECK(machine.rx_bytes(machine.underlay) == packet.bytes().size());
    CHECK(machine.rx_packets(machine.vx) == 1);
    CHECK(machine.rx_bytes(machine.vx) == kInner.size() - 14);
    CHECK(machine.tx_packets(machine.vx) == 0);
    machine.expect_no_drop();
}

TEST_CASE(
    "VXLAN-RX-12 the outer destination need not be the device's local address", "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    machine.add_local("198.51.100.7/32");
    machine.change(machine.vx, [](Link& link) {
        link.vxlan.local = net::IpAddress::from_v4(kLocal);
    });
    OuterOptions options;
    options.destination = 0xc6336407;
    machine.receive_exact(machine.underlay, vxlan_packet(kInner, options));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 1);
}

TEST_CASE("VXLAN-RX-17 a tagged inner frame is taken with its tag", "[pipeline][vxlan]") {
    VxlanMachine machine;
    Bytes inner = kInner;
    const Bytes tag{0x81, 0x00, 0x00, 0x64};
    inner.insert(inner.begin() + 12, tag.begin(), tag.end());
    machine.receive_exact(machine.underlay, vxlan_packet(inner));
    machine.run();
    CHECK(machine.sent(machine.access) == std::vector<Bytes>{inner});
    CHECK(machine.rx_bytes(machine.vx) == inner.size() - 14);
}

TEST_CASE("UDP that is no tunnel's", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const Bytes good = vxlan_packet(kInner).bytes();
    OuterOptions other_port;
    other_port.udp_port = 4789;
    expect_drop(
        machine, vxlan_packet(kInner, other_port).bytes(), machine.underlay, Drop::udp_no_port
    );
    expect_drop(machine, with(good, 39, 7), machine.underlay, Drop::udp_length);
    expect_drop(machine, with(good, 38, 0xff), machine.underlay, Drop::udp_length);
    expect_drop(machine, with(good, 41, 1), machine.underlay, Drop::udp_checksum);
    // A wrong checksum says nothing of the port, a closed port nothing of the VNI.
    const Bytes closed = vxlan_packet(kInner, other_port).bytes();
    expect_drop(machine, with(closed, 41, 1), machine.underlay, Drop::udp_checksum);
    expect_drop(machine, with(closed, 42, 0), machine.underlay, Drop::udp_no_port);
    CHECK(machine.learned().empty());
}

TEST_CASE("bytes behind the UDP length are cut off", "[pipeline][vxlan]") {
    VxlanMachine machine;
    Bytes surplus = kInner;
    surplus.insert(surplus.end(), 9, 0xee);
    Bytes bytes = vxlan_packet(surplus).bytes();
    const std::size_t udp_len = 16 + kInner.size();
    bytes[38] = static_cast<std::uint8_t>(udp_len >> 8);
    bytes[39] = static_cast<std::uint8_t>(udp_len);
    machine.receive(machine.underlay, bytes, true);
    machine.run();
    CHECK(machine.sent(machine.access) == std::vector<Bytes>{kInner});
    CHECK(machine.rx_bytes(machine.vx) == kInner.size() - 14);
}

TEST_CASE(
    "GOLD-02 VXLAN-RX-02 VXLAN-RX-03 VXLAN-RX-08 headers that must be dropped", "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    const auto drop = [&](std::uint32_t flags, std::uint32_t second, LinkId link, Drop reason) {
        OuterOptions options;
        options.flags = flags;
        options.second_word = second;
        expect_drop(machine, vxlan_packet(kInner, options).bytes(), link, reason);
    };
    drop(0, 0x00002a00, machine.underlay, Drop::vxlan_no_vni_flag);
    drop(0x08000001, 0x00002a00, machine.vx, Drop::vxlan_reserved_bits);
    drop(0x08000000, 0x00002a01, machine.vx, Drop::vxlan_reserved_bits);
    drop(0x88000123, 0x00002a00, machine.vx, Drop::vxlan_reserved_bits);
    drop(0x08200000, 0x00002a91, machine.vx, Drop::vxlan_reserved_bits);
    drop(0x08000000, 0x00002b00, machine.underlay, Drop::vxlan_unknown_vni);
    CHECK(machine.learned().empty());
}

TEST_CASE("VXLAN-RX-18 of two faults the kernel's first one counts", "[pipeline][vxlan]") {
    VxlanMachine machine;
    OuterOptions options;
    options.flags = 0x00000001;
    options.second_word = 0x00002b00;
    expect_drop(
        machine, vxlan_packet(kInner, options).bytes(), machine.underlay, Drop::vxlan_no_vni_flag
    );
    options.flags = 0x08000001;
    expect_drop(
        machine, vxlan_packet(kInner, options).bytes(), machine.underlay, Drop::vxlan_unknown_vni
    );
    options.second_word = 0x00002a00;
    const Bytes short_frame(kInner.begin(), kInner.begin() + 13);
    expect_drop(
        machine, vxlan_packet(short_frame, options).bytes(), machine.vx, Drop::vxlan_inner_truncated
    );
    // Own source MAC 02:00:00:00:10:2a.
    const Bytes own = inner_with(6, {0x02, 0, 0, 0, 0x10, 0x2a});
    expect_drop(machine, vxlan_packet(own, options).bytes(), machine.vx, Drop::vxlan_reserved_bits);
    machine.add_remote(kFar, 0xc0000209, true);
    OuterOptions congested;
    congested.tos = 3;
    expect_drop(
        machine, vxlan_packet(kInner, congested).bytes(), machine.vx, Drop::vxlan_source_pinned
    );
}

TEST_CASE("VXLAN-RX-10 our own frames back are dropped before learning", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const Bytes own = inner_with(6, {0x02, 0, 0, 0, 0x10, 0x2a});
    expect_drop(machine, vxlan_packet(own).bytes(), machine.vx, Drop::vxlan_own_source);
    CHECK(machine.learned().empty());
}

TEST_CASE(
    "VXLAN-LRN-01 VXLAN-LRN-02 invalid sources are dropped when learning", "[pipeline][vxlan]"
) {
    VxlanMachine machine;
    const Bytes inner = GENERATE(
        inner_with(6, {0, 0, 0, 0, 0, 0}),
        inner_with(6, {0x03, 0, 0, 0, 0, 1}),
        inner_with(6, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
    );
    expect_drop(machine, vxlan_packet(inner).bytes(), machine.vx, Drop::vxlan_source_invalid);
    CHECK(machine.learned().empty());
    // Not when it does not learn: then it is the bridge that objects.
    machine.change(machine.vx, [](Link& link) { link.vxlan.learning = false; });
    machine.forget_drops();
    machine.receive_exact(machine.underlay, vxlan_packet(inner));
    machine.run();
    CHECK(machine.rx_packets(machine.vx) == 1);
    machine.expect_only_drop(machine.vx, Drop::bridge_source_invalid);
}

TEST_CASE("VXLAN-RX-14 an inner IP header that is not whole", "[pipeline][vxlan]") {
    VxlanMachine machine;
    for (std::size_t len = 14; len < 34; ++len) {
        const Bytes inner(kInner.begin(), kInner.begin() + static_cast<std::ptrdiff_t>(len));
        CAPTURE(len);
        expect_drop(
            machine, vxlan_packet(inner).bytes(), machine.vx, Drop::vxlan_inner_ip_truncated
        );
    }
    CHECK(contains(info(Drop::vxlan_inner_ip_truncated).counters, KernelCounters::rx_length_errors)
    );
    CHECK(contains(info(Drop::vxlan_inner_ip_truncated).counters, KernelCounters::rx_errors));
}

TEST_CASE("VXLAN-RX-18 congested but not capable: dropped, yet learned", "[pipeline][vxlan]") {
    VxlanMachine machine;
    OuterOptions options;
    options.tos = 3;
    expect_drop(machine, vxlan_packet(kInner, options).bytes(), machine.vx, Drop::vxlan_ecn);
    CHECK(machine.learned().size() == 1);
    CHECK(contains(info(Drop::vxlan_ecn).counters, KernelCounters::rx_frame_errors));
    CHECK(contains(info(Drop::vxlan_ecn).counters, KernelCounters::rx_errors));
}

TEST_CASE("TUN-ECN-03 a congestion mark comes through with a right checksum", "[pipeline][vxlan]") {
    VxlanMachine machine;
    Ipv4Options ip;
    ip.tos = 2;
    const auto make = [&] {
        return Packet().ether(kNear, kFar).ipv4(ip).udp(1, 2).payload(20).bytes();
    };
    OuterOptions options;
    options.tos = 3;
    const Packet packet = vxlan_packet(make(), options);
    machine.receive_exact(machine.underlay, packet);
    machine.run();
    ip.tos = 3;
    CHECK(machine.sent(machine.access) == std::vector<Bytes>{make()});
}

TEST_CASE("VXLAN-RX-14 a device that is not up", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) { link.up = false; });
    expect_drop(machine, vxlan_packet(kInner).bytes(), machine.vx, Drop::link_down_rx);
}

TEST_CASE("a device that went while its port stays open is an unknown VNI", "[pipeline][vxlan]") {
    VxlanMachine machine;
    const LinkId other = machine.add_vxlan(43);
    machine.erase_link(other);
    OuterOptions options;
    options.second_word = 43 << 8;
    expect_drop(
        machine, vxlan_packet(kInner, options).bytes(), machine.underlay, Drop::vxlan_unknown_vni
    );
}

TEST_CASE("VXLAN-RX-01 cut off at every length: one named drop each", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.change(machine.vx, [](Link& link) { link.bridge_port.learning = false; });
    const Bytes whole = vxlan_packet(kInner).bytes();
    for (std::size_t len = 34; len < whole.size(); ++len) {
        // As an honest sender of a shorter packet would have it: the lengths are right.
        Packet packet = Packet().ether(Machine::port_mac(0), kVtep);
        Ipv4Options ip;
        ip.source = kRemote;
        ip.destination = kLocal;
        packet.ipv4(ip);
        if (len >= 42) {
            packet.udp(40000, kUdpPort);
            packet.raw(Bytes(whole.begin() + 42, whole.begin() + static_cast<std::ptrdiff_t>(len)));
        } else {
            packet.raw(Bytes(whole.begin() + 34, whole.begin() + static_cast<std::ptrdiff_t>(len)));
        }
        CAPTURE(len);
        if (len < 42) {
            expect_drop(machine, packet.bytes(), machine.underlay, Drop::udp_truncated);
        } else if (len < 50) {
            expect_drop(machine, packet.bytes(), machine.underlay, Drop::vxlan_truncated);
        } else if (len < 64) {
            expect_drop(machine, packet.bytes(), machine.vx, Drop::vxlan_inner_truncated);
        } else if (len < 84) {
            expect_drop(machine, packet.bytes(), machine.vx, Drop::vxlan_inner_ip_truncated);
        } else {
            machine.receive_exact(machine.underlay, packet);
            machine.run();
            REQUIRE(machine.sent(machine.access).size() == 1);
        }
    }
}

TEST_CASE("tunnels inside tunnels come to an end", "[pipeline][vxlan]") {
    VxlanMachine machine;
    machine.enslave(machine.vx, kNoLink);
    machine.change(machine.vx, [](Link& link) { link.vxlan.learning = false; });
    // Each layer is addressed to us again: MAC of the device, IP of the underlay.
    const auto wrap = [&](int layers) {
        Bytes bytes = station_frame(kNear, kFar).bytes();
        for (int i = 0; i < layers; ++i) {
            bytes = vxlan_packet(bytes).bytes();
            const auto own = machine.link(machine.vx).mac.bytes;
            std::copy(own.begin(), own.end(), bytes.begin());
        }
        const auto port = Machine::port_mac(0).bytes;
        std::copy(port.begin(), port.end(), bytes.begin());
        return bytes;
    };
    machine.receive(machine.underlay, wrap(kMaxDepth), true);
    machine.run();
    CHECK(machine.rx_packets(machine.vx) == kMaxDepth);
    machine.expect_only_drop(machine.vx, Drop::ether_other_host);
    machine.forget_drops();
    machine.receive(machine.underlay, wrap(kMaxDepth + 1), true);
    machine.run();
    CHECK(machine.rx_packets(machine.vx) == 2ULL * kMaxDepth);
    machine.expect_only_drop(machine.vx, Drop::depth_exceeded);
}

TEST_CASE("a burst of many tunnels, stations and faults", "[pipeline][vxlan]") {
    MachineOptions machine_options;
    machine_options.burst = GENERATE(1U, 3U, 32U, 200U, 256U);
    VxlanMachine machine(machine_options);
    std::vector<LinkId> tunnels;
    for (std::uint32_t i = 0; i < 20; ++i) {
        tunnels.push_back(machine.add_vxlan(1000 + i, static_cast<std::uint16_t>(5000 + i % 3)));
        machine.change(tunnels.back(), [](Link& link) { link.bridge_port.learning = false; });
        machine.enslave(tunnels.back(), machine.bridge);
    }
    std::vector<Bytes> expected;
    std::array<std::uint64_t, 20> per_tunnel{};
    std::uint64_t bad = 0;
    for (std::uint32_t i = 0; i < 700; ++i) {
        const std::uint32_t tunnel = i * 7 / 3 % 20;
        const Bytes inner = station_frame(kNear, mac(0x2000 + i / 5), i % 90).bytes();
        OuterOptions options;
        options.udp_port = static_cast<std::uint16_t>(5000 + tunnel % 3);
        options.second_word = (1000 + tunnel) << 8 | (i % 11 == 0 ? 1U : 0U);
        machine.receive_exact(machine.underlay, vxlan_packet(inner, options));
        if (i % 11 == 0) {
            ++bad;
        } else {
            expected.push_back(inner);
            ++per_tunnel[tunnel];
        }
    }
    machine.run();
    CHECK(machine.sent(machine.access) == expected);
    std::uint64_t refused = 0;
    for (std::size_t i = 0; i < tunnels.size(); ++i) {
        CHECK(machine.rx_packets(tunnels[i]) == per_tunnel[i]);
        refused += machine.drops(tunnels[i], Drop::vxlan_reserved_bits);
    }
    CHECK(refused == bad);
    CHECK(machine.dropped() == bad);
}

}  // namespace culvert::pipeline::test
