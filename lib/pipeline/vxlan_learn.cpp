// SPDX-License-Identifier: BSD-3-Clause
// Which station is behind which VTEP: what the vxlan_pop stage learns from inner sources
// (VXLAN-LRN-*), and which of them it refuses.
#include "lib/pipeline/vxlan_pop.hpp"

#include <rte_prefetch.h>

namespace culvert::pipeline {

// Asks for the lines of the inner sources.
template <typename Underlay>
void VxlanPop<Underlay>::find_sources() noexcept {
    const Link* last = nullptr;
    std::uint64_t own_mac = 0;  // of the last link, in the upper 48 bits
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        const Link* link = run.outer->link;
        run.source_home = nullptr;
        if (link == nullptr) [[unlikely]] {
            run.refuse(Drop::vxlan_unknown_vni);
            continue;
        }
        if (link != last) {
            last = link;
            own_mac = link->mac.value() << 16;
        }
        const std::uint64_t mac = run.source.packed;
        if (run.outer->vtep.lacks_checksum() && !link->vxlan.no_checksum6_rx) [[unlikely]] {
            run.refuse(Drop::udp_no_checksum);
        } else if (mac == own_mac) [[unlikely]] {
            run.refuse(Drop::vxlan_own_source);
        } else if (link->vxlan.learning) [[likely]] {
            if (mac == 0 || (mac & kGroupBit) != 0) [[unlikely]] {
                run.refuse(Drop::vxlan_source_invalid);
                continue;
            }
            run.source = {mac | link->id};
            run.source_home = fdb_.prefetch(run.source);
        }
    }
}

// VXLAN-LRN-03..07: the entry is missing, elsewhere, or has an old stamp.
template <typename Underlay>
[[gnu::noinline]] void VxlanPop<Underlay>::learn(Run& run, const fdb::Value* known) noexcept {
    const Tables& tables = worker_.tables;
    const Vtep& vtep = run.outer->vtep;
    if (known != nullptr) {
        tables.fdb.refresh(run.source, *known, worker_.now_s);
        const encap::VxlanDestination* destination =
            tables.vxlan_destinations.read(known->target());
        if (destination != nullptr && vtep.is(*destination)) {
            return;
        }
        if (known->is_pinned()) {
            run.refuse(Drop::vxlan_source_pinned);
            return;
        }
    }
    worker_.learned(fdb::LearnEvent{
        vtep.ip(), run.source.mac(), run.outer->link->id, vtep.via(), {}});
}

// The station's entry is there and of this second. What is left is whether its VTEP is the sender:
// asked once for neighbours that share both, after the lines of all have been asked for.
template <typename Underlay>
void VxlanPop<Underlay>::learn_sources() noexcept {
    const Tables& tables = worker_.tables;
    Scratch<Sender, kChunk + 1> senders;
    std::uint32_t count = 0;
    std::uint32_t last_target = 0;
    Vtep last_vtep{};
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        if (run.source_home == nullptr) {
            continue;
        }
        fdb::Value value;
        const bool found = fdb_.find(run.source_home, run.source, value);
        if (!found || value.used_s != worker_.now_s) [[unlikely]] {
            learn(run, found ? &value : nullptr);
            continue;
        }
        const std::uint32_t target = value.target();
        if (count != 0 && target == last_target && run.outer->vtep == last_vtep) {
            continue;
        }
        last_target = target;
        last_vtep = run.outer->vtep;
        senders[count] = {&run, tables.vxlan_destinations.read(target)};
        rte_prefetch0(senders[count++].known);
    }
    senders[count].first = &runs_[run_count_];
    for (std::uint32_t k = 0; k < count; ++k) {
        const encap::VxlanDestination* known = senders[k].known;
        if (known == nullptr || !senders[k].first->outer->vtep.is(*known)) [[unlikely]] {
            learn_again(senders[k].first, senders[k + 1].first);
        }
    }
}

// Runs whose VTEP was another; those between that have been told of are not told of twice.
template <typename Underlay>
[[gnu::cold]] void VxlanPop<Underlay>::learn_again(Run* first, const Run* end) noexcept {
    for (; first != end; ++first) {
        fdb::Value value;
        if (first->source_home != nullptr && fdb_.find(first->source_home, first->source, value)) {
            learn(*first, &value);
        }
    }
}

template void VxlanPop<VxlanOverIpv4>::find_sources() noexcept;
template void VxlanPop<VxlanOverIpv4>::learn_sources() noexcept;
template void VxlanPop<VxlanOverIpv6>::find_sources() noexcept;
template void VxlanPop<VxlanOverIpv6>::learn_sources() noexcept;

}  // namespace culvert::pipeline
