// SPDX-License-Identifier: BSD-3-Clause
// Packets for tests, put together header by header. Lengths and checksums are filled in when the
// packet is built, unless a test sets them wrong on purpose.
#pragma once

#include "lib/net/arp.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/udp.hpp"
#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace culvert::pipeline::test {

using Bytes = std::vector<std::uint8_t>;

inline net::MacAddress mac(std::uint64_t number) {
    return net::MacAddress::from_value(0x020000000000 | number);
}

struct Ipv4Options {
    std::uint32_t source = 0x0a000002;       // 10.0.0.2
    std::uint32_t destination = 0x0a000102;  // 10.0.1.2
    std::uint8_t protocol = net::ip_protocol::kUdp;
    std::uint8_t ttl = 64;
    std::uint8_t tos = 0;
    std::uint16_t flags_and_offset = 0;
    std::uint8_t version_and_ihl = 0;  // 0 = right
    std::size_t option_bytes = 0;      // zeroes (end of options) behind the fixed header
    std::optional<std::uint16_t> total_length = std::nullopt;
    bool wrong_checksum = false;
};

class Packet {
public:
    Packet& ether(
        const net::MacAddress& destination,
        const net::MacAddress& source,
        std::uint16_t type = net::ether_type::kIpv4
    ) {
        return add(net::EtherHeader{destination, source, net::Be16{type}});
    }

    Packet& vlan(std::uint16_t vid, std::uint16_t type) {
        return add(net::VlanHeader{net::Be16{vid}, net::Be16{type}});
    }

    Packet& ipv4(const Ipv4Options& options = {}) {
        ip_ = options;
        ip_offset_ = bytes_.size();
        add(net::Ipv4Header{});
        return raw(Bytes(options.option_bytes));
    }

    Packet& udp(std::uint16_t source, std::uint16_t destination) {
        udp_offset_ = bytes_.size();
        return add(net::UdpHeader{
            net::Be16{source}, net::Be16{destination}, net::Be16{0}, net::Be16{0}});
    }

    Packet& icmp_echo() {
        return add(net::IcmpEchoHeader{
            net::icmp_type::kEchoRequest, 0, net::Be16{0}, net::Be16{1}, net::Be16{1}});
    }

    Packet& arp_request(const net::MacAddress& sender, std::uint32_t from, std::uint32_t to) {
        return add(net::ArpHeader{
            net::Be16{net::arp::kHardwareEthernet},
            net::Be16{net::ether_type::kIpv4},
            6,
            4,
            net::Be16{net::arp::kRequest},
            sender,
            net::Be32{from},
            {},
            net::Be32{to}});
    }

    // `n` bytes that count up from `first`.
    Packet& payload(std::size_t n, std::uint8_t first = 0) {
        for (std::size_t i = 0; i < n; ++i) {
            bytes_.push_back(static_cast<std::uint8_t>(first + i));
        }
        return *this;
    }

    Packet& raw(const Bytes& bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return *this;
    }

    // Bytes behind the IP datagram: Ethernet's padding.
    Packet& padding(std::size_t n) {
        padding_ += n;
        return *this;
    }

    [[nodiscard]] Bytes bytes() const {
        Bytes frame = bytes_;
        if (ip_offset_ != 0) {
            finish_ipv4(frame);
        }
        if (udp_offset_ != 0) {
            auto* udp = reinterpret_cast<net::UdpHeader*>(&frame[udp_offset_]);
            udp->length = net::Be16{static_cast<std::uint16_t>(frame.size() - udp_offset_)};
        }
        frame.resize(frame.size() + padding_);
        return frame;
    }

private:
    template <typename Header>
    Packet& add(const Header& header) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&header);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof(Header));
        return *this;
    }

    void finish_ipv4(Bytes& frame) const {
        auto* ip = reinterpret_cast<net::Ipv4Header*>(&frame[ip_offset_]);
        const auto len = static_cast<std::uint16_t>(frame.size() - ip_offset_);
        const std::size_t header_len = sizeof(net::Ipv4Header) + ip_.option_bytes;
        const auto right = static_cast<std::uint8_t>(0x40 | header_len / 4);
        ip->version_and_ihl = ip_.version_and_ihl != 0 ? ip_.version_and_ihl : right;
        ip->type_of_service = ip_.tos;
        ip->total_length = net::Be16{ip_.total_length.value_or(len)};
        ip->identification = net::Be16{0x1234};
        ip->flags_and_offset = net::Be16{ip_.flags_and_offset};
        ip->time_to_live = ip_.ttl;
        ip->protocol = ip_.protocol;
        ip->source = net::Be32{ip_.source};
        ip->destination = net::Be32{ip_.destination};
        ip->checksum = net::ipv4_header_checksum(*ip, header_len);
        if (ip_.wrong_checksum) {
            ip->checksum = net::Be16{static_cast<std::uint16_t>(ip->checksum.host() ^ 0x5a5a)};
        }
    }

    Bytes bytes_;
    Ipv4Options ip_;
    std::size_t ip_offset_ = 0;
    std::size_t udp_offset_ = 0;
    std::size_t padding_ = 0;
};

inline Bytes bytes_of(const rte_mbuf* packet) {
    Bytes bytes(rte_pktmbuf_pkt_len(packet));
    const void* data = rte_pktmbuf_read(packet, 0, rte_pktmbuf_pkt_len(packet), bytes.data());
    if (data != bytes.data() && !bytes.empty()) {
        std::memcpy(bytes.data(), data, bytes.size());
    }
    return bytes;
}

// In an ordinary buffer: headroom in front, room behind.
inline rte_mbuf* make_mbuf(rte_mempool* pool, const Bytes& bytes) {
    rte_mbuf* packet = rte_pktmbuf_alloc(pool);
    if (packet != nullptr && !bytes.empty()) {
        std::memcpy(
            rte_pktmbuf_append(packet, static_cast<std::uint16_t>(bytes.size())),
            bytes.data(),
            bytes.size()
        );
    }
    return packet;
}

// In memory of exactly its size, so that ASan sees the first byte read or written beside it.
inline rte_mbuf* make_exact_mbuf(rte_mempool* pool, const Bytes& bytes) {
    struct Owner {
        rte_mbuf_ext_shared_info shared;
        void* memory;
    };

    rte_mbuf* packet = rte_pktmbuf_alloc(pool);
    if (packet == nullptr) {
        return nullptr;
    }
    // One byte at least, since a buffer of none has no address; the packet's length stays 0.
    void* memory = std::malloc(bytes.empty() ? 1 : bytes.size());
    auto* owner = new Owner{{}, memory};
    owner->shared.free_cb = [](void*, void* opaque) {
        auto* ended = static_cast<Owner*>(opaque);
        std::free(ended->memory);
        delete ended;
    };
    owner->shared.fcb_opaque = owner;
    rte_mbuf_ext_refcnt_set(&owner->shared, 1);
    const auto len = static_cast<std::uint16_t>(bytes.size());
    rte_pktmbuf_attach_extbuf(packet, memory, 0, len, &owner->shared);
    packet->data_off = 0;
    packet->data_len = len;
    packet->pkt_len = len;
    if (!bytes.empty()) {
        std::memcpy(memory, bytes.data(), bytes.size());
    }
    return packet;
}

}  // namespace culvert::pipeline::test
