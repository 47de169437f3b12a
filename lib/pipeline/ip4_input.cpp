// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/ip4_input.hpp"

namespace culvert::pipeline {

bool is_bad_source(const Worker& worker, std::uint32_t source) noexcept {
    if (is_special(source) && (source < kFirstGroup || is_group(source))) {
        return true;
    }
    const route::Adjacency* adjacency =
        worker.tables.adjacencies.read(worker.routed_by.fib4->lookup(source));
    return adjacency != nullptr && route::is_ours(adjacency->kind);
}

// From a gre tunnel, what came in it is the tunnel's own packet the other way round.
[[gnu::cold]] Check refuse_source(Worker& worker, rte_mbuf* packet) noexcept {
    const Link* link = worker.tables.links.read(note(packet).link_in);
    const net::Ipv4Header& ip = *header_of(packet);
    const bool is_keepalive =
        link != nullptr && link->kind == LinkKind::gre && ip.protocol == net::ip_protocol::kGre &&
        !link->ip_tunnel.remote.is_unspecified() &&
        link->ip_tunnel.remote == net::IpAddress::from_v4(ip.destination.host()) &&
        (link->ip_tunnel.local.is_unspecified() ||
         link->ip_tunnel.local == net::IpAddress::from_v4(ip.source.host()));
    if (is_keepalive && ip.time_to_live > 1 && worker.offer(packet, Punt::keepalive)) {
        return Check::bad;
    }
    return refuse(worker, packet, Drop::ip4_source_invalid);
}

namespace {

// RT-12 (ip_rcv_options): with the defaults of a router's accept_source_route, neither strict ones
// nor loose ones are followed. Options that do not hold together are for whoever answers them.
bool has_source_route(const net::Ipv4Header& ip) noexcept {
    constexpr std::uint8_t kEnd = 0;
    constexpr std::uint8_t kNop = 1;
    constexpr std::uint8_t kLoose = 131;
    constexpr std::uint8_t kStrict = 137;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&ip);
    const std::size_t len = ip.header_len_bytes();
    for (std::size_t at = sizeof(ip); at < len && bytes[at] != kEnd;) {
        if (bytes[at] == kLoose || bytes[at] == kStrict) {
            return true;
        }
        if (bytes[at] == kNop) {
            ++at;
        } else if (at + 1 < len && bytes[at + 1] >= 2) {
            at += bytes[at + 1];
        } else {
            return false;
        }
    }
    return false;
}

}  // namespace

Check check_unusual(Worker& worker, rte_mbuf* packet, std::uint32_t available) noexcept {
    if (available < sizeof(net::Ipv4Header)) {
        return refuse(worker, packet, Drop::ip4_truncated);
    }
    const net::Ipv4Header& ip = *header_of(packet);
    if (ip.version() != 4) {
        return refuse(worker, packet, Drop::ip4_version);
    }
    if (ip.header_len_bytes() < sizeof(net::Ipv4Header) || ip.header_len_bytes() > available) {
        return refuse(worker, packet, Drop::ip4_header_length);
    }
    if (has_source_route(ip)) {
        return refuse(worker, packet, Drop::ip4_source_route);
    }
    return Check::ok;
}

}  // namespace culvert::pipeline
