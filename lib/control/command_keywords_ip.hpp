// SPDX-License-Identifier: BSD-3-Clause
// Keywords of `addr`, `route` and `neigh`.
#pragma once

#include "lib/control/command_keywords.hpp"
#include "lib/control/dsfield.hpp"

#include <array>

namespace culvert::control {

inline constexpr Keyword kAddress = {
    .name = "local",
    .kind = Kind::prefix,
    .value = "PREFIX",
    .positional = true,
    .required = true,
    .help = "192.0.2.1/24 or 2001:db8::1/64; without a length one host"};

inline constexpr auto kAddrAdd = std::to_array<Keyword>({
    kAddress,
    kDevRequired,
    {.name = "broadcast",
     .aliases = "brd",
     .kind = Kind::address,
     .value = "ADDR",
     .words = "+ -",
     .help = "the broadcast address; + is the prefix's own"},
    {.name = "scope",
     .kind = Kind::choice,
     .words = "global link host",
     .help = "where it is valid"},
    {.name = "label", .kind = Kind::text, .value = "LABEL", .help = "what listings show it with"},
    {.name = "peer",
     .aliases = "remote",
     .kind = Kind::prefix,
     .value = "PREFIX",
     .help = "who is on the other end, or the network there; the length is this one's"},
    {.name = "valid_lft",
     .kind = Kind::number,
     .value = "SECONDS",
     .words = "forever",
     .min = 1,
     .help = "how long it is there; with preferred_lft"},
    {.name = "preferred_lft",
     .kind = Kind::number,
     .value = "SECONDS",
     .words = "forever",
     .help = "how long packets are sent from it; with valid_lft"},
    {.name = "noprefixroute", .help = "without the route to its prefix"},
    {.name = "nodad", .help = "IPv6: in use at once, without duplicate address detection"},
});

inline constexpr auto kAddrDel = std::to_array<Keyword>({
    kAddress,
    kDevRequired,
    {.name = "peer",
     .aliases = "remote",
     .kind = Kind::prefix,
     .value = "PREFIX",
     .help = "who is on the other end, or the network there"},
});
inline constexpr auto kAddrShow =
    std::to_array<Keyword>({kShowDev, {.name = "up", .help = "only links that are up"}});
inline constexpr auto kAddrFlush = std::to_array<Keyword>({kDevPositional});

inline constexpr Keyword kTable = {
    .name = "table",
    .kind = Kind::number,
    .value = "T",
    .words = "main default local",
    .complaint = "\"table\" value is invalid",
    .help = "the routing table; main if not said"};
inline constexpr Keyword kTableOfVrf = {
    .name = "vrf", .kind = Kind::link, .value = "NAME", .help = "the routing table of this VRF"};
inline constexpr Keyword kProtocol = {
    .name = "proto",
    .aliases = "protocol",
    .kind = Kind::text,
    .value = "PROTO",
    .help = "who made it: boot, static, kernel, ..."};
inline constexpr Keyword kRouteScope = {
    .name = "scope",
    .kind = Kind::choice,
    .words = "global link host",
    .help = "how far away it is"};
inline constexpr Keyword kMetric = {
    .name = "metric",
    .aliases = "preference priority",
    .kind = Kind::number,
    .value = "N",
    .help = "the lowest wins"};
inline constexpr Keyword kRouteTos = {
    .name = "tos",
    .aliases = "dsfield",
    .kind = Kind::hex,
    .value = "HEX",
    .words = kDsfieldWords,
    .max = kMax8,
    .complaint = "\"tos\" value is invalid",
    .help = "IPv4: for packets with this TOS alone, of which the bits 0x1c count"};
inline constexpr Keyword kVia = {
    .name = "via",
    .kind = Kind::address,
    .value = "ADDR",
    .modifier = "inet inet6",
    .help = "the gateway"};
inline constexpr Keyword kRouteSource = {
    .name = "src",
    .kind = Kind::address,
    .value = "ADDR",
    .help = "source address of packets made here"};
inline constexpr Keyword kUnicast = {.name = "unicast", .help = "an ordinary route"};
inline constexpr Keyword kUnreachable = {.name = "unreachable", .help = "host unreachable"};
inline constexpr Keyword kProhibit = {.name = "prohibit", .help = "administratively prohibited"};
inline constexpr Keyword kBlackhole = {.name = "blackhole", .help = "dropped without a word"};
inline constexpr Keyword kThrow = {.name = "throw", .help = "as if this table had no route"};
inline constexpr Keyword kNextHops = {
    .name = "nexthop",
    .kind = Kind::rest,
    .value = "[via ADDR] [dev NAME] [weight N] [onlink] [nexthop ...]",
    .help = "one of several next hops, among which flows are spread; last in the line"};

inline constexpr Keyword kRouteEncap = {
    .name = "encap",
    .kind = Kind::choice,
    .words = "ip ip6",
    .complaint = "\"encap type\" value is invalid",
    .help = "into an external tunnel: the outer header's words follow, and among them `src`"};

inline constexpr Keyword kNextHopId = {
    .name = "nhid",
    .kind = Kind::number,
    .value = "N",
    .help = "refused: there are no next hop objects; say via, dev, nexthop"};

inline constexpr auto kRouteAdd = std::to_array<Keyword>({
    {.name = "to",
     .kind = Kind::prefix,
     .value = "PREFIX",
     .positional = true,
     .required = true,
     .help = "the destinations; or default"},
    kVia,
    {.name = "dev", .kind = Kind::link, .value = "NAME", .help = "the link to send on"},
    kRouteSource,
    kMetric,
    {.name = "mtu",
     .kind = Kind::number,
     .value = "N",
     .modifier = "lock",
     .help = "largest packet on this path"},
    {.name = "pref",
     .kind = Kind::choice,
     .words = "medium",
     .help = "IPv6: as `route show` prints it"},
    {.name = "onlink", .help = "the gateway is on the link, whatever routes say"},
    kNextHopId,
    kProtocol,
    kRouteScope,
    kTable,
    kTableOfVrf,
    kUnicast,
    kUnreachable,
    kProhibit,
    kBlackhole,
    kThrow,
    kRouteEncap,
    {.name = "id",
     .kind = Kind::number,
     .value = "N",
     .complaint = "\"id\" value is invalid",
     .help = "encap: GRE's key, if there is `key`, too"},
    {.name = "dst", .kind = Kind::address, .value = "ADDR", .help = "encap: outer destination"},
    {.name = "tos",
     .aliases = "dsfield",
     .kind = Kind::hex,
     .value = "HEX",
     .words = kDsfieldWords,
     .max = kMax8,
     .complaint = "\"tos\" value is invalid",
     .help = "IPv4: for packets with this TOS alone, of which the bits 0x1c count; "
             "behind encap: the outer TOS, and 1 is the inner packet's"},
    {.name = "ttl",
     .aliases = "hoplimit hlim",
     .kind = Kind::number,
     .value = "N",
     .max = kMax8,
     .complaint = "\"ttl\" value is invalid",
     .help = "encap: outer TTL or hop limit; 0: the inner packet's"},
    {.name = "tc",
     .kind = Kind::hex,
     .value = "HEX",
     .max = kMax8,
     .complaint = "\"tc\" value is invalid",
     .help = "encap ip6: outer traffic class"},
    {.name = "key", .help = "encap: GRE with a key"},
    {.name = "csum", .help = "encap: GRE with a checksum"},
    {.name = "seq", .help = "encap: GRE with sequence numbers"},
    kNextHops,
});

inline constexpr auto kRouteDel = std::to_array<Keyword>({
    {.name = "to",
     .kind = Kind::prefix,
     .value = "PREFIX",
     .positional = true,
     .required = true,
     .help = "the destinations"},
    kVia,
    {.name = "dev", .kind = Kind::link, .value = "NAME", .help = "the link it sends on"},
    kRouteSource,
    kRouteTos,
    kMetric,
    kProtocol,
    kRouteScope,
    kTable,
    kTableOfVrf,
    kUnicast,
    kUnreachable,
    kProhibit,
    kBlackhole,
    kThrow,
    kNextHops,
});

#define CULVERT_ROUTE_FILTER(help_text)                                                            \
    {.name = "to",                                                                                 \
     .kind = Kind::prefix,                                                                         \
     .value = "PREFIX",                                                                            \
     .positional = true,                                                                           \
     .help = (help_text)},                                                                         \
        {.name = "root",                                                                           \
         .kind = Kind::prefix,                                                                     \
         .value = "PREFIX",                                                                        \
         .help = "only prefixes within this one"},                                                 \
        {.name = "match",                                                                          \
         .kind = Kind::prefix,                                                                     \
         .value = "PREFIX",                                                                        \
         .help = "only prefixes that this one is within"},                                         \
        {.name = "exact", .kind = Kind::prefix, .value = "PREFIX", .help = "only this prefix"},    \
        kDevFilter, kVia, kRouteTos, kProtocol, kRouteScope, kTableOfVrf, {                        \
        .name = "table", .kind = Kind::number, .value = "T", .words = "main default local all",    \
        .complaint = "\"table\" value is invalid", .help = "local: our own addresses"              \
    }

inline constexpr auto kRouteShow =
    std::to_array<Keyword>({CULVERT_ROUTE_FILTER("only this prefix")});
inline constexpr auto kRouteFlush =
    std::to_array<Keyword>({CULVERT_ROUTE_FILTER("only this prefix")});
#undef CULVERT_ROUTE_FILTER

inline constexpr auto kRouteGet = std::to_array<Keyword>({
    {.name = "to",
     .kind = Kind::address,
     .value = "ADDR",
     .positional = true,
     .required = true,
     .help = "where to"},
    {.name = "from", .kind = Kind::address, .value = "ADDR", .help = "the packet's source"},
    {.name = "iif", .kind = Kind::link, .value = "NAME", .help = "as if it came in here"},
    {.name = "oif",
     .aliases = "dev",
     .kind = Kind::link,
     .value = "NAME",
     .help = "as if bound to this link"},
    kRouteTos,
    kTableOfVrf,
});

inline constexpr Keyword kNeighTo = {
    .name = "to",
    .kind = Kind::address,
    .value = "ADDR",
    .positional = true,
    .required = true,
    .help = "its IP address"};
inline constexpr auto kNeighAdd = std::to_array<Keyword>({
    kNeighTo,
    kDevRequired,
    {.name = "lladdr",
     .kind = Kind::link_address,
     .value = "MAC",
     .complaint = "Invalid link address",
     .help = "its MAC; of a gre without remote, the IPv4 address of the tunnel's other end"},
    {.name = "nud",
     .kind = Kind::choice,
     .words = "permanent noarp reachable stale none incomplete delay probe failed",
     .help = "its state; permanent if not said"},
    {.name = "router", .help = "it routes"},
    {.name = "proxy", .help = "no neighbour: the link answers for an address that is elsewhere"},
    {.name = "use", .help = "asked for at once, as if a packet went to it"},
    {.name = "managed", .help = "asked for, and kept resolved without traffic"},
    {.name = "extern_learn", .help = "learned by somebody else: never collected as garbage"},
    {.name = "protocol", .kind = Kind::text, .value = "PROTO", .help = "who says so"},
});
inline constexpr auto kNeighDel = std::to_array<Keyword>({
    kNeighTo,
    kDevRequired,
    {.name = "proxy", .help = "the entry of proxies, not the neighbour"},
    {.name = "lladdr", .kind = Kind::link_address, .value = "MAC", .help = "accepted and ignored"},
});
inline constexpr auto kNeighGet = std::to_array<Keyword>({
    kNeighTo,
    kDevRequired,
    {.name = "proxy", .help = "the entry of proxies, not the neighbour"},
});
inline constexpr auto kNeighShow = std::to_array<Keyword>({
    {.name = "to",
     .kind = Kind::prefix,
     .value = "PREFIX",
     .positional = true,
     .help = "only within this prefix"},
    kDevFilter,
    {.name = "nud",
     .kind = Kind::choice,
     .words = "all permanent noarp reachable stale none incomplete delay probe failed",
     .help = "only in this state"},
    {.name = "proxy", .help = "the entries of proxies instead"},
    {.name = "nomaster", .help = "only of links that are in no bridge and no VRF"},
    {.name = "vrf", .kind = Kind::link, .value = "NAME", .help = "only of links in this VRF"},
});

}  // namespace culvert::control
