// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/slow_path.hpp"

#include "lib/control/core.hpp"
#include "lib/control/tunnels.hpp"
#include "lib/net/arp.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/header.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace culvert::control {

namespace {

using pipeline::Drop;
using pipeline::Punt;

constexpr std::uint16_t kEtherLen = sizeof(net::EtherHeader);
constexpr pipeline::IcmpError kAddressUnreachable{
    .type = net::icmpv6_type::kDestinationUnreachable, .code = 3, .as_received = false};
constexpr std::uint16_t kArpFrameLen = kEtherLen + sizeof(net::ArpHeader);

// A header that lies wholly in the first segment; nullptr if it does not.
template <typename Header>
Header* header_in(rte_mbuf* packet, std::size_t offset) {
    return net::header_at<Header>(
        rte_pktmbuf_mtod(packet, std::uint8_t*), packet->data_len, offset
    );
}

// The sum of `len` bytes from `offset` on, over all segments. Precondition: the packet has them.
std::uint64_t sum_packet(const rte_mbuf* packet, std::size_t offset, std::size_t len) {
    std::uint64_t sum = 0;
    std::size_t done = 0;
    for (; packet != nullptr && done < len; packet = packet->next) {
        if (offset >= packet->data_len) {
            offset -= packet->data_len;
            continue;
        }
        const std::size_t piece = std::min<std::size_t>(packet->data_len - offset, len - done);
        const auto* data = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset);
        sum = net::sum_chain(sum, net::sum_bytes(data, piece), done);
        done += piece;
        offset = 0;
    }
    return sum;
}

// Whose IP header lies where its note says.
bool is_ip6(rte_mbuf* packet) {
    const auto* first = header_in<std::uint8_t>(packet, pipeline::note(packet).l3_offset);
    return first != nullptr && *first >> 4 == 6;
}

Drop reason_of(route::QueueVerdict why) {
    switch (why) {
    case route::QueueVerdict::failed:
        return Drop::neighbour_failed;
    case route::QueueVerdict::overflow:
        return Drop::neighbour_queue_full;
    case route::QueueVerdict::table_full:
        return Drop::neighbour_table_full;
    case route::QueueVerdict::removed:
        break;
    }
    return Drop::neighbour_removed;
}

}  // namespace

void SlowPath::handle(rte_mbuf* packet) {
    const pipeline::Note note = pipeline::note(packet);
    switch (note.punt) {
    case Punt::arp:
        handle_arp(packet);
        return;
    case Punt::icmp:
        handle_icmp(packet);
        return;
    case Punt::icmp6:
        icmp6_.handle(packet);
        return;
    case Punt::icmp_error: {
        const pipeline::IcmpDemand demand = pipeline::icmp_demand_of(packet);
        if (is_ip6(packet)) {
            icmp6_.tell(packet, demand.error);
        }
        core_.drop(packet, demand.link, demand.reason);
        return;
    }
    case Punt::resolve:
        if (core_.links().find(note.link_out) == nullptr) {
            core_.drop(packet, note.link_out, Drop::link_gone);
            return;
        }
        core_.routing().resolve(
            note.link_out, pipeline::next_hop_of(packet), packet, core_.now_ms()
        );
        return;
    case Punt::tunnel_remote:
        if (!core_.tunnels().learn_remote(note.link_out, pipeline::next_hop_of(packet))) {
            core_.drop(packet, note.link_out, Drop::ip_tunnel_no_remote);
            return;
        }
        core_.send(note.link_out, packet, true);
        return;
    }
    core_.drop(packet, note.link_in, Drop::ether_type_unknown);
}

// NEI-10, NEI-11; the order of checks is the kernel's (arp_rcv, arp_process).
void SlowPath::handle_arp(rte_mbuf* packet) {
    const LinkId link = pipeline::note(packet).link_in;
    const auto* ether = header_in<net::EtherHeader>(packet, 0);
    const auto* arp = header_in<net::ArpHeader>(packet, kEtherLen);
    if (arp == nullptr || !arp->is_ethernet_ipv4() || !arp->sender_mac.is_valid_station() ||
        (arp->operation.host() != net::arp::kRequest && arp->operation.host() != net::arp::kReply
        )) {
        core_.drop(packet, link, Drop::arp_malformed);
        return;
    }
    const LinkRecord* record = core_.links().find(link);
    const auto sender = net::IpAddress::from_v4(arp->sender_ip.host());
    const auto target = net::IpAddress::from_v4(arp->target_ip.host());
    const bool is_request = arp->operation.host() == net::arp::kRequest;
    const bool usable =
        record != nullptr && record->admin_up && !target.is_multicast() && !target.is_loopback();
    const bool martian = sender.is_multicast() || sender.is_loopback() ||
                         sender.v4() == 0xffffffff || core_.routing().is_local(sender);
    if (!usable || martian) {
        core_.consume(packet, link);
        return;
    }
    const bool to_us = core_.routing().is_local(target);
    const bool is_probe = sender.is_unspecified();  // duplicate address detection (RFC 5227)
    if (!is_probe) {
        const bool unicast = ether->destination == record->mac;
        core_.routing().neighbours().arp_input(link, *arp, to_us, unicast, core_.now_ms());
    }
    if (is_request && to_us) {
        send_arp(link, {net::arp::kReply, arp->sender_mac, arp->sender_mac, target, sender});
    }
    core_.consume(packet, link);
}

void SlowPath::send_arp_request(
    LinkId link,
    const net::MacAddress& destination,
    const net::IpAddress& source,
    const net::IpAddress& target
) {
    const net::MacAddress known = destination.is_broadcast() ? net::MacAddress{} : destination;
    send_arp(link, {net::arp::kRequest, destination, known, source, target});
}

void SlowPath::send_arp(LinkId link, const ArpFields& fields) {
    const LinkRecord* record = core_.links().find(link);
    if (record == nullptr) {
        return;
    }
    rte_mbuf* frame = rte_pktmbuf_alloc(core_.pool());
    if (frame == nullptr) {
        return;  // as lost as on the wire: whoever needs it asks again
    }
    auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, kArpFrameLen));
    const net::EtherHeader ether{
        fields.ether_destination, record->mac, net::Be16{net::ether_type::kArp}};
    net::ArpHeader arp{};
    arp.hardware_type = net::Be16{net::arp::kHardwareEthernet};
    arp.protocol_type = net::Be16{net::ether_type::kIpv4};
    arp.hardware_length = 6;
    arp.protocol_length = 4;
    arp.operation = net::Be16{fields.operation};
    arp.sender_mac = record->mac;
    arp.sender_ip = net::Be32{fields.source.is_v4() ? fields.source.v4() : 0};
    arp.target_mac = fields.target_mac;
    arp.target_ip = net::Be32{fields.target.is_v4() ? fields.target.v4() : 0};
    std::memcpy(data, &ether, sizeof(ether));
    std::memcpy(data + kEtherLen, &arp, sizeof(arp));
    core_.send(link, frame, false);
}

void SlowPath::send_neighbour_solicitation(
    LinkId link,
    std::optional<net::MacAddress> unicast_to,
    const net::IpAddress& source,
    const net::IpAddress& target
) {
    icmp6_.discovery().send_solicitation(link, unicast_to, source, target);
}

std::uint64_t SlowPath::tick(std::uint64_t now_ms) {
    end_given_up(true);
    return icmp6_.discovery().tick(now_ms);
}

void SlowPath::send_frame(LinkId link, rte_mbuf* frame) {
    core_.send(link, frame, true);
}

// NEI-02: the sender hears that the next hop does not answer (ndisc_error_report).
void SlowPath::give_up(LinkId link, rte_mbuf* frame, route::QueueVerdict why) {
    // Not at once: the message may need a neighbour itself, and this is called from amid the table.
    if (why == route::QueueVerdict::failed) {
        given_up_.emplace_back(link, frame);
    } else {
        core_.drop(frame, link, reason_of(why));
    }
}

void SlowPath::end_given_up(bool is_told) {
    for (const auto& [link, frame] : std::exchange(given_up_, {})) {
        pipeline::note(frame).l3_offset = kEtherLen;
        if (is_told && is_ip6(frame)) {
            icmp6_.tell(frame, kAddressUnreachable);
        }
        core_.drop(frame, link, Drop::neighbour_failed);
    }
}

void SlowPath::neighbour_changed(const route::Neighbour& neighbour, bool removed) {
    Event event;
    event.object = Event::Object::neighbour;
    event.removed = removed;
    event.link = neighbour.key.link;
    event.neighbour = neighbour.key;
    event.neighbour_state = neighbour.state;
    if (neighbour.has_mac) {
        event.neighbour_mac = neighbour.mac;
    }
    core_.publish_event(event);
}

void SlowPath::route_changed(const route::Route& route, bool removed) {
    Event event;
    event.object = Event::Object::route;
    event.removed = removed;
    event.link = route.link;
    event.route = route;
    core_.publish_event(event);
}

void SlowPath::address_changed(const route::Address& address, bool removed) {
    Event event;
    event.object = Event::Object::address;
    event.removed = removed;
    event.link = address.link;
    event.address = address;
    core_.links().address_changed(address.link);
    if (!address.prefix.address.is_v4()) {
        icmp6_.discovery().address_changed(address, removed);
    }
    core_.publish_event(event);
}

// The worker has checked the IPv4 header, trimmed the packet to its total length, and found the
// destination to be ours.
void SlowPath::handle_icmp(rte_mbuf* packet) {
    const pipeline::Note& note = pipeline::note(packet);
    const LinkId link = note.link_in;
    const auto* ip = header_in<net::Ipv4Header>(packet, note.l3_offset);
    const std::size_t icmp_offset = ip == nullptr ? 0 : note.l3_offset + ip->header_len_bytes();
    const auto* icmp = ip == nullptr ? nullptr : header_in<net::IcmpHeader>(packet, icmp_offset);
    if (icmp == nullptr ||
        !net::sum_is_valid(sum_packet(packet, icmp_offset, packet->pkt_len - icmp_offset))) {
        core_.drop(packet, link, Drop::icmp_malformed);
        return;
    }
    if (icmp->type != net::icmp_type::kEchoRequest) {
        core_.drop(packet, link, Drop::icmp_not_handled);
        return;
    }
    const net::Ipv4Header request = *ip;
    reply_to_echo(packet, request, icmp_offset);
}

// The request becomes the reply: it is consumed, and a packet of our own goes on in its buffer.
void SlowPath::reply_to_echo(
    rte_mbuf* packet, const net::Ipv4Header& request, std::size_t icmp_offset
) {
    auto* icmp = header_in<net::IcmpHeader>(packet, icmp_offset);
    icmp->type = net::icmp_type::kEchoReply;
    const auto old_field = net::Be16{std::uint16_t{net::icmp_type::kEchoRequest << 8}};
    icmp->checksum = net::checksum_update(icmp->checksum, old_field, net::Be16{0});

    // Options are not sent back, so the new header lies right in front of the message.
    rte_pktmbuf_adj(packet, static_cast<std::uint16_t>(icmp_offset - sizeof(net::Ipv4Header)));
    net::Ipv4Header reply{};
    reply.version_and_ihl = net::kIpv4VersionIhl;
    reply.type_of_service = request.type_of_service;
    reply.total_length = net::Be16{static_cast<std::uint16_t>(packet->pkt_len)};
    reply.identification = net::Be16{ip_identification_++};
    reply.time_to_live = net::kIpv4DefaultTtl;
    reply.protocol = net::ip_protocol::kIcmp;
    reply.source = request.destination;
    reply.destination = request.source;
    reply.checksum = net::ipv4_header_checksum(reply);
    std::memcpy(rte_pktmbuf_mtod(packet, void*), &reply, sizeof(reply));
    packet->ol_flags = 0;
    packet->packet_type = 0;
    core_.own_counters().consumed.add(1);
    core_.own_counters().originated.add(1);
    send_ip(
        packet,
        net::IpAddress::from_v4(reply.source.host()),
        net::IpAddress::from_v4(reply.destination.host())
    );
}

// `packet` begins at the IP header and is counted as originated.
void SlowPath::send_ip(
    rte_mbuf* packet, const net::IpAddress& source, const net::IpAddress& destination
) {
    const route::Path path = core_.routing().lookup(destination, kNoLink, source);
    switch (path.kind) {
    case route::AdjacencyKind::glean:
    case route::AdjacencyKind::incomplete:
    case route::AdjacencyKind::rewrite:
        break;
    case route::AdjacencyKind::unreachable:
        core_.drop(packet, path.link, Drop::ip4_unreachable);
        return;
    case route::AdjacencyKind::prohibit:
        core_.drop(packet, path.link, Drop::ip4_prohibit);
        return;
    case route::AdjacencyKind::blackhole:
        core_.drop(packet, path.link, Drop::ip4_blackhole);
        return;
    case route::AdjacencyKind::broadcast:
        core_.drop(packet, path.link, Drop::ip4_not_forwarded);
        return;
    case route::AdjacencyKind::local:
    case route::AdjacencyKind::no_route:
        core_.drop(packet, path.link, Drop::ip4_no_route);
        return;
    }
    if (packet->pkt_len > path.mtu) {
        core_.drop(packet, path.link, Drop::ip4_too_big);
        return;
    }
    if (rte_pktmbuf_prepend(packet, kEtherLen) == nullptr) {
        core_.drop(packet, path.link, Drop::ip4_too_big);
        return;
    }
    core_.routing().resolve(path.link, path.next_hop, packet, core_.now_ms());
}

}  // namespace culvert::control
