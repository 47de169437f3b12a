// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/ip6_output.hpp"

#include "lib/control/core.hpp"
#include "lib/control/ip_output.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/pipeline/ip_fragment.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace culvert::control {

namespace {

using pipeline::Drop;
using pipeline::IpCounter;

constexpr std::size_t kIpLen = sizeof(net::Ipv6Header);
// Next header, length, router alert: multicast listener discovery, two bytes of padding.
constexpr std::array<std::uint8_t, 8> kRouterAlert{net::ip_protocol::kIcmpv6, 0, 5, 2, 0, 0, 1, 0};

std::size_t headers_of(const Ip6Output::Envelope& envelope) {
    return envelope.router_alert ? kIpLen + kRouterAlert.size() : kIpLen;
}

// Where a packet of ours cannot go.
Drop reason_of(route::AdjacencyKind kind) {
    switch (kind) {
    case route::AdjacencyKind::unreachable:
        return Drop::ip6_unreachable;
    case route::AdjacencyKind::prohibit:
        return Drop::ip6_prohibit;
    case route::AdjacencyKind::blackhole:
        return Drop::ip6_blackhole;
    default:
        return Drop::ip6_no_route;
    }
}

}  // namespace

std::uint64_t icmp6_sum(const rte_mbuf* packet, std::size_t offset, const net::Ipv6Header& ip) {
    const std::uint64_t pseudo = net::pseudo_header_sum_v6(
        ip.source,
        ip.destination,
        net::ip_protocol::kIcmpv6,
        static_cast<std::uint32_t>(packet->pkt_len - offset)
    );
    return net::sum_add(pseudo, encap::sum_packet(packet, static_cast<std::uint16_t>(offset)));
}

void Ip6Output::finish(rte_mbuf* packet, const Envelope& envelope) {
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(envelope.traffic_class, 0);
    ip.payload_length = net::Be16{static_cast<std::uint16_t>(packet->pkt_len - kIpLen)};
    ip.next_header =
        envelope.router_alert ? net::ip_protocol::kHopByHop : net::ip_protocol::kIcmpv6;
    ip.hop_limit = envelope.hop_limit;
    ip.source = envelope.source.bytes();
    ip.destination = envelope.destination.bytes();
    auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
    std::memcpy(data, &ip, sizeof(ip));
    if (envelope.router_alert) {
        std::copy(kRouterAlert.begin(), kRouterAlert.end(), data + kIpLen);
    }
    const std::size_t icmp_at = headers_of(envelope);
    auto* icmp = reinterpret_cast<net::Icmpv6Header*>(data + icmp_at);
    icmp->checksum = net::Be16{0};
    icmp->checksum = net::checksum_from_sum(icmp6_sum(packet, icmp_at, ip));
}

rte_mbuf* Ip6Output::make(const Envelope& envelope, std::span<const std::uint8_t> message) const {
    rte_mbuf* packet = rte_pktmbuf_alloc(core_.pool());
    if (packet == nullptr) {
        return nullptr;
    }
    const std::size_t headers = headers_of(envelope);
    char* data = rte_pktmbuf_append(packet, static_cast<std::uint16_t>(headers + message.size()));
    if (data == nullptr) {
        rte_pktmbuf_free(packet);
        return nullptr;
    }
    std::memcpy(data + headers, message.data(), message.size());
    finish(packet, envelope);
    return packet;
}

void Ip6Output::send(rte_mbuf* packet, LinkId link) {
    const auto& ip = *rte_pktmbuf_mtod(packet, const net::Ipv6Header*);
    const auto destination = net::IpAddress::from_v6(ip.destination);
    const bool is_on_link = destination.is_multicast() || destination.is_link_local_v6();
    const route::Routing& routing = core_.routing();
    const route::Path path = routing.lookup(destination, is_on_link ? link : routing.vrf_of(link));
    core_.own_counters().count(IpCounter::ip6_out_requests);
    if (!route::leads_on(path.kind)) {
        core_.own_counters().count(IpCounter::ip6_out_no_routes);
        core_.drop(packet, link, reason_of(path.kind));
        return;
    }
    pipeline::note(packet).l3_offset = 0;
    core_.own_counters().count(IpCounter::ip6_out_octets, packet->pkt_len);
    if (!passes_filters(core_, packet, path)) {
        return;
    }
    if (packet->pkt_len <= path.mtu) {
        send_by(core_, packet, path);
    } else if (pipeline::may_fragment6(packet, path.mtu)) {
        send_in_fragments(core_, packet, path, fragment_ids_.next());
    } else {
        core_.own_counters().count(IpCounter::ip6_frag_fails);
        core_.drop(packet, path.link, Drop::ip6_too_big);
    }
}

void Ip6Output::send_message(
    LinkId link, const Envelope& envelope, std::span<const std::uint8_t> message
) {
    if (rte_mbuf* packet = make(envelope, message); packet != nullptr) {
        core_.own_counters().originated.add(1);
        send(packet, link);
    }
}

}  // namespace culvert::control
