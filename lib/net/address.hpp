// SPDX-License-Identifier: BSD-3-Clause
// One address type for both families, from parsing to table keys.
#pragma once

#include "lib/net/endian.hpp"
#include "lib/net/result.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace culvert::net {

enum class Family : std::uint8_t { ipv4, ipv6 };

// 16 bytes, wire order. IPv4 lies in the IPv4-mapped range (RFC 4291 2.5.5.2), so equal addresses
// have equal bytes and the family needs no field of its own. A default-constructed address is "::",
// used for "none".
class IpAddress {
public:
    constexpr IpAddress() = default;

    // From an IPv4 address in host order: 0xc0000201 is 192.0.2.1.
    static constexpr IpAddress from_v4(std::uint32_t host) noexcept {
        IpAddress address;
        address.bytes_[10] = 0xff;
        address.bytes_[11] = 0xff;
        for (std::size_t i = 0; i < 4; ++i) {
            address.bytes_[12 + i] = static_cast<std::uint8_t>(host >> (8 * (3 - i)));
        }
        return address;
    }

    static constexpr IpAddress from_v6(const std::array<std::uint8_t, 16>& wire) noexcept {
        IpAddress address;
        address.bytes_ = wire;
        return address;
    }

    // Dotted quad or RFC 4291 2.2 text; "any" is 0.0.0.0. Error EINVAL.
    static Result<IpAddress> parse(std::string_view text);
    // Dotted quad or RFC 5952 text.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] constexpr bool is_v4() const noexcept {
        for (std::size_t i = 0; i < 10; ++i) {
            if (bytes_[i] != 0) {
                return false;
            }
        }
        return bytes_[10] == 0xff && bytes_[11] == 0xff;
    }

    // Whether it is this one. Two comparisons: workers ask.
    [[nodiscard]] bool is_v4(Be32 address) const noexcept {
        constexpr auto kPrefix = std::bit_cast<std::array<std::uint64_t, 2>>(from_v4(0).bytes_);
        const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(bytes_);
        const auto suffix = std::bit_cast<std::array<std::uint32_t, 2>>(words[1]);
        const auto prefix = std::bit_cast<std::array<std::uint32_t, 2>>(kPrefix[1]);
        return words[0] == 0 && suffix[0] == prefix[0] && suffix[1] == address.raw();
    }

    [[nodiscard]] constexpr Family family() const noexcept {
        return is_v4() ? Family::ipv4 : Family::ipv6;
    }

    // Host order. Precondition: is_v4().
    [[nodiscard]] constexpr std::uint32_t v4() const noexcept {
        return (std::uint32_t{bytes_[12]} << 24) | (std::uint32_t{bytes_[13]} << 16) |
               (std::uint32_t{bytes_[14]} << 8) | bytes_[15];
    }

    // Wire order.
    [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const noexcept {
        return bytes_;
    }

    // 0.0.0.0 or "::".
    [[nodiscard]] constexpr bool is_unspecified() const noexcept {
        for (std::size_t i = 12; i < 16; ++i) {
            if (bytes_[i] != 0) {
                return false;
            }
        }
        if (is_v4()) {
            return true;
        }
        for (std::size_t i = 0; i < 12; ++i) {
            if (bytes_[i] != 0) {
                return false;
            }
        }
        return true;
    }

    // 224.0.0.0/4 or ff00::/8.
    [[nodiscard]] constexpr bool is_multicast() const noexcept {
        return is_v4() ? (bytes_[12] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
    }

    // fe80::/10.
    [[nodiscard]] constexpr bool is_link_local_v6() const noexcept {
        return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
    }

    // ::a.b.c.d (RFC 4291 2.5.5.1), but for :: and ::1.
    [[nodiscard]] constexpr bool is_v4_compatible() const noexcept {
        for (std::size_t i = 0; i < 12; ++i) {
            if (bytes_[i] != 0) {
                return false;
            }
        }
        return bytes_[12] != 0 || bytes_[13] != 0 || bytes_[14] != 0 || bytes_[15] > 1;
    }

    // 127.0.0.0/8 or ::1.
    [[nodiscard]] bool is_loopback() const noexcept;

    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

    // As two numbers: the default is a call of memcmp(), and workers compare.
    friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) noexcept {
        using Words = std::array<std::uint64_t, 2>;
        const auto one = std::bit_cast<Words>(a.bytes_);
        const auto other = std::bit_cast<Words>(b.bytes_);
        return ((one[0] ^ other[0]) | (one[1] ^ other[1])) == 0;
    }

private:
    std::array<std::uint8_t, 16> bytes_{};
};

static_assert(sizeof(IpAddress) == 16 && std::has_unique_object_representations_v<IpAddress>);

// An address and a length in bits of its own family (0..32 or 0..128).
struct Prefix {
    IpAddress address;
    std::uint8_t length = 0;

    // "10.0.0.0/8"; without a length it is the host prefix; "default" and "any" are 0.0.0.0/0. Host
    // bits are kept. Error EINVAL.
    static Result<Prefix> parse(std::string_view text);
    [[nodiscard]] std::string to_string() const;
    // The same prefix without its host bits.
    [[nodiscard]] Prefix network() const noexcept;
    [[nodiscard]] bool contains(const IpAddress& other) const noexcept;

    // 32 or 128.
    [[nodiscard]] constexpr std::uint8_t max_length() const noexcept {
        return address.is_v4() ? 32 : 128;
    }

    [[nodiscard]] constexpr bool is_host() const noexcept { return length == max_length(); }

    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend constexpr auto operator<=>(const Prefix&, const Prefix&) = default;
};

}  // namespace culvert::net
