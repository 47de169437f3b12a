// SPDX-License-Identifier: BSD-3-Clause
// The sets of next hops that routes have, each under a number: routes with the same ones share an
// adjacency. A set keeps its members' adjacencies for as long as it is used. Control only.
#pragma once

#include "lib/route/adjacency_set.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace culvert::route {

// One that is alive.
struct MultipathHop {
    AdjacencyKey key;
    std::uint16_t weight = 1;
    bool holds_neighbour = false;  // it is a gateway, which is kept while it is used

    friend bool operator==(const MultipathHop&, const MultipathHop&) = default;
    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend auto operator<=>(const MultipathHop&, const MultipathHop&) = default;
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
