// SPDX-License-Identifier: BSD-3-Clause
// The names that ip(8) has for values of an IP header's TOS (iproute2's rt_dsfield): numbers are
// hexadecimal, as it reads and prints them.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::control {

struct DsfieldName {
    std::string_view name;
    std::uint8_t value;
};

inline constexpr std::string_view kDsfieldWords =
    "default AF11 AF12 AF13 AF21 AF22 AF23 AF31 AF32 AF33 AF41 AF42 AF43 "
    "CS1 CS2 CS3 CS4 CS5 CS6 CS7 EF";

inline constexpr auto kDsfieldNames =
    std::to_array<DsfieldName>({{"default", 0x00}, {"AF11", 0x28}, {"AF12", 0x30}, {"AF13", 0x38},
                                {"AF21", 0x48},    {"AF22", 0x50}, {"AF23", 0x58}, {"AF31", 0x68},
                                {"AF32", 0x70},    {"AF33", 0x78}, {"AF41", 0x88}, {"AF42", 0x90},
                                {"AF43", 0x98},    {"CS1", 0x20},  {"CS2", 0x40},  {"CS3", 0x60},
                                {"CS4", 0x80},     {"CS5", 0xa0},  {"CS6", 0xc0},  {"CS7", 0xe0},
                                {"EF", 0xb8}});

[[nodiscard]] inline std::optional<std::uint8_t> dsfield_of(std::string_view word) {
    for (const DsfieldName& one : kDsfieldNames) {
        if (one.name == word) {
            return one.value;
        }
    }
    return std::nullopt;
}

[[nodiscard]] inline std::string dsfield_name(std::uint8_t value) {
    for (const DsfieldName& one : kDsfieldNames) {
        if (one.value == value) {
            return std::string(one.name);
        }
    }
    return fmt::format("{:#04x}", value);
}

}  // namespace culvert::control
