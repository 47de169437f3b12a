// SPDX-License-Identifier: BSD-3-Clause
// The commands. The order of an object's verbs decides what a beginning means, as in iproute2:
// `route a` is add.
#include "lib/control/command_context.hpp"
#include "lib/control/command_keywords_fdb.hpp"
#include "lib/control/command_keywords_ip.hpp"
#include "lib/control/command_keywords_link.hpp"
#include "lib/control/command_keywords_tunnel.hpp"

#include <array>

namespace culvert::control {

namespace {

constexpr auto kObjects = std::to_array<Object>({
    {"link", "", "Network devices: ports, bridges, tunnels (ip-link(8))."},
    {"bridge link", "", "Bridge ports' flags (bridge(8)); the first word is needed."},
    {"tunnel", "tunl", "ipip and gre links in their older words (ip-tunnel(8))."},
    {"addr", "address", "IP addresses of links (ip-address(8))."},
    {"route", "", "Routes (ip-route(8))."},
    {"neigh", "neighbour neighbor", "Neighbours: the ARP table (ip-neighbour(8))."},
    {"fdb", "", "Forwarding databases of bridges and vxlan links (bridge(8))."},
    {"show", "", "What the processor saw and does."},
    {"clear", "", "Counters back to zero."},
    {"monitor", "", "Events as they happen."},
    {"start", "", "Forwarding on (testpmd)."},
    {"stop", "", "Forwarding off (testpmd)."},
    {"quit", "", "The end."},
    {"version", "", "Culvert's version and DPDK's."},
    {"help", "", "This text."},
    {"complete", "", "Completion, for prompts."},
});

// `help` is answered before commands are looked up; the table has it for `help` and completion.
constexpr Handler kNoHandler = nullptr;

constexpr auto kCommands = std::to_array<Command>({
    {"link", "add", "", kLinkAdd, true, link_add, "makes a link; it is down at first"},
    {"link", "set", "change", kLinkSet, true, link_set, "changes a link"},
    {"link", "del", "delete", kLinkDel, false, link_del, "deletes a link; ports stay"},
    {"link",
     "show",
     "list lst",
     kLinkShow,
     false,
     link_show,
     "lists links; -s with counters, -d with details"},
    {"bridge link",
     "set",
     "change",
     kBridgeLinkSet,
     false,
     bridge_link_set,
     "changes a bridge port's flags"},
    {"bridge link",
     "show",
     "list",
     kBridgeLinkShow,
     false,
     bridge_link_show,
     "lists bridge ports; -d with flags"},
    {"tunnel", "add", "", kTunnelAdd, false, tunnel_add, "makes an ipip or gre link"},
    {"tunnel", "change", "chg", kTunnelAdd, false, tunnel_change, "changes one"},
    {"tunnel", "del", "delete", kTunnelDel, false, tunnel_del, "deletes one"},
    {"tunnel", "show", "list lst", kTunnelShow, false, tunnel_show, "lists them; -s with counters"},
    {"addr", "add", "", kAddrAdd, false, addr_add, "gives a link an address"},
    {"addr",
     "replace",
     "change chg",
     kAddrAdd,
     false,
     addr_replace,
     "adds an address or changes it"},
    {"addr", "del", "delete", kAddrDel, false, addr_del, "takes an address away"},
    {"addr", "show", "list lst", kAddrShow, false, addr_show, "lists links with their addresses"},
    {"addr", "flush", "", kAddrFlush, false, addr_flush, "takes all addresses of a link away"},
    {"route", "add", "", kRouteAdd, false, route_add, "adds a route"},
    {"route", "change", "chg", kRouteAdd, false, route_change, "changes a route that exists"},
    {"route", "replace", "", kRouteAdd, false, route_replace, "adds a route or changes it"},
    {"route",
     "append",
     "",
     kRouteAdd,
     false,
     route_append,
     "adds a route behind those with the same prefix and metric"},
    {"route", "del", "delete", kRouteDel, false, route_del, "deletes the first route that fits"},
    {"route", "show", "list lst", kRouteShow, false, route_show, "lists routes"},
    {"route",
     "get",
     "",
     kRouteGet,
     false,
     route_get,
     "what a packet to this address would meet, down to the bytes in front of it"},
    {"route", "flush", "", kRouteFlush, false, route_flush, "deletes all routes that fit"},
    {"neigh", "add", "", kNeighAdd, false, neigh_add, "adds a neighbour"},
    {"neigh", "change", "chg", kNeighAdd, false, neigh_change, "changes a neighbour that exists"},
    {"neigh", "replace", "", kNeighAdd, false, neigh_replace, "adds a neighbour or changes it"},
    {"neigh", "del", "delete", kNeighDel, false, neigh_del, "deletes a neighbour"},
    {"neigh", "show", "list lst", kNeighShow, false, neigh_show, "lists neighbours"},
    {"neigh",
     "flush",
     "",
     kNeighShow,
     false,
     neigh_flush,
     "deletes neighbours, but permanent and noarp ones"},
    {"fdb", "add", "", kFdbAdd, false, fdb_add, "adds an entry; the MAC must be new"},
    {"fdb", "append", "", kFdbAdd, false, fdb_append, "adds a remote to an entry: flood lists"},
    {"fdb",
     "replace",
     "",
     kFdbAdd,
     false,
     fdb_replace,
     "adds an entry or changes its first remote"},
    {"fdb",
     "del",
     "delete",
     kFdbAdd,
     false,
     fdb_del,
     "deletes an entry, or with dst one remote of it"},
    {"fdb",
     "show",
     "list lst",
     kFdbShow,
     false,
     fdb_show,
     "lists entries; -s with ages in seconds"},
    {"fdb", "get", "", kFdbGet, false, fdb_get, "one entry"},
    {"fdb", "flush", "", kFdbFlush, false, fdb_flush, "deletes all entries that fit"},
    {"show",
     "port",
     "",
     kShowPort,
     false,
     show_port,
     "a port's device: info, stats or xstats (testpmd)"},
    {"show",
     "drops",
     "",
     {},
     false,
     show_drops,
     "every drop reason that counted, and what it means; -s zeros too"},
    {"show",
     "lcores",
     "",
     {},
     false,
     show_lcores,
     "workers: queues, cycles per packet, busy share, packets per burst"},
    {"show", "process", "", {}, false, show_process, "the conservation sum, and the packet pool"},
    {"show",
     "tunnels",
     "",
     {},
     false,
     show_tunnels,
     "each tunnel's remotes: ready, or the reason why not"},
    {"clear", "port", "", kClearPort, false, clear_port, "clears the devices' counters (testpmd)"},
    {"monitor",
     "",
     "",
     kMonitor,
     false,
     monitor,
     "streams events, one a line; on the control socket only"},
    {"start", "", "", {}, false, start, "starts to receive"},
    {"stop", "", "", {}, false, stop, "stops receiving; control goes on"},
    {"quit", "", "", {}, false, quit, "ends culvert"},
    {"version", "", "", {}, false, version, "prints the versions"},
    {"help",
     "",
     "",
     kHelp,
     false,
     kNoHandler,
     "usage of all commands, or of one; `help markdown` is docs/commands.md"},
    {"complete", "", "", kComplete, false, complete, "the words that may stand at a line's end"},
});

constexpr auto kLinkTypes = std::to_array<LinkType>({
    {"vxlan", kVxlan, "VXLAN tunnel endpoint (RFC 7348, and Linux where it differs)"},
    {"ipip", kIpip, "IPv4 in IPv4 (RFC 2003, and Linux where it differs)"},
    {"gre", kGre, "packets in GRE (RFC 2784, 2890)"},
    {"gretap", kGre, "Ethernet frames in GRE"},
    {"bridge", kBridge, "learning Ethernet bridge; IP addresses on it are usable"},
    {"vlan", kVlanLink, "frames of another link with a tag (802.1Q, 802.1ad)"},
    {"dummy", {}, "takes all packets and keeps none"},
});

}  // namespace

std::span<const Object> objects() {
    return kObjects;
}

std::span<const Command> commands() {
    return kCommands;
}

std::span<const LinkType> link_types() {
    return kLinkTypes;
}

}  // namespace culvert::control
