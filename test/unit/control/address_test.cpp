// SPDX-License-Identifier: BSD-3-Clause
// Addresses with a peer, and such as are not for ever. Expected strings are what `ip` of iproute2
// 6.1 prints.
#include "test/unit/control/vrf_machine.hpp"

namespace culvert::control::test {

TEST_CASE("UI-ADDR-01 an address with a peer has the peer's network", "[control][command]") {
    VrfMachine machine;
    machine.run("addr add 10.0.0.1 peer 10.0.0.2/32 dev port0");
    CHECK(
        machine.run("route show") == "10.0.0.2 dev port0 proto kernel scope link src 10.0.0.1 \n"
    );
    CHECK(
        machine.run("addr show dev port0")
            .find("    inet 10.0.0.1 peer 10.0.0.2/32 scope global port0\n") != std::string::npos
    );
    CHECK(
        machine.run("-j addr show dev port0").find("\"address\":\"10.0.0.2\"") != std::string::npos
    );
    machine.know(0, "10.0.0.2");
    CHECK(machine.run("route get 10.0.0.2").starts_with("10.0.0.2 dev port0 src 10.0.0.1"));
    // Another peer makes another address; the same one is there.
    machine.run("addr add 10.0.0.1 peer 10.0.1.2/24 dev port0");
    CHECK(machine.run("route show").find("10.0.1.0/24 dev port0") != std::string::npos);
    (void)machine.refused("addr add 10.0.0.1 peer 10.0.1.9/24 dev port0");
    (void)machine.refused("addr del 10.0.0.1/32 dev port0");
    machine.run("addr del 10.0.0.1 peer 10.0.0.2/32 dev port0");
    CHECK(
        machine.run("route show") == "10.0.1.0/24 dev port0 proto kernel scope link src 10.0.0.1 \n"
    );
    machine.run("addr flush dev port0");
    CHECK(machine.run("route show").empty());
    machine.run("addr add 2001:db8::1 peer 2001:db8::2/64 dev port0 nodad");
    CHECK(
        machine.run("-6 route show") ==
        "2001:db8::2 dev port0 proto kernel metric 256 pref medium\n"
        "2001:db8::/64 dev port0 proto kernel metric 256 pref medium\n"
    );
    machine.run("addr del 2001:db8::1/64 dev port0");
    CHECK(machine.run("-6 route show").empty());
    (void)machine.refused("addr add 10.0.0.1 peer 2001:db8::2/64 dev port0");
}

TEST_CASE("UI-ADDR-01 an address ends when its time has come", "[control][command]") {
    VrfMachine machine;
    const bool is_ip6 = GENERATE(false, true);
    const std::string own = is_ip6 ? "2001:db8::1/64" : "192.0.2.1/24";
    const std::string more = is_ip6 ? " nodad" : "";
    machine.run("addr add " + own + " dev port0 valid_lft 100 preferred_lft 40" + more);
    const auto shown = [&] { return machine.run("addr show dev port0"); };
    const auto has = [&](const std::string& text) {
        return shown().find(text) != std::string::npos;
    };
    CHECK(has("valid_lft 100sec preferred_lft 40sec"));
    CHECK(has("dynamic"));
    const std::uint64_t start = machine.core().now_ms();
    machine.core().set_now_ms(start + 30000);
    machine.settle();
    CHECK(has("valid_lft 70sec preferred_lft 10sec"));
    CHECK_FALSE(has("deprecated"));
    machine.core().set_now_ms(start + 40000);
    machine.settle();
    CHECK(has("valid_lft 60sec preferred_lft 0sec"));
    CHECK(has("deprecated"));
    const std::string routes = is_ip6 ? "-6 route show" : "route show";
    CHECK_FALSE(machine.run(routes).empty());
    SECTION("it goes") {
        machine.core().set_now_ms(start + 100000);
        machine.settle();
        CHECK_FALSE(has(own));
        CHECK(machine.run(routes).empty());
    }
    SECTION("replaced, it stays") {
        machine.run("addr replace " + own + " dev port0" + more);
        CHECK(has("valid_lft forever preferred_lft forever"));
        CHECK_FALSE(has("dynamic"));
        machine.core().set_now_ms(start + 100000);
        machine.settle();
        CHECK(has(own));
    }
}

TEST_CASE("UI-ADDR-01 what lifetimes may be", "[control][command]") {
    VrfMachine machine;
    CHECK(
        machine.refused("addr add 192.0.2.1/24 dev port0 valid_lft 5")
            .find("preferred_lft is missing") != std::string::npos
    );
    CHECK(
        machine.refused("addr add 192.0.2.1/24 dev port0 valid_lft 5 preferred_lft 6")
            .find("preferred_lft is greater than valid_lft") != std::string::npos
    );
    CHECK(
        machine.refused("addr add 192.0.2.1/24 dev port0 valid_lft 0 preferred_lft 0")
            .find("valid_lft") != std::string::npos
    );
    machine.run("addr add 192.0.2.1/24 dev port0 valid_lft forever preferred_lft 0");
    CHECK(
        machine.run("addr show dev port0").find("valid_lft forever preferred_lft 0sec") !=
        std::string::npos
    );
    // Whoever is deprecated is the last to be sent from.
    machine.run("addr add 2001:db8::1/64 dev port0 nodad valid_lft 90 preferred_lft 0");
    machine.run("addr add 2001:db8::ff/64 dev port0 nodad");
    CHECK(machine.run("route get 2001:db8::2").find("src 2001:db8::ff ") != std::string::npos);
}

TEST_CASE("UI-RT-01 what routes can not have is refused by its name", "[control][command]") {
    VrfMachine machine;
    machine.run("addr add 192.0.2.1/24 dev port0");
    CHECK(machine.refused("route add 10.0.0.0/8 nhid 7").find("nhid") != std::string::npos);
    CHECK(
        machine.refused("route add 10.0.0.0/8 encap mpls 100 via 192.0.2.2").find("mpls") !=
        std::string::npos
    );
    CHECK(
        machine.refused("-6 route add 2001:db8::/32 tos 0x10 dev port0")
            .find("Invalid dsfield (tos): option not available for IPv6") != std::string::npos
    );
    CHECK(
        machine.refused("route add 10.0.0.0/8 tos 0x11 via 192.0.2.2").find("ECN bits must be 0") !=
        std::string::npos
    );
    machine.run("route add 10.0.0.0/8 via 192.0.2.2");
    machine.run("route add 10.0.0.0/8 tos 10 via 192.0.2.3");
    machine.run("route add 10.0.0.0/8 tos AF11 via 192.0.2.4");
    CHECK(
        machine.run("route show 10.0.0.0/8") == "10.0.0.0/8 tos AF11 via 192.0.2.4 dev port0 \n"
                                                "10.0.0.0/8 tos 0x10 via 192.0.2.3 dev port0 \n"
                                                "10.0.0.0/8 via 192.0.2.2 dev port0 \n"
    );
    CHECK(machine.run("route show tos 0x10") == "10.0.0.0/8 tos 0x10 via 192.0.2.3 dev port0 \n");
    CHECK(machine.run("route get 10.1.1.1 tos 0x10")
              .starts_with("10.1.1.1 tos 0x10 via 192.0.2.3 dev port0 src 192.0.2.1"));
    CHECK(machine.run("route get 10.1.1.1").starts_with("10.1.1.1 via 192.0.2.2"));
    CHECK(machine.run("-j route show tos 0x10").find("\"tos\":\"0x10\"") != std::string::npos);
    machine.run("route flush tos 0x10");
    CHECK(machine.run("route get 10.1.1.1 tos 0x10").find("via 192.0.2.2") != std::string::npos);
}

}  // namespace culvert::control::test
