// SPDX-License-Identifier: BSD-3-Clause
// fdb show, get, flush (UI-FDB-04, -05).
#include "lib/control/command_context.hpp"
#include "lib/control/output_fdb.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace culvert::control {

namespace {

struct Filter {
    explicit Filter(const Arguments& arguments)
        : device(arguments.get<LinkId>("dev"))
        , bridge(arguments.get<LinkId>("br"))
        , is_dynamic(arguments.has("dynamic"))
        , is_static(arguments.has("static"))
        , is_permanent(arguments.has("permanent"))
        , own(arguments.has("self") || !arguments.has("master"))
        , master(arguments.has("master") || !arguments.has("self")) {
        if (!device) {
            device = arguments.get<LinkId>("brport");
        }
    }

    [[nodiscard]] bool is_wanted(std::uint8_t state) const {
        std::string_view name = fdb_state_name(state);
        return (!is_dynamic || name != "permanent") && (!is_static || name == "static") &&
               (!is_permanent || name == "permanent");
    }

    std::optional<LinkId> device;
    std::optional<LinkId> bridge;
    bool is_dynamic;  // bridge(8) means "not permanent"
    bool is_static;
    bool is_permanent;
    bool own;
    bool master;
};

void print(Context& context, const fdb::Table::Entry& entry, const Filter& filter) {
    if (!filter.is_wanted(entry.shadow.state)) {
        return;
    }
    for (const FdbLine& line : fdb_lines(context, entry)) {
        if (filter.device && line.link != *filter.device) {
            continue;
        }
        if (context.out.is_json()) {
            context.out.entry(fdb_json(context, line, !filter.device));
        } else {
            context.out.text(fdb_text(context, line, !filter.device));
        }
    }
}

// The databases to list, bridges' first: the device's or bridge's own, and the one it is a port in.
bool is_listed(const Context& context, const LinkRecord& link, const Filter& filter) {
    if (link.kind == pipeline::LinkKind::vxlan) {
        return filter.own && (!filter.device || *filter.device == link.id) &&
               (!filter.bridge || *filter.bridge == link.master);
    }
    if (link.kind != pipeline::LinkKind::bridge || !filter.master ||
        (filter.bridge && *filter.bridge != link.id)) {
        return false;
    }
    if (!filter.device || *filter.device == link.id) {
        return true;
    }
    const LinkRecord* port = context.core.links().find(*filter.device);
    return port != nullptr && port->master == link.id;
}

}  // namespace

Result<void> fdb_show(Context& context, const Arguments& arguments) {
    Filter filter(arguments);
    if (context.out.is_json()) {
        context.out.list();
    }
    for (auto kind : {pipeline::LinkKind::bridge, pipeline::LinkKind::vxlan}) {
        context.core.links().for_each([&](const LinkRecord& link) {
            if (link.kind != kind || !is_listed(context, link, filter)) {
                return;
            }
            context.core.fdb().for_each(link.id, [&](const fdb::Table::Entry& entry) {
                print(context, entry, filter);
            });
        });
    }
    return {};
}

Result<void> fdb_get(Context& context, const Arguments& arguments) {
    if (!arguments.has("dev") && !arguments.has("br")) {
        return syntax_error(context, "Not enough information: \"dev\" or \"br\" is required");
    }
    LinkId domain = arguments.get<LinkId>("br").value_or(kNoLink);
    if (domain == kNoLink) {
        const LinkRecord& link = *context.core.links().find(*arguments.get<LinkId>("dev"));
        // As in Linux, a port's entry is looked for in its bridge unless `self` is said.
        domain = link.master != kNoLink && !arguments.has("self") ? link.master : link.id;
    }
    auto entry = context.core.fdb().get(domain, *arguments.get<net::MacAddress>("to"));
    if (!entry) {
        return Error{std::errc::no_such_file_or_directory, "Fdb entry not found"};
    }
    for (const FdbLine& line : fdb_lines(context, *entry)) {
        if (context.out.is_json()) {
            context.out.entry(fdb_json(context, line, true));
        } else {
            context.out.text(fdb_text(context, line, true));
        }
    }
    return {};
}

namespace {

class Flush {
public:
    Flush(Context& context, const Arguments& arguments)
        : context_(context)
        , arguments_(arguments)
        , is_filtered_(
              arguments.size() >
              1U + (arguments.has("self") ? 1U : 0U) + (arguments.has("master") ? 1U : 0U)
          ) {}

    // A vxlan link's flood list outlives a flush without conditions (VXLAN-FDB-17).
    [[nodiscard]] bool is_doomed_in_vxlan(const fdb::Table::Entry& entry) const {
        return is_state_wanted(entry.shadow.state) && (is_filtered_ || !entry.mac.is_zero()) &&
               has_remote(entry);
    }

    // A bridge keeps its own addresses: they are not entries that somebody made.
    [[nodiscard]] bool
    is_doomed_in_bridge(const fdb::Table::Entry& entry, LinkId bridge, LinkId port) const {
        bool is_own =
            entry.value.target() == bridge && (entry.shadow.state & fdb::nud::kPermanent) != 0;
        return is_state_wanted(entry.shadow.state) && !is_own &&
               (port == bridge || entry.value.target() == port);
    }

private:
    // "static" wants these only, "nostatic" none of them.
    [[nodiscard]] bool is_state_wanted(std::uint8_t state) const {
        std::string_view name = fdb_state_name(state);
        bool asked = false;
        bool fits = false;
        for (std::string_view keyword : {"permanent", "static", "dynamic"}) {
            auto on = arguments_.get<bool>(keyword);
            bool is_it = name == keyword || (keyword == "dynamic" && name.empty());
            if (on && !*on && is_it) {
                return false;
            }
            asked = asked || (on && *on);
            fits = fits || (on && *on && is_it);
        }
        return !asked || fits;
    }

    [[nodiscard]] bool has_remote(const fdb::Table::Entry& entry) const {
        auto destination = arguments_.get<net::IpAddress>("dst");
        auto vni = arguments_.number<std::uint32_t>("vni");
        if (!destination && !vni) {
            return true;
        }
        auto lines = fdb_lines(context_, entry);
        return std::any_of(lines.begin(), lines.end(), [&](const FdbLine& line) {
            return (!destination || line.remote.address == *destination) &&
                   (!vni || line.remote.vni == *vni);
        });
    }

    Context& context_;
    const Arguments& arguments_;
    bool is_filtered_;
};

}  // namespace

Result<void> fdb_flush(Context& context, const Arguments& arguments) {
    const LinkRecord& link = *context.core.links().find(*arguments.get<LinkId>("dev"));
    const bool has_own =
        link.kind == pipeline::LinkKind::vxlan || link.kind == pipeline::LinkKind::bridge;
    const bool own = arguments.has("self") || (!arguments.has("master") && has_own);
    const bool master = arguments.has("master") || (!arguments.has("self") && !has_own);
    if ((own && !has_own) || (master && link.master == kNoLink)) {
        return Error{
            std::errc::operation_not_supported,
            own && !has_own ? "it has no forwarding database of its own" : "it is in no bridge"};
    }
    Flush flush(context, arguments);
    if (own && link.kind == pipeline::LinkKind::vxlan) {
        context.core.fdb().flush(link.id, [&](const fdb::Table::Entry& entry) {
            return flush.is_doomed_in_vxlan(entry);
        });
    }
    const LinkId id = link.id;
    const LinkId bridge = own && link.kind == pipeline::LinkKind::bridge ? id : link.master;
    if (master || bridge == id) {
        context.core.fdb().flush(bridge, [&](const fdb::Table::Entry& entry) {
            return flush.is_doomed_in_bridge(entry, bridge, id);
        });
    }
    return {};
}

}  // namespace culvert::control
