// SPDX-License-Identifier: BSD-3-Clause
// What EAL would die of in its own words, found out before it is asked.
#pragma once

#include "app/culvert/options.hpp"
#include "lib/control/ports.hpp"
#include "lib/net/result.hpp"

#include <string>

namespace culvert::app {

// The command line as typed, quoted for a shell where it needs it; `insert` comes right after the
// program's name.
std::string shell_line(int argc, char** argv, const std::string& insert = {});

// Lines that a message may propose.
struct Proposals {
    std::string as_typed;
    std::string without_hugepages;
};

// Hugepages, and the rights that the devices need. Errors ENOMEM, EACCES, ENOENT.
Result<void> check_environment(
    const Options& options, const control::RequestedDevices& devices, const Proposals& proposals
);

}  // namespace culvert::app
