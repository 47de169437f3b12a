// SPDX-License-Identifier: BSD-3-Clause
// link add, set, del, show; bridge link set, show.
#include "lib/control/command_tables.hpp"
#include "lib/control/command_tunnel_options.hpp"
#include "lib/control/output_link.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

encap::DontFragment dont_fragment(std::string_view word) {
    if (word == "set") {
        return encap::DontFragment::set;
    }
    return word == "inherit" ? encap::DontFragment::inherit : encap::DontFragment::unset;
}

VxlanOptions vxlan_options(const Arguments& arguments) {
    VxlanOptions options;
    options.vni = arguments.number<std::uint32_t>("id");
    options.remote_is_group = arguments.has("group");
    options.remote = arguments.get<net::IpAddress>(options.remote_is_group ? "group" : "remote");
    options.local = arguments.get<net::IpAddress>("local");
    if (arguments.has("dev")) {
        options.dev = std::string(arguments.text("dev"));
    }
    options.destination_port = arguments.number<std::uint16_t>("dstport");
    if (auto range = arguments.get<NumberPair>("srcport")) {
        options.source_port_min = static_cast<std::uint16_t>(range->first);
        options.source_port_max = static_cast<std::uint16_t>(range->second);
    }
    // As iproute2: `inherit` is an attribute of its own, which is not sent with a number.
    if (arguments.text("ttl") == "inherit") {
        options.ttl_inherit = true;
    } else if (arguments.has("ttl")) {
        options.ttl = arguments.number<std::uint8_t>("ttl").value_or(0);  // auto
    }
    if (arguments.has("tos")) {
        options.tos = arguments.number<std::uint8_t>("tos").value_or(1);  // inherit (VXLAN-TX-23)
    }
    if (arguments.has("df")) {
        options.df = dont_fragment(arguments.text("df"));
    }
    options.udp_checksum = arguments.get<bool>("udpcsum");
    options.no_checksum6_tx = arguments.get<bool>("udp6zerocsumtx");
    options.no_checksum6_rx = arguments.get<bool>("udp6zerocsumrx");
    options.flow_label = arguments.number<std::uint32_t>("flowlabel");
    options.learning = arguments.get<bool>("learning");
    if (arguments.has("ageing")) {
        options.ageing_s = arguments.number<std::uint32_t>("ageing").value_or(0);  // none
    }
    if (arguments.has("maxaddress")) {
        options.limit = arguments.number<std::uint32_t>("maxaddress").value_or(0);  // unlimited
    }
    return options;
}

VlanOptions vlan_options(const Arguments& arguments) {
    VlanOptions options;
    options.id = arguments.number<std::uint32_t>("id");
    const std::string_view protocol = arguments.text("protocol");
    if (protocol == "802.1ad" || protocol == "802.1AD") {
        options.protocol = net::ether_type::kQinq;
    }
    return options;
}

VrfOptions vrf_options(const Arguments& arguments) {
    return {arguments.number<std::uint32_t>("table")};
}

BridgeOptions bridge_options(const Arguments& arguments) {
    BridgeOptions options;
    if (auto centiseconds = arguments.number<std::uint32_t>("ageing_time")) {
        options.ageing_s = *centiseconds / 100;
    }
    return options;
}

// With `link set`, `now` is the tunnel as it is.
Result<IpTunnelOptions> checked_tunnel_options(
    Context& context, const Arguments& arguments, const encap::IpTunnelConfig& now
) {
    CULVERT_TRY(options, ip_tunnel_options(context, arguments));
    CULVERT_CHECK(check_ip_tunnel_options(context, now, options));
    return options;
}

pipeline::LinkKind kind_of(const LinkType& type) {
    if (type.name == "vxlan") {
        return pipeline::LinkKind::vxlan;
    }
    for (std::size_t i = 0; i < encap::kIpTunnelKinds.size(); ++i) {
        if (type.name == encap::kIpTunnelKinds[i].name) {
            return pipeline::link_kind(static_cast<encap::IpTunnelKind>(i));
        }
    }
    if (type.name == "vlan") {
        return pipeline::LinkKind::vlan;
    }
    if (type.name == "vrf") {
        return pipeline::LinkKind::vrf;
    }
    return type.name == "bridge" ? pipeline::LinkKind::bridge : pipeline::LinkKind::dummy;
}

// `link set NAME type KIND ...`
Result<void> set_type_options(
    Context& context, const Arguments& arguments, const LinkRecord& link, LinkSetRequest& request
) {
    const Arguments& given = arguments.type_arguments();
    const pipeline::LinkKind kind = kind_of(*arguments.type());
    if (link.kind != kind) {
        return Error{
            std::errc::operation_not_supported,
            fmt::format("it is no {} link", arguments.type()->name)};
    }
    if (kind == pipeline::LinkKind::vxlan) {
        request.vxlan = vxlan_options(given);
    } else if (kind == pipeline::LinkKind::vlan) {
        return Error{std::errc::operation_not_supported, "Cannot change a vlan's properties"};
    } else if (kind == pipeline::LinkKind::vrf) {
        return Error{std::errc::operation_not_supported, "Cannot change a VRF's table"};
    } else if (kind == pipeline::LinkKind::bridge) {
        request.bridge = bridge_options(given);
    } else if (pipeline::is_ip_tunnel(kind)) {
        CULVERT_TRY(options, checked_tunnel_options(context, given, link.ip_tunnel));
        request.ip_tunnel = std::move(options);
    }
    return {};
}

// By name, or as the sysctl rp_filter has it.
pipeline::ReversePath reverse_path_of(std::string_view word) {
    if (word == "strict" || word == "1") {
        return pipeline::ReversePath::strict;
    }
    const bool is_loose = word == "loose" || word == "2";
    return is_loose ? pipeline::ReversePath::loose : pipeline::ReversePath::off;
}

bool is_shown(const LinkRecord& link, const Arguments& filter) {
    auto wanted = filter.get<LinkId>("dev");
    auto master = filter.get<LinkId>("master");
    auto vrf = filter.get<LinkId>("vrf");
    const LinkId own_master = LinkManager::master_of(link);
    std::string_view type = filter.text("type");
    return (!wanted || link.id == *wanted) && (!master || own_master == *master) &&
           (!vrf || own_master == *vrf) && (!filter.has("nomaster") || own_master == kNoLink) &&
           (type.empty() || kind_name(link.kind) == type) && (!filter.has("up") || link.admin_up) &&
           (!filter.has("down") || !link.admin_up);
}

}  // namespace

Result<void> link_add(Context& context, const Arguments& arguments) {
    if (arguments.type() == nullptr) {
        return syntax_error(context, "Not enough information: \"type\" argument is required");
    }
    LinkAddRequest request;
    request.name = std::string(arguments.text("name"));
    request.kind = kind_of(*arguments.type());
    request.mtu = arguments.number<std::uint32_t>("mtu");
    request.address = arguments.get<net::MacAddress>("address");
    if (arguments.has("link")) {
        request.lower = std::string(arguments.text("link"));
    }
    if (request.kind == pipeline::LinkKind::vlan) {
        request.vlan = vlan_options(arguments.type_arguments());
    }
    if (request.kind == pipeline::LinkKind::vrf) {
        request.vrf = vrf_options(arguments.type_arguments());
    }
    if (request.kind == pipeline::LinkKind::vxlan) {
        request.vxlan = vxlan_options(arguments.type_arguments());
        if (!request.vxlan.vni) {  // VXLAN-CRE-10
            return syntax_error(context, "vxlan: missing virtual network identifier");
        }
    } else if (request.kind == pipeline::LinkKind::bridge) {
        request.bridge = bridge_options(arguments.type_arguments());
    } else if (pipeline::is_ip_tunnel(request.kind)) {
        encap::IpTunnelConfig defaults;
        defaults.kind = pipeline::ip_tunnel_kind(request.kind);
        CULVERT_TRY(options, checked_tunnel_options(context, arguments.type_arguments(), defaults));
        request.ip_tunnel = std::move(options);
    }
    CULVERT_TRY(link, context.core.links().add(request));
    (void)link;
    return {};
}

Result<void> link_set(Context& context, const Arguments& arguments) {
    if (arguments.has("up") && arguments.has("down")) {
        return syntax_error(context, "either \"up\" or \"down\", not both");
    }
    if (arguments.has("master") && arguments.has("nomaster")) {
        return syntax_error(context, "either \"master\" or \"nomaster\", not both");
    }
    if (arguments.has("vrf") && (arguments.has("master") || arguments.has("nomaster"))) {
        return syntax_error(context, "\"vrf\" goes with neither \"master\" nor \"nomaster\"");
    }
    LinkId link = *arguments.get<LinkId>("dev");
    LinkSetRequest request;
    if (arguments.has("up") || arguments.has("down")) {
        request.up = arguments.has("up");
    }
    request.mtu = arguments.number<std::uint32_t>("mtu");
    request.address = arguments.get<net::MacAddress>("address");
    if (arguments.has("name")) {
        request.name = std::string(arguments.text("name"));
    }
    if (arguments.has("addrgenmode")) {
        request.link_local = arguments.text("addrgenmode") == "eui64";
    }
    if (arguments.has("rp_filter")) {
        request.reverse_path = reverse_path_of(arguments.text("rp_filter"));
    }
    if (arguments.has("master") || arguments.has("nomaster")) {
        request.master = std::string(arguments.text("master"));
    }
    if (arguments.has("vrf")) {
        CULVERT_TRY(vrf, named_vrf(context, arguments.text("vrf")));
        request.master = context.core.links().name_of(vrf);
    }
    if (arguments.has("host") && arguments.has("nohost")) {
        return syntax_error(context, "either \"host\" or \"nohost\", not both");
    }
    if (arguments.has("host") || arguments.has("nohost")) {
        request.host_tap = std::string(arguments.text("host"));
    }
    if (arguments.type() != nullptr) {
        CULVERT_CHECK(
            set_type_options(context, arguments, *context.core.links().find(link), request)
        );
    }
    return context.core.links().set(link, request);
}

Result<void> link_del(Context& context, const Arguments& arguments) {
    return context.core.links().del(*arguments.get<LinkId>("dev"));
}

Result<void> link_show(Context& context, const Arguments& arguments) {
    if (context.out.is_json()) {
        context.out.list();
    }
    context.core.links().for_each([&](const LinkRecord& link) {
        if (!is_shown(link, arguments)) {
            return;
        }
        if (context.out.is_json()) {
            context.out.entry(link_json(context, link));
        } else {
            context.out.text(link_text(context, link));
        }
    });
    return {};
}

Result<void> bridge_link_set(Context& context, const Arguments& arguments) {
    LinkId link = *arguments.get<LinkId>("dev");
    if (context.core.links().find(link)->master == kNoLink) {
        return Error{std::errc::operation_not_supported, "it is in no bridge"};
    }
    LinkSetRequest request;
    request.learning = arguments.get<bool>("learning");
    request.flood = arguments.get<bool>("flood");
    request.mcast_flood = arguments.get<bool>("mcast_flood");
    request.bcast_flood = arguments.get<bool>("bcast_flood");
    request.hairpin = arguments.get<bool>("hairpin");
    request.isolated = arguments.get<bool>("isolated");
    return context.core.links().set(link, request);
}

Result<void> bridge_link_show(Context& context, const Arguments& arguments) {
    if (context.out.is_json()) {
        context.out.list();
    }
    auto wanted = arguments.get<LinkId>("dev");
    context.core.links().for_each([&](const LinkRecord& link) {
        if (link.master == kNoLink || (wanted && link.id != *wanted)) {
            return;
        }
        if (context.out.is_json()) {
            context.out.entry(bridge_link_json(context, link));
        } else {
            context.out.text(bridge_link_text(context, link));
        }
    });
    return {};
}

}  // namespace culvert::control
