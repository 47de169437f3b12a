// SPDX-License-Identifier: BSD-3-Clause
// Generic UDP encapsulation, versions 0 and 1, as Linux has it (draft-ietf-intarea-gue).
#pragma once

#include "lib/net/endian.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

namespace gue {
inline constexpr std::uint8_t kVersionShift = 6;  // of the first byte
inline constexpr std::uint8_t kControl = 0x20;
inline constexpr std::uint8_t kOptionWords = 0x1f;
inline constexpr std::uint16_t kPrivate = 0x0001;  // private flags follow
// Of the private flags, 32 bits: remote checksum offload, with four bytes of its own.
inline constexpr std::uint32_t kRemoteChecksum = 0x80000000;
}  // namespace gue

// Version 0. Version 1 has no header: the first bits are those of the IP header that follows.
struct GueHeader {
    std::uint8_t version_control_words;  // 2 bits, 1 bit, 5 bits: what follows in words of 4 bytes
    std::uint8_t protocol;               // an IP protocol, or a control message's type
    Be16 flags;
};

static_assert(kIsWireHeader<GueHeader, 4>);

// What gue::kRemoteChecksum announces, both from the end of the GUE header.
struct GueRemoteChecksum {
    Be16 start;   // where the checksum begins to count
    Be16 offset;  // where it belongs
};

static_assert(kIsWireHeader<GueRemoteChecksum, 4>);

}  // namespace culvert::net
