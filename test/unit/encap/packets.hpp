// SPDX-License-Identifier: BSD-3-Clause
// What the encap tests share: packet buffers, a reference checksum, frames and templates.
#pragma once

#include "lib/encap/vxlan_build.hpp"

#include <catch2/catch.hpp>
#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace culvert::encap::test {

using Bytes = std::vector<std::uint8_t>;

// A pool that must be full again at the end of the test.
class Pool {
public:
    Pool()
        : pool_(rte_pktmbuf_pool_create("encap_test", kSize, 0, 0, 4096, SOCKET_ID_ANY)) {
        REQUIRE(pool_ != nullptr);
    }

    ~Pool() {
        CHECK(rte_mempool_avail_count(pool_) == kSize);
        rte_mempool_free(pool_);
    }

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    [[nodiscard]] rte_mempool* get() const { return pool_; }

private:
    static constexpr unsigned kSize = 255;
    rte_mempool* pool_;
};

struct FreePacket {
    void operator()(rte_mbuf* packet) const { rte_pktmbuf_free(packet); }
};

using Packet = std::unique_ptr<rte_mbuf, FreePacket>;

inline Bytes bytes_of(const rte_mbuf* packet) {
    Bytes bytes;
    for (; packet != nullptr; packet = packet->next) {
        const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        bytes.insert(bytes.end(), data, data + packet->data_len);
    }
    return bytes;
}

// One segment with the usual headroom.
inline Packet make_packet(const Pool& pool, std::span<const std::uint8_t> bytes) {
    Packet packet(rte_pktmbuf_alloc(pool.get()));
    REQUIRE(packet != nullptr);
    char* data = rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(bytes.size()));
    REQUIRE(data != nullptr);
    std::memcpy(data, bytes.data(), bytes.size());
    return packet;
}

// Segments that end after each of `cuts` bytes; the rest in a last one.
inline Packet make_chain(
    const Pool& pool, std::span<const std::uint8_t> bytes, const std::vector<std::size_t>& cuts
) {
    Packet chain;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : bytes.size();
        Packet segment = make_packet(pool, bytes.subspan(begin, end - begin));
        if (chain == nullptr) {
            chain = std::move(segment);
        } else {
            REQUIRE(rte_pktmbuf_chain(chain.get(), segment.release()) == 0);
        }
        begin = end;
    }
    return chain;
}

// In a buffer of `headroom` + bytes and not one more, so that the address sanitizer sees an access
// beyond it.
inline Packet
make_exact(const Pool& pool, std::span<const std::uint8_t> bytes, std::uint16_t headroom = 0) {
    struct Memory {
        rte_mbuf_ext_shared_info shared;
        std::uint8_t* bytes;
    };

    auto* memory = new Memory;
    const std::size_t size = std::max<std::size_t>(headroom + bytes.size(), 1);
    memory->bytes = static_cast<std::uint8_t*>(std::malloc(size));
    memory->shared.free_cb = [](void*, void* opaque) {
        auto* owned = static_cast<Memory*>(opaque);
        std::free(owned->bytes);
        delete owned;
    };
    memory->shared.fcb_opaque = memory;
    rte_mbuf_ext_refcnt_set(&memory->shared, 1);
    if (!bytes.empty()) {
        std::memcpy(memory->bytes + headroom, bytes.data(), bytes.size());
    }
    Packet packet(rte_pktmbuf_alloc(pool.get()));
    REQUIRE(packet != nullptr);
    rte_pktmbuf_attach_extbuf(
        packet.get(),
        memory->bytes,
        RTE_BAD_IOVA,
        static_cast<std::uint16_t>(headroom + bytes.size()),
        &memory->shared
    );
    packet->data_off = headroom;
    packet->data_len = static_cast<std::uint16_t>(bytes.size());
    packet->pkt_len = static_cast<std::uint32_t>(bytes.size());
    return packet;
}

// RFC 1071, the slow way: big-endian words one by one.
inline std::uint32_t reference_sum(std::span<const std::uint8_t> bytes, std::uint32_t start = 0) {
    std::uint32_t sum = start;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += std::uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

// Whether the IPv4 header at `offset` (without options) has a right checksum.
inline bool ip_checksum_is_right(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return reference_sum(bytes.subspan(offset, 20)) == 0xffff;
}

// Whether the transport checksum behind the IPv4 header at `offset` is right.
inline bool transport_checksum_is_right(std::span<const std::uint8_t> bytes, std::size_t offset) {
    const auto transport = bytes.subspan(offset + 20);
    std::uint32_t pseudo = reference_sum(bytes.subspan(offset + 12, 8), bytes[offset + 9]);
    pseudo += static_cast<std::uint32_t>(transport.size());
    return reference_sum(transport, pseudo) == 0xffff;
}

// An Ethernet frame with an IPv4 UDP packet of `payload` bytes, made by hand.
inline Bytes
ipv4_frame(std::size_t payload, std::uint8_t tos = 0, std::uint8_t ttl = 63, bool df = false) {
    Bytes frame{0x02, 0,    0,    0, 0,    0x0b, 0x02,
                0,    0,    0,    0, 0x0a, 0x08, 0x00,
                0x45, tos,  0,    0, 0,    7,    static_cast<std::uint8_t>(df ? 0x40 : 0),
                0,    ttl,  17,   0, 0,    10,   0,
                0,    1,    10,   0, 0,    2,    0x03,
                0xe8, 0x07, 0xd0, 0, 0,    0,    0};
    const std::size_t total = 28 + payload;
    frame[16] = static_cast<std::uint8_t>(total >> 8);
    frame[17] = static_cast<std::uint8_t>(total);
    frame[38] = static_cast<std::uint8_t>((total - 20) >> 8);
    frame[39] = static_cast<std::uint8_t>(total - 20);
    for (std::size_t i = 0; i < payload; ++i) {
        frame.push_back(static_cast<std::uint8_t>(i * 37 + 11));
    }
    const auto ip = static_cast<std::uint16_t>(~reference_sum(std::span(frame).subspan(14, 20)));
    frame[24] = static_cast<std::uint8_t>(ip >> 8);
    frame[25] = static_cast<std::uint8_t>(ip);
    const std::uint32_t pseudo =
        reference_sum(std::span(frame).subspan(26, 8), 17) + static_cast<std::uint32_t>(total - 20);
    const auto udp =
        static_cast<std::uint16_t>(~reference_sum(std::span(frame).subspan(34), pseudo));
    frame[40] = static_cast<std::uint8_t>(udp >> 8);
    frame[41] = static_cast<std::uint8_t>(udp);
    return frame;
}

inline Bytes ipv6_frame(std::uint8_t traffic_class, std::uint8_t hop_limit = 9) {
    Bytes frame{0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x86, 0xdd};
    frame.push_back(static_cast<std::uint8_t>(0x60 | traffic_class >> 4));
    frame.push_back(static_cast<std::uint8_t>(traffic_class << 4 | 0x5));
    frame.insert(frame.end(), {0x43, 0x21, 0, 4, 59, hop_limit});
    for (std::uint8_t i = 0; i < 36; ++i) {
        frame.push_back(i);  // addresses and payload
    }
    return frame;
}

inline Bytes with_vlan(Bytes frame, std::uint16_t vid) {
    const std::array<std::uint8_t, 4> tag{
        0x81, 0x00, static_cast<std::uint8_t>(vid >> 8), static_cast<std::uint8_t>(vid)};
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    return frame;
}

// 192.0.2.1 -> 192.0.2.2 on the same link, MTU 1500.
inline route::Path direct_path() {
    route::Path path;
    path.kind = route::AdjacencyKind::rewrite;
    path.link = 3;
    path.next_hop = net::IpAddress::from_v4(0xc0000202);
    path.source = net::IpAddress::from_v4(0xc0000201);
    path.mtu = 1500;
    return path;
}

inline route::Adjacency direct_neighbour() {
    route::Adjacency neighbour;
    neighbour.kind = route::AdjacencyKind::rewrite;
    neighbour.link_out = 3;
    neighbour.header_len = 14;
    neighbour.header = {0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00};
    return neighbour;
}

inline VxlanRemote direct_remote() {
    return {net::IpAddress::from_v4(0xc0000202), 42, 8472, kNoLink};
}

inline VxlanTemplate
make_template(const VxlanConfig& config = {}, const route::Path& path = direct_path()) {
    return build_vxlan_template(config, 7, direct_remote(), path, direct_neighbour());
}

}  // namespace culvert::encap::test
