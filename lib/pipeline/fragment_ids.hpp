// SPDX-License-Identifier: BSD-3-Clause
// Identifications of IPv6 fragments (RFC 8200, 4.5): no two datagrams that may be on their way at
// the same time share one, and nobody can guess the next (RFC 7739). Whoever sends has numbers of
// its own, and all are scattered by one random bijection: no store is shared, none is used twice
// within 16 million.
#pragma once

#include <cstdint>

namespace culvert::pipeline {

class FragmentIds {
public:
    // `sender`: whose numbers these are; 0 to 254 are workers, kControl is control.
    static constexpr std::uint32_t kControl = 255;

    explicit FragmentIds(std::uint32_t sender) noexcept;

    // Never 0.
    [[nodiscard]] std::uint32_t next() noexcept {
        std::uint32_t id = 0;
        do {
            id = scatter(first_ | (count_++ & kCountMask));
        } while (id == 0);
        return id;
    }

private:
    static constexpr std::uint32_t kCountMask = 0xffffff;

    // Each step can be undone, so different numbers stay different.
    [[nodiscard]] std::uint32_t scatter(std::uint32_t number) const noexcept {
        number ^= key_;
        number *= 0x9e3779b1U;
        number ^= number >> 15;
        number += key_ << 7 | key_ >> 25;
        number *= 0x85ebca77U;
        number ^= number >> 13;
        return number ^ key_;
    }

    std::uint32_t key_;
    std::uint32_t first_;
    std::uint32_t count_;
};

}  // namespace culvert::pipeline
