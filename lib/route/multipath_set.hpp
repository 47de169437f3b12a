// SPDX-License-Identifier: BSD-3-Clause
// The sets of next hops that routes have, each under a number: routes with the same ones share an
// adjacency. A set keeps its members' adjacencies for as long as it is used. What packets choose
// among by their TOS is such a set, too, and its members may be others. Control only.
#pragma once

#include "lib/route/adjacency_set.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

namespace culvert::route {

// One that is alive.
struct MultipathHop {
    AdjacencyKey key;
    std::uint16_t weight = 1;
    bool holds_neighbour = false;      // it is a gateway, which is kept while it is used
    std::vector<MultipathHop> hops{};  // it is several itself, whose number is not in the key

    friend bool operator==(const MultipathHop&, const MultipathHop&) = default;

    friend std::strong_ordering operator<=>(const MultipathHop& a, const MultipathHop& b) {
        if (const auto order = std::tie(a.key, a.weight, a.holds_neighbour) <=>
                               std::tie(b.key, b.weight, b.holds_neighbour);
            order != std::strong_ordering::equal) {
            return order;
        }
        return a.hops <=> b.hops;
    }
};

using MultipathHops = std::vector<MultipathHop>;

class MultipathSet {
public:
    using Number = std::uint32_t;

    // One member more or less is in use. acquire: nullptr = no room.
    struct Members {
        std::function<AdjacencyEntry*(const MultipathHop&)> acquire;
        std::function<void(AdjacencyEntry*, bool holds_neighbour)> release;
    };

    explicit MultipathSet(Members members)
        : members_(std::move(members)) {}

    // One more use of the set with these hops. 0 = no room.
    [[nodiscard]] Number acquire(const MultipathHops& hops);
    void release(Number number);
    // 0 = there is none.
    [[nodiscard]] Number find(const MultipathHops& hops) const;
    [[nodiscard]] const MultipathHops& hops(Number number) const;
    // What workers choose by.
    [[nodiscard]] std::shared_ptr<const Multipath> table(Number number) const;

private:
    struct Set {
        const MultipathHops* hops = nullptr;  // in numbers_
        std::vector<AdjacencyEntry*> entries;
        std::shared_ptr<const Multipath> table;
        std::uint32_t references = 0;
    };

    Members members_;
    std::map<MultipathHops, Number> numbers_;
    std::map<Number, Set> sets_;
    Number next_ = 1;
};

}  // namespace culvert::route
