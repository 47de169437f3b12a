// SPDX-License-Identifier: BSD-3-Clause
// A Unix socket to listen on, where another may be, live or left behind.
#pragma once

#include "lib/net/result.hpp"

#include <string>

namespace culvert::control {

// The listening socket, non-blocking, mode 0660 from its first moment. Errors as Server::create().
Result<int> listen_on(const std::string& path);

}  // namespace culvert::control
