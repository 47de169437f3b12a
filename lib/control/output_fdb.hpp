// SPDX-License-Identifier: BSD-3-Clause
// FDB entries as bridge(8) prints them (UI-FDB-05): a line for each remote.
#pragma once

#include "lib/control/command_context.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

// One line.
struct FdbLine {
    LinkId link = kNoLink;    // the bridge port, or the vxlan device
    LinkId master = kNoLink;  // the bridge whose database it is in; kNoLink = the link's own
    net::MacAddress mac;
    fdb::Remote remote;     // link's own database
    bool has_port = false;  // the remote's port and VNI are told where they are not the link's
    bool has_vni = false;
    std::uint32_t used_s = 0;  // seconds ago
    std::uint32_t updated_s = 0;
    std::uint8_t state = 0;
    std::uint8_t flags = 0;
};

// "permanent", "static", "stale" or "", of fdb::nud bits.
std::string_view fdb_state_name(std::uint8_t state);

// The lines of an entry whose target and shadow are these.
std::vector<FdbLine> fdb_lines(const Context& context, const fdb::Table::Entry& entry);

std::string fdb_text(const Context& context, const FdbLine& line, bool with_device);
Json fdb_json(const Context& context, const FdbLine& line, bool with_device);

}  // namespace culvert::control
