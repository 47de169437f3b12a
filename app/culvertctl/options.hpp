// SPDX-License-Identifier: BSD-3-Clause
// culvertctl's own options (interface.md section 3).
#pragma once

#include "lib/net/result.hpp"

#include <span>
#include <string>
#include <vector>

namespace culvert::ctl {

struct Options {
    std::vector<std::string> prefix;   // what goes in front of each command: -j -p -s -d -4 -6
    std::vector<std::string> command;  // empty: a batch or a prompt
    std::string batch;                 // -b FILE, "-" = standard input
    std::string socket;                // -S PATH
    bool force = false;
    bool help = false;
    bool version = false;
};

// `words` without the program's name. Error EINVAL.
Result<Options> parse_options(const std::vector<std::string>& words);

std::string usage();

}  // namespace culvert::ctl
