// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace culvert::control {

std::vector<ShownAddress> addresses_of(const Context& context, LinkId link) {
    std::vector<ShownAddress> found;
    for (const route::Address& address : context.core.routing().addresses()) {
        if (address.link != link) {
            continue;
        }
        bool secondary = std::any_of(found.begin(), found.end(), [&](const ShownAddress& earlier) {
            return earlier.address.prefix.network() == address.prefix.network();
        });
        found.push_back({address, secondary});
    }
    return found;
}

std::string address_text(const ShownAddress& shown) {
    const route::Address& address = shown.address;
    return fmt::format(
        "    {} {}/{} {}scope {} {}{}{}\n       valid_lft forever preferred_lft forever\n",
        address.prefix.address.is_v4() ? "inet" : "inet6",
        address.prefix.address.to_string(),
        address.prefix.length,
        address.broadcast ? fmt::format("brd {} ", address.broadcast->to_string()) : "",
        address.scope,
        shown.secondary ? "secondary " : "",
        address.noprefixroute ? "noprefixroute " : "",
        address.label
    );
}

Json address_json(const ShownAddress& shown) {
    const route::Address& address = shown.address;
    Json json;
    json["family"] = address.prefix.address.is_v4() ? "inet" : "inet6";
    json["local"] = address.prefix.address.to_string();
    json["prefixlen"] = address.prefix.length;
    if (address.broadcast) {
        json["broadcast"] = address.broadcast->to_string();
    }
    json["scope"] = address.scope;
    if (shown.secondary) {
        json["secondary"] = true;
    }
    if (address.noprefixroute) {
        json["noprefixroute"] = true;
    }
    json["label"] = address.label;
    json["valid_life_time"] = std::numeric_limits<std::uint32_t>::max();
    json["preferred_life_time"] = std::numeric_limits<std::uint32_t>::max();
    return json;
}

}  // namespace culvert::control
