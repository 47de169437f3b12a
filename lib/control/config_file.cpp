// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/config_file.hpp"

#include "lib/control/command_lines.hpp"

#include <fmt/format.h>

#include <string.h>

#include <array>
#include <cerrno>
#include <fstream>

namespace culvert::control {

Result<void> run_config_file(
    const std::string& path, const std::function<CommandOutput(std::string_view line)>& run
) {
    errno = 0;
    std::ifstream file(path);
    // Opening a directory succeeds, reading it does not.
    if (!file || (file.peek(), file.bad())) {
        const int code = errno == 0 ? EIO : errno;
        std::array<char, 128> buffer{};
        return Error{
            std::errc{code},
            fmt::format("{}: {}", path, strerror_r(code, buffer.data(), buffer.size()))};
    }
    for (const CommandLine& line : read_commands(file)) {
        CommandOutput output = run(line.text);
        if (!output.ok) {
            return Error{
                output.error.code, fmt::format("{}:{}: {}", path, line.number, output.error.what)};
        }
    }
    return {};
}

Result<void> run_config_file(CommandInterpreter& interpreter, const std::string& path) {
    return run_config_file(path, [&](std::string_view line) { return interpreter.run(line); });
}

}  // namespace culvert::control
