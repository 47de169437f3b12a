// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_events.hpp"

#include "lib/control/command_context.hpp"
#include "lib/control/output_address.hpp"
#include "lib/control/output_fdb.hpp"
#include "lib/control/output_link.hpp"
#include "lib/control/output_neighbour.hpp"
#include "lib/control/output_route.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

std::string_view object_name(Event::Object object) {
    switch (object) {
    case Event::Object::link:
        return "link";
    case Event::Object::address:
        return "address";
    case Event::Object::route:
        return "route";
    case Event::Object::neighbour:
        return "neigh";
    case Event::Object::fdb:
        return "fdb";
    }
    return "";
}

// The lines and objects of one event, a JSON object each.
struct Parts {
    std::string text;
    Json objects = Json::array();
};

Parts link_parts(const Context& context, const Event& event) {
    const LinkRecord* link = context.core.links().find(event.link);
    if (link == nullptr) {
        return {fmt::format("{}:\n", event.link), Json::array({{{"ifindex", event.link}}})};
    }
    return {link_text(context, *link), Json::array({link_json(context, *link)})};
}

Parts address_parts(const Context& context, const Event& event) {
    const ShownAddress shown{event.address, false};
    std::string name = context.core.links().name_of(event.address.link);
    Json json = address_json(context, shown);
    json["dev"] = name;
    return {
        fmt::format("{}: {} {}", event.address.link, name, address_text(context, shown)),
        Json::array({std::move(json)})};
}

Parts neighbour_parts(const Context& context, const Event& event) {
    route::Neighbour neighbour;
    neighbour.key = event.neighbour;
    neighbour.state = event.neighbour_state;
    neighbour.has_mac = event.neighbour_mac.has_value();
    neighbour.mac = event.neighbour_mac.value_or(net::MacAddress());
    return {
        neighbour_text(context, neighbour, true),
        Json::array({neighbour_json(context, neighbour, true)})};
}

Parts fdb_parts(const Context& context, const Event& event) {
    fdb::Table::Entry entry{
        event.fdb.domain,
        event.fdb.mac,
        {event.fdb.target, context.core.now_s()},
        event.fdb.shadow};
    Parts parts;
    for (const FdbLine& line : fdb_lines(context, entry)) {
        parts.text += (event.removed && !parts.text.empty() ? "Deleted " : "") +
                      fdb_text(context, line, true);
        parts.objects.push_back(fdb_json(context, line, true));
    }
    return parts;
}

Parts parts_of(const Context& context, const Event& event) {
    switch (event.object) {
    case Event::Object::link:
        return link_parts(context, event);
    case Event::Object::address:
        return address_parts(context, event);
    case Event::Object::route: {
        const RouteColumns columns{.device = true, .table = true};
        return {
            route_text(context, event.route, columns),
            Json::array({route_json(context, event.route, columns)})};
    }
    case Event::Object::neighbour:
        return neighbour_parts(context, event);
    case Event::Object::fdb:
        return fdb_parts(context, event);
    }
    return {};
}

}  // namespace

EventLines event_lines(Core& core, Program& program, const Event& event) {
    const OutputOptions options;
    Output out(false, false);
    const Context context{
        .core = core, .program = program, .options = options, .out = out, .attempt = ""};
    Parts parts = parts_of(context, event);
    if (parts.objects.empty()) {
        return {};
    }
    for (Json& object : parts.objects) {
        object["event"] = object_name(event.object);
        if (event.removed) {
            object["deleted"] = true;
        }
    }
    const bool is_one = parts.objects.size() == 1;
    return {
        (event.removed ? "Deleted " : "") + parts.text,
        compact_json(is_one ? parts.objects.front() : parts.objects)};
}

}  // namespace culvert::control
