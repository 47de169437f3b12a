// SPDX-License-Identifier: BSD-3-Clause
// `via` and `nexthop` of the route commands.
#pragma once

#include "lib/control/command_context.hpp"
#include "lib/net/address.hpp"
#include "lib/route/routing.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

// A gateway is of the route's family, unless `inet` or `inet6` before it says of which it is.
Result<void>
check_gateway(bool is_v4_route, const net::IpAddress& gateway, std::string_view modifier);

// The words behind the first `nexthop`.
Result<std::vector<route::NextHop>>
read_next_hops(Context& context, std::span<const std::string> words, bool is_v4);

}  // namespace culvert::control
