// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvertctl/options.hpp"

#include <boost/program_options.hpp>

#include <array>
#include <sstream>
#include <string_view>

namespace culvert::ctl {

namespace po = boost::program_options;

namespace {

struct Passed {
    std::string_view name;  // as boost reports it
    std::string_view word;
};

// What the server reads itself.
constexpr auto kPassed = std::to_array<Passed>({
    {"json", "-j"},
    {"pretty", "-p"},
    {"statistics", "-s"},
    {"details", "-d"},
    {"-4", "-4"},
    {"-6", "-6"},
});

po::options_description described() {
    po::options_description options("Options");
    auto add = options.add_options();
    add("json,j", "JSON output");
    add("pretty,p", "with -j: for people to read");
    add("statistics,s", "with counters; twice: more");
    add("details,d", "with details");
    add(",4", "IPv4 only");
    add(",6", "IPv6 only");
    add("batch,b",
        po::value<std::string>()->value_name("FILE"),
        "commands from a file, - is standard input");
    add("force", "with -b: go on after a command that failed");
    add("socket,S",
        po::value<std::string>()->value_name("PATH"),
        "control socket [$CULVERT_SOCKET, /run/culvert/culvert.sock or "
        "$XDG_RUNTIME_DIR/culvert.sock]");
    add("version,V", "print the version");
    add("help,h", "print this");
    return options;
}

void apply(const po::option& option, Options& options) {
    const std::string& name = option.string_key;
    for (const Passed& passed : kPassed) {
        if (name == passed.name) {
            options.prefix.emplace_back(passed.word);
        }
    }
    if (name == "batch") {
        options.batch = option.value.front();
    } else if (name == "socket") {
        options.socket = option.value.front();
    } else if (name == "force") {
        options.force = true;
    } else if (name == "version") {
        options.version = true;
    } else if (name == "help") {
        options.help = true;
    } else if (option.position_key >= 0) {
        options.command.insert(options.command.end(), option.value.begin(), option.value.end());
    }
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& words) {
    po::options_description all = described();
    all.add_options()("command", po::value<std::vector<std::string>>());
    po::positional_options_description positional;
    positional.add("command", -1);
    Options options;
    try {
        // Each occurrence counts (-s -s), so the parsed list is read and not stored into a map.
        po::parsed_options parsed =
            po::command_line_parser(words).options(all).positional(positional).run();
        for (const po::option& option : parsed.options) {
            apply(option, options);
        }
    } catch (const po::error& error) {
        return Error{std::errc::invalid_argument, error.what()};
    }
    return options;
}

std::string usage() {
    std::ostringstream text;
    text << "Usage: culvertctl [OPTIONS] COMMAND...\n"
            "       culvertctl [OPTIONS] -b FILE\n"
            "       culvertctl [OPTIONS]           a prompt; commands from standard input if that "
            "is no terminal\n"
            "`culvertctl help` lists the commands of a running culvert.\n"
         << described();
    return text.str();
}

}  // namespace culvert::ctl
