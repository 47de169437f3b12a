// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/icmp6.hpp"

#include "lib/control/core.hpp"
#include "lib/control/fragment.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/header.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/parse.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace culvert::control {

using pipeline::Drop;
using pipeline::IcmpError;
using pipeline::IpCounter;

namespace {

constexpr std::size_t kIpLen = sizeof(net::Ipv6Header);
constexpr std::size_t kIcmpLen = sizeof(net::Icmpv6Header);
constexpr std::uint8_t kInformational = 0x80;  // the types that are no errors
constexpr std::uint8_t kUnknownOption = 2;     // code of a parameter problem
constexpr std::uint32_t kMostBytes = net::kIpv6MinMtu;

const net::Ipv6Header* header_of(const rte_mbuf* packet, std::size_t offset) {
    return net::header_at<net::Ipv6Header>(
        rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len, offset
    );
}

net::ParsedPacket parse(const rte_mbuf* packet, std::uint16_t offset) {
    return net::parse_l3(
        rte_pktmbuf_mtod(packet, const std::uint8_t*),
        packet->data_len,
        offset,
        net::ether_type::kIpv6
    );
}

}  // namespace

void Icmp6::handle(rte_mbuf* packet) {
    const pipeline::Note note = pipeline::note(packet);
    const auto* ip = header_of(packet, note.l3_offset);
    const std::size_t offset = ip == nullptr ? 0 : parse(packet, note.l3_offset).l4_offset;
    const auto* icmp =
        ip == nullptr || offset == 0
            ? nullptr
            : net::header_at<net::Icmpv6Header>(
                  rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len, offset
              );
    if (icmp == nullptr || !net::sum_is_valid(icmp6_sum(packet, offset, *ip))) {
        core_.drop(packet, note.link_in, Drop::icmp_malformed);
        return;
    }
    const net::Ipv6Header header = *ip;
    const auto destination = net::IpAddress::from_v6(header.destination);
    if (net::is_discovery(icmp->type)) {
        // RFC 6980: who cuts such a message means to hide it.
        if (has_fragment_header(packet)) {
            core_.drop(packet, note.link_in, Drop::icmp_malformed);
            return;
        }
        core_.host_taps().copy_packet(packet);  // the kernel may have asked, or be asked
        discovery_.handle(packet, header, offset);
    } else if (!destination.is_multicast() && !core_.routing().is_local_on(note.link_in, destination)) {
        core_.host_taps().give_or_drop(packet, Drop::ip6_not_local);
    } else if (icmp->type == net::icmpv6_type::kEchoRequest) {
        reply_to_echo(packet, header, offset);
    } else if (icmp->type == net::icmpv6_type::kListenerQuery && listener_.handle(packet, header, offset)) {
        core_.consume(packet, note.link_in);
    } else if (net::is_icmpv6_error(icmp->type) && errors_in_.take(packet, offset)) {
        core_.own_counters().count(IpCounter::icmp_in_errors);
        core_.consume(packet, note.link_in);
    } else {
        core_.host_taps().give_or_drop(packet, Drop::icmp_not_handled);
    }
}

// The request becomes the reply: it is consumed, and a packet of our own goes on in its buffer
// (icmpv6_echo_reply). Who asks a group is answered by one of our addresses.
void Icmp6::reply_to_echo(rte_mbuf* packet, const net::Ipv6Header& request, std::size_t offset) {
    const LinkId link = pipeline::note(packet).link_in;
    const auto sender = net::IpAddress::from_v6(request.source);
    Ip6Output::Envelope envelope;
    envelope.source = net::IpAddress::from_v6(request.destination);
    envelope.destination = sender;
    envelope.traffic_class = request.traffic_class();
    if (envelope.source.is_multicast()) {
        envelope.source = core_.routing().select_source6(link, sender);
    }
    if (sender == net::IpAddress{} || envelope.source == net::IpAddress{}) {
        core_.drop(packet, link, Drop::icmp_not_handled);
        return;
    }
    rte_pktmbuf_adj(packet, static_cast<std::uint16_t>(offset - kIpLen));
    auto* icmp = rte_pktmbuf_mtod_offset(packet, net::Icmpv6Header*, kIpLen);
    icmp->type = net::icmpv6_type::kEchoReply;
    icmp->code = 0;
    Ip6Output::finish(packet, envelope);
    packet->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    packet->packet_type = 0;
    core_.own_counters().consumed.add(1);
    core_.own_counters().originated.add(1);
    output_.send(packet, link);
}

// icmp6_send(), in its order.
void Icmp6::tell(rte_mbuf* packet, const IcmpError& error) {
    pipeline::CounterBlock& counters = core_.own_counters();
    const pipeline::Note note = pipeline::note(packet);
    const auto* ip = header_of(packet, note.l3_offset);
    if (ip == nullptr || !is_due(packet, error)) {
        counters.count(IpCounter::icmp_not_due);
        return;
    }
    const auto sender = net::IpAddress::from_v6(ip->source);
    const auto target = net::IpAddress::from_v6(ip->destination);
    const route::Routing& routing = core_.routing();
    const route::Path back = routing.lookup(
        sender, sender.is_link_local_v6() ? note.link_in : routing.vrf_of(note.link_in)
    );
    if (!is_permitted(sender, back.prefix_length, error)) {
        return;
    }
    Ip6Output::Envelope envelope;
    envelope.destination = sender;
    if (core_.routing().is_local_on(note.link_in, target)) {
        envelope.source = target;
    } else {
        envelope.source = back.source;
    }
    if (envelope.source == net::IpAddress{}) {
        counters.count(IpCounter::icmp_no_way);
        return;
    }
    const std::size_t quoted =
        std::min<std::size_t>(packet->pkt_len - note.l3_offset, kMostBytes - kIpLen - kIcmpLen);
    std::array<std::uint8_t, kMostBytes> message{};
    const net::Icmpv6Header icmp{error.type, error.code, net::Be16{0}, net::Be32{error.info}};
    std::memcpy(message.data(), &icmp, sizeof(icmp));
    std::uint8_t* quotation = message.data() + kIcmpLen;
    const void* from =
        rte_pktmbuf_read(packet, note.l3_offset, static_cast<std::uint32_t>(quoted), quotation);
    if (from != quotation) {
        std::memcpy(quotation, from, quoted);
    }
    counters.count(IpCounter::icmp_out_errors);
    output_.send_message(note.link_in, envelope, std::span(message).first(kIcmpLen + quoted));
}

// RFC 4443, 2.4 (e). Only what a source must know of a path to a group is told of groups.
bool Icmp6::is_due(const rte_mbuf* packet, const IcmpError& error) const {
    auto* mutable_packet = const_cast<rte_mbuf*>(packet);
    const std::uint8_t l3_offset = pipeline::note(mutable_packet).l3_offset;
    const net::Ipv6Header& ip = *header_of(packet, l3_offset);
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const bool to_link_group = error.as_received && l3_offset != 0 && (*data & 1) != 0;
    const bool is_told_of_groups =
        error.type == net::icmpv6_type::kPacketTooBig ||
        (error.type == net::icmpv6_type::kParameterProblem && error.code == kUnknownOption);
    if ((ip.destination[0] == 0xff || to_link_group) && !is_told_of_groups) {
        return false;
    }
    const auto sender = net::IpAddress::from_v6(ip.source);
    if (ip.version() != 6 || sender == net::IpAddress{} || sender.is_multicast() ||
        core_.routing().is_local(sender, pipeline::note(const_cast<rte_mbuf*>(packet)).link_in)) {
        return false;
    }
    const net::ParsedPacket parsed = parse(packet, l3_offset);
    if (parsed.protocol != net::ip_protocol::kIcmpv6) {
        return true;
    }
    if (parsed.l4_offset == 0 || parsed.l4_offset >= packet->data_len) {
        return parsed.is_fragment && !parsed.first_fragment;
    }
    return (data[parsed.l4_offset] & kInformational) != 0;
}

// ICMP-06: a host behind a route of `length` bits, the wider the more. False: counted.
bool Icmp6::is_permitted(const net::IpAddress& sender, unsigned length, const IcmpError& error) {
    if (error.type == net::icmpv6_type::kPacketTooBig) {
        return true;
    }
    const std::uint64_t now_ms = core_.now_ms();
    pipeline::CounterBlock& counters = core_.own_counters();
    if (!limit_.permits(now_ms)) {
        counters.count(IpCounter::icmp_limited_global);
        return false;
    }
    if (!limit_.permits_to(sender, now_ms, IcmpLimit::kTimeoutMs >> ((128 - length) >> 5))) {
        counters.count(IpCounter::icmp_limited_host);
        return false;
    }
    return true;
}

}  // namespace culvert::control
