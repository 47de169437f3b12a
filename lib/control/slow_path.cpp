// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/slow_path.hpp"

#include "lib/control/core.hpp"
#include "lib/control/group_reports.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/control/ip_options.hpp"
#include "lib/control/tcp_reset.hpp"
#include "lib/control/tunnels.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/header.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/parse.hpp"
#include "lib/pipeline/ip_tunnel_nbma.hpp"
#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace culvert::control {

namespace {

using pipeline::Drop;
using pipeline::Punt;

constexpr std::uint16_t kEtherLen = sizeof(net::EtherHeader);

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

// A message of neighbour discovery.
bool is_discovery(rte_mbuf* packet) {
    if (!is_ip6(packet)) {
        return false;
    }
    const net::ParsedPacket parsed = net::parse_l3(
        rte_pktmbuf_mtod(packet, const std::uint8_t*),
        packet->data_len,
        pipeline::note(packet).l3_offset,
        net::ether_type::kIpv6
    );
    const auto* type = parsed.l4_offset == 0 || parsed.protocol != net::ip_protocol::kIcmpv6
                           ? nullptr
                           : header_in<std::uint8_t>(packet, parsed.l4_offset);
    return type != nullptr && net::is_discovery(*type);
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

// One hop more, as a forwarded packet.
void SlowPath::send_back(rte_mbuf* packet) {
    const LinkId link_in = pipeline::note(packet).link_in;
    rte_pktmbuf_adj(packet, pipeline::note(packet).l3_offset);
    auto& ip = *rte_pktmbuf_mtod(packet, net::Ipv4Header*);
    --ip.time_to_live;
    ip.checksum = net::ipv4_header_checksum(ip, ip.header_len_bytes());
    output_.send(packet, link_in);
}

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
            const LinkRecord* device = core_.links().find(note.link_out);
            const bool is_external = device != nullptr && device->ip_tunnel.external;
            core_.drop(
                packet,
                note.link_out,
                is_external ? pipeline::no_metadata(device->kind) : Drop::ip_tunnel_no_remote
            );
            return;
        }
        core_.send(note.link_out, packet, true);
        return;
    case Punt::icmp_error: {
        const pipeline::IcmpDemand demand = pipeline::icmp_demand_of(packet);
        const bool is_knock = demand.reason == Drop::ip4_protocol_unknown ||
                              demand.reason == Drop::ip6_next_header_unknown;
        if (!is_knock || !answer_with_reset(core_, output_, icmp6_.output(), packet)) {
            tell(packet, demand.error, demand.reason);
        }
        core_.drop(packet, demand.link, demand.reason);
        return;
    }
    case Punt::keepalive:
        send_back(packet);
        return;
    case Punt::igmp: {
        core_.group_reports().handle(packet);
        const LinkRecord* link = core_.links().find(note.link_in);
        if (link != nullptr && !link->host_tap.empty()) {
            core_.host_taps().give(packet);
        } else {
            core_.consume(packet, note.link_in);
        }
        return;
    }
    case Punt::host:
        core_.host_taps().give(packet);
        return;
    case Punt::fragment:
        handle_fragment(packet);
        return;
    }
    core_.drop(packet, note.link_in, Drop::ether_type_unknown);
}

void SlowPath::send_neighbour_solicitation(
    LinkId link,
    std::optional<net::MacAddress> unicast_to,
    const net::IpAddress& source,
    const net::IpAddress& target
) {
    icmp6_.discovery().send_solicitation(link, unicast_to, source, target);
}

void SlowPath::send_frame(LinkId link, rte_mbuf* frame) {
    core_.send(link, frame, true);
}

// ICMP has two forms, ICMPv6 is the other.
void SlowPath::tell(rte_mbuf* packet, const pipeline::IcmpError& error, Drop reason) {
    if (is_ip6(packet)) {
        icmp6_.tell(packet, error);
    } else {
        errors_.tell(packet, error, reason);
    }
}

// NEI-02: the sender hears that the next hop does not answer (arp_error_report,
// ndisc_error_report). Not from here: routing is in the middle of its work, and the message needs
// it.
void SlowPath::give_up(LinkId link, rte_mbuf* frame, route::QueueVerdict why) {
    if (why == route::QueueVerdict::failed) {
        unanswered_.emplace_back(link, frame);
    } else {
        core_.drop(frame, link, reason_of(why));
    }
}

void SlowPath::start() {
    // The kernel's 4 MiB, or a sixteenth of all packet buffers; datagrams that were begun may take
    // as much again.
    const rte_mempool* pool = core_.pool();
    const std::size_t share = std::size_t{pool->size} / 16 * pool->elt_size;
    reassembly_.set_memory(std::min(ReassemblyLimits{}.memory, share));
    reassembly6_.set_memory(std::min(kReassemblyLimits6.memory, share));
}

void SlowPath::stop() {
    for (const auto& [link, frame] : std::exchange(unanswered_, {})) {
        core_.drop(frame, link, Drop::neighbour_failed);
    }
    reassembly_.give_up_all(Drop::shutdown);
    reassembly6_.give_up_all(Drop::shutdown);
}

std::uint64_t SlowPath::tick(std::uint64_t now_ms) {
    // What is sent may be given up in its turn; that waits for the next time.
    for (const auto& [link, frame] : std::exchange(unanswered_, {})) {
        pipeline::note(frame).l3_offset = kEtherLen;
        pipeline::IcmpError error = pipeline::unreachable(
            is_ip6(frame) ? net::icmpv6_unreachable::kAddress : net::icmp_unreachable::kHost
        );
        error.type = is_ip6(frame) ? net::icmpv6_type::kDestinationUnreachable : error.type;
        error.as_received = false;
        const bool is_heeded = is_ip6(frame) ? errors6_in_.take_failure(frame, kEtherLen)
                                             : errors_in_.take_failure(frame, kEtherLen);
        if (!is_heeded) {
            tell(frame, error, Drop::neighbour_failed);
        }
        core_.drop(frame, link, Drop::neighbour_failed);
    }
    return std::min(
        {reassembly_.tick(now_ms),
         reassembly6_.tick(now_ms),
         icmp6_.discovery().tick(now_ms),
         icmp6_.listener().tick(now_ms),
         delayed_.tick(now_ms)}
    );
}

// A datagram that is whole goes back to a worker, as if it had come so: what its first fragment's
// link let through goes on at ip4 or ip6.
void SlowPath::handle_fragment(rte_mbuf* packet) {
    const pipeline::Note& note = pipeline::note(packet);
    const auto* ip6 = is_ip6(packet) ? header_in<net::Ipv6Header>(packet, note.l3_offset) : nullptr;
    rte_mbuf* datagram = nullptr;
    const LinkId vrf = core_.routing().vrf_of(note.link_in);  // l3mdev_master_ifindex_rcu()
    if (ip6 == nullptr) {
        datagram = reassembly_.add(packet, vrf, core_.pool(), core_.now_ms());
    } else {
        // Of groups and link-local addresses workers know only that they may be ours, and each link
        // has its own (ip6_frag_match).
        const auto destination = net::IpAddress::from_v6(ip6->destination);
        const bool is_link_own = destination.is_multicast() || destination.is_link_local_v6();
        if (!destination.is_multicast() &&
            !core_.routing().is_local_on(note.link_in, destination)) {
            core_.drop(packet, note.link_in, Drop::ip6_not_local);
            return;
        }
        datagram = reassembly6_.add(
            packet, is_link_own ? note.link_in : vrf, core_.pool(), core_.now_ms()
        );
    }
    if (datagram != nullptr && is_discovery(datagram)) {
        // RFC 6980: who cuts such a message means to hide it.
        core_.own_counters().originated.add(1);
        core_.drop(datagram, pipeline::note(datagram).link_in, Drop::icmp_malformed);
    } else if (datagram != nullptr) {
        core_.deliver(datagram);
    }
}

void SlowPath::drop_fragment(rte_mbuf* fragment, Drop reason) {
    core_.drop(fragment, pipeline::note(fragment).link_in, reason);
}

void SlowPath::consume_fragment(rte_mbuf* fragment) {
    core_.consume(fragment, pipeline::note(fragment).link_in);
}

// RFC 792, RFC 8200 4.5: the sender of a datagram hears that its rest did not come, if its first
// fragment did.
void SlowPath::expired(rte_mbuf* first_fragment) {
    constexpr std::uint8_t kReassemblyTime = 1;
    pipeline::IcmpError error = pipeline::kTimeExceeded;
    error.type = is_ip6(first_fragment) ? net::icmpv6_type::kTimeExceeded : error.type;
    error.code = kReassemblyTime;
    tell(first_fragment, error, Drop::fragment_timeout);
}

void SlowPath::complain(rte_mbuf* fragment, const pipeline::IcmpError& error) {
    tell(fragment, error, Drop::fragment_malformed);
}

void SlowPath::count(pipeline::IpCounter counter) {
    core_.own_counters().count(counter);
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

void SlowPath::breathe() {
    core_.attend();
}

void SlowPath::path_mtu_changed(const net::IpAddress& destination) {
    core_.tunnels().path_changed(destination);
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
        icmp6_.listener().address_changed(address, removed);
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
        const bool is_heeded =
            net::is_icmp_error(icmp->type) && errors_in_.take(packet, icmp_offset);
        core_.own_counters().count(
            is_heeded ? pipeline::IpCounter::icmp_in_errors : pipeline::IpCounter::icmp_in_unknown
        );
        if (is_heeded) {
            core_.consume(packet, link);
        } else {
            core_.host_taps().give_or_drop(packet, Drop::icmp_not_handled);
        }
        return;
    }
    const net::Ipv4Header request = *ip;
    reply_to_echo(packet, request, icmp_offset);
}

// The request becomes the reply: it is consumed, and a packet of our own goes on in its buffer.
void SlowPath::reply_to_echo(
    rte_mbuf* packet, const net::Ipv4Header& request, std::size_t icmp_offset
) {
    OptionContext context = option_context(core_.routing(), pipeline::note(packet).link_in);
    context.received_at = request.destination.host();
    context.source = context.received_at;
    const std::size_t header_len = request.header_len_bytes();
    const auto options =
        answer_options(options_of(packet, icmp_offset - header_len, header_len), context);
    if (!options.has_value()) {
        core_.drop(packet, pipeline::note(packet).link_in, Drop::icmp_malformed);
        return;
    }
    auto* icmp = header_in<net::IcmpHeader>(packet, icmp_offset);
    icmp->type = net::icmp_type::kEchoReply;
    const auto old_field = net::Be16{std::uint16_t{net::icmp_type::kEchoRequest << 8}};
    icmp->checksum = net::checksum_update(icmp->checksum, old_field, net::Be16{0});

    // The new header lies right in front of the message.
    rte_pktmbuf_adj(
        packet, static_cast<std::uint16_t>(icmp_offset - sizeof(net::Ipv4Header) - options->len)
    );
    net::Ipv4Header reply = output_.header(
        net::ip_protocol::kIcmp, packet->pkt_len, request.destination, request.source
    );
    reply.type_of_service = request.type_of_service;
    put_header(rte_pktmbuf_mtod(packet, std::uint8_t*), reply, *options);
    packet->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    packet->packet_type = 0;
    core_.own_counters().consumed.add(1);
    core_.own_counters().originated.add(1);
    output_.send(packet, pipeline::note(packet).link_in);
}

}  // namespace culvert::control
