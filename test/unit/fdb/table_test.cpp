// SPDX-License-Identifier: BSD-3-Clause
#include "lib/fdb/table.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <set>
#include <vector>

using culvert::LinkId;
using culvert::fdb::Change;
using culvert::fdb::Key;
using culvert::fdb::Shadow;
using culvert::fdb::Table;
using culvert::fdb::Value;
using culvert::net::MacAddress;
using Learned = culvert::fdb::Table::Learned;
using What = culvert::fdb::Change::What;
namespace nud = culvert::fdb::nud;
namespace ntf = culvert::fdb::ntf;

namespace {

constexpr LinkId kBridge = 7;
constexpr LinkId kOther = 8;

MacAddress mac(std::uint64_t number) {
    return MacAddress::from_value(0x0200'0000'0000U + number);
}

// A table with two domains, recording what it says.
struct Fixture {
    explicit Fixture(std::size_t max_entries = 100'000)
        : table(domain, max_entries) {
        table.add_domain(kBridge, {300, 0});
        table.add_domain(kOther, {300, 0});
        table.on_change([this](const Change& change) { changes.push_back(change); });
        table.on_release([this](LinkId, std::uint32_t target) {
            released.push_back(target);
            changes_at_release = changes.size();
        });
    }

    // Ages a whole round of the table. Returns how many entries went.
    std::size_t age_round(std::uint32_t now_s) {
        std::size_t deleted = 0;
        for (int call = 0; call < 100; ++call) {
            deleted += table.age(now_s);
        }
        return deleted;
    }

    culvert::rcu::Domain domain{1};
    Table table;
    std::vector<Change> changes;
    std::vector<std::uint32_t> released;
    std::size_t changes_at_release = 0;
};

Shadow shadow(std::uint8_t state, std::uint8_t flags = 0) {
    return {0, state, flags, 0};
}

}  // namespace

TEST_CASE("a key holds MAC and domain, and gives them back", "[fdb]") {
    const MacAddress address = MacAddress::from_value(0xfedc'ba98'7654U);
    const Key key = Key::make(0xabcd, address);
    CHECK(key.packed == 0xfedc'ba98'7654'abcdU);
    CHECK(key.mac() == address);
    CHECK(key.domain() == 0xabcd);
}

TEST_CASE("a MAC is learned once, moves, and is told of each time", "[fdb]") {
    Fixture f;
    CHECK(f.table.learn(kBridge, mac(1), 20, 100) == Learned::added);
    CHECK(f.table.learn(kBridge, mac(1), 20, 105) == Learned::unchanged);
    CHECK(f.changes.size() == 1);
    CHECK(f.table.learn(kBridge, mac(1), 21, 110) == Learned::moved);
    REQUIRE(f.changes.size() == 2);
    CHECK(f.changes[0].what == What::added);
    CHECK(f.changes[0].domain == kBridge);
    CHECK(f.changes[0].mac == mac(1));
    CHECK(f.changes[0].target == 20);
    CHECK(f.changes[1].what == What::moved);
    CHECK(f.changes[1].target == 21);
    CHECK(f.changes[1].old_target == 20);
    CHECK(f.changes[1].shadow.updated_s == 110);
    CHECK(f.released == std::vector<std::uint32_t>{20});
    CHECK(f.changes_at_release == 2);
    const auto entry = f.table.get(kBridge, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->value.target() == 21);
    CHECK(entry->value.used_s == 110);
    CHECK(entry->shadow.state == nud::kReachable);
}

TEST_CASE("VXLAN-AGE-03 only a change counts as an update, any learning as use", "[fdb]") {
    Fixture f;
    f.table.learn(kBridge, mac(1), 20, 100);
    f.table.learn(kBridge, mac(1), 20, 150);
    auto entry = f.table.get(kBridge, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->value.used_s == 150);
    CHECK(entry->shadow.updated_s == 100);
    REQUIRE(f.table.set(kBridge, mac(1), 20, shadow(nud::kReachable), 160));
    entry = f.table.get(kBridge, mac(1));
    CHECK(entry->shadow.updated_s == 100);
    CHECK(entry->value.used_s == 150);
    CHECK(f.changes.size() == 1);
    REQUIRE(f.table.set(kBridge, mac(1), 20, shadow(nud::kReachable, ntf::kRouter), 170));
    entry = f.table.get(kBridge, mac(1));
    CHECK(entry->shadow.updated_s == 170);
    CHECK(entry->value.used_s == 150);
    REQUIRE(f.changes.size() == 2);
    CHECK(f.changes[1].what == What::updated);
}

TEST_CASE("VXLAN-AGE-02 NTF_USE refreshes the use and is not kept as a flag", "[fdb]") {
    Fixture f;
    f.table.learn(kBridge, mac(1), 20, 100);
    REQUIRE(f.table.set(kBridge, mac(1), 20, shadow(nud::kReachable, ntf::kUse), 180));
    const auto entry = f.table.get(kBridge, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->value.used_s == 180);
    CHECK(entry->shadow.flags == 0);
    CHECK(entry->shadow.updated_s == 100);
}

TEST_CASE("the same MAC in two domains is two entries", "[fdb]") {
    Fixture f;
    f.table.learn(kBridge, mac(1), 20, 1);
    f.table.learn(kOther, mac(1), 30, 1);
    CHECK(f.table.size() == 2);
    CHECK(f.table.erase(kBridge, mac(1)));
    Value value;
    CHECK_FALSE(f.table.find(Key::make(kBridge, mac(1)), value));
    REQUIRE(f.table.find(Key::make(kOther, mac(1)), value));
    CHECK(value.target() == 30);
}

TEST_CASE("VXLAN-LRN-04 a vxlan's static or permanent entry does not move", "[fdb]") {
    Fixture f;
    const Shadow pinned = GENERATE(
        shadow(nud::kNoarp | nud::kReachable),
        shadow(nud::kPermanent),
        shadow(nud::kNoarp | nud::kPermanent)
    );
    REQUIRE(f.table.set(kBridge, mac(1), 20, pinned, 100));
    CHECK(f.table.learn(kBridge, mac(1), 21, 110) == Learned::pinned);
    CHECK(f.table.learn(kBridge, mac(1), 20, 120) == Learned::unchanged);
    const auto entry = f.table.get(kBridge, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->value.is_pinned());
    CHECK(entry->value.target() == 20);
    CHECK(entry->value.used_s == 120);
    CHECK(f.changes.size() == 1);
}

TEST_CASE("a bridge's permanent or sticky entry does not move", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {300, 0, true});
    const Shadow pinned = GENERATE(
        shadow(nud::kNoarp | nud::kPermanent),
        shadow(nud::kNoarp | nud::kReachable, ntf::kSticky),
        shadow(nud::kReachable, ntf::kSticky)
    );
    REQUIRE(f.table.set(kBridge, mac(1), 20, pinned, 100));
    CHECK(f.table.learn(kBridge, mac(1), 21, 110) == Learned::pinned);
    CHECK(f.table.get(kBridge, mac(1))->value.is_pinned());
    CHECK(f.table.get(kBridge, mac(1))->value.target() == 20);
}

TEST_CASE("a bridge's static entry follows its station and stays static", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {300, 0, true});
    REQUIRE(f.table.set(kBridge, mac(1), 20, shadow(nud::kNoarp | nud::kReachable), 100));
    CHECK_FALSE(f.table.get(kBridge, mac(1))->value.is_pinned());
    CHECK(f.table.learn(kBridge, mac(1), 21, 110) == Learned::moved);
    const auto entry = f.table.get(kBridge, mac(1));
    REQUIRE(entry.has_value());
    CHECK(entry->value.target() == 21);
    CHECK(entry->shadow.state == (nud::kNoarp | nud::kReachable));
    CHECK(f.age_round(10'000) == 0);
    CHECK(f.table.get(kBridge, mac(1)).has_value());
}

TEST_CASE("a command overwrites what was learned, and may make it dynamic again", "[fdb]") {
    Fixture f;
    f.table.learn(kBridge, mac(1), 20, 100);
    REQUIRE(f.table.set(kBridge, mac(1), 22, shadow(nud::kNoarp | nud::kReachable), 110));
    REQUIRE(f.changes.size() == 2);
    CHECK(f.changes[1].what == What::moved);
    CHECK(f.changes[1].old_target == 20);
    CHECK(f.released == std::vector<std::uint32_t>{20});
    REQUIRE(f.table.set(kBridge, mac(1), 22, shadow(nud::kReachable), 120));
    CHECK(f.table.learn(kBridge, mac(1), 23, 130) == Learned::moved);
    CHECK(f.table.domain_size(kBridge) == 1);
}

TEST_CASE(
    "VXLAN-LIM-01 the limit counts entries: learning is refused, a command gets ENOSPC", "[fdb]"
) {
    Fixture f;
    f.table.set_domain(kBridge, {300, 2});
    CHECK(f.table.has_room(kBridge));
    CHECK(f.table.learn(kBridge, mac(1), 20, 1) == Learned::added);
    CHECK(f.table.set(kBridge, mac(2), 20, shadow(nud::kPermanent), 1));
    CHECK_FALSE(f.table.has_room(kBridge));
    CHECK(f.table.learn(kBridge, mac(3), 20, 1) == Learned::limit);
    const auto refused = f.table.set(kBridge, mac(3), 20, shadow(nud::kPermanent), 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_space_on_device);
    CHECK(f.table.learn(kBridge, mac(1), 21, 1) == Learned::moved);
    CHECK(f.table.learn(kOther, mac(3), 20, 1) == Learned::added);
    CHECK(f.table.erase(kBridge, mac(2)));
    CHECK(f.table.learn(kBridge, mac(3), 20, 1) == Learned::added);
}

TEST_CASE("the table's own limit is refused with nothing changed", "[fdb]") {
    Fixture f(3);
    for (std::uint64_t i = 0; i < 3; ++i) {
        REQUIRE(f.table.learn(kBridge, mac(i), 20, 1) == Learned::added);
    }
    CHECK(f.table.learn(kBridge, mac(9), 20, 1) == Learned::full);
    const auto refused = f.table.set(kOther, mac(9), 20, shadow(nud::kPermanent), 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_space_on_device);
    CHECK(f.changes.size() == 3);
    CHECK(f.table.domain_size(kBridge) == 3);
    CHECK(f.table.domain_size(kOther) == 0);
}

TEST_CASE("a domain that is not there takes nothing", "[fdb]") {
    Fixture f;
    CHECK(f.table.learn(99, mac(1), 20, 1) == Learned::no_domain);
    const auto refused = f.table.set(99, mac(1), 20, shadow(nud::kPermanent), 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_such_device);
    f.table.set_domain(99, {1, 1});
    CHECK(f.table.learn(99, mac(1), 20, 1) == Learned::no_domain);
    CHECK(f.changes.empty());
}

TEST_CASE(
    "VXLAN-DEL-01 deleting a domain deletes its entries, tells of each, and no others", "[fdb]"
) {
    Fixture f;
    for (std::uint64_t i = 0; i < 50; ++i) {
        f.table.learn(kBridge, mac(i), 20, 1);
        f.table.learn(kOther, mac(i), 30, 1);
    }
    REQUIRE(f.table.set(kBridge, mac(50), 21, shadow(nud::kPermanent), 1));
    f.changes.clear();
    f.table.del_domain(kBridge);
    CHECK(f.changes.size() == 51);
    std::set<std::uint64_t> gone;
    for (const Change& change : f.changes) {
        CHECK(change.what == What::deleted);
        CHECK(change.domain == kBridge);
        gone.insert(change.mac.value());
    }
    CHECK(gone.size() == 51);
    CHECK(f.released.size() == 51);
    CHECK(f.table.size() == 50);
    CHECK(f.table.domain_size(kBridge) == 0);
    CHECK(f.table.domain_size(kOther) == 50);
    CHECK(f.table.learn(kBridge, mac(1), 20, 1) == Learned::no_domain);
}

TEST_CASE("flush deletes what the filter names, in one domain or in all", "[fdb]") {
    Fixture f;
    for (std::uint64_t i = 0; i < 10; ++i) {
        f.table.learn(kBridge, mac(i), i < 4 ? 20 : 21, 1);
        f.table.learn(kOther, mac(i), 20, 1);
    }
    const auto behind_20 = [](const Table::Entry& entry) { return entry.value.target() == 20; };
    CHECK(f.table.flush(kBridge, behind_20) == 4);
    CHECK(f.table.domain_size(kBridge) == 6);
    CHECK(f.table.domain_size(kOther) == 10);
    CHECK(f.table.flush(culvert::kNoLink, behind_20) == 10);
    CHECK(f.table.size() == 6);
    std::size_t visited = 0;
    f.table.for_each(kBridge, [&visited](const Table::Entry& entry) {
        CHECK(entry.domain == kBridge);
        ++visited;
    });
    CHECK(visited == 6);
    f.table.for_each(kOther, [](const Table::Entry&) { FAIL("there is none"); });
}

TEST_CASE("VXLAN-AGE-01 a dynamic entry goes when used + ageing <= now, as stale", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {10, 0});
    f.table.learn(kBridge, mac(1), 20, 100);
    CHECK(f.age_round(109) == 0);
    CHECK(f.age_round(110) == 1);
    CHECK(f.table.size() == 0);
    REQUIRE(f.changes.size() == 2);
    CHECK(f.changes[1].what == What::deleted);
    CHECK(f.changes[1].target == 20);
    CHECK(f.changes[1].shadow.state == nud::kStale);
    CHECK(f.released == std::vector<std::uint32_t>{20});
}

TEST_CASE("VXLAN-AGE-01 static, permanent and externally learned entries never expire", "[fdb]") {
    Fixture f;
    const Shadow kept = GENERATE(
        shadow(nud::kNoarp | nud::kReachable),
        shadow(nud::kPermanent),
        shadow(nud::kReachable, ntf::kExtLearned)
    );
    REQUIRE(f.table.set(kBridge, mac(1), 20, kept, 100));
    CHECK(f.age_round(1'000'000) == 0);
    CHECK(f.table.size() == 1);
}

TEST_CASE("VXLAN-AGE-02 GOLD-11 a worker's refresh keeps an entry alive", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {10, 0});
    f.table.learn(kBridge, mac(1), 20, 100);
    Value seen;
    const Key key = Key::make(kBridge, mac(1));
    REQUIRE(f.table.find(key, seen));
    f.table.refresh(key, seen, 109);
    CHECK(f.age_round(118) == 0);
    CHECK(f.age_round(119) == 1);
}

TEST_CASE("an entry stamped by a worker whose clock is ahead does not expire", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {10, 0});
    f.table.learn(kBridge, mac(1), 20, 101);
    CHECK(f.age_round(100) == 0);
    CHECK(f.table.size() == 1);
}

TEST_CASE("ageing 0 is never, and each domain ages by its own time", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {0, 0});
    f.table.set_domain(kOther, {10, 0});
    f.table.learn(kBridge, mac(1), 20, 100);
    f.table.learn(kOther, mac(1), 20, 100);
    CHECK(f.age_round(1'000'000) == 1);
    CHECK(f.table.domain_size(kBridge) == 1);
}

TEST_CASE("a hundred calls age a large table once, a call only a slice of it", "[fdb]") {
    Fixture f;
    f.table.set_domain(kBridge, {10, 0});
    constexpr std::size_t kEntries = 50'000;
    for (std::uint64_t i = 0; i < kEntries; ++i) {
        REQUIRE(f.table.learn(kBridge, mac(i), 20, 100) == Learned::added);
    }
    const std::size_t first = f.table.age(200);
    CHECK(first > 0);
    CHECK(first < kEntries / 20);
    CHECK(first + f.age_round(200) == kEntries);
    CHECK(f.table.size() == 0);
}

TEST_CASE("a view and refresh serve a burst of workers' frames", "[fdb]") {
    Fixture f;
    f.table.learn(kBridge, mac(1), 20, 100);
    f.table.learn(kBridge, mac(2), 21, 100);
    const Table::View view = f.table.view();
    const auto target_of = [&](Key key) {
        Value value;
        return view.find(view.prefetch(key), key, value) ? value.target() : 0;
    };
    const Key first = Key::make(kBridge, mac(1));
    const Key second = Key::make(kBridge, mac(2));
    CHECK(target_of(first) == 20);
    CHECK(target_of(Key::make(kBridge, mac(3))) == 0);
    CHECK(target_of(second) == 21);
    CHECK(target_of(Key::make(kOther, mac(1))) == 0);
    Value value;
    REQUIRE(f.table.find(first, value));
    f.table.refresh(first, value, 100);
    REQUIRE(f.table.find(second, value));
    f.table.refresh(second, value, 101);
    REQUIRE(f.table.find(second, value));
    CHECK(value.used_s == 101);
    CHECK(value.target() == 21);
}
