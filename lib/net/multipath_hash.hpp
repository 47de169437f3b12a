// SPDX-License-Identifier: BSD-3-Clause
// The hash by which one of a route's next hops is chosen (RT-09): Linux's
// fib_multipath_hash_policy 0, so that a flow, its fragments and the errors about it take one way.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/flow_hash.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace culvert::net {

// Both addresses as the machine loads them from the wire. Less than 2^31, and the same for both
// directions.
[[nodiscard]] constexpr std::uint32_t
multipath_hash_ipv4(std::uint32_t source, std::uint32_t destination) noexcept {
    return flow_hash_ipv4({source, 0}, {destination, 0}, 0) >> 1;
}

// ip6_multipath_l3_keys(): the addresses, the flow label and the next header.
[[nodiscard]] constexpr std::uint32_t multipath_hash_ipv6(
    const std::array<std::uint8_t, 16>& source,
    const std::array<std::uint8_t, 16>& destination,
    std::uint32_t flow_label,
    std::uint8_t next_header
) noexcept {
    const auto mix_end = [](const std::array<std::uint8_t, 16>& end) {
        const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(end);
        return detail::mix(detail::mix(0, words[0]), words[1]);
    };
    const std::uint64_t ends = mix_end(source) + mix_end(destination);
    return detail::finish(detail::mix(ends, detail::tail(next_header, 0, 0, flow_label))) >> 1;
}

// Of what is sent from here, whose further fields do not count.
[[nodiscard]] inline std::uint32_t
multipath_hash(const IpAddress& source, const IpAddress& destination) noexcept {
    if (destination.is_v4()) {
        const std::uint32_t from = source.is_v4() ? source.v4() : 0;
        return multipath_hash_ipv4(Be32{from}.raw(), Be32{destination.v4()}.raw());
    }
    return multipath_hash_ipv6(source.bytes(), destination.bytes(), 0, 0);
}

}  // namespace culvert::net
