// SPDX-License-Identifier: BSD-3-Clause
// Fragments of IPv6 (RFC 8200 4.5, RFC 5722, RFC 7112), and packets cut by their source.
#include "lib/net/checksum.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/control/ip6_node.hpp"
#include "test/unit/control/reassembly_fixture.hpp"

#include <random>
#include <set>

namespace culvert::control::test {

namespace {

constexpr std::size_t kFragmentAt = 14 + 40;
constexpr std::size_t kPayloadAt = kFragmentAt + 8;

struct Part {
    std::string source = "2001:db8::2";
    std::string destination = "2001:db8::1";
    std::uint32_t id = 7;
    std::uint8_t protocol = 17;
    std::uint8_t traffic_class = 0;
    std::size_t offset = 0;
    bool more = true;
    Bytes options{};  // a destination options header in front of the fragment header
};

Bytes fragment6(const Part& what, const Bytes& payload) {
    Bytes bytes(14, 0x11);
    bytes[0] = 0x02;
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(what.traffic_class, 0);
    ip.payload_length =
        net::Be16{static_cast<std::uint16_t>(what.options.size() + 8 + payload.size())};
    ip.next_header =
        what.options.empty() ? net::ip_protocol::kFragment : net::ip_protocol::kDestinationOptions;
    ip.hop_limit = 9;
    ip.source = control::test::ip(what.source).bytes();
    ip.destination = control::test::ip(what.destination).bytes();
    const auto append = [&](const void* data, std::size_t len) {
        const auto* begin = static_cast<const std::uint8_t*>(data);
        bytes.insert(bytes.end(), begin, begin + len);
    };
    append(&ip, sizeof(ip));
    append(what.options.data(), what.options.size());
    net::Ipv6FragmentHeader header{};
    header.next_header = what.protocol;
    header.offset_and_more =
        net::Be16{static_cast<std::uint16_t>(what.offset | (what.more ? 1U : 0U))};
    header.identification = net::Be32{what.id};
    append(&header, sizeof(header));
    append(payload.data(), payload.size());
    return bytes;
}

Part at(std::size_t offset, bool more) {
    Part what;
    what.offset = offset;
    what.more = more;
    return what;
}

void check_whole6(const Bytes& whole, const Bytes& payload) {
    REQUIRE(whole.size() == kFragmentAt + payload.size());
    net::Ipv6Header ip{};
    std::memcpy(&ip, &whole[14], sizeof(ip));
    CHECK(ip.payload_length.host() == payload.size());
    CHECK(ip.next_header == 17);
    CHECK(part(whole, kFragmentAt, whole.size()) == payload);
    CHECK(whole[13] == 0x11);
}

struct Assembler6 : Assembler {
    explicit Assembler6(ReassemblyLimits limits = kReassemblyLimits6)
        : Assembler(limits, net::Family::ipv6) {}
};

}  // namespace

TEST_CASE("IPv6 fragments in any order", "[control][fragment]") {
    // 9000 bytes over links of 1280, the smallest fragments there are, and the largest datagram.
    const auto [length, room] =
        GENERATE(table<std::size_t, std::size_t>({{8960, 1232}, {401, 8}, {65535, 1448}}));
    const std::size_t split = GENERATE(70U, 2048U);
    std::mt19937 random(static_cast<unsigned>(length));
    Assembler6 assembler;
    const Bytes payload = counted(length);
    for (int order = 0; order < 5; ++order) {
        std::vector<std::size_t> offsets;
        for (std::size_t begin = 0; begin < length; begin += room) {
            offsets.push_back(begin);
        }
        if (order == 1) {
            std::reverse(offsets.begin(), offsets.end());
        } else if (order > 1) {
            std::shuffle(offsets.begin(), offsets.end(), random);
        }
        Bytes whole;
        for (const std::size_t begin : offsets) {
            REQUIRE(whole.empty());
            whole = assembler.add(
                fragment6(at(begin, begin + room < length), part(payload, begin, begin + room)),
                0,
                split
            );
        }
        check_whole6(whole, payload);
    }
    CHECK(assembler.drops.empty());
    CHECK(assembler.reassembly.datagrams() == 0);
    CHECK(assembler.counters[IpCounter::ip6_reasm_oks] == 5);
    CHECK(assembler.consumed == assembler.counters[IpCounter::ip6_reasm_reqds]);
}

TEST_CASE("IPv6 fragments: addresses, id and link tell packets apart", "[control][fragment]") {
    Assembler6 assembler;
    const Bytes payload = counted(32);
    std::vector<Part> parts(3);
    parts[1].id = 8;
    parts[2].source = "2001:db8::3";
    for (const Part& what : parts) {
        CHECK(assembler.add(fragment6(what, part(payload, 0, 16))).empty());
    }
    assembler.scope = 9;
    CHECK(assembler.add(fragment6(parts[0], part(payload, 0, 16))).empty());
    CHECK(assembler.reassembly.datagrams() == 4);
    for (const LinkId scope : {LinkId{9}, kNoLink}) {
        assembler.scope = scope;
        check_whole6(assembler.add(fragment6(at(16, false), part(payload, 16, 32))), payload);
    }
    // The first one alone says what is inside.
    assembler.drops.clear();
    Part other = at(16, false);
    other.id = 8;
    other.protocol = 59;
    check_whole6(assembler.add(fragment6(other, part(payload, 16, 32))), payload);
}

TEST_CASE("IPv6 fragments: headers in front stay, the fragment's goes", "[control][fragment]") {
    Assembler6 assembler;
    const Bytes payload = counted(40);
    Part first = at(0, true);
    first.options = {44, 0, 1, 4, 0, 0, 0, 0};
    CHECK(assembler.add(fragment6(at(16, false), part(payload, 16, 40))).empty());
    const Bytes whole = assembler.add(fragment6(first, part(payload, 0, 16)));
    REQUIRE(whole.size() == kFragmentAt + 8 + payload.size());
    CHECK(whole[14 + 6] == 60);
    CHECK(whole[kFragmentAt] == 17);
    CHECK(whole[14 + 5] == 48);
    CHECK(part(whole, kFragmentAt + 8, whole.size()) == payload);
}

TEST_CASE("IPv6 fragments that overlap give the packet up (RFC 5722)", "[control][fragment]") {
    const auto [begin, end] =
        GENERATE(table<std::size_t, std::size_t>({{8, 24}, {24, 48}, {8, 56}, {0, 24}}));
    Assembler6 assembler;
    const Bytes payload = counted(128);
    CHECK(assembler.add(fragment6(at(16, true), part(payload, 16, 32))).empty());
    CHECK(assembler.add(fragment6(at(16, true), part(payload, 16, 32))).empty());
    CHECK(assembler.drops == std::map<Drop, std::size_t>{{Drop::fragment_duplicate, 1}});
    CHECK(assembler.add(fragment6(at(48, true), part(payload, 48, 56))).empty());
    CHECK(assembler.add(fragment6(at(begin, true), part(payload, begin, end))).empty());
    CHECK(assembler.drops[Drop::fragment_overlap] == 3);
    CHECK(assembler.reassembly.datagrams() == 0);
    CHECK(assembler.counters[IpCounter::ip6_reasm_overlaps] == 1);
}

TEST_CASE("IPv6 fragments: what is wrong, and who is told", "[control][fragment]") {
    Assembler6 assembler;
    std::uint8_t code = 0;
    std::uint32_t pointer = 0;
    SECTION("no multiple of 8, but not the last: the payload length") {
        CHECK(assembler.add(fragment6(at(8, true), counted(12))).empty());
        pointer = 4;
    }
    SECTION("beyond 65535 bytes: the offset") {
        CHECK(assembler.add(fragment6(at(65528, false), counted(16))).empty());
        pointer = 42;
    }
    SECTION("the first has not all headers (RFC 7112)") {
        CHECK(assembler.add(fragment6(at(0, true), counted(0))).empty());
        code = 3;
    }
    SECTION("nor the whole header of UDP") {
        Part options = at(0, true);
        options.protocol = 60;
        CHECK(assembler.add(fragment6(options, {17, 0, 1, 4, 0, 0, 0, 0})).empty());
        code = 3;
    }
    SECTION("a fragment of a fragment: nobody") {
        Part again = at(0, true);
        again.protocol = 44;
        CHECK(assembler.add(fragment6(again, counted(16))).empty());
        CHECK(assembler.complaints.empty());
        CHECK(assembler.drops[Drop::fragment_malformed] == 1);
        return;
    }
    REQUIRE(assembler.complaints.size() == 1);
    CHECK(int{assembler.complaints[0].type} == 4);
    CHECK(int{assembler.complaints[0].code} == code);
    CHECK(assembler.complaints[0].info == pointer);
    CHECK(assembler.drops == std::map<Drop, std::size_t>{{Drop::fragment_malformed, 1}});
    CHECK(assembler.reassembly.datagrams() == 0);
}

TEST_CASE("IPv6 fragments: given up after 60 s", "[control][fragment]") {
    Assembler6 assembler;
    const bool has_first = GENERATE(true, false);
    CHECK(assembler.add(fragment6(at(has_first ? 0 : 8, true), counted(8)), 1000).empty());
    CHECK(assembler.reassembly.tick(60999) == 61000);
    CHECK(assembler.reassembly.tick(61000) == UINT64_MAX);
    CHECK(assembler.drops == std::map<Drop, std::size_t>{{Drop::fragment_timeout, 1}});
    CHECK(assembler.told == (has_first ? 1 : 0));
    CHECK(assembler.counters[IpCounter::ip6_reasm_timeout] == 1);
}

TEST_CASE("IPv6 fragments: memory is bounded, whatever comes", "[control][fragment]") {
    constexpr std::size_t kMemory = 100000;
    Assembler6 assembler({.timeout_ms = 60000, .memory = kMemory, .max_distance = 0});
    const bool one_datagram = GENERATE(true, false);
    for (std::uint32_t i = 0; i < 2000; ++i) {
        Part what = at(std::size_t{8} * (std::size_t{2} * i + 1), true);
        what.id = one_datagram ? 1 : i;
        CHECK(assembler.add(fragment6(what, counted(8))).empty());
        REQUIRE(assembler.reassembly.memory() <= 2 * kMemory + 4096);
    }
    CHECK(assembler.drops[Drop::fragment_memory] > 1900);
    assembler.reassembly.tick(60000);
    CHECK(assembler.reassembly.memory() == 0);
}

TEST_CASE("IPv6 fragments: congestion marks (RFC 3168, 5.3)", "[control][fragment]") {
    const bool is_capable = GENERATE(true, false);
    Assembler6 assembler;
    Part first = at(0, true);
    first.traffic_class = 0xb8 | 2;
    Part last = at(8, false);
    last.traffic_class = static_cast<std::uint8_t>(0xb8 | (is_capable ? 3 : 0));
    CHECK(assembler.add(fragment6(first, counted(8))).empty());
    const Bytes whole = assembler.add(fragment6(last, counted(8)));
    REQUIRE(whole.empty() != is_capable);
    if (is_capable) {
        CHECK(int{whole[14]} == 0x6b);
        CHECK(int{whole[15]} == 0xb0);
    } else {
        CHECK(assembler.drops[Drop::fragment_ecn] == 2);
    }
}

// --- the whole way, and back in fragments

namespace {

struct FragmentNode : Node {
    FragmentNode() {
        for (const char* peer : {"2001:db8::2", kPeerLocal}) {
            REQUIRE(core->routing().neighbours().set(
                route::NeighbourTable::Verb::add,
                {port, ip(peer)},
                kPeer,
                route::NeighbourState::permanent,
                false,
                core->now_ms()
            ));
        }
    }

    // An echo request in fragments of `room` bytes; the datagram that goes back to the worker.
    rte_mbuf* ask(const Icmp& what, std::size_t room) {
        const Bytes whole = frame(what);
        const Bytes payload(whole.begin() + kIcmpAt, whole.end());
        for (std::size_t begin = 0; begin < payload.size(); begin += room) {
            Part piece = at(begin, begin + room < payload.size());
            piece.source = what.source;
            piece.destination = what.destination;
            piece.protocol = net::ip_protocol::kIcmpv6;
            punt(
                fragment6(piece, control::test::part(payload, begin, begin + room)),
                Punt::fragment,
                port
            );
        }
        return sent();
    }
};

}  // namespace

TEST_CASE("IPv6: 9000 bytes of echo over 1280, in fragments both ways", "[control][fragment]") {
    FragmentNode node;
    LinkSetRequest request;
    request.mtu = 1280;
    REQUIRE(node.core->links().set(node.port, request));
    const std::string to = GENERATE(as<std::string>{}, "2001:db8::1", kOurLocal);
    const std::string from = to == kOurLocal ? kPeerLocal : "2001:db8::2";
    Bytes message = counted(8960);
    message[0] = 128;
    std::fill_n(message.begin() + 1, 3, std::uint8_t{0});
    rte_mbuf* whole = node.ask({.source = from, .destination = to, .message = message}, 1232);
    REQUIRE(whole != nullptr);
    CHECK(pipeline::note(whole).link_out == kNoLink);
    CHECK(whole->pkt_len == 14 + 40 + 8960);
    // The worker hands it to control again, as ICMPv6.
    pipeline::note(whole).punt = Punt::icmp6;
    node.core->own_counters().received.add(1);
    node.core->slow_path().handle(whole);

    Bytes answer;
    std::set<Bytes> ids;
    std::size_t fragments = 0;
    for (Bytes one = node.sent_bytes(); !one.empty(); one = node.sent_bytes()) {
        ++fragments;
        REQUIRE(one.size() <= 14 + 1280);
        CHECK(one[14 + 6] == 44);
        CHECK(one[kFragmentAt] == 58);
        const std::size_t offset_and_more =
            std::size_t{one[kFragmentAt + 2]} << 8 | one[kFragmentAt + 3];
        CHECK((offset_and_more & ~std::size_t{7}) == answer.size());
        ids.insert(part(one, kFragmentAt + 4, kPayloadAt));
        answer.insert(answer.end(), one.begin() + kPayloadAt, one.end());
        CHECK((offset_and_more & 1) == (answer.size() < message.size() ? 1 : 0));
    }
    CHECK(fragments == (8960 + 1231) / 1232);
    CHECK(ids.size() == 1);
    REQUIRE(answer.size() == message.size());
    CHECK(int{answer[0]} == 129);
    CHECK(part(answer, 4, answer.size()) == part(message, 4, message.size()));
    CHECK(node.core->count(IpCounter::ip6_frag_oks) == 1);
    CHECK(node.core->count(IpCounter::ip6_frag_creates) == fragments);
}

TEST_CASE("IPv6 fragments to another's link-local address", "[control][fragment]") {
    FragmentNode node;
    CHECK(node.ask({.destination = "fe80::77", .message = counted(64)}, 32) == nullptr);
    CHECK(node.drops(Drop::ip6_not_local) == 2);
}

TEST_CASE("IPv6 fragments: neighbour discovery is not cut (RFC 6980)", "[control][fragment]") {
    FragmentNode node;
    const Bytes question = discovery(135, 0, "2001:db8::1", mac_option(1, kPeer));
    SECTION("in two") {
        CHECK(
            node.ask(
                {.source = "2001:db8::3", .destination = "2001:db8::1", .message = question}, 16
            ) == nullptr
        );
    }
    SECTION("in one") {
        const Bytes whole =
            frame({.source = "2001:db8::3", .destination = "2001:db8::1", .message = question});
        Part atomic = at(0, false);
        atomic.source = "2001:db8::3";
        atomic.protocol = net::ip_protocol::kIcmpv6;
        Bytes bytes = fragment6(atomic, Bytes(whole.begin() + kIcmpAt, whole.end()));
        bytes[14 + 7] = 255;
        node.punt(bytes, Punt::icmp6, node.port);
    }
    CHECK(node.drops(Drop::icmp_malformed) == 1);
    CHECK(node.neighbour("2001:db8::3") == nullptr);
    CHECK(node.sent_bytes().empty());
}

TEST_CASE("IPv6 fragments: the sender hears that the rest did not come", "[control][fragment]") {
    FragmentNode node;
    Part first = at(0, true);
    node.punt(fragment6(first, counted(64)), Punt::fragment, node.port);
    CHECK(node.sent_bytes().empty());
    node.pass(61000);
    const Bytes error = node.sent_bytes();
    REQUIRE(error.size() == kIcmpAt + 8 + 40 + 8 + 64);
    CHECK(int{error[kIcmpAt]} == 3);
    CHECK(int{error[kIcmpAt + 1]} == 1);
    CHECK(text_at(error, 38) == "2001:db8::2");
    CHECK(checksum_is_right(error));
    CHECK(node.drops(Drop::fragment_timeout) == 1);
}

}  // namespace culvert::control::test
