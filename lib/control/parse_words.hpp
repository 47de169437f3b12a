// SPDX-License-Identifier: BSD-3-Clause
// A command line taken apart into words, and words put together into a line, as a shell's simplest
// form does it.
#pragma once

#include "lib/net/result.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

// Words are separated by blanks. '...' and "..." keep blanks, a backslash takes the next character
// as it is (not within
// '...'), and a # at a word's start ends the line. Error EINVAL: an open quote, or a control
// character.
Result<std::vector<std::string>> parse_words(std::string_view line);

// A line that parse_words() takes apart into these words again.
std::string quote_words(std::span<const std::string> words);

// Is it well-formed UTF-8 (RFC 3629)?
bool is_utf8(std::string_view text);

}  // namespace culvert::control
