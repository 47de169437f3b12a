// SPDX-License-Identifier: BSD-3-Clause
// The adjacencies in use: one a key, shared by all routes that end in it. Its number stays while
// its content changes (a neighbour answers, moves to another MAC, fails): workers see a change as
// one pointer, whatever the number of routes. Control only; workers read the table.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/adjacency.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace culvert::route {

// What an adjacency is for. `kind` is incomplete for every neighbour, also while its content is
// rewrite.
struct AdjacencyKey {
    LinkId link = kNoLink;      // glean and neighbours
    net::IpAddress next_hop{};  // neighbours
    std::uint32_t mtu = 0;      // the route's own; 0 = the link's
    AdjacencyKind kind = AdjacencyKind::no_route;
    net::Family family = net::Family::ipv4;  // of the packets: a next hop's may be the other one
    std::uint32_t group = 0;                 // multipath: MultipathSet's number

    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend auto operator<=>(const AdjacencyKey&, const AdjacencyKey&) = default;
};

struct AdjacencyEntry {
    AdjacencyKey key;
    AdjacencyId id = AdjacencyTable::kNone;
    std::uint32_t references = 0;
};

class AdjacencySet {
public:
    using Describe = std::function<Adjacency(const AdjacencyKey&)>;

    // `describe` says what is to be published for a key. Throws std::bad_alloc.
    AdjacencySet(rcu::Domain& domain, std::uint32_t capacity, Describe describe);

    // One more reference; the entry stays where it is until the last one is released. nullptr = all
    // numbers are taken.
    [[nodiscard]] AdjacencyEntry* acquire(const AdjacencyKey& key);
    // The caller has made sure that no new reader finds the number.
    void release(AdjacencyEntry* entry);
    [[nodiscard]] const AdjacencyEntry* find(const AdjacencyKey& key) const;

    // Publishes anew what is now described differently. Returns whether anything is.
    bool refresh_link(LinkId link);
    bool refresh_next_hop(LinkId link, const net::IpAddress& next_hop);

    [[nodiscard]] const AdjacencyTable& table() const noexcept { return table_; }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    bool refresh(const AdjacencyEntry& entry);

    rcu::Domain& domain_;
    Describe describe_;
    AdjacencyTable table_;
    std::map<AdjacencyKey, AdjacencyEntry> entries_;
};

}  // namespace culvert::route
