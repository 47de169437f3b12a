// SPDX-License-Identifier: BSD-3-Clause
// What the ip_fragment stage makes of packets larger than their way out.
#include "test/unit/pipeline/router.hpp"

#include <fmt/format.h>

#include <numeric>

namespace culvert::pipeline::test {

namespace {

constexpr std::uint32_t kNarrow = 0x0a020001;  // 10.2.0.1, behind a way with a small MTU

// Total length, offset in units of 8 bytes, more fragments.
struct Piece {
    std::uint16_t length;
    std::uint16_t offset;
    bool more;
    friend bool operator==(const Piece&, const Piece&) = default;
};

std::ostream& operator<<(std::ostream& out, const Piece& piece) {
    return out << fmt::format("({},{},{})", piece.length, piece.offset, piece.more ? 1 : 0);
}

net::Ipv4Header ip_of(const Bytes& frame) {
    net::Ipv4Header ip{};
    REQUIRE(frame.size() >= 14 + sizeof(ip));
    std::memcpy(&ip, &frame[14], sizeof(ip));
    return ip;
}

std::vector<Piece> pieces_of(const std::vector<Bytes>& frames) {
    std::vector<Piece> pieces;
    for (const Bytes& frame : frames) {
        const net::Ipv4Header ip = ip_of(frame);
        REQUIRE(frame.size() == 14U + ip.total_length.host());
        const auto* header = reinterpret_cast<const net::Ipv4Header*>(&frame[14]);
        CHECK(net::ipv4_header_checksum_is_valid(*header, header->header_len_bytes()));
        CHECK_FALSE(ip.dont_fragment());
        pieces.push_back(
            {ip.total_length.host(),
             static_cast<std::uint16_t>(ip.flags_and_offset.host() & net::kIpv4OffsetMask),
             ip.more_fragments()}
        );
    }
    return pieces;
}

// The payloads, one behind the other.
Bytes joined(const std::vector<Bytes>& frames) {
    Bytes bytes;
    for (const Bytes& frame : frames) {
        const auto header_len = static_cast<std::ptrdiff_t>(14 + ip_of(frame).header_len_bytes());
        bytes.insert(bytes.end(), frame.begin() + header_len, frame.end());
    }
    return bytes;
}

struct NarrowRouter : Router {
    explicit NarrowRouter(std::uint32_t mtu) { add_next_hop("10.2.0.0/16", out, kNextHop, mtu); }

    // What becomes of a packet of this total length.
    std::vector<Bytes> cut(std::size_t length, Ipv4Options options = {}) {
        options.destination = kNarrow;
        receive_exact(in, packet(options, length - 20 - options.option_bytes));
        run();
        return sent(out);
    }
};

}  // namespace

TEST_CASE("GOLD-08 FRAG-04 FRAG-11 sizes, offsets and more-fragments", "[pipeline][fragment]") {
    struct Golden {
        std::uint32_t mtu;
        std::size_t length;
        std::vector<Piece> pieces;
    };

    std::vector<Piece> tiny;
    for (std::uint16_t i = 0; i < 30; ++i) {
        tiny.push_back({68, static_cast<std::uint16_t>(6 * i), true});
    }
    tiny.push_back({60, 180, false});
    const std::vector<Golden> goldens{
        {1500, 1650, {{1500, 0, true}, {170, 185, false}}},
        {1500, 4000, {{1500, 0, true}, {1500, 185, true}, {1040, 370, false}}},
        {1499, 3020, {{1492, 0, true}, {1492, 184, true}, {76, 368, false}}},
        {68, 1500, tiny},
    };
    for (const Golden& golden : goldens) {
        NarrowRouter router(golden.mtu);
        const auto frames = router.cut(golden.length);
        CAPTURE(golden.mtu, golden.length);
        CHECK(pieces_of(frames) == golden.pieces);
        Bytes payload(golden.length - 20);
        std::iota(payload.begin(), payload.end(), std::uint8_t{0});
        CHECK(joined(frames) == payload);
        router.expect_no_drop();
        CHECK(router.counters().read(IpCounter::frag_oks) == 1);
        CHECK(router.counters().read(IpCounter::frag_creates) == golden.pieces.size());
        CHECK(router.counters().read(IpCounter::frag_fails) == 0);
        CHECK(router.total(&CounterBlock::replicated) == golden.pieces.size());
        CHECK(router.total(&CounterBlock::consumed) == 1);
    }
}

TEST_CASE("FRAG-03 GOLD-08 an MTU of 27 has no room for a fragment", "[pipeline][fragment]") {
    NarrowRouter router(27);
    CHECK(router.cut(60).empty());
    router.expect_only_drop(router.out, Drop::ip4_too_big);
    CHECK(router.counters().read(IpCounter::frag_fails) == 1);
    CHECK(router.icmp_asked().empty());
}

TEST_CASE("FRAG-04 9000 bytes over a way of 576", "[pipeline][fragment]") {
    NarrowRouter router(576);
    const auto frames = router.cut(9000);
    CHECK(frames.size() == 17);
    CHECK(joined(frames).size() == 8980);
    CHECK(pieces_of(frames).back() == Piece{168, 16 * 69, false});
    router.expect_no_drop();
}

TEST_CASE(
    "FRAG-04 the largest datagram at the smallest MTU, more than a vector holds",
    "[pipeline][fragment]"
) {
    NarrowRouter router(68);
    Bytes all;
    router.receive_exact(router.in, router.packet({.destination = kNarrow}, 65500));
    router.run();
    for (const Bytes& frame : router.sent(router.out)) {
        all.insert(all.end(), frame.begin() + 34, frame.end());
    }
    CHECK(all.size() == 65500);
    router.expect_no_drop();
}

TEST_CASE(
    "FRAG-05 all fragments have the packet's id, tos, ttl, protocol and addresses",
    "[pipeline][fragment]"
) {
    NarrowRouter router(576);
    const auto frames = router.cut(1500, {.source = kPeer, .protocol = 99, .ttl = 17, .tos = 0xb9});
    REQUIRE(frames.size() == 3);
    for (const Bytes& frame : frames) {
        const net::Ipv4Header ip = ip_of(frame);
        CHECK(ip.identification.host() == 0x1234);
        CHECK(ip.type_of_service == 0xb9);
        CHECK(ip.time_to_live == 16);
        CHECK(ip.protocol == 99);
        CHECK(ip.source.host() == kPeer);
        CHECK(ip.destination.host() == kNarrow);
        CHECK(std::memcmp(frame.data(), kNextHop.bytes.data(), 6) == 0);
    }
}

TEST_CASE("FRAG-04 a fragment that is cut goes on from its offset", "[pipeline][fragment]") {
    NarrowRouter router(576);
    SECTION("a middle one: the last piece says more, too") {
        const auto frames = router.cut(1020, {.flags_and_offset = 0x2000 | 100});
        CHECK(pieces_of(frames) == std::vector<Piece>{{572, 100, true}, {468, 169, true}});
    }
    SECTION("the last one") {
        const auto frames = router.cut(1020, {.flags_and_offset = 100});
        CHECK(pieces_of(frames) == std::vector<Piece>{{572, 100, true}, {468, 169, false}});
    }
}

TEST_CASE(
    "FRAG-06 options that are not copied become NOPs in later fragments", "[pipeline][fragment]"
) {
    NarrowRouter router(576);
    // Router alert is copied, record route and timestamp are not; then the end.
    const Bytes options{0x94, 4, 0, 0, 7,    7, 4, 1, 2, 3, 4, 1,
                        0x44, 4, 5, 0, 0x82, 4, 9, 9, 0, 7, 3, 0};
    const Bytes later{0x94, 4, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x82, 4, 9, 9, 0, 7, 3, 0};
    Bytes frame =
        router.packet({.destination = kNarrow, .option_bytes = options.size()}, 1500).bytes();
    std::copy(options.begin(), options.end(), frame.begin() + 34);
    set_ip_checksum(frame);
    router.receive(router.in, frame, true);
    router.run();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 3);
    for (std::size_t i = 0; i < frames.size(); ++i) {
        CHECK(ip_of(frames[i]).header_len_bytes() == 44);
        const Bytes got(frames[i].begin() + 34, frames[i].begin() + 58);
        CHECK(got == (i == 0 ? options : later));
    }
    CHECK(joined(frames).size() == 1500);
}

TEST_CASE("FRAG-06 malformed options are left as they are", "[pipeline][fragment]") {
    NarrowRouter router(576);
    const Bytes options =
        GENERATE(Bytes{7, 0, 1, 1}, Bytes{7, 1, 1, 1}, Bytes{7, 9, 1, 1}, Bytes{1, 1, 1, 7});
    Bytes frame = router.packet({.destination = kNarrow, .option_bytes = 4}, 900).bytes();
    std::copy(options.begin(), options.end(), frame.begin() + 34);
    set_ip_checksum(frame);
    router.receive(router.in, frame, true);
    router.run();
    const auto frames = router.sent(router.out);
    REQUIRE(frames.size() == 2);
    CHECK(Bytes(frames[1].begin() + 34, frames[1].begin() + 38) == options);
}

TEST_CASE(
    "FRAG-10 fragments leave in order, and whole packets beside them", "[pipeline][fragment]"
) {
    NarrowRouter router(576);
    for (int i = 0; i < 8; ++i) {
        router.receive_exact(router.in, router.packet({.destination = kNarrow}, 1400));
        router.receive_exact(router.in, router.packet({.destination = kBehind}, 1400));
    }
    router.run();
    const auto frames = router.sent(router.out);
    CHECK(frames.size() == 8 + 8 * 3);
    std::uint16_t expected = 0;
    for (const Bytes& frame : frames) {
        if (ip_of(frame).is_fragment()) {
            CHECK(ip_of(frame).fragment_offset_bytes() == expected * std::size_t{552});
            expected = static_cast<std::uint16_t>((expected + 1) % 3);
        }
    }
    router.expect_no_drop();
}

TEST_CASE("FRAG-07 no packet buffer: what is left is dropped by name", "[pipeline][fragment]") {
    NarrowRouter router(576);
    router.receive_exact(router.in, router.packet({.destination = kNarrow}, 1480));
    std::vector<rte_mbuf*> taken;
    while (rte_mempool_avail_count(router.pool()) > 1) {
        taken.push_back(rte_pktmbuf_alloc(router.pool()));
        REQUIRE(taken.back() != nullptr);
    }
    router.run();
    for (rte_mbuf* packet : taken) {
        rte_pktmbuf_free(packet);
    }
    CHECK(router.sent(router.out).size() == 1);
    router.expect_only_drop(router.out, Drop::pool_exhausted);
    CHECK(router.counters().read(IpCounter::frag_creates) == 1);
    CHECK(router.counters().read(IpCounter::frag_oks) == 0);
    CHECK(router.counters().read(IpCounter::frag_fails) == 1);
}

TEST_CASE(
    "FRAG-01 fragments to a next hop without a MAC go to control each", "[pipeline][fragment]"
) {
    Router router;
    route::Adjacency adjacency;
    adjacency.kind = route::AdjacencyKind::glean;
    adjacency.link_out = router.out;
    adjacency.mtu = 576;
    router.add_route("10.2.0.0/16", adjacency);
    router.receive_exact(router.in, router.packet({.destination = kNarrow}, 1400));
    router.run();
    const auto punted = router.punted();
    REQUIRE(punted.size() == 3);
    for (const Punted& fragment : punted) {
        CHECK(fragment.note.punt == Punt::resolve);
        CHECK(fragment.note.link_out == router.out);
        CHECK(fragment.next_hop == net::IpAddress::from_v4(kNarrow));
        CHECK(fragment.bytes.size() <= 14 + 576);
    }
    router.expect_no_drop();
}

}  // namespace culvert::pipeline::test
