// SPDX-License-Identifier: BSD-3-Clause
// Longest prefix match for IPv4: DIR-24-8 (Gupta, Lin, McKeown 1998), our own. One load answers for
// prefixes up to /24, a second one for longer ones; a cell holds the adjacency's number itself.
//
// Why not rte_fib: in 22.11 it needs a number of its own for each route and so a third load, wipes
// groups that readers are in, overwrites everything when prefixes meet at the end of the address
// space, and takes 256 bytes a route for a trie beside the tables. Here a cell's prefix length lies
// beside it, which is all that adding and deleting must know; 1 byte a cell, for control only.
//
// Threads: any number of readers, one writer. A group of 256 cells is filled before it is shown, is
// not written after it was taken out, and is used again only after a grace period.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/result.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/adjacency.hpp"
#include "lib/route/lazy_array.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace culvert::route {

class Fib4 {
public:
    // Huge ones are faster for a table with many routes, and too large for many tables.
    enum class Pages : std::uint8_t { huge, small };

    // Takes memory as routes come: what their /24 cells and groups of 256 cells cover. Error
    // ENOMEM.
    static Result<std::unique_ptr<Fib4>>
    create(rcu::Domain& domain, std::uint32_t max_routes, Pages pages = Pages::huge);
    ~Fib4() = default;
    Fib4(const Fib4&) = delete;
    Fib4& operator=(const Fib4&) = delete;

    // reader: ids[i] = the adjacency of addresses[i] (host order), 0 = no route.
    void lookup_bulk(const std::uint32_t* addresses, AdjacencyId* ids, unsigned n) const noexcept {
        const AdjacencyId fallback = default_.load(std::memory_order_acquire);
        for (unsigned i = 0; i < n; ++i) {
            ids[i] = cells_[addresses[i] >> 8].load(std::memory_order_acquire);
        }
        for (unsigned i = 0; i < n; ++i) {
            ids[i] = settle(ids[i], addresses[i], fallback);
        }
    }

    [[nodiscard]] AdjacencyId lookup(std::uint32_t address) const noexcept {
        const Cell cell = cells_[address >> 8].load(std::memory_order_acquire);
        return settle(cell, address, default_.load(std::memory_order_acquire));
    }

    // writer: adds the prefix (host bits must be clear) or gives it another adjacency, at once for
    // each address. Error ENOSPC. Precondition: adjacency < 2^31, and not 0.
    Result<void> set(const net::Prefix& prefix, AdjacencyId adjacency);
    // Error ENOENT.
    Result<void> erase(const net::Prefix& prefix);

    [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }

private:
    // An adjacency's number, 0 for none; or a group's with this bit.
    using Cell = std::uint32_t;
    using Depth = std::uint8_t;  // a cell's prefix length; 0 = no route but the default one
    static constexpr Cell kIsGroup = 0x80000000;
    static constexpr std::size_t kCells = std::size_t{1} << 24;
    static constexpr std::size_t kGroupCells = 256;
    static constexpr std::uint32_t kNoGroup = UINT32_MAX;

    struct Content {
        Cell cell = 0;
        Depth depth = 0;
    };

    Fib4(rcu::Domain& domain, std::uint32_t max_routes);
    [[nodiscard]] bool map(Pages pages);

    [[nodiscard]] AdjacencyId
    settle(Cell cell, std::uint32_t address, AdjacencyId fallback) const noexcept {
        if ((cell & kIsGroup) != 0) {
            const std::size_t at = (cell & ~kIsGroup) * kGroupCells + (address & 0xff);
            cell = group_cells_[at].load(std::memory_order_acquire);
        }
        return cell == 0 ? fallback : cell;
    }

    [[nodiscard]] Content covering(const net::Prefix& prefix) const;
    void paint_short(const net::Prefix& prefix, Depth below, Content content);
    void paint_group(std::size_t begin, std::size_t end, Depth below, Content content);
    [[nodiscard]] bool paint_long(const net::Prefix& prefix, Content content);
    void erase_long(const net::Prefix& prefix, Content content);
    [[nodiscard]] std::uint32_t take_group();

    // worker: ro, control: wo
    std::atomic<Cell>* cells_ = nullptr;
    std::atomic<Cell>* group_cells_ = nullptr;
    std::atomic<AdjacencyId> default_{0};  // of 0.0.0.0/0

    // control only
    rcu::Domain& domain_;
    std::uint32_t max_routes_;
    std::uint32_t max_groups_;
    std::uint32_t next_group_ = 0;
    // Shared with what is retired, which may run after this object is gone.
    std::shared_ptr<std::vector<std::uint32_t>> free_groups_;
    std::vector<std::uint16_t> long_routes_;  // by group: prefixes beyond /24 in it
    std::unordered_map<std::uint64_t, AdjacencyId> routes_;
    LazyArray<std::atomic<Cell>> cell_memory_;
    LazyArray<std::atomic<Cell>> group_memory_;
    LazyArray<Depth> depths_;
    LazyArray<Depth> group_depths_;
};

}  // namespace culvert::route
