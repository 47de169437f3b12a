// SPDX-License-Identifier: BSD-3-Clause
// UDP (RFC 768).
#pragma once

#include "lib/net/endian.hpp"

namespace culvert::net {

struct UdpHeader {
    Be16 source;
    Be16 destination;
    Be16 length;    // header and payload, bytes
    Be16 checksum;  // 0: none was computed
};

static_assert(kIsWireHeader<UdpHeader, 8>);

}  // namespace culvert::net
