// SPDX-License-Identifier: BSD-3-Clause
// IPv4 input and forwarding: check the header (ip4_input.hpp), look up all destinations of up to 64
// packets at once, then deliver here or rewrite and send on.
#include "lib/net/checksum.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/header.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/udp.hpp"
#include "lib/pipeline/ip4_input.hpp"
#include "lib/pipeline/ip_by_tos.hpp"
#include "lib/pipeline/ip_chunk.hpp"
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/ip_multipath.hpp"
#include "lib/pipeline/link_header.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstring>

namespace culvert::pipeline {

namespace {

using Chunk = IpChunk<std::uint32_t>;

// Where the packets of one adjacency go.
struct Way {
    route::AdjacencyId id = route::AdjacencyTable::kNone;
    const route::Adjacency* adjacency = nullptr;
    const Link* link = nullptr;  // of a rewrite; nullptr = gone
    // Where all packets go that nothing in themselves keeps back; nullptr = each has to be looked
    // at, by filters or for its way's sake.
    Vector* direct = nullptr;
};

route::AdjacencyKind kind_of(const Way& way) noexcept {
    return way.adjacency != nullptr ? way.adjacency->kind : route::AdjacencyKind::no_route;
}

// Keeps the good packets and cuts them into runs.
void read_headers(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, Chunk& chunk
) noexcept {
    std::uint32_t count = 0;
    std::uint32_t runs = 0;
    LastAddresses last;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        const net::Ipv4Header& ip = *header_of(packet);
        if (check_header(worker, packet, ip) == Check::bad) [[unlikely]] {
            continue;
        }
        const auto addresses = net::detail::load<std::uint64_t>(&ip.source);
        if (addresses != last.both) {
            const std::uint32_t source = ip.source.host();
            const std::uint32_t destination = ip.destination.host();
            if (check_addresses(worker, packet, source, destination, last) == Check::bad)
                [[unlikely]] {
                continue;
            }
            if (destination != last.destination) {
                chunk.first[runs] = static_cast<std::uint8_t>(count);
                chunk.destinations[runs++] = destination;
            }
            last = {addresses, source, destination};
        }
        chunk.packets[count++] = packet;
    }
    chunk.first[runs] = static_cast<std::uint8_t>(count);
    chunk.count = count;
    chunk.run_count = runs;
}

// For this processor, but not whole UDP.
[[gnu::noinline]] void deliver_other(
    Worker& worker, rte_mbuf* packet, const net::Ipv4Header& ip, bool broadcast
) noexcept {
    const LinkId link = note(packet).link_in;
    if (ip.is_fragment()) {
        if (!worker.offer(packet, Punt::fragment)) {
            worker.drop(packet, link, Drop::fragment_ring_full);
        }
    } else if (ip.protocol == net::ip_protocol::kIcmp && !broadcast) {
        if (!worker.offer(packet, Punt::icmp)) {
            worker.drop(packet, link, Drop::control_ring_full);
        }
    } else if (ip.protocol == net::ip_protocol::kIcmp) {
        // As with the kernel's default icmp_echo_ignore_broadcasts.
        worker.drop_if_no_host(packet, Drop::icmp_not_handled);
    } else if (ip.protocol == net::ip_protocol::kIgmp) {
        if (!worker.offer(packet, Punt::igmp)) {
            worker.drop(packet, link, Drop::control_ring_full);
        }
    } else if (broadcast) {
        worker.drop_if_no_host(packet, Drop::ip4_protocol_unknown);
    } else {
        worker.drop_and_tell(
            packet, link, Drop::ip4_protocol_unknown, unreachable(net::icmp_unreachable::kProtocol)
        );
    }
}

// A run for this processor. Precondition: room in vxlan_pop and ip_tunnel_pop.
void deliver(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, bool broadcast) noexcept {
    Vector& out = worker.vector(Stage::vxlan_pop);
    rte_mbuf** tail = &out.packets[out.count];
    for (std::uint32_t i = 0; i < n; ++i) {
        const net::Ipv4Header& ip = *header_of(packets[i]);
        if (ip.protocol == net::ip_protocol::kUdp && !ip.is_fragment()) [[likely]] {
            *tail++ = packets[i];
        } else if (is_ip_tunnel_protocol(ip.protocol) && !ip.is_fragment()) {
            worker.enqueue(Stage::ip_tunnel_pop, packets[i]);
        } else {
            deliver_other(worker, packets[i], ip, broadcast);
        }
    }
    out.count = static_cast<std::uint32_t>(tail - out.packets.data());
}

// One less, and the checksum with it: 0x0100 less in a 16-bit word is 0x0100 more in the checksum,
// the carry brought round (RFC 1624).
inline void decrement_ttl(net::Ipv4Header& ip) noexcept {
    --ip.time_to_live;
    const std::uint32_t sum = std::uint32_t{ip.checksum.raw()} + net::Be16{0x0100}.raw();
    ip.checksum = net::Be16::from_raw(static_cast<std::uint16_t>(sum + (sum >= 0xffff ? 1 : 0)));
}

// Larger than its way out, and not to be cut (FRAG-02, FRAG-03).
[[gnu::cold]] Check
refuse_size(Worker& worker, rte_mbuf* packet, const route::Adjacency& adjacency) noexcept {
    worker.counters.count(IpCounter::frag_fails);
    if (header_of(packet)->dont_fragment()) {
        worker.drop_and_tell(
            packet, adjacency.link_out, Drop::ip4_too_big, fragmentation_needed(adjacency.mtu)
        );
    } else {
        worker.drop(packet, adjacency.link_out, Drop::ip4_too_big);
    }
    return Check::bad;
}

// What ip_forward asks of a packet before it leaves (RT-12). Bad packets are gone; a good one may
// have to be cut.
inline Check check_forward(
    Worker& worker, rte_mbuf* packet, std::uint32_t destination, const route::Adjacency& adjacency
) noexcept {
    const net::Ipv4Header& ip = *header_of(packet);
    // What came as a link-layer group is not forwarded, whoever it is for.
    const bool to_group = (*rte_pktmbuf_mtod(packet, const std::uint8_t*) & 1) != 0;
    if (destination >= kFirstGroup && is_group(destination)) [[unlikely]] {
        worker.drop_if_no_host(packet, Drop::ip4_not_forwarded);
        return Check::bad;
    }
    if (to_group) [[unlikely]] {
        return refuse(worker, packet, Drop::ip4_not_forwarded);
    }
    if (ip.time_to_live <= 1) [[unlikely]] {
        worker.drop_and_tell(packet, note(packet).link_in, Drop::ip4_ttl_exceeded, kTimeExceeded);
        return Check::bad;
    }
    if (ip.total_length.host() > adjacency.mtu && !may_fragment(ip, adjacency.mtu)) [[unlikely]] {
        return refuse_size(worker, packet, adjacency);
    }
    return Check::ok;
}

// A packet that check_forward() passed and whose link header has its place: whether it is too large
// and has gone to be cut. `resolve`: the fragments are for control.
bool cut_if_large(
    Worker& worker, rte_mbuf* packet, const route::Adjacency& adjacency, bool resolve
) noexcept {
    if (header_of(packet)->total_length.host() <= adjacency.mtu) [[likely]] {
        return false;
    }
    note(packet).link_out = adjacency.link_out;
    fragment_cut_of(packet) = {static_cast<std::uint16_t>(adjacency.mtu), 0, resolve};
    worker.enqueue(Stage::ip_fragment, packet);
    return true;
}

// The next hop's MAC is not known: control asks for it and keeps the packet meanwhile.
void resolve(
    Worker& worker, rte_mbuf* packet, std::uint32_t destination, const route::Adjacency& adjacency
) noexcept {
    if (check_forward(worker, packet, destination, adjacency) == Check::bad) {
        return;
    }
    decrement_ttl(*header_of(packet));
    if (!place_link_header(packet, sizeof(net::EtherHeader), worker.pool)) [[unlikely]] {
        worker.drop(packet, adjacency.link_out, Drop::ip4_no_headroom);
        return;
    }
    if (!passes_forwarded(worker, packet, adjacency.link_out)) {
        return;
    }
    note(packet).link_out = adjacency.link_out;
    next_hop_of(packet) = adjacency.kind == route::AdjacencyKind::glean
                              ? net::IpAddress::from_v4(destination)
                              : adjacency.next_hop;
    if (!cut_if_large(worker, packet, adjacency, true)) {
        worker.punt(packet, Punt::resolve);
    }
}

// A packet to a neighbour whose MAC is known, by any link.
[[gnu::noinline]] void rewrite_one(Worker& worker, rte_mbuf* packet, const Way& way) noexcept {
    const route::Adjacency& adjacency = *way.adjacency;
    const std::uint32_t destination = header_of(packet)->destination.host();
    if (check_forward(worker, packet, destination, adjacency) == Check::bad) {
        return;
    }
    if (way.link == nullptr) {
        worker.drop(packet, adjacency.link_out, Drop::link_gone);
        return;
    }
    decrement_ttl(*header_of(packet));
    if (!place_link_header(packet, adjacency.header_len, worker.pool)) {
        worker.drop(packet, adjacency.link_out, Drop::ip4_no_headroom);
        return;
    }
    auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
    std::memcpy(data, adjacency.header.data(), adjacency.header_len);
    if (!passes_forwarded(worker, packet, adjacency.link_out)) {
        return;
    }
    if (!cut_if_large(worker, packet, adjacency, false)) {
        worker.output(packet, *way.link);
    }
}

// Packets to a neighbour whose MAC is known, none or all of them to a group. Precondition: room
// behind Worker::output.
void rewrite(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, bool group, const Way& way
) noexcept {
    constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
    const route::Adjacency& adjacency = *way.adjacency;
    const bool direct = way.direct != nullptr && !group;
    Vector& out = direct ? *way.direct : worker.vector(Stage::port_tx);
    rte_mbuf** tail = &out.packets[out.count];
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(data + kEther);
        // What check_forward() asks; the packet ends where its total length says.
        const bool plain = direct && note(packet).l3_offset == kEther && (*data & 1) == 0 &&
                           rte_pktmbuf_pkt_len(packet) <= adjacency.mtu + kEther;
        if (!plain || ip.time_to_live <= 1) [[unlikely]] {
            out.count = static_cast<std::uint32_t>(tail - out.packets.data());
            rewrite_one(worker, packet, way);
            tail = &out.packets[out.count];
            continue;
        }
        decrement_ttl(ip);
        std::memcpy(data, adjacency.header.data(), kEther);
        note(packet).link_out = adjacency.link_out;
        *tail++ = packet;
    }
    out.count = static_cast<std::uint32_t>(tail - out.packets.data());
}

// The route says no, or there is none (RT-06, ip_error).
[[gnu::cold]] void
refuse_route(Worker& worker, rte_mbuf* packet, route::AdjacencyKind kind) noexcept {
    const LinkId link = note(packet).link_in;
    switch (kind) {
    case route::AdjacencyKind::unreachable:
        worker.drop_and_tell(
            packet, link, Drop::ip4_unreachable, unreachable(net::icmp_unreachable::kHost)
        );
        return;
    case route::AdjacencyKind::prohibit:
        worker.drop_and_tell(
            packet, link, Drop::ip4_prohibit, unreachable(net::icmp_unreachable::kProhibited)
        );
        return;
    case route::AdjacencyKind::blackhole:
        worker.drop(packet, link, Drop::ip4_blackhole);
        return;
    default:
        worker.drop_and_tell(
            packet, link, Drop::ip4_no_route, unreachable(net::icmp_unreachable::kNet)
        );
    }
}

// An offer to the host's DHCP client comes to an address that is nobody's yet (RFC 2131, 4.1).
bool is_for_dhcp_client(rte_mbuf* packet) noexcept {
    constexpr std::uint16_t kClientPort = 68;
    const net::Ipv4Header& ip = *header_of(packet);
    const std::size_t l4_offset = note(packet).l3_offset + ip.header_len_bytes();
    const auto* udp = net::header_at<net::UdpHeader>(
        rte_pktmbuf_mtod(packet, const std::uint8_t*), rte_pktmbuf_data_len(packet), l4_offset
    );
    return ip.protocol == net::ip_protocol::kUdp && ip.fragment_offset_bytes() == 0 &&
           udp != nullptr && udp->destination.host() == kClientPort;
}

// A run to none of these.
[[gnu::noinline]] void
finish_here(Worker& worker, rte_mbuf* packet, std::uint32_t destination, const Way& way) noexcept {
    using route::AdjacencyKind;
    const AdjacencyKind kind = kind_of(way);
    if (kind == AdjacencyKind::glean || kind == AdjacencyKind::incomplete) {
        resolve(worker, packet, destination, *way.adjacency);
    } else if (is_group(destination)) {
        worker.drop_if_no_host(packet, Drop::ip4_not_forwarded);
    } else if (!is_for_dhcp_client(packet) || !worker.give_to_host(packet)) {
        refuse_route(worker, packet, kind);
    }
}

Way find_way(Worker& worker, route::AdjacencyId id) noexcept {
    Way way{id, worker.tables.adjacencies.read(id)};
    if (way.adjacency == nullptr || way.adjacency->kind != route::AdjacencyKind::rewrite) {
        return way;
    }
    way.link = worker.tables.links.read(way.adjacency->link_out);
    // By a port or an ip_tunnel link, under an untagged Ethernet header.
    if (way.link != nullptr && way.link->up &&
        (way.link->kind == LinkKind::port || is_ip_tunnel(way.link->kind)) &&
        way.adjacency->header_len == sizeof(net::EtherHeader) && worker.filters() == nullptr) {
        way.direct = &worker.vector(output_stage(way.link->kind));
    }
    return way;
}

// A run to a route with several next hops.
[[gnu::noinline]] void spread(
    Worker& worker,
    rte_mbuf* const* packets,
    std::uint32_t n,
    std::uint32_t destination,
    const route::Multipath& several
) noexcept {
    const bool group = is_group(destination);
    const auto leave = [&](route::AdjacencyId id, rte_mbuf* const* first, std::uint32_t count) {
        const Way way = find_way(worker, id);
        if (kind_of(way) == route::AdjacencyKind::rewrite) {
            rewrite(worker, first, count, group, way);
            return;
        }
        for (std::uint32_t i = 0; i < count; ++i) {
            finish_here(worker, first[i], destination, way);
        }
    };
    for_each_next_hop(packets, n, several, MultipathHash(worker, false), leave);
}

// A run, or several by the same way.
inline void send(
    Worker& worker,
    rte_mbuf* const* packets,
    std::uint32_t n,
    std::uint32_t destination,
    const Way& way
) noexcept;

// RT-05: a run to a prefix that has routes by TOS.
[[gnu::noinline]] void spread_by_tos(
    Worker& worker,
    rte_mbuf* const* packets,
    std::uint32_t n,
    std::uint32_t destination,
    route::AdjacencyId all
) noexcept {
    const auto tos_of = [&](std::uint32_t i) {
        return static_cast<std::uint8_t>(header_of(packets[i])->type_of_service & route::kTosMask);
    };
    std::uint32_t next = 0;
    for (std::uint32_t i = 0; i < n; i = next) {
        const std::uint8_t tos = tos_of(i);
        for (next = i + 1; next < n && tos_of(next) == tos;) {
            ++next;
        }
        const Way way = find_way(worker, choose_by_tos(worker, all, destination, tos));
        send(worker, packets + i, next - i, destination, way);
    }
}

[[gnu::always_inline]] inline void send(
    Worker& worker,
    rte_mbuf* const* packets,
    std::uint32_t n,
    std::uint32_t destination,
    const Way& way
) noexcept {
    using route::AdjacencyKind;
    const AdjacencyKind kind = kind_of(way);
    if (kind == AdjacencyKind::rewrite) [[likely]] {
        rewrite(worker, packets, n, is_group(destination), way);
    } else if (route::is_ours(kind)) {
        deliver(worker, packets, n, kind == AdjacencyKind::broadcast);
    } else if (kind == AdjacencyKind::multipath) {
        spread(worker, packets, n, destination, *way.adjacency->multipath);
    } else if (kind == AdjacencyKind::by_tos) {
        spread_by_tos(worker, packets, n, destination, way.id);
    } else {
        for (std::uint32_t i = 0; i < n; ++i) {
            finish_here(worker, packets[i], destination, way);
        }
    }
}

void send_on(Worker& worker, const Chunk& chunk) noexcept {
    Way way;
    std::uint32_t next = 0;
    for (std::uint32_t k = 0; k < chunk.run_count; k = next) {
        next = k + 1;
        if (chunk.adjacencies[k] != way.id) [[unlikely]] {
            way = find_way(worker, chunk.adjacencies[k]);
        }
        const std::uint32_t destination = chunk.destinations[k];
        const bool group = is_group(destination);
        if (kind_of(way) == route::AdjacencyKind::rewrite) [[likely]] {
            // Runs to one neighbour leave together.
            while (next < chunk.run_count && chunk.adjacencies[next] == way.id &&
                   is_group(chunk.destinations[next]) == group) {
                ++next;
            }
        }
        const auto n = static_cast<std::uint32_t>(chunk.first[next] - chunk.first[k]);
        send(worker, &chunk.packets[chunk.first[k]], n, destination, way);
    }
}

}  // namespace

std::uint32_t ip4_room(const Worker& worker) noexcept {
    return std::min(
        {worker.output_room(),
         worker.vector(Stage::ip_fragment).room(),
         worker.vector(Stage::vxlan_pop).room(),
         worker.vector(Stage::ip_tunnel_pop).room()}
    );
}

void route_ip4(Worker& worker, rte_mbuf* const* packets, std::uint32_t n) noexcept {
    for (std::uint32_t done = 0; done < n; done += Chunk::kPackets) {
        Chunk chunk;
        read_headers(worker, packets + done, std::min(n - done, Chunk::kPackets), chunk);
        if (chunk.count != 0) {
            look_up(*worker.routed_by.fib4, worker.tables.adjacencies, chunk);
            if (worker.routed_by.vrf != kNoLink) [[unlikely]] {
                go_on_to_main(worker.tables.fib4, worker.tables.adjacencies, chunk);
            }
            send_on(worker, chunk);
        }
    }
}

void ip4_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::ip4);
    const std::uint32_t n = std::min(in.count, ip4_room(worker));
    route_ip4(worker, in.packets.data(), n);
    in.take_front(n);
}

}  // namespace culvert::pipeline
