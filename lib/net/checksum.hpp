// SPDX-License-Identifier: BSD-3-Clause
// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//
// A partial sum is a 64-bit number, congruent modulo 65535 to the sum of the data's 16-bit words as
// the machine loads them (RFC 1071, 2(B): byte order does not matter until the end). It is zero
// only if all data were zero. Sums are added with sum_add(), not with +, since the carry out of bit
// 63 counts.
#pragma once

#include "lib/net/endian.hpp"
#include "lib/net/ipv4.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace culvert::net {

// Addition with the carry brought round.
[[nodiscard]] constexpr std::uint64_t sum_add(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t sum = a + b;
    return sum + (sum < b ? 1 : 0);
}

// Adds `len` bytes, which begin at an even offset of what is summed. An odd length is right only in
// the last piece, or with sum_chain(). Reads nothing past data + len.
[[nodiscard]] std::uint64_t
sum_bytes(const void* data, std::size_t len, std::uint64_t start = 0) noexcept;

// The sum of two pieces that follow each other: `total` of the `offset` bytes before, `piece` of
// the next ones, summed by themselves. At an odd offset the piece's bytes change places in their
// words, which is a multiplication by 256.
[[nodiscard]] constexpr std::uint64_t
sum_chain(std::uint64_t total, std::uint64_t piece, std::size_t offset) noexcept {
    return sum_add(total, (offset & 1) != 0 ? std::rotl(piece, 8) : piece);
}

// The 16-bit sum, in the machine's order; not yet complemented.
[[nodiscard]] constexpr std::uint16_t sum_fold(std::uint64_t sum) noexcept {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
}

// What belongs into a checksum field whose bytes were zero, or left out, in `sum`.
[[nodiscard]] inline Be16 checksum_from_sum(std::uint64_t sum) noexcept {
    return Be16::from_raw(static_cast<std::uint16_t>(~sum_fold(sum)));
}

// The same for UDP: a result of 0 is sent as 0xffff, since 0 says that there is none (RFC 768).
[[nodiscard]] inline Be16 udp_checksum_from_sum(std::uint64_t sum) noexcept {
    const auto checksum = static_cast<std::uint16_t>(~sum_fold(sum));
    return Be16::from_raw(checksum == 0 ? std::uint16_t{0xffff} : checksum);
}

// Whether data that include their checksum (and pseudo header) sum up to all ones.
[[nodiscard]] constexpr bool sum_is_valid(std::uint64_t sum) noexcept {
    return sum_fold(sum) == 0xffff;
}

namespace detail {

template <typename Unsigned>
[[nodiscard]] inline Unsigned load(const void* data) noexcept {
    // NOLINTNEXTLINE(cppcoreguidelines-init-variables,cppcoreguidelines-pro-type-member-init)
    Unsigned value;  // written whole below
    std::memcpy(&value, data, sizeof(value));
    return value;
}

}  // namespace detail

// The sum of the 20 bytes of an IPv4 header without options, its checksum field left out.
[[nodiscard]] inline std::uint64_t ipv4_header_sum(const Ipv4Header& header) noexcept {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&header);
    const std::uint64_t before = detail::load<std::uint64_t>(bytes);
    const std::uint64_t ttl_protocol = detail::load<std::uint16_t>(bytes + 8);
    const std::uint64_t addresses = detail::load<std::uint64_t>(bytes + 12);
    return sum_add(sum_add(before, addresses), ttl_protocol);
}

// The checksum that belongs into `header`, whatever its field holds now. `len` counts the options
// that follow the header in memory (header_len_bytes()); it is a multiple of 4, at least 20.
[[nodiscard]] inline Be16
ipv4_header_checksum(const Ipv4Header& header, std::size_t len = sizeof(Ipv4Header)) noexcept {
    std::uint64_t sum = ipv4_header_sum(header);
    if (len > sizeof(Ipv4Header)) [[unlikely]] {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&header);
        sum = sum_bytes(bytes + sizeof(Ipv4Header), len - sizeof(Ipv4Header), sum);
    }
    return checksum_from_sum(sum);
}

// Whether a received header's checksum is right. `len` as above.
[[nodiscard]] inline bool ipv4_header_checksum_is_valid(
    const Ipv4Header& header, std::size_t len = sizeof(Ipv4Header)
) noexcept {
    std::uint64_t sum = sum_add(ipv4_header_sum(header), header.checksum.raw());
    if (len > sizeof(Ipv4Header)) [[unlikely]] {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&header);
        sum = sum_bytes(bytes + sizeof(Ipv4Header), len - sizeof(Ipv4Header), sum);
    }
    return sum_is_valid(sum);
}

// The pseudo header of TCP and UDP over IPv4 (RFC 9293, 3.1). `length`: transport header and
// payload, bytes.
[[nodiscard]] inline std::uint64_t pseudo_header_sum_v4(
    Be32 source, Be32 destination, std::uint8_t protocol, std::uint16_t length
) noexcept {
    return std::uint64_t{source.raw()} + destination.raw() + Be16{protocol}.raw() +
           Be16{length}.raw();
}

// The pseudo header over IPv6 (RFC 8200, 8.1).
[[nodiscard]] inline std::uint64_t pseudo_header_sum_v6(
    const std::array<std::uint8_t, 16>& source,
    const std::array<std::uint8_t, 16>& destination,
    std::uint8_t next_header,
    std::uint32_t length
) noexcept {
    std::uint64_t sum = std::uint64_t{Be32{length}.raw()} + Be16{next_header}.raw();
    sum = sum_add(sum, detail::load<std::uint64_t>(source.data()));
    sum = sum_add(sum, detail::load<std::uint64_t>(source.data() + 8));
    sum = sum_add(sum, detail::load<std::uint64_t>(destination.data()));
    return sum_add(sum, detail::load<std::uint64_t>(destination.data() + 8));
}

// RFC 1624, equation 3, for a changed 16-bit field at an even offset. A byte that changes counts as
// the field it is half of; the other half may be given as 0 in both. For UDP, a result of 0 is
// still to be written as 0xffff.
[[nodiscard]] inline Be16
checksum_update(Be16 old_checksum, Be16 old_field, Be16 new_field) noexcept {
    const auto kept = static_cast<std::uint16_t>(~old_checksum.raw());
    const auto removed = static_cast<std::uint16_t>(~old_field.raw());
    return checksum_from_sum(std::uint64_t{kept} + removed + new_field.raw());
}

// The same for a 32-bit field, such as an address.
[[nodiscard]] inline Be16
checksum_update(Be16 old_checksum, Be32 old_field, Be32 new_field) noexcept {
    const auto kept = static_cast<std::uint16_t>(~old_checksum.raw());
    return checksum_from_sum(std::uint64_t{kept} + (~old_field.raw()) + new_field.raw());
}

}  // namespace culvert::net
