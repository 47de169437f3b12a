// SPDX-License-Identifier: BSD-3-Clause
// GRE version 0 (RFC 2784, 2890).
#pragma once

#include "lib/net/endian.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

// Masks of `flags_and_version` in host order (GRE-HDR-01).
namespace gre {
inline constexpr std::uint16_t kChecksum = 0x8000;
inline constexpr std::uint16_t kRouting = 0x4000;
inline constexpr std::uint16_t kKey = 0x2000;
inline constexpr std::uint16_t kSequence = 0x1000;
inline constexpr std::uint16_t kStrictRoute = 0x0800;
inline constexpr std::uint16_t kRecursion = 0x0700;
inline constexpr std::uint16_t kAcknowledgment = 0x0080;  // version 1 only
inline constexpr std::uint16_t kReserved = 0x0078;
inline constexpr std::uint16_t kVersion = 0x0007;
inline constexpr std::uint16_t kProtocolWccp = 0x883e;
}  // namespace gre

// The base header. Present by flag, in this order, 4 bytes each: checksum and reserved1, key,
// sequence.
struct GreHeader {
    Be16 flags_and_version;
    Be16 protocol;  // an EtherType
};

static_assert(kIsWireHeader<GreHeader, 4>);

// The optional word that the C flag announces.
struct GreChecksumField {
    Be16 checksum;  // over the GRE header and the payload
    Be16 reserved;
};

static_assert(kIsWireHeader<GreChecksumField, 4>);

// Bytes of the whole header for these flags: 4 + 4 for each of C, K and S (GRE-HDR-02).
[[nodiscard]] constexpr std::size_t gre_header_len_bytes(std::uint16_t flags) noexcept {
    return 4 + ((flags & gre::kChecksum) != 0 ? 4U : 0U) + ((flags & gre::kKey) != 0 ? 4U : 0U) +
           ((flags & gre::kSequence) != 0 ? 4U : 0U);
}

}  // namespace culvert::net
