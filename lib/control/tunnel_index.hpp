// SPDX-License-Identifier: BSD-3-Clause
// Items under a key that many may share, each of which knows its place: found, added and taken out
// at a cost that does not grow with their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace culvert::control {

// `Place` is the member of an item where this index keeps its place.
template <typename Key, typename Item, std::uint32_t Item::*Place>
class TunnelIndex {
public:
    void add(const Key& key, Item& item) {
        std::vector<Item*>& group = groups_[key];
        item.*Place = static_cast<std::uint32_t>(group.size());
        group.push_back(&item);
    }

    // Precondition: it was added under this key.
    void remove(const Key& key, const Item& item) {
        const auto found = groups_.find(key);
        std::vector<Item*>& group = found->second;
        Item* last = group.back();
        group[item.*Place] = last;
        last->*Place = item.*Place;
        group.pop_back();
        if (group.empty()) {
            groups_.erase(found);
        }
    }

    [[nodiscard]] std::span<Item* const> at(const Key& key) const {
        const auto found = groups_.find(key);
        return found == groups_.end() ? std::span<Item* const>{} : found->second;
    }

private:
    std::map<Key, std::vector<Item*>> groups_;
};

}  // namespace culvert::control
