// SPDX-License-Identifier: BSD-3-Clause
// ARP and neighbour discovery answered for others (proxy entries).
#include "test/unit/control/ip6_node.hpp"

namespace culvert::control::test {

namespace {

// Port 0 is 192.0.2.1/24 and 2001:db8::1/64, behind port 1 is 198.51.100.0/24.
struct ProxyNode : Node {
    ProxyNode() {
        add_address(port, "192.0.2.1/24");
        const LinkId other = add_quiet_port(1);
        add_address(other, "198.51.100.1/24");
        pass(4000);
        while (!sent_bytes().empty()) {
        }
    }

    void stand_for(const std::string& address, bool is_router = false) {
        REQUIRE(core->routing().neighbours().set_proxy({{port, ip(address)}, is_router}));
    }

    void ask(const std::string& target, bool is_unicast) {
        Bytes bytes(14 + sizeof(net::ArpHeader));
        const net::EtherHeader ether{
            is_unicast ? mac("02:00:00:00:00:10") : net::kBroadcastMac,
            kPeer,
            net::Be16{net::ether_type::kArp}};
        net::ArpHeader arp{};
        arp.hardware_type = net::Be16{net::arp::kHardwareEthernet};
        arp.protocol_type = net::Be16{net::ether_type::kIpv4};
        arp.hardware_length = 6;
        arp.protocol_length = 4;
        arp.operation = net::Be16{net::arp::kRequest};
        arp.sender_mac = kPeer;
        arp.sender_ip = net::Be32{ip("192.0.2.9").v4()};
        arp.target_ip = net::Be32{ip(target).v4()};
        std::memcpy(bytes.data(), &ether, sizeof(ether));
        std::memcpy(bytes.data() + 14, &arp, sizeof(arp));
        punt(bytes, Punt::arp, port);
    }

    bool is_answered(const std::string& target) {
        const Bytes bytes = sent_bytes();
        if (bytes.empty()) {
            return false;
        }
        net::ArpHeader arp{};
        REQUIRE(bytes.size() >= 14 + sizeof(arp));
        std::memcpy(&arp, bytes.data() + 14, sizeof(arp));
        CHECK(arp.operation.host() == net::arp::kReply);
        CHECK(arp.sender_mac == mac("02:00:00:00:00:10"));
        CHECK(arp.target_mac == kPeer);
        return arp.sender_ip.host() == ip(target).v4();
    }
};

}  // namespace

TEST_CASE("NEI-11 UI-NEI-01 ARP is answered for proxies' addresses", "[control][proxy]") {
    ProxyNode node;
    const std::string target = "198.51.100.7";
    SECTION("not without an entry") {
        node.ask(target, true);
        node.pass(1000);
        CHECK(node.sent_bytes().empty());
        return;
    }
    node.stand_for(target);
    SECTION("at once, who asks us alone") {
        node.ask(target, true);
        CHECK(node.is_answered(target));
    }
    SECTION("a random while later, who asks all") {
        node.ask(target, false);
        node.pass(850);
        CHECK(node.is_answered(target));
    }
    SECTION("not for an address that is on the same link, or nowhere") {
        node.stand_for("192.0.2.50");
        node.stand_for("203.0.113.1");
        node.ask("192.0.2.50", true);
        node.ask("203.0.113.1", true);
        node.pass(1000);
        CHECK(node.sent_bytes().empty());
        return;
    }
    SECTION("a storm has 64 answers waiting and no more") {
        for (int i = 0; i < 200; ++i) {
            node.ask(target, false);
        }
        node.pass(850);
        int answers = 0;
        while (node.is_answered(target)) {
            ++answers;
        }
        CHECK(answers >= 64);
        CHECK(answers < 200);
        return;
    }
    REQUIRE(node.neighbour("192.0.2.9") != nullptr);
    CHECK(node.neighbour("192.0.2.9")->state == route::NeighbourState::stale);
}

TEST_CASE("NEI-11 UI-NEI-01 solicitations for proxies' addresses", "[control][proxy]") {
    ProxyNode node;
    const bool is_router = GENERATE(true, false);
    const bool is_detection = GENERATE(true, false);
    node.stand_for("2001:db8::77", is_router);
    node.hear(
        {.source = is_detection ? "::" : "2001:db8::2",
         .destination = "ff02::1:ff00:77",
         .message =
             discovery(135, 0, "2001:db8::77", is_detection ? Bytes{} : mac_option(1, kPeer))}
    );
    node.pass(850);
    const Bytes answer = node.sent_bytes();
    REQUIRE(answer.size() == kIcmpAt + 32);
    CHECK(text_at(answer, 38) == (is_detection ? "ff02::1" : "2001:db8::2"));
    CHECK(text_at(answer, 22) != "2001:db8::77");
    CHECK(int{answer[kIcmpAt]} == 136);
    // Not override: who has the address is to be believed.
    CHECK(int{answer[kIcmpAt + 4]} == (is_router ? 0x80 : 0) + (is_detection ? 0 : 0x40));
    CHECK(text_at(answer, kIcmpAt + 8) == "2001:db8::77");
    CHECK(int{answer[kIcmpAt + 24]} == 2);
}

}  // namespace culvert::control::test
