// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/tcp_reset.hpp"

#include "lib/control/core.hpp"
#include "lib/control/ip6_output.hpp"
#include "lib/control/ip_output.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/parse.hpp"
#include "lib/net/tcp.hpp"

#include <rte_mbuf.h>

#include <cstring>

namespace culvert::control {

namespace {

// Of `offset_and_flags`.
constexpr std::uint16_t kFin = 0x01;
constexpr std::uint16_t kSyn = 0x02;
constexpr std::uint16_t kReset = 0x04;
constexpr std::uint16_t kAck = 0x10;
constexpr std::uint16_t kNoOptions = 5 << 12;

constexpr std::uint16_t kTcpLen = sizeof(net::TcpHeader);

std::uint64_t pseudo_sum(const net::Ipv4Header& ip, std::uint32_t len) {
    return net::pseudo_header_sum_v4(
        ip.source, ip.destination, net::ip_protocol::kTcp, static_cast<std::uint16_t>(len)
    );
}

std::uint64_t pseudo_sum(const net::Ipv6Header& ip, std::uint32_t len) {
    return net::pseudo_header_sum_v6(ip.source, ip.destination, net::ip_protocol::kTcp, len);
}

// The answer to a segment of `len` bytes, but for the checksum.
net::TcpHeader reset_of(const net::TcpHeader& segment, std::uint32_t len) {
    const std::uint16_t flags = segment.offset_and_flags.host();
    net::TcpHeader reset{};
    reset.source = segment.destination;
    reset.destination = segment.source;
    if ((flags & kAck) != 0) {
        reset.sequence = segment.acknowledgment;
        reset.offset_and_flags = net::Be16{std::uint16_t{kNoOptions | kReset}};
        return reset;
    }
    const auto payload = len - static_cast<std::uint32_t>(segment.header_len_bytes());
    const std::uint32_t flagged = ((flags & kSyn) != 0 ? 1U : 0U) + ((flags & kFin) != 0 ? 1U : 0U);
    reset.acknowledgment = net::Be32{segment.sequence.host() + payload + flagged};
    reset.offset_and_flags = net::Be16{std::uint16_t{kNoOptions | kReset | kAck}};
    return reset;
}

net::Ipv4Header reply_to(const net::Ipv4Header& ip, IpOutput& output) {
    net::Ipv4Header reply =
        output.header(net::ip_protocol::kTcp, sizeof(ip) + kTcpLen, ip.destination, ip.source);
    reply.type_of_service = ip.type_of_service;
    reply.identification = net::Be16{0};
    reply.flags_and_offset = net::Be16{net::kIpv4DontFragment};
    reply.checksum = net::ipv4_header_checksum(reply);
    return reply;
}

net::Ipv6Header reply_to(const net::Ipv6Header& ip, IpOutput& /*output*/) {
    net::Ipv6Header reply{};
    reply.version_class_flow = net::Ipv6Header::make_first_word(ip.traffic_class(), 0);
    reply.payload_length = net::Be16{kTcpLen};
    reply.next_header = net::ip_protocol::kTcp;
    reply.hop_limit = net::kIpv6DefaultHopLimit;
    reply.source = ip.destination;
    reply.destination = ip.source;
    return reply;
}

// The answer to the segment at `offset`; nullptr = it gets none, or there is no packet buffer.
template <typename Ip>
rte_mbuf* make_answer(Core& core, IpOutput& output, const rte_mbuf* packet, std::uint16_t offset) {
    const std::uint8_t l3_offset = pipeline::note(const_cast<rte_mbuf*>(packet)).l3_offset;
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const Ip*, l3_offset);
    const auto& segment = *rte_pktmbuf_mtod_offset(packet, const net::TcpHeader*, offset);
    const std::uint32_t len = packet->pkt_len - offset;
    const bool is_whole =
        segment.header_len_bytes() >= kTcpLen && segment.header_len_bytes() <= len;
    if (!is_whole || (segment.offset_and_flags.host() & kReset) != 0 ||
        !net::sum_is_valid(net::sum_add(pseudo_sum(ip, len), encap::sum_packet(packet, offset)))) {
        return nullptr;
    }
    rte_mbuf* answer = rte_pktmbuf_alloc(core.pool());
    if (answer != nullptr) {
        const Ip reply = reply_to(ip, output);
        net::TcpHeader reset = reset_of(segment, len);
        reset.checksum = net::checksum_from_sum(
            net::sum_add(pseudo_sum(reply, kTcpLen), net::sum_bytes(&reset, sizeof(reset)))
        );
        char* data = rte_pktmbuf_append(answer, sizeof(reply) + sizeof(reset));
        std::memcpy(data, &reply, sizeof(reply));
        std::memcpy(data + sizeof(reply), &reset, sizeof(reset));
        core.own_counters().originated.add(1);
    }
    return answer;
}

}  // namespace

bool answer_with_reset(Core& core, IpOutput& output, Ip6Output& output6, const rte_mbuf* packet) {
    const pipeline::Note& note = pipeline::note(const_cast<rte_mbuf*>(packet));
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const bool is_v6 = packet->data_len > note.l3_offset && data[note.l3_offset] >> 4 == 6;
    const net::ParsedPacket parsed = net::parse_l3(
        data,
        packet->data_len,
        note.l3_offset,
        is_v6 ? net::ether_type::kIpv6 : net::ether_type::kIpv4
    );
    if (parsed.protocol != net::ip_protocol::kTcp) {
        return false;
    }
    if (parsed.is_fragment || parsed.l4_offset == 0 ||
        parsed.l4_offset + kTcpLen > packet->data_len) {
        return true;
    }
    rte_mbuf* answer = is_v6 ? make_answer<net::Ipv6Header>(core, output, packet, parsed.l4_offset)
                             : make_answer<net::Ipv4Header>(core, output, packet, parsed.l4_offset);
    if (answer != nullptr && is_v6) {
        output6.send(answer, note.link_in);
    } else if (answer != nullptr) {
        output.send(answer, note.link_in);
    }
    return true;
}

}  // namespace culvert::control
