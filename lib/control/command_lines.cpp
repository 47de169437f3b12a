// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_lines.hpp"

#include <algorithm>

namespace culvert::control {

namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// Where a comment begins: at a # that begins a word, outside quotes.
std::size_t comment_begin(const std::string& line) {
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        char c = line[i];
        if (c == '\\' && quote != '\'') {
            ++i;
        } else if (quote != 0) {
            quote = c == quote ? '\0' : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == '#' && (i == 0 || is_blank(line[i - 1]))) {
            return i;
        }
    }
    return line.size();
}

void trim_end(std::string& line) {
    while (!line.empty() && is_blank(line.back())) {
        line.pop_back();
    }
}

}  // namespace

bool next_command(std::istream& input, unsigned& number, CommandLine& command) {
    command.text.clear();
    std::string line;
    bool continues = false;
    while (std::getline(input, line)) {
        ++number;
        if (!continues) {
            command.number = number;
        }
        line.resize(comment_begin(line));
        trim_end(line);
        continues = !line.empty() && line.back() == '\\';
        if (continues) {
            line.back() = ' ';
        }
        command.text += line;
        if (!continues && !std::all_of(command.text.begin(), command.text.end(), is_blank)) {
            return true;
        }
        if (!continues) {
            command.text.clear();
        }
    }
    // A continuation at the file's end continues nowhere.
    return !std::all_of(command.text.begin(), command.text.end(), is_blank);
}

std::vector<CommandLine> read_commands(std::istream& input) {
    std::vector<CommandLine> commands;
    CommandLine command;
    for (unsigned number = 0; next_command(input, number, command);) {
        commands.push_back(command);
    }
    return commands;
}

}  // namespace culvert::control
