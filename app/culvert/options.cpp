// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvert/options.hpp"

#include <boost/program_options.hpp>
#include <fmt/format.h>
#include <rte_log.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <sstream>
#include <string_view>

namespace culvert::app {

namespace {

namespace po = boost::program_options;

struct LogLevel {
    std::string_view name;
    std::uint32_t number;
};

constexpr std::array<LogLevel, 5> kLogLevels{{
    {"error", RTE_LOG_ERR},
    {"warning", RTE_LOG_WARNING},
    {"notice", RTE_LOG_NOTICE},
    {"info", RTE_LOG_INFO},
    {"debug", RTE_LOG_DEBUG},
}};

Error bad(const std::string& what) {
    return {std::errc::invalid_argument, what};
}

// Numbers are read as text, so that "-1" and "4294967297" are refused instead of bent.
Result<std::uint64_t>
number(const std::string& option, const std::string& text, std::uint64_t min, std::uint64_t max) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    auto [rest, code] = std::from_chars(text.data(), end, value);
    if (code != std::errc{} || rest != end || value < min || value > max) {
        return bad(fmt::format("--{} {}: not a number from {} to {}", option, text, min, max));
    }
    return value;
}

po::options_description describe() {
    po::options_description all("culvert's options");
    auto add = all.add_options();
    auto text = [] { return po::value<std::string>(); };
    add("config,c", text()->value_name("FILE"), "commands to run before traffic starts");
    add("socket,s",
        text()->value_name("PATH"),
        "control socket [$CULVERT_SOCKET, /run/culvert/culvert.sock or "
        "$XDG_RUNTIME_DIR/culvert.sock]");
    add("interactive,i", "a prompt on standard input; forwarding waits for `start`");
    add("auto-start,a", "with -i: forward at once");
    add("portmask", text()->value_name("HEX"), "use only these ports [all]");
    add("rxq", text()->value_name("N"), "receive queues a port [0: one a worker, as the port can]");
    add("txq", text()->value_name("N"), "transmit queues a port [0: likewise]");
    add("rxd", text()->value_name("N"), "descriptors a receive queue [1024]");
    add("txd", text()->value_name("N"), "descriptors a transmit queue [1024]");
    add("queue-map",
        text()->value_name("(PORT,QUEUE,LCORE),..."),
        "pin queues to lcores [spread evenly]");
    add("burst", text()->value_name("N"), "packets taken from a queue at a time, 1 to 256 [32]");
    add("mtu", text()->value_name("N"), "MTU of every port at start [what the port has]");
    add("total-num-mbufs",
        text()->value_name("N"),
        "packets in the pool [as many as queues and workers need]");
    add("mbuf-size", text()->value_name("N"), "bytes a packet buffer, 128 of them headroom [2176]");
    add("mbcache", text()->value_name("N"), "packets a lcore keeps for itself, 0 to 512 [256]");
    add("fdb-size", text()->value_name("N"), "MAC addresses at the most [1048576]");
    add("route4-size", text()->value_name("N"), "IPv4 routes at the most [1048576]");
    add("route6-size", text()->value_name("N"), "IPv6 routes at the most [262144]");
    add("neigh-size", text()->value_name("N"), "neighbours at the most [65536]");
    add("stats-period", text()->value_name("S"), "print rates every S seconds [0: never]");
    add("idle-sleep",
        text()->value_name("US"),
        "workers without packets rest US microseconds [0: never]");
    add("log-level", text()->value_name("LEVEL"), "error, warning, notice, info or debug [notice]");
    add("version,V", "print the version and DPDK's");
    add("help,h", "print this");
    return all;
}

// "(0,0,1),(0,1,2)"
Result<std::vector<control::QueuePin>> parse_queue_map(const std::string& text) {
    std::vector<control::QueuePin> pins;
    const Error error =
        bad(fmt::format("--queue-map {}: not of the form (port,queue,lcore),...", text));
    std::string_view rest = text;
    while (!rest.empty()) {
        std::array<std::uint32_t, 3> fields{};
        char expected = '(';
        for (std::uint32_t& field : fields) {
            if (rest.empty() || rest.front() != expected) {
                return error;
            }
            rest.remove_prefix(1);
            auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), field);
            if (code != std::errc{} || field > 0xffff) {
                return error;
            }
            rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
            expected = ',';
        }
        if (rest.empty() || rest.front() != ')') {
            return error;
        }
        rest.remove_prefix(1);
        pins.push_back(
            {static_cast<std::uint16_t>(fields[0]),
             static_cast<std::uint16_t>(fields[1]),
             fields[2]}
        );
        if (!rest.empty()) {
            if (rest.front() != ',' || rest.size() == 1) {
                return error;
            }
            rest.remove_prefix(1);
        }
    }
    return pins;
}

// A numeric option: its name, its bounds, and where it goes.
struct NumericOption {
    const char* name;
    std::uint64_t min;
    std::uint64_t max;
    void (*store)(Options& options, std::uint64_t value);
};

template <typename Field>
constexpr void set(Field& field, std::uint64_t value) {
    field = static_cast<Field>(value);
}

constexpr std::uint64_t kMost16 = std::numeric_limits<std::uint16_t>::max();

constexpr auto kNumericOptions = std::to_array<NumericOption>({
    {"rxq", 0, 1024, [](Options& to, std::uint64_t n) { set(to.ports.rx_queues, n); }},
    {"txq", 0, 1024, [](Options& to, std::uint64_t n) { set(to.ports.tx_queues, n); }},
    {"rxd", 1, kMost16, [](Options& to, std::uint64_t n) { set(to.ports.rx_descriptors, n); }},
    {"txd", 1, kMost16, [](Options& to, std::uint64_t n) { set(to.ports.tx_descriptors, n); }},
    {"burst", 1, pipeline::kMaxBurst, [](Options& to, std::uint64_t n) { set(to.burst, n); }},
    {"mtu", 68, kMost16, [](Options& to, std::uint64_t n) { set(to.ports.mtu.emplace(), n); }},
    {"total-num-mbufs",
     1024,
     1U << 30U,
     [](Options& to, std::uint64_t n) { set(to.ports.mbufs, n); }},
    {"mbuf-size", 512, kMost16, [](Options& to, std::uint64_t n) { set(to.ports.mbuf_size, n); }},
    {"mbcache", 0, 512, [](Options& to, std::uint64_t n) { set(to.ports.mbuf_cache, n); }},
    {"fdb-size", 1024, 1U << 27U, [](Options& to, std::uint64_t n) { set(to.sizes.fdb, n); }},
    {"route4-size",
     1024,
     1U << 24U,
     [](Options& to, std::uint64_t n) { set(to.sizes.routes4, n); }},
    {"route6-size",
     1024,
     1U << 20U,
     [](Options& to, std::uint64_t n) { set(to.sizes.routes6, n); }},
    {"neigh-size",
     16,
     1U << 24U,
     [](Options& to, std::uint64_t n) { set(to.sizes.neighbours, n); }},
    {"stats-period", 0, 86400, [](Options& to, std::uint64_t n) { set(to.stats_period_s, n); }},
    {"idle-sleep", 0, 1000000, [](Options& to, std::uint64_t n) { set(to.idle_sleep_us, n); }},
});

Result<void> take_numbers(const po::variables_map& given, Options& options) {
    for (const NumericOption& option : kNumericOptions) {
        if (given.count(option.name) != 0) {
            const auto text = given[option.name].as<std::string>();
            CULVERT_TRY(value, number(option.name, text, option.min, option.max));
            option.store(options, value);
        }
    }
    return {};
}

Result<void> take_texts(const po::variables_map& given, Options& options) {
    auto text = [&given](const char* option) {
        return given.count(option) != 0 ? given[option].as<std::string>() : std::string();
    };
    options.config_file = text("config");
    options.socket_path = text("socket");
    options.log_level = text("log-level");
    const bool known =
        std::any_of(kLogLevels.begin(), kLogLevels.end(), [&](const LogLevel& level) {
            return level.name == options.log_level;
        });
    if (given.count("log-level") != 0 && !known) {
        return bad(fmt::format(
            "--log-level {}: not error, warning, notice, info or debug", options.log_level
        ));
    }
    if (given.count("queue-map") != 0) {
        CULVERT_TRY(pins, parse_queue_map(text("queue-map")));
        options.ports.pins = std::move(pins);
    }
    if (given.count("portmask") != 0) {
        std::string mask = text("portmask");
        const std::size_t skip = mask.starts_with("0x") || mask.starts_with("0X") ? 2 : 0;
        auto [end, code] = std::from_chars(
            mask.data() + skip, mask.data() + mask.size(), options.ports.port_mask, 16
        );
        if (code != std::errc{} || end != mask.data() + mask.size() ||
            options.ports.port_mask == 0) {
            return bad(fmt::format("--portmask {}: not a hexadecimal mask with a port in it", mask)
            );
        }
    }
    return {};
}

}  // namespace

bool Options::has_eal_flag(const std::string& flag) const {
    return std::find(eal_words.begin(), eal_words.end(), flag) != eal_words.end();
}

std::uint32_t log_level_number(const std::string& name) {
    for (const LogLevel& level : kLogLevels) {
        if (level.name == name) {
            return level.number;
        }
    }
    return RTE_LOG_NOTICE;
}

Result<Options> parse_options(int argc, char** argv) {
    Options options;
    std::vector<std::string> own;
    bool after = false;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (!after && word == "--") {
            after = true;
            continue;
        }
        if (!after) {
            options.help |= word == "-h" || word == "--help";
            options.version |= word == "-V" || word == "--version";
        }
        (after ? own : options.eal_words).push_back(word);
    }
    try {
        po::variables_map given;
        po::options_description with_rest = describe();
        with_rest.add_options()("rest", po::value<std::vector<std::string>>());
        po::positional_options_description rest;
        rest.add("rest", -1);
        // Abbreviations are not guessed: what is accepted today would change its meaning with the
        // next option.
        const int style =
            po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
        po::store(
            po::command_line_parser(own).options(with_rest).positional(rest).style(style).run(),
            given
        );
        po::notify(given);
        if (given.count("rest") != 0) {
            return bad(fmt::format(
                "{}: it belongs to no option; a configuration file is given with -c FILE",
                given["rest"].as<std::vector<std::string>>().front()
            ));
        }
        options.help |= given.count("help") != 0;
        options.version |= given.count("version") != 0;
        options.interactive = given.count("interactive") != 0;
        options.auto_start = given.count("auto-start") != 0;
        CULVERT_CHECK(take_numbers(given, options));
        CULVERT_CHECK(take_texts(given, options));
    } catch (const po::error& error) {
        return bad(error.what());
    }
    return options;
}

std::string usage() {
    std::ostringstream text;
    text << "Usage: culvert [EAL options] -- [options]\n\n"
            "The main lcore runs the control plane; every other lcore (-l, --lcores) is a worker. "
            "EAL's options are\n"
            "DPDK's own: -l 0,1  -a PCI_ADDRESS  --vdev=NAME,ARGS  --no-huge  -m MIB  "
            "--file-prefix=NAME ...\n\n"
         << describe()
         << "\nWithout a NIC or hugepages, with two taps of the kernel as ports:\n"
            "  culvert -l 0,1 --no-huge -m 512 --no-pci --vdev=net_tap0 --vdev=net_tap1 -- -c "
            "culvert.conf\n"
            "Exit status: 0 clean, 1 bad usage or configuration, 2 the environment failed (EAL, "
            "memory, device).\n";
    return text.str();
}

}  // namespace culvert::app
