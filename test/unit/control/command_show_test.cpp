// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_events.hpp"
#include "test/unit/control/command_fixture.hpp"

namespace culvert::control::test {

namespace {

struct FakeSink final : EventSink {
    [[nodiscard]] bool wants(std::uint32_t objects) const override {
        return (wanted & objects) != 0;
    }

    void
    publish(std::uint32_t /*objects*/, const std::string& text, const std::string& json) override {
        texts += text;
        jsons.push_back(nlohmann::ordered_json::parse(json));
    }

    std::uint32_t wanted = 0;
    std::string texts;
    std::vector<nlohmann::ordered_json> jsons;
};

}  // namespace

TEST_CASE_METHOD(
    CommandFixture,
    "show drops lists what counted, per link, with its meaning",
    "[control][command]"
) {
    add_port(0);
    CHECK(json("show drops").empty());
    core->worker_counters(0).drop(1, pipeline::Drop::vxlan_unknown_vni, 3);
    core->own_counters().drop(kNoLink, pipeline::Drop::link_gone, 2);
    CHECK(
        json("show drops").dump() ==
        R"([{"link":"port0","direction":"rx","reason":"vxlan_unknown_vni","packets":3,)"
        R"x("help":"no vxlan link has this VNI on this port (VXLAN-RX-08)"},)x"
        R"({"link":"","direction":"tx","reason":"link_gone","packets":2,)"
        R"("help":"the link was deleted while the packet was on its way"}])"
    );
    CHECK(
        run("show drops").find("port0           rx            3 vxlan_unknown_vni ") !=
        std::string::npos
    );
    CHECK(json("-s show drops").size() == pipeline::kDropCount + 1);
}

TEST_CASE_METHOD(CommandFixture, "show lcores prints the workers' shares", "[control][command]") {
    pipeline::LoopCounters& loop = core->workers().front()->loop;
    loop.packets.add(100);
    loop.bursts.add(10);
    loop.cycles_busy.add(5000);
    loop.cycles_idle.add(15000);
    auto lcores = json("show lcores");
    REQUIRE(lcores.size() == 1);
    CHECK(lcores[0]["rx_packets"] == 100);
    CHECK(lcores[0]["cycles_per_packet"] == 50.0);
    CHECK(lcores[0]["busy"] == 0.25);
    CHECK(lcores[0]["burst_mean"] == 10.0);
    CHECK(lcores[0]["queues"].empty());
    CHECK(run("show lcores").find("25.0%") != std::string::npos);
}

TEST_CASE_METHOD(CommandFixture, "show process prints the conservation sum", "[control][command]") {
    core->own_counters().received.add(10);
    core->own_counters().consumed.add(10);
    auto process = json("show process");
    CHECK(process["rx"] == 10);
    CHECK(process["consumed"] == 10);
    CHECK(process["tx"] == 0);
    CHECK(process["drops"] == 0);
    CHECK(process["mbufs"]["total"] == pool->size);
    CHECK(process["mbufs"]["free"] == pool->size);
    const std::string size = std::to_string(pool->size);
    CHECK(
        run("show process").find("packet buffers: " + size + " of " + size + " free") !=
        std::string::npos
    );
}

TEST_CASE_METHOD(CommandFixture, "show tunnels tells why one cannot send", "[control][command]") {
    add_port(0);
    run("link add vx0 type vxlan id 42 remote 198.51.100.9");
    run("link set vx0 up");
    auto tunnel = json("show tunnels")[0];
    CHECK(tunnel["link"] == "vx0");
    CHECK(tunnel["remote"] == "198.51.100.9");
    CHECK(tunnel["vni"] == 42);
    CHECK(tunnel["state"] == "no_route");
    CHECK(tunnel["reason"].get<std::string>().find("no route") != std::string::npos);
    CHECK(run("show tunnels").starts_with("vx0: remote 198.51.100.9 vni 42 port 8472 no_route ("));
}

TEST_CASE_METHOD(CommandFixture, "show port names ports that are not there", "[control][command]") {
    CHECK(json("show port info all").empty());
    CHECK(
        refused("show port stats 7", 2) ==
        "Error: show port stats 7: there is no port \"7\" (ENODEV)"
    );
    CHECK(refused("show port frob all", 1).ends_with("\"what\" is one of: info stats xstats"));
    CHECK(refused("clear port stats nope", 2).ends_with("(ENODEV)"));
    run("clear port stats all");
}

TEST_CASE_METHOD(
    CommandFixture, "start, stop, quit and version reach the program", "[control][command]"
) {
    run("start");
    CHECK(program.forwarding);
    CHECK(refused("start", 2).starts_with("Error: start: already forwarding"));
    run("stop");
    CHECK_FALSE(program.forwarding);
    CHECK(refused("stop", 2).starts_with("Error: stop: not forwarding"));
    CHECK(run("version") == "1.2.3 (DPDK)\n");
    run("quit");
    CHECK(program.quitting);
}

TEST_CASE_METHOD(
    CommandFixture, "options stand in front, in ip's spellings", "[control][command]"
) {
    add_port(0);
    CHECK(run("-j -p link show").starts_with("[ {\n        \"ifindex\": 1,"));
    CHECK(run("-json link show").starts_with("[{\"ifindex\":1,"));
    CHECK(run("-stats -details link show").find("RX:  bytes") != std::string::npos);
    CHECK(
        refused("-x link show", 1) == "Error: Option \"-x\" is unknown; there is: -j -p -s -d -4 -6"
    );
    CHECK(run("").empty());
    CHECK(run("  # nothing").empty());
    CHECK(refused("link 'show", 1).starts_with("Error: the line ends within '"));
    CHECK(interpreter.run("link show").json == "null");
    CHECK(interpreter.run("-j link del nope").json == "null");
}

TEST_CASE_METHOD(CommandFixture, "help prints usage anywhere", "[control][command]") {
    CHECK(run("help").find("link add") != std::string::npos);
    CHECK(run("link help").starts_with("link add "));
    CHECK(run("help link set").starts_with("link set "));
    CHECK(run("ip route add help").starts_with("route add "));
    CHECK(run("help markdown").starts_with("# Commands\n"));
    CHECK(run("help ip") == run("help"));
    CHECK(refused("help lnik", 1).starts_with("Error: Object \"lnik\" is unknown; there is: link ")
    );
    CHECK(refused("lnik help", 1) == refused("help lnik", 1));
}

TEST_CASE_METHOD(CommandFixture, "complete offers words to the prompt", "[control][command]") {
    add_port(0);
    CHECK(run("complete 'link set po'") == "port0\n");
    CHECK(json("complete 'link s'").dump() == R"(["set","show"])");
    CHECK(interpreter.complete("link set po") == std::vector<std::string>{"port0"});
}

TEST_CASE_METHOD(CommandFixture, "monitor says what to stream", "[control][command]") {
    CommandOutput all = interpreter.run("monitor");
    REQUIRE(all.ok);
    CHECK(all.monitor == interpreter.run("-j monitor all").monitor);
    CHECK(
        interpreter.run("ip monitor link neigh").monitor ==
        (event_bit(Event::Object::link) | event_bit(Event::Object::neighbour))
    );
    CHECK(interpreter.run("-j bridge monitor fdb").is_json);
    CHECK(refused("monitor frob", 1).find("\"frob\" is unknown") != std::string::npos);
}

TEST_CASE_METHOD(
    CommandFixture,
    "VXLAN-FDB-12 events are the listings' lines, with Deleted in front",
    "[control][command]"
) {
    add_port(0);
    auto sink = std::make_shared<FakeSink>();
    interpreter.stream_events(sink);
    run("link add vx0 type vxlan id 42 remote 192.0.2.2");
    CHECK(sink->texts.empty());  // nobody asked

    sink->wanted = event_bit(Event::Object::fdb) | event_bit(Event::Object::neighbour) |
                   event_bit(Event::Object::route);
    run("fdb add 02:00:00:00:00:01 dev vx0 dst 192.0.2.4");
    CHECK(sink->texts == "02:00:00:00:00:01 dev vx0 dst 192.0.2.4 self permanent\n");
    CHECK(sink->jsons.back()["event"] == "fdb");
    CHECK_FALSE(sink->jsons.back().contains("deleted"));
    sink->texts.clear();
    run("fdb del 02:00:00:00:00:01 dev vx0");
    CHECK(sink->texts == "Deleted 02:00:00:00:00:01 dev vx0 dst 192.0.2.4 self permanent\n");
    CHECK(sink->jsons.back()["deleted"] == true);

    // Of an entry with several remotes each one is told.
    run("fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.3");
    sink->texts.clear();
    run("fdb del 00:00:00:00:00:00 dev vx0");
    CHECK(
        sink->texts == "Deleted 00:00:00:00:00:00 dev vx0 dst 192.0.2.2 self permanent\n"
                       "Deleted 00:00:00:00:00:00 dev vx0 dst 192.0.2.3 self permanent\n"
    );
    run("addr add 192.0.2.1/24 dev port0");
    sink->texts.clear();
    run("neigh add 192.0.2.9 lladdr 02:00:00:00:01:01 dev port0");
    CHECK(sink->texts == "192.0.2.9 dev port0 lladdr 02:00:00:00:01:01 PERMANENT \n");
    sink->texts.clear();
    run("route add 198.51.100.0/24 via 192.0.2.9");
    CHECK(sink->texts == "198.51.100.0/24 via 192.0.2.9 dev port0 \n");
    sink->texts.clear();
    run("route del 198.51.100.0/24");
    CHECK(sink->texts == "Deleted 198.51.100.0/24 via 192.0.2.9 dev port0 \n");

    sink->texts.clear();
    sink.reset();
    run("fdb add 02:00:00:00:00:02 dev vx0 dst 192.0.2.4");  // nobody is there any more
}

}  // namespace culvert::control::test
