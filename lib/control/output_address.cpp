// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

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
    add(address.deprecated, "deprecated");
    add(address.tentative, "tentative");
    add(address.valid_until_ms != 0, "dynamic");
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
            return earlier.address.network() == address.network();
        });
        found.push_back({address, secondary});
    }
    if (family != 4) {
        add_ip6(context, link, found);
    }
    return found;
}

namespace {

// Whole seconds, as the kernel counts them down.
std::optional<std::uint64_t> seconds_left(std::uint64_t until_ms, std::uint64_t now_ms) {
    if (until_ms == 0) {
        return std::nullopt;
    }
    return until_ms > now_ms ? (until_ms - now_ms + 999) / 1000 : 0;
}

std::string lifetime_text(std::optional<std::uint64_t> seconds) {
    return seconds ? fmt::format("{}sec", *seconds) : "forever";
}

// With a lifetime of 0 an address would be preferred for ever, were it not deprecated.
std::optional<std::uint64_t> preferred_left(const route::Address& address, std::uint64_t now_ms) {
    return address.deprecated ? 0 : seconds_left(address.preferred_until_ms, now_ms);
}

}  // namespace

std::string address_text(const Context& context, const ShownAddress& shown) {
    const route::Address& address = shown.address;
    std::string flags;
    for (const std::string_view flag : flags_of(shown)) {
        flags += fmt::format("{} ", flag);
    }
    return fmt::format(
        "    {} {}{}/{} {}scope {} {}{}\n       valid_lft {} preferred_lft {}\n",
        family_name(address),
        address.prefix.address.to_string(),
        address.peer ? fmt::format(" peer {}", address.peer->to_string()) : "",
        address.prefix.length,
        address.broadcast ? fmt::format("brd {} ", address.broadcast->to_string()) : "",
        address.scope,
        flags,
        address.prefix.address.is_v4() ? address.label : "",
        lifetime_text(seconds_left(address.valid_until_ms, context.core.now_ms())),
        lifetime_text(preferred_left(address, context.core.now_ms()))
    );
}

Json address_json(const Context& context, const ShownAddress& shown) {
    const route::Address& address = shown.address;
    Json json;
    json["family"] = family_name(address);
    json["local"] = address.prefix.address.to_string();
    if (address.peer) {
        json["address"] = address.peer->to_string();
    }
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
    constexpr std::uint64_t kForever = std::numeric_limits<std::uint32_t>::max();
    const std::uint64_t now_ms = context.core.now_ms();
    json["valid_life_time"] = seconds_left(address.valid_until_ms, now_ms).value_or(kForever);
    json["preferred_life_time"] = preferred_left(address, now_ms).value_or(kForever);
    return json;
}

}  // namespace culvert::control
