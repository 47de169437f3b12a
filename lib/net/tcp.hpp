// SPDX-License-Identifier: BSD-3-Clause
// The TCP header (RFC 9293, 3.1).
#pragma once

#include "lib/net/endian.hpp"

#include <cstddef>

namespace culvert::net {

// The fixed part; up to 40 bytes of options may follow.
struct TcpHeader {
    Be16 source;
    Be16 destination;
    Be32 sequence;
    Be32 acknowledgment;
    Be16 offset_and_flags;  // data offset in 32-bit words in the upper 4 bits
    Be16 window;
    Be16 checksum;
    Be16 urgent_pointer;

    // Options included. Not validated: below 20 the header is malformed.
    [[nodiscard]] std::size_t header_len_bytes() const noexcept {
        return std::size_t{4} * (offset_and_flags.host() >> 12);
    }
};

static_assert(kIsWireHeader<TcpHeader, 20>);

}  // namespace culvert::net
