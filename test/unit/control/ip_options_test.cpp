// SPDX-License-Identifier: BSD-3-Clause
// Options that answers bring back, by what Linux's ip_options_echo makes of the same.
#include "lib/control/ip_options.hpp"

#include <catch2/catch.hpp>

#include <vector>

namespace culvert::control::test {

namespace {

using Bytes = std::vector<std::uint8_t>;


std::optional<AnswerOptions> answer_to(const Bytes& options) {
    OptionContext context;
    context.received_at = 0x0a000001;
    context.source = 0x0a000009;
    context.now_ms = 0x01020304;
    context.is_ours = [](const void* /*whom*/, std::uint32_t address, LinkId) {
        return address == 0x0a000001;
    };
    return answer_options(options, context);
}

Bytes bytes_of(const std::optional<AnswerOptions>& answer) {
    REQUIRE(answer.has_value());
    return {answer->bytes.begin(), answer->bytes.begin() + static_cast<long>(answer->len)};
}

}  // namespace

TEST_CASE("ICMP-04 the recorded route comes back with us in it", "[control][options]") {
    CHECK(bytes_of(answer_to({})).empty());
    CHECK(
        bytes_of(answer_to({7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0})) ==
        Bytes{7, 11, 12, 10, 0, 0, 1, 10, 0, 0, 9, 0}
    );
    SECTION("room for one") {
        CHECK(
            bytes_of(answer_to({7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0, 0})) ==
            Bytes{7, 11, 12, 1, 2, 3, 4, 10, 0, 0, 1, 0}
        );
    }
    SECTION("full") {
        CHECK(bytes_of(answer_to({1, 7, 7, 8, 1, 2, 3, 4})) == Bytes{7, 7, 8, 1, 2, 3, 4, 0});
    }
    SECTION("an address and a half") {
        CHECK_FALSE(answer_to({7, 6, 4, 0, 0, 0, 0, 0}).has_value());
    }
}

TEST_CASE("ICMP-04 time stamps come back with ours in them", "[control][options]") {
    CHECK(
        bytes_of(answer_to({68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0})) ==
        Bytes{68, 12, 13, 0, 1, 2, 3, 4, 1, 2, 3, 4}
    );
    CHECK(
        bytes_of(answer_to({68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0})) ==
        Bytes{68, 12, 13, 1, 10, 0, 0, 1, 1, 2, 3, 4}
    );
    SECTION("of addresses that the sender names: ours in turn, no other") {
        CHECK(
            bytes_of(answer_to({68, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0})) ==
            Bytes{68, 12, 13, 3, 10, 0, 0, 1, 1, 2, 3, 4}
        );
        const Bytes other{68, 12, 5, 3, 10, 0, 0, 7, 0, 0, 0, 0};
        CHECK(bytes_of(answer_to(other)) == other);
    }
    SECTION("full: one more came too late") {
        CHECK(bytes_of(answer_to({68, 4, 5, 0x20})) == Bytes{68, 4, 5, 0x30});
        CHECK_FALSE(answer_to({68, 4, 5, 0xf0}).has_value());
    }
}

TEST_CASE("ICMP-04 options cut off or twice are malformed", "[control][options]") {
    const Bytes whole{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    CHECK(bytes_of(answer_to(whole)).size() == 24);
    for (std::size_t len = 1; len < 23; ++len) {
        CAPTURE(len);
        const bool is_whole_option = len == 11;
        CHECK(
            answer_to(Bytes(whole.begin(), whole.begin() + static_cast<long>(len))).has_value() ==
            is_whole_option
        );
    }
    CHECK_FALSE(answer_to({7, 3, 4, 7, 3, 4, 0, 0}).has_value());
    CHECK_FALSE(answer_to({7, 3, 3, 0}).has_value());
    CHECK_FALSE(answer_to({30, 1, 0, 0}).has_value());
    CHECK(bytes_of(answer_to({148, 4, 0, 0})).empty());
}

}  // namespace culvert::control::test
