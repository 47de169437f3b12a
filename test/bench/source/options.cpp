// SPDX-License-Identifier: BSD-3-Clause
#include "test/bench/source/options.hpp"

#include <bit>
#include <sstream>
#include <stdexcept>

namespace culvert::bench {

namespace {

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, at);) {
        parts.push_back(part);
    }
    return parts;
}

std::uint64_t number(const std::string& key, const std::string& text) {
    std::size_t end = 0;
    std::uint64_t value = 0;
    try {
        value = std::stoull(text, &end, 0);
    } catch (const std::exception&) {
        end = 0;
    }
    if (text.empty() || end != text.size()) {
        throw std::invalid_argument(key + "=" + text + ": not a number");
    }
    return value;
}

std::uint32_t number32(const std::string& key, const std::string& text) {
    return static_cast<std::uint32_t>(number(key, text));
}

Varying varying(const std::string& text) {
    const std::vector<std::string> fields = split(text, ':');
    if (fields.size() < 4 || fields.size() > 5) {
        throw std::invalid_argument("vary=" + text + ": not OFFSET:BASE:STEP:COUNT[:ORDERED]");
    }
    Varying vary;
    vary.offset = number32("vary", fields[0]);
    vary.base = number32("vary", fields[1]);
    vary.step = number32("vary", fields[2]);
    vary.count = number32("vary", fields[3]);
    vary.in_order = fields.size() == 5 && number("vary", fields[4]) != 0;
    if (!std::has_single_bit(vary.count)) {
        throw std::invalid_argument("vary=" + text + ": the count is no power of two");
    }
    return vary;
}

}  // namespace

Options parse_options(const std::string& text) {
    Options options;
    for (const std::string& word : split(text, ',')) {
        const std::size_t equals = word.find('=');
        const std::string key = word.substr(0, equals);
        const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
        if (key == "rx") {
            options.rx = value;
        } else if (key == "statistics") {
            options.statistics = value;
        } else if (key == "header") {
            options.header = number32(key, value);
        } else if (key == "nic") {
            options.nic = number(key, value) != 0;
        } else if (key == "burst") {
            options.burst = number32(key, value);
        } else if (key == "gap") {
            options.gap = number(key, value);
        } else if (key == "count") {
            options.count = number(key, value);
        } else if (key == "vary") {
            for (const std::string& field : split(value, '+')) {
                options.varying.push_back(varying(field));
            }
        } else {
            throw std::invalid_argument(key + ": unknown");
        }
    }
    return options;
}

}  // namespace culvert::bench
