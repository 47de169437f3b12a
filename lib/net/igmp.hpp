// SPDX-License-Identifier: BSD-3-Clause
// IGMP version 3 (RFC 3376), and what of 1 and 2 (RFC 1112, 2236) is told from it. MLD version 2
// (RFC 3810) has the same record types.
#pragma once

#include "lib/net/endian.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

namespace igmp {
inline constexpr std::uint8_t kQuery = 0x11;
inline constexpr std::uint8_t kReport1 = 0x12;
inline constexpr std::uint8_t kReport2 = 0x16;
inline constexpr std::uint8_t kLeave2 = 0x17;
inline constexpr std::uint8_t kReport3 = 0x22;
}  // namespace igmp

// Record types (RFC 3376 4.2.12, RFC 3810 5.2.12), all without sources.
namespace group_record {
inline constexpr std::uint8_t kIsExclude = 2;
inline constexpr std::uint8_t kToInclude = 3;  // left
inline constexpr std::uint8_t kToExclude = 4;  // joined
}  // namespace group_record

// A message of version 1 or 2, and how a query of version 3 begins, which has 4 bytes more.
struct IgmpHeader {
    std::uint8_t type;
    std::uint8_t code;  // of a query: the time to answer in, tenths of a second
    Be16 checksum;      // over the message
    Be32 group;         // version 3's report: 0, and the number of records
};

static_assert(kIsWireHeader<IgmpHeader, 8>);

struct IgmpRecord {
    std::uint8_t type;
    std::uint8_t auxiliary_words;
    Be16 sources;
    Be32 group;
};

static_assert(kIsWireHeader<IgmpRecord, 8>);

}  // namespace culvert::net
