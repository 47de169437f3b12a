// SPDX-License-Identifier: BSD-3-Clause
// Neighbours as ip(8) prints them (UI-NEI-03).
#pragma once

#include "lib/control/command_context.hpp"

#include <string>
#include <string_view>

namespace culvert::control {

// "REACHABLE"
std::string_view state_name(route::NeighbourState state);

std::string
neighbour_text(const Context& context, const route::Neighbour& neighbour, bool with_device);
// An entry of proxies.
std::string
proxy_text(const Context& context, const route::NeighbourTable::Proxy& proxy, bool with_device);
Json proxy_json(
    const Context& context, const route::NeighbourTable::Proxy& proxy, bool with_device
);
Json neighbour_json(const Context& context, const route::Neighbour& neighbour, bool with_device);

}  // namespace culvert::control
