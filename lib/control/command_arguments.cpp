// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_arguments.hpp"

#include <fmt/format.h>

#include <charconv>

namespace culvert::control {

namespace {

bool is_one_of(std::string_view word, std::string_view words) {
    return is_named(word, "", words);
}

Error wrong(
    const Keyword& keyword, std::string_view word, std::errc code = std::errc::invalid_argument
) {
    std::string why(keyword.complaint);
    if (why.empty() && keyword.kind == Kind::choice) {
        why = fmt::format("\"{}\" is one of: {}", keyword.name, keyword.words);
    } else if (why.empty()) {
        why = fmt::format("\"{}\" takes {}", keyword.name, keyword.value);
    }
    return {code, fmt::format("argument \"{}\" is wrong: {}", word, why)};
}

Result<std::uint64_t> ranged_number(const Keyword& keyword, const std::string& word, int base) {
    auto number = parse_number(word, base);
    if (!number) {
        return wrong(keyword, word);
    }
    if (*number < keyword.min || *number > keyword.max) {
        return wrong(keyword, word, std::errc::result_out_of_range);
    }
    return *number;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text, int base) {
    bool is_hex = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (is_hex && (base == 0 || base == 16)) {
        text.remove_prefix(2);
        base = 16;
    } else if (base == 0) {
        base = text.size() > 1 && text[0] == '0' ? 8 : 10;
    }
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return number;
}

const Argument* Arguments::find(std::string_view keyword) const {
    for (const Argument& argument : given_) {
        if (argument.keyword->name == keyword) {
            return &argument;
        }
    }
    return nullptr;
}

std::string_view Arguments::text(std::string_view keyword) const {
    const Argument* argument = find(keyword);
    return argument == nullptr ? std::string_view() : std::string_view(argument->text);
}

class ArgumentParser {
public:
    ArgumentParser(
        const Command& command, std::span<const std::string> words, const LinkFinder& find_link
    )
        : command_(command)
        , words_(words)
        , find_link_(find_link) {}

    Result<Arguments> parse() {
        while (position_ < words_.size()) {
            CULVERT_CHECK(take_argument());
        }
        for (const Keyword& keyword : command_.keywords) {
            if (keyword.required && !result_.has(keyword.name)) {
                return Error{
                    std::errc::invalid_argument,
                    fmt::format(
                        "Not enough information: \"{}\" argument is required", keyword.name
                    )};
            }
        }
        return std::move(result_);
    }

private:
    struct Match {
        const Keyword* keyword = nullptr;
        bool off = false;  // a toggle's "no" form
        bool ambiguous = false;
    };

    // The keyword that this word names; whole names win over beginnings.
    static Match
    match(std::string_view word, std::span<const Keyword> keywords, bool allow_prefix) {
        Match found;
        for (const Keyword& keyword : keywords) {
            bool is_no = keyword.kind == Kind::toggle && word.starts_with("no");
            std::string_view base = is_no ? word.substr(2) : word;
            if (is_named(word, keyword.name, keyword.aliases)) {
                return {&keyword, false, false};
            }
            if (is_no && is_named(base, keyword.name, keyword.aliases)) {
                return {&keyword, true, false};
            }
            if (!allow_prefix) {
                continue;
            }
            bool on = is_prefix_of(word, keyword.name, keyword.aliases);
            if (on ||
                (is_no && !base.empty() && is_prefix_of(base, keyword.name, keyword.aliases))) {
                found.ambiguous = found.keyword != nullptr;
                found.keyword = &keyword;
                found.off = !on;
            }
        }
        return found;
    }

    [[nodiscard]] const Keyword* next_positional() const {
        for (const Keyword& keyword : command_.keywords) {
            if (keyword.positional && !result_.has(keyword.name)) {
                return &keyword;
            }
        }
        return nullptr;
    }

    // Behind `type KIND`, KIND's keywords come first.
    Result<void> take_argument() {
        const std::string& word = words_[position_];
        const Keyword* positional = next_positional();
        if (result_.type_ != nullptr) {
            Match own = match(word, result_.type_->keywords, true);
            if (own.keyword != nullptr && !own.ambiguous) {
                ++position_;
                return take_value(result_.type_given_.front(), own);
            }
        }
        // While a name is expected, a beginning such as `m` is that name and not `mtu` or `master`.
        Match found = match(word, command_.keywords, positional == nullptr);
        if (found.keyword != nullptr && !found.ambiguous) {
            ++position_;
            return take_value(result_, found);
        }
        if (positional != nullptr) {
            return take_value(result_, {positional, false, false});
        }
        return unknown(word);
    }

    [[nodiscard]] Error unknown(const std::string& word) const {
        std::span<const Keyword> keywords =
            result_.type_ != nullptr ? result_.type_->keywords : command_.keywords;
        std::string there;
        for (const Keyword& keyword : keywords) {
            there += fmt::format(
                "{}{}{}",
                there.empty() ? "" : " ",
                keyword.kind == Kind::toggle ? "[no]" : "",
                keyword.name
            );
        }
        return {
            std::errc::invalid_argument,
            fmt::format(
                "\"{}\" is unknown or ambiguous here; there is: {}",
                word,
                there.empty() ? "nothing more" : there
            )};
    }

    Result<void> take_value(Arguments& into, const Match& match) {
        const Keyword& keyword = *match.keyword;
        if (into.has(keyword.name)) {
            if (keyword.positional) {
                return Error{
                    std::errc::invalid_argument,
                    fmt::format(
                        "either \"{}\" is a duplicate, or \"{}\" is garbage",
                        keyword.name,
                        words_[position_ - 1]
                    )};
            }
            return Error{
                std::errc::invalid_argument,
                fmt::format("argument \"{}\" is a duplicate", keyword.name)};
        }
        Argument argument;
        argument.keyword = &keyword;
        if (keyword.kind == Kind::toggle) {
            argument.value = !match.off;
        } else if (keyword.kind == Kind::rest) {
            into.rest_.assign(
                words_.begin() + static_cast<std::ptrdiff_t>(position_), words_.end()
            );
            position_ = words_.size();
        } else if (keyword.kind != Kind::flag) {
            CULVERT_CHECK(take_words(keyword, argument));
        }
        CULVERT_CHECK(check_support(argument));
        into.given_.push_back(std::move(argument));
        return {};
    }

    Result<void> take_words(const Keyword& keyword, Argument& argument) {
        if (!keyword.modifier.empty() && position_ + 1 < words_.size() &&
            is_one_of(words_[position_], keyword.modifier)) {
            argument.modified = true;
            argument.modifier = words_[position_++];
        }
        if (position_ >= words_.size()) {
            return Error{
                std::errc::invalid_argument,
                fmt::format(
                    "Command line is not complete: \"{}\" takes {}", keyword.name, keyword.value
                )};
        }
        argument.text = words_[position_++];
        if (keyword.kind == Kind::link_type) {
            return set_type(argument.text);
        }
        if (is_one_of(argument.text, keyword.words)) {
            return {};
        }
        return keyword.kind == Kind::number_pair ? take_pair(keyword, argument)
                                                 : convert(keyword, argument);
    }

    Result<void> set_type(const std::string& name) {
        result_.type_ = find_link_type(name);
        if (result_.type_ == nullptr) {
            std::string there;
            for (const LinkType& type : link_types()) {
                there += (there.empty() ? "" : ", ") + std::string(type.name);
            }
            return Error{
                std::errc::operation_not_supported,
                fmt::format("Unknown device type \"{}\"; there is: {}", name, there)};
        }
        result_.type_given_.emplace_back();
        return {};
    }

    Result<void> take_pair(const Keyword& keyword, Argument& argument) {
        CULVERT_TRY(low, ranged_number(keyword, argument.text, 0));
        if (position_ >= words_.size()) {
            return Error{
                std::errc::invalid_argument,
                fmt::format(
                    "Command line is not complete: \"{}\" takes {}", keyword.name, keyword.value
                )};
        }
        CULVERT_TRY(high, ranged_number(keyword, words_[position_++], 0));
        argument.value = NumberPair{low, high};
        return {};
    }

    Result<void> convert(const Keyword& keyword, Argument& argument) const {
        switch (keyword.kind) {
        case Kind::on_off:
            if (argument.text != "on" && argument.text != "off") {
                return Error{
                    std::errc::invalid_argument,
                    fmt::format(
                        "argument of \"{}\" must be \"on\" or \"off\", not \"{}\"",
                        keyword.name,
                        argument.text
                    )};
            }
            argument.value = argument.text == "on";
            return {};
        case Kind::number:
        case Kind::hex: {
            CULVERT_TRY(
                number, ranged_number(keyword, argument.text, keyword.kind == Kind::hex ? 16 : 0)
            );
            argument.value = number;
            return {};
        }
        case Kind::choice:
            return wrong(keyword, argument.text);
        case Kind::link:
            return convert_link(keyword, argument);
        default:
            return convert_address(keyword, argument);
        }
    }

    Result<void> convert_link(const Keyword& keyword, Argument& argument) const {
        LinkId link = find_link_(argument.text);
        if (link == kNoLink) {
            bool is_show = command_.verb == "show" && keyword.positional;
            return Error{
                std::errc::no_such_device,
                is_show ? fmt::format("Device \"{}\" does not exist", argument.text)
                        : fmt::format("Cannot find device \"{}\"", argument.text)};
        }
        argument.value = link;
        return {};
    }

    static Result<void> convert_address(const Keyword& keyword, Argument& argument) {
        const std::string& word = argument.text;
        if (keyword.kind == Kind::address) {
            auto address = net::IpAddress::parse(word);
            if (!address) {
                return Error{
                    std::errc::invalid_argument,
                    fmt::format("any valid address is expected rather than \"{}\"", word)};
            }
            argument.value = *address;
        } else if (keyword.kind == Kind::address4) {
            auto address = net::IpAddress::parse(word);
            if (!address || !address->is_v4()) {
                return Error{
                    std::errc::invalid_argument,
                    fmt::format("inet address is expected rather than \"{}\"", word)};
            }
            argument.value = *address;
        } else if (keyword.kind == Kind::prefix) {
            auto prefix = net::Prefix::parse(word);
            if (!prefix) {
                return Error{
                    std::errc::invalid_argument,
                    fmt::format("any valid prefix is expected rather than \"{}\"", word)};
            }
            argument.value = *prefix;
        } else if (keyword.kind == Kind::link_address && word.find('.') != std::string::npos) {
            auto address = net::IpAddress::parse(word);
            if (!address || !address->is_v4()) {
                return Error{
                    std::errc::invalid_argument, fmt::format("Invalid address \"{}\"", word)};
            }
            argument.value = *address;
        } else if (keyword.kind == Kind::mac || keyword.kind == Kind::link_address) {
            auto mac = net::MacAddress::parse(word);
            if (!mac) {
                return Error{
                    std::errc::invalid_argument, fmt::format("Invalid mac address \"{}\"", word)};
            }
            argument.value = *mac;
        }
        return {};
    }

    static Result<void> check_support(const Argument& argument) {
        const Support support = argument.keyword->support;
        const bool* on = std::get_if<bool>(&argument.value);
        const auto* number = std::get_if<std::uint64_t>(&argument.value);
        const bool is_off = (on != nullptr && !*on) || (number != nullptr && *number == 0);
        const bool is_on = on != nullptr && *on;
        if (support == Support::yes || (support == Support::only_off ? is_off : is_on)) {
            return {};
        }
        return Error{
            std::errc::operation_not_supported,
            fmt::format(
                "{}{} is not supported yet",
                support == Support::only_on ? "no" : "",
                argument.keyword->name
            )};
    }

    const Command& command_;
    std::span<const std::string> words_;
    const LinkFinder& find_link_;
    std::size_t position_ = 0;
    Arguments result_;
};

Result<Arguments> parse_arguments(
    const Command& command, std::span<const std::string> words, const LinkFinder& find_link
) {
    return ArgumentParser(command, words, find_link).parse();
}

}  // namespace culvert::control
