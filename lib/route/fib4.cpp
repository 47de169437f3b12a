// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib4.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace culvert::route {

namespace {

// Groups beyond the routes: those that wait for a grace period.
constexpr std::uint32_t kSlack = 1024;
constexpr std::uint8_t kCellLength = 24;  // longer prefixes are in a group of their /24

std::uint64_t key_of(const net::Prefix& prefix) noexcept {
    return (std::uint64_t{prefix.address.v4()} << 8) | prefix.length;
}

// Where a prefix beyond /24 lies in its group.
std::pair<std::size_t, std::size_t> place_in_group(const net::Prefix& prefix) noexcept {
    const std::size_t first = prefix.address.v4() & 0xff;
    return {first, first + (std::size_t{1} << (32 - prefix.length))};
}

}  // namespace

Fib4::Fib4(rcu::Domain& domain, std::uint32_t max_routes)
    : domain_(domain)
    , max_routes_(max_routes)
    , max_groups_(std::min<std::uint32_t>(max_routes, kCells) + kSlack)
    , free_groups_(std::make_shared<std::vector<std::uint32_t>>()) {}

bool Fib4::map(Pages pages) {
    const std::size_t in_groups = std::size_t{max_groups_} * kGroupCells;
    if (!cell_memory_.map(kCells) || !depths_.map(kCells) || !group_memory_.map(in_groups) ||
        !group_depths_.map(in_groups)) {
        return false;
    }
    // What workers read at random; control goes along its own in order.
    if (pages == Pages::huge) {
        cell_memory_.prefer_huge_pages();
        group_memory_.prefer_huge_pages();
    }
    cells_ = cell_memory_.data();
    group_cells_ = group_memory_.data();
    return true;
}

Result<std::unique_ptr<Fib4>>
Fib4::create(rcu::Domain& domain, std::uint32_t max_routes, Pages pages) {
    if (max_routes == 0 || max_routes > std::uint32_t{1} << 28) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("IPv4 FIB: {} is not a number of routes it can hold", max_routes)};
    }
    std::unique_ptr<Fib4> fib(new Fib4(domain, max_routes));
    if (!fib->map(pages)) {
        return Error{
            std::errc::not_enough_memory,
            fmt::format("IPv4 FIB: no address space for {} routes", max_routes)};
    }
    return fib;
}

// What an address of the prefix falls to without it. The default route is in no cell.
Fib4::Content Fib4::covering(const net::Prefix& prefix) const {
    for (std::uint8_t length = prefix.length; length-- > 1;) {
        const net::Prefix shorter = net::Prefix{prefix.address, length}.network();
        if (const auto found = routes_.find(key_of(shorter)); found != routes_.end()) {
            return {found->second, length};
        }
    }
    return {};
}

// Cells of a group whose prefix is at most `below` long.
void Fib4::paint_group(std::size_t begin, std::size_t end, Depth below, Content content) {
    for (std::size_t at = begin; at < end; ++at) {
        if (group_depths_[at] <= below) {
            group_cells_[at].store(content.cell, std::memory_order_release);
            group_depths_[at] = content.depth;
        }
    }
}

// A prefix up to /24: its cells, and those of the groups within.
void Fib4::paint_short(const net::Prefix& prefix, Depth below, Content content) {
    const std::size_t first = prefix.address.v4() >> 8;
    const std::size_t last = first + (std::size_t{1} << (kCellLength - prefix.length));
    for (std::size_t at = first; at < last; ++at) {
        const Cell cell = cells_[at].load(std::memory_order_relaxed);
        if ((cell & kIsGroup) != 0) {
            const std::size_t begin = (cell & ~kIsGroup) * kGroupCells;
            paint_group(begin, begin + kGroupCells, below, content);
        } else if (depths_[at] <= below) {
            cells_[at].store(content.cell, std::memory_order_release);
            depths_[at] = content.depth;
        }
    }
}

// kNoGroup: all are taken.
std::uint32_t Fib4::take_group() {
    if (free_groups_->empty() && next_group_ == max_groups_) {
        domain_.synchronize();
    }
    if (!free_groups_->empty()) {
        const std::uint32_t group = free_groups_->back();
        free_groups_->pop_back();
        return group;
    }
    if (next_group_ == max_groups_) {
        return kNoGroup;
    }
    long_routes_.push_back(0);
    return next_group_++;
}

// False = no group left; then nothing has changed.
bool Fib4::paint_long(const net::Prefix& prefix, Content content) {
    const std::size_t at = prefix.address.v4() >> 8;
    const Cell cell = cells_[at].load(std::memory_order_relaxed);
    const bool is_new = (cell & kIsGroup) == 0;
    const std::uint32_t group = is_new ? take_group() : cell & ~kIsGroup;
    if (group == kNoGroup) {
        return false;
    }
    const std::size_t base = std::size_t{group} * kGroupCells;
    if (is_new) {
        paint_group(base, base + kGroupCells, UINT8_MAX, {cell, depths_[at]});
    }
    const auto [first, last] = place_in_group(prefix);
    paint_group(base + first, base + last, content.depth, content);
    if (is_new) {
        cells_[at].store(group | kIsGroup, std::memory_order_release);
    }
    return true;
}

// The group goes with its last long prefix: all its cells are the same then.
void Fib4::erase_long(const net::Prefix& prefix, Content content) {
    const std::size_t at = prefix.address.v4() >> 8;
    const std::uint32_t group = cells_[at].load(std::memory_order_relaxed) & ~kIsGroup;
    const std::size_t base = std::size_t{group} * kGroupCells;
    if (--long_routes_[group] > 0) {
        const auto [first, last] = place_in_group(prefix);
        paint_group(base + first, base + last, prefix.length, content);
        return;
    }
    // Readers that are in the group go on finding what they came for.
    cells_[at].store(content.cell, std::memory_order_release);
    depths_[at] = content.depth;
    domain_.retire([free = free_groups_, group] { free->push_back(group); });
}

Result<void> Fib4::set(const net::Prefix& prefix, AdjacencyId adjacency) {
    const auto found = routes_.find(key_of(prefix));
    const bool is_new = found == routes_.end();
    const auto refused = [&](const char* what) {
        return Error{
            std::errc::no_space_on_device,
            fmt::format(
                "IPv4 FIB: add {}: all {} {} are in use", prefix.to_string(), max_routes_, what
            )};
    };
    if (is_new && routes_.size() >= max_routes_) {
        return refused("routes");
    }
    const Content content{adjacency, prefix.length};
    if (prefix.length == 0) {
        default_.store(adjacency, std::memory_order_release);
    } else if (prefix.length <= kCellLength) {
        paint_short(prefix, prefix.length, content);
    } else if (!paint_long(prefix, content)) {
        return refused("groups of long prefixes");
    }
    if (!is_new) {
        found->second = adjacency;
        return {};
    }
    if (prefix.length > kCellLength) {
        const Cell cell = cells_[prefix.address.v4() >> 8].load(std::memory_order_relaxed);
        ++long_routes_[cell & ~kIsGroup];
    }
    routes_.emplace(key_of(prefix), adjacency);
    return {};
}

Result<void> Fib4::erase(const net::Prefix& prefix) {
    if (routes_.erase(key_of(prefix)) == 0) {
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("IPv4 FIB: no route {}", prefix.to_string())};
    }
    if (prefix.length == 0) {
        default_.store(0, std::memory_order_release);
        return {};
    }
    // In its range only its own cells are as long as it is, and none that it covered is shorter.
    const Content content = covering(prefix);
    if (prefix.length <= kCellLength) {
        paint_short(prefix, prefix.length, content);
    } else {
        erase_long(prefix, content);
    }
    return {};
}

}  // namespace culvert::route
