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

constexpr unsigned kPerSecondShift = 13;
constexpr std::uint64_t kAtOnce = 512;

// A token bucket kept as the time up to which tokens are spent. The clock is the round's.
bool may_ask(Worker& worker) noexcept {
    const std::uint64_t cost = worker.tsc_hz >> kPerSecondShift;
    const std::uint64_t now = worker.round_tsc;
    const std::uint64_t saved = cost * kAtOnce;
    const std::uint64_t since = now > saved ? now - saved : 0;
    const std::uint64_t paid = std::max(worker.icmp_paid_until_tsc, since) + cost;
    if (paid > now) {
        return false;
    }
    worker.icmp_paid_until_tsc = paid;
    return true;
}

}  // namespace

[[gnu::cold]] void
Worker::drop_and_tell(rte_mbuf* packet, LinkId link, Drop reason, const IcmpError& error) noexcept {
    icmp_demand_of(packet) = {error, link, reason};
    if (!may_ask(*this) || !offer(packet, Punt::icmp_error)) {
        counters.count(IpCounter::icmp_limited_worker);
        drop(packet, link, reason);
    }
}

}  // namespace culvert::pipeline
