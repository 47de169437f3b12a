// SPDX-License-Identifier: BSD-3-Clause
// Command lines out of a file or a terminal's input: # begins a comment, a backslash at a line's
// end continues it on the next. No DPDK here: culvertctl reads batches with it.
#pragma once

#include <istream>
#include <string>
#include <vector>

namespace culvert::control {

struct CommandLine {
    unsigned number = 0;  // of its first line, from 1
    std::string text;
};

// The next command; false at the end. `number` counts lines, 0 at first. Comments and empty lines
// are skipped.
bool next_command(std::istream& input, unsigned& number, CommandLine& command);

// All of them.
std::vector<CommandLine> read_commands(std::istream& input);

}  // namespace culvert::control
