// SPDX-License-Identifier: BSD-3-Clause
// Neighbour discovery and duplicate address detection as control does them.
#include "test/unit/control/ip6_node.hpp"

namespace culvert::control::test {

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

}  // namespace culvert::control::test
