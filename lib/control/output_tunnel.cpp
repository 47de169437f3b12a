// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_tunnel.hpp"

#include "lib/control/output_link.hpp"

#include <fmt/format.h>

#include <array>

namespace culvert::control {

namespace {

std::string address_or_any(const net::IpAddress& address) {
    return address.is_unspecified() ? "any" : address.to_string();
}

std::string_view mode_name(encap::IpTunnelMode mode) {
    switch (mode) {
    case encap::IpTunnelMode::ipip:
        return "ipip";
    case encap::IpTunnelMode::ip6ip:
        return "ip6ip";
    case encap::IpTunnelMode::mplsip:
        return "mplsip";
    case encap::IpTunnelMode::any:
        break;
    }
    return "any";
}

// Keys look like addresses in `link show`, and like numbers in `tunnel show`.
std::string quad(std::uint32_t key) {
    return net::IpAddress::from_v4(key).to_string();
}

std::string lower_text(const Context& context, const encap::IpTunnelConfig& tunnel) {
    const std::string lower = context.core.links().name_of(tunnel.lower);
    return lower.empty() ? "" : fmt::format("dev {} ", lower);
}

std::string ttl_text(const encap::IpTunnelConfig& tunnel) {
    return tunnel.ttl == 0 ? "ttl inherit" : fmt::format("ttl {}", tunnel.ttl);
}

struct GreFlag {
    std::string_view link_word;    // in `link show`
    std::string_view tunnel_word;  // in `tunnel show`'s JSON
    std::string_view tunnel_line;  // in its text
    bool encap::IpTunnelConfig::*member;
};

constexpr auto kLinkFlags = std::to_array<GreFlag>({
    {"iseq", "", "", &encap::IpTunnelConfig::in_sequence},
    {"oseq", "", "", &encap::IpTunnelConfig::out_sequence},
    {"icsum", "", "", &encap::IpTunnelConfig::in_checksum},
    {"ocsum", "", "", &encap::IpTunnelConfig::out_checksum},
});

constexpr auto kTunnelFlags = std::to_array<GreFlag>({
    {"", "rx_drop_ooseq", "Drop packets out of sequence.", &encap::IpTunnelConfig::in_sequence},
    {"",
     "rx_csum",
     "Checksum in received packet is required.",
     &encap::IpTunnelConfig::in_checksum},
    {"", "tx_seq", "Sequence packets on output.", &encap::IpTunnelConfig::out_sequence},
    {"", "tx_csum", "Checksum output packets.", &encap::IpTunnelConfig::out_checksum},
});

std::string_view tunnel_payload(const encap::IpTunnelConfig& tunnel) {
    if (encap::traits(tunnel.kind).has_gre) {
        return "gre";
    }
    switch (tunnel.mode) {
    case encap::IpTunnelMode::ipip:
        return "ip";
    case encap::IpTunnelMode::ip6ip:
        return "ipv6";
    case encap::IpTunnelMode::mplsip:
        return "mpls";
    case encap::IpTunnelMode::any:
        break;
    }
    return "any";
}

std::string tunnel_mode(const encap::IpTunnelConfig& tunnel) {
    const bool is_over_ipv6 = encap::traits(tunnel.kind).is_over_ipv6;
    return fmt::format("{}/{}", tunnel_payload(tunnel), is_over_ipv6 ? "ipv6" : "ip");
}

// TOS 0x11 is "inherit" for IP packets and 0x10 for others (TUN-TX-07).
std::string tunnel_tos_text(std::uint8_t tos) {
    if (tos <= 1) {
        return tos == 0 ? "" : " tos inherit";
    }
    return fmt::format(" tos {}{:#04x}", (tos & 1) != 0 ? "inherit/" : "", tos & ~1);
}

std::string tunnel_keys_text(const encap::IpTunnelConfig& tunnel) {
    if (tunnel.in_key && tunnel.in_key == tunnel.out_key) {
        return fmt::format(" key {}", *tunnel.in_key);
    }
    return (tunnel.in_key ? fmt::format(" ikey {}", *tunnel.in_key) : "") +
           (tunnel.out_key ? fmt::format(" okey {}", *tunnel.out_key) : "");
}

std::string tunnel_stats_text(const LinkStats& stats) {
    return fmt::format(
        "RX: Packets    Bytes        Errors CsumErrs OutOfSeq Mcasts\n"
        "    {:<10} {:<12} {:<6} {:<8} {:<8} {:<8}\n"
        "TX: Packets    Bytes        Errors DeadLoop NoRoute  NoBufs\n"
        "    {:<10} {:<12} {:<6} {:<8} {:<8} {:<6}\n",
        stats.rx_packets,
        stats.rx_bytes,
        stats.rx_errors,
        stats.rx_crc_errors,
        stats.rx_fifo_errors,
        stats.multicast,
        stats.tx_packets,
        stats.tx_bytes,
        stats.tx_errors,
        stats.collisions,
        stats.tx_carrier_errors,
        stats.tx_dropped
    );
}

// --- over IPv6, as iplink_ip6tnl and iplink_gre6 print it ---

std::string_view mode_name6(encap::IpTunnelMode mode) {
    switch (mode) {
    case encap::IpTunnelMode::ipip:
        return "ipip6";
    case encap::IpTunnelMode::ip6ip:
        return "ip6ip6";
    default:
        return "any";
    }
}

// ip6tnl shows an address that is any as it is, ip6gre by its name.
std::string address6(const encap::IpTunnelConfig& tunnel, const net::IpAddress& address) {
    const bool is_named = encap::traits(tunnel.kind).has_gre && address.is_unspecified();
    return is_named ? "any" : address.to_string();
}

std::string gre_text(const encap::IpTunnelConfig& tunnel) {
    std::string text = tunnel.in_key ? fmt::format("ikey {} ", quad(*tunnel.in_key)) : "";
    text += tunnel.out_key ? fmt::format("okey {} ", quad(*tunnel.out_key)) : "";
    for (const GreFlag& flag : kLinkFlags) {
        text += tunnel.*flag.member ? fmt::format("{} ", flag.link_word) : "";
    }
    return text;
}

void add_gre(const encap::IpTunnelConfig& tunnel, Json& json) {
    if (tunnel.in_key) {
        json["ikey"] = quad(*tunnel.in_key);
    }
    if (tunnel.out_key) {
        json["okey"] = quad(*tunnel.out_key);
    }
    for (const GreFlag& flag : kLinkFlags) {
        if (tunnel.*flag.member) {
            json[std::string(flag.link_word)] = true;
        }
    }
}

std::string_view kind_name(encap::UdpEncap::Kind kind) {
    return kind == encap::UdpEncap::Kind::fou ? "fou" : "gue";
}

std::string encap_text(const encap::UdpEncap& udp) {
    if (udp.kind == encap::UdpEncap::Kind::none) {
        return "";
    }
    const auto toggle = [](bool on) { return on ? "" : "no"; };
    const std::string source = udp.source_port == 0 ? "auto" : fmt::format("{}", udp.source_port);
    return fmt::format(
        "encap {} encap-sport {} encap-dport {} {}encap-csum {}encap-csum6 {}encap-remcsum ",
        kind_name(udp.kind),
        source,
        udp.destination_port,
        toggle(udp.checksum),
        toggle(udp.checksum6),
        toggle(udp.remote_checksum)
    );
}

void add_encap(Json& json, const encap::UdpEncap& udp) {
    if (udp.kind == encap::UdpEncap::Kind::none) {
        return;
    }
    Json& encap = json["encap"];
    encap["type"] = kind_name(udp.kind);
    encap["sport"] = udp.source_port;
    encap["dport"] = udp.destination_port;
    encap["csum"] = udp.checksum;
    encap["csum6"] = udp.checksum6;
    encap["remcsum"] = udp.remote_checksum;
}

std::string ip_tunnel6_info_text(const Context& context, const encap::IpTunnelConfig& tunnel) {
    const encap::IpTunnelTraits& kind = encap::traits(tunnel.kind);
    const encap::IpTunnelConfig6& ip6 = tunnel.ip6;
    std::string text = fmt::format("{} {}", kind.name, tunnel.external ? "external " : "");
    text += kind.has_gre ? "" : fmt::format("{} ", mode_name6(tunnel.mode));
    text += fmt::format(
        "remote {} local {} {}",
        address6(tunnel, tunnel.remote),
        address6(tunnel, tunnel.local),
        lower_text(context, tunnel)
    );
    text += tunnel.ttl == 0 ? "hoplimit inherit " : fmt::format("hoplimit {} ", tunnel.ttl);
    text += ip6.encap_limit ? fmt::format("encaplimit {} ", *ip6.encap_limit) : "encaplimit none ";
    text += ip6.class_inherit ? "tclass inherit " : fmt::format("tclass {:#04x} ", tunnel.tos);
    text += ip6.label_inherit ? "flowlabel inherit "
                              : fmt::format("flowlabel {:#07x} ", ip6.flow_label);
    text += ip6.dscp_copy ? "dscp inherit " : "";
    return text + gre_text(tunnel) + encap_text(tunnel.udp);
}

Json ip_tunnel6_info_json(const Context& context, const encap::IpTunnelConfig& tunnel) {
    const encap::IpTunnelConfig6& ip6 = tunnel.ip6;
    Json json;
    if (tunnel.external) {
        json["external"] = true;
    }
    if (!encap::traits(tunnel.kind).has_gre) {
        json["proto"] = mode_name6(tunnel.mode);
    }
    json["remote"] = address6(tunnel, tunnel.remote);
    json["local"] = address6(tunnel, tunnel.local);
    if (std::string lower = context.core.links().name_of(tunnel.lower); !lower.empty()) {
        json["link"] = lower;
    }
    json["ttl"] = tunnel.ttl;
    if (ip6.encap_limit) {
        json["encap_limit"] = *ip6.encap_limit;
    } else {
        json["ip6_tnl_f_ign_encap_limit"] = true;
    }
    if (ip6.class_inherit) {
        json["ip6_tnl_f_use_orig_tclass"] = true;
    } else {
        json["tclass"] = fmt::format("{:#04x}", tunnel.tos);
    }
    if (ip6.label_inherit) {
        json["ip6_tnl_f_use_orig_flowlabel"] = true;
    } else {
        json["flowlabel"] = fmt::format("{:#07x}", ip6.flow_label);
    }
    if (ip6.dscp_copy) {
        json["ip6_tnl_f_rcv_dscp_copy"] = true;
    }
    add_gre(tunnel, json);
    add_encap(json, tunnel.udp);
    return json;
}

}  // namespace

std::string ip_tunnel_info_text(const Context& context, const encap::IpTunnelConfig& tunnel) {
    if (encap::traits(tunnel.kind).is_over_ipv6) {
        return ip_tunnel6_info_text(context, tunnel);
    }
    const encap::IpTunnelTraits& kind = encap::traits(tunnel.kind);
    std::string text = fmt::format("{} {}", kind.name, tunnel.external ? "external " : "");
    if (!kind.has_gre) {
        text += fmt::format("{} ", mode_name(tunnel.mode));
    }
    text += fmt::format(
        "remote {} local {} {}{} ",
        address_or_any(tunnel.remote),
        address_or_any(tunnel.local),
        lower_text(context, tunnel),
        ttl_text(tunnel)
    );
    if (tunnel.tos != 0) {
        text += tunnel.tos == 1 ? "tos inherit " : fmt::format("tos {:#x} ", tunnel.tos);
    }
    if (!kind.has_gre) {
        return text + (tunnel.pmtudisc ? "pmtudisc " : "nopmtudisc ") + encap_text(tunnel.udp);
    }
    text += tunnel.pmtudisc ? "" : "nopmtudisc ";
    text += tunnel.ignore_df ? "ignore-df " : "";
    return text + gre_text(tunnel) + encap_text(tunnel.udp);
}

Json ip_tunnel_info_json(const Context& context, const encap::IpTunnelConfig& tunnel) {
    if (encap::traits(tunnel.kind).is_over_ipv6) {
        return ip_tunnel6_info_json(context, tunnel);
    }
    const bool has_gre = encap::traits(tunnel.kind).has_gre;
    Json json;
    if (tunnel.external) {
        json["external"] = true;
    }
    if (!has_gre) {
        json["proto"] = mode_name(tunnel.mode);
    }
    json["remote"] = address_or_any(tunnel.remote);
    json["local"] = address_or_any(tunnel.local);
    if (std::string lower = context.core.links().name_of(tunnel.lower); !lower.empty()) {
        json["link"] = lower;
    }
    json["ttl"] = tunnel.ttl;
    if (tunnel.tos != 0) {
        json["tos"] = fmt::format("{:#x}", tunnel.tos);
    }
    json["pmtudisc"] = tunnel.pmtudisc;
    if (!has_gre) {
        add_encap(json, tunnel.udp);
        return json;
    }
    if (tunnel.ignore_df) {
        json["ignore_df"] = true;
    }
    add_gre(tunnel, json);
    add_encap(json, tunnel.udp);
    return json;
}

namespace {

void add_tunnel_keys(const encap::IpTunnelConfig& tunnel, Json& json) {
    if (tunnel.in_key && tunnel.in_key == tunnel.out_key) {
        json["key"] = *tunnel.in_key;
    } else {
        if (tunnel.in_key) {
            json["ikey"] = *tunnel.in_key;
        }
        if (tunnel.out_key) {
            json["okey"] = *tunnel.out_key;
        }
    }
    if (encap::traits(tunnel.kind).has_gre) {
        json["flags"] = Json::array();
        for (const GreFlag& flag : kTunnelFlags) {
            if (tunnel.*flag.member) {
                json["flags"].push_back(flag.tunnel_word);
            }
        }
    }
}

// Class and label as `-6 tunnel show` has them, together and each.
std::uint32_t flow_info(const encap::IpTunnelConfig& tunnel) {
    constexpr unsigned kClassShift = 20;
    return std::uint32_t{tunnel.tos} << kClassShift | tunnel.ip6.flow_label;
}

// Behind name and mode, as ip6tunnel.c prints it.
std::string tunnel6_text(const Context& context, const encap::IpTunnelConfig& tunnel) {
    const encap::IpTunnelConfig6& ip6 = tunnel.ip6;
    const std::string lower = context.core.links().name_of(tunnel.lower);
    return fmt::format(
        "remote {} local {}{}{}{}{}{} (flowinfo {:#010x}){}",
        tunnel.remote.to_string(),
        tunnel.local.to_string(),
        lower.empty() ? "" : fmt::format(" dev {}", lower),
        ip6.encap_limit ? fmt::format(" encaplimit {}", *ip6.encap_limit) : " encaplimit none",
        tunnel.ttl == 0 ? " hoplimit inherit" : fmt::format(" hoplimit {}", tunnel.ttl),
        ip6.class_inherit ? " tclass inherit" : fmt::format(" tclass {:#04x}", tunnel.tos),
        ip6.label_inherit ? " flowlabel inherit"
                          : fmt::format(" flowlabel {:#07x}", ip6.flow_label),
        flow_info(tunnel),
        ip6.dscp_copy ? " dscp inherit" : ""
    );
}

void add_tunnel6(const Context& context, const encap::IpTunnelConfig& tunnel, Json& json) {
    const encap::IpTunnelConfig6& ip6 = tunnel.ip6;
    json["remote"] = tunnel.remote.to_string();
    json["local"] = tunnel.local.to_string();
    if (std::string lower = context.core.links().name_of(tunnel.lower); !lower.empty()) {
        json["link"] = lower;
    }
    if (ip6.encap_limit) {
        json["encap_limit"] = *ip6.encap_limit;
    } else {
        json["ip6_tnl_f_ign_encap_limit"] = nullptr;
    }
    if (tunnel.ttl != 0) {
        json["hoplimit"] = tunnel.ttl;
    }
    if (ip6.class_inherit) {
        json["ip6_tnl_f_use_orig_tclass"] = nullptr;
    } else {
        json["tclass"] = fmt::format("{:#04x}", tunnel.tos);
    }
    if (ip6.label_inherit) {
        json["ip6_tnl_f_use_orig_flowlabel"] = nullptr;
    } else {
        json["flowlabel"] = fmt::format("{:#07x}", ip6.flow_label);
    }
    json["flowinfo"] = fmt::format("{:#010x}", flow_info(tunnel));
    if (ip6.dscp_copy) {
        json["ip6_tnl_f_rcv_dscp_copy"] = nullptr;
    }
}

std::string tunnel4_text(const Context& context, const encap::IpTunnelConfig& tunnel) {
    return fmt::format(
        "remote {} local {} {}{}{}{}",
        address_or_any(tunnel.remote),
        address_or_any(tunnel.local),
        lower_text(context, tunnel),
        ttl_text(tunnel),
        tunnel_tos_text(tunnel.tos),
        tunnel.pmtudisc ? "" : " nopmtudisc"
    );
}

void add_tunnel4(const Context& context, const encap::IpTunnelConfig& tunnel, Json& json) {
    auto number = [](const net::IpAddress& address) {
        return address.is_unspecified() ? "0.0.0.0" : address.to_string();
    };
    json["remote"] = number(tunnel.remote);
    json["local"] = number(tunnel.local);
    if (std::string lower = context.core.links().name_of(tunnel.lower); !lower.empty()) {
        json["dev"] = lower;
    }
    if (tunnel.ttl != 0) {
        json["ttl"] = tunnel.ttl;
    }
    if (tunnel.tos > 1) {
        json["tos"] = fmt::format("{:#04x}", tunnel.tos);
    }
    if (!tunnel.pmtudisc) {
        json["nopmtudisc"] = nullptr;
    }
}

}  // namespace

std::string tunnel_text(const Context& context, const LinkRecord& link) {
    const encap::IpTunnelConfig& tunnel = link.ip_tunnel;
    const bool is_over_ipv6 = encap::traits(tunnel.kind).is_over_ipv6;
    std::string text = fmt::format(
        "{}: {} {}{}\n",
        link.name,
        tunnel_mode(tunnel),
        is_over_ipv6 ? tunnel6_text(context, tunnel) : tunnel4_text(context, tunnel),
        tunnel_keys_text(tunnel)
    );
    for (const GreFlag& flag : kTunnelFlags) {
        text += tunnel.*flag.member ? fmt::format("  {}\n", flag.tunnel_line) : "";
    }
    if (context.options.statistics > 0) {
        text += tunnel_stats_text(context.core.stats(link.id));
    }
    return text;
}

Json tunnel_json(const Context& context, const LinkRecord& link) {
    const encap::IpTunnelConfig& tunnel = link.ip_tunnel;
    Json json;
    json["ifname"] = link.name;
    json["mode"] = tunnel_mode(tunnel);
    if (encap::traits(tunnel.kind).is_over_ipv6) {
        add_tunnel6(context, tunnel, json);
    } else {
        add_tunnel4(context, tunnel, json);
    }
    add_tunnel_keys(tunnel, json);
    if (context.options.statistics > 0) {
        json["stats64"] = stats_json(context.core.stats(link.id), context.options.statistics);
    }
    return json;
}

}  // namespace culvert::control
