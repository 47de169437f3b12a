// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/icmp_errors.hpp"

#include "lib/control/core.hpp"
#include "lib/control/ip_output.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace culvert::control {

using pipeline::Drop;
using pipeline::IcmpError;
using pipeline::IpCounter;

namespace {

constexpr std::uint32_t kMostBytes = 576;     // of the whole message's packet (ICMP-02)
constexpr std::uint32_t kDummy = 0xc0000008;  // 192.0.0.8 (RFC 7600): a router without an address
constexpr std::uint8_t kInternetControl = 0xc0;
constexpr std::uint8_t kTosMask = 0x1e;

bool is_fragmentation_needed(const IcmpError& error) {
    return error.type == net::icmp_type::kDestinationUnreachable &&
           error.code == net::icmp_unreachable::kFragmentationNeeded;
}

// Nobody is sent an error about an error, or about what may be one (icmp_pointers[].error).
bool is_query(std::uint8_t type) {
    constexpr std::uint8_t kTimestamp = 13;
    constexpr std::uint8_t kAddressReply = 18;
    return type == net::icmp_type::kEchoReply || type == net::icmp_type::kEchoRequest ||
           (type >= kTimestamp && type <= kAddressReply);
}

bool is_refusing_route(Drop reason) {
    return reason == Drop::ip4_no_route || reason == Drop::ip4_unreachable ||
           reason == Drop::ip4_prohibit;
}

}  // namespace

void IcmpErrors::suppress(IpCounter why) {
    core_.own_counters().count(why);
}

void IcmpErrors::tell(rte_mbuf* packet, const IcmpError& error, Drop reason) {
    Quote quote;
    quote.packet = packet;
    quote.link_in = pipeline::note(packet).link_in;
    quote.offset = pipeline::note(packet).l3_offset;
    if (packet->data_len < quote.offset + sizeof(quote.ip)) {
        suppress(IpCounter::icmp_not_due);
        return;
    }
    std::memcpy(
        &quote.ip, rte_pktmbuf_mtod_offset(packet, const void*, quote.offset), sizeof(quote.ip)
    );
    if (!is_due(quote, error)) {
        suppress(IpCounter::icmp_not_due);
        return;
    }
    if (!is_permitted(quote, error, reason)) {
        return;
    }
    Answer answer;
    if (!address(quote, answer)) {
        suppress(IpCounter::icmp_no_way);
        return;
    }
    const auto sender = net::IpAddress::from_v4(quote.ip.source.host());
    if (!is_fragmentation_needed(error) &&
        !limit_.permits_to(sender, core_.now_ms(), IcmpLimit::kTimeoutMs)) {
        suppress(IpCounter::icmp_limited_host);
        return;
    }
    rte_mbuf* message = make(quote, error, answer);
    if (message == nullptr) {
        suppress(IpCounter::icmp_no_way);
        return;
    }
    core_.own_counters().originated.add(1);
    output_.send(message, quote.link_in);
}

// ICMP-03, and the options of ICMP-04. False: there is no way back, or what the packet's options
// say of it is malformed.
bool IcmpErrors::address(const Quote& quote, Answer& answer) const {
    const route::Routing& routing = core_.routing();
    const auto sender = net::IpAddress::from_v4(quote.ip.source.host());
    const auto target = net::IpAddress::from_v4(quote.ip.destination.host());
    answer.back =
        routing.lookup(sender, routing.vrf_of(quote.link_in), {}, quote.ip.type_of_service);
    if (!route::leads_on(answer.back.kind)) {
        return false;
    }
    const bool is_local = routing.is_local(target, quote.link_in);
    answer.source = is_local ? target : answer.back.source;
    if (answer.source.is_unspecified()) {
        answer.source = net::IpAddress::from_v4(kDummy);
    }
    OptionContext context = option_context(routing, quote.link_in);
    context.source = answer.source.v4();
    context.received_at = context.source;
    const auto made = answer_options(
        options_of(quote.packet, quote.offset, quote.ip.header_len_bytes()), context
    );
    if (made.has_value()) {
        answer.options = *made;
    }
    return made.has_value();
}

// ICMP-01
bool IcmpErrors::is_due(const Quote& quote, const IcmpError& error) const {
    const net::Ipv4Header& ip = quote.ip;
    const auto sender = net::IpAddress::from_v4(ip.source.host());
    const auto target = net::IpAddress::from_v4(ip.destination.host());
    const auto* data = rte_pktmbuf_mtod(quote.packet, const std::uint8_t*);
    const bool to_link_group = error.as_received && quote.offset != 0 && (*data & 1) != 0;
    if (ip.version() != 4 || to_link_group || ip.fragment_offset_bytes() != 0) {
        return false;
    }
    const route::Routing& routing = core_.routing();
    if (target.is_multicast() || target.v4() == net::kIpv4LimitedBroadcast ||
        routing.lookup(target, routing.vrf_of(quote.link_in)).kind ==
            route::AdjacencyKind::broadcast) {
        return false;
    }
    // What we sent ourselves: whoever made it hears of it in another way.
    if (sender.is_unspecified() || sender.is_multicast() || sender.is_loopback() ||
        routing.is_local(sender, quote.link_in)) {
        return false;
    }
    if (ip.protocol != net::ip_protocol::kIcmp) {
        return true;
    }
    const std::size_t type_offset = quote.offset + ip.header_len_bytes();
    return quote.packet->data_len > type_offset && is_query(data[type_offset]);
}

// ICMP-05. False: counted.
bool IcmpErrors::is_permitted(const Quote& quote, const IcmpError& error, Drop reason) {
    const auto sender = net::IpAddress::from_v4(quote.ip.source.host());
    const std::uint64_t now_ms = core_.now_ms();
    if (is_refusing_route(reason) && !limit_.permits_route_error(sender, now_ms)) {
        suppress(IpCounter::icmp_limited_host);
        return false;
    }
    if (!is_fragmentation_needed(error) && !limit_.permits(now_ms)) {
        suppress(IpCounter::icmp_limited_global);
        return false;
    }
    return true;
}

// ICMP-02, ICMP-04. nullptr = there is no packet buffer, or no room for a quotation.
rte_mbuf* IcmpErrors::make(const Quote& quote, const IcmpError& error, const Answer& answer) {
    const std::uint32_t room = std::min(answer.back.mtu, kMostBytes);
    const AnswerOptions& options = answer.options;
    const auto ip_len = static_cast<std::uint32_t>(sizeof(net::Ipv4Header) + options.len);
    const auto headers_len = static_cast<std::uint32_t>(ip_len + sizeof(net::IcmpHeader));
    if (room <= headers_len + sizeof(net::Ipv4Header)) {
        return nullptr;
    }
    rte_mbuf* message = rte_pktmbuf_alloc(core_.pool());
    if (message == nullptr) {
        return nullptr;
    }
    const std::uint32_t quoted = std::min(quote.packet->pkt_len - quote.offset, room - headers_len);
    const std::uint32_t len = headers_len + quoted;
    auto* data =
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(message, static_cast<std::uint16_t>(len))
        );
    std::uint8_t* quotation = data + headers_len;
    if (const void* from = rte_pktmbuf_read(quote.packet, quote.offset, quoted, quotation);
        from != quotation) {
        std::memcpy(quotation, from, quoted);
    }
    const net::IcmpHeader icmp{error.type, error.code, net::Be16{0}, net::Be32{error.info}};
    std::uint8_t* body = data + ip_len;
    std::memcpy(body, &icmp, sizeof(icmp));
    const net::Be16 checksum = net::checksum_from_sum(net::sum_bytes(body, len - ip_len));
    std::memcpy(body + offsetof(net::IcmpHeader, checksum), &checksum, sizeof(checksum));

    net::Ipv4Header ip = output_.header(
        net::ip_protocol::kIcmp, len, net::Be32{answer.source.v4()}, quote.ip.source
    );
    ip.type_of_service =
        static_cast<std::uint8_t>((quote.ip.type_of_service & kTosMask) | kInternetControl);
    put_header(data, ip, options);

    pipeline::CounterBlock& counters = core_.own_counters();
    counters.count(IpCounter::icmp_out_errors);
    counters.count(
        error.type == net::icmp_type::kTimeExceeded ? IpCounter::icmp_out_time_excds
                                                    : IpCounter::icmp_out_dest_unreachs
    );
    if (is_fragmentation_needed(error)) {
        counters.count(IpCounter::icmp_out_frag_needed);
    }
    return message;
}

}  // namespace culvert::control
