// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_tunnel_options.hpp"

#include <fmt/format.h>

#include <array>

namespace culvert::control {

namespace {

using Key = IpTunnelOptions::Key;

// A number, or a dotted quad as if it were an address (GRE-CRE-08).
Result<Key> parse_key(Context& context, const Argument& argument) {
    const std::string& text = argument.text;
    if (text.find('.') != std::string::npos) {
        auto quad = net::IpAddress::parse(text);
        if (!quad || !quad->is_v4()) {
            return syntax_error(
                context, fmt::format("an IP address is expected rather than \"{}\"", text)
            );
        }
        return Key(quad->v4());
    }
    if (auto number = parse_number(text); number && *number <= UINT32_MAX) {
        return Key(static_cast<std::uint32_t>(*number));
    }
    return syntax_error(
        context,
        fmt::format(
            "invalid value for \"{}\": \"{}\"; it should be an unsigned integer",
            argument.keyword->name,
            text
        )
    );
}

// A keyword of GRE that says one thing of both directions, or of one.
struct Directions {
    std::string_view name;
    bool in;
    bool out;
};

constexpr auto kKeys = std::to_array<Directions>({
    {"key", true, true},
    {"ikey", true, false},
    {"okey", false, true},
    {"nokey", true, true},
    {"noikey", true, false},
    {"nookey", false, true},
});

constexpr auto kChecksums = std::to_array<Directions>({
    {"csum", true, true},
    {"icsum", true, false},
    {"ocsum", false, true},
});

constexpr auto kSequences = std::to_array<Directions>({
    {"seq", true, true},
    {"iseq", true, false},
    {"oseq", false, true},
});

template <std::size_t N, typename T>
void apply(
    const std::array<Directions, N>& table,
    std::string_view name,
    T value,
    std::optional<T>& in,
    std::optional<T>& out
) {
    for (const Directions& row : table) {
        if (row.name == name) {
            in = row.in ? value : in;
            out = row.out ? value : out;
        }
    }
}

Result<void> apply_gre(Context& context, const Argument& argument, IpTunnelOptions& options) {
    const std::string_view name = argument.keyword->name;
    if (const bool* on = std::get_if<bool>(&argument.value)) {
        apply(kChecksums, name, *on, options.in_checksum, options.out_checksum);
        apply(kSequences, name, *on, options.in_sequence, options.out_sequence);
    }
    for (const Directions& row : kKeys) {
        if (row.name != name) {
            continue;
        }
        Key key;
        if (argument.keyword->kind == Kind::text) {
            CULVERT_TRY(parsed, parse_key(context, argument));
            key = parsed;
        }
        if (row.in) {
            options.in_key.emplace(key);
        }
        if (row.out) {
            options.out_key.emplace(key);
        }
    }
    return {};
}

std::optional<net::IpAddress> address(const Arguments& arguments, std::string_view name) {
    if (!arguments.has(name)) {
        return std::nullopt;
    }
    return arguments.get<net::IpAddress>(name).value_or(net::IpAddress::from_v4(0));
}

// FOU-01, -05. `encap-sport auto` is 0.
void apply_encap(const Arguments& arguments, IpTunnelOptions& options) {
    using Udp = encap::UdpEncap::Kind;
    const std::string_view kind = arguments.text("encap");
    if (kind == "none" || arguments.has("noencap")) {
        options.udp = Udp::none;
    } else if (!kind.empty()) {
        options.udp = kind == "fou" ? Udp::fou : Udp::gue;
    }
    const auto port = [&](std::string_view name) -> std::optional<std::uint16_t> {
        if (!arguments.has(name)) {
            return std::nullopt;
        }
        return arguments.number<std::uint16_t>(name).value_or(0);
    };
    options.udp_source_port = port("encap-sport");
    options.udp_destination_port = port("encap-dport");
    options.udp_checksum = arguments.get<bool>("encap-csum");
    options.udp_checksum6 = arguments.get<bool>("encap-csum6");
    options.udp_remote_checksum = arguments.get<bool>("encap-remcsum");
}

struct Mode {
    std::string_view name;
    encap::IpTunnelMode mode;
};

constexpr auto kModes = std::to_array<Mode>({
    {"any", encap::IpTunnelMode::any},
    {"ipip", encap::IpTunnelMode::ipip},
    {"ip6ip", encap::IpTunnelMode::ip6ip},
    {"mplsip", encap::IpTunnelMode::mplsip},
    // ip6tnl's words for them
    {"any/ipv6", encap::IpTunnelMode::any},
    {"ip6ip6", encap::IpTunnelMode::ip6ip},
    {"ipv6/ipv6", encap::IpTunnelMode::ip6ip},
    {"ipip6", encap::IpTunnelMode::ipip},
    {"ip4ip6", encap::IpTunnelMode::ipip},
    {"ipv4/ipv6", encap::IpTunnelMode::ipip},
    {"ip/ipv6", encap::IpTunnelMode::ipip},
});

void apply_mode(const Arguments& arguments, IpTunnelOptions& options) {
    for (const Mode& mode : kModes) {
        if (mode.name == arguments.text("mode")) {
            options.mode = mode.mode;
        }
    }
}

// What only kinds over IPv6 have; none of these words is another kind's. A class or label that is
// inherited is 0 for the packets that have none.
void apply_ip6(const Arguments& arguments, IpTunnelOptions& options) {
    if (arguments.has("hoplimit")) {
        options.ttl = arguments.number<std::uint8_t>("hoplimit").value_or(0);  // inherit
    }
    if (arguments.has("tclass")) {
        const auto traffic_class = arguments.number<std::uint8_t>("tclass");
        options.class_inherit = !traffic_class.has_value();
        options.tos = traffic_class.value_or(0);
    }
    if (arguments.has("flowlabel")) {
        const auto label = arguments.number<std::uint32_t>("flowlabel");
        options.label_inherit = !label.has_value();
        options.flow_label = label.value_or(0);
    }
    if (arguments.has("encaplimit")) {
        options.encap_limit.emplace(arguments.number<std::uint8_t>("encaplimit"));
    }
    if (arguments.has("dscp")) {
        options.dscp_copy = true;
    }
}

}  // namespace

Result<IpTunnelOptions> ip_tunnel_options(Context& context, const Arguments& arguments) {
    IpTunnelOptions options;
    if (arguments.has("external")) {
        options.external = true;  // ip(8) sends nothing but the mode besides
        apply_mode(arguments, options);
        return options;
    }
    options.remote = address(arguments, "remote");
    options.local = address(arguments, "local");
    if (arguments.has("dev")) {
        options.dev = std::string(arguments.text("dev"));
    }
    if (arguments.has("ttl")) {
        options.ttl = arguments.number<std::uint8_t>("ttl").value_or(0);  // inherit
    }
    if (arguments.has("tos")) {
        options.tos = arguments.number<std::uint8_t>("tos").value_or(1);  // inherit
    }
    options.pmtudisc = arguments.get<bool>("pmtudisc");
    options.ignore_df = arguments.get<bool>("ignore-df");
    apply_encap(arguments, options);
    apply_mode(arguments, options);
    apply_ip6(arguments, options);
    for (const Argument& argument : arguments.given()) {
        CULVERT_CHECK(apply_gre(context, argument, options));
    }
    return options;
}

Result<void> check_ttl_with_pmtudisc(
    Context& context, const encap::IpTunnelConfig& now, const IpTunnelOptions& options
) {
    if (options.ttl.value_or(now.ttl) != 0 && !options.pmtudisc.value_or(now.pmtudisc)) {
        return syntax_error(context, "ttl != 0 and nopmtudisc are incompatible");
    }
    return {};
}

Result<void> check_ip_tunnel_options(
    Context& context, const encap::IpTunnelConfig& now, IpTunnelOptions& options
) {
    // sit knows no such mode, and does not look.
    options.external = options.external && now.kind != encap::IpTunnelKind::sit;
    // ip(8) does not send an address that is any, and gretap takes none that is sent
    // (GRETAP-CRE-01).
    const bool is_over_ipv6 = encap::traits(now.kind).is_over_ipv6;
    if (options.remote && options.remote->is_unspecified() && now.remote.is_unspecified()) {
        options.remote.reset();
    }
    if (is_over_ipv6) {
        return {};
    }
    if (!encap::traits(now.kind).has_gre) {
        return check_ttl_with_pmtudisc(context, now, options);
    }
    const net::IpAddress remote = options.remote.value_or(now.remote);
    if (!remote.is_multicast()) {
        return {};
    }
    if (options.local.value_or(now.local).is_unspecified()) {
        return syntax_error(context, "A broadcast tunnel requires a source address.");
    }
    if (!options.in_key.value_or(now.in_key)) {
        options.in_key.emplace(remote.v4());
    }
    if (!options.out_key.value_or(now.out_key)) {
        options.out_key.emplace(remote.v4());
    }
    return {};
}

}  // namespace culvert::control
