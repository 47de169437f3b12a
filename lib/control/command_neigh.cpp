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

Result<void> set(Context& context, const Arguments& arguments, route::NeighbourTable::Verb verb) {
    route::NeighbourKey key{*arguments.get<LinkId>("dev"), *arguments.get<net::IpAddress>("to")};
    route::NeighbourTable& table = context.core.routing().neighbours();
    // Tunnels ask for their next hops before anybody else names them; such a question is no
    // neighbour yet.
    const route::Neighbour* known = table.find(key);
    if (verb == route::NeighbourTable::Verb::add && known != nullptr && !known->has_mac) {
        verb = route::NeighbourTable::Verb::replace;
    }
    return table.set(
        verb,
        key,
        arguments.get<net::MacAddress>("lladdr"),
        arguments.has("nud") ? state_of(arguments.text("nud")) : route::NeighbourState::permanent,
        arguments.has("router"),
        context.core.now_ms()
    );
}

// show and flush: `is_default` decides where no state is asked for.
template <typename IsDefault>
bool is_wanted(
    const Context& context,
    const Arguments& arguments,
    const route::Neighbour& neighbour,
    IsDefault is_default
) {
    auto link = arguments.get<LinkId>("dev");
    auto prefix = arguments.get<net::Prefix>("to");
    const int family = neighbour.key.address.is_v4() ? 4 : 6;
    const bool is_other = context.options.family != 0 && context.options.family != family;
    if (is_other || (link && neighbour.key.link != *link) ||
        (prefix && !prefix->contains(neighbour.key.address))) {
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
    return context.core.routing().neighbours().del(
        {*arguments.get<LinkId>("dev"), *arguments.get<net::IpAddress>("to")}
    );
}

Result<void> neigh_show(Context& context, const Arguments& arguments) {
    if (context.out.is_json()) {
        context.out.list();
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
