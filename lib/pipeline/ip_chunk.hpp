// SPDX-License-Identifier: BSD-3-Clause
// Part of a burst on its way through ip4 or ip6: its packets, cut into runs, and where these go.
#pragma once

#include "lib/pipeline/scratch.hpp"
#include "lib/route/adjacency_set.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace culvert::pipeline {

// Neighbours in the burst to the same address are a run: looked up once.
template <typename Address>
struct IpChunk {
    static constexpr std::uint32_t kPackets = 64;

    Scratch<rte_mbuf*, kPackets> packets;
    Scratch<std::uint8_t, kPackets + 1> first;  // packet of each run, and one past the last run's
    Scratch<Address, kPackets> destinations;    // of the runs
    Scratch<route::AdjacencyId, kPackets> adjacencies;
    std::uint32_t count = 0;
    std::uint32_t run_count = 0;
};

// Finds the runs' adjacencies and, unless all have the same, asks for their lines.
template <typename Fib, typename Address>
inline void
look_up(const Fib& fib, const route::AdjacencyTable& table, IpChunk<Address>& chunk) noexcept {
    fib.lookup_bulk(&chunk.destinations[0], &chunk.adjacencies[0], chunk.run_count);
    route::AdjacencyId different = 0;
    for (std::uint32_t k = 0; k < chunk.run_count; ++k) {
        different |= chunk.adjacencies[k] ^ chunk.adjacencies[0];
    }
    if (different == 0) {
        return;
    }
    for (std::uint32_t k = 0; k < chunk.run_count; ++k) {
        table.prefetch(chunk.adjacencies[k]);
    }
    for (std::uint32_t k = 0; k < chunk.run_count; ++k) {
        __builtin_prefetch(table.read(chunk.adjacencies[k]));
    }
}

// The order of the kernel's rules: what a VRF's table has no route for, or says `throw` of, is
// looked for in main.
[[nodiscard]] inline bool
goes_on_to_main(const route::AdjacencyTable& table, route::AdjacencyId id) noexcept {
    const route::Adjacency* adjacency = table.read(id);
    return adjacency == nullptr || adjacency->kind == route::AdjacencyKind::no_route;
}

// After look_up() in a VRF's table.
template <typename Fib, typename Address>
[[gnu::noinline]] void go_on_to_main(
    const Fib& main, const route::AdjacencyTable& table, IpChunk<Address>& chunk
) noexcept {
    for (std::uint32_t k = 0; k < chunk.run_count; ++k) {
        if (goes_on_to_main(table, chunk.adjacencies[k])) {
            chunk.adjacencies[k] = main.lookup(chunk.destinations[k]);
        }
    }
}

}  // namespace culvert::pipeline
