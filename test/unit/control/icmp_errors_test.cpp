// SPDX-License-Identifier: BSD-3-Clause
// The errors that control makes: for which packets, from which address, and every byte of them.
#include "lib/control/slow_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/pipeline/icmp_demand.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <cstring>

namespace culvert::control::test {

namespace {

using pipeline::Drop;
using pipeline::IcmpError;
using pipeline::IpCounter;
using pipeline::Punt;
using Bytes = std::vector<std::uint8_t>;

const net::MacAddress kPeer = mac("02:00:00:00:09:09");

struct Options {
    std::string source = "192.0.2.2";
    std::string destination = "198.51.100.7";
    std::uint8_t protocol = net::ip_protocol::kUdp;
    std::uint8_t tos = 0;
    std::uint16_t flags_and_offset = 0;
    net::MacAddress ether_destination = mac("02:00:00:00:00:10");
    Bytes payload = Bytes(40, 0xab);
};

Bytes frame_of(const Options& options) {
    Bytes bytes(14 + 20);
    const net::EtherHeader ether{
        options.ether_destination, kPeer, net::Be16{net::ether_type::kIpv4}};
    std::memcpy(bytes.data(), &ether, sizeof(ether));
    net::Ipv4Header ip{};
    ip.version_and_ihl = net::kIpv4VersionIhl;
    ip.type_of_service = options.tos;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(20 + options.payload.size())};
    ip.identification = net::Be16{0x4321};
    ip.flags_and_offset = net::Be16{options.flags_and_offset};
    ip.time_to_live = 1;
    ip.protocol = options.protocol;
    ip.source = net::Be32{test::ip(options.source).v4()};
    ip.destination = net::Be32{test::ip(options.destination).v4()};
    ip.checksum = net::ipv4_header_checksum(ip);
    std::memcpy(&bytes[14], &ip, sizeof(ip));
    bytes.insert(bytes.end(), options.payload.begin(), options.payload.end());
    return bytes;
}

struct Router : CoreFixture {
    Router() {
        port = add_quiet_port(0);
        other = add_quiet_port(1);
        add_address(port, "192.0.2.1/24");
        add_address(other, "203.0.113.1/24");
        for (const char* host : {"192.0.2.2", "192.0.2.3"}) {
            REQUIRE(core->routing().neighbours().set(
                route::NeighbourTable::Verb::add,
                {port, ip(host)},
                kPeer,
                route::NeighbourState::permanent,
                false,
                core->now_ms()
            ));
        }
        while (!sent_bytes().empty()) {
        }
    }

    // A worker gives the packet up; the message that control sends, from its IP header on.
    Bytes told(const Bytes& frame, const IcmpError& error, Drop reason = Drop::ip4_ttl_exceeded) {
        rte_mbuf* made = packet(frame, Punt::icmp_error, port);
        pipeline::icmp_demand_of(made) = {error, port, reason};
        REQUIRE(rte_ring_enqueue(core->workers().front()->rings.to_control, made) == 0);
        core->own_counters().received.add(1);
        const std::uint64_t before = core->drops(port, reason);
        core->turn();
        CHECK(core->drops(port, reason) == before + 1);
        LinkId link = kNoLink;
        Bytes message = sent_bytes(&link);
        if (!message.empty()) {
            CHECK(link == port);
            message.erase(message.begin(), message.begin() + 14);
        }
        return message;
    }

    std::uint64_t count(IpCounter counter) { return core->own_counters().read(counter); }

    LinkId port = kNoLink;
    LinkId other = kNoLink;
};

net::Ipv4Header ip_of(const Bytes& message) {
    net::Ipv4Header header{};
    REQUIRE(message.size() >= 28);
    std::memcpy(&header, message.data(), sizeof(header));
    CHECK(net::ipv4_header_checksum_is_valid(header));
    CHECK(net::sum_is_valid(net::sum_bytes(message.data() + 20, message.size() - 20)));
    CHECK(header.total_length.host() == message.size());
    return header;
}

net::IcmpHeader icmp_of(const Bytes& message) {
    net::IcmpHeader header{};
    std::memcpy(&header, message.data() + 20, sizeof(header));
    return header;
}

}  // namespace

TEST_CASE_METHOD(
    Router,
    "ICMP-02 ICMP-03 IPO-QX-06 IPO-QX-07 IPO-QX-08 an error, byte by byte",
    "[control][icmp]"
) {
    Options options;
    options.tos = 0xb9;
    const Bytes frame = frame_of(options);
    const Bytes message = told(frame, pipeline::kTimeExceeded);
    const net::Ipv4Header header = ip_of(message);
    CHECK(header.source.host() == ip("192.0.2.1").v4());
    CHECK(header.destination.host() == ip("192.0.2.2").v4());
    CHECK(int{header.type_of_service} == (0xc0 | (0xb9 & 0x1e)));
    CHECK(header.flags_and_offset.host() == 0);
    CHECK(int{header.time_to_live} == 64);
    CHECK(header.protocol == net::ip_protocol::kIcmp);
    CHECK(int{icmp_of(message).type} == 11);
    CHECK(int{icmp_of(message).code} == 0);
    CHECK(icmp_of(message).rest.host() == 0);
    CHECK(Bytes(message.begin() + 28, message.end()) == Bytes(frame.begin() + 14, frame.end()));
    CHECK(count(IpCounter::icmp_out_errors) == 1);
    CHECK(count(IpCounter::icmp_out_time_excds) == 1);
    CHECK(count(IpCounter::out_requests) == 1);
    CHECK(count(IpCounter::out_no_routes) == 0);
    const ProcessStats now = core->process_stats();
    CHECK(now.received + now.originated == now.sent + now.dropped + now.consumed + now.in_flight);
}

TEST_CASE_METHOD(Router, "ICMP-02 no message is longer than 576 bytes", "[control][icmp]") {
    Options options;
    const std::size_t payload = GENERATE(527U, 528U, 529U, 1400U);
    options.payload = Bytes(payload, 0x5a);
    const Bytes frame = frame_of(options);
    const Bytes message = told(frame, pipeline::unreachable(1));
    CHECK(message.size() == std::min<std::size_t>(28 + 20 + payload, 576));
    (void)ip_of(message);
    CHECK(std::memcmp(message.data() + 28, frame.data() + 14, message.size() - 28) == 0);
}

TEST_CASE_METHOD(
    Router, "ICMP-03 what was for us is answered from its address", "[control][icmp]"
) {
    Options options;
    options.destination = "203.0.113.1";
    const Bytes message =
        told(frame_of(options), pipeline::unreachable(2), Drop::ip4_protocol_unknown);
    CHECK(ip_of(message).source.host() == ip("203.0.113.1").v4());
    CHECK(int{icmp_of(message).type} == 3);
    CHECK(int{icmp_of(message).code} == 2);
}

TEST_CASE_METHOD(
    Router, "FRAG-02 fragmentation needed says the next hop's MTU", "[control][icmp]"
) {
    const Bytes message =
        told(frame_of({}), pipeline::fragmentation_needed(1400), Drop::ip4_too_big);
    CHECK(int{icmp_of(message).type} == 3);
    CHECK(int{icmp_of(message).code} == 4);
    CHECK(icmp_of(message).rest.host() == 1400);
    CHECK(count(IpCounter::icmp_out_frag_needed) == 1);
}

TEST_CASE_METHOD(Router, "ICMP-01 what is not answered", "[control][icmp]") {
    std::vector<std::pair<std::string, Options>> cases;
    const auto add = [&](const std::string& what, auto change) {
        Options options;
        change(options);
        cases.emplace_back(what, options);
    };
    add("a later fragment", [](Options& options) { options.flags_and_offset = 0x2001; });
    for (const std::uint8_t type :
         std::initializer_list<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 19}) {
        add("an ICMP error, or what may be one", [type](Options& options) {
            options.protocol = net::ip_protocol::kIcmp;
            options.payload[0] = type;
        });
    }
    add("ICMP whose type is not there", [](Options& options) {
        options.protocol = net::ip_protocol::kIcmp;
        options.payload.clear();
    });
    for (const char* group : {"ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"}) {
        add(group, [group](Options& options) { options.ether_destination = mac(group); });
    }
    for (const char* group : {"224.0.0.5", "255.255.255.255", "192.0.2.255"}) {
        add(group, [group](Options& options) { options.destination = group; });
    }
    for (const char* sender : {"0.0.0.0", "224.0.0.1", "127.0.0.1", "203.0.113.1"}) {
        add(sender, [sender](Options& options) { options.source = sender; });
    }
    std::uint64_t expected = 0;
    for (const auto& [what, options] : cases) {
        CAPTURE(what, int{options.payload.empty() ? std::uint8_t{0} : options.payload[0]});
        CHECK(told(frame_of(options), pipeline::kTimeExceeded).empty());
        CHECK(count(IpCounter::icmp_not_due) == ++expected);
        CHECK(count(IpCounter::icmp_out_errors) == 0);
    }
}

TEST_CASE_METHOD(Router, "ICMP-01 what is answered all the same", "[control][icmp]") {
    Options options;
    SECTION("the first fragment") {
        options.flags_and_offset = 0x2000;
    }
    SECTION("ICMP queries") {
        options.protocol = net::ip_protocol::kIcmp;
        options.payload[0] = GENERATE(as<std::uint8_t>{}, 0, 8, 13, 14, 15, 18);
    }
    CHECK_FALSE(told(frame_of(options), pipeline::kTimeExceeded).empty());
}

TEST_CASE_METHOD(
    Router,
    "ICMP-01 a frame that is no longer as received has no link-layer group",
    "[control][icmp]"
) {
    Options options;
    options.ether_destination = mac("0b:00:00:00:00:00");
    IcmpError error = pipeline::fragmentation_needed(1280);
    error.as_received = false;
    CHECK_FALSE(told(frame_of(options), error).empty());
}

TEST_CASE_METHOD(
    Router, "GOLD-13 ICMP-05 a host gets six at once, frag needed without limit", "[control][icmp]"
) {
    Options options;
    options.destination = "192.0.2.1";
    std::size_t sent = 0;
    for (int i = 0; i < 20; ++i) {
        sent +=
            told(frame_of(options), pipeline::unreachable(3), Drop::udp_no_port).empty() ? 0 : 1;
    }
    CHECK(sent == 6);
    CHECK(count(IpCounter::icmp_limited_host) == 14);
    core->set_now_ms(core->now_ms() + 1000);
    CHECK_FALSE(told(frame_of(options), pipeline::unreachable(3), Drop::udp_no_port).empty());
    CHECK(told(frame_of(options), pipeline::unreachable(3), Drop::udp_no_port).empty());
    for (int i = 0; i < 100; ++i) {
        CHECK_FALSE(
            told(frame_of({}), pipeline::fragmentation_needed(1400), Drop::ip4_too_big).empty()
        );
    }
    options.source = "192.0.2.3";
    CHECK_FALSE(told(frame_of(options), pipeline::unreachable(3), Drop::udp_no_port).empty());
}

TEST_CASE_METHOD(
    Router, "routes that refuse: two at once, as of Linux's shared tokens", "[control][icmp]"
) {
    std::size_t sent = 0;
    for (int i = 0; i < 20; ++i) {
        sent += told(frame_of({}), pipeline::unreachable(0), Drop::ip4_no_route).empty() ? 0 : 1;
    }
    CHECK(sent == 2);
}

TEST_CASE_METHOD(Router, "ICMP-05 no way back to the sender is counted", "[control][icmp]") {
    Options options;
    options.source = "198.18.0.1";
    CHECK(told(frame_of(options), pipeline::kTimeExceeded).empty());
    CHECK(count(IpCounter::icmp_no_way) == 1);
}

TEST_CASE_METHOD(
    Router, "NEI-02 GOLD-10 a next hop that never answers: host unreachable", "[control][icmp]"
) {
    Options options;
    options.destination = "203.0.113.9";
    rte_mbuf* waiting = packet(frame_of(options), Punt::resolve, port);
    pipeline::note(waiting).link_out = other;
    pipeline::next_hop_of(waiting) = ip("203.0.113.9");
    core->own_counters().received.add(1);
    core->slow_path().handle(waiting);
    Bytes message;
    for (std::uint64_t now = 1000; now <= 6000 && message.empty(); now += 100) {
        core->set_now_ms(now);
        core->turn();
        LinkId link = kNoLink;
        for (Bytes frame = sent_bytes(&link); !frame.empty(); frame = sent_bytes(&link)) {
            if (link == port) {
                message = frame;
            }
        }
    }
    REQUIRE_FALSE(message.empty());
    message.erase(message.begin(), message.begin() + 14);
    CHECK(core->now_ms() == 4000);
    CHECK(int{icmp_of(message).type} == 3);
    CHECK(int{icmp_of(message).code} == 1);
    CHECK(ip_of(message).source.host() == ip("192.0.2.1").v4());
    CHECK(core->drops(other, Drop::neighbour_failed) == 1);
}

}  // namespace culvert::control::test
