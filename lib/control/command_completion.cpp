// SPDX-License-Identifier: BSD-3-Clause
// What may stand at a line's end, made from the table: for prompts.
#include "lib/control/command_grammar.hpp"
#include "lib/control/parse_words.hpp"

#include <algorithm>

namespace culvert::control {

namespace {

class Completer {
public:
    Completer(std::string_view last, std::span<const std::string> link_names)
        : last_(last)
        , link_names_(link_names) {}

    std::vector<std::string> take() {
        std::sort(found_.begin(), found_.end());
        found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
        return std::move(found_);
    }

    void offer(std::string_view word) {
        if (word.starts_with(last_)) {
            found_.emplace_back(word);
        }
    }

    void offer_all(std::string_view words) {
        while (!words.empty()) {
            std::size_t end = std::min(words.find(' '), words.size());
            offer(words.substr(0, end));
            words.remove_prefix(std::min(end + 1, words.size()));
        }
    }

    void offer_links() {
        for (const std::string& name : link_names_) {
            offer(name);
        }
    }

    void offer_objects(std::string_view tool) {
        for (const Object* object : objects_behind(tool)) {
            offer(own_word(*object));
        }
        if (tool.empty()) {
            offer("bridge");
        }
    }

    void offer_verbs(const Object& object) {
        for (const Command& command : commands()) {
            if (command.object == object.name) {
                offer(command.verb);
            }
        }
    }

    void offer_value(const Keyword& keyword) {
        offer_all(keyword.words);
        // Kind::text often names a link that need not exist.
        if (keyword.kind == Kind::link || keyword.kind == Kind::text) {
            offer_links();
        } else if (keyword.kind == Kind::on_off) {
            offer_all("on off");
        } else if (keyword.kind == Kind::link_type) {
            for (const LinkType& type : link_types()) {
                offer(type.name);
            }
        }
    }

    void offer_keywords(std::span<const Keyword> keywords, std::span<const std::string> given) {
        for (const Keyword& keyword : keywords) {
            bool is_given = std::any_of(given.begin(), given.end(), [&](const std::string& word) {
                return is_named(word, keyword.name, keyword.aliases);
            });
            if (is_given || (keyword.kind == Kind::rest && keyword.positional)) {
                continue;
            }
            if (keyword.positional) {
                offer_value(keyword);
            }
            if (!keyword.positional || keyword.kind != Kind::choice) {
                offer(keyword.name);
            }
            if (keyword.kind == Kind::toggle) {
                offer("no" + std::string(keyword.name));
            }
        }
    }

private:
    std::string_view last_;
    std::span<const std::string> link_names_;
    std::vector<std::string> found_;
};

const Keyword* named(std::span<const Keyword> keywords, std::string_view word) {
    for (const Keyword& keyword : keywords) {
        if (is_named(word, keyword.name, keyword.aliases)) {
            return &keyword;
        }
    }
    return nullptr;
}

bool takes_value(const Keyword* keyword) {
    return keyword != nullptr && keyword->kind != Kind::flag && keyword->kind != Kind::toggle &&
           keyword->kind != Kind::rest;
}

void complete_arguments(
    const Command& command, std::span<const std::string> given, Completer& completer
) {
    std::span<const Keyword> type_keywords;
    for (std::size_t i = 0; i + 1 < given.size(); ++i) {
        const LinkType* type = command.with_type_arguments && given[i] == "type"
                                   ? find_link_type(given[i + 1])
                                   : nullptr;
        type_keywords = type != nullptr ? type->keywords : type_keywords;
    }
    if (!given.empty()) {
        const Keyword* previous = named(type_keywords, given.back());
        previous = previous != nullptr ? previous : named(command.keywords, given.back());
        if (takes_value(previous)) {
            completer.offer_value(*previous);
            return;
        }
    }
    completer.offer_keywords(type_keywords, given);
    completer.offer_keywords(command.keywords, given);
}

}  // namespace

std::vector<std::string>
completions(std::string_view line, std::span<const std::string> link_names) {
    std::size_t begin = line.find_last_of(" \t");
    begin = begin == std::string_view::npos ? 0 : begin + 1;
    auto parsed = parse_words(line.substr(0, begin));
    if (!parsed) {
        return {};
    }
    Completer completer(line.substr(begin), link_names);
    std::span<const std::string> words = *parsed;
    while (!words.empty() && words[0].starts_with('-')) {
        words = words.subspan(1);
    }
    bool has_tool = !words.empty() && (words[0] == "ip" || words[0] == "bridge");
    if (words.size() == (has_tool ? 1U : 0U)) {
        completer.offer_objects(has_tool ? std::string_view(words[0]) : std::string_view());
        return completer.take();
    }
    std::size_t used = 0;
    auto object = resolve_object(words, used);
    if (!object) {
        return {};
    }
    const Command* alone = find_verb(**object, "");
    bool has_verbs = alone == nullptr || !alone->verb.empty();
    if (has_verbs && used == words.size()) {
        completer.offer_verbs(**object);
        return completer.take();
    }
    auto resolved = resolve(words);
    if (resolved) {
        complete_arguments(*resolved->command, words.subspan(resolved->used), completer);
    }
    return completer.take();
}

}  // namespace culvert::control
