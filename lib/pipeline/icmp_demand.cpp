// SPDX-License-Identifier: BSD-3-Clause
// Which dropped packets go to control for an ICMP error. Linux has no bound on how often it looks
// whether one is due; here control is one thread, so a worker asks it no more than 8192 times a
// second, and 512 at once: far above what Linux's own limits let out (ICMP-05), but for
// fragmentation needed.
#include "lib/pipeline/icmp_demand.hpp"

#include "lib/pipeline/rate.hpp"
#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

namespace {

constexpr Rate kErrors{13, 512};
constexpr Rate kHost{15, 1024};  // packets for the host's taps: 32768 a second

// The clock is the round's.
bool may_ask(const Worker& worker, Rate rate, std::uint64_t& paid_until_tsc) noexcept {
    return take_token(rate, worker.tsc_hz, worker.round_tsc, paid_until_tsc);
}

// What is for this processor, and nothing here takes: the host may.
bool is_for_host(Drop reason) noexcept {
    return reason == Drop::ip4_protocol_unknown || reason == Drop::udp_no_port ||
           reason == Drop::ip_tunnel_no_device || reason == Drop::ip6_next_header_unknown;
}

}  // namespace

bool Worker::give_to_host(rte_mbuf* packet) noexcept {
    const LinkId id = note(packet).link_in;
    const Link* link = tables.links.read(id);
    if (link == nullptr || !link->has_host) {
        return false;
    }
    if (!may_ask(*this, kHost, host_paid_until_tsc) || !offer(packet, Punt::host)) {
        drop(packet, id, Drop::host_limited);
    }
    return true;
}

[[gnu::cold]] void Worker::drop_if_no_host(rte_mbuf* packet, Drop reason) noexcept {
    if (!give_to_host(packet)) {
        drop(packet, note(packet).link_in, reason);
    }
}

[[gnu::cold]] void
Worker::drop_and_tell(rte_mbuf* packet, LinkId link, Drop reason, const IcmpError& error) noexcept {
    if (is_for_host(reason) && give_to_host(packet)) {
        return;
    }
    icmp_demand_of(packet) = {error, link, reason};
    if (!may_ask(*this, kErrors, icmp_paid_until_tsc) || !offer(packet, Punt::icmp_error)) {
        counters.count(IpCounter::icmp_limited_worker);
        drop(packet, link, reason);
    }
}

}  // namespace culvert::pipeline
