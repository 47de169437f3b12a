// SPDX-License-Identifier: BSD-3-Clause
// Neighbour discovery, duplicate address detection and ICMPv6 as control does them.
#include "lib/control/slow_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <algorithm>

namespace culvert::control::test {

namespace {

using pipeline::Drop;
using pipeline::Punt;
using Bytes = std::vector<std::uint8_t>;

const net::MacAddress kPeer = mac("02:00:00:00:09:09");
constexpr const char* kPeerLocal = "fe80::909";
constexpr const char* kOurLocal = "fe80::ff:fe00:10";  // of 02:00:00:00:00:10

constexpr std::size_t kIcmpAt = 14 + 40;

struct Icmp {
    std::string source = kPeerLocal;
    std::string destination = kOurLocal;
    std::uint8_t hop_limit = 255;
    Bytes message{};
};

Bytes frame(const Icmp& what) {
    Bytes bytes(14 + sizeof(net::Ipv6Header));
    const net::EtherHeader ether{
        mac("02:00:00:00:00:10"), kPeer, net::Be16{net::ether_type::kIpv6}};
    std::memcpy(bytes.data(), &ether, sizeof(ether));
    net::Ipv6Header header{};
    header.version_class_flow = net::Ipv6Header::make_first_word(0x20, 0);
    header.payload_length = net::Be16{static_cast<std::uint16_t>(what.message.size())};
    header.next_header = net::ip_protocol::kIcmpv6;
    header.hop_limit = what.hop_limit;
    header.source = ip(what.source).bytes();
    header.destination = ip(what.destination).bytes();
    std::memcpy(bytes.data() + 14, &header, sizeof(header));
    bytes.insert(bytes.end(), what.message.begin(), what.message.end());
    const std::uint64_t sum = net::sum_add(
        net::pseudo_header_sum_v6(
            header.source,
            header.destination,
            net::ip_protocol::kIcmpv6,
            static_cast<std::uint32_t>(what.message.size())
        ),
        net::sum_bytes(what.message.data(), what.message.size())
    );
    const net::Be16 checksum = net::checksum_from_sum(sum);
    std::memcpy(bytes.data() + kIcmpAt + 2, &checksum, sizeof(checksum));
    return bytes;
}

// Type, flags, target, and an option of 8 bytes if there is one.
Bytes discovery(
    std::uint8_t type, std::uint8_t flags, const std::string& target, const Bytes& option = {}
) {
    Bytes message{type, 0, 0, 0, flags, 0, 0, 0};
    const auto address = ip(target).bytes();
    message.insert(message.end(), address.begin(), address.end());
    message.insert(message.end(), option.begin(), option.end());
    return message;
}

Bytes mac_option(std::uint8_t type, const net::MacAddress& address) {
    Bytes option{type, 1};
    option.insert(option.end(), address.bytes.begin(), address.bytes.end());
    return option;
}

std::string text_at(const Bytes& bytes, std::size_t offset) {
    std::array<std::uint8_t, 16> address{};
    REQUIRE(bytes.size() >= offset + address.size());
    std::copy_n(bytes.begin() + static_cast<long>(offset), address.size(), address.begin());
    return net::IpAddress::from_v6(address).to_string();
}

bool checksum_is_right(const Bytes& bytes) {
    std::array<std::uint8_t, 16> source{};
    std::array<std::uint8_t, 16> destination{};
    std::copy_n(bytes.begin() + 22, 16, source.begin());
    std::copy_n(bytes.begin() + 38, 16, destination.begin());
    const std::size_t len = bytes.size() - kIcmpAt;
    return net::sum_is_valid(net::sum_add(
        net::pseudo_header_sum_v6(
            source, destination, net::ip_protocol::kIcmpv6, static_cast<std::uint32_t>(len)
        ),
        net::sum_bytes(bytes.data() + kIcmpAt, len)
    ));
}

struct Node : CoreFixture {
    explicit Node(bool is_settled = true) {
        port = add_port(0);
        if (is_settled) {
            add_address6("2001:db8::1/64");
            pass(4000);
            while (!sent_bytes().empty()) {
            }
        }
    }

    void add_address6(const std::string& text, bool nodad = true) {
        route::Address address;
        address.link = port;
        address.prefix = prefix(text);
        address.nodad = nodad;
        REQUIRE(core->routing().add_address(address, false));
    }

    void pass(std::uint64_t ms) {
        for (std::uint64_t i = 0; i < ms; i += 50) {
            core->set_now_ms(core->now_ms() + 50);
            core->turn();
        }
    }

    void hear(const Icmp& what) { punt(frame(what), Punt::icmp6, port); }

    const route::Neighbour* neighbour(const std::string& address) {
        return core->routing().neighbours().find({port, ip(address)});
    }

    const route::Address& address(const std::string& text) {
        const route::Address* found = core->routing().find_address(port, ip(text));
        REQUIRE(found != nullptr);
        return *found;
    }

    std::uint64_t drops(Drop reason) { return core->drops(port, reason); }

    LinkId port = kNoLink;
};

}  // namespace

TEST_CASE("ND: a link that is up asks for its link-local address and has it", "[control][nd]") {
    Node node(false);
    CHECK(node.address(kOurLocal).tentative);
    CHECK(node.sent_bytes().empty());
    node.pass(1000);
    const Bytes question = node.sent_bytes();
    REQUIRE(question.size() == kIcmpAt + 32);
    CHECK(text_at(question, 22) == "::");
    CHECK(text_at(question, 38) == "ff02::1:ff00:10");
    CHECK(question[0] == 0x33);
    CHECK(question[5] == 0x10);
    CHECK(question[21] == 255);
    CHECK(question[kIcmpAt] == 135);
    CHECK(text_at(question, kIcmpAt + 8) == kOurLocal);
    CHECK(question[kIcmpAt + 24] == 14);  // a nonce (RFC 7527), no address
    CHECK(checksum_is_right(question));
    CHECK(node.address(kOurLocal).tentative);
    node.pass(1100);
    CHECK_FALSE(node.address(kOurLocal).tentative);
    CHECK(node.core->routing().is_local_on(node.port, ip(kOurLocal)));
    CHECK(node.sent_bytes().empty());
}

TEST_CASE("ND: an address that somebody else has or wants is not used", "[control][nd]") {
    Node node;
    node.add_address6("2001:db8::7/64", false);
    node.pass(1000);
    const Bytes question = node.sent_bytes();
    REQUIRE(!question.empty());
    SECTION("an advertisement") {
        node.hear(
            {.source = "2001:db8::7",
             .destination = "ff02::1",
             .message = discovery(136, 0x20, "2001:db8::7", mac_option(2, kPeer))}
        );
        CHECK(node.address("2001:db8::7").dad_failed);
    }
    SECTION("another's question") {
        node.hear(
            {.source = "::",
             .destination = "ff02::1:ff00:7",
             .message = discovery(135, 0, "2001:db8::7", {14, 1, 1, 2, 3, 4, 5, 6})}
        );
        CHECK(node.address("2001:db8::7").dad_failed);
    }
    SECTION("our own question that comes back does not count") {
        const Bytes nonce(question.end() - 8, question.end());
        node.hear(
            {.source = "::",
             .destination = "ff02::1:ff00:7",
             .message = discovery(135, 0, "2001:db8::7", nonce)}
        );
        CHECK_FALSE(node.address("2001:db8::7").dad_failed);
        node.pass(2000);
        CHECK_FALSE(node.address("2001:db8::7").tentative);
        return;
    }
    node.pass(5000);
    CHECK(node.address("2001:db8::7").tentative);
    CHECK_FALSE(node.core->routing().is_local(ip("2001:db8::7")));
    CHECK(node.sent_bytes().empty());
}

TEST_CASE("ND: solicitations for our addresses are answered", "[control][nd]") {
    Node node;
    SECTION("to the group: with our MAC, override, and the asker is known") {
        node.hear(
            {.source = "2001:db8::2",
             .destination = "ff02::1:ff00:1",
             .message = discovery(135, 0, "2001:db8::1", mac_option(1, kPeer))}
        );
        const Bytes answer = node.sent_bytes();
        REQUIRE(answer.size() == kIcmpAt + 32);
        CHECK(
            net::MacAddress{{answer[0], answer[1], answer[2], answer[3], answer[4], answer[5]}} ==
            kPeer
        );
        CHECK(text_at(answer, 22) == "2001:db8::1");
        CHECK(text_at(answer, 38) == "2001:db8::2");
        CHECK(answer[21] == 255);
        CHECK(answer[kIcmpAt] == 136);
        CHECK(answer[kIcmpAt + 4] == 0xe0);
        CHECK(answer[kIcmpAt + 24] == 2);
        CHECK(checksum_is_right(answer));
        REQUIRE(node.neighbour("2001:db8::2") != nullptr);
        // Stale, and the answer went there.
        CHECK(node.neighbour("2001:db8::2")->state == route::NeighbourState::delay);
        CHECK(node.neighbour("2001:db8::2")->mac == kPeer);
    }
    SECTION("by unicast: without what the asker knows") {
        node.hear(
            {.source = "2001:db8::2",
             .destination = "2001:db8::1",
             .message = discovery(135, 0, "2001:db8::1", mac_option(1, kPeer))}
        );
        const Bytes answer = node.sent_bytes();
        REQUIRE(answer.size() == kIcmpAt + 24);
        CHECK(answer[kIcmpAt + 4] == 0xc0);
    }
    SECTION("a detection: to all nodes") {
        node.hear(
            {.source = "::",
             .destination = "ff02::1:ff00:1",
             .message = discovery(135, 0, "2001:db8::1")}
        );
        const Bytes answer = node.sent_bytes();
        REQUIRE(answer.size() == kIcmpAt + 32);
        CHECK(text_at(answer, 38) == "ff02::1");
        CHECK(answer[kIcmpAt + 4] == 0xa0);
    }
    SECTION("not for others' addresses") {
        node.hear(
            {.source = "2001:db8::2",
             .destination = "ff02::1:ff00:9",
             .message = discovery(135, 0, "2001:db8::9", mac_option(1, kPeer))}
        );
        CHECK(node.sent_bytes().empty());
        CHECK(node.neighbour("2001:db8::2") == nullptr);
    }
}

TEST_CASE("ND: messages against RFC 4861 are dropped by name", "[control][nd]") {
    Node node;
    const Bytes good = discovery(135, 0, "2001:db8::1", mac_option(1, kPeer));
    const Icmp wrong = GENERATE_COPY(
        Icmp{.hop_limit = 64, .message = good},
        Icmp{.message = Bytes(good.begin(), good.begin() + 20)},
        Icmp{.message = discovery(135, 0, "2001:db8::1", {1, 0, 0, 0, 0, 0, 0, 0})},
        Icmp{.message = discovery(135, 0, "2001:db8::1", {1, 2, 0, 0, 0, 0, 0, 0})},
        Icmp{.message = discovery(135, 0, "ff02::1")},
        Icmp{.source = "::", .message = discovery(135, 0, "2001:db8::1")},
        Icmp{
            .source = "::",
            .destination = "ff02::1:ff00:1",
            .message = discovery(135, 0, "2001:db8::1", mac_option(1, kPeer))},
        Icmp{.destination = "ff02::1", .message = discovery(136, 0x60, "2001:db8::2")}
    );
    node.hear(wrong);
    CHECK(node.drops(Drop::icmp_malformed) == 1);
    CHECK(node.sent_bytes().empty());
}

TEST_CASE(
    "NEI-01 NEI-02 NEI-04 a packet waits for a neighbour that is solicited", "[control][nd]"
) {
    Node node;
    Bytes waiting = frame(
        {.source = "3fff::1", .destination = "2001:db8::2", .message = {128, 0, 0, 0, 0, 1, 0, 1}}
    );
    rte_mbuf* made = node.packet(waiting, Punt::resolve, node.port);
    pipeline::note(made).link_out = node.port;
    pipeline::next_hop_of(made) = ip("2001:db8::2");
    node.core->own_counters().received.add(1);
    node.core->slow_path().handle(made);
    const Bytes question = node.sent_bytes();
    REQUIRE(question.size() == kIcmpAt + 32);
    CHECK(text_at(question, 22) == kOurLocal);
    CHECK(text_at(question, 38) == "ff02::1:ff00:2");
    CHECK(question[kIcmpAt + 24] == 1);
    CHECK(node.neighbour("2001:db8::2")->state == route::NeighbourState::incomplete);
    SECTION("who answers gets it") {
        node.hear(
            {.source = "2001:db8::2",
             .message = discovery(136, 0x60, "2001:db8::2", mac_option(2, kPeer))}
        );
        CHECK(node.neighbour("2001:db8::2")->state == route::NeighbourState::reachable);
        const Bytes forwarded = node.sent_bytes();
        REQUIRE(forwarded.size() == waiting.size());
        CHECK(std::equal(forwarded.begin() + 14, forwarded.end(), waiting.begin() + 14));
        CHECK(forwarded[12] == 0x86);
    }
    SECTION("nobody answers: three questions, then the sender hears of it") {
        // Who sent it is behind a router that is known.
        route::Route way;
        way.prefix = prefix("3fff::/20");
        way.gateway = ip(kPeerLocal);
        way.link = node.port;
        REQUIRE(node.core->routing().modify_route(route::RouteVerb::add, way));
        REQUIRE(node.core->routing().neighbours().set(
            route::NeighbourTable::Verb::add,
            {node.port, ip(kPeerLocal)},
            kPeer,
            route::NeighbourState::permanent,
            false,
            node.core->now_ms()
        ));
        node.pass(3100);
        std::vector<Bytes> sent;
        for (Bytes one = node.sent_bytes(); !one.empty(); one = node.sent_bytes()) {
            sent.push_back(one);
        }
        REQUIRE(sent.size() == 3);
        CHECK(sent[0][kIcmpAt] == 135);
        CHECK(sent[1][kIcmpAt] == 135);
        CHECK(node.neighbour("2001:db8::2")->state == route::NeighbourState::failed);
        CHECK(sent[2][kIcmpAt] == 1);
        CHECK(sent[2][kIcmpAt + 1] == 3);
        CHECK(text_at(sent[2], 22) == "2001:db8::1");
        CHECK(text_at(sent[2], 38) == "3fff::1");
        CHECK(std::equal(waiting.begin() + 14, waiting.end(), sent[2].begin() + kIcmpAt + 8));
        CHECK(checksum_is_right(sent[2]));
        CHECK(node.drops(Drop::neighbour_failed) == 1);
    }
}

TEST_CASE("ICMPv6: echo is answered, also to a group and link-local", "[control][nd]") {
    Node node;
    Bytes message{128, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2, 3, 4, 5};
    const std::string to = GENERATE(as<std::string>{}, kOurLocal, "ff02::1");
    REQUIRE(node.core->routing().neighbours().set(
        route::NeighbourTable::Verb::add,
        {node.port, ip(kPeerLocal)},
        kPeer,
        route::NeighbourState::permanent,
        false,
        node.core->now_ms()
    ));
    node.hear({.destination = to, .hop_limit = 3, .message = message});
    const Bytes reply = node.sent_bytes();
    REQUIRE(reply.size() == kIcmpAt + message.size());
    CHECK(text_at(reply, 22) == kOurLocal);
    CHECK(text_at(reply, 38) == kPeerLocal);
    CHECK(reply[21] == 64);
    CHECK(reply[14] == 0x62);  // the traffic class
    CHECK(reply[kIcmpAt] == 129);
    CHECK(std::equal(message.begin() + 4, message.end(), reply.begin() + kIcmpAt + 4));
    CHECK(checksum_is_right(reply));
}

TEST_CASE("ICMPv6: wrong checksums and others' link-local addresses", "[control][nd]") {
    Node node;
    Bytes broken = frame({.message = {128, 0, 0, 0, 0, 1, 0, 1}});
    broken.back() ^= 1;
    node.punt(broken, Punt::icmp6, node.port);
    CHECK(node.drops(Drop::icmp_malformed) == 1);
    node.hear({.destination = "fe80::99", .message = {128, 0, 0, 0, 0, 1, 0, 1}});
    CHECK(node.drops(Drop::ip6_not_local) == 1);
    CHECK(node.sent_bytes().empty());
}

TEST_CASE("ICMP-06 errors: to whom, how many, and how long", "[control][nd]") {
    Node node;
    REQUIRE(node.core->routing().neighbours().set(
        route::NeighbourTable::Verb::add,
        {node.port, ip("2001:db8::2")},
        kPeer,
        route::NeighbourState::permanent,
        false,
        node.core->now_ms()
    ));
    const auto refuse = [&](const Icmp& what, std::uint8_t type, std::uint8_t code) {
        rte_mbuf* made = node.packet(frame(what), Punt::icmp_error, node.port);
        pipeline::icmp_demand_of(made
        ) = {{.type = type, .code = code}, node.port, Drop::ip6_no_route};
        node.core->own_counters().received.add(1);
        node.core->slow_path().handle(made);
        return node.sent_bytes();
    };
    const Bytes echo{128, 0, 0, 0, 0, 1, 0, 1};
    Icmp good{.source = "2001:db8::2", .destination = "3fff::1", .message = echo};
    SECTION("as much of the packet as fits into 1280 bytes") {
        good.message.resize(1400);
        const Bytes error = refuse(good, 1, 0);
        REQUIRE(error.size() == 14 + 1280);
        CHECK(text_at(error, 22) == "2001:db8::1");
        CHECK(checksum_is_right(error));
    }
    SECTION("not about errors, to nobody, and to no group") {
        Icmp other = good;
        other.message[0] = 1;
        CHECK(refuse(other, 1, 0).empty());
        other = good;
        other.source = "::";
        CHECK(refuse(other, 1, 0).empty());
        other = good;
        other.destination = "ff05::1";
        CHECK(refuse(other, 1, 0).empty());
        CHECK_FALSE(refuse(other, 2, 0).empty());
    }
    SECTION("six at once, then four a second on a /64; packet too big always") {
        int heard = 0;
        for (int i = 0; i < 20; ++i) {
            heard += refuse(good, 1, 0).empty() ? 0 : 1;
        }
        CHECK(heard == 6);
        CHECK_FALSE(refuse(good, 2, 0).empty());
        node.core->set_now_ms(node.core->now_ms() + 250);
        CHECK_FALSE(refuse(good, 1, 0).empty());
        CHECK(refuse(good, 1, 0).empty());
    }
}

}  // namespace culvert::control::test
