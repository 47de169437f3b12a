// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace culvert::control {

namespace {

constexpr std::string_view kBridgeLink = "bridge link";

// The objects that `ip` and `bridge` have in their names' place.
constexpr auto kIpObjects =
    std::to_array<std::string_view>({"link", "tunnel", "addr", "route", "neigh", "monitor"});
constexpr auto kBridgeObjects = std::to_array<std::string_view>({kBridgeLink, "fdb", "monitor"});

bool any_word(std::string_view words, auto&& predicate) {
    while (!words.empty()) {
        std::size_t end = std::min(words.find(' '), words.size());
        if (end > 0 && predicate(words.substr(0, end))) {
            return true;
        }
        words.remove_prefix(std::min(end + 1, words.size()));
    }
    return false;
}

std::string known_objects(std::string_view tool) {
    std::string there;
    for (const Object* object : objects_behind(tool)) {
        there += fmt::format("{}{}", there.empty() ? "" : " ", own_word(*object));
    }
    return there;
}

// Whole names win; else exactly one object must begin so.
Result<const Object*> match_object(const std::string& word, std::string_view tool) {
    const Object* found = nullptr;
    bool ambiguous = false;
    for (const Object* object : objects_behind(tool)) {
        if (is_named(word, own_word(*object), object->aliases)) {
            return object;
        }
        if (is_prefix_of(word, own_word(*object), object->aliases)) {
            ambiguous = found != nullptr;
            found = object;
        }
    }
    if (found == nullptr || ambiguous) {
        return Error{
            std::errc::invalid_argument,
            fmt::format(
                "Object \"{}\" is {}; there is: {}",
                word,
                ambiguous ? "ambiguous" : "unknown",
                known_objects(tool)
            )};
    }
    return found;
}

std::string known_verbs(const Object& object) {
    std::string there;
    for (const Command& command : commands()) {
        if (command.object == object.name) {
            there += fmt::format("{}{}", there.empty() ? "" : " ", command.verb);
        }
    }
    return there;
}

}  // namespace

bool is_named(std::string_view word, std::string_view name, std::string_view aliases) {
    return word == name || any_word(aliases, [&](std::string_view alias) { return alias == word; });
}

bool is_prefix_of(std::string_view word, std::string_view name, std::string_view aliases) {
    return !word.empty() &&
           (name.starts_with(word) ||
            any_word(aliases, [&](std::string_view alias) { return alias.starts_with(word); }));
}

const LinkType* find_link_type(std::string_view name) {
    for (const LinkType& type : link_types()) {
        if (type.name == name) {
            return &type;
        }
    }
    return nullptr;
}

std::string_view own_word(const Object& object) {
    return object.name == kBridgeLink ? std::string_view("link") : object.name;
}

std::vector<const Object*> objects_behind(std::string_view tool) {
    std::span<const std::string_view> only;
    if (tool == "ip") {
        only = kIpObjects;
    } else if (tool == "bridge") {
        only = kBridgeObjects;
    }
    std::vector<const Object*> found;
    for (const Object& object : objects()) {
        bool is_there = only.empty()
                            ? object.name != kBridgeLink
                            : std::find(only.begin(), only.end(), object.name) != only.end();
        if (is_there) {
            found.push_back(&object);
        }
    }
    return found;
}

Result<const Object*> resolve_object(std::span<const std::string> words, std::size_t& used) {
    used = 0;
    std::string_view tool;
    if (!words.empty() && words[0] == "ip") {
        tool = "ip";
    } else if (!words.empty() && is_prefix_of(words[0], "bridge", "")) {
        tool = "bridge";
    }
    used = tool.empty() ? 0 : 1;
    if (words.size() <= used) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("an object is missing; there is: {}", known_objects(tool))};
    }
    auto object = match_object(words[used], tool);
    ++used;
    return object;
}

const Command* find_verb(const Object& object, std::string_view word) {
    const Command* found = nullptr;
    for (const Command& command : commands()) {
        if (command.object != object.name) {
            continue;
        }
        if (command.verb.empty() || (word.empty() && command.verb == "show") ||
            is_named(word, command.verb, command.verb_aliases)) {
            return &command;
        }
        if (found == nullptr && is_prefix_of(word, command.verb, command.verb_aliases)) {
            found = &command;
        }
    }
    return found;
}

Result<Resolved> resolve(std::span<const std::string> words) {
    Resolved resolved;
    CULVERT_TRY(object, resolve_object(words, resolved.used));
    std::string_view word =
        resolved.used < words.size() ? std::string_view(words[resolved.used]) : std::string_view();
    resolved.command = find_verb(*object, word);
    if (resolved.command == nullptr) {
        return Error{
            std::errc::invalid_argument,
            word.empty()
                ? fmt::format(
                      "{}: a command is missing; there is: {}", object->name, known_verbs(*object)
                  )
                : fmt::format(
                      "Command \"{}\" is unknown; {} has: {}",
                      word,
                      object->name,
                      known_verbs(*object)
                  )};
    }
    if (!resolved.command->verb.empty() && !word.empty()) {
        ++resolved.used;
    }
    return resolved;
}

}  // namespace culvert::control
