// SPDX-License-Identifier: BSD-3-Clause
// fdb add, append, replace, del (UI-FDB-01..03). A bridge's database and a vxlan link's are told
// apart by `master` and `self`, as bridge(8) does; `self` is meant where nothing is said.
#include "lib/control/command_context.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

// UI-FDB-02
Result<std::uint8_t> state_of(Context& context, const Arguments& arguments) {
    const bool is_permanent = arguments.has("permanent");
    const bool is_static = arguments.has("static");
    const bool is_dynamic = arguments.has("dynamic");
    if (is_permanent + is_static + is_dynamic > 1) {
        return syntax_error(context, "only one of permanent, static and dynamic");
    }
    if (is_dynamic) {
        return fdb::nud::kReachable;
    }
    return static_cast<std::uint8_t>(
        fdb::nud::kNoarp | (is_static ? fdb::nud::kReachable : fdb::nud::kPermanent)
    );
}

struct Place {
    LinkId link = kNoLink;
    bool own = false;     // the link's own database
    bool master = false;  // its bridge's
};

Place place_of(const Arguments& arguments) {
    Place place;
    place.link = *arguments.get<LinkId>("dev");
    place.master = arguments.has("master");
    place.own = arguments.has("self") || !place.master;
    return place;
}

std::uint8_t flags_of(const Arguments& arguments) {
    unsigned flags = arguments.has("router") ? fdb::ntf::kRouter : 0U;
    flags |= arguments.has("extern_learn") ? fdb::ntf::kExtLearned : 0U;
    flags |= arguments.has("sticky") ? fdb::ntf::kSticky : 0U;
    return static_cast<std::uint8_t>(flags);
}

Result<fdb::VxlanFdbRequest>
vxlan_request(Context& context, const Arguments& arguments, fdb::FdbVerb verb) {
    fdb::VxlanFdbRequest request;
    request.verb = verb;
    request.mac = *arguments.get<net::MacAddress>("to");
    request.destination = arguments.get<net::IpAddress>("dst");
    request.port = arguments.number<std::uint16_t>("port");
    request.vni = arguments.number<std::uint32_t>("vni");
    request.via = arguments.get<LinkId>("via");
    CULVERT_TRY(state, state_of(context, arguments));
    request.state = state;
    request.flags = fdb::ntf::kSelf | flags_of(arguments);
    return request;
}

// Which bridge's database, and what the entry leads to there: a port, or the bridge itself.
struct BridgePlace {
    LinkId bridge = kNoLink;
    LinkId target = kNoLink;
};

Result<BridgePlace> bridge_place(Context& context, const Place& place, const LinkRecord& link) {
    if (place.master && link.master != kNoLink) {
        return BridgePlace{link.master, link.id};
    }
    if (link.kind == pipeline::LinkKind::bridge) {
        return BridgePlace{link.id, link.id};
    }
    (void)context;
    return Error{
        std::errc::operation_not_supported,
        place.master ? "it is in no bridge"
                     : "it has no forwarding database of its own; for its bridge's say master"};
}

Result<void> refuse_remotes(const Arguments& arguments) {
    for (std::string_view keyword : {"dst", "port", "vni", "via"}) {
        if (arguments.has(keyword)) {
            return Error{
                std::errc::invalid_argument,
                fmt::format("{} is for vxlan links' own databases only", keyword)};
        }
    }
    return {};
}

Result<void> bridge_modify(
    Context& context, const Arguments& arguments, fdb::FdbVerb verb, const BridgePlace& place
) {
    CULVERT_CHECK(refuse_remotes(arguments));
    net::MacAddress mac = *arguments.get<net::MacAddress>("to");
    if (!mac.is_valid_station()) {
        return Error{
            std::errc::invalid_argument,
            "a bridge's entry is for one station, not for zero or a group"};
    }
    CULVERT_TRY(state, state_of(context, arguments));
    const std::uint8_t flags = flags_of(arguments) & static_cast<std::uint8_t>(~fdb::ntf::kRouter);
    if ((flags & fdb::ntf::kSticky) != 0 && (state & fdb::nud::kPermanent) != 0) {
        return Error{
            std::errc::invalid_argument,
            "a permanent entry is not sticky as well; say static or dynamic"};
    }
    fdb::Table& table = context.core.fdb();
    if (verb == fdb::FdbVerb::add && table.get(place.bridge, mac)) {
        return Error{std::errc::file_exists, "the bridge has this MAC already"};
    }
    fdb::Shadow shadow;
    shadow.updated_s = context.core.now_s();
    shadow.state = state;
    shadow.flags = flags;
    return table.set(place.bridge, mac, place.target, shadow, context.core.now_s());
}

Result<void> modify(Context& context, const Arguments& arguments, fdb::FdbVerb verb) {
    Place place = place_of(arguments);
    const LinkRecord& link = *context.core.links().find(place.link);
    if (place.own && link.kind == pipeline::LinkKind::vxlan) {
        CULVERT_TRY(request, vxlan_request(context, arguments, verb));
        CULVERT_CHECK(
            context.core.vxlan_fdb().modify(vxlan_fdb_defaults(link), request, context.core.now_s())
        );
        if (!place.master) {
            return {};
        }
    }
    CULVERT_TRY(bridge, bridge_place(context, place, link));
    return bridge_modify(context, arguments, verb, bridge);
}

}  // namespace

Result<void> fdb_add(Context& context, const Arguments& arguments) {
    return modify(context, arguments, fdb::FdbVerb::add);
}

Result<void> fdb_append(Context& context, const Arguments& arguments) {
    return modify(context, arguments, fdb::FdbVerb::append);
}

Result<void> fdb_replace(Context& context, const Arguments& arguments) {
    return modify(context, arguments, fdb::FdbVerb::replace);
}

Result<void> fdb_del(Context& context, const Arguments& arguments) {
    Place place = place_of(arguments);
    const LinkRecord& link = *context.core.links().find(place.link);
    if (place.own && link.kind == pipeline::LinkKind::vxlan) {
        CULVERT_TRY(request, vxlan_request(context, arguments, fdb::FdbVerb::replace));
        CULVERT_CHECK(context.core.vxlan_fdb().del(vxlan_fdb_defaults(link), request));
        if (!place.master) {
            return {};
        }
    }
    CULVERT_TRY(bridge, bridge_place(context, place, link));
    net::MacAddress mac = *arguments.get<net::MacAddress>("to");
    auto entry = context.core.fdb().get(bridge.bridge, mac);
    if (!entry || entry->value.target() != bridge.target) {
        return Error{std::errc::no_such_file_or_directory, "there is no such entry"};
    }
    context.core.fdb().erase(bridge.bridge, mac);
    return {};
}

}  // namespace culvert::control
