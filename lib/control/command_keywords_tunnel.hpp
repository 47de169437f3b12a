// SPDX-License-Identifier: BSD-3-Clause
// Keywords of the types ipip, sit, gre, gretap, ip6tnl, ip6gre and ip6gretap (catalogue 6.2), and
// of `tunnel`.
#pragma once

#include "lib/control/command_keywords_link.hpp"

#include <array>

namespace culvert::control {

inline constexpr Keyword kTunnelRemote = {
    .name = "remote",
    .kind = Kind::address4,
    .value = "ADDR",
    .words = "any",
    .help = "outer destination; any: the gateway of a packet's route says it"};
inline constexpr Keyword kTunnelLocal = {
    .name = "local",
    .kind = Kind::address4,
    .value = "ADDR",
    .words = "any",
    .help = "outer source address; any: chosen by route"};
inline constexpr Keyword kTunnelDev = {
    .name = "dev", .kind = Kind::text, .value = "NAME", .help = "the link to send on"};
inline constexpr Keyword kTunnelTtl = {
    .name = "ttl",
    .aliases = "hoplimit hlim",
    .kind = Kind::number,
    .value = "N",
    .words = "inherit",
    .max = kMax8,
    .complaint = "invalid TTL",
    .help = "outer TTL; inherit or 0: the inner packet's"};
inline constexpr Keyword kTunnelTos = {
    .name = "tos",
    .aliases = "tclass dsfield",
    .kind = Kind::hex,
    .value = "HEX",
    .words = "inherit",
    .max = kMax8,
    .complaint = "bad TOS value",
    .help = "outer TOS, hexadecimal; inherit or 1: the inner packet's"};
inline constexpr Keyword kTunnelPmtudisc = {
    .name = "pmtudisc", .kind = Kind::toggle, .help = "outer don't-fragment bit; on if not said"};

// GRE's key, on both sides or one.
inline constexpr Keyword tunnel_key(std::string_view name, std::string_view help_text) {
    return {.name = name, .kind = Kind::text, .value = "KEY", .help = help_text};
}

inline constexpr Keyword tunnel_toggle(std::string_view name, std::string_view help_text) {
    return {.name = name, .kind = Kind::toggle, .help = help_text};
}

inline constexpr Keyword kTunnelKey =
    tunnel_key("key", "ikey and okey: a number or a dotted quad; 0 is a key too");
inline constexpr Keyword kTunnelIkey =
    tunnel_key("ikey", "the key that received packets must have");
inline constexpr Keyword kTunnelOkey = tunnel_key("okey", "the key of packets sent");
inline constexpr Keyword kTunnelCsum = tunnel_toggle("csum", "icsum and ocsum");
inline constexpr Keyword kTunnelIcsum =
    tunnel_toggle("icsum", "received packets must have a checksum; without it they must not");
inline constexpr Keyword kTunnelOcsum = tunnel_toggle("ocsum", "packets sent have a checksum");
inline constexpr Keyword kTunnelSeq = tunnel_toggle("seq", "iseq and oseq");
inline constexpr Keyword kTunnelIseq =
    tunnel_toggle("iseq", "received packets must come in the order of their sequence numbers");
inline constexpr Keyword kTunnelOseq = tunnel_toggle("oseq", "packets sent have a sequence number");

inline constexpr Keyword kTunnelExternal = {
    .name = "external",
    .help = "each packet's route says the outer header (`route add ... encap ip` or `ip6`)"};
inline constexpr Keyword kTunnelFwmark = {
    .name = "fwmark",
    .kind = Kind::number,
    .value = "MARK",
    .support = Support::only_off,
    .complaint = "invalid fwmark",
    .help = "firewall mark for the outer route"};
inline constexpr Keyword kTunnelEncap = {
    .name = "encap",
    .kind = Kind::choice,
    .words = "none fou gue",
    .complaint = "Invalid encap type.",
    .help = "UDP around the tunnel: FOU, or with a header of its own GUE"};
inline constexpr Keyword kTunnelNoencap = {.name = "noencap", .help = "encap none"};

inline constexpr Keyword kTunnelEncapSport = {
    .name = "encap-sport",
    .kind = Kind::number,
    .value = "PORT",
    .words = "auto",
    .max = kMax16,
    .complaint = "Invalid source port.",
    .help = "UDP source port; auto or 0: by the inner flow"};
inline constexpr Keyword kTunnelEncapDport = {
    .name = "encap-dport",
    .kind = Kind::number,
    .value = "PORT",
    .max = kMax16,
    .complaint = "Invalid destination port.",
    .help = "UDP destination port"};
inline constexpr Keyword kTunnelEncapCsum = tunnel_toggle("encap-csum", "UDP checksum over IPv4");
inline constexpr Keyword kTunnelEncapCsum6 = {
    .name = "encap-csum6",
    .aliases = "encap-udp6-csum",
    .kind = Kind::toggle,
    .help = "UDP checksum over IPv6; on there if not said"};
inline constexpr Keyword kTunnelEncapRemcsum = tunnel_toggle(
    "encap-remcsum", "room for GUE's remote checksum offload, which forwarded packets never have"
);

// ipip and sit differ in their modes.
inline constexpr auto plain_tunnel(std::string_view modes) {
    return std::to_array<Keyword>({
        kTunnelRemote,
        kTunnelLocal,
        kTunnelDev,
        kTunnelTtl,
        kTunnelTos,
        kTunnelPmtudisc,
        {.name = "mode",
         .kind = Kind::choice,
         .words = modes,
         .complaint = "Cannot guess tunnel mode.",
         .help = "which payloads it takes; any if not said"},
        kTunnelExternal,
        kTunnelFwmark,
        kTunnelEncap,
        kTunnelNoencap,
        kTunnelEncapSport,
        kTunnelEncapDport,
        kTunnelEncapCsum,
        kTunnelEncapCsum6,
        kTunnelEncapRemcsum,
    });
}

inline constexpr auto kIpip = plain_tunnel("ipip mplsip any");
inline constexpr auto kSit = plain_tunnel("ip6ip ipip any");

inline constexpr auto kGre = std::to_array<Keyword>({
    kTunnelRemote,
    kTunnelLocal,
    kTunnelDev,
    kTunnelTtl,
    kTunnelTos,
    kTunnelPmtudisc,
    {.name = "ignore-df",
     .kind = Kind::toggle,
     .help = "the inner don't-fragment bit does not count; needs nopmtudisc"},
    kTunnelKey,
    kTunnelIkey,
    kTunnelOkey,
    {.name = "nokey", .help = "no key on either side"},
    {.name = "noikey", .help = "received packets must have no key"},
    {.name = "nookey", .help = "packets sent have no key"},
    kTunnelCsum,
    kTunnelIcsum,
    kTunnelOcsum,
    kTunnelSeq,
    kTunnelIseq,
    kTunnelOseq,
    kTunnelExternal,
    kTunnelFwmark,
    kTunnelEncap,
    kTunnelNoencap,
    kTunnelEncapSport,
    kTunnelEncapDport,
    kTunnelEncapCsum,
    kTunnelEncapCsum6,
    kTunnelEncapRemcsum,
});

// What all kinds over IPv6 have in common (RFC 2473).
inline constexpr Keyword tunnel6_address(std::string_view name, std::string_view help_text) {
    return {
        .name = name, .kind = Kind::address, .value = "ADDR", .words = "any", .help = help_text};
}

inline constexpr Keyword kTunnel6Remote =
    tunnel6_address("remote", "outer destination, an IPv6 address; any: it only receives");
inline constexpr Keyword kTunnel6Local =
    tunnel6_address("local", "outer source address, without which nothing is sent");
inline constexpr Keyword kTunnel6HopLimit = {
    .name = "hoplimit",
    .aliases = "ttl hlim",
    .kind = Kind::number,
    .value = "N",
    .words = "inherit",
    .max = kMax8,
    .complaint = "invalid HLIM",
    .help = "outer hop limit; 64 if not said; inherit or 0: the inner packet's"};
inline constexpr Keyword kTunnel6Class = {
    .name = "tclass",
    .aliases = "tc tos dsfield",
    .kind = Kind::hex,
    .value = "HEX",
    .words = "inherit",
    .max = kMax8,
    .complaint = "invalid TClass",
    .help = "outer traffic class, hexadecimal; inherit: the inner packet's"};
inline constexpr Keyword kTunnel6Label = {
    .name = "flowlabel",
    .aliases = "fl",
    .kind = Kind::hex,
    .value = "HEX",
    .words = "inherit",
    .max = 0xfffff,
    .complaint = "invalid Flowlabel",
    .help = "outer flow label, hexadecimal; 0: made of the inner flow; inherit: the inner one's"};
inline constexpr Keyword kTunnel6EncapLimit = {
    .name = "encaplimit",
    .kind = Kind::number,
    .value = "N",
    .words = "none",
    .max = kMax8,
    .complaint = "invalid ELIM",
    .help = "how often a packet may still be put into tunnels; 4 if not said; none: no option"};
inline constexpr Keyword kTunnel6Dscp = {
    .name = "dscp",
    .kind = Kind::choice,
    .words = "inherit",
    .complaint = "not inherit",
    .help = "received packets get the outer header's DSCP"};
inline constexpr Keyword kTunnel6LocalRemote = {
    .name = "allow-localremote",
    .kind = Kind::toggle,
    .support = Support::only_off,
    .help = "the remote may be an address of ours"};

inline constexpr auto kIp6tnl = std::to_array<Keyword>({
    {.name = "mode",
     .kind = Kind::choice,
     .words = "ip6ip6 ipv6/ipv6 ipip6 ip4ip6 ipv4/ipv6 ip/ipv6 any any/ipv6",
     .complaint = "Cannot guess tunnel mode.",
     .help = "which payloads it takes; any if not said"},
    kTunnel6Remote,
    kTunnel6Local,
    kTunnelDev,
    kTunnel6EncapLimit,
    kTunnel6HopLimit,
    kTunnel6Class,
    kTunnel6Label,
    kTunnel6Dscp,
    kTunnel6LocalRemote,
    kTunnelFwmark,
    kTunnelExternal,
    kTunnelEncap,
    kTunnelNoencap,
    kTunnelEncapSport,
    kTunnelEncapDport,
    kTunnelEncapCsum,
    kTunnelEncapCsum6,
    kTunnelEncapRemcsum,
});

inline constexpr auto kIp6gre = std::to_array<Keyword>({
    kTunnel6Remote,
    kTunnel6Local,
    kTunnelDev,
    kTunnel6EncapLimit,
    kTunnel6HopLimit,
    kTunnel6Class,
    kTunnel6Label,
    kTunnel6Dscp,
    kTunnelKey,
    kTunnelIkey,
    kTunnelOkey,
    {.name = "nokey", .help = "no key on either side"},
    {.name = "noikey", .help = "received packets must have no key"},
    {.name = "nookey", .help = "packets sent have no key"},
    kTunnelCsum,
    kTunnelIcsum,
    kTunnelOcsum,
    kTunnelSeq,
    kTunnelIseq,
    kTunnelOseq,
    kTunnelFwmark,
    kTunnelExternal,
    kTunnelEncap,
    kTunnelNoencap,
    kTunnelEncapSport,
    kTunnelEncapDport,
    kTunnelEncapCsum,
    kTunnelEncapCsum6,
    kTunnelEncapRemcsum,
});

inline constexpr Keyword kTunnelMode = {
    .name = "mode",
    .kind = Kind::choice,
    .words = "ipip gre sit ip/ip gre/ip ipv6/ip ip6ip6 ipip6 ip6gre any ipv6/ipv6 ip4ip6 ipv4/ipv6 "
             "ip/ipv6 gre/ipv6 any/ipv6 isatap vti vti6",
    .complaint = "Unknown tunnel mode",
    .help = "the kind of tunnel; the first three, or with -6 ip6ip6, ipip6, ip6gre, any"};
inline constexpr Keyword kTunnelName = {
    .name = "name",
    .kind = Kind::text,
    .value = "NAME",
    .positional = true,
    .help = "the tunnel's name"};

// Of either family, as `-6` says.
inline constexpr Keyword tunnel_address(std::string_view name, std::string_view help_text) {
    return {
        .name = name, .kind = Kind::address, .value = "ADDR", .words = "any", .help = help_text};
}

// ip-tunnel(8): one list for all kinds, as there.
inline constexpr auto kTunnelAdd = std::to_array<Keyword>({
    kTunnelName,
    kTunnelMode,
    tunnel_address("remote", kTunnelRemote.help),
    tunnel_address("local", kTunnelLocal.help),
    kTunnelDev,
    kTunnelTtl,
    {.name = "tos",
     .aliases = "tclass tc dsfield",
     .kind = Kind::hex,
     .value = "HEX",
     .words = "inherit",
     .max = kMax8,
     .complaint = "bad TOS value",
     .help = "outer TOS or traffic class, hexadecimal; inherit: the inner packet's"},
    kTunnelPmtudisc,
    kTunnelKey,
    kTunnelIkey,
    kTunnelOkey,
    kTunnelCsum,
    kTunnelIcsum,
    kTunnelOcsum,
    kTunnelSeq,
    kTunnelIseq,
    kTunnelOseq,
    kTunnel6EncapLimit,
    kTunnel6Label,
    kTunnel6Dscp,
    kTunnel6LocalRemote,
});

inline constexpr auto kTunnelDel = std::to_array<Keyword>({kTunnelName, kTunnelMode});

inline constexpr auto kTunnelShow = std::to_array<Keyword>({
    kTunnelName,
    kTunnelMode,
    {.name = "remote",
     .kind = Kind::address,
     .value = "ADDR",
     .help = "only tunnels to this address"},
    {.name = "local",
     .kind = Kind::address,
     .value = "ADDR",
     .help = "only tunnels from this address"},
    kDevFilter,
});

inline constexpr Keyword kFouPort = {
    .name = "port",
    .kind = Kind::number,
    .value = "PORT",
    .max = kMax16,
    .min = 1,
    .complaint = "invalid port",
    .help = "the UDP port"};
inline constexpr Keyword kFouFamily = {.name = "-6", .help = "IPv6; as `-6` before the command"};
inline constexpr Keyword kFouLocal = {
    .name = "local",
    .kind = Kind::address,
    .value = "ADDR",
    .help = "only what is for this address"};
inline constexpr Keyword kFouPeer = {
    .name = "peer", .kind = Kind::address, .value = "ADDR", .help = "only what comes from there"};
inline constexpr Keyword kFouPeerPort = {
    .name = "peer_port",
    .kind = Kind::number,
    .value = "PORT",
    .max = kMax16,
    .min = 1,
    .complaint = "invalid peer port",
    .help = "and from this port; the two go together"};
inline constexpr Keyword kFouDev = {
    .name = "dev", .kind = Kind::link, .value = "NAME", .help = "only what comes in by this link"};

inline constexpr auto kFouAdd = std::to_array<Keyword>({
    kFouPort,
    {.name = "ipproto",
     .kind = Kind::number,
     .value = "PROTO",
     .words = "ipencap ipv6 gre mpls-in-ip",
     .max = kMax8,
     .min = 1,
     .complaint = "invalid ipproto",
     .help = "FOU: what is inside"},
    {.name = "gue", .help = "GUE: its header says what is inside"},
    kFouFamily,
    kFouLocal,
    kFouPeer,
    kFouPeerPort,
    kFouDev,
});

inline constexpr auto kFouDel =
    std::to_array<Keyword>({kFouPort, kFouFamily, kFouLocal, kFouPeer, kFouPeerPort, kFouDev});

}  // namespace culvert::control
