// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace culvert::control {

namespace {

constexpr int kQueueLength = 1000;  // what Linux shows; there is no queue here
constexpr std::uint32_t kMinMtu = 68;

// Any is 0.0.0.0, and :: over IPv6.
std::string outer_address(const LinkRecord& link, const net::IpAddress& address) {
    const bool is_any4 = address.is_unspecified() && !pipeline::is_ip_tunnel6(link.kind);
    return is_any4 ? "0.0.0.0" : address.to_string();
}

bool has_carrier(const LinkRecord& link) {
    return link.carrier;
}

// A VRF has one too, though nothing that it would stand in.
bool has_mac(const LinkRecord& link) {
    return pipeline::has_link_layer(link.kind) || link.kind == pipeline::LinkKind::vrf;
}

// GRE-CRE-10
bool is_gre_to_group(const LinkRecord& link) {
    return link.kind == pipeline::LinkKind::gre && link.ip_tunnel.remote.is_multicast();
}

// A tunnel of packets to one remote (TUN-MTU-03); over IPv6 from one local address, too
// (ip6_tnl_link_config).
bool is_point_to_point(const LinkRecord& link) {
    const encap::IpTunnelConfig& tunnel = link.ip_tunnel;
    return !has_mac(link) && !is_gre_to_group(link) && !tunnel.remote.is_unspecified() &&
           !(pipeline::is_ip_tunnel6(link.kind) && tunnel.local.is_unspecified());
}

// GRE-CRE-11: four bytes all the same.
constexpr std::string_view kNoAddress = "00:00:00:00";

bool has_no_address(const LinkRecord& link) {
    return link.kind == pipeline::LinkKind::gre && link.ip_tunnel.external;
}

// UI-SHOW-03: a tunnel of packets has its outer addresses where others have MACs.
std::string own_address(const LinkRecord& link) {
    if (has_mac(link)) {
        return link.mac.to_string();
    }
    return has_no_address(link) ? std::string(kNoAddress)
                                : outer_address(link, link.ip_tunnel.local);
}

std::string peer_address(const LinkRecord& link) {
    if (has_mac(link)) {
        return net::kBroadcastMac.to_string();
    }
    return has_no_address(link) ? std::string(kNoAddress)
                                : outer_address(link, link.ip_tunnel.remote);
}

std::string_view link_type_name(const LinkRecord& link) {
    if (has_no_address(link)) {
        return "none";
    }
    switch (link.kind) {
    case pipeline::LinkKind::ip6tnl:
        return "tunnel6";
    case pipeline::LinkKind::ip6gre:
        return "gre6";
    default:
        return has_mac(link) ? "ether" : kind_name(link.kind);
    }
}

// UI-SHOW-01: what `dev` said, and that it said nothing.
std::string name_with_lower(const Context& context, const LinkRecord& link) {
    if (link.kind == pipeline::LinkKind::vlan) {
        return fmt::format("{}@{}", link.name, context.core.links().name_of(link.vlan.lower));
    }
    if (!pipeline::is_ip_tunnel(link.kind)) {
        return link.name;
    }
    const std::string lower = context.core.links().name_of(link.ip_tunnel.lower);
    return fmt::format("{}@{}", link.name, lower.empty() ? "NONE" : lower);
}

// UI-SHOW-02
std::vector<std::string_view> flags(const LinkRecord& link) {
    std::vector<std::string_view> flags;
    if (link.admin_up && !has_carrier(link)) {
        flags.emplace_back("NO-CARRIER");
    }
    if (pipeline::has_link_layer(link.kind)) {
        flags.emplace_back("BROADCAST");
        flags.emplace_back(link.kind == pipeline::LinkKind::dummy ? "NOARP" : "MULTICAST");
    } else if (is_gre_to_group(link)) {
        flags.emplace_back("BROADCAST");
    } else {
        if (is_point_to_point(link)) {
            flags.emplace_back("POINTOPOINT");
        }
        flags.emplace_back("NOARP");
    }
    if (link.kind == pipeline::LinkKind::vrf) {
        flags.emplace_back("MASTER");
    }
    if (link.admin_up) {
        flags.emplace_back("UP");
        if (has_carrier(link)) {
            flags.emplace_back("LOWER_UP");
        }
    }
    return flags;
}

std::string flags_text(const LinkRecord& link) {
    auto list = flags(link);
    return fmt::format("<{}>", fmt::join(list, ","));
}

std::string_view operstate(const LinkRecord& link) {
    if (!link.admin_up || !has_carrier(link)) {
        return "DOWN";
    }
    const bool knows =
        link.kind == pipeline::LinkKind::port || link.kind == pipeline::LinkKind::bridge ||
        link.kind == pipeline::LinkKind::vlan || link.kind == pipeline::LinkKind::vrf;
    return knows ? "UP" : "UNKNOWN";
}

std::size_t digits(std::uint64_t number) {
    return std::to_string(number).size();
}

std::string
row(std::size_t margin, std::span<const std::size_t> widths, std::span<const std::uint64_t> values
) {
    std::string text(margin, ' ');
    for (std::size_t i = 0; i < values.size(); ++i) {
        text += fmt::format("{:>{}} ", values[i], widths[i]);
    }
    return text + "\n";
}

}  // namespace

std::string_view kind_name(pipeline::LinkKind kind) {
    switch (kind) {
    case pipeline::LinkKind::port:
        return "port";
    case pipeline::LinkKind::bridge:
        return "bridge";
    case pipeline::LinkKind::vxlan:
        return "vxlan";
    case pipeline::LinkKind::vlan:
        return "vlan";
    case pipeline::LinkKind::vrf:
        return "vrf";
    case pipeline::LinkKind::dummy:
        return "dummy";
    case pipeline::LinkKind::ipip:
    case pipeline::LinkKind::gre:
    case pipeline::LinkKind::gretap:
    case pipeline::LinkKind::sit:
    case pipeline::LinkKind::ip6tnl:
    case pipeline::LinkKind::ip6gre:
    case pipeline::LinkKind::ip6gretap:
        return encap::traits(pipeline::ip_tunnel_kind(kind)).name;
    }
    return "";
}

std::string link_head_text(const Context& context, const LinkRecord& link, bool with_mode) {
    std::string master = context.core.links().name_of(LinkManager::master_of(link));
    return fmt::format(
        "{}: {}: {} mtu {} qdisc noqueue {}state {} {}group default qlen {}\n",
        link.id,
        name_with_lower(context, link),
        flags_text(link),
        link.mtu,
        master.empty() ? "" : fmt::format("master {} ", master),
        operstate(link),
        with_mode ? "mode DEFAULT " : "",
        kQueueLength
    );
}

std::string link_address_text(const Context& context, const LinkRecord& link) {
    std::string text = fmt::format(
        "    link/{} {} {} {}",
        link_type_name(link),
        own_address(link),
        is_point_to_point(link) ? "peer" : "brd",
        peer_address(link)
    );
    if (context.options.details) {
        text +=
            fmt::format(" promiscuity 0  allmulti 0 minmtu {} maxmtu {} ", kMinMtu, link.max_mtu);
        std::string info = link_info_text(context, link);
        text += info.empty() ? "" : "\n" + info;
        text += link.host_tap.empty() ? "" : fmt::format("host tap {} ", link.host_tap);
        text += link.parent_device.empty() ? "" : fmt::format("parentdev {} ", link.parent_device);
    }
    return text + "\n";
}

// Columns as wide as their widest number, and at least as their titles.
std::string stats_text(const LinkStats& stats, int level) {
    const auto rx = std::to_array<std::uint64_t>(
        {stats.rx_bytes, stats.rx_packets, stats.rx_errors, stats.rx_dropped, 0, stats.multicast}
    );
    const auto tx = std::to_array<std::uint64_t>(
        {stats.tx_bytes,
         stats.tx_packets,
         stats.tx_errors,
         stats.tx_dropped,
         stats.tx_carrier_errors,
         stats.collisions}
    );
    const auto rx_errors = std::to_array<std::uint64_t>(
        {stats.rx_length_errors,
         stats.rx_crc_errors,
         stats.rx_frame_errors,
         stats.rx_fifo_errors,
         0}
    );
    const auto tx_errors =
        std::to_array<std::uint64_t>({stats.tx_aborted_errors, stats.tx_fifo_errors, 0, 0, 0});
    std::array<std::size_t, 6> widths{10, 7, 6, 7, 7, 7};
    for (std::size_t i = 0; i < widths.size(); ++i) {
        widths[i] = std::max({widths[i], digits(rx[i]), digits(tx[i])});
        if (level > 1 && i > 0) {
            widths[i] = std::max({widths[i], digits(rx_errors[i - 1]), digits(tx_errors[i - 1])});
        }
    }
    auto titles = [&](std::string_view head, const std::array<std::string_view, 6>& words) {
        std::string text = fmt::format("    {} {:>{}}", head, words[0], widths[0] - 4);
        for (std::size_t i = 1; i < words.size(); ++i) {
            text += fmt::format(" {:>{}}", words[i], widths[i]);
        }
        return text;
    };
    auto errors = [&](std::string_view head,
                      const std::array<std::string_view, 6>& words,
                      std::span<const std::uint64_t> values) {
        std::string text = fmt::format("    {}{:>{}}", head, "", widths[0] - 10);
        for (std::size_t i = 1; i < words.size(); ++i) {
            text += fmt::format(" {:>{}}", words[i], widths[i]);
        }
        return text + "\n" + row(widths[0] + 5, std::span(widths).subspan(1), values);
    };
    const std::string end = std::string(11, ' ') + "\n";
    std::string text =
        titles("RX:", {"bytes", "packets", "errors", "dropped", "missed", "mcast"}) + end;
    text += row(4, widths, rx);
    if (level > 1) {
        text += errors("RX errors:", {"", "length", "crc", "frame", "fifo", "overrun"}, rx_errors);
    }
    text += titles("TX:", {"bytes", "packets", "errors", "dropped", "carrier", "collsns"}) + end;
    text += row(4, widths, tx);
    if (level > 1) {
        text += errors(
            "TX errors:", {"", "aborted", "fifo", "window", "heartbt", "transns"}, tx_errors
        );
    }
    return text;
}

Json stats_json(const LinkStats& stats, int level) {
    Json rx = {
        {"bytes", stats.rx_bytes},
        {"packets", stats.rx_packets},
        {"errors", stats.rx_errors},
        {"dropped", stats.rx_dropped},
        {"over_errors", 0},
        {"multicast", stats.multicast}};
    Json tx = {
        {"bytes", stats.tx_bytes},
        {"packets", stats.tx_packets},
        {"errors", stats.tx_errors},
        {"dropped", stats.tx_dropped},
        {"carrier_errors", stats.tx_carrier_errors},
        {"collisions", stats.collisions}};
    if (level > 1) {
        rx["length_errors"] = stats.rx_length_errors;
        rx["crc_errors"] = stats.rx_crc_errors;
        rx["frame_errors"] = stats.rx_frame_errors;
        rx["fifo_errors"] = stats.rx_fifo_errors;
        rx["missed_errors"] = 0;
        tx["aborted_errors"] = stats.tx_aborted_errors;
        tx["fifo_errors"] = stats.tx_fifo_errors;
        tx["window_errors"] = 0;
        tx["heartbeat_errors"] = 0;
        tx["carrier_changes"] = 0;
    }
    return {{"rx", std::move(rx)}, {"tx", std::move(tx)}};
}

Json link_head_json(const Context& context, const LinkRecord& link, bool with_mode) {
    Json json;
    json["ifindex"] = link.id;
    if (pipeline::is_ip_tunnel(link.kind)) {
        const std::string lower = context.core.links().name_of(link.ip_tunnel.lower);
        json["link"] = lower.empty() ? Json(nullptr) : Json(lower);
    } else if (link.kind == pipeline::LinkKind::vlan) {
        json["link"] = context.core.links().name_of(link.vlan.lower);
    }
    json["ifname"] = link.name;
    json["flags"] = flags(link);
    json["mtu"] = link.mtu;
    json["qdisc"] = "noqueue";
    if (std::string master = context.core.links().name_of(LinkManager::master_of(link));
        !master.empty()) {
        json["master"] = master;
    }
    json["operstate"] = operstate(link);
    if (with_mode) {
        json["linkmode"] = "DEFAULT";
    }
    json["group"] = "default";
    json["txqlen"] = kQueueLength;
    json["link_type"] = link_type_name(link);
    json["address"] = own_address(link);
    if (is_point_to_point(link)) {
        json["link_pointtopoint"] = true;
    }
    json["broadcast"] = peer_address(link);
    if (context.options.details) {
        json["promiscuity"] = 0;
        json["allmulti"] = 0;
        json["min_mtu"] = kMinMtu;
        json["max_mtu"] = link.max_mtu;
        if (Json info = link_info_json(context, link); !info.empty()) {
            json["linkinfo"] = std::move(info);
        }
    }
    if (context.options.details && !link.host_tap.empty()) {
        json["host_tap"] = link.host_tap;
    }
    if (!link.parent_device.empty()) {
        json["parentdev"] = link.parent_device;
    }
    return json;
}

std::string link_text(const Context& context, const LinkRecord& link) {
    std::string text = link_head_text(context, link, true) + link_address_text(context, link);
    if (context.options.statistics > 0) {
        text += stats_text(context.core.stats(link.id), context.options.statistics);
    }
    return text;
}

Json link_json(const Context& context, const LinkRecord& link) {
    Json json = link_head_json(context, link, true);
    if (context.options.statistics > 0) {
        json["stats64"] = stats_json(context.core.stats(link.id), context.options.statistics);
    }
    return json;
}

namespace {

std::string_view on_off(bool on) {
    return on ? "on" : "off";
}

// STP is not run: a port that is up forwards.
std::string_view port_state(const LinkRecord& link) {
    return link.admin_up && has_carrier(link) ? "forwarding" : "disabled";
}

}  // namespace

std::string bridge_link_text(const Context& context, const LinkRecord& link) {
    std::string text = fmt::format(
        "{}: {}: {} mtu {} master {} state {} priority 32 cost 2 \n",
        link.id,
        link.name,
        flags_text(link),
        link.mtu,
        context.core.links().name_of(link.master),
        port_state(link)
    );
    if (context.options.details) {
        const pipeline::BridgePort& port = link.bridge_port;
        text += fmt::format(
            "    hairpin {} learning {} flood {} mcast_flood {} bcast_flood {} neigh_suppress off "
            "isolated {} \n",
            on_off(port.hairpin),
            on_off(port.learning),
            on_off(port.flood),
            on_off(port.mcast_flood),
            on_off(port.bcast_flood),
            on_off(port.isolated)
        );
    }
    return text;
}

Json bridge_link_json(const Context& context, const LinkRecord& link) {
    Json json;
    json["ifindex"] = link.id;
    json["ifname"] = link.name;
    json["flags"] = flags(link);
    json["mtu"] = link.mtu;
    json["master"] = context.core.links().name_of(LinkManager::master_of(link));
    json["state"] = port_state(link);
    json["priority"] = 32;
    json["cost"] = 2;
    if (context.options.details) {
        const pipeline::BridgePort& port = link.bridge_port;
        json["hairpin"] = port.hairpin;
        json["learning"] = port.learning;
        json["flood"] = port.flood;
        json["mcast_flood"] = port.mcast_flood;
        json["bcast_flood"] = port.bcast_flood;
        json["neigh_suppress"] = false;
        json["isolated"] = port.isolated;
    }
    return json;
}

}  // namespace culvert::control
