// SPDX-License-Identifier: BSD-3-Clause
// What culvert was told on its command line: EAL's words, and its own options after `--`.
#pragma once

#include "lib/control/core.hpp"
#include "lib/control/ports.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace culvert::app {

struct Options {
    std::vector<std::string> eal_words;  // all before `--`, without the program's name
    bool help = false;
    bool version = false;
    std::string config_file;  // "" = none
    std::string socket_path;  // "" = the default one
    bool interactive = false;
    bool auto_start = false;
    control::PortOptions ports;
    std::uint32_t burst = 32;
    std::uint32_t idle_sleep_us = 0;
    control::Sizes sizes;
    std::uint32_t stats_period_s = 0;
    std::string log_level;  // "" = notice, and errors alone of DPDK's own

    // Whether EAL's words hold this flag, such as "--no-huge".
    [[nodiscard]] bool has_eal_flag(const std::string& flag) const;
};

// Error EINVAL: one line that says what is wrong.
Result<Options> parse_options(int argc, char** argv);
// What --help prints.
std::string usage();
// RTE_LOG_* of a name; precondition: it was accepted by parse_options.
std::uint32_t log_level_number(const std::string& name);

}  // namespace culvert::app
