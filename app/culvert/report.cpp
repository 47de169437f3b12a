// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvert/report.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::app {

std::string RateReport::text(control::Core& core) {
    const std::uint64_t now_ms = core.now_ms();
    const double seconds =
        static_cast<double>(std::max<std::uint64_t>(now_ms - before_ms_, 1)) / 1000;
    before_ms_ = now_ms;
    auto rate = [seconds](std::uint64_t now, std::uint64_t before) {
        return static_cast<double>(now - before) / seconds;
    };
    std::string text;
    core.links().for_each([&](const control::LinkRecord& link) {
        if (link.kind != pipeline::LinkKind::port) {
            return;
        }
        const control::LinkStats now = core.stats(link.id);
        const control::LinkStats& before = before_[link.id];
        text += fmt::format(
            "{:<15} Rx-pps: {:>10.0f}  Rx-bps: {:>12.0f}  Tx-pps: {:>10.0f}  Tx-bps: {:>12.0f}\n",
            link.name,
            rate(now.rx_packets, before.rx_packets),
            rate(now.rx_bytes, before.rx_bytes) * 8,
            rate(now.tx_packets, before.tx_packets),
            rate(now.tx_bytes, before.tx_bytes) * 8
        );
        before_[link.id] = now;
    });
    const std::uint64_t drops = core.process_stats().dropped;
    text += fmt::format("{:<15} pps: {:>13.0f}\n", "drops", rate(drops, drops_before_));
    drops_before_ = drops;
    return text;
}

std::string totals(control::Core& core) {
    std::string text;
    core.links().for_each([&](const control::LinkRecord& link) {
        if (link.kind == pipeline::LinkKind::port) {
            const control::LinkStats stats = core.stats(link.id);
            text += fmt::format(
                "{:<15} RX-packets: {:<12} RX-bytes: {:<14} TX-packets: {:<12} TX-bytes: {}\n",
                link.name,
                stats.rx_packets,
                stats.rx_bytes,
                stats.tx_packets,
                stats.tx_bytes
            );
        }
    });
    const control::ProcessStats process = core.process_stats();
    text += fmt::format(
        "{:<15} received: {} originated: {} replicated: {} sent: {} dropped: {} consumed: {}\n",
        "all",
        process.received,
        process.originated,
        process.replicated,
        process.sent,
        process.dropped,
        process.consumed
    );
    core.links().for_each([&](const control::LinkRecord& link) {
        for (std::size_t i = 0; i < pipeline::kDropCount; ++i) {
            const auto reason = static_cast<pipeline::Drop>(i);
            if (const std::uint64_t packets = core.drops(link.id, reason); packets != 0) {
                text += fmt::format(
                    "{:<15} dropped {:<10} {}\n", link.name, packets, pipeline::info(reason).name
                );
            }
        }
    });
    return text;
}

}  // namespace culvert::app
