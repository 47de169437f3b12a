// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/adjacency_set.hpp"

#include <utility>

namespace culvert::route {

AdjacencySet::AdjacencySet(rcu::Domain& domain, std::uint32_t capacity, Describe describe)
    : domain_(domain)
    , describe_(std::move(describe))
    , table_(domain, capacity) {}

AdjacencyEntry* AdjacencySet::acquire(const AdjacencyKey& key) {
    auto found = entries_.find(key);
    if (found == entries_.end()) {
        const AdjacencyId id = table_.allocate();
        if (id == AdjacencyTable::kNone) {
            return nullptr;
        }
        table_.publish(id, std::make_unique<const Adjacency>(describe_(key)));
        found = entries_.emplace(key, AdjacencyEntry{key, id, 0}).first;
    }
    ++found->second.references;
    return &found->second;
}

void AdjacencySet::release(AdjacencyEntry* entry) {
    if (--entry->references != 0) {
        return;
    }
    // A worker that has just looked the number up in the FIB must still find the adjacency there.
    domain_.retire([this, id = entry->id] { table_.erase(id); });
    entries_.erase(entries_.find(entry->key));
}

const AdjacencyEntry* AdjacencySet::find(const AdjacencyKey& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

bool AdjacencySet::refresh(const AdjacencyEntry& entry) {
    const Adjacency next = describe_(entry.key);
    if (*table_.read(entry.id) == next) {
        return false;
    }
    table_.publish(entry.id, std::make_unique<const Adjacency>(next));
    return true;
}

bool AdjacencySet::refresh_link(LinkId link) {
    bool has_changed = false;
    for (auto at = entries_.lower_bound({.link = link});
         at != entries_.end() && at->first.link == link;
         ++at) {
        has_changed |= refresh(at->second);
    }
    return has_changed;
}

bool AdjacencySet::refresh_next_hop(LinkId link, const net::IpAddress& next_hop) {
    bool has_changed = false;
    auto at = entries_.lower_bound({.link = link, .next_hop = next_hop});
    for (; at != entries_.end() && at->first.link == link && at->first.next_hop == next_hop; ++at) {
        has_changed |= refresh(at->second);
    }
    return has_changed;
}

}  // namespace culvert::route
