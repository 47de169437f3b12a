// SPDX-License-Identifier: BSD-3-Clause
// A command's words, read by its keywords and checked: what handlers get is complete and in range.
#pragma once

#include "lib/control/command_grammar.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace culvert::control {

using NumberPair = std::pair<std::uint64_t, std::uint64_t>;

struct Argument {
    const Keyword* keyword = nullptr;
    std::string text;       // the value's word
    bool modified = false;  // its modifier stood before it
    std::string modifier;   // which one
    std::variant<
        std::monostate,
        bool,
        std::uint64_t,
        NumberPair,
        net::IpAddress,
        net::Prefix,
        net::MacAddress,
        LinkId>
        value;  // monostate: flag, text, choice, or one of the words that stand for a number
};

class Arguments {
public:
    // The argument of a keyword, by the name in the table. nullptr = not given.
    [[nodiscard]] const Argument* find(std::string_view keyword) const;

    [[nodiscard]] bool has(std::string_view keyword) const { return find(keyword) != nullptr; }

    // The value's word, "" when not given.
    [[nodiscard]] std::string_view text(std::string_view keyword) const;

    // bool, std::uint64_t, NumberPair, net::IpAddress, net::Prefix, net::MacAddress, LinkId by the
    // keyword's kind.
    template <typename T>
    [[nodiscard]] std::optional<T> get(std::string_view keyword) const {
        const Argument* argument = find(keyword);
        const T* value = argument == nullptr ? nullptr : std::get_if<T>(&argument->value);
        return value == nullptr ? std::nullopt : std::optional<T>(*value);
    }

    // A number of a narrower type; the table's max keeps it in range.
    template <typename T>
    [[nodiscard]] std::optional<T> number(std::string_view keyword) const {
        auto value = get<std::uint64_t>(keyword);
        return value ? std::optional<T>(static_cast<T>(*value)) : std::nullopt;
    }

    // All of them, as they stood.
    [[nodiscard]] std::span<const Argument> given() const noexcept { return given_; }

    [[nodiscard]] std::size_t size() const noexcept { return given_.size(); }

    // What follows `type KIND`; nullptr when there is no `type`.
    [[nodiscard]] const LinkType* type() const noexcept { return type_; }

    [[nodiscard]] const Arguments& type_arguments() const noexcept { return type_given_.front(); }

    // Kind::rest
    [[nodiscard]] std::span<const std::string> rest() const noexcept { return rest_; }

private:
    friend class ArgumentParser;
    std::vector<Argument> given_;
    const LinkType* type_ = nullptr;
    std::vector<Arguments> type_given_;  // none or one
    std::vector<std::string> rest_;
};

// A link's number by its name, kNoLink if there is none.
using LinkFinder = std::function<LinkId(std::string_view)>;

// Errors say which word is wrong and what may stand there; EOPNOTSUPP for keywords that ask for
// what is not there yet, ENODEV for a link that does not exist.
Result<Arguments> parse_arguments(
    const Command& command, std::span<const std::string> words, const LinkFinder& find_link
);

// 0x and 0 prefixes as strtoul's. nullopt: not a number, or beyond 64 bits.
std::optional<std::uint64_t> parse_number(std::string_view text, int base = 0);

}  // namespace culvert::control
