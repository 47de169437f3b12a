// SPDX-License-Identifier: BSD-3-Clause
// The grammar as data: objects, verbs, keywords. Matching, help, completion and docs/commands.md
// are all made from one table (command_table.cpp), so that they cannot disagree.
#pragma once

#include "lib/net/result.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

struct Context;
class Arguments;

// What follows a keyword.
enum class Kind : std::uint8_t {
    flag,         // nothing
    toggle,       // nothing; "no" in front of the keyword turns it off
    on_off,       // on | off
    number,       // decimal, 0x hexadecimal, 0 octal
    hex,          // base 16 with or without 0x, as iproute2 reads tos
    number_pair,  // LOW HIGH
    address,
    address4,  // an IPv4 address
    prefix,
    mac,
    link_address,  // a MAC, or the four bytes of a tunnel's link layer as an IPv4 address
    link,          // a link that must exist
    text,          // any word: a name to be, another object's name
    choice,        // one of Keyword::words
    link_type,     // a link kind; its own keywords follow
    rest,          // the remaining words, as they are
};

// Keywords that are not implemented, for now: the form in which they ask for nothing is accepted.
enum class Support : std::uint8_t { yes, only_off, only_on };

struct Keyword {
    std::string_view name = {};
    std::string_view aliases = {};  // separated by blanks
    Kind kind = Kind::flag;
    std::string_view value = {};  // how usage writes the value
    std::string_view words =
        {};  // choice: the choices; else words that may stand for the value; by blanks
    std::string_view modifier = {};  // a word that may stand before the value: `mtu lock 1400`
    std::uint64_t max = std::numeric_limits<std::uint32_t>::max();
    std::uint64_t min = 0;
    bool positional = false;  // its name may be left out
    bool required = false;
    Support support = Support::yes;
    std::string_view complaint = {};  // why a value is wrong, in iproute2's words
    std::string_view help = {};
};

using Handler = Result<void> (*)(Context&, const Arguments&);

struct Command {
    std::string_view object = {};
    std::string_view verb = {};  // "" = the object is the whole command
    std::string_view verb_aliases = {};
    std::span<const Keyword> keywords = {};
    bool with_type_arguments = false;  // `type KIND` is followed by KIND's own keywords
    Handler handler = nullptr;
    std::string_view help = {};
};

struct LinkType {
    std::string_view name;
    std::span<const Keyword> keywords;
    std::string_view help;
};

struct Object {
    std::string_view name;  // "bridge link" is told from "link" by its first word
    std::string_view aliases;
    std::string_view help;
};

// The table. Within an object the first verb that a prefix fits is taken, as iproute2 does.
[[nodiscard]] std::span<const Object> objects();
[[nodiscard]] std::span<const Command> commands();
[[nodiscard]] std::span<const LinkType> link_types();
[[nodiscard]] const LinkType* find_link_type(std::string_view name);

// Does the word name it, whole or (prefix) as its beginning?
[[nodiscard]] bool is_named(std::string_view word, std::string_view name, std::string_view aliases);
[[nodiscard]] bool
is_prefix_of(std::string_view word, std::string_view name, std::string_view aliases);

struct Resolved {
    const Command* command = nullptr;
    std::size_t used = 0;  // words that named it
};

// Finds the command, past a leading `ip` or `bridge`. Error EINVAL: unknown or ambiguous, with what
// there is.
[[nodiscard]] Result<Resolved> resolve(std::span<const std::string> words);

// The object that the words begin with, past `ip` or `bridge`, and in `used` how many words that
// took. Error EINVAL.
[[nodiscard]] Result<const Object*>
resolve_object(std::span<const std::string> words, std::size_t& used);
// What may stand behind "ip" and "bridge"; behind "" every object but `bridge link`.
[[nodiscard]] std::vector<const Object*> objects_behind(std::string_view tool);
// How a person types it there: `bridge link` is "link".
[[nodiscard]] std::string_view own_word(const Object& object);
// An object's verb of which the word is the name or a beginning; nullptr = none. "" finds the
// default, `show`.
[[nodiscard]] const Command* find_verb(const Object& object, std::string_view word);

// command_help.cpp: what `help` prints after these words (without `help` itself): all objects, an
// object's verbs, a command's keywords.
[[nodiscard]] std::string help(std::span<const std::string> words);
[[nodiscard]] std::string usage_line(const Command& command);
// docs/commands.md.
[[nodiscard]] std::string commands_markdown();

// command_completion.cpp: what may stand at the line's end, given the names of links.
[[nodiscard]] std::vector<std::string>
completions(std::string_view line, std::span<const std::string> link_names);

}  // namespace culvert::control
