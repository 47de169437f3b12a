// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/ip_filter.hpp"

#include "lib/net/ether.hpp"
#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

namespace {

bool is_accepted(Worker& worker, rte_mbuf* packet, LinkId link_out, IpVerdict verdict) noexcept {
    if (verdict == IpVerdict::drop) {
        worker.drop(packet, link_out, Drop::ip_filtered);
    } else if (verdict == IpVerdict::consumed) {
        worker.counters.consumed.add(1);
    }
    return verdict == IpVerdict::accept;
}

}  // namespace

bool passes_forwarded(Worker& worker, rte_mbuf* packet, LinkId link_out) noexcept {
    const IpFilters* filters = worker.filters();
    return filters == nullptr ||
           is_accepted(
               worker, packet, link_out, filters->ask(IpHook::post_routing, packet, link_out)
           );
}

bool passes_outer(Worker& worker, rte_mbuf* packet, LinkId link_out) noexcept {
    const IpFilters* filters = worker.filters();
    if (filters == nullptr) {
        return true;
    }
    note(packet).l3_offset = sizeof(net::EtherHeader);
    return is_accepted(worker, packet, link_out, filters->ask_own(packet, link_out));
}

}  // namespace culvert::pipeline
