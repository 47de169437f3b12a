// SPDX-License-Identifier: BSD-3-Clause
// A packet that ends here and whose sender is to hear of it: a worker says what (Worker::
// drop_and_tell), control decides whether, and makes the message (control/icmp_errors.hpp).
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/link_id.hpp"
#include "lib/pipeline/drop.hpp"
#include "lib/pipeline/note.hpp"

#include <cstdint>

namespace culvert::pipeline {

// ICMP's numbers for an IPv4 packet, ICMPv6's for an IPv6 one.
struct IcmpError {
    std::uint8_t type = 0;
    std::uint8_t code = 0;
    std::uint32_t info = 0;  // next-hop MTU
    // The bytes in front of its IP header are those it was received with: a link-layer group is not
    // answered.
    bool as_received = true;
};

[[nodiscard]] constexpr IcmpError unreachable(std::uint8_t code) noexcept {
    return {.type = net::icmp_type::kDestinationUnreachable, .code = code};
}

[[nodiscard]] constexpr IcmpError unreachable6(std::uint8_t code) noexcept {
    return {.type = net::icmpv6_type::kDestinationUnreachable, .code = code};
}

[[nodiscard]] constexpr IcmpError fragmentation_needed(std::uint32_t mtu) noexcept {
    return {
        .type = net::icmp_type::kDestinationUnreachable,
        .code = net::icmp_unreachable::kFragmentationNeeded,
        .info = mtu};
}

inline constexpr IcmpError kTimeExceeded{.type = net::icmp_type::kTimeExceeded};

// Of a packet that goes to control as Punt::icmp_error; in its private area.
struct IcmpDemand {
    IcmpError error;
    LinkId link = kNoLink;  // which the drop counts on
    Drop reason = Drop::shutdown;
};

inline IcmpDemand& icmp_demand_of(rte_mbuf* packet) noexcept {
    static_assert(sizeof(IcmpDemand) <= kPrivateSize);
    return *static_cast<IcmpDemand*>(rte_mbuf_to_priv(packet));
}

}  // namespace culvert::pipeline
