// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/fdb/vxlan_fdb_fixture.hpp"

#include <catch2/catch.hpp>

namespace culvert::fdb::test {

TEST_CASE("equal lists of one device are one list, alive as long as it is referred to", "[fdb]") {
    Fixture f;
    const auto first = f.lists.acquire(kVxlan, {remote("10.0.0.1")});
    CHECK(first != 0);
    CHECK(f.lists.acquire(kVxlan, {remote("10.0.0.1")}) == first);
    CHECK(f.lists.acquire(kVxlan, {remote("10.0.0.2")}) != first);
    CHECK(f.lists.acquire(kBridge, {remote("10.0.0.1")}) != first);
    CHECK(f.lists.acquire(kVxlan, {remote("10.0.0.1"), remote("10.0.0.2")}) != first);
    f.lists.retain(first);
    f.lists.release(first);
    f.lists.release(first);
    REQUIRE(f.lists.find(first) != nullptr);
    CHECK(f.lists.find(first)->references == 1);
    f.lists.release(first);
    CHECK(f.lists.find(first) == nullptr);
    CHECK(f.lists.find(0) == nullptr);
    CHECK(f.lists.find(1000) == nullptr);
    REQUIRE(f.observed.size() == 5);
    CHECK(f.observed.front() == std::pair<RemoteLists::Id, bool>{first, true});
    CHECK(f.observed.back() == std::pair<RemoteLists::Id, bool>{first, false});
}

TEST_CASE("a list's id is used again only when readers forgot it", "[fdb]") {
    std::vector<std::function<void()>> waiting;
    {
        RemoteLists lists;
        lists.defer_reuse_with([&waiting](std::function<void()> reuse) {
            waiting.push_back(std::move(reuse));
        });
        const auto first = lists.acquire(kVxlan, {remote("10.0.0.1")});
        lists.release(first);
        CHECK(lists.find(first) == nullptr);
        const auto second = lists.acquire(kVxlan, {remote("10.0.0.1")});
        CHECK(second != first);
        REQUIRE(waiting.size() == 1);
        waiting.back()();
        CHECK(lists.acquire(kVxlan, {remote("10.0.0.3")}) == first);
        lists.release(second);
        REQUIRE(waiting.size() == 2);
    }
    // The lists are gone, and the grace period ends.
    waiting.back()();
}

TEST_CASE("VXLAN-FDB-01 state and destination are required", "[fdb]") {
    Fixture f;
    auto command = f.request(FdbVerb::add, mac(1), "");
    CHECK(f.modify(command) == std::errc::invalid_argument);
    command = f.request(FdbVerb::add, mac(1), "10.0.0.1");
    command.state = nud::kNoarp;
    CHECK(f.modify(command) == std::errc::invalid_argument);
    command.state = nud::kReachable;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.table.size() == 1);
}

TEST_CASE("a destination of the other family is refused", "[fdb]") {
    Fixture f;
    CHECK(f.modify(FdbVerb::add, mac(1), "2001:db8::1") == std::errc::address_family_not_supported);
    CHECK(f.del(mac(1), "2001:db8::1") == std::errc::address_family_not_supported);
    const auto refused = f.fdb.modify(kDevice6, f.request(FdbVerb::add, mac(1), "10.0.0.1"), 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::address_family_not_supported);
    CHECK(f.lists.find(1) == nullptr);
    CHECK(f.fdb.modify(kDevice6, f.request(FdbVerb::add, mac(1), "2001:db8::1"), 1));
}

TEST_CASE("VXLAN-FDB-03 what is not given is the device's", "[fdb]") {
    Fixture f;
    auto command = f.request(FdbVerb::add, mac(1), "10.0.0.1");
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.remotes(mac(1)) == std::vector{Remote{ip("10.0.0.1"), 42, 4789, kNoLink}});
    command.mac = mac(2);
    command.port = 8472;
    command.vni = 7;
    command.via = kLower;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.remotes(mac(2)) == std::vector{Remote{ip("10.0.0.1"), 7, 8472, kLower}});
    const auto entry = f.table.get(kVxlan, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->shadow.state == (nud::kNoarp | nud::kPermanent));
    CHECK(entry->shadow.flags == ntf::kSelf);
    f.check_references();
}

TEST_CASE(
    "VXLAN-FDB-04 add of a MAC that is there is EEXIST, even with another destination", "[fdb]"
) {
    Fixture f;
    CHECK(f.modify(FdbVerb::add, mac(1), "10.0.0.1") == std::errc{});
    CHECK(f.modify(FdbVerb::add, mac(1), "10.0.0.1") == std::errc::file_exists);
    CHECK(f.modify(FdbVerb::add, mac(1), "10.0.0.2") == std::errc::file_exists);
    CHECK(f.modify(FdbVerb::add, kZeroMac, "10.0.0.1") == std::errc{});
    CHECK(f.modify(FdbVerb::add, kZeroMac, "10.0.0.2") == std::errc::file_exists);
    CHECK(f.remotes(mac(1)) == std::vector{remote("10.0.0.1")});
    f.check_references();
}

TEST_CASE("VXLAN-FDB-05 append adds a remote to zero and group MACs only, once", "[fdb]") {
    Fixture f;
    const MacAddress address = GENERATE(kZeroMac, kGroupMac);
    CHECK(f.modify(FdbVerb::append, address, "10.0.0.1") == std::errc{});
    CHECK(f.modify(FdbVerb::append, address, "10.0.0.2") == std::errc{});
    CHECK(f.modify(FdbVerb::append, address, "10.0.0.1") == std::errc{});
    CHECK(f.remotes(address) == std::vector{remote("10.0.0.1"), remote("10.0.0.2")});
    auto command = f.request(FdbVerb::append, address, "10.0.0.1");
    command.via = kLower;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.remotes(address).size() == 3);
    f.check_references();
}

TEST_CASE("VXLAN-FDB-05 append to a unicast MAC succeeds without a new remote", "[fdb]") {
    Fixture f;
    CHECK(f.modify(FdbVerb::append, mac(1), "10.0.0.1") == std::errc{});
    auto command = f.request(FdbVerb::append, mac(1), "10.0.0.2");
    command.state = nud::kReachable;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.remotes(mac(1)) == std::vector{remote("10.0.0.1")});
    CHECK(f.table.get(kVxlan, mac(1))->shadow.state == nud::kReachable);
    CHECK_FALSE(f.table.get(kVxlan, mac(1))->value.is_pinned());
    f.check_references();
}

TEST_CASE("VXLAN-FDB-06 replace overwrites the remote of a unicast MAC, or creates it", "[fdb]") {
    Fixture f;
    CHECK(f.modify(FdbVerb::replace, mac(1), "10.0.0.1") == std::errc{});
    CHECK(f.modify(FdbVerb::replace, mac(1), "10.0.0.2") == std::errc{});
    CHECK(f.remotes(mac(1)) == std::vector{remote("10.0.0.2")});
    const std::size_t told = f.changes.size();
    CHECK(f.modify(FdbVerb::replace, mac(1), "10.0.0.2") == std::errc{});
    CHECK(f.changes.size() == told);
    f.check_references();
}

TEST_CASE("VXLAN-FDB-06 replace refuses zero and group MACs, present or not", "[fdb]") {
    Fixture f;
    const MacAddress address = GENERATE(kZeroMac, kGroupMac);
    CHECK(f.modify(FdbVerb::replace, address, "10.0.0.1") == std::errc::operation_not_supported);
    CHECK(f.table.size() == 0);
    CHECK(f.modify(FdbVerb::append, address, "10.0.0.1") == std::errc{});
    CHECK(f.modify(FdbVerb::replace, address, "10.0.0.2") == std::errc::operation_not_supported);
    CHECK(f.remotes(address) == std::vector{remote("10.0.0.1")});
}

TEST_CASE(
    "VXLAN-FDB-07 change of an absent MAC is ENOENT, of a present one its state and flags", "[fdb]"
) {
    Fixture f;
    CHECK(f.modify(FdbVerb::change, mac(1), "10.0.0.1") == std::errc::no_such_file_or_directory);
    CHECK(f.modify(FdbVerb::add, mac(1), "10.0.0.1") == std::errc{});
    auto command = f.request(FdbVerb::change, mac(1), "10.0.0.2");
    command.flags = ntf::kSelf | ntf::kRouter;
    CHECK(f.modify(command) == std::errc{});
    CHECK(f.table.get(kVxlan, mac(1))->shadow.flags == (ntf::kSelf | ntf::kRouter));
    CHECK(f.remotes(mac(1)) == std::vector{remote("10.0.0.1")});
}

TEST_CASE(
    "VXLAN-FDB-08 an externally learned request leaves a user's state and flags alone", "[fdb]"
) {
    Fixture f;
    auto external = f.request(FdbVerb::append, mac(1), "10.0.0.1");
    external.state = nud::kReachable;
    external.flags = ntf::kSelf | ntf::kExtLearned;
    SECTION("added by a command") {
        CHECK(f.modify(FdbVerb::add, mac(1), "10.0.0.1") == std::errc{});
        CHECK(f.modify(external) == std::errc{});
        CHECK(f.table.get(kVxlan, mac(1))->shadow.state == (nud::kNoarp | nud::kPermanent));
        CHECK(f.table.get(kVxlan, mac(1))->shadow.flags == ntf::kSelf);
    }
    SECTION("learned from the wire") {
        CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.1"), 1) == Learned::added);
        CHECK(f.modify(external) == std::errc{});
        CHECK(f.table.get(kVxlan, mac(1))->shadow.flags == (ntf::kSelf | ntf::kExtLearned));
    }
}

TEST_CASE("VXLAN-FDB-08 NTF_USE refreshes the use of an entry", "[fdb]") {
    Fixture f;
    CHECK(f.modify(f.request(FdbVerb::add, mac(1), "10.0.0.1"), 100) == std::errc{});
    auto command = f.request(FdbVerb::append, mac(1), "10.0.0.1");
    CHECK(f.modify(command, 150) == std::errc{});
    CHECK(f.table.get(kVxlan, mac(1))->value.used_s == 100);
    command.flags = ntf::kSelf | ntf::kUse;
    CHECK(f.modify(command, 160) == std::errc{});
    CHECK(f.table.get(kVxlan, mac(1))->value.used_s == 160);
    CHECK(f.table.get(kVxlan, mac(1))->shadow.flags == ntf::kSelf);
}

TEST_CASE("VXLAN-FDB-09 a limit refuses with ENOSPC and leaves no list behind", "[fdb]") {
    Fixture f;
    f.table.set_domain(kVxlan, {300, 1});
    CHECK(f.modify(FdbVerb::append, kZeroMac, "10.0.0.1") == std::errc{});
    CHECK(f.modify(FdbVerb::append, kZeroMac, "10.0.0.2") == std::errc{});
    f.observed.clear();
    CHECK(f.modify(FdbVerb::add, mac(1), "10.0.0.3") == std::errc::no_space_on_device);
    CHECK(f.fdb.learn(kDevice, mac(1), ip("10.0.0.3"), 1) == Learned::limit);
    CHECK(f.observed.empty());
    f.check_references();
}

TEST_CASE("VXLAN-FDB-10 del: absent ENOENT, no match silent, one remote, the last, all", "[fdb]") {
    Fixture f;
    CHECK(f.del(mac(1), "") == std::errc::no_such_file_or_directory);
    for (const char* destination : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
        CHECK(f.modify(FdbVerb::append, kZeroMac, destination) == std::errc{});
    }
    const std::size_t told = f.changes.size();
    CHECK(f.del(kZeroMac, "10.0.0.9") == std::errc{});
    CHECK(f.changes.size() == told);
    CHECK(f.del(kZeroMac, "10.0.0.1") == std::errc{});
    CHECK(f.remotes(kZeroMac) == std::vector{remote("10.0.0.2"), remote("10.0.0.3")});
    f.check_references();
    SECTION("one by one") {
        CHECK(f.del(kZeroMac, "10.0.0.3") == std::errc{});
        CHECK(f.del(kZeroMac, "10.0.0.2") == std::errc{});
    }
    SECTION("whole") {
        CHECK(f.del(kZeroMac, "") == std::errc{});
    }
    CHECK(f.table.size() == 0);
    f.check_references();
}

TEST_CASE(
    "VXLAN-CRE-21 the default remote is an all-zeros entry, reachable and permanent", "[fdb]"
) {
    Fixture f;
    CHECK(f.fdb.set_default_remote(kDevice, std::nullopt, remote("10.0.0.1", kLower), 5));
    const auto entry = f.table.get(kVxlan, kZeroMac);
    REQUIRE(entry.has_value());
    CHECK(entry->shadow.state == (nud::kReachable | nud::kPermanent));
    CHECK(entry->shadow.flags == ntf::kSelf);
    CHECK(f.remotes(kZeroMac) == std::vector{remote("10.0.0.1", kLower)});
    CHECK(f.fdb.set_default_remote(kDevice, std::nullopt, remote("0.0.0.0"), 5));
    CHECK(f.remotes(kZeroMac).size() == 1);
    f.check_references();
}

TEST_CASE("VXLAN-FDB-11 the default entry is deleted only with via its lower device", "[fdb]") {
    Fixture f;
    CHECK(f.fdb.set_default_remote(kDevice, std::nullopt, remote("10.0.0.1", kLower), 5));
    CHECK(f.del(kZeroMac, "10.0.0.1") == std::errc{});
    CHECK(f.table.size() == 1);
    CHECK(f.del(kZeroMac, "10.0.0.1", kLower) == std::errc{});
    CHECK(f.table.size() == 0);
}

TEST_CASE("VXLAN-CHG-03 a changed remote is appended, the old one removed, others stay", "[fdb]") {
    Fixture f;
    CHECK(f.fdb.set_default_remote(kDevice, std::nullopt, remote("10.0.0.1"), 5));
    CHECK(f.modify(FdbVerb::append, kZeroMac, "10.0.0.5") == std::errc{});
    CHECK(f.fdb.set_default_remote(kDevice, remote("10.0.0.1"), remote("10.0.0.2"), 6));
    CHECK(f.remotes(kZeroMac) == std::vector{remote("10.0.0.5"), remote("10.0.0.2")});
    CHECK(f.fdb.set_default_remote(kDevice, remote("10.0.0.2"), remote("10.0.0.2"), 7));
    CHECK(f.remotes(kZeroMac).size() == 2);
    CHECK(f.fdb.set_default_remote(kDevice, remote("10.0.0.2"), std::nullopt, 8));
    CHECK(f.remotes(kZeroMac) == std::vector{remote("10.0.0.5")});
    CHECK(f.del(kZeroMac, "10.0.0.5") == std::errc{});
    CHECK(f.fdb.set_default_remote(kDevice, remote("10.0.0.2"), std::nullopt, 9));
    CHECK(f.table.size() == 0);
    f.check_references();
}

}  // namespace culvert::fdb::test
