// SPDX-License-Identifier: BSD-3-Clause
// Laying a header struct over packet bytes, with the bounds check in the same call.
#pragma once

#include "lib/net/endian.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::net {

// The header at `offset` of `data`, or nullptr if it does not lie wholly within `len` bytes.
template <typename Header>
[[nodiscard]] const Header*
header_at(const std::uint8_t* data, std::size_t len, std::size_t offset) noexcept {
    static_assert(kIsWireHeader<Header, sizeof(Header)>);
    if (offset > len || len - offset < sizeof(Header)) {
        return nullptr;
    }
    return reinterpret_cast<const Header*>(data + offset);
}

template <typename Header>
[[nodiscard]] Header* header_at(std::uint8_t* data, std::size_t len, std::size_t offset) noexcept {
    static_assert(kIsWireHeader<Header, sizeof(Header)>);
    if (offset > len || len - offset < sizeof(Header)) {
        return nullptr;
    }
    return reinterpret_cast<Header*>(data + offset);
}

}  // namespace culvert::net
