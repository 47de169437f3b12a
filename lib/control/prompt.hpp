// SPDX-License-Identifier: BSD-3-Clause
// `culvert -i`: commands from standard input, their output on standard output.
#pragma once

#include "lib/control/command.hpp"
#include "lib/control/line_reader.hpp"

#include <memory>

namespace culvert::control {

class Prompt {
public:
    // `program.quit()` is called at the input's end.
    Prompt(CommandInterpreter& interpreter, Program& program);

    // To be watched for input, level-triggered.
    [[nodiscard]] int fd() const noexcept { return reader_.fd(); }

    // Runs the commands that are there, without waiting for more.
    void serve();

private:
    CommandInterpreter& interpreter_;
    Program& program_;
    LineReader reader_;
};

}  // namespace culvert::control
