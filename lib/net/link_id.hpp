// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace culvert {

// A link's number: the ifindex users see. 0 = no link. Reused only after a grace period.
using LinkId = std::uint16_t;
inline constexpr LinkId kNoLink = 0;
inline constexpr std::uint32_t kMaxLinks = 16384;

}  // namespace culvert
