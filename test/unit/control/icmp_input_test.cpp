// SPDX-License-Identifier: BSD-3-Clause
// ICMP errors that come in about tunnels' outer packets, and what templates make of them.
#include "lib/control/slow_path.hpp"
#include "lib/control/tunnel_faults.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/gre.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/udp.hpp"
#include "lib/net/vxlan.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace culvert::control::test {

namespace {

using pipeline::Drop;
using pipeline::IpCounter;
using pipeline::Punt;
using Bytes = std::vector<std::uint8_t>;

template <typename Header>
void append(Bytes& bytes, const Header& header) {
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&header);
    bytes.insert(bytes.end(), raw, raw + sizeof(header));
}

net::Ipv4Header ip_header(const char* source, const char* destination, std::uint8_t protocol) {
    net::Ipv4Header header{};
    header.version_and_ihl = net::kIpv4VersionIhl;
    header.time_to_live = 64;
    header.protocol = protocol;
    header.source = net::Be32{ip(source).v4()};
    header.destination = net::Be32{ip(destination).v4()};
    return header;
}

struct Far : CoreFixture {
    Far() {
        port = add_port(0);
        add_address(port, "192.0.2.1/24");
        route::Route route;
        route.prefix = prefix("203.0.113.0/24");
        route.gateway = ip("192.0.2.254");
        REQUIRE(core->routing().modify_route(route::RouteVerb::add, route));
    }

    LinkId tunnel(pipeline::LinkKind kind, const std::string& remote) {
        LinkAddRequest request = vxlan("tun", 42);
        request.kind = kind;
        request.vxlan.remote = ip(remote);
        request.vxlan.destination_port = 4789;
        if (pipeline::is_ip_tunnel(kind)) {
            request.ip_tunnel.local = ip("192.0.2.1");
            request.ip_tunnel.remote = ip(remote);
        }
        const LinkId link = core->links().add(request).value();
        REQUIRE(up(link));
        core->settle();
        return link;
    }

    std::uint32_t mtu_of(LinkId link) {
        std::uint32_t mtu = 0;
        core->tunnels().for_each([&](const TunnelView& view) {
            if (view.device == link) {
                mtu = view.mtu;
            }
        });
        return mtu;
    }

    // A router's error about `quoted`, our packet. Returns whether it was heeded.
    bool tell(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Bytes& quoted) {
        Bytes frame;
        append(
            frame,
            net::EtherHeader{
                record(port).mac, mac("02:00:00:00:fe:fe"), net::Be16{net::ether_type::kIpv4}}
        );
        net::Ipv4Header outer = ip_header("192.0.2.254", "192.0.2.1", net::ip_protocol::kIcmp);
        outer.total_length = net::Be16{static_cast<std::uint16_t>(28 + quoted.size())};
        outer.checksum = net::ipv4_header_checksum(outer);
        append(frame, outer);
        append(frame, net::IcmpHeader{type, code, net::Be16{0}, net::Be32{rest}});
        std::copy(quoted.begin(), quoted.end(), std::back_inserter(frame));
        const net::Be16 checksum =
            net::checksum_from_sum(net::sum_bytes(frame.data() + 34, frame.size() - 34));
        std::memcpy(frame.data() + 36, &checksum, sizeof(checksum));
        const std::uint64_t before = core->count(IpCounter::icmp_in_errors);
        const std::uint64_t dropped = core->drops(port, Drop::icmp_not_handled);
        punt(frame, Punt::icmp, port);
        const bool is_heeded = core->count(IpCounter::icmp_in_errors) != before;
        CHECK(core->drops(port, Drop::icmp_not_handled) - dropped == (is_heeded ? 0 : 1));
        return is_heeded;
    }

    LinkId port = kNoLink;
};

Bytes quote(std::uint8_t protocol, const char* destination = "203.0.113.9") {
    Bytes bytes;
    append(bytes, ip_header("192.0.2.1", destination, protocol));
    return bytes;
}

Bytes vxlan_quote(std::uint32_t vni) {
    Bytes bytes = quote(net::ip_protocol::kUdp);
    append(bytes, net::UdpHeader{net::Be16{50000}, net::Be16{4789}, net::Be16{0}, net::Be16{0}});
    append(bytes, net::Be32{0x08000000});
    append(bytes, net::Be32{vni << 8});
    return bytes;
}

}  // namespace

TEST_CASE_METHOD(
    Far, "IPIP-ERR-02 a path's MTU is learned from errors about ipip", "[control][icmp]"
) {
    const LinkId link = tunnel(pipeline::LinkKind::ipip, "203.0.113.9");
    CHECK(mtu_of(link) == 1500);
    Bytes quoted = quote(net::ip_protocol::kIpip);
    quoted.resize(28);
    CHECK(tell(3, 4, 1400, quoted));
    CHECK(mtu_of(link) == 1400);
    // RT-11: for ten minutes.
    core->set_now_ms(core->now_ms() + 599999);
    core->turn();
    CHECK(mtu_of(link) == 1400);
    core->set_now_ms(core->now_ms() + 1);
    core->turn();
    CHECK(mtu_of(link) == 1500);
}

TEST_CASE_METHOD(Far, "IPIP-ERR-01 IPIP-ERR-05 errors about nothing of ours", "[control][icmp]") {
    const LinkId link = tunnel(pipeline::LinkKind::ipip, "203.0.113.9");
    Bytes quoted = quote(net::ip_protocol::kIpip);
    SECTION("no such tunnel") {
        quoted = quote(net::ip_protocol::kIpip, "203.0.113.10");
        quoted.resize(28);
    }
    SECTION("not from an address of ours") {
        quoted[12] = 9;
        quoted.resize(28);
    }
    SECTION("less than 8 bytes of its payload") {
        quoted.resize(27);
    }
    SECTION("a header length below 20") {
        quoted[0] = 0x44;
        quoted.resize(28);
    }
    SECTION("of a protocol that no tunnel has") {
        quoted = quote(net::ip_protocol::kTcp);
        quoted.resize(28);
    }
    CHECK_FALSE(tell(3, 4, 1400, quoted));
    CHECK(mtu_of(link) == 1500);
}

TEST_CASE_METHOD(
    Far, "IPIP-ERR-07 an MTU below 552 is stored as 552, and DF is not sent", "[control][icmp]"
) {
    const LinkId link = tunnel(pipeline::LinkKind::ipip, "203.0.113.9");
    Bytes quoted = quote(net::ip_protocol::kIpip);
    quoted.resize(28);
    CHECK(tell(3, 4, 100, quoted));
    CHECK(mtu_of(link) == 552);
    CHECK(core->routing().lookup(ip("203.0.113.9")).mtu_locked);
    CHECK(core->routing().lookup(ip("203.0.113.10")).mtu == 1500);
}

TEST_CASE_METHOD(
    Far, "IPIP-ERR-06 IPIP-ERR-03 reports count for 30 s and are told of", "[control][icmp]"
) {
    const LinkId link = tunnel(pipeline::LinkKind::ipip, "203.0.113.9");
    Bytes quoted = quote(net::ip_protocol::kIpip);
    quoted.resize(28);
    CHECK(tell(3, 1, 0, quoted));
    CHECK(tell(3, 3, 0, quoted));
    const auto& faults = *record(link).faults;
    CHECK(faults.left == 2);
    CHECK(core->tunnel_faults().has(link));
    // These do not count: source route failed, reassembly time, others' TTL, parameter problem.
    CHECK(tell(3, 5, 0, quoted));
    CHECK(tell(11, 1, 0, quoted));
    CHECK(tell(11, 0, 0, quoted));
    CHECK(tell(12, 0, 0, quoted));
    CHECK(faults.left == 2);
    core->set_now_ms(core->now_ms() + 29999);
    core->turn();
    CHECK(core->tunnel_faults().has(link));
    core->set_now_ms(core->now_ms() + 1);
    core->turn();
    CHECK_FALSE(core->tunnel_faults().has(link));
    CHECK(tell(3, 1, 0, quoted));
    CHECK(faults.left == 1);
    // Workers have told of it.
    CHECK(record(link).faults->take());
    CHECK_FALSE(record(link).faults->take());
    core->turn();
    CHECK_FALSE(core->tunnel_faults().has(link));
}

TEST_CASE_METHOD(Far, "a next hop that does not answer counts as a report", "[control][icmp]") {
    const LinkId link = tunnel(pipeline::LinkKind::ipip, "192.0.2.9");
    while (!sent_bytes().empty()) {
    }
    Bytes frame(14 + 20 + 20);
    const Bytes outer = quote(net::ip_protocol::kIpip, "192.0.2.9");
    std::copy(outer.begin(), outer.end(), frame.begin() + 14);
    rte_mbuf* waiting = packet(frame, Punt::resolve, kNoLink);
    pipeline::note(waiting).link_out = port;
    pipeline::next_hop_of(waiting) = ip("192.0.2.9");
    core->own_counters().received.add(1);
    core->slow_path().handle(waiting);
    for (std::uint64_t now = 1000; now <= 6000; now += 100) {
        core->set_now_ms(now);
        core->turn();
    }
    CHECK(core->drops(port, Drop::neighbour_failed) == 1);
    CHECK(record(link).faults->left == 1U);
    CHECK(core->count(IpCounter::icmp_not_due) == 0);
}

TEST_CASE_METHOD(Far, "GRE-ERR-02 GRE-ERR-04 the tunnel with the quoted key", "[control][icmp]") {
    const LinkId link = tunnel(pipeline::LinkKind::gre, "203.0.113.9");
    Bytes quoted = quote(net::ip_protocol::kGre);
    const auto [flags, code, counts] = GENERATE(table<std::uint16_t, std::uint8_t, bool>(
        {{0, 1, true}, {0, 3, false}, {0, 5, false}, {net::gre::kKey, 1, false}}
    ));
    append(quoted, net::GreHeader{net::Be16{flags}, net::Be16{0x0800}});
    quoted.resize(28);
    CHECK(tell(3, code, 0, quoted));
    CHECK((record(link).faults != nullptr) == counts);
    CHECK(core->tunnel_faults().has(link) == counts);
}

TEST_CASE_METHOD(
    Far, "GRE-ERR-03 the sender of IPv6 in what is quoted hears of it at once", "[control][icmp]"
) {
    const bool is_sit = GENERATE(false, true);
    const LinkId link =
        tunnel(is_sit ? pipeline::LinkKind::sit : pipeline::LinkKind::gre, "203.0.113.9");
    Bytes quoted = quote(is_sit ? net::ip_protocol::kIpv6 : net::ip_protocol::kGre);
    if (!is_sit) {
        append(quoted, net::GreHeader{net::Be16{0}, net::Be16{net::ether_type::kIpv6}});
    }
    net::Ipv6Header inner{};
    inner.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
    inner.next_header = net::ip_protocol::kTcp;
    inner.source = ip("2001:db8::7").bytes();
    inner.destination = ip("2001:db8:f::7").bytes();
    append(quoted, inner);
    quoted.resize(quoted.size() + 8);
    // Nothing here leads to 2001:db8::7; but it was looked for.
    const std::uint64_t before = core->count(IpCounter::icmp_no_way);
    CHECK(tell(3, 1, 0, quoted));
    CHECK(core->count(IpCounter::icmp_no_way) == before + 1);
    CHECK_FALSE(core->tunnel_faults().has(link));
    // Too little is quoted to say whose packet it was.
    quoted.pop_back();
    CHECK(tell(3, 1, 0, quoted));
    CHECK(core->count(IpCounter::icmp_no_way) == before + 1);
    CHECK(core->tunnel_faults().has(link));
}

TEST_CASE_METHOD(Far, "GRE-ERR-01 errors about GRE, whichever tunnel's", "[control][icmp]") {
    const LinkId link = tunnel(pipeline::LinkKind::gre, "203.0.113.9");
    Bytes quoted = quote(net::ip_protocol::kGre);
    SECTION("good") {
        append(quoted, net::GreHeader{net::Be16{net::gre::kKey}, net::Be16{0x0800}});
        quoted.resize(28);
        CHECK(tell(3, 4, 1300, quoted));
        CHECK(mtu_of(link) == 1300);
    }
    SECTION("not GRE, or not all of its header") {
        const std::uint16_t flags = GENERATE(as<std::uint16_t>{}, 1, 0x4000, 0xb000);
        append(quoted, net::GreHeader{net::Be16{flags}, net::Be16{0x0800}});
        quoted.resize(28);
        CHECK_FALSE(tell(3, 4, 1300, quoted));
        CHECK(mtu_of(link) == 1500);
    }
}

TEST_CASE_METHOD(
    Far, "VXLAN-PMTU-04 errors about vxlan: the VNI must be known", "[control][icmp]"
) {
    const LinkId link = tunnel(pipeline::LinkKind::vxlan, "203.0.113.9");
    SECTION("known") {
        CHECK(tell(3, 4, 1400, vxlan_quote(42)));
        CHECK(mtu_of(link) == 1400);
    }
    SECTION("unknown") {
        CHECK_FALSE(tell(3, 4, 1400, vxlan_quote(43)));
        CHECK(mtu_of(link) == 1500);
    }
    SECTION("quoted without its VXLAN header") {
        Bytes quoted = vxlan_quote(42);
        quoted.resize(28);
        CHECK_FALSE(tell(3, 4, 1400, quoted));
        CHECK(mtu_of(link) == 1500);
    }
    SECTION("of another kind: heeded, but the MTU stays") {
        CHECK(tell(3, 1, 1400, vxlan_quote(42)));
        CHECK(mtu_of(link) == 1500);
    }
}

}  // namespace culvert::control::test
