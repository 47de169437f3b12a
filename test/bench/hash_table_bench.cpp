// SPDX-License-Identifier: BSD-3-Clause
// Cycles a lookup of the workers' hash table: `hash_table_bench [rounds]`. Each figure is the least
// of all rounds, TSC cycles.
#include "lib/rcu/hash_table.hpp"

#include <fmt/core.h>
#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

using culvert::rcu::Domain;
using culvert::rcu::HashTable;

namespace {

constexpr unsigned kBurst = 32;
constexpr std::size_t kLookups = std::size_t{1} << 16U;

struct Key16 {
    std::array<std::uint64_t, 2> words;
};

struct Key20 {
    std::array<std::uint32_t, 5> words;
};

// Scattered over all bits: keys in a row would spread better than chance and flatter the table.
template <typename Key>
Key make_key(std::uint64_t number) {
    std::array<std::uint32_t, sizeof(Key) / 4> words{};
    for (std::size_t i = 0; i < words.size(); i += 2) {
        const std::uint64_t mixed =
            culvert::rcu::fold_multiply(number + 1 + i, 0xd6e8'feb8'6659'fd93U) *
            0x9e37'79b9'7f4a'7c15U;
        words[i] = static_cast<std::uint32_t>(mixed);
        if (i + 1 < words.size()) {
            words[i + 1] = static_cast<std::uint32_t>(mixed >> 32U);
        }
    }
    return std::bit_cast<Key>(words);
}

constexpr double kNotMeasured = 1e9;

struct Cost {
    double one = kNotMeasured;
    double bulk = kNotMeasured;
};

template <typename Table, typename Key>
Cost measure(const Table& table, const std::vector<Key>& keys, int rounds, bool present) {
    using Value = std::uint64_t;
    Cost cost;
    std::array<Value, kBurst> values{};
    for (int round = 0; round < rounds; ++round) {
        std::uint64_t hits = 0;
        std::uint64_t begin = rte_rdtsc_precise();
        for (const Key& key : keys) {
            Value value = 0;
            hits += table.find(key, value) ? 1 : 0;
        }
        std::uint64_t end = rte_rdtsc_precise();
        cost.one =
            std::min(cost.one, static_cast<double>(end - begin) / static_cast<double>(keys.size()));

        const auto view = table.view();
        std::uint64_t bulk_hits = 0;
        begin = rte_rdtsc_precise();
        for (std::size_t i = 0; i < keys.size(); i += kBurst) {
            std::array<typename decltype(view)::Home, kBurst> homes{};
            for (std::size_t k = 0; k < kBurst; ++k) {
                homes[k] = view.prefetch(keys[i + k]);
            }
            for (std::size_t k = 0; k < kBurst; ++k) {
                bulk_hits += view.find(homes[k], keys[i + k], values[k]) ? 1 : 0;
            }
        }
        end = rte_rdtsc_precise();
        cost.bulk = std::min(
            cost.bulk, static_cast<double>(end - begin) / static_cast<double>(keys.size())
        );
        if (hits != bulk_hits || hits != (present ? keys.size() : 0)) {
            fmt::print(stderr, "wrong result: {} and {} hits\n", hits, bulk_hits);
            return {};
        }
    }
    return cost;
}

// false = a lookup went wrong.
template <typename Key>
bool bench(const char* name, std::uint64_t entries, int rounds) {
    Domain domain(1);
    HashTable<Key, std::uint64_t> table(domain, 64);
    std::mt19937_64 random(1);  // NOLINT: the same run every time
    const std::uint64_t begin = rte_rdtsc_precise();
    for (std::uint64_t number = 0; number < entries; ++number) {
        table.insert(make_key<Key>(number), number);
    }
    const auto add_cycles =
        static_cast<double>(rte_rdtsc_precise() - begin) / static_cast<double>(entries);
    domain.reclaim();

    std::vector<Key> keys(kLookups);
    for (Key& key : keys) {
        key = make_key<Key>(random() % std::min<std::uint64_t>(entries, 64));
    }
    const Cost hot = measure(table, keys, rounds, true);
    for (Key& key : keys) {
        key = make_key<Key>(random() % entries);
    }
    const Cost uniform = measure(table, keys, rounds, true);
    for (Key& key : keys) {
        key = make_key<Key>(entries + random() % entries);
    }
    const Cost miss = measure(table, keys, rounds, false);
    fmt::print(
        "{:>12} {:>8} {:>7.1f}/{:<7.1f} {:>7.1f}/{:<7.1f} {:>7.1f}/{:<7.1f} {:>8.0f} {:>8.1f}\n",
        name,
        entries,
        hot.one,
        hot.bulk,
        uniform.one,
        uniform.bulk,
        miss.one,
        miss.bulk,
        add_cycles,
        static_cast<double>(table.memory_bytes()) / 1e6
    );
    return std::max({hot.one, uniform.one, miss.one}) < kNotMeasured;
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds =
        argc > 1 ? std::max(1, std::atoi(argv[1])) : 30;  // NOLINT: a number or the default
    fmt::print("cycles a lookup, find, view of {}; add: with growth from 64 entries\n", kBurst);
    fmt::print(
        "{:>12} {:>8} {:^15} {:^15} {:^15} {:>8} {:>8}\n",
        "key+value",
        "entries",
        "hot 64",
        "uniform",
        "miss",
        "add",
        "MB"
    );
    bool right = true;
    for (const std::uint64_t entries : {std::uint64_t{1000}, std::uint64_t{1'000'000}}) {
        right &= bench<std::uint64_t>("8+8", entries, rounds);
        right &= bench<Key16>("16+8", entries, rounds);
        right &= bench<Key20>("20+8", entries, rounds);
    }
    return right ? 0 : 1;
}
