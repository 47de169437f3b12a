// SPDX-License-Identifier: BSD-3-Clause
// Numbers as they lie on the wire: big-endian, alignment 1. Conversion is explicit both ways, so
// that a host-order number cannot be written into a header by mistake.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace culvert::net {

template <typename Unsigned>
class BigEndian {
public:
    BigEndian() = default;

    // From a host-order number.
    constexpr explicit BigEndian(Unsigned host) noexcept
        : bytes_{} {
        if (!std::is_constant_evaluated() && std::endian::native == std::endian::little) {
            if constexpr (sizeof(Unsigned) == 2) {
                *this = from_raw(__builtin_bswap16(host));
                return;
            } else if constexpr (sizeof(Unsigned) == 4) {
                *this = from_raw(__builtin_bswap32(host));
                return;
            }
        }
        for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
            bytes_[i] = static_cast<std::uint8_t>(host >> (8 * (sizeof(Unsigned) - 1 - i)));
        }
    }

    // The number in host order.
    [[nodiscard]] constexpr Unsigned host() const noexcept {
        if (!std::is_constant_evaluated() && std::endian::native == std::endian::little) {
            if constexpr (sizeof(Unsigned) == 2) {
                return __builtin_bswap16(raw());
            } else if constexpr (sizeof(Unsigned) == 4) {
                return __builtin_bswap32(raw());
            }
        }
        Unsigned value = 0;
        for (std::uint8_t byte : bytes_) {
            value = static_cast<Unsigned>((value << 8) | byte);
        }
        return value;
    }

    // The bytes as the machine loads them; what DPDK calls rte_be16_t, rte_be32_t.
    [[nodiscard]] Unsigned raw() const noexcept {
        Unsigned value;  // NOLINT(cppcoreguidelines-init-variables): written whole below
        std::memcpy(&value, bytes_, sizeof(value));
        return value;
    }

    static BigEndian from_raw(Unsigned raw) noexcept {
        BigEndian value{};
        std::memcpy(value.bytes_, &raw, sizeof(raw));
        return value;
    }

    friend constexpr bool operator==(const BigEndian& a, const BigEndian& b) noexcept {
        return std::is_constant_evaluated() ? a.host() == b.host() : a.raw() == b.raw();
    }

private:
    std::uint8_t bytes_[sizeof(Unsigned)];
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;

// A header struct may be laid over packet bytes only if it is exactly N bytes, has no padding and
// needs no alignment.
template <typename Header, std::size_t N>
inline constexpr bool
    kIsWireHeader = sizeof(Header) == N && alignof(Header) == 1 &&
                    std::is_trivially_copyable_v<Header>&& std::is_standard_layout_v<
                        Header>&& std::has_unique_object_representations_v<Header>;

static_assert(kIsWireHeader<Be16, 2> && kIsWireHeader<Be32, 4>);

}  // namespace culvert::net
