// SPDX-License-Identifier: BSD-3-Clause
// MAC addresses in frames as numbers, with as few loads as may be.
#pragma once

#include "lib/net/link_id.hpp"

#include <bit>
#include <cstdint>
#include <cstring>

namespace culvert::pipeline {

inline constexpr std::uint64_t kGroupBit = std::uint64_t{1} << 56;  // of a MAC in the upper 48 bits

// The six bytes as the machine loads them: to compare with another such number, nothing else.
[[nodiscard]] inline std::uint64_t mac_of(const std::uint8_t* mac) noexcept {
    std::uint32_t first = 0;
    std::uint16_t last = 0;
    std::memcpy(&first, mac, sizeof(first));
    std::memcpy(&last, mac + sizeof(first), sizeof(last));
    return first | (std::uint64_t{last} << 32);
}

// Eight bytes that the machine loaded, the first on the wire highest.
[[nodiscard]] inline std::uint64_t in_wire_order(std::uint64_t raw) noexcept {
    return std::endian::native == std::endian::little ? __builtin_bswap64(raw) : raw;
}

// The MAC in the upper 48 bits, first byte on the wire highest, and two more bytes below. Reads 8
// bytes.
[[nodiscard]] inline std::uint64_t mac_and_two_more(const std::uint8_t* mac) noexcept {
    std::uint64_t raw = 0;
    std::memcpy(&raw, mac, sizeof(raw));
    return in_wire_order(raw);
}

// Both addresses of a frame, to be compared with another frame's, in two loads that overlap.
struct MacPair {
    std::uint64_t first = 0;  // bytes 0 to 7, as the machine loads them
    std::uint64_t last = 0;   // bytes 4 to 11

    // Reads 12 bytes.
    [[nodiscard]] static MacPair load(const std::uint8_t* frame) noexcept {
        MacPair pair;
        std::memcpy(&pair.first, frame, sizeof(pair.first));
        std::memcpy(&pair.last, frame + 4, sizeof(pair.last));
        return pair;
    }

    // The MAC in the upper 48 bits, as mac_and_two_more() has it; the source without the two more.
    [[nodiscard]] std::uint64_t destination() const noexcept { return in_wire_order(first); }

    [[nodiscard]] std::uint64_t source() const noexcept { return in_wire_order(last) << 16; }

    friend bool operator==(const MacPair& a, const MacPair& b) noexcept {
        return ((a.first ^ b.first) | (a.last ^ b.last)) == 0;
    }
};

// fdb::Key's packed form of such a number.
[[nodiscard]] constexpr std::uint64_t fdb_key(std::uint64_t mac_and_more, LinkId domain) noexcept {
    return (mac_and_more & ~std::uint64_t{0xffff}) | domain;
}

}  // namespace culvert::pipeline
