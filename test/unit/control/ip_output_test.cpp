// SPDX-License-Identifier: BSD-3-Clause
// What we send ourselves, as it leaves: numbered, whole before it is cut.
#include "lib/net/tcp.hpp"
#include "test/unit/control/vrf_machine.hpp"

namespace culvert::control::test {

namespace {

struct Sender : VrfMachine {
    Sender() {
        run("addr add 10.0.0.1/24 dev port0");
        run("addr add 10.1.0.1/24 dev port1");
        know(0, "10.0.0.2");
        know(1, "10.1.0.2");
        (void)sent_counts();
    }

    std::uint64_t count(pipeline::IpCounter counter) { return core().count(counter); }
};

net::Ipv4Header ip_of(const Bytes& frame) {
    net::Ipv4Header header{};
    REQUIRE(frame.size() >= 14 + sizeof(header));
    std::memcpy(&header, frame.data() + 14, sizeof(header));
    return header;
}

Bytes syn() {
    net::TcpHeader segment{};
    segment.source = net::Be16{1000};
    segment.destination = net::Be16{2000};
    segment.offset_and_flags = net::Be16{0x5002};
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&segment);
    Bytes bytes(raw, raw + sizeof(segment));
    const net::Be32 source{v4("10.0.0.2")};
    const net::Be32 destination{v4("10.0.0.1")};
    const std::uint64_t pseudo = net::pseudo_header_sum_v4(
        source, destination, net::ip_protocol::kTcp, static_cast<std::uint16_t>(bytes.size())
    );
    const net::Be16 sum =
        net::checksum_from_sum(net::sum_bytes(bytes.data(), bytes.size(), pseudo));
    std::memcpy(bytes.data() + 16, &sum, sizeof(sum));
    return from_peer(
               0,
               {.source = v4("10.0.0.2"),
                .destination = v4("10.0.0.1"),
                .protocol = net::ip_protocol::kTcp}
    )
        .raw(bytes)
        .bytes();
}

}  // namespace

TEST_CASE("IPO-QX-09 what may be cut is numbered, what says DF has 0", "[control]") {
    Sender machine;
    std::vector<std::uint16_t> numbers;
    for (int i = 0; i < 3; ++i) {
        machine.receive(0, echo_request(0, "10.0.0.2", "10.0.0.1"));
        machine.settle();
        const std::vector<Bytes> replies = machine.sent(0);
        REQUIRE(replies.size() == 1);
        CHECK_FALSE(ip_of(replies.front()).dont_fragment());
        numbers.push_back(ip_of(replies.front()).identification.host());
    }
    CHECK(numbers[1] == static_cast<std::uint16_t>(numbers[0] + 1));
    CHECK(numbers[2] == static_cast<std::uint16_t>(numbers[1] + 1));
    machine.receive(0, syn());
    machine.settle();
    const std::vector<Bytes> resets = machine.sent(0);
    REQUIRE(resets.size() == 1);
    CHECK(ip_of(resets.front()).protocol == net::ip_protocol::kTcp);
    CHECK(ip_of(resets.front()).dont_fragment());
    CHECK(ip_of(resets.front()).identification.host() == 0);
}

TEST_CASE("a packet of ours is whole before it is cut", "[control]") {
    Sender machine;
    machine.run("link set port1 mtu 576");
    machine.run("route add 10.7.0.0/24 via 10.1.0.2");
    Bytes request = from_peer(
                        0,
                        {.source = v4("10.7.0.2"),
                         .destination = v4("10.0.0.1"),
                         .protocol = net::ip_protocol::kIcmp}
    )
                        .icmp_echo()
                        .payload(1200)
                        .bytes();
    const net::Be16 sum =
        net::checksum_from_sum(net::sum_bytes(request.data() + 34, request.size() - 34));
    std::memcpy(request.data() + 36, &sum, sizeof(sum));
    const std::uint64_t before = machine.count(pipeline::IpCounter::out_requests);
    machine.receive(0, request);
    machine.settle();
    const std::vector<Bytes> pieces = machine.sent(1);
    REQUIRE(pieces.size() == 3);
    CHECK(machine.count(pipeline::IpCounter::out_requests) == before + 1);  // not one a piece
    CHECK(machine.count(pipeline::IpCounter::frag_oks) == 1);
    CHECK(machine.count(pipeline::IpCounter::frag_creates) == 3);
    for (const Bytes& piece : pieces) {
        const net::Ipv4Header ip = ip_of(piece);
        CHECK(ip.total_length.host() == piece.size() - 14);
        CHECK(net::sum_fold(net::sum_bytes(piece.data() + 14, 20)) == 0xffff);
        CHECK(ip.identification == ip_of(pieces.front()).identification);
    }
}

}  // namespace culvert::control::test
