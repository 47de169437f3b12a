// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/slow_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <cstring>

namespace culvert::control::test {

namespace {

using pipeline::Drop;
using pipeline::Punt;
using Bytes = std::vector<std::uint8_t>;

const net::MacAddress kPeer = mac("02:00:00:00:09:09");

template <typename Header>
void append(Bytes& bytes, const Header& header) {
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&header);
    bytes.insert(bytes.end(), raw, raw + sizeof(header));
}

template <typename Header>
Header header_of(const Bytes& bytes, std::size_t offset) {
    REQUIRE(bytes.size() >= offset + sizeof(Header));
    Header header{};
    std::memcpy(&header, bytes.data() + offset, sizeof(header));
    return header;
}

struct ArpText {
    std::uint16_t operation = net::arp::kRequest;
    std::string sender = "192.0.2.2";
    std::string target = "192.0.2.1";
    net::MacAddress destination = net::kBroadcastMac;
    net::MacAddress sender_mac = kPeer;
};

Bytes arp_frame(const ArpText& text) {
    Bytes bytes;
    append(
        bytes, net::EtherHeader{text.destination, text.sender_mac, net::Be16{net::ether_type::kArp}}
    );
    net::ArpHeader arp{};
    arp.hardware_type = net::Be16{net::arp::kHardwareEthernet};
    arp.protocol_type = net::Be16{net::ether_type::kIpv4};
    arp.hardware_length = 6;
    arp.protocol_length = 4;
    arp.operation = net::Be16{text.operation};
    arp.sender_mac = text.sender_mac;
    arp.sender_ip = net::Be32{ip(text.sender).v4()};
    arp.target_ip = net::Be32{ip(text.target).v4()};
    append(bytes, arp);
    return bytes;
}

Bytes echo_request(
    const std::string& source,
    const std::string& destination,
    std::size_t payload,
    std::uint8_t type = 8
) {
    Bytes bytes;
    append(
        bytes, net::EtherHeader{mac("02:00:00:00:00:10"), kPeer, net::Be16{net::ether_type::kIpv4}}
    );
    net::Ipv4Header header{};
    header.version_and_ihl = net::kIpv4VersionIhl;
    header.type_of_service = 0x20;
    header.total_length = net::Be16{static_cast<std::uint16_t>(28 + payload)};
    header.time_to_live = 3;
    header.protocol = net::ip_protocol::kIcmp;
    header.source = net::Be32{ip(source).v4()};
    header.destination = net::Be32{ip(destination).v4()};
    header.checksum = net::ipv4_header_checksum(header);
    append(bytes, header);
    append(bytes, net::IcmpEchoHeader{type, 0, net::Be16{0}, net::Be16{0x1234}, net::Be16{7}});
    for (std::size_t i = 0; i < payload; ++i) {
        bytes.push_back(static_cast<std::uint8_t>(i * 7));
    }
    const net::Be16 checksum =
        net::checksum_from_sum(net::sum_bytes(bytes.data() + 34, bytes.size() - 34));
    std::memcpy(bytes.data() + 36, &checksum, sizeof(checksum));
    return bytes;
}

struct Host : CoreFixture {
    Host() {
        port = add_quiet_port(0);
        add_address(port, "192.0.2.1/24");
        (void)drain();
    }

    std::size_t drain() {
        std::size_t n = 0;
        while (!sent_bytes().empty()) {
            ++n;
        }
        return n;
    }

    const route::Neighbour* neighbour(const std::string& address) {
        return core->routing().neighbours().find({port, ip(address)});
    }

    bool is_balanced() {
        const ProcessStats now = core->process_stats();
        return now.received + now.originated ==
               now.sent + now.dropped + now.consumed + now.in_flight;
    }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE_METHOD(Host, "NEI-11 requests for any address of ours are answered", "[control][arp]") {
    const LinkId dummy = add_link("d0", pipeline::LinkKind::dummy);
    REQUIRE(up(dummy));
    add_address(dummy, "203.0.113.1/32");
    ArpText text;
    text.target = GENERATE("192.0.2.1", "203.0.113.1");
    punt(arp_frame(text), Punt::arp, port);
    LinkId link = kNoLink;
    const Bytes reply = sent_bytes(&link);
    CHECK(link == port);
    REQUIRE(reply.size() == 42);
    const auto ether = header_of<net::EtherHeader>(reply, 0);
    CHECK(ether.destination == kPeer);
    CHECK(ether.source == record(port).mac);
    CHECK(ether.type.host() == net::ether_type::kArp);
    const auto arp = header_of<net::ArpHeader>(reply, 14);
    CHECK(arp.is_ethernet_ipv4());
    CHECK(arp.operation.host() == net::arp::kReply);
    CHECK(arp.sender_mac == record(port).mac);
    CHECK(arp.sender_ip.host() == ip(text.target).v4());
    CHECK(arp.target_mac == kPeer);
    CHECK(arp.target_ip.host() == ip("192.0.2.2").v4());
    CHECK(sent() == nullptr);
}

TEST_CASE_METHOD(
    Host, "NEI-11 requests for others, groups and by martians are not answered", "[control][arp]"
) {
    ArpText text;
    SECTION("another's address") {
        text.target = "192.0.2.77";
    }
    SECTION("a group") {
        text.target = "224.0.0.1";
    }
    SECTION("loopback") {
        text.target = "127.0.0.1";
    }
    SECTION("asked by a group") {
        text.sender = "224.0.0.1";
    }
    SECTION("asked by ourselves") {
        text.sender = "192.0.2.1";
    }
    SECTION("a reply") {
        text.operation = net::arp::kReply;
    }
    punt(arp_frame(text), Punt::arp, port);
    CHECK(sent() == nullptr);
    CHECK(neighbour(text.sender) == nullptr);
    CHECK(core->process_stats().consumed == 1);
    CHECK(core->process_stats().dropped == 0);
}

TEST_CASE_METHOD(
    Host, "NEI-11 a probe for our address is answered and learned from nobody", "[control][arp]"
) {
    ArpText text;
    text.sender = "0.0.0.0";
    punt(arp_frame(text), Punt::arp, port);
    const Bytes reply = sent_bytes();
    REQUIRE(reply.size() == 42);
    CHECK(header_of<net::ArpHeader>(reply, 14).target_ip.host() == 0);
    CHECK(core->routing().neighbours().size() == 0);
}

TEST_CASE_METHOD(
    Host,
    "NEI-10 whoever asks for us is known as stale, whoever asks for others is not",
    "[control][arp]"
) {
    punt(arp_frame({}), Punt::arp, port);
    REQUIRE(neighbour("192.0.2.2") != nullptr);
    CHECK(neighbour("192.0.2.2")->state == route::NeighbourState::stale);
    CHECK(neighbour("192.0.2.2")->mac == kPeer);
    ArpText other;
    other.sender = "192.0.2.3";
    other.target = "192.0.2.4";
    punt(arp_frame(other), Punt::arp, port);
    CHECK(neighbour("192.0.2.3") == nullptr);
}

TEST_CASE_METHOD(Host, "malformed ARP is a drop of its own", "[control][arp]") {
    Bytes frame = arp_frame({});
    SECTION("hardware type") {
        frame[15] = 2;
    }
    SECTION("protocol type") {
        frame[16] = 0x86;
    }
    SECTION("hardware length") {
        frame[18] = 5;
    }
    SECTION("protocol length") {
        frame[19] = 16;
    }
    SECTION("operation") {
        frame[21] = 3;
    }
    SECTION("sender MAC zero") {
        std::fill_n(frame.begin() + 22, 6, std::uint8_t{0});
    }
    SECTION("sender MAC a group") {
        frame[22] = 1;
    }
    SECTION("truncated") {
        frame.resize(41);
    }
    punt(frame, Punt::arp, port);
    CHECK(core->drops(port, Drop::arp_malformed) == 1);
    CHECK(core->process_stats().dropped == 1);
    CHECK(sent() == nullptr);
}

TEST_CASE_METHOD(Host, "an echo request is answered along the route back", "[control][icmp]") {
    punt(arp_frame({}), Punt::arp, port);  // the peer is known
    REQUIRE(drain() == 1);
    const std::size_t payload = GENERATE(0U, 1U, 56U, 1000U);
    CAPTURE(payload);
    const Bytes request = echo_request("192.0.2.2", "192.0.2.1", payload);
    punt(request, Punt::icmp, port);
    LinkId link = kNoLink;
    const Bytes reply = sent_bytes(&link);
    CHECK(link == port);
    REQUIRE(reply.size() == request.size());
    const auto ether = header_of<net::EtherHeader>(reply, 0);
    CHECK(ether.destination == kPeer);
    CHECK(ether.source == record(port).mac);
    const auto header = header_of<net::Ipv4Header>(reply, 14);
    CHECK(header.source.host() == ip("192.0.2.1").v4());
    CHECK(header.destination.host() == ip("192.0.2.2").v4());
    CHECK(header.time_to_live == 64);
    CHECK(header.type_of_service == 0x20);
    CHECK(net::ipv4_header_checksum_is_valid(header));
    const auto icmp = header_of<net::IcmpEchoHeader>(reply, 34);
    CHECK(icmp.type == net::icmp_type::kEchoReply);
    CHECK(net::sum_is_valid(net::sum_bytes(reply.data() + 34, reply.size() - 34)));
    CHECK(std::equal(reply.begin() + 38, reply.end(), request.begin() + 38));
    CHECK(core->process_stats().consumed == 2);
    CHECK(core->process_stats().originated == 2);
}

TEST_CASE_METHOD(
    Host,
    "an echo reply goes to the gateway of its route, not back to the sender",
    "[control][icmp]"
) {
    route::Route route;
    route.prefix = prefix("198.51.100.0/24");
    route.gateway = ip("192.0.2.254");
    REQUIRE(core->routing().modify_route(route::RouteVerb::add, route));
    (void)drain();
    punt(echo_request("198.51.100.5", "192.0.2.1", 8), Punt::icmp, port);
    const Bytes question = sent_bytes();
    REQUIRE(question.size() == 42);
    CHECK(header_of<net::EtherHeader>(question, 0).destination == net::kBroadcastMac);
    CHECK(header_of<net::ArpHeader>(question, 14).target_ip.host() == ip("192.0.2.254").v4());
    CHECK(header_of<net::ArpHeader>(question, 14).sender_ip.host() == ip("192.0.2.1").v4());
    CHECK(core->process_stats().in_flight == 1);
    CHECK(is_balanced());

    ArpText answer;
    answer.operation = net::arp::kReply;
    answer.sender = "192.0.2.254";
    answer.sender_mac = mac("02:00:00:00:fe:fe");
    answer.destination = record(port).mac;
    punt(arp_frame(answer), Punt::arp, port);
    const Bytes reply = sent_bytes();
    REQUIRE(reply.size() == 50);
    CHECK(header_of<net::EtherHeader>(reply, 0).destination == mac("02:00:00:00:fe:fe"));
    CHECK(header_of<net::Ipv4Header>(reply, 14).destination.host() == ip("198.51.100.5").v4());
}

TEST_CASE_METHOD(
    Host, "IPO-QX-05 an echo reply without a route is dropped by name", "[control][icmp]"
) {
    punt(echo_request("198.51.100.5", "192.0.2.1", 8), Punt::icmp, port);
    CHECK(core->drops(kNoLink, Drop::ip4_no_route) == 1);
    CHECK(core->count(pipeline::IpCounter::out_requests) == 1);
    CHECK(core->count(pipeline::IpCounter::out_no_routes) == 1);
    CHECK(is_balanced());
}

TEST_CASE_METHOD(Host, "bad ICMP and other types are drops", "[control][icmp]") {
    Bytes frame = echo_request("192.0.2.2", "192.0.2.1", 8);
    SECTION("checksum") {
        frame[45] ^= 1;
        punt(frame, Punt::icmp, port);
        CHECK(core->drops(port, Drop::icmp_malformed) == 1);
    }
    SECTION("truncated at every length") {
        for (std::size_t len = 14; len < 42; ++len) {
            punt(
                Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(len)),
                Punt::icmp,
                port
            );
        }
        CHECK(core->drops(port, Drop::icmp_malformed) == 28);
    }
    SECTION("type") {
        punt(echo_request("192.0.2.2", "192.0.2.1", 8, 13), Punt::icmp, port);
        CHECK(core->drops(port, Drop::icmp_not_handled) == 1);
    }
    CHECK(sent() == nullptr);
    CHECK(is_balanced());
}

TEST_CASE_METHOD(
    Host, "a packet whose next hop never answers is dropped and counted", "[control][arp]"
) {
    rte_mbuf* waiting = packet(Bytes(60, 0), Punt::resolve, kNoLink);
    pipeline::note(waiting).link_out = port;
    pipeline::next_hop_of(waiting) = ip("192.0.2.9");
    core->own_counters().received.add(1);
    core->slow_path().handle(waiting);
    CHECK(core->process_stats().in_flight >= 1);
    CHECK(drain() == 1);
    for (std::uint64_t now = 1000; now <= 6000; now += 100) {
        core->set_now_ms(now);
        core->turn();
    }
    CHECK(drain() == 2);
    CHECK(core->drops(port, Drop::neighbour_failed) == 1);
}

TEST_CASE_METHOD(
    Host,
    "who asks while a link with many routes goes down is answered before that ends",
    "[control]"
) {
    const LinkId other = add_quiet_port(1);
    add_address(other, "198.51.100.1/24");
    route::Route route;
    route.link = other;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        route.prefix = {net::IpAddress::from_v4(0x0a000000 + (i << 8)), 24};
        REQUIRE(core->routing().modify_route(route::RouteVerb::add, route));
    }
    (void)drain();
    offer(arp_frame({}), Punt::arp, port);
    REQUIRE(up(other, false));
    // No turn has come since.
    CHECK(drain() == 1);
    CHECK(core->routing().lookup(ip("10.0.0.1")).kind == route::AdjacencyKind::no_route);
    CHECK(core->routing().lookup(ip("10.3.231.1")).kind == route::AdjacencyKind::no_route);
    CHECK(is_balanced());
}

TEST_CASE_METHOD(Host, "a packet for a link that has gone is dropped", "[control]") {
    rte_mbuf* waiting = packet(Bytes(60, 0), Punt::resolve, kNoLink);
    pipeline::note(waiting).link_out = 999;
    pipeline::next_hop_of(waiting) = ip("192.0.2.9");
    core->slow_path().handle(waiting);
    CHECK(core->drops(999, Drop::link_gone) == 1);
}

}  // namespace culvert::control::test
