// SPDX-License-Identifier: BSD-3-Clause
#include "lib/rcu/hash_table.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

using culvert::rcu::Domain;
using culvert::rcu::HashTable;
using culvert::rcu::Inserted;

namespace {

struct Key12 {
    std::array<std::uint32_t, 3> words;
};

struct Key16 {
    std::array<std::uint64_t, 2> words;
};

struct Key20 {
    std::array<std::uint32_t, 5> words;
};

// Different in its first or its last bytes from any other, so that every part of a key is seen to
// count.
template <typename Key>
Key make_key(std::uint64_t number) {
    std::array<std::uint32_t, sizeof(Key) / 4> words{};
    words[number % 2 == 0 ? 0 : words.size() - 1] = static_cast<std::uint32_t>(number / 2 + 1);
    return std::bit_cast<Key>(words);
}

template <typename Key, typename Value>
struct Layout {
    using KeyType = Key;
    using ValueType = Value;
};

using Table = HashTable<std::uint64_t, std::uint64_t>;

}  // namespace

TEST_CASE("a key is absent, added, replaced, erased, absent again", "[rcu][hash]") {
    Domain domain(1);
    Table table(domain);
    std::uint64_t value = 99;
    CHECK_FALSE(table.find(7, value));
    CHECK(value == 99);
    CHECK(table.insert(7, 70) == Inserted::added);
    REQUIRE(table.find(7, value));
    CHECK(value == 70);
    CHECK(table.insert(7, 71) == Inserted::replaced);
    REQUIRE(table.find(7, value));
    CHECK(value == 71);
    CHECK(table.size() == 1);
    CHECK(table.replace(7, 72));
    CHECK_FALSE(table.replace(8, 80));
    REQUIRE(table.find(7, value));
    CHECK(value == 72);
    CHECK(table.erase(7));
    CHECK_FALSE(table.erase(7));
    CHECK_FALSE(table.find(7, value));
    CHECK(table.size() == 0);
}

TEST_CASE("a key of all zero bits is a key like any other", "[rcu][hash]") {
    Domain domain(1);
    Table table(domain);
    std::uint64_t value = 99;
    CHECK_FALSE(table.find(0, value));
    CHECK(table.insert(0, 0) == Inserted::added);
    REQUIRE(table.find(0, value));
    CHECK(value == 0);
    CHECK(table.erase(0));
    CHECK_FALSE(table.find(0, value));
}

TEMPLATE_TEST_CASE(
    "every layout agrees with std::unordered_map under random changes",
    "[rcu][hash]",
    (Layout<std::uint64_t, std::uint64_t>),
    (Layout<std::uint64_t, std::uint32_t>),
    (Layout<Key12, std::uint64_t>),
    (Layout<Key16, std::uint64_t>),
    (Layout<Key16, std::uint32_t>),
    (Layout<Key20, std::uint64_t>),
    (Layout<Key20, std::uint32_t>)
) {
    using Key = typename TestType::KeyType;
    using Value = typename TestType::ValueType;
    constexpr std::uint64_t kKeys = 700;
    Domain domain(1);
    HashTable<Key, Value, std::uint64_t> table(domain, 1);
    std::unordered_map<std::uint64_t, Value> model;
    std::mt19937_64 random(20240607);  // NOLINT: the same run every time
    unsigned differences = 0;
    for (int step = 0; step < 40'000; ++step) {
        const std::uint64_t number = random() % kKeys;
        const Key key = make_key<Key>(number);
        const auto value = static_cast<Value>(random());
        // Waves: mostly inserting, then mostly erasing, so that full and empty buckets both occur.
        const bool inserts = random() % 4 != 0 ? step / 2000 % 2 == 0 : step / 2000 % 2 != 0;
        if (inserts) {
            const bool is_new = model.insert_or_assign(number, value).second;
            const Inserted inserted = table.insert(key, value, number);
            differences += inserted == (is_new ? Inserted::added : Inserted::replaced) ? 0 : 1;
        } else {
            differences += table.erase(key) == (model.erase(number) == 1) ? 0 : 1;
        }
        const std::uint64_t other = random() % kKeys;
        Value found{};
        const auto expected = model.find(other);
        const bool is_found = table.find(make_key<Key>(other), found);
        differences += is_found == (expected != model.end()) ? 0 : 1;
        differences += is_found && found != expected->second ? 1 : 0;
        differences += table.size() == model.size() ? 0 : 1;
    }
    CHECK(differences == 0);
    std::set<std::uint64_t> seen;
    table.for_each([&](const Key& key, Value value, std::uint64_t& number) {
        CHECK(
            std::bit_cast<std::array<char, sizeof(Key)>>(key) ==
            std::bit_cast<std::array<char, sizeof(Key)>>(make_key<Key>(number))
        );
        CHECK(model.at(number) == value);
        CHECK(seen.insert(number).second);
    });
    CHECK(seen.size() == model.size());
    domain.reclaim();
}

TEST_CASE(
    "a view finds exactly the keys that are there, and stays as the table grows", "[rcu][hash]"
) {
    Domain domain(1);
    Table table(domain);
    constexpr std::uint64_t kKeys = 3000;
    for (std::uint64_t key = 0; key < kKeys; key += 3) {
        table.insert(key, key * 10);
    }
    // Not quiescent since: what the view stands on is still there.
    domain.online(0);
    const auto view = table.view();
    std::vector<Table::View::Home> homes;
    for (std::uint64_t key = 0; key < kKeys; ++key) {
        homes.push_back(view.prefetch(key));
    }
    const bool grows = GENERATE(false, true);
    if (grows) {
        REQUIRE(table.reserve(table.capacity() * 4));
        domain.reclaim();
    }
    for (std::uint64_t key = 0; key < kKeys; ++key) {
        std::uint64_t value = 1;
        REQUIRE(view.find(homes[key], key, value) == (key % 3 == 0));
        REQUIRE(value == (key % 3 == 0 ? key * 10 : 1));
    }
    domain.offline(0);
}

TEST_CASE("the table grows on its own and keeps every entry and shadow", "[rcu][hash]") {
    Domain domain(1);
    HashTable<std::uint64_t, std::uint32_t, std::string> table(domain, 1);
    const std::size_t first_bytes = table.memory_bytes();
    for (std::uint32_t key = 0; key < 20'000; ++key) {
        REQUIRE(table.insert(key, key + 1, std::to_string(key)) == Inserted::added);
    }
    CHECK(table.size() == 20'000);
    CHECK(table.capacity() >= 20'000);
    CHECK(table.memory_bytes() > first_bytes);
    CHECK(domain.retired_count() > 0);
    for (std::uint32_t key = 0; key < 20'000; ++key) {
        std::uint32_t value = 0;
        REQUIRE(table.find(key, value));
        REQUIRE(value == key + 1);
        std::string* shadow = table.shadow(key);
        REQUIRE(shadow != nullptr);
        REQUIRE(*shadow == std::to_string(key));
    }
    CHECK(table.shadow(20'000) == nullptr);
    CHECK(domain.reclaim() > 0);
    CHECK(domain.retired_count() == 0);
}

TEST_CASE("an old generation lives until its readers are quiescent", "[rcu][hash]") {
    Domain domain(1);
    Table table(domain, 1);
    domain.online(0);
    for (std::uint64_t key = 0; key < 100; ++key) {
        table.insert(key, key);
    }
    CHECK(domain.retired_count() > 0);
    CHECK(domain.reclaim() == 0);
    domain.quiescent(0);
    CHECK(domain.reclaim() > 0);
    domain.offline(0);
}

TEST_CASE("reserve grows once and for all", "[rcu][hash]") {
    Domain domain(1);
    Table table(domain, 1);
    table.insert(1, 10);
    CHECK(table.reserve(5000));
    const std::size_t buckets = table.bucket_count();
    CHECK(table.capacity() >= 5000);
    for (std::uint64_t key = 1; key <= 5000; ++key) {
        table.insert(key, key * 10);
    }
    CHECK(table.bucket_count() == buckets);
    CHECK(table.reserve(10));
    CHECK(table.bucket_count() == buckets);
    std::uint64_t value = 0;
    REQUIRE(table.find(1, value));
    CHECK(value == 10);
}

TEST_CASE("max_entries is kept, and a full table still replaces", "[rcu][hash]") {
    Domain domain(1);
    const std::size_t max =
        GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{1000});
    Table table(domain, 64, max);
    for (std::uint64_t key = 0; key < max; ++key) {
        REQUIRE(table.insert(key, key) == Inserted::added);
    }
    CHECK(table.insert(max, 1) == Inserted::full);
    CHECK(table.size() == max);
    std::uint64_t value = 0;
    CHECK_FALSE(table.find(max, value));
    if (max > 0) {
        CHECK(table.insert(0, 42) == Inserted::replaced);
        CHECK(table.erase(max - 1));
        CHECK(table.insert(max, 1) == Inserted::added);
    }
}

TEST_CASE("an entry without a shadow of its own still has one to point at", "[rcu][hash]") {
    Domain domain(1);
    Table table(domain);
    CHECK(table.shadow(5) == nullptr);
    table.insert(5, 1);
    CHECK(table.shadow(5) != nullptr);
}

TEST_CASE("erasing drops the shadow, inserting again gives the new one", "[rcu][hash]") {
    Domain domain(1);
    HashTable<std::uint64_t, std::uint64_t, std::shared_ptr<int>> table(domain);
    auto kept = std::make_shared<int>(1);
    table.insert(1, 1, kept);
    CHECK(kept.use_count() == 2);
    CHECK(table.replace(1, 2));
    CHECK(kept.use_count() == 2);
    table.insert(1, 1, nullptr);
    CHECK(kept.use_count() == 1);
    table.insert(1, 1, kept);
    table.erase(1);
    CHECK(kept.use_count() == 1);
    table.insert(1, 1, kept);
    table.clear();
    CHECK(kept.use_count() == 1);
}

TEST_CASE("refresh replaces only the value it expects", "[rcu][hash]") {
    Domain domain(1);
    Table table(domain);
    table.insert(1, 10);
    table.refresh(1, 11, 12);
    std::uint64_t value = 0;
    REQUIRE(table.find(1, value));
    CHECK(value == 10);
    table.refresh(1, 10, 12);
    REQUIRE(table.find(1, value));
    CHECK(value == 12);
    table.refresh(2, 0, 12);
    CHECK_FALSE(table.find(2, value));
    CHECK(table.size() == 1);
}

TEST_CASE(
    "sweep visits every entry once a round, in steps, and erases what it is told to", "[rcu][hash]"
) {
    Domain domain(1);
    HashTable<std::uint64_t, std::uint64_t, int> table(domain, 1);
    for (std::uint64_t key = 0; key < 500; ++key) {
        table.insert(key, key % 5, 1);
    }
    const std::size_t step = GENERATE(std::size_t{1}, std::size_t{7}, std::size_t{100'000});
    std::size_t rounds_visited = 0;
    std::size_t calls = 1;
    auto visit = [&rounds_visited](const std::uint64_t& key, std::uint64_t value, int& times) {
        rounds_visited += value == key % 5 && times == 1 ? 1 : 0;
        times = 2;
        return value == 0;
    };
    while (!table.sweep(step, visit)) {
        ++calls;
    }
    CHECK(rounds_visited == 500);
    CHECK(calls == (table.bucket_count() + step - 1) / step);
    CHECK(table.size() == 400);
    for (std::uint64_t key = 0; key < 500; ++key) {
        std::uint64_t value = 0;
        REQUIRE(table.find(key, value) == (key % 5 != 0));
    }
}

TEST_CASE("growth within a sweep starts the round anew", "[rcu][hash]") {
    Domain domain(1);
    HashTable<std::uint64_t, std::uint64_t, int> table(domain, 1);
    for (std::uint64_t key = 0; key < 100; ++key) {
        table.insert(key, 0, 0);
    }
    auto count = [](const std::uint64_t&, std::uint64_t, int& visits) {
        ++visits;
        return false;
    };
    CHECK_FALSE(table.sweep(table.bucket_count() / 2, count));
    table.reserve(table.capacity() * 4);
    while (!table.sweep(8, count)) {
    }
    table.for_each([](const std::uint64_t&, std::uint64_t, int& visits) { CHECK(visits >= 1); });
}

TEST_CASE(
    "clear empties the table, gives memory back, and the table is usable after it", "[rcu][hash]"
) {
    Domain domain(1);
    Table table(domain, 10);
    const std::size_t bytes = table.memory_bytes();
    const std::uint64_t entries = GENERATE(std::uint64_t{5}, std::uint64_t{5000});
    for (std::uint64_t key = 0; key < entries; ++key) {
        table.insert(key, key);
    }
    table.clear();
    CHECK(table.size() == 0);
    CHECK(table.memory_bytes() == bytes);
    std::uint64_t value = 0;
    for (std::uint64_t key = 0; key < entries; ++key) {
        REQUIRE_FALSE(table.find(key, value));
    }
    CHECK(table.insert(3, 4) == Inserted::added);
    REQUIRE(table.find(3, value));
    CHECK(value == 4);
}

TEST_CASE(
    "entries that share a home spill over, and erasing them leaves nothing behind", "[rcu][hash]"
) {
    // Four buckets of three slots, kept as full as the table gets: every bucket is passed sooner or
    // later.
    Domain domain(1);
    Table table(domain, 1);
    std::mt19937_64 random(4);  // NOLINT: the same run every time
    std::vector<std::uint64_t> present;
    const std::size_t buckets = table.bucket_count();
    for (int step = 0; step < 50'000; ++step) {
        if (present.size() < table.capacity()) {
            present.push_back(random());
            table.insert(present.back(), present.back() + 1);
        } else {
            const std::size_t victim = random() % present.size();
            REQUIRE(table.erase(present[victim]));
            present[victim] = present.back();
            present.pop_back();
        }
        std::uint64_t value = 0;
        REQUIRE(std::all_of(present.begin(), present.end(), [&](std::uint64_t key) {
            return table.find(key, value) && value == key + 1;
        }));
        REQUIRE_FALSE(table.find(random(), value));
    }
    CHECK(table.bucket_count() == buckets);
}

TEST_CASE(
    "structured keys spread: MACs of one vendor, VNIs in a row, keys in the high bits",
    "[rcu][hash]"
) {
    Domain domain(1);
    const unsigned shift = GENERATE(0U, 8U, 16U, 40U);
    HashTable<std::uint64_t, std::uint32_t> table(domain, 10'000);
    const std::size_t buckets = table.bucket_count();
    for (std::uint64_t key = 0; key < 10'000; ++key) {
        table.insert(0x0200'5e00'0000'0000U + (key << shift), 1);
    }
    CHECK(table.bucket_count() == buckets);
    std::size_t longest = 0;
    std::size_t run = 0;
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
        std::size_t entries = 0;
        table.sweep(1, [&entries](const std::uint64_t&, std::uint32_t, auto&) {
            ++entries;
            return false;
        });
        run = entries == 4 ? run + 1 : 0;
        longest = std::max(longest, run);
    }
    // 10,000 entries over 4,096 buckets of four: random keys give runs of full buckets of about
    // ten.
    CHECK(longest < 40);
}
