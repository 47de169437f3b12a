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
    return Check::ok;
}

}  // namespace culvert::pipeline
