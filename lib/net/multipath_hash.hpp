// SPDX-License-Identifier: BSD-3-Clause
// The hash by which one of a route's next hops is chosen (RT-09):
// net.ipv4.fib_multipath_hash_policy and IPv6's. By policy 0, which is the default, a flow, its
// fragments and the errors about it take one way.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/flow_hash.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace culvert::net {

enum class MultipathPolicy : std::uint8_t {
    l3,        // the addresses
    l4,        // and the ports
    inner_l3,  // the addresses of what is inside, if that is IP
    custom,    // what MultipathHashing::fields says
};

// The bits of net.ipv4.fib_multipath_hash_fields.
namespace multipath_field {
inline constexpr std::uint16_t kSourceIp = 0x001;
inline constexpr std::uint16_t kDestinationIp = 0x002;
inline constexpr std::uint16_t kProtocol = 0x004;
inline constexpr std::uint16_t kFlowLabel = 0x008;
inline constexpr std::uint16_t kSourcePort = 0x010;
inline constexpr std::uint16_t kDestinationPort = 0x020;
inline constexpr std::uint16_t kOuter = 0x03f;
inline constexpr std::uint16_t kInner = kOuter << 6;  // the same six of what is inside
inline constexpr std::uint16_t kAll = kOuter | kInner;
inline constexpr std::uint16_t kDefault = kSourceIp | kDestinationIp | kProtocol;
}  // namespace multipath_field

// Of one family.
struct MultipathHashing {
    MultipathPolicy policy = MultipathPolicy::l3;
    std::uint16_t fields = multipath_field::kDefault;

    friend bool operator==(const MultipathHashing&, const MultipathHashing&) = default;
};

// Of both, read and written as one word. worker: ro, control: wo
struct MultipathSettings {
    MultipathHashing ip4;
    MultipathHashing ip6;

    friend bool operator==(const MultipathSettings&, const MultipathSettings&) = default;
};

using SharedMultipathSettings = std::atomic<MultipathSettings>;
static_assert(SharedMultipathSettings::is_always_lock_free);

// What of a packet may decide.
struct FlowKeys {
    std::array<std::uint8_t, 16> source{};  // IPv4's in the first four
    std::array<std::uint8_t, 16> destination{};
    std::uint32_t flow_label = 0;
    std::uint16_t source_port = 0;  // as on the wire
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 0;
    bool is_ip = false;  // false: nothing else is set
    bool is_ip6 = false;
    bool has_inner = false;  // there is IP, or GRE, inside: the keys are the outer packet's
};

// Of the packet at l3_offset (`inside`: of the innermost one in it, as far as can be seen: IP in
// IP, and GRE). Fragments have no ports.
[[nodiscard]] FlowKeys read_flow_keys(
    const std::uint8_t* data,
    std::size_t len,
    std::uint16_t l3_offset,
    std::uint16_t ether_type,
    bool inside
) noexcept;

// Policies 1 to 3 of a packet that is forwarded. Less than 2^31, and the same for both directions.
[[nodiscard]] std::uint32_t multipath_hash(
    const MultipathHashing& hashing,
    const std::uint8_t* data,
    std::size_t len,
    std::uint16_t l3_offset,
    std::uint16_t ether_type
) noexcept;

// Of what is sent from here with these keys, by any policy; what is inside is not looked at.
[[nodiscard]] std::uint32_t
multipath_hash(const MultipathHashing& hashing, const FlowKeys& flow) noexcept;

// With the hash of the flow inside (flowi4_multipath_hash).
[[nodiscard]] constexpr std::uint32_t
mix_multipath_hash(std::uint32_t hash, std::uint32_t inner) noexcept {
    return detail::finish(detail::mix(hash, inner)) >> 1;
}

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

// Of what is sent from here, and has no ports.
[[nodiscard]] FlowKeys
flow_keys(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol) noexcept;

// Of what is sent from here by policy 0.
[[nodiscard]] inline std::uint32_t
multipath_hash(const IpAddress& source, const IpAddress& destination) noexcept {
    if (destination.is_v4()) {
        const std::uint32_t from = source.is_v4() ? source.v4() : 0;
        return multipath_hash_ipv4(Be32{from}.raw(), Be32{destination.v4()}.raw());
    }
    return multipath_hash_ipv6(source.bytes(), destination.bytes(), 0, 0);
}

}  // namespace culvert::net
