// SPDX-License-Identifier: BSD-3-Clause
// IPv6 input and forwarding: check the header as Linux's ip6_rcv_core does, look up all
// destinations of up to 64 packets at once, then deliver here or rewrite and send on. The twin of
// stage_ip4.cpp.
#include "lib/net/ether.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/pipeline/ip6_input.hpp"
#include "lib/pipeline/ip_chunk.hpp"
#include "lib/pipeline/ip_multipath.hpp"
#include "lib/pipeline/link_header.hpp"

#include <cstring>

namespace culvert::pipeline {

namespace {

constexpr std::uint16_t kEther = sizeof(net::EtherHeader);

using Chunk = IpChunk<route::Fib6::Address>;

// Where the packets of one adjacency go.
struct Way {
    route::AdjacencyId id = route::AdjacencyTable::kNone;
    const route::Adjacency* adjacency = nullptr;
    const Link* link = nullptr;  // of a rewrite; nullptr = gone
};

// What only control can tell whose it is: groups, and addresses that each link has for itself.
constexpr bool is_for_control(const route::Fib6::Address& address) noexcept {
    return address[0] == 0xff || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

// In the order of ip6_rcv_core, all but the addresses. Bad packets are gone.
[[gnu::always_inline]] inline bool check_header(Worker& worker, rte_mbuf* packet) noexcept {
    const std::uint32_t l3_offset = note(packet).l3_offset;
    const net::Ipv6Header& ip = *ip6_header_of(packet);
    const std::uint32_t headers = l3_offset + static_cast<std::uint32_t>(sizeof(ip));
    const bool is_usual = rte_pktmbuf_data_len(packet) >= headers &&
                          (ip.version_class_flow.raw() & 0xf0) == 0x60 &&
                          headers + ip.payload_length.host() == rte_pktmbuf_pkt_len(packet);
    return is_usual || check_unusual6(worker, packet);
}

// Keeps the good packets and cuts them into runs.
void read_headers(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, Chunk& chunk
) noexcept {
    std::uint32_t count = 0;
    std::uint32_t runs = 0;
    // Of the last packet that passed; none that passes goes to "::".
    Ip6Words last_source;
    Ip6Words last_destination;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        if (!check_header(worker, packet)) [[unlikely]] {
            continue;
        }
        const net::Ipv6Header& ip = *ip6_header_of(packet);
        const auto source = Ip6Words::load(ip.source);
        const auto destination = Ip6Words::load(ip.destination);
        const bool is_same_destination = destination == last_destination;
        if (!is_same_destination || !(source == last_source)) {
            const bool is_doubtful =
                is_special6(ip.source) || is_special6(ip.destination) ||
                worker.routed_by.own_addresses6->may_contain(route::fold(ip.source));
            if (is_doubtful && !check_addresses6(worker, packet)) [[unlikely]] {
                continue;
            }
        }
        if (ip.next_header == net::ip_protocol::kHopByHop && !check_hop_by_hop(worker, packet))
            [[unlikely]] {
            continue;
        }
        if (!is_same_destination) {
            chunk.first[runs] = static_cast<std::uint8_t>(count);
            chunk.destinations[runs++] = ip.destination;
        }
        last_source = source;
        last_destination = destination;
        chunk.packets[count++] = packet;
    }
    chunk.first[runs] = static_cast<std::uint8_t>(count);
    chunk.count = count;
    chunk.run_count = runs;
}

// What ip6_forward asks of a packet before it leaves. Bad packets are gone.
inline bool
check_forward(Worker& worker, rte_mbuf* packet, const route::Adjacency& adjacency) noexcept {
    const net::Ipv6Header& ip = *ip6_header_of(packet);
    const LinkId link = note(packet).link_in;
    // What came as a link-layer group is not forwarded, whoever it is for.
    const bool to_group = (*rte_pktmbuf_mtod(packet, const std::uint8_t*) & 1) != 0;
    if (to_group) [[unlikely]] {
        worker.drop(packet, link, Drop::ip6_not_forwarded);
        return false;
    }
    if (ip.hop_limit <= 1) [[unlikely]] {
        worker.drop_and_tell(
            packet, link, Drop::ip6_hop_limit, {.type = net::icmpv6_type::kTimeExceeded}
        );
        return false;
    }
    if (is_special6(ip.source)) [[unlikely]] {
        if (is_for_control(ip.source)) {
            worker.drop_and_tell(
                packet,
                link,
                Drop::ip6_source_scope,
                unreachable6(net::icmpv6_unreachable::kBeyondScope)
            );
            return false;
        }
        if (Ip6Words::load(ip.source) == Ip6Words{}) {
            worker.drop(packet, link, Drop::ip6_source_scope);
            return false;
        }
    }
    if (sizeof(ip) + ip.payload_length.host() > adjacency.mtu) [[unlikely]] {
        worker.drop_and_tell(
            packet,
            adjacency.link_out,
            Drop::ip6_too_big,
            {.type = net::icmpv6_type::kPacketTooBig, .info = adjacency.mtu}
        );
        return false;
    }
    return true;
}

// The next hop's MAC is not known: control asks for it and keeps the packet meanwhile.
[[gnu::noinline]] void resolve(
    Worker& worker,
    rte_mbuf* packet,
    const route::Fib6::Address& destination,
    const route::Adjacency& adjacency
) noexcept {
    if (!check_forward(worker, packet, adjacency)) {
        return;
    }
    --ip6_header_of(packet)->hop_limit;
    if (!place_link_header(packet, kEther, worker.pool)) [[unlikely]] {
        worker.drop(packet, adjacency.link_out, Drop::ip6_no_headroom);
        return;
    }
    if (!passes_forwarded(worker, packet, adjacency.link_out)) {
        return;
    }
    note(packet).link_out = adjacency.link_out;
    next_hop_of(packet) = adjacency.kind == route::AdjacencyKind::glean
                              ? net::IpAddress::from_v6(destination)
                              : adjacency.next_hop;
    worker.punt(packet, Punt::resolve);
}

// Packets to a neighbour whose MAC is known. Precondition: room behind Worker::output.
template <bool Filtered>
inline void
rewrite_all(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Way& way) noexcept {
    const route::Adjacency& adjacency = *way.adjacency;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        if (!check_forward(worker, packet, adjacency)) [[unlikely]] {
            continue;
        }
        if (way.link == nullptr) [[unlikely]] {
            worker.drop(packet, adjacency.link_out, Drop::link_gone);
            continue;
        }
        --ip6_header_of(packet)->hop_limit;
        if (!place_link_header(packet, adjacency.header_len, worker.pool)) [[unlikely]] {
            worker.drop(packet, adjacency.link_out, Drop::ip6_no_headroom);
            continue;
        }
        auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
        if (adjacency.header_len == kEther) [[likely]] {
            std::memcpy(data, adjacency.header.data(), kEther);
        } else {
            std::memcpy(data, adjacency.header.data(), adjacency.header_len);
        }
        if constexpr (Filtered) {
            if (!passes_forwarded(worker, packet, adjacency.link_out)) {
                continue;
            }
        }
        worker.output(packet, *way.link);
    }
}

[[gnu::noinline]] void rewrite_filtered(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Way& way
) noexcept {
    rewrite_all<true>(worker, packets, n, way);
}

void rewrite(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Way& way) noexcept {
    if (worker.filters() != nullptr) [[unlikely]] {
        rewrite_filtered(worker, packets, n, way);
        return;
    }
    rewrite_all<false>(worker, packets, n, way);
}

Way find_way(const Worker& worker, route::AdjacencyId id) noexcept {
    Way way{id, worker.tables.adjacencies.read(id)};
    if (way.adjacency != nullptr && way.adjacency->kind == route::AdjacencyKind::rewrite) {
        way.link = worker.tables.links.read(way.adjacency->link_out);
    }
    return way;
}

// A run that is not to be rewritten.
[[gnu::noinline]] void finish_here(
    Worker& worker, rte_mbuf* packet, const route::Fib6::Address& destination, const Way& way
) noexcept {
    using route::AdjacencyKind;
    const AdjacencyKind kind =
        way.adjacency != nullptr ? way.adjacency->kind : AdjacencyKind::no_route;
    if (is_for_control(destination) || route::is_ours(kind)) {
        deliver6(worker, packet);
    } else if (kind == AdjacencyKind::glean || kind == AdjacencyKind::incomplete) {
        resolve(worker, packet, destination, *way.adjacency);
    } else {
        refuse6(worker, packet, way.adjacency);
    }
}

// A run for this processor. Precondition: room in vxlan_pop6.
void deliver_run(Worker& worker, rte_mbuf* const* packets, std::uint32_t n) noexcept {
    Vector& out = worker.vector(Stage::vxlan_pop6);
    for (std::uint32_t i = 0; i < n; ++i) {
        if (ip6_header_of(packets[i])->next_header == net::ip_protocol::kUdp) [[likely]] {
            out.packets[out.count++] = packets[i];
        } else {
            deliver6(worker, packets[i]);
        }
    }
}

// A run to a route with several next hops.
[[gnu::noinline]] void spread(
    Worker& worker,
    rte_mbuf* const* packets,
    std::uint32_t n,
    const route::Fib6::Address& destination,
    const route::Multipath& several
) noexcept {
    const auto leave = [&](route::AdjacencyId id, rte_mbuf* const* first, std::uint32_t count) {
        const Way way = find_way(worker, id);
        if (way.adjacency != nullptr && way.adjacency->kind == route::AdjacencyKind::rewrite) {
            rewrite(worker, first, count, way);
            return;
        }
        for (std::uint32_t i = 0; i < count; ++i) {
            finish_here(worker, first[i], destination, way);
        }
    };
    for_each_next_hop(packets, n, several, MultipathHash(worker, true), leave);
}

void send_on(Worker& worker, const Chunk& chunk) noexcept {
    using route::AdjacencyKind;
    Way way;
    for (std::uint32_t k = 0; k < chunk.run_count; ++k) {
        if (chunk.adjacencies[k] != way.id) [[unlikely]] {
            way = find_way(worker, chunk.adjacencies[k]);
        }
        const route::Fib6::Address& destination = chunk.destinations[k];
        rte_mbuf* const* packets = &chunk.packets[chunk.first[k]];
        const auto n = static_cast<std::uint32_t>(chunk.first[k + 1] - chunk.first[k]);
        const auto kind = way.adjacency == nullptr || is_for_control(destination)
                              ? AdjacencyKind::no_route
                              : way.adjacency->kind;
        if (kind == AdjacencyKind::rewrite) [[likely]] {
            rewrite(worker, packets, n, way);
            continue;
        }
        if (route::is_ours(kind)) {
            deliver_run(worker, packets, n);
            continue;
        }
        if (kind == AdjacencyKind::multipath) {
            spread(worker, packets, n, destination, *way.adjacency->multipath);
            continue;
        }
        for (std::uint32_t i = 0; i < n; ++i) {
            finish_here(worker, packets[i], destination, way);
        }
    }
}

}  // namespace

std::uint32_t ip6_room(const Worker& worker) noexcept {
    return std::min(
        {worker.output_room(),
         worker.vector(Stage::vxlan_pop6).room(),
         worker.vector(Stage::ip_tunnel_pop6).room()}
    );
}

void route_ip6(Worker& worker, rte_mbuf* const* packets, std::uint32_t n) noexcept {
    const RoutedBy& by = worker.routed_by;
    for (std::uint32_t done = 0; done < n; done += Chunk::kPackets) {
        Chunk chunk;
        read_headers(worker, packets + done, std::min(n - done, Chunk::kPackets), chunk);
        if (chunk.count == 0) {
            continue;
        }
        if (by.fib6 != nullptr) [[likely]] {
            look_up(*by.fib6, worker.tables.adjacencies, chunk);
        } else {
            look_up(*by.fib6_by_length, worker.tables.adjacencies, chunk);
            go_on_to_main(worker.tables.fib6, worker.tables.adjacencies, chunk);
        }
        send_on(worker, chunk);
    }
}

void ip6_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::ip6);
    const std::uint32_t n = std::min(in.count, ip6_room(worker));
    route_ip6(worker, in.packets.data(), n);
    in.take_front(n);
}

}  // namespace culvert::pipeline
