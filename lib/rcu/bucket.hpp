// SPDX-License-Identifier: BSD-3-Clause
// A bucket of the hash table: one cache line that readers scan while the writer changes it.
//
// Everything a reader must see at one instant is in one 64-bit word, `state`:
//   bits  0- 3  occupied: one bit a slot
//   bits  4-31  overflow: how many entries passed this full bucket and lie in a later one
//   bits 32-63  sequence: one more at every erase
//
// A slot's key and value change only while its occupied bit is clear, and the bit clears only
// together with a new sequence number. So a reader loads state, scans the occupied slots, and loads
// state again: equal means that what it read was one entry's key and value. Nothing is ever "being
// written": a writer that lost its CPU half-way makes no reader wait. Order: the writer's release
// fence (fill) between clearing the bit and writing the slot pairs with the reader's acquire fence
// between reading the slot and reloading state. A sequence comes back after 2^32 erases within one
// scan: never.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Two keys a comparison. A 16-byte load is two atomic loads of 8 on x86-64 in practice, though not
// to the language: the thread sanitizer gets the other way.
#if defined(__SSE4_1__) && !defined(__SANITIZE_THREAD__)
#define CULVERT_BUCKET_SSE41
#include <smmintrin.h>
#endif

namespace culvert::rcu {

// A key as the words in which it is stored and compared.
template <typename Key>
struct KeyWords {
    static constexpr std::size_t kWords = sizeof(Key) / 8;
    static constexpr bool kHasTail = sizeof(Key) % 8 == 4;
    static_assert(std::is_trivially_copyable_v<Key>);
    static_assert(std::has_unique_object_representations_v<Key>, "padding would be compared");
    static_assert(sizeof(Key) >= 8 && sizeof(Key) <= 48 && sizeof(Key) % 4 == 0);

    explicit KeyWords(const Key& key) noexcept {
        std::memcpy(words.data(), &key, kWords * 8);
        if constexpr (kHasTail) {
            std::memcpy(&tail, reinterpret_cast<const char*>(&key) + kWords * 8, 4);
        }
    }

    KeyWords() = default;

    [[nodiscard]] Key key() const noexcept {
        std::array<std::byte, sizeof(Key)> bytes{};
        std::memcpy(bytes.data(), words.data(), kWords * 8);
        if constexpr (kHasTail) {
            std::memcpy(bytes.data() + kWords * 8, &tail, 4);
        }
        return std::bit_cast<Key>(bytes);
    }

    std::array<std::uint64_t, kWords> words{};
    std::uint32_t tail = 0;
};

template <unsigned Slots, bool Present>
struct KeyTails {
    std::array<std::atomic<std::uint32_t>, Slots> slots;
};

template <unsigned Slots>
struct KeyTails<Slots, false> {};

template <typename Key, typename Value>
struct alignas(64) Bucket {
    static_assert(
        std::is_trivially_copyable_v<Value> && (sizeof(Value) == 4 || sizeof(Value) == 8)
    );
    using Words = KeyWords<Key>;
    using RawValue = std::conditional_t<sizeof(Value) == 8, std::uint64_t, std::uint32_t>;

    static constexpr unsigned kSlots = (64 - 8) / (sizeof(Key) + sizeof(Value));
    static constexpr std::uint64_t kOccupied = (1U << kSlots) - 1U;
    static constexpr std::uint64_t kOverflowOne = 0x10;
    static constexpr std::uint64_t kOverflow = 0xffff'fff0;
    static constexpr std::uint64_t kSequenceOne = std::uint64_t{1} << 32U;
    static_assert(kSlots >= 1 && kSlots <= 4);

    // What one look at the bucket gave: valid only when `steady`.
    struct Look {
        std::uint64_t state;
        unsigned hit;  // one bit, or 0
        unsigned slot;
        RawValue value;  // of `slot`, when hit
        bool steady;

        [[nodiscard]] bool ends_here() const noexcept {
            return hit != 0 || (state & kOverflow) == 0;
        }
    };

    // reader
    [[nodiscard]] Look look(const Words& key) const noexcept {
        Look found{};
        found.state = state.load(std::memory_order_acquire);
        found.hit = match(key) & static_cast<unsigned>(found.state & kOccupied);
        // Without a hit the last slot is read for nothing: cheaper than a branch that no one can
        // predict.
        found.slot = static_cast<unsigned>(std::countr_zero(found.hit | 1U << (kSlots - 1)));
        found.value = values[found.slot].load(std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_acquire);
        found.steady = state.load(std::memory_order_relaxed) == found.state;
        return found;
    }

    // writer
    [[nodiscard]] std::uint64_t state_now() const noexcept {
        return state.load(std::memory_order_relaxed);
    }

    [[nodiscard]] unsigned occupied() const noexcept {
        return static_cast<unsigned>(state_now() & kOccupied);
    }

    [[nodiscard]] bool is_full() const noexcept { return occupied() == kOccupied; }

    void add_overflow() noexcept {
        state.store(state_now() + kOverflowOne, std::memory_order_relaxed);
    }

    void remove_overflow() noexcept {
        state.store(state_now() - kOverflowOne, std::memory_order_relaxed);
    }

    // Precondition: not full. Returns the slot.
    unsigned fill(const Words& key, RawValue value) noexcept {
        const auto slot = static_cast<unsigned>(std::countr_one(occupied()));
        std::atomic_thread_fence(std::memory_order_release);
        for (std::size_t word = 0; word < Words::kWords; ++word) {
            key_words[word * kSlots + slot].store(key.words[word], std::memory_order_relaxed);
        }
        if constexpr (Words::kHasTail) {
            key_tails.slots[slot].store(key.tail, std::memory_order_relaxed);
        }
        values[slot].store(value, std::memory_order_relaxed);
        state.store(state_now() | std::uint64_t{1} << slot, std::memory_order_release);
        return slot;
    }

    void vacate(unsigned slot) noexcept {
        const std::uint64_t left = state_now() & ~(std::uint64_t{1} << slot);
        state.store(left + kSequenceOne, std::memory_order_relaxed);
    }

    void vacate_all() noexcept {
        const std::uint64_t sequence = state_now() & ~(kSequenceOne - 1);
        state.store(sequence + kSequenceOne, std::memory_order_relaxed);
    }

    [[nodiscard]] Words key_at(unsigned slot) const noexcept {
        Words key;
        for (std::size_t word = 0; word < Words::kWords; ++word) {
            key.words[word] = key_words[word * kSlots + slot].load(std::memory_order_relaxed);
        }
        if constexpr (Words::kHasTail) {
            key.tail = key_tails.slots[slot].load(std::memory_order_relaxed);
        }
        return key;
    }

    // One bit a slot whose bytes equal `key`, occupied or not. Keys lie word by word (all first
    // words, all second words, ...), so that each word is aligned whatever the key's size.
    [[nodiscard]] unsigned match(const Words& key) const noexcept {
#ifdef CULVERT_BUCKET_SSE41
        if constexpr (kSlots == 3 && sizeof(Key) == 8) {
            // The first half of the bucket is state and the three keys.
            const auto* line = reinterpret_cast<const __m128i*>(this);
            const __m128i wanted = _mm_set1_epi64x(static_cast<long long>(key.words[0]));
            const __m128i low = _mm_cmpeq_epi64(_mm_load_si128(line), wanted);
            const __m128i high = _mm_cmpeq_epi64(_mm_load_si128(line + 1), wanted);
            const int equal = _mm_movemask_pd(_mm_castsi128_pd(low)) |
                              _mm_movemask_pd(_mm_castsi128_pd(high)) << 2;
            return static_cast<unsigned>(equal) >> 1;
        }
#endif
        unsigned equal = 0;
#pragma GCC unroll 4
        for (unsigned slot = 0; slot < kSlots; ++slot) {
            std::uint64_t difference = 0;
#pragma GCC unroll 2
            for (std::size_t word = 0; word < Words::kWords; ++word) {
                difference |= key_words[word * kSlots + slot].load(std::memory_order_relaxed) ^
                              key.words[word];
            }
            if constexpr (Words::kHasTail) {
                difference |= key_tails.slots[slot].load(std::memory_order_relaxed) ^ key.tail;
            }
            equal |= static_cast<unsigned>(difference == 0) << slot;
        }
        return equal;
    }

    std::atomic<std::uint64_t> state{0};  // worker: ro, control: wo
    std::array<std::atomic<std::uint64_t>, kSlots * Words::kWords>
        key_words{};                                                      // worker: ro, control: wo
    [[no_unique_address]] KeyTails<kSlots, Words::kHasTail> key_tails{};  // worker: ro, control: wo
    std::array<std::atomic<RawValue>, kSlots> values{};  // worker: cas (refresh), control: wo
};

}  // namespace culvert::rcu
