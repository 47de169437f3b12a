// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/icmp6_input.hpp"

#include "lib/control/core.hpp"
#include "lib/control/tunnel_faults.hpp"
#include "lib/control/tunnels.hpp"
#include "lib/encap/ip_tunnel_push6.hpp"
#include "lib/net/gre.hpp"
#include "lib/net/header.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/parse.hpp"
#include "lib/net/udp.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace culvert::control {

namespace {

using pipeline::IcmpError;

constexpr std::uint8_t kHeaderField = 0;  // code of a parameter problem
constexpr std::uint8_t kHopLimit = 0;     // code of time exceeded

bool is_ip6tnl_protocol(std::uint8_t protocol) {
    return protocol == net::ip_protocol::kIpip || protocol == net::ip_protocol::kIpv6;
}

}  // namespace

bool Icmp6Input::read(const rte_mbuf* packet, std::size_t ip_offset, Quote& quote) const {
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto* ip = net::header_at<net::Ipv6Header>(data, packet->data_len, ip_offset);
    if (ip == nullptr || ip->version() != 6 ||
        !core_.routing().is_local(net::IpAddress::from_v6(ip->source), quote.link_in)) {
        return false;
    }
    const net::ParsedPacket parsed = net::parse_l3(
        data, packet->data_len, static_cast<std::uint16_t>(ip_offset), net::ether_type::kIpv6
    );
    quote.ip = *ip;
    quote.offset = ip_offset;
    quote.payload = parsed.l4_offset;
    quote.protocol = parsed.protocol;
    skip_udp(packet, quote);
    return true;
}

// What a tunnel in UDP sent is quoted with UDP and GUE in between (gue6_err).
void Icmp6Input::skip_udp(const rte_mbuf* packet, Quote& quote) const {
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto* udp = net::header_at<net::UdpHeader>(data, packet->data_len, quote.payload);
    if (quote.payload == 0 || quote.protocol != net::ip_protocol::kUdp || udp == nullptr) {
        return;
    }
    const LinkRecord* device = core_.links().find(core_.tunnels().find_in_udp(
        net::IpAddress::from_v6(quote.ip.destination), udp->destination.host()
    ));
    if (device == nullptr) {
        return;
    }
    const std::size_t inside = quote.payload + encap::header_len_bytes(device->ip_tunnel.udp);
    const auto* first = net::header_at<std::uint8_t>(data, packet->data_len, inside);
    const encap::IpTunnelTraits& kind = encap::traits(device->ip_tunnel.kind);
    const bool is_ipv4 = !kind.has_gre && first != nullptr && *first >> 4 == 4;
    quote.payload = inside;
    quote.protocol = is_ipv4 ? net::ip_protocol::kIpip : kind.protocol;
}

bool Icmp6Input::take(rte_mbuf* packet, std::size_t icmp_offset) {
    Quote quote;
    quote.link_in = pipeline::note(packet).link_in;
    if (!read(packet, icmp_offset + sizeof(quote.icmp), quote)) {
        return false;
    }
    std::memcpy(
        &quote.icmp, rte_pktmbuf_mtod_offset(packet, const void*, icmp_offset), sizeof(quote.icmp)
    );
    const bool is_learned = quote.icmp.type == net::icmpv6_type::kPacketTooBig && learn_mtu(quote);
    if (is_ip6tnl_protocol(quote.protocol)) {
        return note_ip6tnl(packet, quote) || is_learned;
    }
    if (quote.protocol == net::ip_protocol::kGre) {
        return note_gre(packet, quote) || is_learned;
    }
    return is_learned;
}

bool Icmp6Input::take_failure(rte_mbuf* packet, std::size_t ip_offset) {
    Quote quote;
    quote.icmp.type = net::icmpv6_type::kDestinationUnreachable;
    quote.icmp.code = net::icmpv6_unreachable::kAddress;
    if (!read(packet, ip_offset, quote)) {
        return false;
    }
    return is_ip6tnl_protocol(quote.protocol) ? note_ip6tnl(packet, quote)
                                              : note_gre(packet, quote);
}

// RT-11: a router says what it takes of what we sent: answers to echo, and tunnels' packets.
bool Icmp6Input::learn_mtu(const Quote& quote) {
    using namespace net::ip_protocol;
    const std::uint8_t protocol = quote.protocol;
    const bool is_sent_here = protocol == kIcmpv6 || protocol == kUdp || protocol == kGre ||
                              is_ip6tnl_protocol(protocol) || protocol == kFragment;
    if (is_sent_here) {
        core_.routing().learn_path_mtu(
            net::IpAddress::from_v6(quote.ip.destination),
            quote.icmp.rest.host(),
            core_.now_ms(),
            quote.link_in
        );
    }
    return is_sent_here;
}

const LinkRecord* Icmp6Input::device_of(encap::IpTunnelKey6 key, LinkId link_in) const {
    key.kind_and_flags |= encap::IpTunnelKey::vrf_bits(core_.routing().vrf_of(link_in));
    return core_.links().find(core_.ip_tunnels().lookup6.find(key, link_in));
}

// ip6_tnl_err(): the device that would take an answer; its inner sender hears of it at once.
bool Icmp6Input::note_ip6tnl(rte_mbuf* packet, const Quote& quote) {
    const auto key = encap::IpTunnelKey6::make(
        encap::IpTunnelKind::ip6tnl,
        net::IpAddress::from_v6(quote.ip.source),
        net::IpAddress::from_v6(quote.ip.destination)
    );
    const LinkRecord* device = device_of(key, quote.link_in);
    const std::uint16_t type =
        quote.protocol == net::ip_protocol::kIpip ? net::ether_type::kIpv4 : net::ether_type::kIpv6;
    if (device == nullptr || !encap::fits_mode(device->ip_tunnel.mode, type)) {
        return false;
    }
    IcmpError error;
    if (quote.payload != 0 && is_relayed(packet, quote, error)) {
        relay(packet, quote, error);
    }
    return true;
}

// True: what the inner sender hears, in ICMPv6's numbers.
bool Icmp6Input::is_relayed(const rte_mbuf* packet, const Quote& quote, IcmpError& error) {
    error = pipeline::unreachable6(net::icmpv6_unreachable::kAddress);
    switch (quote.icmp.type) {
    case net::icmpv6_type::kDestinationUnreachable:
        return true;
    case net::icmpv6_type::kTimeExceeded:
        return quote.icmp.code == kHopLimit;
    case net::icmpv6_type::kParameterProblem: {
        constexpr std::uint32_t kLimit = 2;  // of the option: its value
        encap::IpTunnelInner6 outer;
        outer.l3_offset = static_cast<std::uint16_t>(quote.offset);
        const std::uint32_t at = encap::find_encap_limit(packet, outer);
        return quote.icmp.code == kHeaderField && at != 0 &&
               at + kLimit == quote.icmp.rest.host() &&
               *rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, quote.offset + at + kLimit) ==
                   0;
    }
    case net::icmpv6_type::kPacketTooBig: {
        const auto headers = static_cast<std::uint32_t>(quote.payload - quote.offset);
        const std::uint32_t said = quote.icmp.rest.host();
        const std::uint32_t mtu =
            std::max(said > headers ? said - headers : 0U, std::uint32_t{net::kIpv6MinMtu});
        error = {.type = net::icmpv6_type::kPacketTooBig, .info = mtu};
        return sizeof(quote.ip) + quote.ip.payload_length.host() > mtu;
    }
    default:
        return false;
    }
}

// Of IPv4 only what has a way by such a tunnel (ip4ip6_err).
void Icmp6Input::relay(rte_mbuf* packet, const Quote& quote, const IcmpError& error) {
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    IcmpError told = error;
    told.as_received = false;
    if (quote.protocol == net::ip_protocol::kIpip) {
        const auto* inner = net::header_at<net::Ipv4Header>(data, packet->data_len, quote.payload);
        if (inner == nullptr) {
            return;
        }
        const route::Path way =
            core_.routing().lookup(net::IpAddress::from_v4(inner->destination.host()));
        const LinkRecord* by = core_.links().find(way.link);
        if (by == nullptr || by->kind != pipeline::LinkKind::ip6tnl) {
            return;
        }
        const bool is_too_big = error.type == net::icmpv6_type::kPacketTooBig;
        if (is_too_big && error.info > way.mtu) {
            return;
        }
        told = is_too_big ? pipeline::fragmentation_needed(error.info)
                          : pipeline::unreachable(net::icmp_unreachable::kHost);
        told.as_received = false;
    } else if (net::header_at<net::Ipv6Header>(data, packet->data_len, quote.payload) == nullptr) {
        return;
    }
    pipeline::Note& note = pipeline::note(packet);
    const std::uint8_t before = note.l3_offset;
    if (quote.payload > UINT8_MAX) {
        return;  // more extension headers than any tunnel of ours sends
    }
    note.l3_offset = static_cast<std::uint8_t>(quote.payload);
    tell_(packet, told);
    note.l3_offset = before;
}

// ip6gre_err(): the device's next senders hear of it.
bool Icmp6Input::note_gre(const rte_mbuf* packet, const Quote& quote) {
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto* gre = net::header_at<net::GreHeader>(data, packet->data_len, quote.payload);
    if (quote.payload == 0 || gre == nullptr || quote.protocol != net::ip_protocol::kGre) {
        return false;
    }
    const std::uint16_t flags = gre->flags_and_version.host();
    const bool has_key = (flags & net::gre::kKey) != 0;
    const std::size_t at =
        quote.payload + sizeof(*gre) * ((flags & net::gre::kChecksum) != 0 ? 2U : 1U);
    const auto* number = net::header_at<net::Be32>(data, packet->data_len, at);
    if ((flags & (net::gre::kVersion | net::gre::kRouting)) != 0 ||
        (has_key && number == nullptr)) {
        return false;
    }
    const auto key = encap::IpTunnelKey6::make(
        gre->protocol.host() == net::ether_type::kTeb ? encap::IpTunnelKind::ip6gretap
                                                      : encap::IpTunnelKind::ip6gre,
        net::IpAddress::from_v6(quote.ip.source),
        net::IpAddress::from_v6(quote.ip.destination),
        has_key,
        has_key ? number->host() : 0
    );
    const LinkRecord* device = device_of(key, quote.link_in);
    if (device == nullptr) {
        return false;
    }
    const std::uint8_t code = quote.icmp.code;
    const bool is_fault = (quote.icmp.type == net::icmpv6_type::kDestinationUnreachable &&
                           code != net::icmpv6_unreachable::kPort) ||
                          (quote.icmp.type == net::icmpv6_type::kTimeExceeded && code == kHopLimit);
    if (is_fault) {
        core_.tunnel_faults().add(device->id, core_.now_ms());
    }
    return true;
}

}  // namespace culvert::control
