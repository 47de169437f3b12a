// SPDX-License-Identifier: BSD-3-Clause
// IPv4 options that an answer brings back to whoever sent them (ICMP-04; ip_options_compile, _echo
// and _build as one): the recorded route and time stamps. Control only.
#pragma once

#include "lib/net/ipv4.hpp"
#include "lib/route/routing.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

struct rte_mbuf;

namespace culvert::control {

// What is asked for while options are made; addresses in host order.
struct OptionContext {
    std::uint32_t received_at = 0;  // our address that took it
    std::uint32_t source = 0;       // of the answer
    std::uint32_t now_ms = 0;       // since midnight, UTC
    LinkId link_in = kNoLink;
    bool (*is_ours)(const void* whom, std::uint32_t address, LinkId link_in) = nullptr;
    const void* whom = nullptr;
};

struct AnswerOptions {
    static constexpr std::size_t kMost = 40;

    std::array<std::uint8_t, kMost> bytes{};
    std::size_t len = 0;  // a multiple of 4
};

// The answer's options to a packet that had `options`. Nothing: those are malformed, and the packet
// is not answered.
[[nodiscard]] std::optional<AnswerOptions>
answer_options(std::span<const std::uint8_t> options, const OptionContext& context);

// Of a packet whose IPv4 header, `header_len` bytes of it, is at `offset`; empty if they are not in
// its first segment.
[[nodiscard]] std::span<const std::uint8_t>
options_of(const rte_mbuf* packet, std::size_t offset, std::size_t header_len);
// What the context has but for our own addresses.
[[nodiscard]] OptionContext option_context(const route::Routing& routing, LinkId link_in);
// The header, whose length and checksum are completed, and the options behind it.
void put_header(std::uint8_t* data, net::Ipv4Header ip, const AnswerOptions& options);

// Milliseconds since midnight, UTC (RFC 791, 3.1).
[[nodiscard]] std::uint32_t ms_since_midnight();

}  // namespace culvert::control
