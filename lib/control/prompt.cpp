// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/prompt.hpp"

#include <fmt/core.h>

#include <cstdio>

namespace culvert::control {

namespace {

void run(CommandInterpreter& interpreter, const std::string& line) {
    CommandOutput output = interpreter.run(line);
    if (!output.ok) {
        fmt::print(stderr, "{}\n", error_line(output));
    } else if (output.monitor != 0) {
        fmt::print(
            stderr, "Error: monitor streams on the control socket only: culvertctl monitor\n"
        );
    } else {
        std::fwrite(output.text.data(), 1, output.text.size(), stdout);
        std::fflush(stdout);
    }
}

}  // namespace

Prompt::Prompt(CommandInterpreter& interpreter, Program& program)
    : interpreter_(interpreter)
    , program_(program)
    , reader_(
          "culvert> ",
          [this](const std::string& line) { run(interpreter_, line); },
          [this](std::string_view line) { return interpreter_.complete(line); }
      ) {}

void Prompt::serve() {
    if (!reader_.read()) {
        program_.quit();
    }
}

}  // namespace culvert::control
