// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/ether.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace culvert::net {
namespace {

TEST_CASE("mac address: text to bytes and back", "[net]") {
    struct Case {
        const char* text;
        std::uint64_t value;
        const char* printed;
    };

    const auto c = GENERATE(values<Case>({
        {"02:00:00:00:00:01", 0x020000000001, "02:00:00:00:00:01"},
        {"AA-bb-CC-dd-EE-ff", 0xaabbccddeeff, "aa:bb:cc:dd:ee:ff"},
        {"0:1:2:3:4:5", 0x000102030405, "00:01:02:03:04:05"},
        {"ff:ff:ff:ff:ff:ff", 0xffffffffffff, "ff:ff:ff:ff:ff:ff"},
    }));
    const Result<MacAddress> mac = MacAddress::parse(c.text);
    REQUIRE(mac);
    CHECK(mac->value() == c.value);
    CHECK(mac->to_string() == c.printed);
    CHECK(MacAddress::from_value(c.value) == *mac);
}

TEST_CASE("mac address: text that is none is refused and quoted in the error", "[net]") {
    const std::string text = GENERATE(
        "",
        ":",
        "02:00:00:00:00",
        "02:00:00:00:00:",
        "02:00:00:00:00:01:02",
        "020:0:0:0:0:1",
        "02:00:00:00:00:0g",
        "02.00.00.00.00.01",
        "02:00:00:00:00:01 ",
        " 02:00:00:00:00:01",
        "020000000001",
        "02::00:00:00:01"
    );
    const Result<MacAddress> mac = MacAddress::parse(text);
    REQUIRE_FALSE(mac);
    CHECK(mac.error().code == std::errc::invalid_argument);
    CHECK(mac.error().what.find("\"" + text + "\"") != std::string::npos);
}

TEST_CASE("mac address: groups, broadcast and stations", "[net]") {
    struct Case {
        std::uint64_t value;
        bool multicast;
        bool broadcast;
        bool station;
    };

    const auto c = GENERATE(values<Case>({
        {0, false, false, false},
        {0x020000000001, false, false, true},
        {0x01005e000001, true, false, false},
        {0x333300000001, true, false, false},
        {0xffffffffffff, true, true, false},
    }));
    const MacAddress mac = MacAddress::from_value(c.value);
    CHECK(mac.is_multicast() == c.multicast);
    CHECK(mac.is_broadcast() == c.broadcast);
    CHECK(mac.is_valid_station() == c.station);
    CHECK(mac.is_zero() == (c.value == 0));
}

}  // namespace
}  // namespace culvert::net
