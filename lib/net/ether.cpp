// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/ether.hpp"

#include <fmt/format.h>

namespace culvert::net {

namespace {

// -1 if it is none.
int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

Error not_a_mac(std::string_view text) {
    return {
        std::errc::invalid_argument,
        fmt::format(
            "\"{}\" is not a MAC address: six bytes in hex are wanted, with \":\" between them",
            text
        )};
}

}  // namespace

Result<MacAddress> MacAddress::parse(std::string_view text) {
    MacAddress mac;
    std::size_t position = 0;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        if (i > 0) {
            if (position >= text.size() || (text[position] != ':' && text[position] != '-')) {
                return not_a_mac(text);
            }
            ++position;
        }
        // One or two digits a byte, as iproute2 takes them.
        int value = 0;
        std::size_t digits = 0;
        while (digits < 2 && position < text.size() && hex_digit(text[position]) >= 0) {
            value = value * 16 + hex_digit(text[position]);
            ++position;
            ++digits;
        }
        if (digits == 0) {
            return not_a_mac(text);
        }
        mac.bytes[i] = static_cast<std::uint8_t>(value);
    }
    if (position != text.size()) {
        return not_a_mac(text);
    }
    return mac;
}

std::string MacAddress::to_string() const {
    return fmt::format(
        "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
        bytes[0],
        bytes[1],
        bytes[2],
        bytes[3],
        bytes[4],
        bytes[5]
    );
}

}  // namespace culvert::net
