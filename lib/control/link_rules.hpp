// SPDX-License-Identifier: BSD-3-Clause
// What links*.cpp share: the kernel's limits, and how a refusal reads. For them only.
#pragma once

#include "lib/control/links.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <string>

namespace culvert::control {

inline constexpr std::uint32_t kMinLinkMtu = 68;     // ETH_MIN_MTU
inline constexpr std::uint32_t kMaxLinkMtu = 65535;  // ETH_MAX_MTU
inline constexpr unsigned kMaxNesting = 8;           // MAX_NEST_DEV

// "link add vx2: vni 42 on port 4789 is already vx1's"
inline Error refuse(std::errc code, const std::string& attempt, const std::string& why) {
    return {code, attempt + ": " + why};
}

// A station's, administered locally.
[[nodiscard]] net::MacAddress random_mac();

// Whether its addresses are in use: a member's frames belong to its bridge, and its addresses rest
// until it leaves.
[[nodiscard]] inline bool carries_ip(const LinkRecord& record) noexcept {
    return record.admin_up && record.master == kNoLink;
}

}  // namespace culvert::control
