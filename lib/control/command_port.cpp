// SPDX-License-Identifier: BSD-3-Clause
// show port {info|stats|xstats}, clear port stats: testpmd's forms, asked of the devices
// themselves.
#include "lib/control/command_context.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>

#include <array>
#include <vector>

namespace culvert::control {

namespace {

constexpr std::string_view kAll = "all";

// The port links that the word means: all, a DPDK port's number, or a link's name.
Result<std::vector<LinkRecord>> ports_of(Context& context, std::string_view word) {
    std::vector<LinkRecord> found;
    auto number = parse_number(word);
    context.core.links().for_each([&](const LinkRecord& link) {
        bool is_meant = word == kAll || link.name == word || (number && *number == link.port_id);
        if (link.kind == pipeline::LinkKind::port && is_meant) {
            found.push_back(link);
        }
    });
    if (found.empty() && word != kAll) {
        return Error{std::errc::no_such_device, fmt::format("there is no port \"{}\"", word)};
    }
    return found;
}

Json info_json(const LinkRecord& port) {
    rte_eth_dev_info info{};
    rte_eth_link link{};
    int failed = rte_eth_dev_info_get(port.port_id, &info);
    if (failed == 0) {
        failed = rte_eth_link_get_nowait(port.port_id, &link);
    }
    Json json;
    json["port"] = port.port_id;
    json["link"] = port.name;
    json["device"] = port.parent_device;
    json["driver"] = failed == 0 && info.driver_name != nullptr ? info.driver_name : "";
    json["mac"] = port.mac.to_string();
    json["mtu"] = port.mtu;
    json["status"] = link.link_status == RTE_ETH_LINK_UP ? "up" : "down";
    json["speed_mbps"] = link.link_speed;
    json["duplex"] = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX ? "full" : "half";
    json["rx_queues"] = info.nb_rx_queues;
    json["tx_queues"] = info.nb_tx_queues;
    json["max_rx_queues"] = info.max_rx_queues;
    json["max_tx_queues"] = info.max_tx_queues;
    json["max_mtu"] = port.max_mtu;
    json["socket"] = rte_eth_dev_socket_id(port.port_id);
    return json;
}

std::string info_text(const Json& info) {
    auto text = [&](const char* key) { return info[key].get<std::string>(); };
    auto number = [&](const char* key) { return info[key].get<std::int64_t>(); };
    return fmt::format(
        "\n********************* Infos for port {:<2} *********************\n"
        "MAC address: {}\nDevice name: {}\nDriver name: {}\nLink name: {}\nConnect to socket: "
        "{}\nLink status: {}\n"
        "Link speed: {} Mbps\nLink duplex: {}-duplex\nMTU: {}\nCurrent number of RX queues: {}\n"
        "Max possible RX queues: {}\nCurrent number of TX queues: {}\nMax possible TX queues: {}\n",
        number("port"),
        text("mac"),
        text("device"),
        text("driver"),
        text("link"),
        number("socket"),
        text("status"),
        number("speed_mbps"),
        text("duplex"),
        number("mtu"),
        number("rx_queues"),
        number("max_rx_queues"),
        number("tx_queues"),
        number("max_tx_queues")
    );
}

Result<Json> stats_json(const LinkRecord& port) {
    rte_eth_stats stats{};
    if (int failed = rte_eth_stats_get(port.port_id, &stats); failed != 0) {
        return Error{std::errc{-failed}, fmt::format("{}: the device does not tell", port.name)};
    }
    return Json{
        {"port", port.port_id},
        {"link", port.name},
        {"rx_packets", stats.ipackets},
        {"rx_missed", stats.imissed},
        {"rx_bytes", stats.ibytes},
        {"rx_errors", stats.ierrors},
        {"rx_nombuf", stats.rx_nombuf},
        {"tx_packets", stats.opackets},
        {"tx_errors", stats.oerrors},
        {"tx_bytes", stats.obytes}};
}

std::string stats_text(const Json& stats) {
    auto number = [&](const char* key) { return stats[key].get<std::uint64_t>(); };
    return fmt::format(
        "\n  ######################## NIC statistics for port {:<2} ########################\n"
        "  RX-packets: {:<10} RX-missed: {:<10} RX-bytes:  {}\n"
        "  RX-errors: {}\n"
        "  RX-nombuf:  {}\n"
        "  TX-packets: {:<10} TX-errors: {:<10} TX-bytes:  {}\n"
        "  ############################################################################\n",
        number("port"),
        number("rx_packets"),
        number("rx_missed"),
        number("rx_bytes"),
        number("rx_errors"),
        number("rx_nombuf"),
        number("tx_packets"),
        number("tx_errors"),
        number("tx_bytes")
    );
}

Result<Json> xstats_json(const LinkRecord& port) {
    Json values = Json::object();
    int count = rte_eth_xstats_get(port.port_id, nullptr, 0);
    std::vector<rte_eth_xstat> stats(count > 0 ? static_cast<std::size_t>(count) : 0);
    std::vector<rte_eth_xstat_name> names(stats.size());
    auto size = static_cast<unsigned>(stats.size());
    if (count < 0 || rte_eth_xstats_get(port.port_id, stats.data(), size) != count ||
        rte_eth_xstats_get_names(port.port_id, names.data(), size) != count) {
        return Error{std::errc::io_error, fmt::format("{}: the device does not tell", port.name)};
    }
    for (const rte_eth_xstat& stat : stats) {
        values[names[stat.id].name] = stat.value;
    }
    return Json{{"port", port.port_id}, {"link", port.name}, {"xstats", std::move(values)}};
}

std::string xstats_text(const Json& xstats) {
    std::string text = fmt::format(
        "###### NIC extended statistics for port {:<2}\n", xstats["port"].get<std::uint64_t>()
    );
    for (const auto& [name, value] : xstats["xstats"].items()) {
        text += fmt::format("{}: {}\n", name, value.get<std::uint64_t>());
    }
    return text;
}

}  // namespace

Result<void> show_port(Context& context, const Arguments& arguments) {
    CULVERT_TRY(ports, ports_of(context, arguments.text("port")));
    if (context.out.is_json()) {
        context.out.list();
    }
    std::string_view what = arguments.text("what");
    for (const LinkRecord& port : ports) {
        Json json;
        if (what == "info") {
            json = info_json(port);
        } else {
            CULVERT_TRY(told, what == "stats" ? stats_json(port) : xstats_json(port));
            json = std::move(told);
        }
        if (context.out.is_json()) {
            context.out.entry(json);
        } else {
            context.out.text(
                what == "info"    ? info_text(json)
                : what == "stats" ? stats_text(json)
                                  : xstats_text(json)
            );
        }
    }
    return {};
}

Result<void> clear_port(Context& context, const Arguments& arguments) {
    CULVERT_TRY(ports, ports_of(context, arguments.text("port")));
    for (const LinkRecord& port : ports) {
        const bool is_basic = arguments.text("what") == "stats";
        int failed =
            is_basic ? rte_eth_stats_reset(port.port_id) : rte_eth_xstats_reset(port.port_id);
        if (failed != 0) {
            return Error{
                std::errc{-failed},
                fmt::format("{}: the device does not clear its counters", port.name)};
        }
    }
    return {};
}

}  // namespace culvert::control
