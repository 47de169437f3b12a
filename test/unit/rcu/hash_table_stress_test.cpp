// SPDX-License-Identifier: BSD-3-Clause
// Readers against the writer. Every value carries what it must be for its key, so a value of
// another key, or a torn pair, shows at once. Bounded by the writer's operations, never by time;
// meant for TSan as much as for a plain build.
#include "lib/rcu/hash_table.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

using culvert::rcu::Domain;
using culvert::rcu::HashTable;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kOperations = 300'000;
#else
constexpr std::uint64_t kOperations = 3'000'000;
#endif
constexpr unsigned kReaders = 2;

struct Key20 {
    std::array<std::uint32_t, 5> words;
};

template <typename Key>
Key make_key(std::uint64_t number);

template <>
std::uint64_t make_key(std::uint64_t number) {
    return number;
}

// All words differ between keys: a key torn between two entries would match nothing, or the wrong
// thing.
template <>
Key20 make_key(std::uint64_t number) {
    Key20 key{};
    for (std::uint32_t i = 0; i < 5; ++i) {
        key.words[i] = static_cast<std::uint32_t>(number * 5 + i);
    }
    return key;
}

// The upper 56 bits are the key's; the low byte is a stamp that readers renew.
std::uint64_t make_value(std::uint64_t number, std::uint64_t stamp) {
    return ((number + 1) * 0x9e37'79b9'7f4a'7c15U & ~std::uint64_t{0xff}) | (stamp & 0xffU);
}

struct Numbers {
    std::uint64_t stable;  // keys 0 .. stable-1 are always there
    std::uint64_t churn;   // keys stable .. stable+churn-1 come and go
};

struct Tally {
    std::uint64_t lookups = 0;
    std::uint64_t churn_hits = 0;
    std::uint64_t missed = 0;  // a stable key was not found
    std::uint64_t wrong = 0;   // a value of another key
    std::uint64_t ghosts = 0;  // a key that was never inserted was found
};

template <typename Table, typename Key>
class Reader {
public:
    Reader(const Table& table, Numbers numbers, std::uint64_t seed)
        : table_(table)
        , numbers_(numbers)
        , random_(seed) {}

    void run_burst() {
        std::array<std::uint64_t, 32> numbers{};
        std::array<Key, 32> keys{};
        // A third of each: stable, churned, never there.
        for (unsigned i = 0; i < 32; ++i) {
            const std::uint64_t draw = random_();
            const std::uint64_t all = numbers_.stable + numbers_.churn;
            numbers[i] = i % 3 == 0   ? draw % numbers_.stable
                         : i % 3 == 1 ? numbers_.stable + draw % numbers_.churn
                                      : all + draw % 1000;
            keys[i] = make_key<Key>(numbers[i]);
        }
        const auto view = table_.view();
        std::array<typename decltype(view)::Home, 32> homes{};
        for (unsigned i = 0; i < 32; ++i) {
            homes[i] = view.prefetch(keys[i]);
        }
        std::uint64_t value = 0;
        for (unsigned i = 0; i < 32; ++i) {
            const bool found = view.find(homes[i], keys[i], value);
            judge(numbers[i], found, value);
        }
        const bool is_found = table_.find(keys[1], value);
        judge(numbers[1], is_found, value);
        if (is_found) {
            table_.refresh(keys[1], value, make_value(numbers[1], value + 1));
        }
    }

    [[nodiscard]] const Tally& tally() const { return tally_; }

private:
    void judge(std::uint64_t number, bool found, std::uint64_t value) {
        ++tally_.lookups;
        if (!found) {
            tally_.missed += number < numbers_.stable ? 1 : 0;
            return;
        }
        tally_.churn_hits += number >= numbers_.stable ? 1 : 0;
        tally_.ghosts += number >= numbers_.stable + numbers_.churn ? 1 : 0;
        tally_.wrong += (value ^ make_value(number, 0)) > 0xff ? 1 : 0;
    }

    const Table& table_;
    Numbers numbers_;
    std::minstd_rand random_;
    Tally tally_;
};

template <typename Table, typename Key>
void write(
    Table& table, Domain& domain, Numbers numbers, std::uint64_t present_target, bool grows
) {
    std::mt19937_64 random(3);  // NOLINT: the same run every time
    std::vector<std::uint64_t> present;
    for (std::uint64_t operation = 0; operation < kOperations; ++operation) {
        // Growth happens on its own while the table fills; then now and then on demand, at every
        // density.
        if (grows && operation % (kOperations / 8) == 0) {
            table.reserve(table.capacity() + 1);
        }
        if (present.size() < present_target) {
            const std::uint64_t number = numbers.stable + random() % numbers.churn;
            if (table.insert(make_key<Key>(number), make_value(number, random())) ==
                culvert::rcu::Inserted::added) {
                present.push_back(number);
            }
        } else {
            const std::size_t victim = random() % present.size();
            table.erase(make_key<Key>(present[victim]));
            present[victim] = present.back();
            present.pop_back();
        }
        domain.reclaim();
    }
}

// `present_target` churned keys are in the table at a time.
template <typename Key>
void stress(Numbers numbers, std::uint64_t present_target, bool grows) {
    using Table = HashTable<Key, std::uint64_t>;
    Domain domain(kReaders);
    Table table(domain, 1);
    for (std::uint64_t number = 0; number < numbers.stable; ++number) {
        table.insert(make_key<Key>(number), make_value(number, 0));
    }
    std::atomic<unsigned> running{0};
    std::atomic<bool> stop{false};
    std::array<Tally, kReaders> tallies{};
    std::vector<std::thread> threads;
    for (unsigned id = 0; id < kReaders; ++id) {
        threads.emplace_back([&, id] {
            Reader<Table, Key> reader(table, numbers, id + 1);
            domain.online(id);
            running.fetch_add(1, std::memory_order_release);
            while (!stop.load(std::memory_order_acquire)) {
                reader.run_burst();
                domain.quiescent(id);
            }
            domain.offline(id);
            tallies[id] = reader.tally();
        });
    }
    while (running.load(std::memory_order_acquire) < kReaders) {
        std::this_thread::yield();
    }
    write<Table, Key>(table, domain, numbers, present_target, grows);
    stop.store(true, std::memory_order_release);
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const Tally& tally : tallies) {
        CHECK(tally.lookups > 0);
        CHECK(tally.missed == 0);
        CHECK(tally.wrong == 0);
        CHECK(tally.ghosts == 0);
    }
    CHECK(tallies[0].churn_hits + tallies[1].churn_hits > 0);
    domain.synchronize();
    CHECK(domain.retired_count() == 0);
}

}  // namespace

TEST_CASE(
    "readers see right pairs while slots are reused as fast as they can be", "[rcu][stress]"
) {
    // One or two entries come and go in a table of four buckets: the same few slots all the time.
    SECTION("8-byte keys") {
        stress<std::uint64_t>({3, 8}, 2, false);
    }
    SECTION("20-byte keys") {
        stress<Key20>({2, 8}, 2, false);
    }
}

TEST_CASE("readers miss nothing while the table fills, churns and grows", "[rcu][stress]") {
    SECTION("8-byte keys") {
        stress<std::uint64_t>({5000, 20'000}, 10'000, true);
    }
    SECTION("20-byte keys") {
        stress<Key20>({5000, 20'000}, 10'000, true);
    }
}
