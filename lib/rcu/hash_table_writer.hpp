// SPDX-License-Identifier: BSD-3-Clause
// The writer's half of hash_table.hpp, which includes it. Control thread only, except for
// construction.
#pragma once

#include "lib/rcu/hash_table.hpp"

namespace culvert::rcu {

template <typename Key, typename Value, typename Shadow>
HashTable<Key, Value, Shadow>::HashTable(
    Domain& domain, std::size_t initial_capacity, std::size_t max_entries
)
    : generation_(nullptr)
    , secret_(random_secret())
    , domain_(domain)
    , initial_buckets_(buckets_for(std::min({initial_capacity, max_entries, kEntryLimit})))
    , max_entries_(std::min(max_entries, kEntryLimit)) {
    Generation* first = create(initial_buckets_);
    if (first == nullptr || !make_shadows(initial_buckets_, shadows_)) {
        destroy(first);
        throw_out_of_memory();
    }
    generation_.store(first, std::memory_order_release);
}

template <typename Key, typename Value, typename Shadow>
auto HashTable<Key, Value, Shadow>::create(std::size_t buckets) noexcept -> Generation* {
    void* memory = allocate_table_memory(sizeof(Generation) + buckets * sizeof(BucketType));
    if (memory == nullptr) {
        return nullptr;
    }
    auto* generation = new (memory) Generation{buckets - 1};
    for (std::size_t i = 0; i < buckets; ++i) {
        new (generation->at(i)) BucketType();
    }
    return generation;
}

template <typename Key, typename Value, typename Shadow>
bool HashTable<Key, Value, Shadow>::make_shadows(
    std::size_t buckets, std::unique_ptr<Shadow[]>& shadows
) noexcept {
    if constexpr (kHasShadow) {
        shadows.reset(new (std::nothrow) Shadow[buckets * BucketType::kSlots]());
        return shadows != nullptr;
    }
    return true;
}

template <typename Key, typename Value, typename Shadow>
Shadow& HashTable<Key, Value, Shadow>::shadow_at(Place place) noexcept {
    if constexpr (kHasShadow) {
        return shadows_[place.index()];
    } else {
        return no_shadow_;
    }
}

template <typename Key, typename Value, typename Shadow>
auto HashTable<Key, Value, Shadow>::locate(const Words& key) const noexcept -> Place {
    const Located at = look_up(key);
    if (at.look.hit == 0) {
        return {};
    }
    return {static_cast<std::size_t>(at.bucket - writer_view()->at(0)), at.look.slot};
}

// Precondition: `key` is absent and a slot is free.
template <typename Key, typename Value, typename Shadow>
auto HashTable<Key, Value, Shadow>::put(
    Generation* generation, const Words& key, RawValue value
) noexcept -> Place {
    std::size_t index = hash(key) & generation->mask;
    while (generation->at(index)->is_full()) {
        generation->at(index)->add_overflow();
        index = (index + 1) & generation->mask;
    }
    return {index, generation->at(index)->fill(key, value)};
}

template <typename Key, typename Value, typename Shadow>
void HashTable<Key, Value, Shadow>::take(Place place, std::size_t home) noexcept {
    Generation* generation = writer_view();
    shadow_at(place) = Shadow{};
    generation->at(place.bucket)->vacate(place.slot);
    for (std::size_t index = home; index != place.bucket; index = (index + 1) & generation->mask) {
        generation->at(index)->remove_overflow();
    }
    --size_;
}

template <typename Key, typename Value, typename Shadow>
void HashTable<Key, Value, Shadow>::publish(Generation* next) {
    Generation* old = generation_.exchange(next, std::memory_order_acq_rel);
    cursor_ = 0;
    domain_.retire([old] { destroy(old); });
}

template <typename Key, typename Value, typename Shadow>
bool HashTable<Key, Value, Shadow>::rebuild(std::size_t buckets) {
    std::unique_ptr<Shadow[]> shadows;
    Generation* next = create(buckets);
    if (next == nullptr || !make_shadows(buckets, shadows)) {
        destroy(next);
        return false;
    }
    Generation* old = writer_view();
    for (std::size_t index = 0; index <= old->mask; ++index) {
        const BucketType* bucket = old->at(index);
        for (unsigned slot = 0; slot < BucketType::kSlots; ++slot) {
            if ((bucket->occupied() >> slot & 1U) == 0) {
                continue;
            }
            const Place place =
                put(next, bucket->key_at(slot), bucket->values[slot].load(std::memory_order_relaxed)
                );
            if constexpr (kHasShadow) {
                shadows[place.index()] = std::move(shadow_at({index, slot}));
            }
        }
    }
    shadows_ = std::move(shadows);
    publish(next);
    return true;
}

template <typename Key, typename Value, typename Shadow>
Inserted HashTable<Key, Value, Shadow>::insert(const Key& key, const Value& value, Shadow shadow) {
    const Words words(key);
    const auto raw = std::bit_cast<RawValue>(value);
    if (const Place place = locate(words); place.is_valid()) {
        set_value(place, raw);
        shadow_at(place) = std::move(shadow);
        return Inserted::replaced;
    }
    if (size_ >= max_entries_) {
        return Inserted::full;
    }
    if (size_ >= capacity() && !rebuild(bucket_count() * 2)) {
        // Without memory the table may become denser, and slower, up to 15/16.
        const std::size_t slots = bucket_count() * BucketType::kSlots;
        if (size_ >= slots - slots / 16) {
            return Inserted::full;
        }
    }
    const Place place = put(writer_view(), words, raw);
    shadow_at(place) = std::move(shadow);
    ++size_;
    return Inserted::added;
}

template <typename Key, typename Value, typename Shadow>
bool HashTable<Key, Value, Shadow>::replace(const Key& key, const Value& value) noexcept {
    const Place place = locate(Words(key));
    if (place.is_valid()) {
        set_value(place, std::bit_cast<RawValue>(value));
    }
    return place.is_valid();
}

template <typename Key, typename Value, typename Shadow>
bool HashTable<Key, Value, Shadow>::erase(const Key& key) {
    const Words words(key);
    const Place place = locate(words);
    if (!place.is_valid()) {
        return false;
    }
    take(place, hash(words) & writer_view()->mask);
    return true;
}

template <typename Key, typename Value, typename Shadow>
Shadow* HashTable<Key, Value, Shadow>::shadow(const Key& key) noexcept {
    const Place place = locate(Words(key));
    return place.is_valid() ? &shadow_at(place) : nullptr;
}

template <typename Key, typename Value, typename Shadow>
template <typename F>
void HashTable<Key, Value, Shadow>::for_each(F&& f) {
    const Generation* generation = writer_view();
    for (std::size_t index = 0; index <= generation->mask; ++index) {
        const BucketType* bucket = generation->at(index);
        for (unsigned slot = 0; slot < BucketType::kSlots; ++slot) {
            if ((bucket->occupied() >> slot & 1U) != 0) {
                const RawValue raw = bucket->values[slot].load(std::memory_order_relaxed);
                f(bucket->key_at(slot).key(), std::bit_cast<Value>(raw), shadow_at({index, slot}));
            }
        }
    }
}

template <typename Key, typename Value, typename Shadow>
template <typename F>
bool HashTable<Key, Value, Shadow>::sweep(std::size_t buckets, F&& f) {
    const Generation* generation = writer_view();
    for (; buckets > 0; --buckets) {
        const BucketType* bucket = generation->at(cursor_);
        for (unsigned slot = 0; slot < BucketType::kSlots; ++slot) {
            if ((bucket->occupied() >> slot & 1U) == 0) {
                continue;
            }
            const Words words = bucket->key_at(slot);
            const RawValue raw = bucket->values[slot].load(std::memory_order_relaxed);
            if (f(words.key(), std::bit_cast<Value>(raw), shadow_at({cursor_, slot}))) {
                take({cursor_, slot}, hash(words) & generation->mask);
            }
        }
        cursor_ = (cursor_ + 1) & generation->mask;
        if (cursor_ == 0) {
            return true;
        }
    }
    return false;
}

template <typename Key, typename Value, typename Shadow>
bool HashTable<Key, Value, Shadow>::reserve(std::size_t entries) {
    const std::size_t buckets = buckets_for(std::min(entries, max_entries_));
    return buckets <= bucket_count() || rebuild(buckets);
}

template <typename Key, typename Value, typename Shadow>
void HashTable<Key, Value, Shadow>::clear() {
    size_ = 0;
    if (bucket_count() > initial_buckets_) {
        std::unique_ptr<Shadow[]> shadows;
        Generation* next = create(initial_buckets_);
        if (next != nullptr && make_shadows(initial_buckets_, shadows)) {
            shadows_ = std::move(shadows);
            publish(next);
            return;
        }
        destroy(next);
    }
    Generation* generation = writer_view();
    for (std::size_t index = 0; index <= generation->mask; ++index) {
        generation->at(index)->vacate_all();
    }
    if constexpr (kHasShadow) {
        for (std::size_t i = 0; i < bucket_count() * BucketType::kSlots; ++i) {
            shadows_[i] = Shadow{};
        }
    }
}

template <typename Key, typename Value, typename Shadow>
std::size_t HashTable<Key, Value, Shadow>::memory_bytes() const noexcept {
    const std::size_t shadow_bytes =
        kHasShadow ? bucket_count() * BucketType::kSlots * sizeof(Shadow) : 0;
    return sizeof(Generation) + bucket_count() * sizeof(BucketType) + shadow_bytes;
}

}  // namespace culvert::rcu
