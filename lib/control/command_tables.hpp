// SPDX-License-Identifier: BSD-3-Clause
// What commands say of routing tables: `table T`, `vrf NAME`.
#pragma once

#include "lib/control/command_context.hpp"

#include <optional>
#include <string_view>

namespace culvert::control {

// Error EINVAL: it is no VRF; ENODEV.
[[nodiscard]] Result<LinkId> named_vrf(const Context& context, std::string_view name);
// Nothing, if neither is said, or `table all`. Errors as named_vrf(), and EINVAL for both at once.
[[nodiscard]] Result<std::optional<route::TableId>>
routing_table(Context& context, const Arguments& arguments);

}  // namespace culvert::control
