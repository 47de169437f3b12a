// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/icmp_limit.hpp"

#include <catch2/catch.hpp>

namespace culvert::control::test {

namespace {

const auto kHost = net::IpAddress::from_v4(0xc0000202);

int permitted_to_host(IcmpLimit& limit, std::uint64_t now_ms, int wanted) {
    int permitted = 0;
    for (int i = 0; i < wanted; ++i) {
        permitted += limit.permits_to(kHost, now_ms, IcmpLimit::kTimeoutMs) ? 1 : 0;
    }
    return permitted;
}

}  // namespace

TEST_CASE("GOLD-13 ICMP-05 one host: six at once, then one a second", "[control][icmp]") {
    IcmpLimit limit;
    CHECK(permitted_to_host(limit, 5000, 20) == 6);
    CHECK(permitted_to_host(limit, 5999, 20) == 0);
    CHECK(permitted_to_host(limit, 6000, 20) == 1);
    CHECK(permitted_to_host(limit, 7000, 20) == 1);
    CHECK(permitted_to_host(limit, 20000, 20) == 6);
}

TEST_CASE("GOLD-13 ICMP-05 all hosts: about 50 at once, then 1000 a second", "[control][icmp]") {
    IcmpLimit limit;
    const auto permitted = [&](std::uint64_t now_ms) {
        int count = 0;
        for (int i = 0; i < 1000; ++i) {
            count += limit.permits(now_ms) ? 1 : 0;
        }
        return count;
    };
    // A message costs 0, 1 or 2.
    const int first = permitted(1000);
    CHECK(first >= 25);
    CHECK(first <= 110);
    CHECK(permitted(1019) == 0);
    int later = 0;
    for (std::uint64_t now = 1020; now < 6000; now += 20) {
        later += permitted(now);
    }
    CHECK(later > 4000);
    CHECK(later < 6500);
}

TEST_CASE("refusing routes take the host's tokens, too", "[control][icmp]") {
    IcmpLimit limit;
    // ip_error and the message each take one: of the 5 that a rest saves up, two messages leave.
    int sent = 0;
    for (int i = 0; i < 20; ++i) {
        sent += limit.permits_route_error(kHost, 9000) &&
                        limit.permits_to(kHost, 9000, IcmpLimit::kTimeoutMs)
                    ? 1
                    : 0;
    }
    CHECK(sent == 2);
}

TEST_CASE(
    "ICMP-05 hosts that have rested are forgotten, and memory is bounded", "[control][icmp]"
) {
    IcmpLimit limit;
    for (std::uint32_t i = 0; i < 200000; ++i) {
        (void)limit.permits_to(net::IpAddress::from_v4(i), 1000 + i / 100, IcmpLimit::kTimeoutMs);
    }
    CHECK(limit.hosts() <= 65536);
    (void)limit.permits_to(net::IpAddress::from_v4(0xffffff), 100000, IcmpLimit::kTimeoutMs);
    CHECK(limit.hosts() == 1);
}

}  // namespace culvert::control::test
