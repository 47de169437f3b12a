// SPDX-License-Identifier: BSD-3-Clause
// Expected strings are what `bridge` of iproute2 6.1 prints for the same set-up.
#include "test/unit/control/command_fixture.hpp"

#include <algorithm>

namespace culvert::control::test {

namespace {

struct FdbLab : CommandFixture {
    FdbLab() {
        add_port(0);
        add_port(1);
        run("addr add 192.0.2.1/24 dev port0");
        run("link add br0 address 02:00:00:00:00:aa type bridge");
        run("link add vx0 address 02:00:00:00:00:bb type vxlan id 42 remote 192.0.2.2 local "
            "192.0.2.1 dev port0 dstport 4789");
        run("link set vx0 master br0 up");
        run("link set port1 master br0");
        run("link set br0 up");
    }

    // The lines, in an order of our own: a hash table has none.
    std::vector<std::string> lines(const std::string& command) {
        std::vector<std::string> found;
        std::istringstream text(run(command));
        for (std::string line; std::getline(text, line);) {
            found.push_back(line);
        }
        std::sort(found.begin(), found.end());
        return found;
    }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(
    FdbLab, "UI-FDB-05 fdb show prints bridge's lines, one a remote", "[control][command]"
) {
    run("bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.3");
    run("bridge fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.4 vni 7 port 5000 static");
    run("bridge fdb add 02:00:00:00:00:02 dev vx0 dst 192.0.2.4 dynamic router");
    run("bridge fdb add 02:00:00:00:00:02 dev vx0 master static");
    run("bridge fdb add 02:00:00:00:00:03 dev port1 master dynamic");
    CHECK(
        lines("fdb show dev vx0 self") ==
        Lines{
            "00:00:00:00:00:00 dst 192.0.2.2 via port0 self permanent",
            "00:00:00:00:00:00 dst 192.0.2.3 self permanent",
            "02:00:00:00:00:01 dst 192.0.2.4 port 5000 vni 7 self static",
            "02:00:00:00:00:02 dst 192.0.2.4 self router ",
        }
    );
    CHECK(lines("fdb show dev vx0 master static") == Lines{"02:00:00:00:00:02 master br0 static"});
    CHECK(lines("bridge fdb show brport port1 dynamic") == Lines{"02:00:00:00:00:03 master br0 "});
    auto all = lines("bridge fdb show");
    auto has = [&](const char* line) {
        return std::find(all.begin(), all.end(), line) != all.end();
    };
    CHECK(has("02:00:00:00:00:03 dev port1 master br0 "));
    CHECK(has("00:00:00:00:00:00 dev vx0 dst 192.0.2.3 self permanent"));
    CHECK(lines("fdb show br br0") == all);
    core->set_now_ms(5000);
    CHECK(
        lines("-s fdb show dev vx0 self static") ==
        Lines{"02:00:00:00:00:01 dst 192.0.2.4 port 5000 vni 7 used 4/4 self static"}
    );
}

TEST_CASE_METHOD(
    FdbLab, "UI-FDB-05 VXLAN-FDB-16 fdb show -j and get have bridge's keys", "[control][command]"
) {
    run("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.4 vni 7 port 5000 static");
    run("fdb add 02:00:00:00:00:03 dev port1 master dynamic");
    CHECK(
        json("fdb show dev vx0 self static").dump() ==
        R"([{"mac":"02:00:00:00:00:01","dst":"192.0.2.4","port":5000,"vni":7,"flags":["self"],"state":"static"}])"
    );
    CHECK(
        json("fdb get 02:00:00:00:00:03 br br0").dump() ==
        R"([{"mac":"02:00:00:00:00:03","ifname":"port1","flags":[],"master":"br0","state":""}])"
    );
    CHECK(
        json("fdb get 00:00:00:00:00:00 dev vx0 self").dump() ==
        R"([{"mac":"00:00:00:00:00:00","ifname":"vx0","dst":"192.0.2.2","viaIf":"port0","flags":["self"],"state":"permanent"}])"
    );
    CHECK(
        refused("fdb get 02:00:00:00:00:44 dev vx0 self", 2) ==
        "Error: fdb get 02:00:00:00:00:44 dev vx0: Fdb entry not found (ENOENT)"
    );
    auto entry = json("-s fdb get 02:00:00:00:00:03 dev port1")[0];
    CHECK(entry["used"] == 0);
    CHECK(entry["updated"] == 0);
}

TEST_CASE_METHOD(FdbLab, "fdb verbs refuse as the kernel does", "[control][command]") {
    run("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.4");
    CHECK(refused("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.5", 2)
              .starts_with("Error: fdb add 02:00:00:00:00:01: "));
    CHECK(refused("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.5", 2).ends_with("(EEXIST)"));
    CHECK(refused("fdb add 02:00:00:00:00:09 dev vx0", 2).ends_with("(EINVAL)"));
    CHECK(
        refused("fdb replace 00:00:00:00:00:00 dev vx0 dst 192.0.2.5", 2).ends_with("(EOPNOTSUPP)")
    );
    CHECK(refused("fdb del 02:00:00:00:00:44 dev vx0", 2).ends_with("(ENOENT)"));
    CHECK(refused("fdb add 02:00:00:00:00:09 dev vx0 dst 192.0.2.5 static dynamic", 1)
              .ends_with("only one of permanent, static and dynamic"));
    CHECK(refused("fdb add 02:00:00:00:00:09 dev port0", 2).ends_with("(EOPNOTSUPP)"));
    CHECK(refused("fdb add 02:00:00:00:00:09 dev port0 master", 2)
              .ends_with("it is in no bridge (EOPNOTSUPP)"));
    CHECK(
        refused("fdb add 02:00:00:00:00:09 dev port1 master dst 192.0.2.5", 2).ends_with("(EINVAL)")
    );
    CHECK(refused("fdb add 01:00:5e:00:00:01 dev port1 master", 2).ends_with("(EINVAL)"));
    run("fdb add 02:00:00:00:00:09 dev port1 master static");
    CHECK(refused("fdb add 02:00:00:00:00:09 dev vx0 master static", 2).ends_with("(EEXIST)"));
    CHECK(refused("fdb del 02:00:00:00:00:09 dev vx0 master", 2)
              .ends_with("there is no such entry (ENOENT)"));
    run("fdb replace 02:00:00:00:00:09 dev vx0 master static");
    run("fdb del 02:00:00:00:00:09 dev vx0 master");
    CHECK(
        refused("fdb get 02:00:00:00:00:09 br br0", 2) ==
        "Error: fdb get 02:00:00:00:00:09: Fdb entry not found (ENOENT)"
    );
    CHECK(refused("fdb get 02:00:00:00:00:09", 1).ends_with("\"dev\" or \"br\" is required"));
}

TEST_CASE_METHOD(
    FdbLab, "UI-FDB-02 an entry is permanent unless static or dynamic is said", "[control][command]"
) {
    run("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.4");
    run("fdb add 02:00:00:00:00:02 dev vx0 dst 192.0.2.4 static");
    run("fdb add 02:00:00:00:00:03 dev vx0 dst 192.0.2.4 temp self");
    run("fdb add 02:00:00:00:00:04 dev vx0 dst 192.0.2.4 dynamic");
    auto state = [&](const char* text) { return core->fdb().get(4, mac(text))->shadow.state; };
    REQUIRE(core->links().find("vx0")->id == 4);
    CHECK(state("02:00:00:00:00:01") == 0xc0);
    CHECK(state("02:00:00:00:00:02") == 0x42);
    CHECK(state("02:00:00:00:00:03") == 0x42);
    CHECK(state("02:00:00:00:00:04") == 0x02);
}

TEST_CASE_METHOD(
    FdbLab, "a bridge's static entry moves, a sticky one does not", "[control][command]"
) {
    const LinkId bridge = core->links().find("br0")->id;
    const LinkId tunnel = core->links().find("vx0")->id;
    run("fdb add 02:00:00:00:00:09 dev port1 master static");
    run("fdb add 02:00:00:00:00:08 dev port1 master static sticky");
    CHECK(refused("fdb add 02:00:00:00:00:07 dev port1 master sticky", 2)
              .ends_with("say static or dynamic (EINVAL)"));
    core->fdb().learn(bridge, mac("02:00:00:00:00:09"), tunnel, 1);
    core->fdb().learn(bridge, mac("02:00:00:00:00:08"), tunnel, 1);
    CHECK(
        lines("fdb show br br0 master static") ==
        Lines{
            "02:00:00:00:00:08 dev port1 sticky master br0 static",
            "02:00:00:00:00:09 dev vx0 master br0 static",
        }
    );
    // The ageing time's change leaves the rule as it is.
    run("link set br0 type bridge ageing_time 1000");
    run("fdb replace 02:00:00:00:00:09 dev port1 master static");
    core->fdb().learn(bridge, mac("02:00:00:00:00:09"), tunnel, 1);
    CHECK(lines("fdb show dev vx0 master static").size() == 1);
}

TEST_CASE_METHOD(
    FdbLab, "VXLAN-FDB-11 deleting the default remote needs its via", "[control][command]"
) {
    run("fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.3");
    run("fdb del 00:00:00:00:00:00 dev vx0 dst 192.0.2.2");
    CHECK(json("fdb get 00:00:00:00:00:00 dev vx0 self").size() == 2);
    run("fdb del 00:00:00:00:00:00 dev vx0 dst 192.0.2.2 via port0");
    CHECK(json("fdb get 00:00:00:00:00:00 dev vx0 self").size() == 1);
}

TEST_CASE_METHOD(FdbLab, "fdb flush deletes what fits", "[control][command]") {
    run("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.4 static");
    run("fdb add 02:00:00:00:00:02 dev vx0 dst 192.0.2.5 dynamic");
    run("fdb add 02:00:00:00:00:03 dev vx0 dst 192.0.2.5");
    run("fdb add 02:00:00:00:00:04 dev port1 master dynamic");
    run("fdb add 02:00:00:00:00:05 dev vx0 master dynamic");
    run("fdb flush dev vx0 dynamic");
    CHECK(json("fdb show dev vx0 self").size() == 3);
    run("fdb flush dev vx0 dst 192.0.2.5");
    CHECK(lines("fdb show dev vx0 self static").size() == 1);
    CHECK(json("fdb show dev vx0 self").size() == 2);
    run("fdb flush dev vx0");  // VXLAN-FDB-17: the flood list stays
    CHECK(
        lines("fdb show dev vx0 self") ==
        Lines{"00:00:00:00:00:00 dst 192.0.2.2 via port0 self permanent"}
    );
    run("fdb flush dev port1");
    CHECK(refused("fdb get 02:00:00:00:00:04 br br0", 2).ends_with("(ENOENT)"));
    CHECK(json("fdb get 02:00:00:00:00:05 br br0").size() == 1);
    run("fdb flush dev br0");
    CHECK(refused("fdb get 02:00:00:00:00:05 br br0", 2).ends_with("(ENOENT)"));
    CHECK(json("fdb get 02:00:00:00:00:aa br br0")[0]["state"] == "permanent");
    CHECK(refused("fdb flush dev port0", 2).ends_with("it is in no bridge (EOPNOTSUPP)"));
    CHECK(refused("fdb flush dev port1 self", 2).ends_with("(EOPNOTSUPP)"));
}

}  // namespace culvert::control::test
