// SPDX-License-Identifier: BSD-3-Clause
// A tunnel over IPv6: port 0 is the underlay with 2001:db8::1, `vx6` is VNI 42 on UDP port 8472, in
// one bridge with port 1.
#include "lib/encap/vxlan_pop6.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/pipeline/vxlan_machine.hpp"

namespace culvert::pipeline::test {

namespace {

constexpr const char* kOurs = "2001:db8::1";
constexpr const char* kVtep6 = "2001:db8::2";
constexpr std::size_t kOuterLen = 70;
const Bytes kInner = station_frame(kNear, kFar).bytes();

net::IpAddress address(const char* text) {
    return net::IpAddress::parse(text).value();
}

struct Outer6 {
    const char* source = kVtep6;
    const char* destination = kOurs;
    std::uint16_t udp_port = kUdpPort;
    std::uint32_t flags = net::vxlan::kVniValid;
    std::uint32_t second_word = kVni << 8;
    std::uint8_t traffic_class = 0;
    bool has_checksum = true;
};

void append_word(Bytes& bytes, std::uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<std::uint8_t>(word >> shift));
    }
}

Bytes packet6(const Bytes& inner, const Outer6& what = {}) {
    Bytes payload;
    append_word(payload, std::uint32_t{40000} << 16 | what.udp_port);
    append_word(payload, static_cast<std::uint32_t>(16 + inner.size()) << 16);
    append_word(payload, what.flags);
    append_word(payload, what.second_word);
    payload.insert(payload.end(), inner.begin(), inner.end());
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(what.traffic_class, 0);
    ip.payload_length = net::Be16{static_cast<std::uint16_t>(payload.size())};
    ip.next_header = net::ip_protocol::kUdp;
    ip.hop_limit = 64;
    ip.source = address(what.source).bytes();
    ip.destination = address(what.destination).bytes();
    if (what.has_checksum) {
        const std::uint64_t pseudo = net::pseudo_header_sum_v6(
            ip.source,
            ip.destination,
            net::ip_protocol::kUdp,
            static_cast<std::uint32_t>(payload.size())
        );
        const net::Be16 sum =
            net::udp_checksum_from_sum(net::sum_bytes(payload.data(), payload.size(), pseudo));
        std::memcpy(&payload[6], &sum, sizeof(sum));
    }
    Bytes bytes = Packet().ether(Machine::port_mac(0), kVtep, net::ether_type::kIpv6).bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&ip);
    bytes.insert(bytes.end(), raw, raw + sizeof(ip));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

struct Machine6 : VxlanMachine {
    Machine6()
        : vx6(add_vxlan6([](Link&) {})) {
        add_local("2001:db8::1/128");
        enslave(vx6, bridge);
    }

    template <typename Change>
    LinkId add_vxlan6(Change&& change) {
        Link link;
        link.kind = LinkKind::vxlan;
        link.up = true;
        link.mac = mac(0x1666);
        link.mtu = 1430;
        link.vxlan.vni = kVni;
        link.vxlan.is_ipv6 = true;
        link.vxlan.destination_port = kUdpPort;
        change(link);
        const LinkId id = add_link(link);
        fdb.add_domain(id, {});
        const std::uint64_t flags =
            link.vxlan.no_checksum6_rx ? encap::VxlanKey::kNoChecksum : std::uint64_t{0};
        vxlan_demux.insert(encap::VxlanKey::socket_of(link.vxlan), flags);
        vxlan_demux.insert(encap::VxlanKey::of(link.vxlan), id);
        return id;
    }

    encap::VxlanTemplates::Id add_template6(
        const char* remote,
        std::uint32_t mtu = 1500,
        encap::TunnelState state = encap::TunnelState::ready
    ) {
        route::Adjacency neighbour;
        neighbour.link_out = underlay;
        neighbour.header_len = 14;
        const net::EtherHeader ether{kVtep, link(underlay).mac, net::Be16{net::ether_type::kIpv6}};
        std::memcpy(neighbour.header.data(), &ether, sizeof(ether));
        route::Path way = path(underlay);
        way.next_hop = address(remote);
        way.source = address(kOurs);
        way.mtu = mtu;
        auto outer = std::make_unique<encap::VxlanTemplate>(encap::build_vxlan_template(
            link(vx6).vxlan, vx6, {address(remote), kVni, kUdpPort, kNoLink}, way, neighbour
        ));
        outer->state = state;
        const encap::VxlanTemplates::Id id = vxlan_templates.allocate();
        vxlan_templates.publish(id, std::move(outer));
        return id;
    }

    std::uint32_t add_destination6(
        const std::vector<encap::VxlanTemplates::Id>& ids,
        const char* first = kVtep6,
        LinkId via = kNoLink
    ) {
        const std::uint32_t id = add_destination(vx6, ids);
        auto destination = std::make_unique<encap::VxlanDestination>();
        destination->first_address = address(first);
        destination->first_via = via;
        destination->device = vx6;
        destination->count = static_cast<std::uint32_t>(ids.size());
        std::copy(ids.begin(), ids.end(), destination->inline_ids.begin());
        vxlan_destinations.publish(id, std::move(destination));
        return id;
    }

    // What is to be learned of vxlan links; the bridge has its own.
    std::vector<fdb::LearnEvent> heard() {
        std::vector<fdb::LearnEvent> events = learned();
        std::erase_if(events, [this](const fdb::LearnEvent& e) { return e.domain == bridge; });
        return events;
    }

    void expect6(const Bytes& bytes, LinkId on, Drop reason) {
        forget_drops();
        receive(underlay, bytes, true);
        run();
        expect_only_drop(on, reason);
        CHECK(sent(access).empty());
        CHECK(rx_packets(vx6) == 0);
    }

    LinkId vx6;
};

Bytes behind(const Bytes& outer) {
    return {outer.begin() + kOuterLen, outer.end()};
}

std::uint8_t last_of_destination(const Bytes& outer) {
    return outer.at(53);
}

}  // namespace

TEST_CASE("VXLAN-RX-09 VXLAN-RX-15 a frame comes out of IPv6", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.receive(machine.underlay, packet6(kInner), true);
    machine.run();
    CHECK(machine.sent(machine.access) == std::vector<Bytes>{kInner});
    CHECK(machine.rx_packets(machine.vx6) == 1);
    CHECK(machine.rx_bytes(machine.vx6) == kInner.size() - 14);
    CHECK(machine.rx_packets(machine.vx) == 0);
    machine.expect_no_drop();
}

TEST_CASE("VXLAN-SOCK-02b the families have ports and VNIs of their own", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.receive(machine.underlay, packet6(kInner), true);
    machine.receive_exact(machine.underlay, vxlan_packet(kInner));
    machine.run();
    CHECK(machine.sent(machine.access).size() == 2);
    CHECK(machine.rx_packets(machine.vx6) == 1);
    CHECK(machine.rx_packets(machine.vx) == 1);
    // Nobody has the VNI over IPv6, whatever there is over IPv4.
    machine.add_vxlan(43);
    Outer6 other;
    other.second_word = 43 << 8;
    machine.forget_drops();
    machine.receive(machine.underlay, packet6(kInner, other));
    machine.run();
    machine.expect_only_drop(machine.underlay, Drop::vxlan_unknown_vni);
}

TEST_CASE(
    "VXLAN-RX-02 VXLAN-RX-03 VXLAN-RX-18 headers over IPv6 that must be dropped",
    "[pipeline][vxlan6]"
) {
    Machine6 machine;
    const auto drop = [&](std::uint32_t flags, std::uint32_t second, LinkId link, Drop reason) {
        Outer6 outer;
        outer.flags = flags;
        outer.second_word = second;
        machine.expect6(packet6(kInner, outer), link, reason);
    };
    drop(0, 0x2a00, machine.underlay, Drop::vxlan_no_vni_flag);
    drop(0x08000001, 0x2a00, machine.vx6, Drop::vxlan_reserved_bits);
    drop(0x08000000, 0x2a01, machine.vx6, Drop::vxlan_reserved_bits);
    drop(0x08000000, 0x2b00, machine.underlay, Drop::vxlan_unknown_vni);
    machine.expect6(packet6(Bytes(13)), machine.vx6, Drop::vxlan_inner_truncated);
    const Bytes own = station_frame(kNear, mac(0x1666)).bytes();
    machine.expect6(packet6(own), machine.vx6, Drop::vxlan_own_source);
    const Bytes group = station_frame(kNear, net::MacAddress{}).bytes();
    machine.expect6(packet6(group), machine.vx6, Drop::vxlan_source_invalid);
    CHECK(machine.heard().empty());
}

TEST_CASE("VXLAN-SOCK-09 no socket over IPv6: the sender is told", "[pipeline][vxlan6]") {
    Machine6 machine;
    Outer6 other;
    other.udp_port = 4789;
    machine.expect6(packet6(kInner, other), machine.underlay, Drop::udp_no_port);
    const auto asked = machine.icmp_asked();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].error.type == net::icmpv6_type::kDestinationUnreachable);
    CHECK(asked[0].error.code == 4);
    CHECK(asked[0].bytes == packet6(kInner, other));
}

TEST_CASE(
    "VXLAN-SOCK-11 VXLAN-CSUM-04 IPv6 without a checksum is taken by udp6zerocsumrx alone",
    "[pipeline][vxlan6]"
) {
    Machine6 machine;
    Outer6 bare;
    bare.has_checksum = false;
    machine.expect6(packet6(kInner, bare), machine.underlay, Drop::udp_no_checksum);
    // Before anybody asks for the port or the VNI.
    bare.second_word = 43 << 8;
    machine.expect6(packet6(kInner, bare), machine.underlay, Drop::udp_no_checksum);
    bare.udp_port = 4790;
    machine.expect6(packet6(kInner, bare), machine.underlay, Drop::udp_no_checksum);
    CHECK(machine.icmp_asked().empty());
    Bytes wrong = packet6(kInner);
    wrong[60] ^= 1;
    machine.expect6(wrong, machine.underlay, Drop::udp_checksum);

    const LinkId tolerant = machine.add_vxlan6([](Link& link) {
        link.vxlan.destination_port = 4789;
        link.vxlan.no_checksum6_rx = true;
        link.master = kNoLink;
    });
    Outer6 good;
    good.udp_port = 4789;
    good.has_checksum = false;
    machine.receive(machine.underlay, packet6(kInner, good), true);
    machine.run();
    CHECK(machine.rx_packets(tolerant) == 1);
    // On that port such a packet is as good as another.
    good.second_word = 43 << 8;
    machine.expect6(packet6(kInner, good), machine.underlay, Drop::vxlan_unknown_vni);
}

TEST_CASE("TUN-ECN-01 congestion marked on IPv6 outside", "[pipeline][vxlan6]") {
    Machine6 machine;
    Outer6 marked;
    marked.traffic_class = 3;
    machine.expect6(packet6(kInner, marked), machine.vx6, Drop::vxlan_ecn);
    Ipv4Options capable;
    capable.tos = 2;
    const Bytes inner =
        Packet().ether(kNear, kFar).ipv4(capable).udp(1000, 2000).payload(30).bytes();
    machine.receive(machine.underlay, packet6(inner, marked), true);
    machine.run();
    const auto sent = machine.sent(machine.access);
    REQUIRE(sent.size() == 1);
    CHECK((sent[0][15] & 3) == 3);
}

TEST_CASE("VXLAN-LRN-03 VXLAN-LRN-05 a station is learned behind IPv6", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.receive(machine.underlay, packet6(kInner), true);
    machine.run();
    auto learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address(kVtep6));
    CHECK(learned[0].mac == kFar);
    CHECK(learned[0].domain == machine.vx6);
    CHECK(learned[0].port == kNoLink);

    // Known there: no word more. Elsewhere: it has moved.
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({}));
    machine.receive(machine.underlay, packet6(kInner), true);
    machine.run();
    CHECK(machine.heard().empty());
    Outer6 moved;
    moved.source = "2001:db8::3";
    machine.receive(machine.underlay, packet6(kInner, moved), true);
    machine.run();
    learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address("2001:db8::3"));
}

TEST_CASE("VXLAN-LRN-04 a static entry behind IPv6 does not move", "[pipeline][vxlan6]") {
    Machine6 machine;
    machine.add_fdb(machine.vx6, kFar, machine.add_destination6({}), true);
    Outer6 moved;
    moved.source = "2001:db8::3";
    machine.expect6(packet6(kInner, moved), machine.vx6, Drop::vxlan_source_pinned);
    CHECK(machine.heard().empty());
}

TEST_CASE(
    "VXLAN-LRN-07 VXLAN-SOCK-06 link-local VTEPs are known on their link", "[pipeline][vxlan6]"
) {
    Machine6 machine;
    Outer6 near;
    near.source = "fe80::2";
    near.destination = "fe80::1";
    near.second_word = 44 << 8;
    machine.add_vxlan6([&](Link& link) {
        link.mac = mac(0x1777);
        link.vxlan.vni = 44;
        link.vxlan.local = address("fe80::1");
        link.vxlan.lower = machine.underlay;
    });
    machine.receive(machine.underlay, packet6(kInner, near), true);
    machine.run();
    const auto learned = machine.heard();
    REQUIRE(learned.size() == 1);
    CHECK(learned[0].source == address("fe80::2"));
    CHECK(learned[0].port == machine.underlay);
    // By another link it is not its packet.
    machine.forget_drops();
    Bytes elsewhere = packet6(kInner, near);
    const net::MacAddress other = Machine::port_mac(2);
    std::memcpy(elsewhere.data(), &other, sizeof(other));
    machine.receive(machine.port_link(2), elsewhere, true);
    machine.run();
    machine.expect_only_drop(machine.port_link(2), Drop::vxlan_unknown_vni);
}

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
    machine.expect_only_drop(machine.vx6, Drop::vxlan_too_big);
}

TEST_CASE(
    "VXLAN-PMTU-03 over IPv6 nothing is cut; a router tells the sender", "[pipeline][vxlan6]"
) {
    Narrow machine;
    // Without DF a bridged frame has no answer, and IPv6 does not fragment on the way.
    machine.send(station_frame(kFar, kNear, 1400).bytes());
    machine.expect_only_drop(machine.vx6, Drop::vxlan_too_big);
    CHECK(machine.icmp_asked().empty());

    machine.enslave(machine.vx6, kNoLink);
    machine.send(ip6_frame(1400));
    machine.expect_only_drop(machine.vx6, Drop::vxlan_too_big);
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
