// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/multipath_set.hpp"

#include <utility>

namespace culvert::route {

namespace {

// fib_rebalance(), rt6_upper_bound_set(): each bound is rounded, so the pieces are as long as the
// weights say to within one, and the last one ends with the range.
std::shared_ptr<const Multipath>
balance(const MultipathHops& hops, const std::vector<AdjacencyEntry*>& entries) {
    std::uint64_t total = 0;
    for (const MultipathHop& hop : hops) {
        total += hop.weight;
    }
    auto table = std::make_shared<Multipath>();
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < hops.size(); ++i) {
        before += hops[i].weight;
        const std::uint64_t end = ((before << Multipath::kHashBits) + total / 2) / total;
        table->members.push_back({static_cast<std::uint32_t>(end - 1), entries[i]->id});
    }
    return table;
}

}  // namespace

MultipathSet::Number MultipathSet::acquire(const MultipathHops& hops) {
    const auto [known, is_new] = numbers_.try_emplace(hops, next_);
    if (!is_new) {
        ++sets_.at(known->second).references;
        return known->second;
    }
    ++next_;  // members may be sets
    Set set{&known->first, {}, nullptr, 1};
    for (const MultipathHop& hop : hops) {
        AdjacencyEntry* entry = members_.acquire(hop);
        if (entry == nullptr) {
            for (std::size_t i = 0; i < set.entries.size(); ++i) {
                members_.release(set.entries[i], hops[i].holds_neighbour);
            }
            numbers_.erase(known);
            return 0;
        }
        set.entries.push_back(entry);
    }
    set.table = balance(hops, set.entries);
    sets_.emplace(known->second, std::move(set));
    return known->second;
}

MultipathSet::Number MultipathSet::find(const MultipathHops& hops) const {
    const auto known = numbers_.find(hops);
    return known != numbers_.end() ? known->second : 0;
}

void MultipathSet::release(Number number) {
    const auto found = sets_.find(number);
    if (--found->second.references != 0) {
        return;
    }
    const Set set = std::move(found->second);
    sets_.erase(found);
    const MultipathHops hops = *set.hops;
    numbers_.erase(hops);
    for (std::size_t i = 0; i < hops.size(); ++i) {
        members_.release(set.entries[i], hops[i].holds_neighbour);
    }
}

const MultipathHops& MultipathSet::hops(Number number) const {
    return *sets_.at(number).hops;
}

std::shared_ptr<const Multipath> MultipathSet::table(Number number) const {
    return sets_.at(number).table;
}

}  // namespace culvert::route
