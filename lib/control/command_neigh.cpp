// SPDX-License-Identifier: BSD-3-Clause
// neigh add, replace, change, del, show, flush (UI-NEI-*).
#include "lib/control/command_context.hpp"
#include "lib/control/output_neighbour.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace culvert::control {

namespace {

// Of a word that the grammar accepted, but not "all".
route::NeighbourState state_of(std::string_view word) {
    for (unsigned bits : {0x00U, 0x01U, 0x02U, 0x04U, 0x08U, 0x10U, 0x20U, 0x40U}) {
        auto state = static_cast<route::NeighbourState>(bits);
        std::string_view name = state_name(state);
        bool is_same = std::equal(
            name.begin(),
            name.end(),
            word.begin(),
            word.end(),
            [](char upper, char lower) {
                return std::tolower(static_cast<unsigned char>(upper)) == lower;
            }
        );
        if (is_same) {
            return state;
        }
    }
    return route::NeighbourState::permanent;
}

// Not what flush deletes: an administrator's, or only a name that a route holds.
bool stays(const route::Neighbour& neighbour) {
    return neighbour.state == route::NeighbourState::noarp ||
           neighbour.state == route::NeighbourState::permanent ||
           neighbour.state == route::NeighbourState::none;
}

route::NeighbourKey key_of(const Arguments& arguments) {
    return {*arguments.get<LinkId>("dev"), *arguments.get<net::IpAddress>("to")};
}

// NTF_USE and NTF_EXT_MANAGED: what the neighbour is told is found out, not said.
Result<void> ask_for(
    Context& context,
    const route::NeighbourKey& key,
    const route::NeighbourTraits& traits,
    route::NeighbourTable::Verb verb
) {
    route::NeighbourTable& table = context.core.routing().neighbours();
    const route::Neighbour* known = table.find(key);
    const bool exists = known != nullptr && known->state != route::NeighbourState::none;
    if (exists ? verb == route::NeighbourTable::Verb::add
               : verb == route::NeighbourTable::Verb::change) {
        return Error{
            exists ? std::errc::file_exists : std::errc::no_such_file_or_directory,
            fmt::format(
                "neighbour {}: {}",
                key.address.to_string(),
                exists ? "it exists" : "there is none to change"
            )};
    }
    const std::uint64_t now_ms = context.core.now_ms();
    CULVERT_CHECK(table.create(key, now_ms));
    table.request(key, now_ms);
    table.set_traits(key, traits, now_ms);
    return {};
}

// As many bytes of it as the link's addresses have: four where packets go to IPv4 addresses
// (UI-NEI-04). More than that is cut, as neigh_add() does.
Result<std::optional<net::MacAddress>>
link_address(const Context& context, const Arguments& arguments, const route::NeighbourKey& key) {
    const auto address = arguments.get<net::IpAddress>("lladdr");
    auto mac = arguments.get<net::MacAddress>("lladdr");
    if (!address && !mac) {
        return mac;
    }
    const LinkRecord& link = *context.core.links().find(key.link);
    const bool is_tunnel =
        !pipeline::has_link_layer(link.kind) && pipeline::is_ip_tunnel(link.kind);
    const bool is_of_ip6 = is_tunnel && encap::traits(link.ip_tunnel.kind).is_over_ipv6;
    if (is_of_ip6 || (address && !is_tunnel)) {
        return Error{std::errc::invalid_argument, "Invalid link address"};
    }
    if (address) {
        mac.emplace();
        std::copy_n(address->bytes().begin() + 12, 4, mac->bytes.begin());
    } else if (is_tunnel) {
        std::fill_n(mac->bytes.begin() + 4, 2, std::uint8_t{0});
    }
    return mac;
}

Result<void> set(Context& context, const Arguments& arguments, route::NeighbourTable::Verb verb) {
    const route::NeighbourKey key = key_of(arguments);
    route::NeighbourTable& table = context.core.routing().neighbours();
    const route::NeighbourTraits traits{
        .router = arguments.has("router"),
        .extern_learn = arguments.has("extern_learn"),
        .managed = arguments.has("managed"),
        .protocol = std::string(arguments.text("protocol"))};
    if (arguments.has("proxy")) {
        return table.set_proxy({key, traits.router, traits.protocol});
    }
    if ((arguments.has("use") || traits.managed) && !arguments.has("nud")) {
        return ask_for(context, key, traits, verb);
    }
    // Tunnels ask for their next hops before anybody else names them; such a question is no
    // neighbour yet.
    const route::Neighbour* known = table.find(key);
    if (verb == route::NeighbourTable::Verb::add && known != nullptr && !known->has_mac) {
        verb = route::NeighbourTable::Verb::replace;
    }
    CULVERT_TRY(mac, link_address(context, arguments, key));
    CULVERT_CHECK(table.set(
        verb,
        key,
        mac,
        arguments.has("nud") ? state_of(arguments.text("nud")) : route::NeighbourState::permanent,
        traits.router,
        context.core.now_ms()
    ));
    table.set_traits(key, traits, context.core.now_ms());
    return {};
}

// What show and flush say of links and prefixes.
bool is_wanted(const Context& context, const Arguments& arguments, const route::NeighbourKey& key) {
    const auto link = arguments.get<LinkId>("dev");
    const auto prefix = arguments.get<net::Prefix>("to");
    const int family = key.address.is_v4() ? 4 : 6;
    if (arguments.has("nomaster")) {
        const LinkRecord* record = context.core.links().find(key.link);
        if (record != nullptr && LinkManager::master_of(*record) != kNoLink) {
            return false;
        }
    }
    if (const auto vrf = arguments.get<LinkId>("vrf"); vrf) {
        const LinkRecord* record = context.core.links().find(key.link);
        if (record == nullptr || LinkManager::master_of(*record) != *vrf) {
            return false;
        }
    }
    return (context.options.family == 0 || context.options.family == family) &&
           (!link || key.link == *link) && (!prefix || prefix->contains(key.address));
}

void show_proxies(Context& context, const Arguments& arguments) {
    using Proxy = route::NeighbourTable::Proxy;
    context.core.routing().neighbours().for_each_proxy([&](const Proxy& proxy) {
        if (!is_wanted(context, arguments, proxy.key)) {
            return;
        }
        if (context.out.is_json()) {
            context.out.entry(proxy_json(context, proxy, !arguments.has("dev")));
        } else {
            context.out.text(proxy_text(context, proxy, !arguments.has("dev")));
        }
    });
}

// The same with the state: `is_default` decides where no state is asked for.
template <typename IsDefault>
bool is_wanted(
    const Context& context,
    const Arguments& arguments,
    const route::Neighbour& neighbour,
    IsDefault is_default
) {
    if (!is_wanted(context, arguments, neighbour.key)) {
        return false;
    }
    std::string_view state = arguments.text("nud");
    if (state.empty()) {
        return is_default(neighbour);
    }
    return state == "all" || neighbour.state == state_of(state);
}

}  // namespace

Result<void> neigh_add(Context& context, const Arguments& arguments) {
    return set(context, arguments, route::NeighbourTable::Verb::add);
}

Result<void> neigh_replace(Context& context, const Arguments& arguments) {
    return set(context, arguments, route::NeighbourTable::Verb::replace);
}

Result<void> neigh_change(Context& context, const Arguments& arguments) {
    return set(context, arguments, route::NeighbourTable::Verb::change);
}

Result<void> neigh_del(Context& context, const Arguments& arguments) {
    route::NeighbourTable& table = context.core.routing().neighbours();
    return arguments.has("proxy") ? table.del_proxy(key_of(arguments))
                                  : table.del(key_of(arguments));
}

Result<void> neigh_get(Context& context, const Arguments& arguments) {
    const route::NeighbourKey key = key_of(arguments);
    const route::NeighbourTable& table = context.core.routing().neighbours();
    const route::Neighbour* neighbour = table.find(key);
    const auto* proxy = table.find_proxy(key);
    const bool is_proxy = arguments.has("proxy");
    const bool exists =
        is_proxy ? proxy != nullptr
                 : neighbour != nullptr && neighbour->state != route::NeighbourState::none;
    if (!exists) {
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("neighbour {}: there is none", key.address.to_string())};
    }
    if (context.out.is_json()) {
        context.out.list();
        context.out.entry(
            is_proxy ? proxy_json(context, *proxy, true) : neighbour_json(context, *neighbour, true)
        );
    } else {
        context.out.text(
            is_proxy ? proxy_text(context, *proxy, true) : neighbour_text(context, *neighbour, true)
        );
    }
    return {};
}

namespace {

Result<void> flush_proxies(Context& context, const Arguments& arguments) {
    route::NeighbourTable& table = context.core.routing().neighbours();
    std::vector<route::NeighbourKey> doomed;
    table.for_each_proxy([&](const route::NeighbourTable::Proxy& proxy) {
        if (is_wanted(context, arguments, proxy.key)) {
            doomed.push_back(proxy.key);
        }
    });
    for (const route::NeighbourKey& key : doomed) {
        CULVERT_CHECK(table.del_proxy(key));
    }
    return {};
}

}  // namespace

Result<void> neigh_show(Context& context, const Arguments& arguments) {
    if (context.out.is_json()) {
        context.out.list();
    }
    if (arguments.has("proxy")) {
        show_proxies(context, arguments);
        return {};
    }
    // UI-NEI-02
    auto is_default = [](const route::Neighbour& neighbour) {
        return neighbour.state != route::NeighbourState::noarp &&
               neighbour.state != route::NeighbourState::none;
    };
    const bool with_device = !arguments.has("dev");
    context.core.routing().neighbours().for_each([&](const route::Neighbour& neighbour) {
        if (!is_wanted(context, arguments, neighbour, is_default)) {
            return;
        }
        if (context.out.is_json()) {
            context.out.entry(neighbour_json(context, neighbour, with_device));
        } else {
            context.out.text(neighbour_text(context, neighbour, with_device));
        }
    });
    return {};
}

Result<void> neigh_flush(Context& context, const Arguments& arguments) {
    if (arguments.size() == 0) {
        return syntax_error(context, "\"neigh flush\" requires arguments");
    }
    if (arguments.has("proxy")) {
        return flush_proxies(context, arguments);
    }
    route::NeighbourTable& table = context.core.routing().neighbours();
    std::vector<route::NeighbourKey> doomed;
    table.for_each([&](const route::Neighbour& neighbour) {
        if (is_wanted(context, arguments, neighbour, [](const route::Neighbour& n) {
                return !stays(n);
            })) {
            doomed.push_back(neighbour.key);
        }
    });
    for (const route::NeighbourKey& key : doomed) {
        auto deleted = table.del(key);
        // Gone with another one, which is what was wanted.
        if (!deleted && deleted.error().code != std::errc::no_such_file_or_directory) {
            return deleted;
        }
    }
    if (context.options.statistics > 0 && !context.out.is_json()) {
        context.out.text(
            doomed.empty() ? std::string("Nothing to flush.\n")
                           : fmt::format("{} entries deleted\n", doomed.size())
        );
    }
    return {};
}

}  // namespace culvert::control
