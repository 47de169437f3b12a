// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_link.hpp"
#include "lib/control/output_tunnel.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

std::string_view df_name(encap::DontFragment df) {
    switch (df) {
    case encap::DontFragment::set:
        return "set";
    case encap::DontFragment::inherit:
        return "inherit";
    default:
        return "unset";
    }
}

// UI-SHOW-05: booleans are printed only where they are not the default, or with everything.
std::string vxlan_text(const Context& context, const encap::VxlanConfig& vxlan) {
    std::string text = fmt::format("    vxlan id {} ", vxlan.vni);
    if (!vxlan.remote.is_unspecified()) {
        text += fmt::format(
            "{} {} ", vxlan.remote.is_multicast() ? "group" : "remote", vxlan.remote.to_string()
        );
    }
    if (!vxlan.local.is_unspecified()) {
        text += fmt::format("local {} ", vxlan.local.to_string());
    }
    if (std::string lower = context.core.links().name_of(vxlan.lower); !lower.empty()) {
        text += fmt::format("dev {} ", lower);
    }
    text += fmt::format(
        "srcport {} {} dstport {} ",
        vxlan.source_port_min,
        vxlan.source_port_max,
        vxlan.destination_port
    );
    if (vxlan.tos != 0) {
        text += vxlan.tos == 1 ? "tos inherit " : fmt::format("tos {:#x} ", vxlan.tos);
    }
    if (vxlan.ttl_inherit) {
        text += "ttl inherit ";
    } else {
        text += vxlan.ttl == 0 ? "ttl auto " : fmt::format("ttl {} ", vxlan.ttl);
    }
    if (vxlan.df != encap::DontFragment::unset) {
        text += fmt::format("df {} ", df_name(vxlan.df));
    }
    text += vxlan.flow_label == 0 ? "" : fmt::format("flowlabel {:#x} ", vxlan.flow_label);
    text += vxlan.ageing_s == 0 ? "ageing none " : fmt::format("ageing {} ", vxlan.ageing_s);
    text += vxlan.limit == 0 ? "" : fmt::format("maxaddr {} ", vxlan.limit);
    text += vxlan.learning ? "" : "nolearning ";
    text += vxlan.udp_checksum ? "" : "noudp_csum ";
    text += vxlan.no_checksum6_tx ? "udp_zero_csum6_tx " : "";
    text += vxlan.no_checksum6_rx ? "udp_zero_csum6_rx " : "";
    return text;
}

Json vxlan_json(const Context& context, const encap::VxlanConfig& vxlan) {
    Json json;
    const char* family = vxlan.is_ipv6 ? "6" : "";
    json["id"] = vxlan.vni;
    if (!vxlan.remote.is_unspecified()) {
        const std::string key = vxlan.remote.is_multicast() ? "group" : "remote";
        json[key + family] = vxlan.remote.to_string();
    }
    if (!vxlan.local.is_unspecified()) {
        json[std::string("local") + family] = vxlan.local.to_string();
    }
    if (std::string lower = context.core.links().name_of(vxlan.lower); !lower.empty()) {
        json["link"] = lower;
    }
    json["port_range"] = {{"low", vxlan.source_port_min}, {"high", vxlan.source_port_max}};
    json["port"] = vxlan.destination_port;
    if (vxlan.tos != 0) {
        json["tos"] = fmt::format("{:#x}", vxlan.tos);
    }
    if (!vxlan.ttl_inherit) {
        json["ttl"] = vxlan.ttl;
    }
    json["df"] = df_name(vxlan.df);
    if (vxlan.flow_label != 0) {
        json["label"] = fmt::format("{:#x}", vxlan.flow_label);
    }
    json["ageing"] = vxlan.ageing_s;
    if (vxlan.limit != 0) {
        json["limit"] = vxlan.limit;
    }
    json["learning"] = vxlan.learning;
    for (const char* key : {"proxy", "rsc", "l2miss", "l3miss"}) {
        json[key] = false;
    }
    json["udp_csum"] = vxlan.udp_checksum;
    json["udp_zero_csum6_tx"] = vxlan.no_checksum6_tx;
    json["udp_zero_csum6_rx"] = vxlan.no_checksum6_rx;
    for (const char* key : {"remcsum_tx", "remcsum_rx", "external", "vnifilter"}) {
        json[key] = false;
    }
    json["localbypass"] = true;
    return json;
}

std::string_view protocol_name(const pipeline::VlanConfig& vlan) {
    return vlan.protocol == net::ether_type::kQinq ? "802.1ad" : "802.1Q";
}

// "" = off, which is not told.
std::string_view reverse_path_name(const LinkRecord& link) {
    if (link.reverse_path == pipeline::ReversePath::off) {
        return "";
    }
    return link.reverse_path == pipeline::ReversePath::strict ? "strict" : "loose";
}

}  // namespace

std::string link_info_text(const Context& context, const LinkRecord& link) {
    std::string text;
    switch (link.kind) {
    case pipeline::LinkKind::vxlan:
        text = vxlan_text(context, link.vxlan);
        break;
    case pipeline::LinkKind::bridge:
        text = fmt::format(
            "    bridge ageing_time {} stp_state 0 vlan_filtering 0 mcast_snooping 0 ",
            link.bridge_ageing_s * 100
        );
        break;
    case pipeline::LinkKind::vlan:
        text = fmt::format(
            "    vlan protocol {} id {} <REORDER_HDR> ", protocol_name(link.vlan), link.vlan.id
        );
        break;
    case pipeline::LinkKind::vrf:
        text = fmt::format("    vrf table {} ", link.table);
        break;
    case pipeline::LinkKind::dummy:
        text = "    dummy ";
        break;
    case pipeline::LinkKind::ipip:
    case pipeline::LinkKind::gre:
    case pipeline::LinkKind::gretap:
    case pipeline::LinkKind::sit:
    case pipeline::LinkKind::ip6tnl:
    case pipeline::LinkKind::ip6gre:
    case pipeline::LinkKind::ip6gretap:
        text = "    " + ip_tunnel_info_text(context, link.ip_tunnel);
        break;
    case pipeline::LinkKind::port:
        break;
    }
    if (link.vrf != kNoLink && link.vrf != link.id) {
        const LinkRecord* vrf = context.core.links().find(link.vrf);
        text += fmt::format("{}    vrf_slave table {} ", text.empty() ? "" : "\n", vrf->table);
    }
    if (link.master != kNoLink) {
        const pipeline::BridgePort& port = link.bridge_port;
        auto on_off = [](bool on) { return on ? "on" : "off"; };
        text += fmt::format(
            "{}    bridge_slave hairpin {} learning {} flood {} mcast_flood {} bcast_flood {} "
            "isolated {} ",
            text.empty() ? "" : "\n",
            on_off(port.hairpin),
            on_off(port.learning),
            on_off(port.flood),
            on_off(port.mcast_flood),
            on_off(port.bcast_flood),
            on_off(port.isolated)
        );
    }
    if (const std::string_view filter = reverse_path_name(link); !filter.empty()) {
        text += fmt::format("{}    rp_filter {} ", text.empty() ? "" : "\n", filter);
    }
    return text;
}

Json link_info_json(const Context& context, const LinkRecord& link) {
    Json json;
    if (link.kind != pipeline::LinkKind::port) {
        json["info_kind"] = kind_name(link.kind);
    }
    if (link.kind == pipeline::LinkKind::vxlan) {
        json["info_data"] = vxlan_json(context, link.vxlan);
    } else if (link.kind == pipeline::LinkKind::vlan) {
        json["info_data"] = {
            {"protocol", protocol_name(link.vlan)},
            {"id", link.vlan.id},
            {"flags", Json::array({"REORDER_HDR"})}};
    } else if (pipeline::is_ip_tunnel(link.kind)) {
        json["info_data"] = ip_tunnel_info_json(context, link.ip_tunnel);
    } else if (link.kind == pipeline::LinkKind::bridge) {
        json["info_data"] = {
            {"ageing_time", link.bridge_ageing_s * 100},
            {"stp_state", 0},
            {"vlan_filtering", 0},
            {"mcast_snooping", 0}};
    }
    if (link.kind == pipeline::LinkKind::vrf) {
        json["info_data"] = {{"table", link.table}};
    }
    if (link.vrf != kNoLink && link.vrf != link.id) {
        json["info_slave_kind"] = "vrf";
        json["info_slave_data"] = {{"table", context.core.links().find(link.vrf)->table}};
    }
    if (const std::string_view filter = reverse_path_name(link); !filter.empty()) {
        json["rp_filter"] = filter;
    }
    if (link.master != kNoLink) {
        const pipeline::BridgePort& port = link.bridge_port;
        json["info_slave_kind"] = "bridge";
        json["info_slave_data"] = {
            {"hairpin", port.hairpin},
            {"learning", port.learning},
            {"flood", port.flood},
            {"mcast_flood", port.mcast_flood},
            {"bcast_flood", port.bcast_flood},
            {"isolated", port.isolated}};
    }
    return json;
}

}  // namespace culvert::control
