// SPDX-License-Identifier: BSD-3-Clause
// route add, append, replace, change, del, show, get, flush (UI-RT-*).
#include "lib/control/command_context.hpp"
#include "lib/control/command_next_hops.hpp"
#include "lib/control/command_tables.hpp"
#include "lib/control/dsfield.hpp"
#include "lib/control/output_route.hpp"
#include "lib/control/tunnel_metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace culvert::control {

namespace {

// "default" says no family: -6 does, or a gateway.
net::Prefix
of_family(const Context& context, const Arguments& arguments, std::string_view keyword) {
    const net::Prefix prefix = *arguments.get<net::Prefix>(keyword);
    const std::string_view word = arguments.text(keyword);
    const auto gateway = arguments.get<net::IpAddress>("via");
    const bool is_ip6 = context.options.family == 6 || (gateway && !gateway->is_v4());
    return is_ip6 && (word == "default" || word == "any") ? net::Prefix{} : prefix;
}

Result<route::RouteType> type_of(Context& context, const Arguments& arguments) {
    struct Name {
        std::string_view word;
        route::RouteType type;
    };

    constexpr Name kNames[] = {
        {"unicast", route::RouteType::unicast},
        {"unreachable", route::RouteType::unreachable},
        {"prohibit", route::RouteType::prohibit},
        {"blackhole", route::RouteType::blackhole},
        {"throw", route::RouteType::throws}};
    route::RouteType type = route::RouteType::unicast;
    int given = 0;
    for (const Name& name : kNames) {
        if (arguments.has(name.word)) {
            type = name.type;
            ++given;
        }
    }
    if (given > 1) {
        return syntax_error(context, "more than one route type");
    }
    return type;
}

std::uint8_t tos_of(const Arguments& arguments) {
    const auto named = dsfield_of(arguments.text("tos"));
    return named ? *named : arguments.number<std::uint8_t>("tos").value_or(0);
}

// Before `encap` it is the route's.
bool is_tos_of_encap(const Arguments& arguments) {
    bool is_behind = false;
    for (const Argument& one : arguments.given()) {
        is_behind = is_behind || one.keyword->name == "encap";
        if (one.keyword->name == "tos") {
            return is_behind;
        }
    }
    return false;
}

// Equal addresses must look equal: any is always the same.
net::IpAddress any_as_one(const std::optional<net::IpAddress>& given) {
    return given && !given->is_unspecified() ? *given : net::IpAddress{};
}

// The words of `encap ip` and `encap ip6`, which end with the first that is none of them
// (TUN-MD-02). False: there are none.
bool read_encap(const Arguments& arguments, encap::IpTunnelMetadata& metadata) {
    constexpr std::array<std::string_view, 9> kWords{
        "id", "dst", "src", "tos", "tc", "ttl", "key", "csum", "seq"};
    const auto given = arguments.given();
    auto at = std::find_if(given.begin(), given.end(), [](const Argument& one) {
        return one.keyword->name == "encap";
    });
    if (at == given.end()) {
        return false;
    }
    for (++at; at != given.end(); ++at) {
        const std::string_view name = at->keyword->name;
        if (std::find(kWords.begin(), kWords.end(), name) == kWords.end()) {
            break;
        }
        if (name == "src") {
            metadata.source = any_as_one(arguments.get<net::IpAddress>("src"));
        } else if (name == "tos") {
            metadata.tos = tos_of(arguments);
        }
    }
    metadata.is_ipv6 = arguments.text("encap") == "ip6";
    metadata.id = arguments.get<std::uint64_t>("id").value_or(0);
    metadata.destination = any_as_one(arguments.get<net::IpAddress>("dst"));
    if (metadata.is_ipv6) {
        metadata.tos = arguments.number<std::uint8_t>("tc").value_or(0);
    }
    metadata.ttl = arguments.number<std::uint8_t>("ttl").value_or(0);
    metadata.key = arguments.has("key");
    metadata.checksum = arguments.has("csum");
    metadata.sequence = arguments.has("seq");
    return true;
}

// UI-RT-01: what ip(8) knows and there is nothing for.
Result<void> check_offered(const Arguments& arguments) {
    if (arguments.has("nhid")) {
        return Error{
            std::errc::operation_not_supported,
            "nhid: there are no next hop objects; say via, dev or nexthop"};
    }
    return {};
}

// Of one family, and none of the other's words.
Result<void> check_encap_words(
    Context& context, const Arguments& arguments, const encap::IpTunnelMetadata& metadata
) {
    const std::string_view other = metadata.is_ipv6 ? "tos" : "tc";
    if (other == "tos" ? is_tos_of_encap(arguments) : arguments.has(other)) {
        return syntax_error(
            context, fmt::format("\"{}\" is no word of encap {}", other, arguments.text("encap"))
        );
    }
    for (const net::IpAddress& address : {metadata.source, metadata.destination}) {
        if (!address.is_unspecified() && address.is_v4() == metadata.is_ipv6) {
            return syntax_error(
                context,
                fmt::format(
                    "{} address is expected rather than \"{}\"",
                    metadata.is_ipv6 ? "inet6" : "inet",
                    address.to_string()
                )
            );
        }
    }
    return {};
}

// The route's gateway is what stands for the outer header.
Result<void> apply_encap(Context& context, const Arguments& arguments, route::Route& route) {
    encap::IpTunnelMetadata metadata;
    if (!read_encap(arguments, metadata)) {
        for (const std::string_view word : {"id", "dst", "tc", "ttl", "key", "csum", "seq"}) {
            if (arguments.has(word)) {
                return syntax_error(context, fmt::format("\"{}\" is one of encap's words", word));
            }
        }
        return {};
    }
    CULVERT_CHECK(check_encap_words(context, arguments, metadata));
    const LinkRecord* device = context.core.links().find(route.link);
    if (device == nullptr || !device->ip_tunnel.external || route.gateway ||
        pipeline::has_link_layer(device->kind)) {
        return Error{
            std::errc::operation_not_supported,
            "encap is for routes to an external ipip, gre, ip6tnl or ip6gre link, and without a "
            "gateway"};
    }
    if (!metadata.source.is_unspecified()) {
        route.preferred_source.reset();
    }
    route.gateway =
        context.core.tunnel_metadata().gateway_for(metadata, route.prefix.address.family());
    if (!route.gateway) {
        return Error{std::errc::no_buffer_space, "too many different outer headers"};
    }
    route.onlink = true;
    return {};
}

// What add and del have in common.
Result<route::Route> route_of(Context& context, const Arguments& arguments) {
    route::Route route;
    route.prefix = of_family(context, arguments, "to");
    CULVERT_TRY(type, type_of(context, arguments));
    route.type = type;
    const bool is_v4 = route.prefix.address.is_v4();
    if (const Argument* via = arguments.find("via")) {
        route.gateway = arguments.get<net::IpAddress>("via");
        CULVERT_CHECK(check_gateway(is_v4, *route.gateway, via->modifier));
    }
    route.link = arguments.get<LinkId>("dev").value_or(kNoLink);
    if (arguments.has("nexthop")) {
        CULVERT_TRY(hops, read_next_hops(context, arguments.rest(), is_v4));
        route.next_hops = std::move(hops);
    }
    route.preferred_source = arguments.get<net::IpAddress>("src");
    route.metric = arguments.number<std::uint32_t>("metric").value_or(0);
    route.tos = is_tos_of_encap(arguments) ? std::uint8_t{0} : tos_of(arguments);
    if (route.tos != 0 && !is_v4) {
        return Error{
            std::errc::invalid_argument, "Invalid dsfield (tos): option not available for IPv6"};
    }
    CULVERT_TRY(table, routing_table(context, arguments));
    route.table = table.value_or(route::kMainTable);
    return route;
}

Result<void> modify(Context& context, const Arguments& arguments, route::RouteVerb verb) {
    CULVERT_CHECK(check_offered(arguments));
    CULVERT_TRY(route, route_of(context, arguments));
    const bool is_unicast = route.type == route::RouteType::unicast;
    const bool has_way = route.gateway || route.link != kNoLink || !route.next_hops.empty();
    if (is_unicast && !has_way) {
        return Error{std::errc::no_such_device, "it needs \"via\" or \"dev\""};
    }
    if (!is_unicast && has_way) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("{} routes take no via and no dev", route_type_name(route.type))};
    }
    if (route.prefix.network() != route.prefix) {
        return Error{std::errc::invalid_argument, "Invalid prefix for given prefix length"};
    }
    if (const Argument* mtu = arguments.find("mtu")) {
        route.mtu = *arguments.number<std::uint32_t>("mtu");
        route.mtu_locked = mtu->modified;
    }
    CULVERT_CHECK(apply_encap(context, arguments, route));
    const bool has_encap = arguments.has("encap");
    route.onlink = has_encap || arguments.has("onlink");
    route.protocol = arguments.has("proto") ? std::string(arguments.text("proto")) : "boot";
    if (arguments.has("scope")) {
        route.scope = std::string(arguments.text("scope"));
    } else {
        const bool is_link = is_unicast && (!route.gateway || has_encap) &&
                             route.next_hops.empty() && route.prefix.address.is_v4();
        route.scope = is_link ? "link" : "global";
    }
    return context.core.routing().modify_route(verb, route);
}

struct Filter {
    Filter(const Context& context, const Arguments& arguments)
        : root(arguments.get<net::Prefix>("root"))
        , match(arguments.get<net::Prefix>("match"))
        , link(arguments.get<LinkId>("dev"))
        , gateway(arguments.get<net::IpAddress>("via"))
        , protocol(arguments.text("proto"))
        , scope(arguments.text("scope"))
        , tos(arguments.has("tos") ? std::optional(tos_of(arguments)) : std::nullopt)
        , all_tables(arguments.text("table") == "all") {
        for (const std::string_view keyword : {"exact", "to"}) {
            if (arguments.has(keyword)) {
                exact = of_family(context, arguments, keyword);
            }
        }
        // Without a word of it, IPv4.
        is_ip6 = context.options.family == 6;
        for (const auto& prefix : {exact, root, match}) {
            is_ip6 = is_ip6 || (prefix && !prefix->address.is_v4());
        }
    }

    [[nodiscard]] bool is_wanted(const route::Route& route) const {
        if (!all_tables && shown_table(route) != table) {
            return false;
        }
        const net::Prefix& prefix = route.prefix;
        return prefix.address.is_v4() != is_ip6 && (!exact || prefix == exact->network()) &&
               (!root || (root->length <= prefix.length && root->contains(prefix.address))) &&
               (!match || (prefix.length <= match->length && prefix.contains(match->address))) &&
               (!link || route.leaves_by(*link)) && (!gateway || goes_to(route, *gateway)) &&
               (protocol.empty() || route.protocol == protocol) &&
               (scope.empty() || route.scope == scope) && (!tos || route.tos == *tos);
    }

    static bool goes_to(const route::Route& route, const net::IpAddress& gateway) {
        return route.gateway == gateway ||
               std::any_of(
                   route.next_hops.begin(),
                   route.next_hops.end(),
                   [&](const route::NextHop& hop) { return hop.gateway == gateway; }
               );
    }

    std::optional<net::Prefix> exact;
    std::optional<net::Prefix> root;
    std::optional<net::Prefix> match;
    std::optional<LinkId> link;
    std::optional<net::IpAddress> gateway;
    std::string_view protocol;
    std::string_view scope;
    std::optional<std::uint8_t> tos;
    bool all_tables = false;
    route::TableId table = route::kMainTable;
    bool is_ip6 = false;
};

// The kernel walks its IPv6 tree so that what lies within a prefix comes before it.
bool comes_before6(const route::Route& a, const route::Route& b) {
    if (a.prefix == b.prefix) {
        return false;
    }
    if (a.prefix.contains(b.prefix.address) && a.prefix.length < b.prefix.length) {
        return false;
    }
    if (b.prefix.contains(a.prefix.address) && b.prefix.length < a.prefix.length) {
        return true;
    }
    return a.prefix < b.prefix;
}

Result<Filter> filter_of(Context& context, const Arguments& arguments) {
    Filter filter(context, arguments);
    CULVERT_TRY(table, routing_table(context, arguments));
    filter.table = table.value_or(route::kMainTable);
    return filter;
}

// Of all tables, the main one stands first.
std::vector<route::Route> wanted_routes(Context& context, const Filter& filter) {
    std::vector<route::Route> routes;
    context.core.routing().for_each_route([&](const route::Route& route) {
        if (filter.is_wanted(route)) {
            routes.push_back(route);
        }
    });
    if (filter.is_ip6) {
        std::stable_sort(routes.begin(), routes.end(), comes_before6);
    }
    std::stable_partition(routes.begin(), routes.end(), [](const route::Route& route) {
        return shown_table(route) != route::kLocalTable;
    });
    return routes;
}

// RT-01: no packet may have it as its source.
bool is_no_source(const net::IpAddress& address) {
    const bool is_this_net = address.is_v4() && address.v4() != 0 && address.v4() >> 24 == 0;
    const bool is_everybody = address.is_v4() && address.v4() == 0xffffffff;
    return address.is_multicast() || is_everybody || is_this_net;
}

}  // namespace

Result<void> route_add(Context& context, const Arguments& arguments) {
    return modify(context, arguments, route::RouteVerb::add);
}

Result<void> route_append(Context& context, const Arguments& arguments) {
    return modify(context, arguments, route::RouteVerb::append);
}

Result<void> route_prepend(Context& context, const Arguments& arguments) {
    return modify(context, arguments, route::RouteVerb::prepend);
}

Result<void> route_test(Context& context, const Arguments& arguments) {
    return modify(context, arguments, route::RouteVerb::test);
}

Result<void> route_replace(Context& context, const Arguments& arguments) {
    return modify(context, arguments, route::RouteVerb::replace);
}

Result<void> route_change(Context& context, const Arguments& arguments) {
    return modify(context, arguments, route::RouteVerb::change);
}

Result<void> route_del(Context& context, const Arguments& arguments) {
    CULVERT_TRY(route, route_of(context, arguments));
    route.protocol = std::string(arguments.text("proto"));
    route.scope = std::string(arguments.text("scope"));
    return context.core.routing().del_route(route);
}

Result<void> route_show(Context& context, const Arguments& arguments) {
    CULVERT_TRY(filter, filter_of(context, arguments));
    RouteColumns columns{.device = !filter.link, .table = filter.all_tables};
    if (context.out.is_json()) {
        context.out.list();
    }
    for (const route::Route& route : wanted_routes(context, filter)) {
        if (context.out.is_json()) {
            context.out.entry(route_json(context, route, columns));
        } else {
            context.out.text(route_text(context, route, columns));
        }
    }
    return {};
}

Result<void> route_get(Context& context, const Arguments& arguments) {
    RouteQuery query;
    query.destination = *arguments.get<net::IpAddress>("to");
    query.from = arguments.get<net::IpAddress>("from");
    query.link_in = arguments.get<LinkId>("iif").value_or(kNoLink);
    query.tos = tos_of(arguments) & route::kTosMask;
    const route::Routing& routing = context.core.routing();
    const net::IpAddress source = query.from.value_or(net::IpAddress());
    if (is_no_source(source)) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("Invalid argument: {} can not be a source", source.to_string())};
    }
    LinkId out = arguments.get<LinkId>("oif").value_or(kNoLink);
    if (arguments.has("vrf")) {
        CULVERT_TRY(vrf, named_vrf(context, arguments.text("vrf")));
        out = out == kNoLink ? vrf : out;
    }
    // A packet that comes in need not have a source of ours.
    route::Path path =
        query.link_in != kNoLink && out == kNoLink
            ? routing.lookup_forward(query.destination, source, query.link_in, query.tos)
            : routing.lookup(query.destination, out, source, query.tos);
    switch (path.kind) {
    case route::AdjacencyKind::no_route:
        return Error{std::errc::network_unreachable, "Network is unreachable"};
    case route::AdjacencyKind::unreachable:
        return Error{std::errc::host_unreachable, "No route to host"};
    case route::AdjacencyKind::prohibit:
        return Error{std::errc::permission_denied, "Permission denied"};
    case route::AdjacencyKind::blackhole:
        return Error{std::errc::invalid_argument, "Invalid argument: a blackhole route"};
    default:
        break;
    }
    if (context.out.is_json()) {
        context.out.entry(path_json(context, query, path));
    } else {
        context.out.text(path_text(context, query, path));
    }
    return {};
}

Result<void> route_flush(Context& context, const Arguments& arguments) {
    if (arguments.size() == 0) {
        return syntax_error(context, "\"route flush\" requires arguments");
    }
    CULVERT_TRY(filter, filter_of(context, arguments));
    const std::vector<route::Route> doomed = wanted_routes(context, filter);
    for (const route::Route& route : doomed) {
        CULVERT_CHECK(context.core.routing().del_route(route));
    }
    if (context.options.statistics > 0 && !context.out.is_json()) {
        context.out.text(
            doomed.empty() ? std::string("Nothing to flush.\n")
                           : fmt::format("{} routes deleted\n", doomed.size())
        );
    }
    return {};
}

}  // namespace culvert::control
