// SPDX-License-Identifier: BSD-3-Clause
// Which dropped packets go to control for an ICMP error. Linux has no bound on how often it looks
// whether one is due; here control is one thread, so a worker asks it no more than 8192 times a
// second, and 512 at once: far above what Linux's own limits let out (ICMP-05), but for
// fragmentation needed.
#include "lib/pipeline/icmp_demand.hpp"

#include "lib/pipeline/worker.hpp"

#include <algorithm>

namespace culvert::pipeline {

namespace {

struct Rate {
    unsigned per_second_shift;
    std::uint64_t at_once;
};

constexpr Rate kErrors{13, 512};
constexpr Rate kHost{15, 1024};  // packets for the host's taps: 32768 a second

// A token bucket kept as the time up to which tokens are spent. The clock is the round's.
bool may_ask(const Worker& worker, Rate rate, std::uint64_t& paid_until_tsc) noexcept {
    const std::uint64_t cost = worker.tsc_hz >> rate.per_second_shift;
    const std::uint64_t now = worker.round_tsc;
    const std::uint64_t saved = cost * rate.at_once;
    const std::uint64_t since = now > saved ? now - saved : 0;
    const std::uint64_t paid = std::max(paid_until_tsc, since) + cost;
    if (paid > now) {
        return false;
    }
    paid_until_tsc = paid;
    return true;
}

// What is for this processor, and nothing here takes: the host may.
bool is_for_host(const Worker& worker, LinkId link_in, Drop reason) noexcept {
    if (reason != Drop::ip4_protocol_unknown && reason != Drop::udp_no_port &&
        reason != Drop::ip_tunnel_no_device) {
        return false;
    }
    const Link* link = worker.tables.links.read(link_in);
    return link != nullptr && link->has_host;
}

}  // namespace

[[gnu::cold]] void
Worker::drop_and_tell(rte_mbuf* packet, LinkId link, Drop reason, const IcmpError& error) noexcept {
    if (is_for_host(*this, note(packet).link_in, reason)) {
        if (!may_ask(*this, kHost, host_paid_until_tsc) || !offer(packet, Punt::host)) {
            drop(packet, link, Drop::host_limited);
        }
        return;
    }
    icmp_demand_of(packet) = {error, link, reason};
    if (!may_ask(*this, kErrors, icmp_paid_until_tsc) || !offer(packet, Punt::icmp_error)) {
        counters.count(IpCounter::icmp_limited_worker);
        drop(packet, link, reason);
    }
}

}  // namespace culvert::pipeline
