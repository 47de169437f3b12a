// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_neighbour.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

std::uint64_t seconds_since(const Context& context, std::uint64_t time_ms) {
    std::uint64_t now_ms = context.core.now_ms();
    return now_ms > time_ms ? (now_ms - time_ms) / 1000 : 0;
}

// Of a tunnel's neighbour the outer destination.
std::string link_address(const Context& context, const route::Neighbour& neighbour) {
    const LinkRecord* link = context.core.links().find(neighbour.key.link);
    if (link == nullptr || pipeline::has_link_layer(link->kind)) {
        return neighbour.mac.to_string();
    }
    const auto& bytes = neighbour.mac.bytes;
    return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
}

}  // namespace

std::string_view state_name(route::NeighbourState state) {
    switch (state) {
    case route::NeighbourState::none:
        return "NONE";
    case route::NeighbourState::incomplete:
        return "INCOMPLETE";
    case route::NeighbourState::reachable:
        return "REACHABLE";
    case route::NeighbourState::stale:
        return "STALE";
    case route::NeighbourState::delay:
        return "DELAY";
    case route::NeighbourState::probe:
        return "PROBE";
    case route::NeighbourState::failed:
        return "FAILED";
    case route::NeighbourState::noarp:
        return "NOARP";
    case route::NeighbourState::permanent:
        return "PERMANENT";
    }
    return "";
}

std::string
neighbour_text(const Context& context, const route::Neighbour& neighbour, bool with_device) {
    std::string text = neighbour.key.address.to_string() + " ";
    if (with_device) {
        text += fmt::format("dev {} ", context.core.links().name_of(neighbour.key.link));
    }
    if (neighbour.has_mac) {
        text += fmt::format("lladdr {} ", link_address(context, neighbour));
    }
    text += neighbour.router ? "router " : "";
    text += neighbour.managed ? "managed " : "";
    text += neighbour.extern_learn ? "extern_learn " : "";
    if (context.options.statistics > 0) {
        text += neighbour.references == 0 ? "" : fmt::format(" ref {}", neighbour.references);
        text += fmt::format(
            " used {}/{}/{}probes {} ",
            seconds_since(context, neighbour.used_ms),
            seconds_since(context, neighbour.confirmed_ms),
            seconds_since(context, neighbour.updated_ms),
            neighbour.probes
        );
    }
    if (!neighbour.protocol.empty()) {
        return fmt::format(
            "{}{}  proto {} \n", text, state_name(neighbour.state), neighbour.protocol
        );
    }
    return fmt::format("{}{} \n", text, state_name(neighbour.state));
}

std::string
proxy_text(const Context& context, const route::NeighbourTable::Proxy& proxy, bool with_device) {
    std::string text = proxy.key.address.to_string() + " ";
    if (with_device) {
        text += fmt::format("dev {} ", context.core.links().name_of(proxy.key.link));
    }
    text += proxy.router ? "router " : "";
    text += "proxy ";
    text += proxy.protocol.empty() ? "" : fmt::format(" proto {} ", proxy.protocol);
    return text + "\n";
}

Json proxy_json(
    const Context& context, const route::NeighbourTable::Proxy& proxy, bool with_device
) {
    Json json;
    json["dst"] = proxy.key.address.to_string();
    if (with_device) {
        json["dev"] = context.core.links().name_of(proxy.key.link);
    }
    if (proxy.router) {
        json["router"] = nullptr;
    }
    json["proxy"] = nullptr;
    if (!proxy.protocol.empty()) {
        json["protocol"] = proxy.protocol;
    }
    return json;
}

Json neighbour_json(const Context& context, const route::Neighbour& neighbour, bool with_device) {
    Json json;
    json["dst"] = neighbour.key.address.to_string();
    if (with_device) {
        json["dev"] = context.core.links().name_of(neighbour.key.link);
    }
    if (neighbour.has_mac) {
        json["lladdr"] = link_address(context, neighbour);
    }
    if (neighbour.router) {
        json["router"] = nullptr;
    }
    if (neighbour.managed) {
        json["managed"] = nullptr;
    }
    if (neighbour.extern_learn) {
        json["extern_learn"] = nullptr;
    }
    if (!neighbour.protocol.empty()) {
        json["protocol"] = neighbour.protocol;
    }
    if (context.options.statistics > 0) {
        if (neighbour.references != 0) {
            json["refcnt"] = neighbour.references;
        }
        json["used"] = seconds_since(context, neighbour.used_ms);
        json["confirmed"] = seconds_since(context, neighbour.confirmed_ms);
        json["updated"] = seconds_since(context, neighbour.updated_ms);
        json["probes"] = neighbour.probes;
    }
    json["state"] = Json::array({state_name(neighbour.state)});
    return json;
}

}  // namespace culvert::control
