// SPDX-License-Identifier: BSD-3-Clause
// All routes, by prefix: what users and addresses asked for, of which the first of each prefix is
// in the FIB. Control only.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/result.hpp"
#include "lib/route/adjacency_set.hpp"
#include "lib/route/routing.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

namespace culvert::route {

// Routes that the kernel keeps in its table "local", which it asks before "main".
[[nodiscard]] inline bool is_local_table(const Route& route) noexcept {
    return route.type == RouteType::local || route.type == RouteType::broadcast;
}

class Rib {
public:
    // What is known of a prefix.
    struct Node {
        // Table local first, then those by TOS, then by metric. The first one counts that takes a
        // packet's TOS.
        std::vector<Route> routes;
        AdjacencyEntry* installed = nullptr;  // what the FIB says; also without routes: a neighbour
        bool holds_neighbour = false;  // `installed` is a gateway, which is kept while it is used
    };

private:
    struct Hash {
        [[nodiscard]] std::size_t operator()(const net::Prefix& prefix) const noexcept {
            constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;
            const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(prefix.address.bytes());
            std::uint64_t state = (words[0] ^ prefix.length) * kMultiplier;
            state = (state ^ (state >> 32) ^ words[1]) * kMultiplier;
            return state ^ (state >> 32);
        }
    };

    using Nodes = std::unordered_map<net::Prefix, Node, Hash>;

public:
    // UI-RT-02: what the verb means for routes of the same prefix, table, TOS and metric. Errors
    // EEXIST, ENOENT.
    Result<void> modify(RouteVerb verb, const Route& route);

    // Takes out the first route of `prefix` for which match(route) holds; false = none.
    template <typename Match>
    bool erase_first(const net::Prefix& prefix, Match match) {
        Node* node = find(prefix);
        for (std::size_t i = 0; node != nullptr && i < node->routes.size(); ++i) {
            if (match(node->routes[i])) {
                unindex(node->routes[i]);
                node->routes.erase(node->routes.begin() + static_cast<std::ptrdiff_t>(i));
                --size_of(prefix);
                return true;
            }
        }
        return false;
    }

    // One of the routes there becomes another of the same prefix.
    void replace(Route& route, const Route& next);

    // Puts back what modify() changed.
    void restore(const net::Prefix& prefix, std::vector<Route> routes);

    [[nodiscard]] Node* find(const net::Prefix& prefix);
    [[nodiscard]] const Node* find(const net::Prefix& prefix) const;
    [[nodiscard]] Node& find_or_create(const net::Prefix& prefix);
    // Forgets the prefix if there is nothing to know.
    void drop_if_empty(const net::Prefix& prefix);

    // RT-05 (fib_table_lookup): the longest prefix's first route that takes packets of this TOS and
    // for which accept(route) holds; nullptr = none.
    template <typename Accept>
    [[nodiscard]] const Route*
    longest_match(const net::IpAddress& address, Accept accept, std::uint8_t tos = 0) const {
        const auto& nodes_of_length = nodes_of_length_[address.is_v4() ? 1 : 0];
        for (int length = address.is_v4() ? 32 : kMaxLength; length >= 0; --length) {
            if (nodes_of_length[static_cast<std::size_t>(length)] == 0) {
                continue;
            }
            const auto found =
                nodes_.find(net::Prefix{address, static_cast<std::uint8_t>(length)}.network());
            if (found == nodes_.end()) {
                continue;
            }
            for (const Route& route : found->second.routes) {
                if (route.takes(tos) && accept(route)) {
                    return &route;
                }
            }
        }
        return nullptr;
    }

    [[nodiscard]] const Route* longest_match(const net::IpAddress& address) const {
        return longest_match(address, [](const Route&) { return true; });
    }

    // In no order.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [prefix, node] : nodes_) {
            for (const Route& route : node.routes) {
                visit(route);
            }
        }
    }

    // By prefix. Who lists routes can wait for their being sorted, who adds a million cannot.
    template <typename Visit>
    void for_each_in_order(Visit visit) const {
        std::vector<const Nodes::value_type*> sorted;
        sorted.reserve(nodes_.size());
        for (const auto& entry : nodes_) {
            sorted.push_back(&entry);
        }
        std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
            return a->first < b->first;
        });
        for (const auto* entry : sorted) {
            for (const Route& route : entry->second.routes) {
                visit(route);
            }
        }
    }

    // What leaves by the link, by itself or by one of several next hops: no walk through all routes
    // when a link goes down.
    template <typename Visit>
    void for_each_by(LinkId link, Visit visit) const {
        const auto found = by_link_.find(link);
        if (found == by_link_.end()) {
            return;
        }
        for (const auto& [prefix, count] : found->second) {
            for (const Route& route : nodes_.find(prefix)->second.routes) {
                if (route.leaves_by(link)) {
                    visit(route);
                }
            }
        }
    }

    // The same of those that say to send from the address.
    template <typename Visit>
    void for_each_from(const net::IpAddress& source, Visit visit) const {
        if (sources_.find(source) != sources_.end()) {
            for_each([&](const Route& route) {
                if (route.preferred_source == source) {
                    visit(route);
                }
            });
        }
    }

    // Routes of the family, not prefixes.
    [[nodiscard]] std::size_t size(net::Family family) const noexcept {
        return sizes_[family == net::Family::ipv4 ? 1 : 0];
    }

private:
    static constexpr int kMaxLength = 128;

    [[nodiscard]] std::size_t& size_of(const net::Prefix& prefix) noexcept {
        return sizes_[prefix.address.is_v4() ? 1 : 0];
    }

    void index(const Route& route);
    void unindex(const Route& route);

    Nodes nodes_;
    // By link: prefixes of routes that leave by it, and how many of these there are.
    std::unordered_map<LinkId, std::unordered_map<net::Prefix, std::uint32_t, Hash>> by_link_;
    std::map<net::IpAddress, std::size_t> sources_;  // preferred ones, and of how many routes
    // IPv6, IPv4
    std::array<std::array<std::size_t, kMaxLength + 1>, 2> nodes_of_length_{};
    std::array<std::size_t, 2> sizes_{};
};

}  // namespace culvert::route
