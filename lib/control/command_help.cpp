// SPDX-License-Identifier: BSD-3-Clause
// Usage, help and docs/commands.md, made from the table.
#include "lib/control/command_grammar.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::control {

namespace {

std::string title(const Command& command) {
    return command.verb.empty() ? std::string(command.object)
                                : fmt::format("{} {}", command.object, command.verb);
}

// "unset | set | inherit"
std::string alternatives(std::string_view words) {
    std::string text;
    for (char c : words) {
        text += c == ' ' ? std::string(" | ") : std::string(1, c);
    }
    return text;
}

std::string value_form(const Keyword& keyword) {
    std::string value;
    switch (keyword.kind) {
    case Kind::flag:
    case Kind::toggle:
        return "";
    case Kind::on_off:
        return "on | off";
    case Kind::choice:
        return alternatives(keyword.words);
    default:
        value = keyword.value;
        break;
    }
    if (!keyword.words.empty()) {
        value += " | " + alternatives(keyword.words);
    }
    return keyword.modifier.empty() ? value : fmt::format("[{}] {}", keyword.modifier, value);
}

// "mtu N", "[no]learning", "df { unset | set | inherit }", "[dev] NAME"
std::string keyword_form(const Keyword& keyword) {
    std::string value = value_form(keyword);
    if (value.find('|') != std::string::npos) {
        value = "{ " + value + " }";
    }
    std::string name =
        fmt::format("{}{}", keyword.kind == Kind::toggle ? "[no]" : "", keyword.name);
    if (keyword.kind == Kind::rest && keyword.positional) {
        return value;
    }
    if (keyword.positional) {
        return keyword.kind == Kind::choice ? value : fmt::format("[{}] {}", name, value);
    }
    return value.empty() ? name : name + " " + value;
}

std::string keyword_help(const Keyword& keyword) {
    std::string text(keyword.help);
    if (keyword.support == Support::only_off) {
        text += keyword.kind == Kind::toggle ? " (not supported yet: only off)"
                                             : " (not supported yet)";
    } else if (keyword.support == Support::only_on) {
        text += " (only on)";
    }
    if (!keyword.aliases.empty()) {
        text += fmt::format(" (or: {})", keyword.aliases);
    }
    return text;
}

std::string keyword_lines(std::span<const Keyword> keywords) {
    std::string text;
    for (const Keyword& keyword : keywords) {
        text += fmt::format("    {:<34} {}\n", keyword_form(keyword), keyword_help(keyword));
    }
    return text;
}

std::string command_help(const Command& command) {
    std::string text = fmt::format("{}\n  {}\n", usage_line(command), command.help);
    text += keyword_lines(command.keywords);
    if (command.with_type_arguments) {
        for (const LinkType& type : link_types()) {
            text += fmt::format(
                "  type {}: {}\n{}", type.name, type.help, keyword_lines(type.keywords)
            );
        }
    }
    return text;
}

std::string markdown_cell(std::string text) {
    for (std::size_t i = text.find('|'); i != std::string::npos; i = text.find('|', i + 2)) {
        text.insert(i, "\\");
    }
    return text;
}

std::string markdown_keywords(std::span<const Keyword> keywords) {
    if (keywords.empty()) {
        return "";
    }
    std::string text = "\n| keyword | meaning |\n|---|---|\n";
    for (const Keyword& keyword : keywords) {
        text += fmt::format(
            "| `{}` | {} |\n",
            markdown_cell(keyword_form(keyword)),
            markdown_cell(keyword_help(keyword))
        );
    }
    return text;
}

}  // namespace

std::string usage_line(const Command& command) {
    std::string text = title(command);
    for (const Keyword& keyword : command.keywords) {
        if (keyword.kind == Kind::link_type) {
            continue;
        }
        std::string form = keyword_form(keyword);
        text += keyword.required ? " " + form : fmt::format(" [ {} ]", form);
    }
    return command.with_type_arguments ? text + " [ type KIND ARGS ]" : text;
}

std::string help(std::span<const std::string> words) {
    std::size_t used = 0;
    auto object = resolve_object(words, used);
    if (!object) {
        std::string text = "Commands (`COMMAND help` tells more):\n";
        for (const Command& command : commands()) {
            text += fmt::format("  {:<18} {}\n", title(command), command.help);
        }
        return text;
    }
    if (used < words.size() || find_verb(**object, "x") != nullptr) {
        if (auto resolved = resolve(words); resolved) {
            return command_help(*resolved->command);
        }
    }
    std::string text;
    for (const Command& command : commands()) {
        if (command.object == (*object)->name) {
            text += usage_line(command) + "\n";
        }
    }
    return text;
}

std::string commands_markdown() {
    std::string text = "# Commands\n"
                       "\n"
                       "Made from the grammar in `lib/control/command_table.cpp` by `culvertctl "
                       "help markdown`; do not edit.\n"
                       "\n"
                       "Keywords stand in any order. Objects and keywords may be shortened to any "
                       "beginning that fits only one of them,\n"
                       "verbs to a beginning of the first that fits. A leading `ip` or `bridge` is "
                       "accepted. `help` after any beginning of\n"
                       "a command prints its usage.\n";
    for (const Object& object : objects()) {
        text += fmt::format("\n## {}\n\n{}\n", object.name, object.help);
        for (const Command& command : commands()) {
            if (command.object != object.name) {
                continue;
            }
            text += fmt::format("\n### {}\n\n{}\n", title(command), command.help);
            text += fmt::format("\n```\n{}\n```\n", usage_line(command));
            text += markdown_keywords(command.keywords);
        }
    }
    text += "\n## Link types\n";
    for (const LinkType& type : link_types()) {
        text += fmt::format(
            "\n### type {}\n\n{}\n{}", type.name, type.help, markdown_keywords(type.keywords)
        );
    }
    return text;
}

}  // namespace culvert::control
