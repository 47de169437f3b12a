// SPDX-License-Identifier: BSD-3-Clause
// Addresses as ip(8) prints them.
#pragma once

#include "lib/control/command_context.hpp"

#include <string>
#include <vector>

namespace culvert::control {

struct ShownAddress {
    route::Address address;
    bool secondary = false;  // not the first of its subnet on its link
};

std::vector<ShownAddress> addresses_of(const Context& context, LinkId link, int family);
// The two lines of `ip addr show`.
std::string address_text(const Context& context, const ShownAddress& shown);
Json address_json(const Context& context, const ShownAddress& shown);

}  // namespace culvert::control
