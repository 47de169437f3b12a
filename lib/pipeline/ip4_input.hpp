// SPDX-License-Identifier: BSD-3-Clause
// What Linux's ip_rcv and ip_route_input ask of every IPv4 packet (ICMP-07), for the ip4 stage:
// what most packets pass is inline, what is out of the ordinary in ip4_input.cpp.
#pragma once

#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

inline constexpr std::uint32_t kFirstGroup = 0xe0000000;  // 224.0.0.0

inline net::Ipv4Header* header_of(rte_mbuf* packet) noexcept {
    return rte_pktmbuf_mtod_offset(packet, net::Ipv4Header*, note(packet).l3_offset);
}

// 0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0 upwards: addresses that need a closer look.
constexpr bool is_special(std::uint32_t address) noexcept {
    const std::uint32_t first = address >> 24;
    return first - 1 >= 223 || first == 127;
}

constexpr bool is_group(std::uint32_t address) noexcept {
    return (address >> 28) == 0xe || address == net::kIpv4LimitedBroadcast;
}

// What tunnels that are no UDP have, each looked at by one stage (IPIP-REG-01, -03).
constexpr bool is_ip_tunnel_protocol(std::uint8_t protocol) noexcept {
    return protocol == net::ip_protocol::kIpip || protocol == net::ip_protocol::kGre ||
           protocol == net::ip_protocol::kIpv6 || protocol == net::ip_protocol::kMplsInIp;
}

enum class Check : std::uint8_t { ok, bad };

inline Check refuse(Worker& worker, rte_mbuf* packet, Drop reason) noexcept {
    worker.drop(packet, note(packet).link_in, reason);
    return Check::bad;
}

// Whether no packet from outside may come from there (ip_route_input_slow, fib_validate_source).
// One of our addresses: somebody else uses it, or what we sent came back.
[[nodiscard]] bool is_bad_source(const Worker& worker, std::uint32_t source) noexcept;

// Drops a packet from there, or hands it to control: a router's GRE keepalive is addressed back to
// the router in our own name (GRE-CRE-15).
[[nodiscard]] Check refuse_source(Worker& worker, rte_mbuf* packet) noexcept;

// A header of other than 20 bytes, or of another version, or cut off.
[[nodiscard]] Check
check_unusual(Worker& worker, rte_mbuf* packet, std::uint32_t available) noexcept;

[[nodiscard]] inline bool
checksum_is_valid(const rte_mbuf* packet, const net::Ipv4Header& ip) noexcept {
    const std::uint64_t verdict = packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    return verdict == RTE_MBUF_F_RX_IP_CKSUM_GOOD ||
           net::ipv4_header_checksum_is_valid(ip, ip.header_len_bytes());
}

// ICMP-07, in the order of ip_rcv, all but the addresses. Bad packets are gone.
[[gnu::always_inline]] inline Check
check_header(Worker& worker, rte_mbuf* packet, const net::Ipv4Header& ip) noexcept {
    const std::uint32_t l3_offset = note(packet).l3_offset;
    const std::uint32_t in_segment = rte_pktmbuf_data_len(packet);
    if (in_segment < l3_offset + sizeof(net::Ipv4Header) ||
        ip.version_and_ihl != net::kIpv4VersionIhl) [[unlikely]] {
        const std::uint32_t available = in_segment > l3_offset ? in_segment - l3_offset : 0;
        if (check_unusual(worker, packet, available) == Check::bad) {
            return Check::bad;
        }
    }
    if (!checksum_is_valid(packet, ip)) [[unlikely]] {
        return refuse(worker, packet, Drop::ip4_checksum);
    }
    const std::uint32_t frame_len = l3_offset + ip.total_length.host();
    if (frame_len != rte_pktmbuf_pkt_len(packet)) [[unlikely]] {
        if (frame_len > rte_pktmbuf_pkt_len(packet) ||
            ip.total_length.host() < ip.header_len_bytes()) {
            return refuse(worker, packet, Drop::ip4_total_length);
        }
        encap::trim_to(packet, frame_len);  // Ethernet's padding, or whatever follows
    }
    return Check::ok;
}

// Those of the last packet that passed; none that passes has 0.0.0.0.
struct LastAddresses {
    std::uint64_t both = 0;  // as they lie in the header
    std::uint32_t source = 0;
    std::uint32_t destination = 0;
};

// Asks of both addresses what they have not been asked as the last packet's. Bad packets are gone.
[[gnu::always_inline]] inline Check check_addresses(
    Worker& worker,
    rte_mbuf* packet,
    std::uint32_t source,
    std::uint32_t destination,
    const LastAddresses& last
) noexcept {
    if ((source != last.source || source == 0) &&
        (is_special(source) || worker.routed_by.own_addresses->may_contain(source)) &&
        is_bad_source(worker, source)) [[unlikely]] {
        return refuse_source(worker, packet);
    }
    if ((destination != last.destination || destination == 0) && is_special(destination) &&
        destination < kFirstGroup) [[unlikely]] {
        return refuse(worker, packet, Drop::ip4_destination_invalid);
    }
    return Check::ok;
}

}  // namespace culvert::pipeline
