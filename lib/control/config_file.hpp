// SPDX-License-Identifier: BSD-3-Clause
// The configuration file: commands, one a line (command_lines.hpp).
#pragma once

#include "lib/control/command.hpp"
#include "lib/net/result.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace culvert::control {

// Runs a configuration file. Stops at the first command that fails: error "FILE:LINE: message",
// with the command's own code; ENOENT, EACCES, ... when the file cannot be read.
Result<void> run_config_file(
    const std::string& path, const std::function<CommandOutput(std::string_view line)>& run
);
Result<void> run_config_file(CommandInterpreter& interpreter, const std::string& path);

}  // namespace culvert::control
