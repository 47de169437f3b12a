// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/address.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

namespace culvert::net {
namespace {

IpAddress ip(std::string_view text) {
    Result<IpAddress> address = IpAddress::parse(text);
    REQUIRE(address);
    return *address;
}

Prefix prefix(std::string_view text) {
    Result<Prefix> parsed = Prefix::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

TEST_CASE("ip address: text to address and back", "[net]") {
    struct Case {
        const char* text;
        Family family;
        const char* printed;
    };

    const auto c = GENERATE(values<Case>({
        {"192.0.2.1", Family::ipv4, "192.0.2.1"},
        {"0.0.0.0", Family::ipv4, "0.0.0.0"},
        {"any", Family::ipv4, "0.0.0.0"},
        {"255.255.255.255", Family::ipv4, "255.255.255.255"},
        {"::", Family::ipv6, "::"},
        {"::1", Family::ipv6, "::1"},
        {"2001:DB8:0:0:1:0:0:1", Family::ipv6, "2001:db8::1:0:0:1"},
        {"fe80::2", Family::ipv6, "fe80::2"},
        {"1111:2222:3333:4444:5555:6666:7777:8888",
         Family::ipv6,
         "1111:2222:3333:4444:5555:6666:7777:8888"},
    }));
    const IpAddress address = ip(c.text);
    CHECK(address.family() == c.family);
    CHECK(address.to_string() == c.printed);
    CHECK(ip(c.printed) == address);
}

TEST_CASE("ip address: text that is none is refused and quoted in the error", "[net]") {
    const std::string text = GENERATE(
        "",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1.1",
        "192.0.2.1 ",
        "0x7f.1",
        "192.0.2.1/24",
        "2001:db8::1::2",
        "2001:db8::g",
        "fe80::1%eth0",
        "::ffff:192.0.2.1",
        "localhost",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"
    );
    const Result<IpAddress> address = IpAddress::parse(text);
    REQUIRE_FALSE(address);
    CHECK(address.error().code == std::errc::invalid_argument);
    CHECK(address.error().what.find("\"" + text + "\"") != std::string::npos);
}

TEST_CASE("ip address: a NUL within the text does not end it", "[net]") {
    CHECK_FALSE(IpAddress::parse(std::string_view("192.0.2.1\0x", 11)));
}

TEST_CASE("ip address: IPv4 lies in the mapped range and converts both ways", "[net]") {
    const IpAddress address = IpAddress::from_v4(0xc0000201);
    CHECK(address == ip("192.0.2.1"));
    CHECK(address.v4() == 0xc0000201);
    CHECK(
        address.bytes() ==
        std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}
    );
    CHECK(IpAddress{} == ip("::"));
}

TEST_CASE("ip address: unspecified, multicast, loopback", "[net]") {
    struct Case {
        const char* text;
        bool unspecified;
        bool multicast;
        bool loopback;
    };

    const auto c = GENERATE(values<Case>({
        {"0.0.0.0", true, false, false},
        {"::", true, false, false},
        {"0.0.0.1", false, false, false},
        {"::1", false, false, true},
        {"::2", false, false, false},
        {"1::1", false, false, false},
        {"126.255.255.255", false, false, false},
        {"127.0.0.0", false, false, true},
        {"127.255.255.255", false, false, true},
        {"223.255.255.255", false, false, false},
        {"224.0.0.0", false, true, false},
        {"239.255.255.255", false, true, false},
        {"240.0.0.0", false, false, false},
        {"ff02::1", false, true, false},
        {"fe80::1", false, false, false},
    }));
    const IpAddress address = ip(c.text);
    CHECK(address.is_unspecified() == c.unspecified);
    CHECK(address.is_multicast() == c.multicast);
    CHECK(address.is_loopback() == c.loopback);
}

TEST_CASE("prefix: text to prefix and back", "[net]") {
    struct Case {
        const char* text;
        const char* printed;
    };

    const auto c = GENERATE(values<Case>({
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.1.2.3/8", "10.1.2.3/8"},
        {"10.1.2.3", "10.1.2.3/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"default", "0.0.0.0/0"},
        {"any", "0.0.0.0/0"},
        {"2001:db8::/32", "2001:db8::/32"},
        {"2001:db8::1", "2001:db8::1/128"},
        {"::/0", "::/0"},
    }));
    CHECK(prefix(c.text).to_string() == c.printed);
}

TEST_CASE("prefix: text that is none is refused and quoted in the error", "[net]") {
    const std::string text = GENERATE(
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/ 8",
        "10.0.0.0/8x",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "10.0.0.0/0x8",
        "::/129",
        "any/8",
        "10.0.0/8"
    );
    const Result<Prefix> parsed = Prefix::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == std::errc::invalid_argument);
    CHECK(parsed.error().what.find("\"" + text + "\"") != std::string::npos);
}

TEST_CASE("prefix: the network is the address without host bits", "[net]") {
    struct Case {
        const char* text;
        const char* network;
    };

    const auto c = GENERATE(values<Case>({
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.255/25", "10.1.2.128/25"},
        {"10.1.2.3/32", "10.1.2.3/32"},
        {"255.255.255.255/0", "0.0.0.0/0"},
        {"255.255.255.255/1", "128.0.0.0/1"},
        {"2001:db8:ffff::1/33", "2001:db8:8000::/33"},
        {"ffff::1/0", "::/0"},
        {"ffff::ff/127", "ffff::fe/127"},
    }));
    CHECK(prefix(c.text).network() == prefix(c.network));
}

TEST_CASE("prefix: contains addresses of its own family only", "[net]") {
    struct Case {
        const char* prefix;
        const char* address;
        bool contained;
    };

    const auto c = GENERATE(values<Case>({
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "192.0.2.1", false},
        {"::/0", "2001:db8::1", true},
        {"10.0.0.1/32", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.0", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
    }));
    CHECK(prefix(c.prefix).contains(ip(c.address)) == c.contained);
}

}  // namespace
}  // namespace culvert::net
