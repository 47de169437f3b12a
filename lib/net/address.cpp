// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/address.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace culvert::net {

namespace {

Error invalid(std::string_view text, std::string_view what) {
    return {std::errc::invalid_argument, fmt::format("\"{}\" is not {}", text, what)};
}

// The network's mask at byte `index` of the 16, where `bits` counts from the first of them.
constexpr std::uint8_t mask_byte(std::size_t index, std::size_t bits) noexcept {
    const std::size_t before = index * 8;
    if (bits >= before + 8) {
        return 0xff;
    }
    if (bits <= before) {
        return 0;
    }
    return static_cast<std::uint8_t>(0xff << (before + 8 - bits));
}

std::array<std::uint8_t, 16> masked(const IpAddress& address, std::size_t length) noexcept {
    const std::size_t bits = length + (address.is_v4() ? 96 : 0);
    std::array<std::uint8_t, 16> bytes = address.bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] &= mask_byte(i, bits);
    }
    return bytes;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
    constexpr std::string_view kWhat = "an IP address";
    if (text == "any") {
        return from_v4(0);
    }
    // inet_pton wants a terminated string; a NUL within would end it early.
    std::array<char, INET6_ADDRSTRLEN> copy{};
    if (text.size() >= copy.size() || text.find('\0') != std::string_view::npos) {
        return invalid(text, kWhat);
    }
    std::copy(text.begin(), text.end(), copy.begin());
    in_addr v4{};
    if (inet_pton(AF_INET, copy.data(), &v4) == 1) {
        return from_v4(ntohl(v4.s_addr));
    }
    std::array<std::uint8_t, 16> v6{};
    if (inet_pton(AF_INET6, copy.data(), v6.data()) != 1) {
        return invalid(text, kWhat);
    }
    IpAddress address = from_v6(v6);
    if (address.is_v4()) {
        return invalid(text, "an IPv6 address that can be on a wire: write it as IPv4");
    }
    return address;
}

std::string IpAddress::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (is_v4()) {
        inet_ntop(AF_INET, bytes_.data() + 12, text.data(), text.size());
    } else {
        inet_ntop(AF_INET6, bytes_.data(), text.data(), text.size());
    }
    return text.data();
}

bool IpAddress::is_loopback() const noexcept {
    if (is_v4()) {
        return bytes_[12] == 127;
    }
    return std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t b) { return b == 0; }) &&
           bytes_[15] == 1;
}

Result<Prefix> Prefix::parse(std::string_view text) {
    constexpr std::string_view kWhat = "an IP prefix";
    if (text == "default" || text == "any") {
        return Prefix{IpAddress::from_v4(0), 0};
    }
    const std::size_t slash = text.find('/');
    const std::string_view address_text = text.substr(0, slash);
    Result<IpAddress> address = IpAddress::parse(address_text);
    // "any" has no length of its own to cut.
    if (!address || address_text == "any") {
        return invalid(text, kWhat);
    }
    Prefix prefix{*address, 0};
    prefix.length = prefix.max_length();
    if (slash == std::string_view::npos) {
        return prefix;
    }
    const std::string_view digits = text.substr(slash + 1);
    std::uint8_t length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size()) {
        return invalid(text, kWhat);
    }
    if (length > prefix.max_length()) {
        return invalid(
            text, fmt::format("{}: its length is at most {}", kWhat, prefix.max_length())
        );
    }
    prefix.length = length;
    return prefix;
}

std::string Prefix::to_string() const {
    return fmt::format("{}/{}", address.to_string(), length);
}

Prefix Prefix::network() const noexcept {
    return {IpAddress::from_v6(masked(address, length)), length};
}

bool Prefix::contains(const IpAddress& other) const noexcept {
    return address.is_v4() == other.is_v4() && masked(address, length) == masked(other, length);
}

}  // namespace culvert::net
