// SPDX-License-Identifier: BSD-3-Clause
// The table: users' commands, garbage, links that go down.
#include "test/unit/route/neighbour_fixture.hpp"

namespace culvert::route::neighbour_test {

TEST_CASE(
    "NEI-09 garbage: what is unused goes, what is held or permanent stays", "[route][neighbour]"
) {
    Fixture f({.gc_thresh1 = 0, .random_seed = 5});
    f.make_stale();
    REQUIRE(f.table.set(Verb::add, key_of(20), kMacA, NeighbourState::permanent, false, f.now));
    REQUIRE(f.table.set(Verb::add, key_of(21), kMacA, NeighbourState::stale, false, f.now));
    REQUIRE(f.table.hold(key_of(21), f.now));
    CHECK(f.table.size() == 3);
    f.table.resolve(key_of(22), f.recorder.packet(1), f.now);
    f.advance(150000);
    CHECK(f.table.find(kPeer) == nullptr);
    CHECK(f.table.find(key_of(20)) != nullptr);
    CHECK(f.table.find(key_of(21)) != nullptr);
    CHECK(f.table.find(key_of(22)) == nullptr);
    f.table.release(key_of(21));
    f.advance(150000);
    CHECK(f.table.find(key_of(21)) == nullptr);
    REQUIRE(f.table.del(key_of(20)));
    CHECK(f.table.tick(f.now) == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("NEI-09 fewer than gc_thresh1 are never collected", "[route][neighbour]") {
    Fixture f({.gc_thresh1 = 3, .random_seed = 5});
    for (std::uint32_t i = 0; i < 2; ++i) {
        REQUIRE(f.table.set(Verb::add, key_of(i), kMacA, NeighbourState::stale, false, f.now));
    }
    f.advance(150000);
    CHECK(f.table.size() == 2);
    REQUIRE(f.table.set(Verb::add, key_of(9), kMacA, NeighbourState::stale, false, f.now));
    f.advance(150000);
    // The older two; the third is too few again.
    CHECK(f.table.size() == 1);
}

TEST_CASE("NEI-09 what others learned or manage stays", "[route][neighbour]") {
    Fixture f({.gc_thresh1 = 0, .gc_thresh3 = 4, .random_seed = 5});
    REQUIRE(f.table.set(Verb::add, key_of(1), kMacA, NeighbourState::stale, false, f.now));
    f.table.set_traits(key_of(1), {.extern_learn = true, .protocol = "zebra"}, f.now);
    f.advance(150000);
    REQUIRE(f.table.find(key_of(1)) != nullptr);
    for (std::uint32_t i = 10; i < 30; ++i) {
        f.table.resolve(key_of(i), f.recorder.packet(i), f.now);
        f.advance(6000);
    }
    REQUIRE(f.table.find(key_of(1)) != nullptr);
    CHECK(f.table.find(key_of(1))->protocol == "zebra");
    CHECK(f.table.size() <= 5);
}

TEST_CASE("UI-NEI-01 a managed neighbour is asked for, and kept", "[route][neighbour]") {
    Fixture f({.gc_thresh1 = 0, .random_seed = 5});
    REQUIRE(f.table.create(kPeer, f.now));
    f.table.set_traits(kPeer, {.managed = true}, f.now);
    CHECK(f.table.find(kPeer)->state == NeighbourState::incomplete);
    // Nobody answers: it is asked for again and again.
    f.advance(60000);
    REQUIRE(f.table.find(kPeer) != nullptr);
    CHECK(f.table.counters().res_failed >= 5);
    REQUIRE(f.table.del(kPeer));
    f.advance(10000);
    CHECK(f.table.find(kPeer) == nullptr);
}

TEST_CASE("UI-NEI-01 proxies are no neighbours, and go with their link", "[route][neighbour]") {
    Fixture f;
    CHECK(
        f.table.set_proxy({{kNoLink, kPeer.address}}).error().code == std::errc::invalid_argument
    );
    REQUIRE(f.table.set_proxy({kPeer}));
    REQUIRE(f.table.set_proxy({kPeer, true, "static"}));
    CHECK(f.table.find(kPeer) == nullptr);
    REQUIRE(f.table.find_proxy(kPeer) != nullptr);
    CHECK(f.table.find_proxy(kPeer)->router);
    f.table.link_down(kPeer.link, net::Family::ipv6);
    CHECK(f.table.find_proxy(kPeer) != nullptr);
    f.table.link_down(kPeer.link, std::nullopt);
    CHECK(f.table.find_proxy(kPeer) == nullptr);
    CHECK(f.table.del_proxy(kPeer).error().code == std::errc::no_such_file_or_directory);
}

TEST_CASE(
    "NEI-09 IPO-F2-02 a full table refuses new neighbours until old ones can go",
    "[route][neighbour]"
) {
    Fixture f({.gc_thresh3 = 8, .random_seed = 5});
    // Exempt: they take no room.
    REQUIRE(f.table.set(Verb::add, key_of(200), kMacA, NeighbourState::permanent, false, f.now));
    REQUIRE(f.table.set(Verb::add, key_of(201), kMacA, NeighbourState::permanent, false, f.now));
    for (std::uint32_t i = 0; i < 8; ++i) {
        f.table.resolve(key_of(i), f.recorder.packet(i), f.now);
    }
    CHECK(f.table.size() == 10);
    f.recorder.take();
    f.table.resolve(key_of(50), f.recorder.packet(50), f.now);
    CHECK(f.recorder.take() == Events{"table_full 50"});
    const auto refused =
        f.table.set(Verb::add, key_of(51), kMacA, NeighbourState::permanent, false, f.now);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_buffer_space);
    CHECK(refused.error().what.find("10.0.0.51") != std::string::npos);
    CHECK(refused.error().what.find("overflow") != std::string::npos);
    CHECK(f.table.counters().table_fulls == 2);

    // They failed: garbage, down to half of the limit.
    f.advance(4000);
    f.recorder.take();
    f.table.resolve(key_of(50), f.recorder.packet(50), f.now);
    CHECK(f.recorder.take() == Events{"broadcast 10.0.0.50"});
    CHECK(f.table.size() == 2 + 4 + 1);
}

TEST_CASE(
    "a link that goes down takes its neighbours along, permanent ones too", "[route][neighbour]"
) {
    Fixture f;
    REQUIRE(f.table.set(Verb::add, key_of(1), kMacA, NeighbourState::permanent, false, f.now));
    REQUIRE(f.table.set(Verb::add, key_of(1, 4), kMacA, NeighbourState::permanent, false, f.now));
    REQUIRE(f.table.hold(key_of(2), f.now));
    f.table.resolve(key_of(2), f.recorder.packet(1), f.now);
    f.table.link_down(kLink, std::nullopt);
    CHECK(f.table.find(key_of(1)) == nullptr);
    CHECK(f.table.find(key_of(1, 4)) != nullptr);
    // Its holder keeps it, without anything known.
    CHECK(f.state(key_of(2)) == NeighbourState::none);
    CHECK(f.table.size() == 2);
    f.table.release(key_of(2));
    CHECK(f.table.size() == 1);
    f.recorder.take();
    f.advance(100000);
    CHECK(f.recorder.take().empty());
}

TEST_CASE("NEI-14 errors and meanings of add, replace, change, del", "[route][neighbour]") {
    Fixture f;
    const auto set = [&](Verb verb, std::optional<MacAddress> mac, NeighbourState state) {
        const auto result = f.table.set(verb, kPeer, mac, state, false, f.now);
        return result ? std::errc{} : result.error().code;
    };
    CHECK(
        set(Verb::change, kMacA, NeighbourState::permanent) == std::errc::no_such_file_or_directory
    );
    CHECK(set(Verb::add, std::nullopt, NeighbourState::permanent) == std::errc::invalid_argument);
    CHECK(f.table.size() == 0);
    CHECK(f.table.del(kPeer).error().code == std::errc::no_such_file_or_directory);
    CHECK(set(Verb::add, kMacA, NeighbourState::permanent) == std::errc{});
    CHECK(set(Verb::add, kMacB, NeighbourState::permanent) == std::errc::file_exists);
    CHECK(f.table.find(kPeer)->mac == kMacA);
    CHECK(set(Verb::replace, kMacB, NeighbourState::permanent) == std::errc{});
    CHECK(f.table.find(kPeer)->mac == kMacB);
    // Without a MAC the known one stays.
    CHECK(set(Verb::change, std::nullopt, NeighbourState::reachable) == std::errc{});
    CHECK(f.table.find(kPeer)->mac == kMacB);
    CHECK(f.state() == NeighbourState::reachable);
    CHECK(f.table.del(kPeer));
    CHECK(f.table.size() == 0);

    const auto bad = [&](const NeighbourKey& key) {
        return f.table.set(Verb::add, key, kMacA, NeighbourState::permanent, false, f.now)
            .error()
            .code;
    };
    CHECK(bad({kLink, IpAddress{}}) == std::errc::invalid_argument);
    CHECK(bad({kNoLink, kPeer.address}) == std::errc::invalid_argument);
    // A route's reference is none that a user has made.
    REQUIRE(f.table.hold(kPeer, f.now));
    CHECK(
        set(Verb::change, kMacA, NeighbourState::permanent) == std::errc::no_such_file_or_directory
    );
    CHECK(f.table.del(kPeer).error().code == std::errc::no_such_file_or_directory);
    CHECK(set(Verb::add, kMacA, NeighbourState::permanent) == std::errc{});
}

TEST_CASE("flush takes all but permanent and noarp, of one link or all", "[route][neighbour]") {
    Fixture f;
    REQUIRE(f.table.set(Verb::add, key_of(1), kMacA, NeighbourState::permanent, false, f.now));
    REQUIRE(f.table.set(Verb::add, key_of(2), kMacA, NeighbourState::stale, false, f.now));
    REQUIRE(f.table.set(Verb::add, key_of(2, 4), kMacA, NeighbourState::reachable, false, f.now));
    REQUIRE(f.table.set(Verb::add, key_of(3), kMacA, NeighbourState::noarp, false, f.now));
    CHECK(f.table.flush(kLink) == 1);
    CHECK(f.table.flush(kNoLink) == 1);
    CHECK(f.table.size() == 2);
}

}  // namespace culvert::route::neighbour_test
