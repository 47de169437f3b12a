// SPDX-License-Identifier: BSD-3-Clause
// addr add, replace, del, show, flush (UI-ADDR-01).
#include "lib/control/command_context.hpp"
#include "lib/control/output_address.hpp"
#include "lib/control/output_link.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

namespace culvert::control {

namespace {

net::IpAddress broadcast_of(const net::Prefix& prefix) {
    std::uint32_t hosts =
        prefix.length == 0 ? 0xffffffff : (std::uint32_t{1} << (32 - prefix.length)) - 1;
    return net::IpAddress::from_v4(prefix.address.v4() | hosts);
}

struct Local {
    net::Prefix prefix;
    std::optional<net::IpAddress> peer;
};

// With a peer it is this that has the length.
Local local_of(const Arguments& arguments) {
    Local local{*arguments.get<net::Prefix>("local"), std::nullopt};
    if (const auto peer = arguments.get<net::Prefix>("peer")) {
        local.prefix.length = peer->length;
        local.peer = peer->address;
    }
    return local;
}

// Both or none of them; forever is 32 bits of ones to the kernel.
Result<void> read_lifetimes(Context& context, const Arguments& arguments, route::Address& address) {
    constexpr std::uint64_t kForever = 0xffffffff;
    for (const auto& [one, other] :
         {std::pair("valid_lft", "preferred_lft"), std::pair("preferred_lft", "valid_lft")}) {
        if (arguments.has(one) && !arguments.has(other)) {
            return syntax_error(context, fmt::format("{} is missing", other));
        }
    }
    const auto valid_s = arguments.get<std::uint64_t>("valid_lft").value_or(kForever);
    const auto preferred_s = arguments.get<std::uint64_t>("preferred_lft").value_or(kForever);
    if (preferred_s > valid_s) {
        return syntax_error(context, "preferred_lft is greater than valid_lft");
    }
    const std::uint64_t now_ms = context.core.now_ms();
    address.valid_until_ms = valid_s == kForever ? 0 : now_ms + valid_s * 1000;
    address.preferred_until_ms = preferred_s == kForever ? 0 : now_ms + preferred_s * 1000;
    address.deprecated = preferred_s == 0;
    return {};
}

Result<void> add(Context& context, const Arguments& arguments, bool replace) {
    route::Address address;
    address.link = *arguments.get<LinkId>("dev");
    const Local local = local_of(arguments);
    address.prefix = local.prefix;
    address.peer = local.peer;
    CULVERT_CHECK(read_lifetimes(context, arguments, address));
    const bool is_v4 = address.prefix.address.is_v4();
    if (is_v4 && arguments.text("broadcast") == "+" && address.prefix.length < 31) {
        address.broadcast = broadcast_of(address.network());
    } else {
        address.broadcast = arguments.get<net::IpAddress>("broadcast");
    }
    if (arguments.has("scope")) {
        address.scope = std::string(arguments.text("scope"));
    } else if (address.prefix.address.is_loopback()) {
        address.scope = "host";
    }
    address.label = arguments.has("label") ? std::string(arguments.text("label"))
                                           : context.core.links().name_of(address.link);
    address.noprefixroute = arguments.has("noprefixroute");
    address.nodad = arguments.has("nodad");
    if (is_v4 && address.nodad) {
        return Error{std::errc::invalid_argument, "nodad is for IPv6 addresses"};
    }
    return context.core.routing().add_address(address, replace);
}

// Those of `link`; family 4 or 6, 0 = both.
std::vector<route::Address> addresses_on(const route::Routing& routing, LinkId link, int family) {
    std::vector<route::Address> all = routing.addresses();
    std::erase_if(all, [&](const route::Address& address) {
        const int its_family = address.prefix.address.is_v4() ? 4 : 6;
        return address.link != link || (family != 0 && family != its_family);
    });
    return all;
}

}  // namespace

Result<void> addr_add(Context& context, const Arguments& arguments) {
    return add(context, arguments, false);
}

Result<void> addr_replace(Context& context, const Arguments& arguments) {
    return add(context, arguments, true);
}

Result<void> addr_del(Context& context, const Arguments& arguments) {
    LinkId link = *arguments.get<LinkId>("dev");
    const Local local = local_of(arguments);
    return context.core.routing().del_address(link, local.prefix, local.peer);
}

Result<void> addr_flush(Context& context, const Arguments& arguments) {
    const LinkId link = *arguments.get<LinkId>("dev");
    route::Routing& routing = context.core.routing();
    const std::vector<route::Address> gone = addresses_on(routing, link, context.options.family);
    for (const route::Address& address : gone) {
        CULVERT_CHECK(routing.del_address(link, address.prefix, address.peer));
    }
    if (context.options.statistics > 0 && !context.out.is_json()) {
        context.out.text(
            gone.empty() ? std::string("Nothing to flush.\n")
                         : fmt::format("{} addresses deleted\n", gone.size())
        );
    }
    return {};
}

Result<void> addr_show(Context& context, const Arguments& arguments) {
    if (context.out.is_json()) {
        context.out.list();
    }
    auto wanted = arguments.get<LinkId>("dev");
    const int family = context.options.family;
    context.core.links().for_each([&](const LinkRecord& link) {
        auto addresses = addresses_of(context, link.id, family);
        // With -4 or -6 ip(8) leaves out links without such an address, and the link layer's line.
        bool is_listed = family == 0 || !addresses.empty();
        if ((wanted && link.id != *wanted) || (arguments.has("up") && !link.admin_up) ||
            !is_listed) {
            return;
        }
        const int statistics = context.options.statistics;
        if (context.out.is_json()) {
            Json json = link_head_json(context, link, false);
            json["addr_info"] = Json::array();
            for (const ShownAddress& address : addresses) {
                json["addr_info"].push_back(address_json(context, address));
            }
            if (statistics > 0) {
                json["stats64"] = stats_json(context.core.stats(link.id), statistics);
            }
            context.out.entry(json);
            return;
        }
        context.out.text(link_head_text(context, link, false));
        if (family == 0) {
            context.out.text(link_address_text(context, link));
        }
        for (const ShownAddress& address : addresses) {
            context.out.text(address_text(context, address));
        }
        if (statistics > 0) {
            context.out.text(stats_text(context.core.stats(link.id), statistics));
        }
    });
    return {};
}

}  // namespace culvert::control
