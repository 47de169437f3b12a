// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/ip_options.hpp"

#include "lib/net/checksum.hpp"
#include "lib/net/endian.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <chrono>
#include <cstring>

namespace culvert::control {

namespace {

constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kNop = 1;
constexpr std::uint8_t kRecordRoute = 7;
constexpr std::uint8_t kTimeStamp = 68;

// Of a time stamp option's lower four bits.
constexpr std::uint8_t kTimeAndAddress = 1;
constexpr std::uint8_t kPrespecified = 3;

constexpr std::size_t kAddressLen = 4;

// One option, from its type on. Its pointer counts from 1.
using Option = std::span<std::uint8_t>;

void put(Option option, std::size_t pointer, std::uint32_t value) {
    const net::Be32 wire{value};
    std::memcpy(&option[pointer - 1], &wire, sizeof(wire));
}

std::uint32_t get(std::span<const std::uint8_t> option, std::size_t pointer) {
    net::Be32 wire{};
    std::memcpy(&wire, &option[pointer - 1], sizeof(wire));
    return wire.host();
}

// Whether `bytes` more fit behind the pointer.
bool has_room(Option option, std::size_t bytes) {
    return option[2] + bytes - 1 <= option.size();
}

// Each of these: false = malformed.

// Where it was taken, and from where the answer goes.
bool record(Option option, const OptionContext& context) {
    for (const std::uint32_t address : {context.received_at, context.source}) {
        if (option[2] > option.size()) {
            return true;  // full
        }
        if (!has_room(option, kAddressLen)) {
            return false;
        }
        put(option, option[2], address);
        option[2] = static_cast<std::uint8_t>(option[2] + kAddressLen);
    }
    return true;
}

bool stamp(Option option, const OptionContext& context) {
    const std::uint8_t kind = option[3] & 0x0f;
    const bool has_address = kind == kTimeAndAddress || kind == kPrespecified;
    const std::size_t len = has_address ? 2 * kAddressLen : kAddressLen;
    if (option[2] > option.size()) {
        // Full: who came too late is counted.
        const unsigned late = option[3] >> 4;
        if (kind != kPrespecified && late == 15) {
            return false;
        }
        option[3] =
            static_cast<std::uint8_t>(kind == kPrespecified ? option[3] : kind | ((late + 1) << 4));
        return true;
    }
    for (const std::uint32_t address : {context.received_at, context.source}) {
        if (option[2] > option.size()) {
            return true;
        }
        if (!has_room(option, len)) {
            return false;
        }
        if (kind == kPrespecified &&
            !context.is_ours(context.whom, get(option, option[2]), context.link_in)) {
            return true;  // another's turn
        }
        if (kind == kTimeAndAddress) {
            put(option, option[2], address);
        }
        put(option, option[2] + len - kAddressLen, context.now_ms);
        option[2] = static_cast<std::uint8_t>(option[2] + len);
    }
    return true;
}

// The option at the front. Empty = it is malformed.
Option front_option(std::span<std::uint8_t> options) {
    const std::uint8_t type = options[0];
    const std::size_t least = type == kTimeStamp ? 4 : 2;
    if (options.size() < 2 || options[1] < least || options[1] > options.size()) {
        return {};
    }
    const Option option = options.first(options[1]);
    const bool has_pointer = type == kRecordRoute || type == kTimeStamp;
    const std::uint8_t first = type == kTimeStamp ? 5 : 4;
    if (has_pointer && (option.size() < 3 || option[2] < first)) {
        return {};
    }
    return option;
}

}  // namespace

std::optional<AnswerOptions>
answer_options(std::span<const std::uint8_t> options, const OptionContext& context) {
    std::array<std::uint8_t, AnswerOptions::kMost> copy{};
    const std::size_t len = std::min(options.size(), copy.size());
    std::copy_n(options.begin(), len, copy.begin());
    // The answer's order is fixed: route, time. Packets with a source route do not get here
    // (RT-12).
    Option route;
    Option times;
    for (std::span<std::uint8_t> rest(copy.data(), len); !rest.empty() && rest[0] != kEnd;) {
        if (rest[0] == kNop) {
            rest = rest.subspan(1);
            continue;
        }
        const Option option = front_option(rest);
        if (option.empty()) {
            return std::nullopt;
        }
        if (option[0] == kRecordRoute || option[0] == kTimeStamp) {
            Option& place = option[0] == kTimeStamp ? times : route;
            if (!place.empty()) {
                return std::nullopt;
            }
            place = option;
        }
        rest = rest.subspan(option.size());
    }
    if ((!route.empty() && !record(route, context)) || (!times.empty() && !stamp(times, context))) {
        return std::nullopt;
    }
    AnswerOptions answer;
    for (const Option& option : {route, times}) {
        std::copy(
            option.begin(), option.end(), answer.bytes.begin() + static_cast<long>(answer.len)
        );
        answer.len += option.size();
    }
    answer.len = (answer.len + 3) & ~std::size_t{3};
    return answer;
}

std::span<const std::uint8_t>
options_of(const rte_mbuf* packet, std::size_t offset, std::size_t header_len) {
    if (header_len <= sizeof(net::Ipv4Header) || offset + header_len > packet->data_len) {
        return {};
    }
    return {
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset + sizeof(net::Ipv4Header)),
        header_len - sizeof(net::Ipv4Header)};
}

OptionContext option_context(const route::Routing& routing, LinkId link_in) {
    OptionContext context;
    context.now_ms = ms_since_midnight();
    context.whom = &routing;
    context.link_in = link_in;
    context.is_ours = [](const void* whom, std::uint32_t address, LinkId near) {
        const auto* known = static_cast<const route::Routing*>(whom);
        return known->is_local(net::IpAddress::from_v4(address), near);
    };
    return context;
}

void put_header(std::uint8_t* data, net::Ipv4Header ip, const AnswerOptions& options) {
    const std::size_t len = sizeof(ip) + options.len;
    ip.version_and_ihl = static_cast<std::uint8_t>(net::kIpv4VersionIhl + options.len / 4);
    std::memcpy(data, &ip, sizeof(ip));
    std::memcpy(data + sizeof(ip), options.bytes.data(), options.len);
    auto& in_place = *reinterpret_cast<net::Ipv4Header*>(data);
    in_place.checksum = net::ipv4_header_checksum(in_place, len);
}

std::uint32_t ms_since_midnight() {
    using namespace std::chrono;
    const auto now = system_clock::now().time_since_epoch();
    return static_cast<std::uint32_t>(duration_cast<milliseconds>(now % hours(24)).count());
}

}  // namespace culvert::control
