// SPDX-License-Identifier: BSD-3-Clause
// Reassembly alone, with a pool of its own and what it wanted done.
#pragma once

#include "lib/control/reassembly.hpp"
#include "lib/pipeline/ip_fragment.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace culvert::control::test {

using pipeline::Drop;
using pipeline::IpCounter;
using Bytes = std::vector<std::uint8_t>;

inline Bytes counted(std::size_t len, std::uint8_t first = 0) {
    Bytes bytes(len);
    std::iota(bytes.begin(), bytes.end(), first);
    return bytes;
}

inline Bytes part(const Bytes& whole, std::size_t begin, std::size_t end) {
    return {
        whole.begin() + static_cast<std::ptrdiff_t>(begin),
        whole.begin() + static_cast<std::ptrdiff_t>(std::min(end, whole.size()))};
}

struct Assembler : ReassemblyActions {
    explicit Assembler(ReassemblyLimits limits = {}, net::Family family = net::Family::ipv4)
        : pool(rte_pktmbuf_pool_create(
              ("reassembly_" + std::to_string(made++)).c_str(),
              4095,
              0,
              pipeline::kPrivateSize,
              2176,
              SOCKET_ID_ANY
          ))
        , reassembly(*this, limits, family) {}

    ~Assembler() override {
        reassembly.give_up_all(Drop::shutdown);
        CHECK(reassembly.queued_fragments() == 0);
        CHECK(reassembly.memory() == 0);
        CHECK(rte_mempool_avail_count(pool) == pool->size);
        rte_mempool_free(pool);
    }

    void drop_fragment(rte_mbuf* packet, Drop reason) override {
        ++drops[reason];
        rte_pktmbuf_free(packet);
    }

    void consume_fragment(rte_mbuf* packet) override {
        ++consumed;
        rte_pktmbuf_free(packet);
    }

    void expired(rte_mbuf* /*first_fragment*/) override { ++told; }

    void complain(rte_mbuf* /*fragment*/, const pipeline::IcmpError& error) override {
        complaints.push_back(error);
    }

    void count(IpCounter counter) override { ++counters[counter]; }

    // In buffers of at most `split` bytes. The datagram's bytes, or none.
    Bytes add(const Bytes& bytes, std::uint64_t now_ms = 0, std::size_t split = 2048) {
        rte_mbuf* packet = nullptr;
        for (std::size_t at = 0; at < bytes.size(); at += split) {
            const Bytes piece = part(bytes, at, at + split);
            rte_mbuf* segment = rte_pktmbuf_alloc(pool);
            REQUIRE(segment != nullptr);
            std::memcpy(
                rte_pktmbuf_append(segment, static_cast<std::uint16_t>(piece.size())),
                piece.data(),
                piece.size()
            );
            if (packet == nullptr) {
                packet = segment;
            } else {
                REQUIRE(rte_pktmbuf_chain(packet, segment) == 0);
            }
        }
        pipeline::note(packet) = pipeline::Note::arrived(5);
        pipeline::note(packet).l3_offset = 14;
        rte_mbuf* whole = reassembly.add(packet, scope, pool, now_ms);
        if (whole == nullptr) {
            return {};
        }
        CHECK(pipeline::note(whole).link_in == 5);
        CHECK(pipeline::note(whole).l3_offset == 14);
        CHECK(whole->data_len >= std::min<std::uint32_t>(whole->pkt_len, 2048));
        CHECK(rte_pktmbuf_headroom(whole) == RTE_PKTMBUF_HEADROOM);
        Bytes joined(whole->pkt_len);
        if (const void* data = rte_pktmbuf_read(whole, 0, whole->pkt_len, joined.data());
            data != joined.data()) {
            std::memcpy(joined.data(), data, joined.size());
        }
        rte_pktmbuf_free(whole);
        return joined;
    }

    static inline int made = 0;
    rte_mempool* pool;
    std::map<Drop, std::size_t> drops;
    std::map<IpCounter, std::size_t> counters;
    std::size_t consumed = 0;
    std::size_t told = 0;
    std::vector<pipeline::IcmpError> complaints;
    LinkId scope = kNoLink;
    Reassembly reassembly;
};

}  // namespace culvert::control::test
