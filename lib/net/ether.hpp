// SPDX-License-Identifier: BSD-3-Clause
// Ethernet II and 802.1Q.
#pragma once

#include "lib/net/endian.hpp"
#include "lib/net/result.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace culvert::net {

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    // "02:00:00:00:00:01" (also "-" between the bytes). Error EINVAL.
    static Result<MacAddress> parse(std::string_view text);
    [[nodiscard]] std::string to_string() const;

    // The 48 bits as a number, first byte on the wire highest.
    [[nodiscard]] constexpr std::uint64_t value() const noexcept {
        using Halves = std::array<std::array<std::uint8_t, 2>, 3>;
        const auto halves = std::bit_cast<Halves>(bytes);
        std::uint64_t number = 0;
        for (const auto& half : halves) {
            number = (number << 16) | std::bit_cast<Be16>(half).host();
        }
        return number;
    }

    static constexpr MacAddress from_value(std::uint64_t number) noexcept {
        MacAddress mac;
        for (std::size_t i = 0; i < 6; ++i) {
            mac.bytes[i] = static_cast<std::uint8_t>(number >> (8 * (5 - i)));
        }
        return mac;
    }

    [[nodiscard]] constexpr bool is_zero() const noexcept { return value() == 0; }

    [[nodiscard]] constexpr bool is_multicast() const noexcept { return (bytes[0] & 1) != 0; }

    [[nodiscard]] constexpr bool is_broadcast() const noexcept { return value() == 0xffffffffffff; }

    // A station's address: neither zero nor a group (is_valid_ether_addr).
    [[nodiscard]] constexpr bool is_valid_station() const noexcept {
        return !is_zero() && !is_multicast();
    }

    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

inline constexpr MacAddress kBroadcastMac = MacAddress::from_value(0xffffffffffff);

namespace ether_type {
inline constexpr std::uint16_t kIpv4 = 0x0800;
inline constexpr std::uint16_t kArp = 0x0806;
inline constexpr std::uint16_t kTeb = 0x6558;
inline constexpr std::uint16_t kVlan = 0x8100;
inline constexpr std::uint16_t kIpv6 = 0x86dd;
inline constexpr std::uint16_t kQinq = 0x88a8;
}  // namespace ether_type

struct EtherHeader {
    MacAddress destination;
    MacAddress source;
    Be16 type{};
};

static_assert(kIsWireHeader<EtherHeader, 14>);

// What follows an EtherType of 0x8100 or 0x88a8 (802.1Q 9.6).
struct VlanHeader {
    Be16 tci;  // PCP 3 bits, DEI 1, VID 12
    Be16 type;
};

static_assert(kIsWireHeader<VlanHeader, 4>);

}  // namespace culvert::net
