// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib6_by_length.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <string>

namespace culvert::route::test {

namespace {

net::Prefix prefix(const std::string& text) {
    return net::Prefix::parse(text).value().network();
}

Fib6ByLength::Address address(const std::string& text) {
    return net::IpAddress::parse(text).value().bytes();
}

}  // namespace

TEST_CASE("a VRF's IPv6 table finds the longest prefix", "[route][fib6]") {
    rcu::Domain domain(1);
    Fib6ByLength fib(domain, 100);
    CHECK(fib.lookup(address("2001:db8::1")) == 0);
    REQUIRE(fib.set(prefix("::/0"), 1));
    REQUIRE(fib.set(prefix("2001:db8::/32"), 2));
    REQUIRE(fib.set(prefix("2001:db8:0:1::/64"), 3));
    REQUIRE(fib.set(prefix("2001:db8:0:1::/65"), 4));
    REQUIRE(fib.set(prefix("2001:db8::1/128"), 5));
    CHECK(fib.lookup(address("2001:db9::")) == 1);
    CHECK(fib.lookup(address("2001:db8:5::")) == 2);
    CHECK(fib.lookup(address("2001:db8:0:1:8000::")) == 3);
    CHECK(fib.lookup(address("2001:db8:0:1::1")) == 4);
    CHECK(fib.lookup(address("2001:db8::1")) == 5);
    REQUIRE(fib.set(prefix("2001:db8::1/128"), 6));
    CHECK(fib.lookup(address("2001:db8::1")) == 6);
    REQUIRE(fib.erase(prefix("2001:db8::1/128")));
    CHECK(fib.lookup(address("2001:db8::1")) == 2);
    REQUIRE(fib.erase(prefix("::/0")));
    CHECK(fib.lookup(address("2001:db9::")) == 0);
    CHECK(fib.erase(prefix("::/0")).error().code == std::errc::no_such_file_or_directory);
    CHECK(fib.size() == 3);
    while (domain.retired_count() != 0) {
        domain.synchronize();
    }
}

TEST_CASE("a VRF's IPv6 table answers as a list of prefixes does", "[route][fib6]") {
    rcu::Domain domain(1);
    Fib6ByLength fib(domain, 1000);
    std::map<net::Prefix, AdjacencyId> model;
    std::mt19937 random(7);
    const auto any = [&] {
        Fib6ByLength::Address bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bytes.at(i) = static_cast<std::uint8_t>(random() % 2 == 0 ? 0 : 0xff);
        }
        bytes[0] |= 0x20;  // not an IPv4 address by chance
        return bytes;
    };
    for (AdjacencyId step = 1; step < 2000; ++step) {
        const auto length = static_cast<std::uint8_t>(random() % 129);
        const net::Prefix one = net::Prefix{net::IpAddress::from_v6(any()), length}.network();
        if (random() % 3 != 0) {
            if (fib.set(one, step)) {
                model[one] = step;
            }
        } else if (model.erase(one) != 0) {
            REQUIRE(fib.erase(one));
        }
        const Fib6ByLength::Address asked = any();
        AdjacencyId expected = 0;
        int best = -1;
        for (const auto& [candidate, id] : model) {
            if (candidate.contains(net::IpAddress::from_v6(asked)) && candidate.length > best) {
                best = candidate.length;
                expected = id;
            }
        }
        AdjacencyId found = 0;
        fib.lookup_bulk(&asked, &found, 1);
        REQUIRE(found == expected);
        domain.reclaim();
    }
    CHECK(fib.size() == model.size());
    while (domain.retired_count() != 0) {
        domain.synchronize();
    }
}

}  // namespace culvert::route::test
