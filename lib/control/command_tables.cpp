// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_tables.hpp"

#include <fmt/format.h>

#include <string>

namespace culvert::control {

Result<LinkId> named_vrf(const Context& context, std::string_view name) {
    CULVERT_TRY(link, context.core.links().require(name));
    if (context.core.links().find(link)->kind != pipeline::LinkKind::vrf) {
        return Error{std::errc::invalid_argument, fmt::format("{} is not a VRF", name)};
    }
    return link;
}

Result<std::optional<route::TableId>> routing_table(Context& context, const Arguments& arguments) {
    using Table = std::optional<route::TableId>;
    if (arguments.has("table") && arguments.has("vrf")) {
        return syntax_error(context, "either \"table\" or \"vrf\", not both");
    }
    if (arguments.has("vrf")) {
        CULVERT_TRY(vrf, named_vrf(context, arguments.text("vrf")));
        return Table(context.core.links().find(vrf)->table);
    }
    if (const auto number = arguments.number<route::TableId>("table"); number) {
        return Table(*number == 0 ? route::kMainTable : *number);
    }
    const std::string_view word = arguments.text("table");
    if (word == "local") {
        return Table(route::kLocalTable);
    }
    if (word == "default") {
        return Table(route::kDefaultTable);
    }
    return word == "main" ? Table(route::kMainTable) : Table();
}

}  // namespace culvert::control
