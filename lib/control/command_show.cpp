// SPDX-License-Identifier: BSD-3-Clause
// show drops, lcores, process, snmp, tunnels.
#include "lib/control/command_context.hpp"
#include "lib/control/tunnels.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

std::string_view direction_name(pipeline::Direction direction) {
    return direction == pipeline::Direction::rx ? "rx" : "tx";
}

void show_drop(
    Context& context, const std::string& link, pipeline::Drop reason, std::uint64_t packets
) {
    const pipeline::DropInfo& info = pipeline::info(reason);
    if (context.out.is_json()) {
        context.out.entry(
            {{"link", link},
             {"direction", direction_name(info.direction)},
             {"reason", info.name},
             {"packets", packets},
             {"help", info.help}}
        );
    } else {
        context.out.text(fmt::format(
            "{:<15} {} {:>12} {:<26} {}\n",
            link.empty() ? "-" : link,
            direction_name(info.direction),
            packets,
            info.name,
            info.help
        ));
    }
}

void show_drops_of(Context& context, LinkId link, const std::string& name) {
    for (std::size_t i = 0; i < pipeline::kDropCount; ++i) {
        auto reason = static_cast<pipeline::Drop>(i);
        std::uint64_t packets = context.core.drops(link, reason);
        // What belongs to no link (any more) is told only where it counted.
        if (packets != 0 || (context.options.statistics > 0 && link != kNoLink)) {
            show_drop(context, name, reason, packets);
        }
    }
}

double share(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string queues_text(const pipeline::Worker& worker) {
    std::string text;
    for (const pipeline::RxQueue& queue : worker.config.rx_queues) {
        text += fmt::format("{}{}.{}", text.empty() ? "" : ",", queue.port_id, queue.queue_id);
    }
    return text.empty() ? "-" : text;
}

std::string_view tunnel_state_name(encap::TunnelState state) {
    switch (state) {
    case encap::TunnelState::ready:
    case encap::TunnelState::several:
        return "ready";
    case encap::TunnelState::failing:
        return "failing";
    case encap::TunnelState::unresolved:
        return "unresolved";
    case encap::TunnelState::no_route:
        return "no_route";
    case encap::TunnelState::loop:
        return "loop";
    case encap::TunnelState::local:
        return "local";
    case encap::TunnelState::no_remote:
        return "no_remote";
    }
    return "";
}

// Other tunnels have neither a VNI nor a port.
bool is_vxlan(const Context& context, const TunnelView& tunnel) {
    const LinkRecord* device = context.core.links().find(tunnel.device);
    return device != nullptr && device->kind == pipeline::LinkKind::vxlan;
}

Json tunnel_json(const Context& context, const TunnelView& tunnel) {
    Json json;
    json["link"] = context.core.links().name_of(tunnel.device);
    json["remote"] = tunnel.remote.address.to_string();
    if (is_vxlan(context, tunnel)) {
        json["vni"] = tunnel.remote.vni;
        json["port"] = tunnel.remote.port;
    }
    json["state"] = tunnel_state_name(tunnel.state);
    json["reason"] = tunnel.why;
    if (tunnel.link_out != kNoLink) {
        json["dev"] = context.core.links().name_of(tunnel.link_out);
        json["local"] = tunnel.source.to_string();
        json["gateway"] = tunnel.next_hop.to_string();
        json["mtu"] = tunnel.mtu;
    }
    return json;
}

std::string tunnel_text(const Context& context, const TunnelView& tunnel) {
    std::string text = fmt::format(
        "{}: remote {} {}{}",
        context.core.links().name_of(tunnel.device),
        tunnel.remote.address.to_string(),
        is_vxlan(context, tunnel)
            ? fmt::format("vni {} port {} ", tunnel.remote.vni, tunnel.remote.port)
            : "",
        tunnel_state_name(tunnel.state)
    );
    if (!tunnel.why.empty()) {
        text += fmt::format(" ({})", tunnel.why);
    }
    if (tunnel.link_out != kNoLink) {
        text += fmt::format(
            " dev {} local {} next {} mtu {}",
            context.core.links().name_of(tunnel.link_out),
            tunnel.source.to_string(),
            tunnel.next_hop.to_string(),
            tunnel.mtu
        );
    }
    return text + "\n";
}

}  // namespace

Result<void> show_drops(Context& context, const Arguments& /*arguments*/) {
    if (context.out.is_json()) {
        context.out.list();
    } else {
        context.out.text(fmt::format(
            "{:<15} {} {:>12} {:<26} {}\n", "link", "  ", "packets", "reason", "meaning"
        ));
    }
    context.core.links().for_each([&](const LinkRecord& link) {
        show_drops_of(context, link.id, link.name);
    });
    show_drops_of(context, kNoLink, "");
    return {};
}

Result<void> show_lcores(Context& context, const Arguments& /*arguments*/) {
    if (context.out.is_json()) {
        context.out.list();
    } else {
        context.out.text(fmt::format(
            "{:>5} {:>14} {:>14} {:>7} {:>10}  {}\n",
            "lcore",
            "rx packets",
            "cycles/packet",
            "busy",
            "burst mean",
            "queues (port.queue)"
        ));
    }
    for (const pipeline::Worker* worker : context.core.workers()) {
        const pipeline::LoopCounters& loop = worker->loop;
        const std::uint64_t packets = loop.packets.read();
        const std::uint64_t busy = loop.cycles_busy.read();
        const double per_packet = share(busy, packets);
        const double busy_share = share(busy, busy + loop.cycles_idle.read());
        const double burst_mean = share(packets, loop.bursts.read());
        if (!context.out.is_json()) {
            context.out.text(fmt::format(
                "{:>5} {:>14} {:>14.1f} {:>6.1f}% {:>10.1f}  {}\n",
                worker->config.lcore,
                packets,
                per_packet,
                100 * busy_share,
                burst_mean,
                queues_text(*worker)
            ));
            continue;
        }
        Json queues = Json::array();
        for (const pipeline::RxQueue& queue : worker->config.rx_queues) {
            queues.push_back({{"port", queue.port_id}, {"queue", queue.queue_id}});
        }
        context.out.entry(
            {{"lcore", worker->config.lcore},
             {"queues", std::move(queues)},
             {"rx_packets", packets},
             {"cycles_per_packet", per_packet},
             {"busy", busy_share},
             {"burst_mean", burst_mean},
             {"learn_events_lost", worker->learn_events_lost.read()}}
        );
    }
    return {};
}

Result<void> show_process(Context& context, const Arguments& /*arguments*/) {
    const ProcessStats stats = context.core.process_stats();
    if (context.out.is_json()) {
        context.out.document(
            {{"rx", stats.received},
             {"originated", stats.originated},
             {"replicated", stats.replicated},
             {"tx", stats.sent},
             {"drops", stats.dropped},
             {"consumed", stats.consumed},
             {"in_flight", stats.in_flight},
             {"mbufs", {{"total", stats.mbufs_total}, {"free", stats.mbufs_free}}},
             {"forwarding", context.program.is_forwarding()}}
        );
        return {};
    }
    context.out.text(fmt::format(
        "received {} + originated {} + replicated {}\n= sent {} + dropped {} + consumed {} + in "
        "flight {}\n"
        "packet buffers: {} of {} free\nforwarding: {}\n",
        stats.received,
        stats.originated,
        stats.replicated,
        stats.sent,
        stats.dropped,
        stats.consumed,
        stats.in_flight,
        stats.mbufs_free,
        stats.mbufs_total,
        context.program.is_forwarding() ? "on" : "off"
    ));
    return {};
}

// As `nstat`: what counted, with -s also what did not; JSON is one object of all.
Result<void> show_snmp(Context& context, const Arguments& /*arguments*/) {
    Json all = Json::object();
    for (std::size_t i = 0; i < pipeline::kIpCounterCount; ++i) {
        const pipeline::IpCounterInfo& info = pipeline::kIpCounterInfo[i];
        const std::uint64_t value = context.core.count(static_cast<pipeline::IpCounter>(i));
        if (context.out.is_json()) {
            all[std::string(info.name)] = value;
        } else if (value != 0 || context.options.statistics > 0) {
            context.out.text(fmt::format("{:<24} {:>12}  {}\n", info.name, value, info.help));
        }
    }
    if (context.out.is_json()) {
        context.out.document(all);
    }
    return {};
}

Result<void> show_tunnels(Context& context, const Arguments& /*arguments*/) {
    if (context.out.is_json()) {
        context.out.list();
    }
    context.core.tunnels().for_each([&](const TunnelView& tunnel) {
        if (context.out.is_json()) {
            context.out.entry(tunnel_json(context, tunnel));
        } else {
            context.out.text(tunnel_text(context, tunnel));
        }
    });
    return {};
}

}  // namespace culvert::control
