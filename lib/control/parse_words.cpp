// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/parse_words.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::control {

namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// One word's characters; `position` moves behind it.
Result<std::string> take_word(std::string_view line, std::size_t& position) {
    std::string word;
    char quote = 0;
    for (; position < line.size(); ++position) {
        char c = line[position];
        if (quote == 0 && is_blank(c)) {
            break;
        }
        if (is_control(c)) {
            return Error{std::errc::invalid_argument, "the line has a control character in it"};
        }
        if (quote != 0 && c == quote) {
            quote = 0;
        } else if (quote == 0 && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == '\\' && quote != '\'' && position + 1 < line.size()) {
            word += line[++position];
        } else {
            word += c;
        }
    }
    if (quote != 0) {
        return Error{std::errc::invalid_argument, std::string("the line ends within ") + quote};
    }
    return word;
}

// Bytes that follow this first byte of a character, -1 if none begins so.
int continuation_bytes(std::uint8_t first) {
    if (first < 0x80) {
        return 0;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return 1;
    }
    if ((first & 0xf0) == 0xe0) {
        return 2;
    }
    return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

// Overlong forms, surrogates and what is beyond U+10FFFF show in the second byte.
bool is_second_byte_ok(std::uint8_t first, std::uint8_t second) {
    switch (first) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return true;
    }
}

}  // namespace

Result<std::vector<std::string>> parse_words(std::string_view line) {
    std::vector<std::string> words;
    std::size_t position = 0;
    while (position < line.size()) {
        if (is_blank(line[position])) {
            ++position;
            continue;
        }
        if (line[position] == '#') {
            break;
        }
        CULVERT_TRY(word, take_word(line, position));
        words.push_back(std::move(word));
    }
    return words;
}

std::string quote_words(std::span<const std::string> words) {
    std::string line;
    for (const std::string& word : words) {
        if (!line.empty()) {
            line += ' ';
        }
        if (!word.empty() && word.find_first_of(" \t\r\n'\"\\#") == std::string::npos) {
            line += word;
            continue;
        }
        line += '"';
        for (char c : word) {
            if (c == '"' || c == '\\') {
                line += '\\';
            }
            line += c;
        }
        line += '"';
    }
    return line;
}

bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        auto first = static_cast<std::uint8_t>(text[i]);
        int more = continuation_bytes(first);
        if (more < 0 || i + static_cast<std::size_t>(more) >= text.size()) {
            return false;
        }
        for (int k = 1; k <= more; ++k) {
            auto next = static_cast<std::uint8_t>(text[i + static_cast<std::size_t>(k)]);
            if ((next & 0xc0) != 0x80 || (k == 1 && !is_second_byte_ok(first, next))) {
                return false;
            }
        }
        i += static_cast<std::size_t>(more) + 1;
    }
    return true;
}

}  // namespace culvert::control
