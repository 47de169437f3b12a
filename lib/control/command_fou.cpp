// SPDX-License-Identifier: BSD-3-Clause
// fou add, del, show (UI-TUN-04).
#include "lib/control/command_context.hpp"
#include "lib/control/fou.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

// What add and del have in common.
Result<encap::FouPort> port_of(Context& context, const Arguments& arguments) {
    if (!arguments.has("port")) {
        return syntax_error(context, "fou: missing port");
    }
    encap::FouPort port;
    port.is_ipv6 = context.options.family == 6 || arguments.has("-6");
    for (const std::string_view word : {"local", "peer"}) {
        const auto address = arguments.get<net::IpAddress>(word);
        if (address && address->is_v4() == port.is_ipv6) {
            return syntax_error(
                context,
                fmt::format(
                    "{} address is expected rather than \"{}\"",
                    port.is_ipv6 ? "inet6" : "inet",
                    arguments.text(word)
                )
            );
        }
    }
    port.port = *arguments.number<std::uint16_t>("port");
    port.local = arguments.get<net::IpAddress>("local").value_or(net::IpAddress{});
    port.peer = arguments.get<net::IpAddress>("peer").value_or(net::IpAddress{});
    port.peer_port = arguments.number<std::uint16_t>("peer_port").value_or(0);
    port.dev = arguments.get<LinkId>("dev").value_or(kNoLink);
    if (arguments.has("peer") != arguments.has("peer_port")) {
        return syntax_error(context, "fou: both peer and peer port must be set");
    }
    return port;
}

// By number, or as /etc/protocols has it.
Result<std::uint8_t> protocol_of(Context& context, const Arguments& arguments) {
    struct Name {
        std::string_view word;
        std::uint8_t number;
    };

    constexpr Name kNames[] = {{"ipencap", 4}, {"ipv6", 41}, {"gre", 47}, {"mpls-in-ip", 137}};
    if (arguments.has("ipproto") && arguments.has("gue")) {
        return syntax_error(context, "fou: cannot set ipproto and gue");
    }
    if (arguments.has("gue")) {
        return std::uint8_t{0};
    }
    if (!arguments.has("ipproto")) {
        return syntax_error(context, "fou: must set ipproto or gue");
    }
    for (const Name& name : kNames) {
        if (arguments.text("ipproto") == name.word) {
            return name.number;
        }
    }
    return *arguments.number<std::uint8_t>("ipproto");
}

std::string port_text(const Context& context, const encap::FouPort& port) {
    std::string text = fmt::format("port {}", port.port);
    text += port.is_gue() ? std::string(" gue") : fmt::format(" ipproto {}", port.protocol);
    text += port.is_ipv6 ? " -6" : "";
    if (!port.local.is_unspecified()) {
        text += fmt::format(" local {}", port.local.to_string());
    }
    if (!port.peer.is_unspecified()) {
        text += fmt::format(" peer {} peer_port {}", port.peer.to_string(), port.peer_port);
    }
    if (const std::string dev = context.core.links().name_of(port.dev); !dev.empty()) {
        text += fmt::format(" dev {}", dev);
    }
    return text + "\n";
}

Json port_json(const Context& context, const encap::FouPort& port) {
    Json json;
    json["port"] = port.port;
    if (port.is_gue()) {
        json["gue"] = nullptr;
    } else {
        json["ipproto"] = port.protocol;
    }
    json["family"] = port.is_ipv6 ? "inet6" : "inet";
    if (!port.local.is_unspecified()) {
        json["local"] = port.local.to_string();
    }
    if (!port.peer.is_unspecified()) {
        json["peer"] = port.peer.to_string();
        json["peer_port"] = port.peer_port;
    }
    if (const std::string dev = context.core.links().name_of(port.dev); !dev.empty()) {
        json["dev"] = dev;
    }
    return json;
}

}  // namespace

Result<void> fou_add(Context& context, const Arguments& arguments) {
    CULVERT_TRY(port, port_of(context, arguments));
    CULVERT_TRY(protocol, protocol_of(context, arguments));
    port.protocol = protocol;
    return context.core.fou().add(port);
}

Result<void> fou_del(Context& context, const Arguments& arguments) {
    CULVERT_TRY(port, port_of(context, arguments));
    return context.core.fou().del(port);
}

Result<void> fou_show(Context& context, const Arguments& arguments) {
    (void)arguments;
    if (context.out.is_json()) {
        context.out.list();
    }
    for (const encap::FouPort& port : context.core.fou().ports()) {
        if (context.out.is_json()) {
            context.out.entry(port_json(context, port));
        } else {
            context.out.text(port_text(context, port));
        }
    }
    return {};
}

}  // namespace culvert::control
