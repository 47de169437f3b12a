// SPDX-License-Identifier: BSD-3-Clause
// Links as ip(8) and bridge(8) print them (UI-SHOW-*).
#pragma once

#include "lib/control/command_context.hpp"

#include <string>
#include <string_view>

namespace culvert::control {

// "port", "bridge", "vxlan", "dummy"
std::string_view kind_name(pipeline::LinkKind kind);

// What `ip -s -d link show` prints of one link, by the context's options.
std::string link_text(const Context& context, const LinkRecord& link);
Json link_json(const Context& context, const LinkRecord& link);

// The parts that `ip addr show` has in common; its lines stand between the head and the counters.
std::string link_head_text(const Context& context, const LinkRecord& link, bool with_mode);
std::string link_address_text(const Context& context, const LinkRecord& link);
Json link_head_json(const Context& context, const LinkRecord& link, bool with_mode);
std::string stats_text(const LinkStats& stats, int level);
Json stats_json(const LinkStats& stats, int level);

// `bridge link show`
std::string bridge_link_text(const Context& context, const LinkRecord& link);
Json bridge_link_json(const Context& context, const LinkRecord& link);

// output_link_info.cpp: the kind's own options, `vxlan id 42 ...` (UI-SHOW-05, -06); empty when it
// has none.
std::string link_info_text(const Context& context, const LinkRecord& link);
Json link_info_json(const Context& context, const LinkRecord& link);

}  // namespace culvert::control
