// SPDX-License-Identifier: BSD-3-Clause
// Explicit congestion notification through a tunnel: RFC 6040's decapsulation as Linux 6.1 does it,
// and RFC 3168's compatible encapsulation (TUN-ECN-01..06).
#pragma once

#include "lib/net/checksum.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"

#include <array>
#include <cstdint>

namespace culvert::net {

inline constexpr std::uint8_t kEcnMask = 3;
inline constexpr std::uint8_t kEcnNotEct = 0;
inline constexpr std::uint8_t kEcnEct1 = 1;
inline constexpr std::uint8_t kEcnEct0 = 2;
inline constexpr std::uint8_t kEcnCe = 3;

struct EcnResult {
    std::uint8_t ecn;  // what the inner header shall say; meaningless if drop
    bool drop;         // congestion was marked on a packet that cannot say so
    bool log;          // worth a line in the log; set with drop too
    friend constexpr bool operator==(const EcnResult&, const EcnResult&) = default;
};

// The outer TOS or traffic class: DSCP from `outer_tos`, ECN from the inner header, where CE
// becomes ECT(0). For an inner packet that is not IP pass inner_tos 0. The two low bits of
// `outer_tos` never leave (TUN-ECN-05, -06).
[[nodiscard]] constexpr std::uint8_t
ecn_encapsulate(std::uint8_t outer_tos, std::uint8_t inner_tos) noexcept {
    const std::uint8_t inner = inner_tos & kEcnMask;
    const std::uint8_t ecn = inner == kEcnCe ? kEcnEct0 : inner;
    return static_cast<std::uint8_t>((outer_tos & ~kEcnMask) | ecn);
}

// What an inner IP packet becomes under this outer TOS. An inner packet that is not IP is not to be
// asked about (TUN-ECN-04).
[[nodiscard]] constexpr EcnResult
ecn_decapsulate(std::uint8_t outer_tos, std::uint8_t inner_tos) noexcept {
    constexpr EcnResult kLogged{kEcnNotEct, false, true};
    constexpr EcnResult kDropped{kEcnNotEct, true, true};
    constexpr EcnResult kToEct1{kEcnEct1, false, false};
    constexpr EcnResult kToEct0{kEcnEct0, false, false};
    constexpr EcnResult kToCe{kEcnCe, false, false};
    // Index: inner * 4 + outer.
    constexpr std::array<EcnResult, 16> kTable{{
        {kEcnNotEct, false, false},
        kLogged,
        kLogged,
        kDropped,
        kToEct1,
        kToEct1,
        kToEct1,
        kToCe,
        kToEct0,
        kToEct1,
        kToEct0,
        kToCe,
        kToCe,
        kToCe,
        kToCe,
        kToCe,
    }};
    const std::size_t inner = inner_tos & kEcnMask;
    const std::size_t outer = outer_tos & kEcnMask;
    return kTable[inner * 4 + outer];
}

// Writes the ECN field and corrects the header checksum by the difference (TUN-ECN-03).
inline void set_ecn(Ipv4Header& header, std::uint8_t ecn) noexcept {
    const std::uint8_t old_tos = header.type_of_service;
    const auto new_tos = static_cast<std::uint8_t>((old_tos & ~kEcnMask) | (ecn & kEcnMask));
    if (new_tos == old_tos) {
        return;
    }
    header.type_of_service = new_tos;
    header.checksum = checksum_update(header.checksum, Be16{old_tos}, Be16{new_tos});
}

// IPv6 has no header checksum.
inline void set_ecn(Ipv6Header& header, std::uint8_t ecn) noexcept {
    constexpr std::uint32_t kFieldMask = std::uint32_t{kEcnMask} << 20;
    const std::uint32_t word = header.version_class_flow.host() & ~kFieldMask;
    header.version_class_flow = Be32{word | (std::uint32_t{ecn} << 20 & kFieldMask)};
}

}  // namespace culvert::net
