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

}  // namespace culvert::encap::test
