// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_route.hpp"

#include "lib/control/dsfield.hpp"
#include "lib/control/tunnel_metadata.hpp"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <utility>
#include <vector>

namespace culvert::control {

std::string_view route_type_name(route::RouteType type) {
    switch (type) {
    case route::RouteType::unicast:
        return "unicast";
    case route::RouteType::local:
        return "local";
    case route::RouteType::broadcast:
        return "broadcast";
    case route::RouteType::unreachable:
        return "unreachable";
    case route::RouteType::prohibit:
        return "prohibit";
    case route::RouteType::blackhole:
        return "blackhole";
    case route::RouteType::throws:
        return "throw";
    }
    return "";
}

bool is_in_local_table(const route::Route& route) {
    return route.type == route::RouteType::local || route.type == route::RouteType::broadcast;
}

route::TableId shown_table(const route::Route& route) {
    const bool is_local = is_in_local_table(route) && route.table == route::kMainTable;
    return is_local ? route::kLocalTable : route.table;
}

std::string destination_name(const net::Prefix& prefix) {
    if (prefix.length == 0) {
        return "default";
    }
    return prefix.length == prefix.max_length() ? prefix.address.to_string() : prefix.to_string();
}

namespace {

std::string table_name(route::TableId table) {
    if (table == route::kDefaultTable) {
        return "default";
    }
    return table == route::kLocalTable ? "local" : fmt::format("{}", table);
}

// A path's, which is not told of main.
std::string path_table_text(const route::Path& path) {
    return path.table == route::kMainTable ? "" : fmt::format("table {} ", table_name(path.table));
}

// The kernel's IPv6 routes that refuse end in lo.
std::string device_name(const Context& context, const route::Route& route) {
    const bool is_refusal =
        route.link == kNoLink && route.next_hops.empty() && !route.prefix.address.is_v4();
    return is_refusal ? "lo" : context.core.links().name_of(route.link);
}

// A gateway of the other family says so (RFC 8950).
bool is_of_other_family(const net::IpAddress& gateway, net::Family family) {
    return gateway.family() != family;
}

std::string gateway_text(const std::optional<net::IpAddress>& gateway, net::Family family) {
    if (!gateway) {
        return "";
    }
    const bool is_other = is_of_other_family(*gateway, family);
    return fmt::format("via {}{} ", is_other ? "inet6 " : "", gateway->to_string());
}

void put_gateway(Json& json, const std::optional<net::IpAddress>& gateway, net::Family family) {
    if (gateway && is_of_other_family(*gateway, family)) {
        json["via"] = {{"family", "inet6"}, {"host", gateway->to_string()}};
    } else if (gateway) {
        json["gateway"] = gateway->to_string();
    }
}

std::vector<std::string_view> flags_of(const route::NextHop& hop) {
    std::vector<std::string_view> flags;
    if (hop.dead) {
        flags.emplace_back("dead");
    }
    if (hop.onlink) {
        flags.emplace_back("onlink");
    }
    if (hop.dead) {
        flags.emplace_back("linkdown");
    }
    return flags;
}

std::string next_hops_text(const Context& context, const route::Route& route) {
    std::string text;
    for (const route::NextHop& hop : route.next_hops) {
        text += fmt::format(
            "\tnexthop {}dev {} weight {} ",
            gateway_text(hop.gateway, route.prefix.address.family()),
            context.core.links().name_of(hop.link),
            hop.weight
        );
        for (const std::string_view flag : flags_of(hop)) {
            text += fmt::format("{} ", flag);
        }
        text += "\n";
    }
    return text;
}

Json next_hops_json(const Context& context, const route::Route& route) {
    Json all = Json::array();
    for (const route::NextHop& hop : route.next_hops) {
        Json json;
        put_gateway(json, hop.gateway, route.prefix.address.family());
        json["dev"] = context.core.links().name_of(hop.link);
        json["weight"] = hop.weight;
        json["flags"] = flags_of(hop);
        all.push_back(std::move(json));
    }
    return all;
}

// TUN-MD-02: where a route to an external tunnel has what stands for the outer header.
const encap::IpTunnelMetadata*
encap_of(const Context& context, LinkId link, const std::optional<net::IpAddress>& gateway) {
    const LinkRecord* device = context.core.links().find(link);
    return device != nullptr && device->ip_tunnel.external && gateway
               ? context.core.tunnel_metadata().find(*gateway)
               : nullptr;
}

std::string tos_text(std::uint8_t tos) {
    return tos == 0 ? "" : fmt::format("tos {} ", dsfield_name(tos));
}

std::string number_text(const encap::IpTunnelMetadata& encap, const net::IpAddress& address) {
    if (address.is_unspecified()) {
        return encap.is_ipv6 ? "::" : "0.0.0.0";
    }
    return address.to_string();
}

std::string encap_text(const encap::IpTunnelMetadata& encap) {
    return fmt::format(
        " encap {} id {} src {} dst {} {} {} {} {} {}{}{}",
        encap.is_ipv6 ? "ip6" : "ip",
        encap.id,
        number_text(encap, encap.source),
        number_text(encap, encap.destination),
        encap.is_ipv6 ? "hoplimit" : "ttl",
        encap.ttl,
        encap.is_ipv6 ? "tc" : "tos",
        encap.tos,
        encap.key ? "key " : "",
        encap.checksum ? "csum " : "",
        encap.sequence ? "seq " : ""
    );
}

// ip(8) has two members `dst` here, of which a JSON reader sees one: the outer one has a name of
// its own.
void put_encap(Json& json, const encap::IpTunnelMetadata& encap) {
    json["encap"] = encap.is_ipv6 ? "ip6" : "ip";
    json["id"] = encap.id;
    json["src"] = number_text(encap, encap.source);
    json["encap_dst"] = number_text(encap, encap.destination);
    json[encap.is_ipv6 ? "hoplimit" : "ttl"] = encap.ttl;
    json[encap.is_ipv6 ? "tc" : "tos"] = encap.tos;
    for (const auto& [word, is_on] :
         {std::pair("key", encap.key),
          std::pair("csum", encap.checksum),
          std::pair("seq", encap.sequence)}) {
        if (is_on) {
            json[word] = true;
        }
    }
}

}  // namespace

std::string route_text(const Context& context, const route::Route& route, RouteColumns columns) {
    const bool details = context.options.details;
    std::string text;
    if (route.type != route::RouteType::unicast || details) {
        text += fmt::format("{} ", route_type_name(route.type));
    }
    text += destination_name(route.prefix) + " ";
    const encap::IpTunnelMetadata* encap = encap_of(context, route.link, route.gateway);
    text += encap != nullptr ? encap_text(*encap) : "";
    text += tos_text(route.tos);
    text += encap != nullptr ? "" : gateway_text(route.gateway, route.prefix.address.family());
    if (std::string device = device_name(context, route); !device.empty() && columns.device) {
        text += fmt::format("dev {} ", device);
    }
    const bool is_ip6 = !route.prefix.address.is_v4();
    if (const auto table = shown_table(route); columns.table && table != route::kMainTable) {
        text += fmt::format("table {} ", table_name(table));
    }
    if (route.protocol != "boot" || details) {
        text += fmt::format("proto {} ", route.protocol);
    }
    if (route.scope != "global" || details) {
        text += fmt::format("scope {} ", route.scope);
    }
    if (route.preferred_source) {
        text += fmt::format("src {} ", route.preferred_source->to_string());
    }
    if (route.metric != 0 || is_ip6) {
        text += fmt::format("metric {} ", route.metric);
    }
    if (route.mtu != 0) {
        text += fmt::format("mtu {}{} ", route.mtu_locked ? "lock " : "", route.mtu);
    }
    text += route.onlink && encap == nullptr ? "onlink " : "";
    return text + (is_ip6 ? "pref medium\n" : "\n") + next_hops_text(context, route);
}

Json route_json(const Context& context, const route::Route& route, RouteColumns columns) {
    const bool details = context.options.details;
    Json json;
    if (route.type != route::RouteType::unicast || details) {
        json["type"] = route_type_name(route.type);
    }
    json["dst"] = destination_name(route.prefix);
    const encap::IpTunnelMetadata* encap = encap_of(context, route.link, route.gateway);
    if (route.tos != 0) {
        json["tos"] = dsfield_name(route.tos);
    }
    if (encap != nullptr) {
        put_encap(json, *encap);
    } else {
        put_gateway(json, route.gateway, route.prefix.address.family());
    }
    if (std::string device = device_name(context, route); !device.empty() && columns.device) {
        json["dev"] = device;
    }
    const bool is_ip6 = !route.prefix.address.is_v4();
    if (const auto table = shown_table(route); columns.table && table != route::kMainTable) {
        json["table"] = table_name(table);
    }
    if (route.protocol != "boot" || details) {
        json["protocol"] = route.protocol;
    }
    if (route.scope != "global" || details) {
        json["scope"] = route.scope;
    }
    if (route.preferred_source) {
        json["prefsrc"] = route.preferred_source->to_string();
    }
    if (route.metric != 0 || is_ip6) {
        json["metric"] = route.metric;
    }
    json["flags"] = Json::array();
    if (route.onlink && encap == nullptr) {
        json["flags"].push_back("onlink");
    }
    if (route.mtu != 0) {
        json["metrics"] = Json::array({{{"mtu", route.mtu}}});
    }
    if (is_ip6) {
        json["pref"] = "medium";
    }
    if (!route.next_hops.empty()) {
        json["nexthops"] = next_hops_json(context, route);
    }
    return json;
}

namespace {

std::string_view path_type(const route::Path& path) {
    if (path.kind == route::AdjacencyKind::local) {
        return "local";
    }
    return path.kind == route::AdjacencyKind::broadcast ? "broadcast" : "";
}

// What the dataplane puts in front of the packet, hexadecimal; "" while the next hop's MAC is not
// known.
std::string header_bytes(const Context& context, const route::Path& path, net::Family family) {
    if (path.link == kNoLink || !path_type(path).empty()) {
        return "";
    }
    auto adjacency = context.core.routing().neighbour_adjacency(path.link, path.next_hop, family);
    std::string text;
    for (std::size_t i = 0; adjacency && i < adjacency->header_len; ++i) {
        fmt::format_to(std::back_inserter(text), "{:02x}", adjacency->header[i]);
    }
    return text;
}

// The MTU is told where a route sets it.
std::uint32_t told_mtu(const Context& context, const route::Path& path) {
    const LinkRecord* link = context.core.links().find(path.link);
    return link == nullptr || path.mtu == link->mtu ? 0 : path.mtu;
}

}  // namespace

namespace {

// Of a path MTU that was learned (RT-11): whole seconds.
std::uint64_t expires_in(const Context& context, const route::Path& path) {
    const std::uint64_t now_ms = context.core.now_ms();
    return path.learned && path.expires_ms > now_ms ? (path.expires_ms - now_ms) / 1000 : 0;
}

std::string expiry_text(const Context& context, const route::Path& path) {
    return path.learned ? fmt::format("expires {}sec ", expires_in(context, path)) : "";
}

// IPv6 prints the route itself, and in one line.
std::string path_text6(const Context& context, const route::Path& path) {
    std::string text;
    if (path.kind == route::AdjacencyKind::local && path.table == route::kMainTable) {
        text += "table local ";
    } else {
        text += path_table_text(path);
    }
    if (path.protocol != "boot" && !path.protocol.empty()) {
        text += fmt::format("proto {} ", path.protocol);
    }
    if (!path.source.is_unspecified()) {
        text += fmt::format("src {} ", path.source.to_string());
    }
    text += fmt::format("metric {} ", path.metric);
    text += expiry_text(context, path);
    if (const std::uint32_t mtu = told_mtu(context, path); mtu != 0) {
        text += fmt::format("mtu {}{} ", path.mtu_locked ? "lock " : "", mtu);
    }
    const std::string header = header_bytes(context, path, net::Family::ipv6);
    return text + "pref medium\n" + (header.empty() ? "" : fmt::format("    header {}\n", header));
}

// What `ip -j route get` says of how long it would be remembered; `type`: of the route.
void put_cache(Json& json, const std::string& type, bool is_ip6) {
    json["flags"] = Json::array();
    if (is_ip6) {
        json["pref"] = "medium";
        return;
    }
    json["uid"] = 0;
    json["cache"] = Json::array();
    if (!type.empty()) {
        json["cache"].push_back("local");
        if (type == "broadcast") {
            json["cache"].push_back("brd");
        }
    }
}

}  // namespace

std::string path_text(const Context& context, const RouteQuery& query, const route::Path& path) {
    std::string type(path_type(path));
    std::string text = type.empty() ? "" : type + " ";
    text += query.destination.to_string() + " ";
    const bool is_ip6 = !query.destination.is_v4();
    if (query.from || is_ip6) {
        text += fmt::format("from {} ", query.from.value_or(net::IpAddress()).to_string());
    }
    text += is_ip6 ? "" : tos_text(query.tos);
    if (const auto* encap = encap_of(context, path.link, path.next_hop); encap != nullptr) {
        text += encap_text(*encap);
    } else if (path.via_gateway) {
        text += gateway_text(path.next_hop, query.destination.family());
    }
    text += fmt::format("dev {} ", context.core.links().name_of(path.link));
    if (is_ip6) {
        return text + path_text6(context, path);
    }
    text += path_table_text(path);
    if (!query.from && !path.source.is_unspecified()) {
        text += fmt::format("src {} ", path.source.to_string());
    }
    text += "uid 0 \n    cache ";
    if (!type.empty()) {
        text += type == "local" ? "<local> " : "<local,brd> ";
    }
    if (query.link_in != kNoLink) {
        text += fmt::format("iif {} ", context.core.links().name_of(query.link_in));
    }
    text += expiry_text(context, path);
    if (std::uint32_t mtu = told_mtu(context, path); mtu != 0) {
        text += fmt::format("mtu {}{} ", path.mtu_locked ? "lock " : "", mtu);
    }
    std::string header = header_bytes(context, path, net::Family::ipv4);
    return text + "\n" + (header.empty() ? "" : fmt::format("    header {}\n", header));
}

Json path_json(const Context& context, const RouteQuery& query, const route::Path& path) {
    Json json;
    std::string type(path_type(path));
    if (!type.empty()) {
        json["type"] = type;
    }
    json["dst"] = query.destination.to_string();
    const bool is_ip6 = !query.destination.is_v4();
    if (query.from || is_ip6) {
        json["from"] = query.from.value_or(net::IpAddress()).to_string();
    }
    if (query.tos != 0 && !is_ip6) {
        json["tos"] = dsfield_name(query.tos);
    }
    if (const auto* encap = encap_of(context, path.link, path.next_hop); encap != nullptr) {
        put_encap(json, *encap);
    } else if (path.via_gateway) {
        put_gateway(json, path.next_hop, query.destination.family());
    }
    json["dev"] = context.core.links().name_of(path.link);
    if (path.table != route::kMainTable) {
        json["table"] = table_name(path.table);
    }
    if (is_ip6 && path.protocol != "boot" && !path.protocol.empty()) {
        json["protocol"] = path.protocol;
    }
    if ((!query.from || is_ip6) && !path.source.is_unspecified()) {
        json["prefsrc"] = path.source.to_string();
    }
    if (is_ip6) {
        json["metric"] = path.metric;
    }
    put_cache(json, type, is_ip6);
    if (query.link_in != kNoLink) {
        json["iif"] = context.core.links().name_of(query.link_in);
    }
    if (path.learned) {
        json["expires"] = expires_in(context, path);
    }
    if (std::uint32_t mtu = told_mtu(context, path); mtu != 0) {
        json["metrics"] = Json::array({{{"mtu", mtu}}});
    }
    if (std::string header = header_bytes(context, path, query.destination.family());
        !header.empty()) {
        json["header"] = header;
    }
    return json;
}

}  // namespace culvert::control
