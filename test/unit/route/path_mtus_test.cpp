// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/path_mtus.hpp"

#include <catch2/catch.hpp>

namespace culvert::route::test {

namespace {

const auto kFar = net::IpAddress::from_v4(0xcb007109);

}  // namespace

TEST_CASE("RT-11 IPIP-ERR-07 a learned path MTU holds for ten minutes", "[route][mtu]") {
    PathMtus known;
    CHECK(known.find(kFar) == nullptr);
    CHECK(known.learn(kFar, 1400, 1500, 1000));
    REQUIRE(known.find(kFar) != nullptr);
    CHECK(known.find(kFar)->mtu == 1400);
    CHECK_FALSE(known.find(kFar)->locked);
    CHECK(known.next_ms() == 601000);
    CHECK_FALSE(known.tick(600999));
    CHECK(known.tick(601000));
    CHECK(known.find(kFar) == nullptr);
    CHECK(known.next_ms() == UINT64_MAX);
}

TEST_CASE("RT-11 IPIP-ERR-07 less than 552 is not believed, and DF goes", "[route][mtu]") {
    PathMtus known;
    CHECK(known.learn(kFar, 68, 1500, 0));
    CHECK(known.find(kFar)->mtu == 552);
    CHECK(known.find(kFar)->locked);
    PathMtus narrow;
    CHECK(narrow.learn(kFar, 0, 500, 0));
    CHECK(narrow.find(kFar)->mtu == 500);
}

TEST_CASE(
    "RT-11 no router makes an MTU larger, and what is known already is no change", "[route][mtu]"
) {
    PathMtus known;
    CHECK_FALSE(known.learn(kFar, 1501, 1500, 0));
    CHECK(known.find(kFar) == nullptr);
    CHECK(known.learn(kFar, 1400, 1500, 0));
    CHECK_FALSE(known.learn(kFar, 1400, 1400, 5000));
    CHECK_FALSE(known.tick(600000));
    CHECK(known.tick(605000));
}

TEST_CASE("RT-11 memory is bounded: the oldest makes room", "[route][mtu]") {
    PathMtus known;
    for (std::uint32_t i = 0; i < 2 * PathMtus::kMost; ++i) {
        CHECK(known.learn(net::IpAddress::from_v4(i + 1), 1400, 1500, i));
    }
    CHECK(known.size() == PathMtus::kMost);
    CHECK(known.find(net::IpAddress::from_v4(1)) == nullptr);
    CHECK(known.find(net::IpAddress::from_v4(2 * PathMtus::kMost)) != nullptr);
}

}  // namespace culvert::route::test
