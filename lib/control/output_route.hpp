// SPDX-License-Identifier: BSD-3-Clause
// Routes as ip(8) prints them (UI-RT-03).
#pragma once

#include "lib/control/command_context.hpp"

#include <string>
#include <string_view>

namespace culvert::control {

std::string_view route_type_name(route::RouteType type);
// Routes to ourselves and to broadcasts are in the table `local`.
bool is_in_local_table(const route::Route& route);
// By which it is found: `local`, or its own.
route::TableId shown_table(const route::Route& route);
// "default", "192.0.2.0/24", and without the length where it is a whole address.
std::string destination_name(const net::Prefix& prefix);

struct RouteColumns {
    bool device = true;  // off when the listing is of one link
    bool table = false;  // on when it is of all tables
};

std::string route_text(const Context& context, const route::Route& route, RouteColumns columns);
Json route_json(const Context& context, const route::Route& route, RouteColumns columns);

struct RouteQuery {
    net::IpAddress destination;
    std::optional<net::IpAddress> from;
    LinkId link_in = kNoLink;
    std::uint8_t tos = 0;  // as far as routes are asked for it
};

// `ip route get`; and the bytes that would stand in front of the packet.
std::string path_text(const Context& context, const RouteQuery& query, const route::Path& path);
Json path_json(const Context& context, const RouteQuery& query, const route::Path& path);

}  // namespace culvert::control
