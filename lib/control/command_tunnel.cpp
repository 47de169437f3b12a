// SPDX-License-Identifier: BSD-3-Clause
// tunnel add, change, del, show: ip-tunnel(8)'s older words for ipip, gre and sit links, and with
// -6 for ip6tnl and ip6gre.
#include "lib/control/command_tunnel_options.hpp"
#include "lib/control/output_tunnel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace culvert::control {

namespace {

using pipeline::LinkKind;

bool is_ip6(const Context& context) {
    return context.options.family == 6;
}

// The kinds that ip-tunnel(8) knows, by family: those with frames inside are none of them.
bool is_tunnel_of_old(const Context& context, LinkKind kind) {
    return pipeline::is_ip_tunnel(kind) && !pipeline::has_link_layer(kind) &&
           pipeline::is_ip_tunnel6(kind) == is_ip6(context);
}

struct Mode {
    std::string_view word;
    LinkKind kind;
    encap::IpTunnelMode mode;
};

constexpr auto kModes = std::to_array<Mode>({
    {"ipip", LinkKind::ipip, encap::IpTunnelMode::ipip},
    {"ip/ip", LinkKind::ipip, encap::IpTunnelMode::ipip},
    {"gre", LinkKind::gre, encap::IpTunnelMode::any},
    {"gre/ip", LinkKind::gre, encap::IpTunnelMode::any},
    {"sit", LinkKind::sit, encap::IpTunnelMode::ip6ip},
    {"ipv6/ip", LinkKind::sit, encap::IpTunnelMode::ip6ip},
    {"ip6ip6", LinkKind::ip6tnl, encap::IpTunnelMode::ip6ip},
    {"ipv6/ipv6", LinkKind::ip6tnl, encap::IpTunnelMode::ip6ip},
    {"ipip6", LinkKind::ip6tnl, encap::IpTunnelMode::ipip},
    {"ip4ip6", LinkKind::ip6tnl, encap::IpTunnelMode::ipip},
    {"ipv4/ipv6", LinkKind::ip6tnl, encap::IpTunnelMode::ipip},
    {"ip/ipv6", LinkKind::ip6tnl, encap::IpTunnelMode::ipip},
    {"any", LinkKind::ip6tnl, encap::IpTunnelMode::any},
    {"any/ipv6", LinkKind::ip6tnl, encap::IpTunnelMode::any},
    {"ip6gre", LinkKind::ip6gre, encap::IpTunnelMode::any},
    {"gre/ipv6", LinkKind::ip6gre, encap::IpTunnelMode::any},
});

// nullptr: none was said.
Result<const Mode*> said_mode(Context& context, const Arguments& arguments) {
    const std::string_view word = arguments.text("mode");
    if (word.empty()) {
        return static_cast<const Mode*>(nullptr);
    }
    const auto* mode = std::find_if(kModes.begin(), kModes.end(), [&](const Mode& one) {
        return one.word == word;
    });
    if (mode == kModes.end()) {
        return Error{
            std::errc::operation_not_supported, fmt::format("mode {} is not supported", word)};
    }
    if (pipeline::is_ip_tunnel6(mode->kind) != is_ip6(context)) {
        return syntax_error(context, fmt::format("Unknown tunnel mode \"{}\"", word));
    }
    return mode;
}

// No address and no word of the other family.
Result<void> check_family(Context& context, const Arguments& arguments) {
    constexpr std::string_view kOfIp4[] = {"pmtudisc"};
    constexpr std::string_view kOfIp6[] = {"encaplimit", "flowlabel", "dscp", "allow-localremote"};
    const bool ip6 = is_ip6(context);
    for (const std::string_view word : {"remote", "local"}) {
        const auto address = arguments.get<net::IpAddress>(word);
        if (address && address->is_v4() == ip6) {
            return syntax_error(
                context,
                fmt::format(
                    "{} address is expected rather than \"{}\"",
                    ip6 ? "inet6" : "inet",
                    arguments.text(word)
                )
            );
        }
    }
    const std::span<const std::string_view> others =
        ip6 ? std::span<const std::string_view>(kOfIp4) : std::span<const std::string_view>(kOfIp6);
    for (const std::string_view word : others) {
        if (arguments.has(word)) {
            return syntax_error(
                context,
                fmt::format("\"{}\" is no word of tunnels over {}", word, ip6 ? "IPv6" : "IPv4")
            );
        }
    }
    return {};
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
    CULVERT_CHECK(check_family(context, arguments));
    CULVERT_TRY(options, ip_tunnel_options(context, arguments));
    options.mode.reset();
    if (is_ip6(context)) {
        // The same words say what is a flag of its own there.
        options.class_inherit =
            options.tos ? std::optional(arguments.text("tos") == "inherit") : std::nullopt;
        options.tos =
            options.class_inherit.value_or(false) ? std::optional<std::uint8_t>(0) : options.tos;
    } else {
        CULVERT_CHECK(check_ttl_with_pmtudisc(context, now, options));
    }
    if (encap::traits(now.kind).has_gre) {
        CULVERT_CHECK(check_ip_tunnel_options(context, now, options));
        return options;
    }
    if (!is_ip6(context) && (options.in_key || options.out_key)) {
        return syntax_error(context, "Keys are not allowed with ipip and sit tunnels");
    }
    // ip(8) sends these, and ipip and ip6tnl look at none of them.
    options.in_key.reset();
    options.out_key.reset();
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
    if (!is_tunnel_of_old(context, link->kind)) {
        return Error{
            std::errc::operation_not_supported,
            is_ip6(context) ? "it is no ip6tnl or ip6gre link" : "it is no ipip, gre or sit link"};
    }
    return link;
}

// `any` is no filter.
bool has_mode(const LinkRecord& link, const Mode* mode) {
    if (mode == nullptr || mode->word.starts_with("any")) {
        return true;
    }
    return link.kind == mode->kind &&
           (link.kind != LinkKind::ip6tnl || link.ip_tunnel.mode == encap::IpTunnelMode::any ||
            link.ip_tunnel.mode == mode->mode);
}

bool is_shown(
    const Context& context, const LinkRecord& link, const Mode* mode, const Arguments& filter
) {
    const auto remote = filter.get<net::IpAddress>("remote");
    const auto local = filter.get<net::IpAddress>("local");
    const auto dev = filter.get<LinkId>("dev");
    return is_tunnel_of_old(context, link.kind) && has_mode(link, mode) &&
           (!filter.has("name") || link.name == filter.text("name")) &&
           (!remote || link.ip_tunnel.remote == *remote) &&
           (!local || link.ip_tunnel.local == *local) && (!dev || link.ip_tunnel.lower == *dev);
}

}  // namespace

Result<void> tunnel_add(Context& context, const Arguments& arguments) {
    CULVERT_TRY(said, said_mode(context, arguments));
    if (said == nullptr && !is_ip6(context)) {
        return syntax_error(context, "cannot determine tunnel mode (ipip, gre or sit)");
    }
    const Mode mode =
        said != nullptr ? *said : Mode{"", LinkKind::ip6tnl, encap::IpTunnelMode::ip6ip};
    LinkAddRequest request;
    request.kind = mode.kind;
    request.name = arguments.has("name") ? std::string(arguments.text("name"))
                                         : free_name(context.core.links(), mode.kind);
    encap::IpTunnelConfig defaults;
    defaults.kind = pipeline::ip_tunnel_kind(mode.kind);
    CULVERT_TRY(options, tunnel_options(context, arguments, defaults));
    request.ip_tunnel = std::move(options);
    if (!encap::traits(defaults.kind).has_gre) {
        request.ip_tunnel.mode = mode.mode;
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
    CULVERT_TRY(mode, said_mode(context, arguments));
    if (mode != nullptr && mode->kind != found->kind) {
        return syntax_error(context, "You managed to ask for more than one tunnel mode.");
    }
    LinkSetRequest request;
    CULVERT_TRY(options, tunnel_options(context, arguments, found->ip_tunnel));
    request.ip_tunnel = std::move(options);
    if (mode != nullptr && mode->kind == LinkKind::ip6tnl) {
        request.ip_tunnel->mode = mode->mode;
    }
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
    CULVERT_TRY(mode, said_mode(context, arguments));
    if (context.out.is_json()) {
        context.out.list();
    }
    context.core.links().for_each([&](const LinkRecord& link) {
        if (!is_shown(context, link, mode, arguments)) {
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
