// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace culvert::control {

namespace {

std::string_view family_name(const route::Address& address) {
    return address.prefix.address.is_v4() ? "inet" : "inet6";
}

// In the order in which iproute2 prints them.
std::vector<std::string_view> flags_of(const ShownAddress& shown) {
    const route::Address& address = shown.address;
    std::vector<std::string_view> flags;
    const auto add = [&](bool is_set, std::string_view name) {
        if (is_set) {
            flags.push_back(name);
        }
    };
    add(shown.secondary, "secondary");
    add(address.nodad, "nodad");
    add(address.dad_failed, "dadfailed");
    add(address.tentative, "tentative");
    add(address.noprefixroute, "noprefixroute");
    return flags;
}

// As the kernel keeps them: the widest scope first, in it the newest.
void add_ip6(const Context& context, LinkId link, std::vector<ShownAddress>& found) {
    const std::vector<route::Address>& all = context.core.routing().addresses();
    for (const bool link_local : {false, true}) {
        for (auto at = all.rbegin(); at != all.rend(); ++at) {
            const net::IpAddress& own = at->prefix.address;
            if (at->link == link && !own.is_v4() && own.is_link_local_v6() == link_local) {
                found.push_back({*at, false});
            }
        }
    }
}

}  // namespace

std::vector<ShownAddress> addresses_of(const Context& context, LinkId link, int family) {
    std::vector<ShownAddress> found;
    for (const route::Address& address : context.core.routing().addresses()) {
        if (address.link != link || !address.prefix.address.is_v4() || family == 6) {
            continue;
        }
        bool secondary = std::any_of(found.begin(), found.end(), [&](const ShownAddress& earlier) {
            return earlier.address.prefix.network() == address.prefix.network();
        });
        found.push_back({address, secondary});
    }
    if (family != 4) {
        add_ip6(context, link, found);
    }
    return found;
}

std::string address_text(const ShownAddress& shown) {
    const route::Address& address = shown.address;
    std::string flags;
    for (const std::string_view flag : flags_of(shown)) {
        flags += fmt::format("{} ", flag);
    }
    return fmt::format(
        "    {} {}/{} {}scope {} {}{}\n       valid_lft forever preferred_lft forever\n",
        family_name(address),
        address.prefix.address.to_string(),
        address.prefix.length,
        address.broadcast ? fmt::format("brd {} ", address.broadcast->to_string()) : "",
        address.scope,
        flags,
        address.prefix.address.is_v4() ? address.label : ""
    );
}

Json address_json(const ShownAddress& shown) {
    const route::Address& address = shown.address;
    Json json;
    json["family"] = family_name(address);
    json["local"] = address.prefix.address.to_string();
    json["prefixlen"] = address.prefix.length;
    if (address.broadcast) {
        json["broadcast"] = address.broadcast->to_string();
    }
    json["scope"] = address.scope;
    for (const std::string_view flag : flags_of(shown)) {
        json[std::string(flag)] = true;
    }
    if (address.prefix.address.is_v4()) {
        json["label"] = address.label;
    }
    json["valid_life_time"] = std::numeric_limits<std::uint32_t>::max();
    json["preferred_life_time"] = std::numeric_limits<std::uint32_t>::max();
    return json;
}

}  // namespace culvert::control
