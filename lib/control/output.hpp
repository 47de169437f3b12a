// SPDX-License-Identifier: BSD-3-Clause
// What a command says: text for people, or JSON in iproute2's way (an array of objects, keys in a
// fixed order). Entries are rendered one by one, so that a table of a million never stands in
// memory as JSON nodes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace culvert::control {

using Json = nlohmann::ordered_json;

class Output {
public:
    Output(bool json, bool pretty)
        : json_(json)
        , pretty_(pretty) {}

    [[nodiscard]] bool is_json() const noexcept { return json_; }

    // Text mode only.
    void text(std::string_view more) { text_ += more; }

    // JSON mode only: begins the array if nothing has; an entry of it.
    void list();
    void entry(const Json& object);
    // JSON mode only: one document instead of an array.
    void document(const Json& value);

    // What a terminal shows; before take_json().
    [[nodiscard]] std::string take_text();
    // The document in one line, "null" in text mode or when there is none.
    [[nodiscard]] std::string take_json();

private:
    bool json_;
    bool pretty_;
    bool is_list_ = false;
    bool has_entries_ = false;
    std::string text_;  // JSON mode: the pretty form, if asked for
    std::string compact_;
};

// iproute2's -p: members a line each, four blanks a level, arrays of scalars in one line.
std::string pretty_json(const Json& value, int depth = 0);

// One line; bytes that are no UTF-8 become U+FFFD.
std::string compact_json(const Json& value);

}  // namespace culvert::control
