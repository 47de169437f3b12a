// SPDX-License-Identifier: BSD-3-Clause
// Packets larger than their way out, which may be cut (FRAG-01): each becomes fragments, which
// leave one behind the other in the order of their offsets (FRAG-10). Forwarded ones come from ip4
// (IPv6 ones are never cut on their way), tunnels' outer ones of either family from the push
// stages.
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/out_counters.hpp"
#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

namespace {

void send(Worker& worker, rte_mbuf* packet, rte_mbuf* fragment) noexcept {
    if (fragment_cut_of(packet).resolve) {
        next_hop_of(fragment) = next_hop_of(packet);
        worker.punt(fragment, Punt::resolve);
    } else {
        worker.output(fragment, note(fragment).link_out);
    }
}

// False: no room for more; the packet stays.
bool cut_up(Worker& worker, rte_mbuf* packet) noexcept {
    FragmentCut& cut = fragment_cut_of(packet);
    const FragmentCounters& counters = fragment_counters(packet);
    while (!is_cut(packet, cut)) {
        if (worker.output_room() == 0) {
            return false;
        }
        rte_mbuf* fragment = cut_fragment(packet, cut, worker.pool);
        if (fragment == nullptr) {
            // FRAG-07: what has left stays sent.
            worker.counters.count(counters.fails);
            worker.drop(packet, note(packet).link_out, Drop::pool_exhausted);
            return true;
        }
        worker.counters.replicated.add(1);
        worker.counters.count(counters.creates);
        count_out(worker.counters, fragment, note(packet).l3_offset);
        ++worker.push_progress;
        send(worker, packet, fragment);
    }
    worker.counters.count(counters.oks);
    worker.consume(packet);
    return true;
}

}  // namespace

void ip_fragment_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::ip_fragment);
    std::uint32_t done = 0;
    while (done < in.count && cut_up(worker, in.packets[done])) {
        ++done;
    }
    in.take_front(done);
}

}  // namespace culvert::pipeline
