// SPDX-License-Identifier: BSD-3-Clause
// What a command's handler works with, and the handlers, which command_table.cpp names.
#pragma once

#include "lib/control/command.hpp"
#include "lib/control/command_arguments.hpp"
#include "lib/control/output.hpp"

#include <string>

namespace culvert::control {

struct Context {
    Core& core;
    Program& program;
    const OutputOptions& options;
    Output& out;
    std::uint32_t monitor = 0;  // set by `monitor`: the event objects to stream, a bit each
    bool bad_syntax = false;    // set when an error is the line's fault: exit status 1, not 2
    std::string attempt;        // "link add vx0": what errors begin with
};

// An error that the line itself shows.
inline Error syntax_error(Context& context, std::string what) {
    context.bad_syntax = true;
    return {std::errc::invalid_argument, std::move(what)};
}

Result<void> link_add(Context& context, const Arguments& arguments);
Result<void> link_set(Context& context, const Arguments& arguments);
Result<void> link_del(Context& context, const Arguments& arguments);
Result<void> link_show(Context& context, const Arguments& arguments);
Result<void> tunnel_add(Context& context, const Arguments& arguments);
Result<void> tunnel_change(Context& context, const Arguments& arguments);
Result<void> tunnel_del(Context& context, const Arguments& arguments);
Result<void> tunnel_show(Context& context, const Arguments& arguments);
Result<void> fou_add(Context& context, const Arguments& arguments);
Result<void> fou_del(Context& context, const Arguments& arguments);
Result<void> fou_show(Context& context, const Arguments& arguments);
Result<void> bridge_link_set(Context& context, const Arguments& arguments);
Result<void> bridge_link_show(Context& context, const Arguments& arguments);
Result<void> addr_add(Context& context, const Arguments& arguments);
Result<void> addr_replace(Context& context, const Arguments& arguments);
Result<void> addr_del(Context& context, const Arguments& arguments);
Result<void> addr_show(Context& context, const Arguments& arguments);
Result<void> addr_flush(Context& context, const Arguments& arguments);
Result<void> route_add(Context& context, const Arguments& arguments);
Result<void> route_append(Context& context, const Arguments& arguments);
Result<void> route_prepend(Context& context, const Arguments& arguments);
Result<void> route_test(Context& context, const Arguments& arguments);
Result<void> route_replace(Context& context, const Arguments& arguments);
Result<void> route_change(Context& context, const Arguments& arguments);
Result<void> route_del(Context& context, const Arguments& arguments);
Result<void> route_show(Context& context, const Arguments& arguments);
Result<void> route_get(Context& context, const Arguments& arguments);
Result<void> route_flush(Context& context, const Arguments& arguments);
Result<void> neigh_add(Context& context, const Arguments& arguments);
Result<void> neigh_replace(Context& context, const Arguments& arguments);
Result<void> neigh_change(Context& context, const Arguments& arguments);
Result<void> neigh_del(Context& context, const Arguments& arguments);
Result<void> neigh_get(Context& context, const Arguments& arguments);
Result<void> neigh_show(Context& context, const Arguments& arguments);
Result<void> neigh_flush(Context& context, const Arguments& arguments);
Result<void> fdb_add(Context& context, const Arguments& arguments);
Result<void> fdb_append(Context& context, const Arguments& arguments);
Result<void> fdb_replace(Context& context, const Arguments& arguments);
Result<void> fdb_del(Context& context, const Arguments& arguments);
Result<void> fdb_show(Context& context, const Arguments& arguments);
Result<void> fdb_get(Context& context, const Arguments& arguments);
Result<void> fdb_flush(Context& context, const Arguments& arguments);
Result<void> show_port(Context& context, const Arguments& arguments);
Result<void> clear_port(Context& context, const Arguments& arguments);
Result<void> show_drops(Context& context, const Arguments& arguments);
Result<void> show_lcores(Context& context, const Arguments& arguments);
Result<void> show_process(Context& context, const Arguments& arguments);
Result<void> show_snmp(Context& context, const Arguments& arguments);
Result<void> show_sysctl(Context& context, const Arguments& arguments);
Result<void> sysctl(Context& context, const Arguments& arguments);
Result<void> show_tunnels(Context& context, const Arguments& arguments);
Result<void> monitor(Context& context, const Arguments& arguments);
Result<void> start(Context& context, const Arguments& arguments);
Result<void> stop(Context& context, const Arguments& arguments);
Result<void> quit(Context& context, const Arguments& arguments);
Result<void> complete(Context& context, const Arguments& arguments);
Result<void> version(Context& context, const Arguments& arguments);

}  // namespace culvert::control
