// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output.hpp"

#include <cstddef>
#include <utility>

namespace culvert::control {

std::string compact_json(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string pretty_json(const Json& value, int depth) {
    auto margin = [](int level) { return std::string(4 * static_cast<std::size_t>(level), ' '); };
    std::string text;
    bool first = true;
    if (value.is_object()) {
        if (value.empty()) {
            return "{ }";
        }
        for (const auto& [key, member] : value.items()) {
            text += first ? "{\n" : ",\n";
            text += margin(depth + 1) + compact_json(key) + ": " + pretty_json(member, depth + 1);
            first = false;
        }
        return text + "\n" + margin(depth) + "}";
    }
    if (value.is_array()) {
        if (value.empty()) {
            return "[ ]";
        }
        for (const Json& element : value) {
            text += first ? "[ " : ",";
            text += pretty_json(element, depth + 1);
            first = false;
        }
        return text + " ]";
    }
    return compact_json(value);
}

void Output::list() {
    if (!is_list_) {
        is_list_ = true;
        compact_ = "[";
        text_ = "[ ";
    }
}

void Output::entry(const Json& object) {
    list();
    if (has_entries_) {
        compact_ += ',';
    }
    compact_ += compact_json(object);
    if (pretty_) {
        text_ += (has_entries_ ? "," : "") + pretty_json(object, 1);
    }
    has_entries_ = true;
}

void Output::document(const Json& value) {
    compact_ = compact_json(value);
    text_ = pretty_ ? pretty_json(value) : "";
}

std::string Output::take_text() {
    if (!json_) {
        return std::move(text_);
    }
    if (compact_.empty()) {
        return "";
    }
    if (!pretty_) {
        return compact_ + (is_list_ ? "]\n" : "\n");
    }
    const char* end = is_list_ ? (has_entries_ ? " ]\n" : "]\n") : "\n";
    return std::move(text_) + end;
}

std::string Output::take_json() {
    if (!json_ || compact_.empty()) {
        return "null";
    }
    return std::move(compact_) + (is_list_ ? "]" : "");
}

}  // namespace culvert::control
