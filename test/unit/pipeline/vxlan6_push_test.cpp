// SPDX-License-Identifier: BSD-3-Clause
// What goes into a tunnel over IPv6, and what is too big for it.
#include "test/unit/pipeline/vxlan6_machine.hpp"

namespace culvert::pipeline::test {

TEST_CASE(
    "VXLAN-TX-06 VXLAN-TX-07 VXLAN-TX-35 frames to one IPv6 remote and to several",
    "[pipeline][vxlan6]"
) {
    Machine6 machine;
    const auto first = machine.add_template6(kVtep6);
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({first}));
    machine.send_from_control(machine.vx6, kFrame);
    machine.run();
    auto sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 1);
    CHECK(behind(sent[0]) == kFrame.bytes());
    CHECK(last_of_destination(sent[0]) == 2);
    CHECK(machine.tx_bytes(machine.vx6) == kFrame.bytes().size() - 14);

    std::vector<encap::VxlanTemplates::Id> all{first};
    all.push_back(machine.add_template6("2001:db8::3"));
    all.push_back(machine.add_template6("2001:db8::4"));
    machine.add_fdb(machine.vx6, net::MacAddress{}, machine.add_destination6(all));
    machine.send_from_control(machine.vx6, station_frame(mac(0x99), kNear));
    machine.run();
    sent = machine.sent(machine.underlay);
    REQUIRE(sent.size() == 3);
    CHECK(last_of_destination(sent[0]) == 3);
    CHECK(last_of_destination(sent[1]) == 4);
    CHECK(last_of_destination(sent[2]) == 2);
    for (const Bytes& bytes : sent) {
        CHECK(behind(bytes) == station_frame(mac(0x99), kNear).bytes());
    }
    CHECK(machine.tx_packets(machine.vx6) == 4);
    machine.expect_no_drop();
}

TEST_CASE("what one machine sends over IPv6 another takes", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({machine.add_template6(kVtep6)}));
    machine.send_from_control(machine.vx6, kFrame);
    machine.run();
    Bytes sent = machine.sent(machine.underlay).at(0);
    const net::MacAddress ours = Machine::port_mac(0);
    std::memcpy(sent.data(), &ours, sizeof(ours));
    // There and back: the sum of the addresses stays.
    std::swap_ranges(sent.begin() + 22, sent.begin() + 38, sent.begin() + 38);
    machine.receive(machine.underlay, sent, true);
    machine.run();
    CHECK(machine.rx_packets(machine.vx6) == 1);
    CHECK(machine.rx_bytes(machine.vx6) == kFrame.bytes().size() - 14);
}

TEST_CASE("VXLAN-TX-28 VXLAN-BYP-01 an IPv6 remote that is ourselves", "[pipeline][vxlan6]") {
    Machine6 machine;
    const LinkId other = machine.add_vxlan6([](Link& link) { link.vxlan.vni = 50; });
    machine.vxlan_demux.insert(encap::VxlanKey::make(kUdpPort, 50), machine.vx);
    auto outer = std::make_unique<encap::VxlanTemplate>();
    outer->state = encap::TunnelState::local;
    outer->is_ipv6 = true;
    outer->vni = 50;
    outer->destination_port = kUdpPort;
    const auto id = machine.vxlan_templates.allocate();
    machine.vxlan_templates.publish(id, std::move(outer));
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({id}));
    machine.send_from_control(machine.vx6, kFrame);
    machine.run();
    CHECK(machine.rx_packets(other) == 1);
    const auto learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address("::1"));
    CHECK(learned[0].domain == other);
}

namespace {

// A frame of an IPv6 packet with `payload` bytes behind its header.
Bytes ip6_frame(std::size_t payload, std::uint8_t next_header = net::ip_protocol::kNoNextHeader) {
    Bytes bytes = Packet().ether(kFar, kNear, net::ether_type::kIpv6).bytes();
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(0x20, 0x777);
    ip.payload_length = net::Be16{static_cast<std::uint16_t>(payload)};
    ip.next_header = next_header;
    ip.hop_limit = 61;
    ip.source = address("2001:db8:9::1").bytes();
    ip.destination = address("2001:db8:9::2").bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    bytes.insert(bytes.end(), raw, raw + sizeof(ip));
    bytes.resize(bytes.size() + payload, 1);
    return bytes;
}

struct Narrow : Machine6 {
    Narrow() { add_fdb(vx6, kFar, add_destination6({add_template6(kVtep6, 1400)})); }

    void send(const Bytes& frame) {
        forget_drops();
        send_from_control(vx6, Packet().raw(frame));
        run();
    }
};

}  // namespace

TEST_CASE(
    "VXLAN-PMTU-02 a bridge's IPv6 sender hears of a frame that is too big", "[pipeline][vxlan6]"
) {
    Narrow machine;
    const Bytes frame = ip6_frame(1400);
    machine.send(frame);
    CHECK(machine.sent(machine.underlay).empty());
    const auto answers = machine.sent(machine.access);
    REQUIRE(answers.size() == 1);
    const Bytes& answer = answers[0];
    const auto& ip = *reinterpret_cast<const net::Ipv6Header*>(&answer[14]);
    CHECK(net::IpAddress::from_v6(ip.source) == address("2001:db8:9::2"));
    CHECK(net::IpAddress::from_v6(ip.destination) == address("2001:db8:9::1"));
    CHECK(ip.hop_limit == 61);
    CHECK(ip.version_class_flow.host() == std::uint32_t{6} << 28);
    REQUIRE(answer.size() == 14 + net::kIpv6MinMtu);
    CHECK(answer[54] == net::icmpv6_type::kPacketTooBig);
    CHECK(word_at(answer, 58) == 1400 - 70);
    CHECK(std::equal(answer.begin() + 62, answer.end(), frame.begin() + 14));
    const std::uint64_t pseudo = net::pseudo_header_sum_v6(
        ip.source,
        ip.destination,
        net::ip_protocol::kIcmpv6,
        static_cast<std::uint32_t>(answer.size() - 54)
    );
    CHECK(net::sum_is_valid(net::sum_bytes(&answer[54], answer.size() - 54, pseudo)));
    // VXLAN-BYP-01
    CHECK(machine.rx_packets(machine.vx6) == 1);
    CHECK(machine.tx_packets(machine.vx6) == 1);
    machine.expect_no_drop();
}

TEST_CASE("VXLAN-PMTU-02 IPv6 frames that are not answered", "[pipeline][vxlan6]") {
    Narrow machine;
    Bytes frame = ip6_frame(1400, net::ip_protocol::kIcmpv6);
    frame[54] = net::icmpv6_type::kPacketTooBig;
    SECTION("an error") {}
    SECTION("a redirect") {
        frame[54] = net::icmpv6_type::kRedirect;
    }
    SECTION("a fragment") {
        frame = ip6_frame(1400, net::ip_protocol::kFragment);
    }
    SECTION("to a group") {
        frame = ip6_frame(1400);
        frame[38] = 0xff;
    }
    SECTION("from nobody") {
        frame = ip6_frame(1400);
        std::fill_n(frame.begin() + 22, 16, std::uint8_t{0});
    }
    machine.send(frame);
    CHECK(machine.sent(machine.access).empty());
    machine.expect_only_drop(machine.vx6, Drop::vxlan6_too_big);
}

TEST_CASE(
    "TUN-TX-21 VXLAN-PMTU-03 over IPv6 nothing is cut; a router tells the sender",
    "[pipeline][vxlan6]"
) {
    Narrow machine;
    // Without DF a bridged frame has no answer, and IPv6 does not fragment on the way.
    machine.send(station_frame(kFar, kNear, 1400).bytes());
    machine.expect_only_drop(machine.vx6, Drop::vxlan6_too_big);
    CHECK(machine.icmp_asked().empty());
    CHECK(
        info(Drop::vxlan6_too_big).counters ==
        (KernelCounters::tx_errors | KernelCounters::tx_aborted_errors)
    );

    machine.enslave(machine.vx6, kNoLink);
    machine.send(ip6_frame(1400));
    machine.expect_only_drop(machine.vx6, Drop::vxlan6_too_big);
    auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kPacketTooBig);
    CHECK(asked[0].error.info == 1330);
    Ipv4Options df;
    df.flags_and_offset = net::kIpv4DontFragment;
    machine.send(Packet().ether(kFar, kNear).ipv4(df).udp(1, 2).payload(1400).bytes());
    asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.code == net::icmp_unreachable::kFragmentationNeeded);
    CHECK(asked[0].error.info == 1330);
    CHECK(machine.sent(machine.underlay).empty());
}

}  // namespace culvert::pipeline::test
