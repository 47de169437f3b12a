// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/mbuf.hpp"
#include "test/unit/encap/packets.hpp"

namespace culvert::encap::test {

TEST_CASE("trim_to cuts chains anywhere and frees what is empty", "[encap]") {
    const Pool pool;
    const Bytes bytes = ipv4_frame(60);
    for (std::size_t len = 1; len <= bytes.size(); ++len) {
        const Packet packet = make_chain(pool, bytes, {10, 11, 50, 80});
        trim_to(packet.get(), static_cast<std::uint32_t>(len));
        CAPTURE(len);
        REQUIRE(
            bytes_of(packet.get()) ==
            Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(len))
        );
        REQUIRE(packet->pkt_len == len);
        rte_mbuf_sanity_check(packet.get(), 1);
    }
}

TEST_CASE("sum_packet is the sum of the bytes, however they are cut", "[encap]") {
    const Pool pool;
    const Bytes bytes = ipv4_frame(60);
    for (std::size_t first = 8; first < 60; ++first) {
        for (std::uint16_t offset = 0; offset < 4; ++offset) {
            const Packet packet = make_chain(pool, bytes, {first, first + 1, first + 8});
            const auto expected = reference_sum(std::span(bytes).subspan(offset));
            const std::uint16_t sum = net::sum_fold(sum_packet(packet.get(), offset));
            REQUIRE(net::Be16::from_raw(sum).host() == expected);
        }
    }
}

TEST_CASE("forget_offloads keeps what says whose memory it is", "[encap]") {
    const Pool pool;
    const Packet packet = make_exact(pool, ipv4_frame(0));
    packet->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_TX_UDP_CKSUM;
    forget_offloads(packet.get());
    CHECK(packet->ol_flags == RTE_MBUF_F_EXTERNAL);
}

TEST_CASE("IPO-F2-01 room for a header is made where the buffer has any", "[encap]") {
    const Pool pool;
    const Bytes bytes = ipv4_frame(60);
    SECTION("behind the bytes") {
        const Packet packet = make_packet(pool, bytes);
        rte_pktmbuf_prepend(packet.get(), rte_pktmbuf_headroom(packet.get()));
        rte_pktmbuf_adj(packet.get(), 10);
        const Bytes before = bytes_of(packet.get());
        REQUIRE(make_headroom(packet.get(), 10, pool.get()));
        CHECK(rte_pktmbuf_headroom(packet.get()) == 10);
        REQUIRE(make_headroom(packet.get(), 74, pool.get()));
        CHECK(rte_pktmbuf_headroom(packet.get()) == 74);
        CHECK(bytes_of(packet.get()) == before);
        CHECK(packet->nb_segs == 1);
    }
    SECTION("in a segment more") {
        const Packet packet = make_chain(pool, bytes, {40});
        // To the last byte of its buffer.
        const std::uint32_t room = rte_pktmbuf_headroom(packet.get());
        const std::uint16_t tail = rte_pktmbuf_tailroom(packet.get());
        packet->data_off = static_cast<std::uint16_t>(packet->data_off + tail);
        std::memcpy(rte_pktmbuf_mtod(packet.get(), void*), bytes.data(), 40);
        const std::uint16_t wanted = static_cast<std::uint16_t>(room + tail + 20);
        REQUIRE(make_headroom(packet.get(), wanted, pool.get()));
        CHECK(rte_pktmbuf_headroom(packet.get()) == wanted);
        CHECK(packet->nb_segs == 3);
        CHECK(bytes_of(packet.get()) == bytes);
        rte_mbuf_sanity_check(packet.get(), 1);
    }
    SECTION("not in memory of others") {
        const Packet packet = make_exact(pool, bytes);
        CHECK_FALSE(make_headroom(packet.get(), 14, pool.get()));
        CHECK(bytes_of(packet.get()) == bytes);
    }
}

}  // namespace culvert::encap::test
