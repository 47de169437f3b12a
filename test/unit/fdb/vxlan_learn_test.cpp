// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/fdb/vxlan_fdb_fixture.hpp"

#include <catch2/catch.hpp>

namespace culvert::fdb::test {

TEST_CASE("VXLAN-LRN-06 an unknown MAC is learned behind the outer source, dynamic", "[fdb]") {
    Fixture f;
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 50, kLower) == Learned::added);
    const auto entry = f.table.get(kVxlan, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->shadow.state == nud::kReachable);
    CHECK(entry->shadow.flags == ntf::kSelf);
    CHECK(f.remotes(mac(1)) == std::vector{remote("10.0.0.1")});
    CHECK(f.fdb.learn(kDevice, mac(2), ip("10.0.0.1"), 50) == Learned::added);
    CHECK(f.observed.size() == 1);
    f.check_references();
}

TEST_CASE("VXLAN-LRN-03 a MAC from where it is known changes nothing but its use", "[fdb]") {
    Fixture f;
    f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 50);
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 60) == Learned::unchanged);
    CHECK(f.table.get(kVxlan, mac(1))->value.used_s == 60);
    CHECK(f.changes.size() == 1);
    f.check_references();
}

TEST_CASE("VXLAN-LRN-04 a static entry refuses another source, or its own with a via", "[fdb]") {
    Fixture f;
    auto command = f.request(FdbVerb::add, mac(1), "10.0.0.1");
    command.via = kLower;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.2"), 60) == Learned::pinned);
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 60) == Learned::pinned);
    CHECK(f.remotes(mac(1)) == std::vector{remote("10.0.0.1", kLower)});
    f.check_references();
}

TEST_CASE(
    "VXLAN-LRN-05 a dynamic MAC migrates: the first remote's address and nothing else", "[fdb]"
) {
    Fixture f;
    auto command = f.request(FdbVerb::add, mac(1), "10.0.0.1");
    command.state = nud::kReachable;
    command.vni = 7;
    command.port = 8472;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.2"), 200) == Learned::moved);
    CHECK(f.remotes(mac(1)) == std::vector{Remote{ip("10.0.0.2"), 7, 8472, kNoLink}});
    CHECK(f.table.get(kVxlan, mac(1))->shadow.updated_s == 200);
    REQUIRE(f.changes.size() == 2);
    CHECK(f.changes[1].what == Change::What::moved);
    CHECK(f.lists.find(f.changes[1].old_target) == nullptr);
    f.check_references();
}

TEST_CASE("a link-local source is learned with the link it came in on", "[fdb]") {
    Fixture f;
    CHECK(f.fdb.learn(kDevice6, mac(1), ip("fe80::1"), 50, kLower) == Learned::added);
    CHECK(f.remotes(mac(1)) == std::vector{remote("fe80::1", kLower)});
    CHECK(f.fdb.learn(kDevice6, mac(1), ip("fe80::1"), 50, kLower) == Learned::unchanged);
    CHECK(f.fdb.learn(kDevice6, mac(2), ip("2001:db8::1"), 50, kLower) == Learned::added);
    CHECK(f.remotes(mac(2)) == std::vector{remote("2001:db8::1")});
}

TEST_CASE("VXLAN-DEL-02 stopping flushes what is neither static nor the default entry", "[fdb]") {
    Fixture f;
    auto external = f.request(FdbVerb::add, mac(1), "10.0.0.1");
    external.state = nud::kReachable;
    external.flags = ntf::kExtLearned;
    CHECK(f.modify(external) == std::errc{});
    f.fdb.learn(kDevice, mac(2), ip("10.0.0.1"), 1);
    CHECK(f.modify(FdbVerb::add, mac(3), "10.0.0.1") == std::errc{});
    auto zeros = f.request(FdbVerb::add, kZeroMac, "10.0.0.1");
    zeros.state = nud::kReachable;
    CHECK(f.modify(zeros) == std::errc{});
    f.table.learn(kBridge, mac(2), 1, 1);
    f.fdb.flush_on_stop(kVxlan);
    CHECK(f.table.domain_size(kVxlan) == 2);
    CHECK(f.table.get(kVxlan, mac(3)).has_value());
    CHECK(f.table.get(kVxlan, kZeroMac).has_value());
    CHECK(f.table.domain_size(kBridge) == 1);
    f.check_references();
}

TEST_CASE("references go with entries, whoever deletes them", "[fdb]") {
    Fixture f;
    f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 1);
    f.fdb.learn(kDevice, mac(2), ip("10.0.0.2"), 1);
    CHECK(f.modify(FdbVerb::append, kZeroMac, "10.0.0.3") == std::errc{});
    // A bridge's member with the number of a list: no reference of ours.
    f.table.learn(kBridge, mac(1), 1, 1);
    REQUIRE(f.lists.find(1) != nullptr);
    CHECK(f.table.erase(kBridge, mac(1)));
    CHECK(f.lists.find(1) != nullptr);
    f.check_references();
    for (int call = 0; call < 100; ++call) {
        f.table.age(1000);
    }
    CHECK(f.table.domain_size(kVxlan) == 1);
    f.check_references();
    f.table.del_domain(kVxlan);
    f.lists.for_each([](RemoteLists::Id, const RemoteLists::List&) {
        FAIL("a list without entries");
    });
}

TEST_CASE("a list is alive while the change that ends it is told", "[fdb]") {
    Fixture f;
    f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 1);
    bool was_alive = false;
    f.table.on_change([&](const Change& change) {
        was_alive =
            f.lists.find(change.old_target) != nullptr && f.lists.find(change.target) != nullptr;
    });
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.2"), 2) == Learned::moved);
    CHECK(was_alive);
    was_alive = false;
    CHECK(f.table.erase(kVxlan, mac(1)));
    CHECK(was_alive);
}

}  // namespace culvert::fdb::test
