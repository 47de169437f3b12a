// SPDX-License-Identifier: BSD-3-Clause
// sysctl, show sysctl: what Linux keeps in /proc/sys, under its names (UI-OTHER-02). Neighbours
// have one setting for both families and all links; what cannot be changed here says its value all
// the same, and takes no other.
#include "lib/control/command_context.hpp"
#include "lib/control/tunnels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

namespace {

using net::MultipathPolicy;
using net::MultipathSettings;
using route::NeighbourParameters;

struct Setting {
    std::string_view name;
    std::uint64_t (*read)(Core& core);
    void (*write)(Core& core, std::uint64_t value);  // nullptr: it is as it is
    std::uint64_t min;
    std::uint64_t max;
};

// --- several next hops (RT-09)

MultipathSettings multipath(Core& core) {
    return core.routing().multipath_settings().load(std::memory_order_relaxed);
}

template <net::MultipathHashing MultipathSettings::*Family>
constexpr Setting hash_policy(std::string_view name) {
    return {
        name,
        [](Core& core) { return static_cast<std::uint64_t>((multipath(core).*Family).policy); },
        [](Core& core, std::uint64_t value) {
            MultipathSettings settings = multipath(core);
            (settings.*Family).policy = static_cast<MultipathPolicy>(value);
            core.routing().set_multipath(settings);
            core.tunnels().mark_all();
        },
        0,
        static_cast<std::uint64_t>(MultipathPolicy::custom)};
}

template <net::MultipathHashing MultipathSettings::*Family>
constexpr Setting hash_fields(std::string_view name) {
    return {
        name,
        [](Core& core) { return std::uint64_t{(multipath(core).*Family).fields}; },
        [](Core& core, std::uint64_t value) {
            MultipathSettings settings = multipath(core);
            (settings.*Family).fields = static_cast<std::uint16_t>(value);
            core.routing().set_multipath(settings);
            core.tunnels().mark_all();
        },
        1,
        net::multipath_field::kAll};
}

// --- neighbours (NEI-*)

// `Unit`: how many of ours one of the kernel's is.
template <std::uint32_t NeighbourParameters::*Member, std::uint32_t Unit = 1>
constexpr Setting neighbour(std::string_view name, std::uint64_t min, std::uint64_t max) {
    return {
        name,
        [](Core& core) {
            return std::uint64_t{core.routing().neighbours().parameters().*Member / Unit};
        },
        [](Core& core, std::uint64_t value) {
            NeighbourParameters parameters = core.routing().neighbours().parameters();
            parameters.*Member = static_cast<std::uint32_t>(value) * Unit;
            core.routing().neighbours().set_parameters(parameters);
        },
        min,
        max};
}

// --- what cannot be changed

template <std::uint64_t Value>
constexpr Setting fixed(std::string_view name) {
    return {name, [](Core& /*core*/) { return Value; }, nullptr, Value, Value};
}

constexpr std::uint64_t kDay = 86400;
constexpr std::uint64_t kDayMs = kDay * 1000;
constexpr std::uint64_t kMostProbes = 1000;
constexpr std::uint64_t kMostQueued = 2048;
constexpr std::uint64_t kMostNeighbours = 1 << 24;
constexpr std::uint32_t kSecond = 1000;
constexpr std::uint32_t kUserTick = 10;  // USER_HZ is 100

constexpr auto kSettings = std::to_array<Setting>({
    fixed<1>("net.ipv4.conf.all.forwarding"),
    fixed<0>("net.ipv4.conf.all.accept_redirects"),
    fixed<0>("net.ipv4.conf.all.accept_source_route"),
    fixed<0>("net.ipv4.conf.all.send_redirects"),
    hash_fields<&MultipathSettings::ip4>("net.ipv4.fib_multipath_hash_fields"),
    hash_policy<&MultipathSettings::ip4>("net.ipv4.fib_multipath_hash_policy"),
    fixed<1>("net.ipv4.icmp_echo_ignore_broadcasts"),
    fixed<50>("net.ipv4.icmp_msgs_burst"),
    fixed<1000>("net.ipv4.icmp_msgs_per_sec"),
    fixed<1000>("net.ipv4.icmp_ratelimit"),
    fixed<64>("net.ipv4.ip_default_ttl"),
    fixed<1>("net.ipv4.ip_forward"),
    fixed<0>("net.ipv4.ip_forward_use_pmtu"),
    fixed<0>("net.ipv4.ip_no_pmtu_disc"),
    fixed<4194304>("net.ipv4.ipfrag_high_thresh"),
    fixed<30>("net.ipv4.ipfrag_time"),
    neighbour<&NeighbourParameters::base_reachable_time_ms>(
        "net.ipv4.neigh.default.base_reachable_time_ms", kSecond, kDayMs
    ),
    neighbour<&NeighbourParameters::delay_first_probe_time_ms, kSecond>(
        "net.ipv4.neigh.default.delay_first_probe_time", 0, kDay
    ),
    neighbour<&NeighbourParameters::gc_stale_time_ms, kSecond>(
        "net.ipv4.neigh.default.gc_stale_time", 0, kDay
    ),
    neighbour<&NeighbourParameters::gc_thresh1>(
        "net.ipv4.neigh.default.gc_thresh1", 0, kMostNeighbours
    ),
    neighbour<&NeighbourParameters::locktime_ms, kUserTick>(
        "net.ipv4.neigh.default.locktime", 0, kDay
    ),
    neighbour<&NeighbourParameters::mcast_solicit>(
        "net.ipv4.neigh.default.mcast_solicit", 0, kMostProbes
    ),
    neighbour<&NeighbourParameters::retrans_time_ms>(
        "net.ipv4.neigh.default.retrans_time_ms", kUserTick, kDayMs
    ),
    neighbour<&NeighbourParameters::ucast_solicit>(
        "net.ipv4.neigh.default.ucast_solicit", 0, kMostProbes
    ),
    neighbour<&NeighbourParameters::queue_packets>(
        "net.ipv4.neigh.default.unres_qlen", 0, kMostQueued
    ),
    fixed<552>("net.ipv4.route.min_pmtu"),
    fixed<600>("net.ipv4.route.mtu_expires"),
    fixed<1>("net.ipv6.conf.all.forwarding"),
    hash_fields<&MultipathSettings::ip6>("net.ipv6.fib_multipath_hash_fields"),
    hash_policy<&MultipathSettings::ip6>("net.ipv6.fib_multipath_hash_policy"),
});

// sysctl(8) takes slashes for dots.
Result<const Setting*> find_setting(Context& context, std::string name) {
    std::replace(name.begin(), name.end(), '/', '.');
    const auto* const found =
        std::find_if(kSettings.begin(), kSettings.end(), [&](const Setting& setting) {
            return setting.name == name;
        });
    if (found == kSettings.end()) {
        context.bad_syntax = true;
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("{}: no such setting; \"show sysctl\" lists what there is", name)};
    }
    return found;
}

Result<std::uint64_t> value_of(const Setting& setting, std::string_view word) {
    const bool is_hex = word.starts_with("0x") || word.starts_with("0X");
    const std::string_view digits = is_hex ? word.substr(2) : word;
    std::uint64_t value = 0;
    const char* const end = digits.data() + digits.size();
    constexpr int kDecimal = 10;
    constexpr int kHex = 16;
    const auto read = std::from_chars(digits.data(), end, value, is_hex ? kHex : kDecimal);
    if (read.ec != std::errc{} || read.ptr != end) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("{}: \"{}\" is no number", setting.name, word)};
    }
    if (setting.write == nullptr && value != setting.min) {
        return Error{
            std::errc::operation_not_permitted,
            fmt::format("{}: it is {} here and nothing else", setting.name, setting.min)};
    }
    if (value < setting.min || value > setting.max) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("{}: {} to {}", setting.name, setting.min, setting.max)};
    }
    return value;
}

void show(Context& context, const Setting& setting) {
    const std::uint64_t value = setting.read(context.core);
    if (context.out.is_json()) {
        context.out.entry({{"name", setting.name}, {"value", value}});
    } else {
        context.out.text(fmt::format("{} = {}\n", setting.name, value));
    }
}

struct Change {
    const Setting* setting = nullptr;
    std::uint64_t value = 0;
};

}  // namespace

Result<void> show_sysctl(Context& context, const Arguments& /*arguments*/) {
    if (context.out.is_json()) {
        context.out.list();
    }
    for (const Setting& setting : kSettings) {
        show(context, setting);
    }
    return {};
}

// All or nothing. What it changed it shows, as sysctl(8).
Result<void> sysctl(Context& context, const Arguments& arguments) {
    if (arguments.rest().empty()) {
        return show_sysctl(context, arguments);
    }
    std::vector<const Setting*> named;
    std::vector<Change> changes;
    for (const std::string& word : arguments.rest()) {
        if (word == "-w") {
            continue;
        }
        const std::size_t sign = word.find('=');
        CULVERT_TRY(setting, find_setting(context, word.substr(0, sign)));
        named.push_back(setting);
        if (sign != std::string::npos) {
            CULVERT_TRY(value, value_of(*setting, std::string_view(word).substr(sign + 1)));
            changes.push_back({setting, value});
        }
    }
    for (const Change& change : changes) {
        if (change.setting->write != nullptr) {
            change.setting->write(context.core, change.value);
        }
    }
    if (context.out.is_json()) {
        context.out.list();
    }
    for (const Setting* setting : named) {
        show(context, *setting);
    }
    return {};
}

}  // namespace culvert::control
