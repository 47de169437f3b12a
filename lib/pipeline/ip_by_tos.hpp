// SPDX-License-Identifier: BSD-3-Clause
// Routes by TOS (RT-05): what the FIB says of a prefix that has such is an adjacency of its own,
// which has another for each kind of packet. So a packet to any other prefix is asked for nothing.
#pragma once

#include "lib/pipeline/ip_chunk.hpp"
#include "lib/pipeline/worker.hpp"
#include "lib/route/adjacency.hpp"

#include <cstdint>

namespace culvert::pipeline {

[[nodiscard]] inline route::AdjacencyId
adjacency_of_tos(const Worker& worker, route::AdjacencyId id, std::uint8_t tos) noexcept {
    const route::Adjacency* adjacency = worker.tables.adjacencies.read(id);
    return adjacency != nullptr && adjacency->kind == route::AdjacencyKind::by_tos
               ? adjacency->multipath->of_tos(tos)
               : id;
}

// What the table says that packets are routed by, whose answer for `destination` is `id`; behind a
// VRF's, what main says.
[[nodiscard]] inline route::AdjacencyId choose_by_tos(
    const Worker& worker, route::AdjacencyId id, std::uint32_t destination, std::uint8_t tos
) noexcept {
    const route::AdjacencyId own = adjacency_of_tos(worker, id, tos);
    return worker.routed_by.vrf != kNoLink && goes_on_to_main(worker.tables.adjacencies, own)
               ? adjacency_of_tos(worker, worker.tables.fib4.lookup(destination), tos)
               : own;
}

}  // namespace culvert::pipeline
