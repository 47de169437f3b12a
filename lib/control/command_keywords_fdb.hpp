// SPDX-License-Identifier: BSD-3-Clause
// Keywords of `fdb`, `show`, `clear`, `monitor` and the rest.
#pragma once

#include "lib/control/command_keywords.hpp"

#include <array>

namespace culvert::control {

inline constexpr Keyword kFdbMac = {
    .name = "to",
    .kind = Kind::mac,
    .value = "MAC",
    .positional = true,
    .required = true,
    .help = "the station"};
inline constexpr Keyword kVni = {
    .name = "vni",
    .kind = Kind::number,
    .value = "VNI",
    .max = kMaxVni,
    .complaint = "invalid VNI",
    .help = "the network id behind this remote"};
inline constexpr Keyword kFdbVlan = {
    .name = "vlan",
    .kind = Kind::number,
    .value = "V",
    .max = 4095,
    .support = Support::only_off,
    .help = "the VLAN"};

inline constexpr auto kFdbAdd = std::to_array<Keyword>({
    kFdbMac,
    kDevRequired,
    {.name = "dst", .kind = Kind::address, .value = "ADDR", .help = "the VTEP it is behind"},
    {.name = "port",
     .kind = Kind::number,
     .value = "P",
     .max = kMax16,
     .complaint = "invalid port",
     .help = "UDP port there, if not the link's"},
    kVni,
    {.name = "via", .kind = Kind::link, .value = "NAME", .help = "the link to send on"},
    {.name = "src_vni",
     .kind = Kind::number,
     .value = "VNI",
     .max = kMaxVni,
     .support = Support::only_off,
     .complaint = "invalid VNI",
     .help = "for links in external mode"},
    {.name = "self", .help = "in the link's own database: vxlan, bridge (this if nothing is said)"},
    {.name = "master", .help = "in the database of the link's bridge"},
    {.name = "permanent",
     .aliases = "local",
     .help = "never ages, never moves (this if nothing is said)"},
    {.name = "static",
     .aliases = "temp",
     .help = "never ages; a vxlan link's does not move, a bridge's does"},
    {.name = "dynamic", .help = "as if learned"},
    {.name = "router", .help = "the station routes"},
    {.name = "extern_learn", .help = "learned by a controller"},
    {.name = "sticky", .help = "a bridge's entry that does not move"},
    kFdbVlan,
});

inline constexpr auto kFdbShow = std::to_array<Keyword>({
    {.name = "dev", .kind = Kind::link, .value = "NAME", .help = "only of this link"},
    {.name = "br",
     .kind = Kind::link,
     .value = "BRIDGE",
     .help = "only of this bridge and its ports"},
    {.name = "brport", .kind = Kind::link, .value = "NAME", .help = "only of this port"},
    {.name = "dynamic", .help = "all but permanent ones"},
    {.name = "static", .help = "only static ones"},
    {.name = "permanent", .help = "only permanent ones"},
    {.name = "self", .help = "only of links' own databases"},
    {.name = "master", .help = "only of bridges' databases"},
    kFdbVlan,
});

inline constexpr auto kFdbGet = std::to_array<Keyword>({
    kFdbMac,
    {.name = "dev",
     .aliases = "brport",
     .kind = Kind::link,
     .value = "NAME",
     .help = "of this link"},
    {.name = "br", .kind = Kind::link, .value = "BRIDGE", .help = "of this bridge"},
    {.name = "vni",
     .kind = Kind::number,
     .value = "VNI",
     .max = kMaxVni,
     .complaint = "invalid VNI",
     .help = "accepted; a vxlan link here has one"},
    {.name = "self", .help = "in the link's own database"},
    {.name = "master", .help = "in the database of the link's bridge"},
});

inline constexpr auto kFdbFlush = std::to_array<Keyword>({
    kDevPositional,
    {.name = "self", .help = "the link's own database"},
    {.name = "master", .help = "what the link's bridge knows behind it"},
    {.name = "permanent", .kind = Kind::toggle, .help = "only (or none of the) permanent entries"},
    {.name = "static", .kind = Kind::toggle, .help = "only (or none of the) static entries"},
    {.name = "dynamic", .kind = Kind::toggle, .help = "only (or none of the) dynamic entries"},
    {.name = "dst",
     .kind = Kind::address,
     .value = "ADDR",
     .help = "only entries with this remote"},
    kVni,
});

inline constexpr auto kShowPort = std::to_array<Keyword>({
    {.name = "what",
     .kind = Kind::choice,
     .words = "info stats xstats",
     .positional = true,
     .required = true,
     .help = "what to show"},
    {.name = "port",
     .kind = Kind::text,
     .value = "N | NAME | all",
     .positional = true,
     .required = true,
     .help = "a port's number, a link's name, or all"},
});
inline constexpr auto kClearPort = std::to_array<Keyword>({
    {.name = "what",
     .kind = Kind::choice,
     .words = "stats xstats",
     .positional = true,
     .required = true,
     .help = "what to clear"},
    {.name = "port",
     .kind = Kind::text,
     .value = "N | NAME | all",
     .positional = true,
     .required = true,
     .help = "a port's number, a link's name, or all"},
});

inline constexpr auto kMonitor = std::to_array<Keyword>({
    {.name = "all", .help = "everything (this if nothing is said)"},
    {.name = "link", .help = "links"},
    {.name = "address", .aliases = "addr", .help = "addresses"},
    {.name = "route", .help = "routes"},
    {.name = "neigh", .help = "neighbours"},
    {.name = "fdb", .help = "forwarding databases"},
});
inline constexpr auto kHelp = std::to_array<Keyword>(
    {{.name = "command",
      .kind = Kind::rest,
      .value = "COMMAND",
      .positional = true,
      .help = "a command's beginning"}}
);
inline constexpr auto kSysctl = std::to_array<Keyword>(
    {{.name = "settings",
      .kind = Kind::rest,
      .value = "NAME[=VALUE]...",
      .positional = true,
      .help = "a setting, as net.ipv4.fib_multipath_hash_policy=1"}}
);
inline constexpr auto kComplete = std::to_array<Keyword>({
    {.name = "line",
     .kind = Kind::text,
     .value = "LINE",
     .positional = true,
     .required = true,
     .help = "the line so far, as one word in quotes"},
});

}  // namespace culvert::control
