// SPDX-License-Identifier: BSD-3-Clause
// tunnel add, change, del, show: ip-tunnel(8)'s older words for ipip and gre links.
#include "lib/control/command_tunnel_options.hpp"
#include "lib/control/output_tunnel.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

using pipeline::LinkKind;

// The kinds that ip-tunnel(8) knows: gretap is none of them.
bool is_tunnel_of_old(LinkKind kind) {
    return kind == LinkKind::ipip || kind == LinkKind::gre || kind == LinkKind::sit;
}

std::optional<LinkKind> said_kind(const Arguments& arguments) {
    const std::string_view mode = arguments.text("mode");
    if (mode.empty()) {
        return std::nullopt;
    }
    if (mode == "sit" || mode == "ipv6/ip") {
        return LinkKind::sit;
    }
    return mode.starts_with("gre") ? LinkKind::gre : LinkKind::ipip;
}

// As the kernel names what has no name: gre1, tunl1, ...
std::string free_name(const LinkManager& links, LinkKind kind) {
    for (unsigned number = 1;; ++number) {
        const std::string_view fallback = encap::traits(pipeline::ip_tunnel_kind(kind)).fallback;
        std::string name = fmt::format("{}{}", fallback.substr(0, fallback.size() - 1), number);
        if (links.find(name) == nullptr) {
            return name;
        }
    }
}

// Where `type ipip` says `mode`, `mode ipip` is the kind; `any` cannot be said.
Result<IpTunnelOptions>
tunnel_options(Context& context, const Arguments& arguments, const encap::IpTunnelConfig& now) {
    CULVERT_TRY(options, ip_tunnel_options(context, arguments));
    options.mode.reset();
    CULVERT_CHECK(check_ttl_with_pmtudisc(context, now, options));
    if (encap::traits(now.kind).has_gre) {
        CULVERT_CHECK(check_ip_tunnel_options(context, now, options));
        return options;
    }
    if (options.in_key || options.out_key) {
        return syntax_error(context, "Keys are not allowed with ipip and sit tunnels");
    }
    // ip(8) sends these flags, and ipip looks at none of them.
    options.in_checksum.reset();
    options.out_checksum.reset();
    options.in_sequence.reset();
    options.out_sequence.reset();
    return options;
}

Result<const LinkRecord*> find_tunnel(Context& context, const Arguments& arguments) {
    const std::string_view name = arguments.text("name");
    const LinkRecord* link = context.core.links().find(name);
    if (link == nullptr) {
        return Error{std::errc::no_such_device, fmt::format("Cannot find device \"{}\"", name)};
    }
    if (!is_tunnel_of_old(link->kind)) {
        return Error{std::errc::operation_not_supported, "it is no ipip, gre or sit link"};
    }
    return link;
}

bool is_shown(const LinkRecord& link, const Arguments& filter) {
    const auto kind = said_kind(filter);
    const auto remote = filter.get<net::IpAddress>("remote");
    const auto local = filter.get<net::IpAddress>("local");
    const auto dev = filter.get<LinkId>("dev");
    return is_tunnel_of_old(link.kind) && (!kind || link.kind == *kind) &&
           (!filter.has("name") || link.name == filter.text("name")) &&
           (!remote || link.ip_tunnel.remote == *remote) &&
           (!local || link.ip_tunnel.local == *local) && (!dev || link.ip_tunnel.lower == *dev);
}

}  // namespace

Result<void> tunnel_add(Context& context, const Arguments& arguments) {
    const auto kind = said_kind(arguments);
    if (!kind) {
        return syntax_error(context, "cannot determine tunnel mode (ipip, gre or sit)");
    }
    LinkAddRequest request;
    request.kind = *kind;
    request.name = arguments.has("name") ? std::string(arguments.text("name"))
                                         : free_name(context.core.links(), *kind);
    encap::IpTunnelConfig defaults;
    defaults.kind = pipeline::ip_tunnel_kind(*kind);
    CULVERT_TRY(options, tunnel_options(context, arguments, defaults));
    request.ip_tunnel = std::move(options);
    if (*kind == LinkKind::ipip) {
        request.ip_tunnel.mode = encap::IpTunnelMode::ipip;
    } else if (*kind == LinkKind::sit) {
        request.ip_tunnel.mode = encap::IpTunnelMode::ip6ip;
    }
    CULVERT_TRY(link, context.core.links().add(request));
    (void)link;
    return {};
}

Result<void> tunnel_change(Context& context, const Arguments& arguments) {
    if (!arguments.has("name")) {
        return syntax_error(context, "Not enough information: \"name\" argument is required");
    }
    CULVERT_TRY(found, find_tunnel(context, arguments));
    if (auto kind = said_kind(arguments); kind && *kind != found->kind) {
        return syntax_error(context, "You managed to ask for more than one tunnel mode.");
    }
    LinkSetRequest request;
    CULVERT_TRY(options, tunnel_options(context, arguments, found->ip_tunnel));
    request.ip_tunnel = std::move(options);
    return context.core.links().set(found->id, request);
}

Result<void> tunnel_del(Context& context, const Arguments& arguments) {
    CULVERT_TRY(found, find_tunnel(context, arguments));
    if (found->is_fallback) {  // IPIP-FB-03
        return Error{std::errc::operation_not_permitted, "it takes what no other tunnel does"};
    }
    return context.core.links().del(found->id);
}

Result<void> tunnel_show(Context& context, const Arguments& arguments) {
    if (context.out.is_json()) {
        context.out.list();
    }
    context.core.links().for_each([&](const LinkRecord& link) {
        if (!is_shown(link, arguments)) {
            return;
        }
        if (context.out.is_json()) {
            context.out.entry(tunnel_json(context, link));
        } else {
            context.out.text(tunnel_text(context, link));
        }
    });
    return {};
}

}  // namespace culvert::control
