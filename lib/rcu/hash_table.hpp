// SPDX-License-Identifier: BSD-3-Clause
// The hash table that workers read without locks while the control thread changes it.
//
// 64-byte buckets (bucket.hpp) with the entries in them: a hit costs one cache line. An entry lies
// in the first bucket with a free slot from its home bucket on, and every full bucket it passed
// counts it (overflow), so a miss ends at the first bucket that nobody passed, and an erase leaves
// no tombstone. An entry never moves within a generation; the table grows by building a new
// generation of twice the buckets, publishing it with one pointer and retiring the old one. So a
// reader never misses an entry that is there, and never sees the value of another key.
//
// Threads: any number of readers (online in the Domain), one writer. No pointer into the table
// outlives the reader's next quiescent(). Limits: 2^28 - 1 entries; keys of 8, 12, 16 or 20 bytes,
// values of 4 or 8.
#pragma once

#include "lib/rcu/bucket.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/rcu/table_memory.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace culvert::rcu {

// Says that the writer keeps nothing beside an entry.
struct NoShadow {};

enum class Inserted : std::uint8_t { added, replaced, full };

template <typename Key, typename Value, typename Shadow = NoShadow>
class alignas(64) HashTable {
    using BucketType = Bucket<Key, Value>;
    using Words = KeyWords<Key>;
    using RawValue = typename BucketType::RawValue;
    struct Generation;

public:
    using Inserted = rcu::Inserted;
    static constexpr std::size_t kEntryLimit = (std::size_t{1} << 28U) - 1;

    // Room for `initial_capacity` entries before the first growth; never more than `max_entries`.
    // Throws std::bad_alloc; nothing later does on the table's behalf.
    explicit HashTable(
        Domain& domain, std::size_t initial_capacity = 64, std::size_t max_entries = SIZE_MAX
    );

    // Precondition: no reader is left.
    ~HashTable() { destroy(generation_.load(std::memory_order_relaxed)); }

    HashTable(const HashTable&) = delete;
    HashTable& operator=(const HashTable&) = delete;

    // reader: the table as it is now, for many lookups: first ask for the lines of all, then look.
    // Valid until the reader's next quiescent().
    class View {
    public:
        using Home = const BucketType*;

        // Where a lookup of `key` begins; asks for that line.
        [[nodiscard]] Home prefetch(const Key& key) const noexcept;
        // True and the value when `key` is there; else `value` is left alone.
        [[nodiscard]] bool find(Home home, const Key& key, Value& value) const noexcept;

    private:
        friend class HashTable;

        View(const Generation* generation, const Secret& secret) noexcept
            : generation_(generation)
            , secret_(secret) {}

        const Generation* generation_;
        const Secret secret_;
    };

    [[nodiscard]] View view() const noexcept {
        return View(generation_.load(std::memory_order_acquire), secret_);
    }

    // reader (and writer): true and the value when `key` is there; else `value` is left alone.
    bool find(const Key& key, Value& value) const noexcept;
    // reader: replaces the value of `key` where it still equals `expected`: how a worker renews a
    // time stamp. When the writer is changing or moving the entry, the change may be lost. Should
    // the slot have been given, between look and write, to another key whose value equals
    // `expected` in all bits, that one is renewed: so `desired` may differ only in what is allowed
    // to be renewed by mistake.
    void refresh(const Key& key, const Value& expected, const Value& desired) const noexcept;

    // writer: `full` = at max_entries, or no memory to grow; then nothing changed.
    Inserted insert(const Key& key, const Value& value, Shadow shadow = {});
    // writer: a new value, the same shadow. false = `key` is not there.
    bool replace(const Key& key, const Value& value) noexcept;
    // writer: false = was not there.
    bool erase(const Key& key);
    // writer: nullptr = absent; valid until the next insert or erase.
    [[nodiscard]] Shadow* shadow(const Key& key) noexcept;
    // writer: f(const Key&, Value, Shadow&); must not change the table.
    template <typename F>
    void for_each(F&& f);
    // writer: visits at most `buckets` buckets from where the last call ended; true when it came
    // round (and then stops). f(const Key&, Value, Shadow&) -> bool, true = erase the entry; must
    // not change the table otherwise. Growth starts the round anew: an entry that stays through a
    // whole round is visited in it.
    template <typename F>
    bool sweep(std::size_t buckets, F&& f);
    // writer: grows at once to hold `entries` without growing again. false = no memory, nothing
    // changed.
    bool reserve(std::size_t entries);
    // writer: removes everything, gives the memory of a grown table back.
    void clear();

    // writer
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    // Entries that fit before the next growth.
    [[nodiscard]] std::size_t capacity() const noexcept { return threshold(bucket_count()); }

    [[nodiscard]] std::size_t bucket_count() const noexcept { return writer_view()->mask + 1; }

    [[nodiscard]] std::size_t max_entries() const noexcept { return max_entries_; }

    [[nodiscard]] std::size_t memory_bytes() const noexcept;

private:
    // Followed in memory by its buckets: one pointer publishes both the array and its size.
    struct alignas(64) Generation {
        std::size_t mask;  // buckets - 1

        [[nodiscard]] BucketType* at(std::size_t index) noexcept {
            return reinterpret_cast<BucketType*>(this + 1) + index;
        }

        [[nodiscard]] const BucketType* at(std::size_t index) const noexcept {
            return reinterpret_cast<const BucketType*>(this + 1) + index;
        }
    };

    static_assert(sizeof(Generation) == 64 && sizeof(BucketType) == 64);

    // Where an entry lies. Absent: slot == kSlots.
    struct Place {
        std::size_t bucket = 0;
        unsigned slot = BucketType::kSlots;

        [[nodiscard]] bool is_valid() const noexcept { return slot < BucketType::kSlots; }

        [[nodiscard]] std::size_t index() const noexcept {
            return bucket * BucketType::kSlots + slot;
        }
    };

    struct Located {
        BucketType* bucket;
        typename BucketType::Look look;
    };

    static constexpr bool kHasShadow = !std::is_empty_v<Shadow>;
    static constexpr std::size_t kMinBuckets = 4;

    // Half full at most: then one entry in fifteen lies outside its home bucket (8 + 8 bytes). At
    // 5/8 it is one in nine, and each costs a lookup some 25 clocks.
    [[nodiscard]] static constexpr std::size_t threshold(std::size_t buckets) noexcept {
        return buckets * BucketType::kSlots / 2;
    }

    [[nodiscard]] static constexpr std::size_t buckets_for(std::size_t entries) noexcept {
        std::size_t buckets = kMinBuckets;
        while (threshold(buckets) < entries) {
            buckets *= 2;
        }
        return buckets;
    }

    [[nodiscard]] static std::uint64_t hash(const Words& key, const Secret& secret) noexcept;

    [[nodiscard]] std::uint64_t hash(const Words& key) const noexcept { return hash(key, secret_); }

    [[nodiscard]] Located look_up(const Words& key) const noexcept;
    // By value: the caller's own copy of the key can stay in registers.
    [[gnu::noinline]] static Located
    look_on(const Generation* generation, const BucketType* home, Key key) noexcept;

    [[nodiscard]] Generation* writer_view() const noexcept {
        return generation_.load(std::memory_order_relaxed);
    }

    [[nodiscard]] static Generation* create(std::size_t buckets) noexcept;

    static void destroy(Generation* generation) noexcept { free_table_memory(generation); }

    [[nodiscard]] Place locate(const Words& key) const noexcept;
    Place put(Generation* generation, const Words& key, RawValue value) noexcept;

    // Release: what the value refers to may be new. The key stays, so a reader sees the old value
    // or the new one.
    void set_value(Place place, RawValue value) noexcept {
        writer_view()->at(place.bucket)->values[place.slot].store(value, std::memory_order_release);
    }

    void take(Place place, std::size_t home) noexcept;
    [[nodiscard]] static bool
    make_shadows(std::size_t buckets, std::unique_ptr<Shadow[]>& shadows) noexcept;
    [[nodiscard]] Shadow& shadow_at(Place place) noexcept;
    bool rebuild(std::size_t buckets);
    void publish(Generation* next);

    // Workers read this line; the writer changes it only when the table grows.
    std::atomic<Generation*> generation_;  // worker: ro, control: wo
    const Secret secret_;

    alignas(64) Domain& domain_;  // from here on: control only
    const std::size_t initial_buckets_;
    const std::size_t max_entries_;
    std::size_t size_ = 0;
    std::size_t cursor_ = 0;  // sweep: the next bucket
    std::unique_ptr<Shadow[]> shadows_;
    [[no_unique_address]] Shadow no_shadow_{};
};

// Readers; the writer's half is in hash_table_writer.hpp.

template <typename Key, typename Value, typename Shadow>
inline std::uint64_t
HashTable<Key, Value, Shadow>::hash(const Words& key, const Secret& secret) noexcept {
    std::uint64_t mixed = 0;
    if constexpr (Words::kWords == 1) {
        mixed = fold_multiply(key.words[0] ^ secret.words[0], secret.words[1]);
    } else {
        mixed = fold_multiply(key.words[0] ^ secret.words[0], key.words[1] ^ secret.words[1]);
    }
    // Each pair anew, with what came before it mixed in.
    for (std::size_t word = 2; word < Words::kWords; word += 2) {
        const std::uint64_t second = word + 1 < Words::kWords ? key.words[word + 1] : 0;
        mixed = fold_multiply(key.words[word] ^ mixed ^ secret.words[2], second ^ secret.words[1]);
    }
    if constexpr (Words::kHasTail) {
        mixed ^= key.tail ^ secret.words[2];
    }
    // Once more: after one round, keys in a row are numbers at even distances, and with one secret
    // in sixty those fill whole runs of buckets. The shift breaks the distances.
    mixed ^= mixed >> 32U;
    mixed *= secret.words[3];
    return mixed >> 32U;
}

template <typename Key, typename Value, typename Shadow>
auto HashTable<Key, Value, Shadow>::look_on(
    const Generation* generation, const BucketType* home, Key key
) noexcept -> Located {
    const Words words(key);
    auto index = static_cast<std::size_t>(home - generation->at(0));
    // The bound is for a small table in which every bucket has been passed.
    for (std::size_t left = generation->mask;; --left, index = (index + 1) & generation->mask) {
        const BucketType* bucket = generation->at(index);
        auto look = bucket->look(words);
        while (!look.steady) {
            look = bucket->look(words);
        }
        if (look.ends_here() || left == 0) {
            return {const_cast<BucketType*>(bucket), look};
        }
    }
}

template <typename Key, typename Value, typename Shadow>
inline auto HashTable<Key, Value, Shadow>::look_up(const Words& key) const noexcept -> Located {
    const Generation* generation = generation_.load(std::memory_order_acquire);
    return look_on(generation, generation->at(hash(key) & generation->mask), key.key());
}

template <typename Key, typename Value, typename Shadow>
inline auto HashTable<Key, Value, Shadow>::View::prefetch(const Key& key) const noexcept -> Home {
    Home home = generation_->at(hash(Words(key), secret_) & generation_->mask);
    __builtin_prefetch(home);
    return home;
}

template <typename Key, typename Value, typename Shadow>
inline bool
HashTable<Key, Value, Shadow>::View::find(Home home, const Key& key, Value& value) const noexcept {
    auto look = home->look(Words(key));
    if (look.hit == 0 || !look.steady) [[unlikely]] {
        if (look.steady && look.ends_here()) {
            return false;
        }
        look = look_on(generation_, home, key).look;
        if (look.hit == 0) {
            return false;
        }
    }
    value = std::bit_cast<Value>(look.value);
    return true;
}

template <typename Key, typename Value, typename Shadow>
inline bool HashTable<Key, Value, Shadow>::find(const Key& key, Value& value) const noexcept {
    const View all = view();
    return all.find(all.prefetch(key), key, value);
}

template <typename Key, typename Value, typename Shadow>
void HashTable<Key, Value, Shadow>::refresh(
    const Key& key, const Value& expected, const Value& desired
) const noexcept {
    static_assert(
        std::has_unique_object_representations_v<Value>, "padding would fail the comparison"
    );
    const Located at = look_up(Words(key));
    auto raw = std::bit_cast<RawValue>(expected);
    if (at.look.hit != 0 && at.look.value == raw) {
        at.bucket->values[at.look.slot].compare_exchange_strong(
            raw, std::bit_cast<RawValue>(desired), std::memory_order_relaxed
        );
    }
}

}  // namespace culvert::rcu

#include "lib/rcu/hash_table_writer.hpp"
