// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib6.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using culvert::net::IpAddress;
using culvert::net::Prefix;
using culvert::rcu::Domain;
using culvert::route::AdjacencyId;
using culvert::route::Fib6;

namespace {

Prefix prefix_of(std::string_view text) {
    return Prefix::parse(text).value();
}

Fib6::Address address_of(std::string_view text) {
    return IpAddress::parse(text).value().bytes();
}

std::unique_ptr<Fib6> make_fib(Domain& domain, std::uint32_t max_routes) {
    auto fib = Fib6::create(domain, max_routes);
    REQUIRE(fib.has_value());
    return std::move(*fib);
}

class Random {
public:
    explicit Random(unsigned seed)
        : engine_(seed) {}

    unsigned operator()() { return static_cast<unsigned>(engine_()); }

    // Under 2001:db8::/32, alike in most bits, so that prefixes nest and share groups.
    Fib6::Address near() {
        Fib6::Address address{0x20, 0x01, 0x0d, 0xb8};
        for (std::size_t i = 4; i < address.size(); ++i) {
            const unsigned draw = (*this)();
            address[i] = draw % 4 == 0 ? static_cast<std::uint8_t>(draw >> 30) : std::uint8_t{0};
        }
        return address;
    }

    Prefix prefix() {
        const auto length = static_cast<std::uint8_t>((*this)() % 128 + 1);
        return Prefix{IpAddress::from_v6(near()), length}.network();
    }

private:
    std::mt19937 engine_;
};

// The obvious longest prefix match.
class Model {
public:
    void set(const Prefix& prefix, AdjacencyId id) { routes_[prefix] = id; }

    bool erase(const Prefix& prefix) { return routes_.erase(prefix) != 0; }

    [[nodiscard]] AdjacencyId lookup(const Fib6::Address& address) const {
        for (int length = 128; length >= 0; --length) {
            const Prefix prefix{IpAddress::from_v6(address), static_cast<std::uint8_t>(length)};
            if (const auto at = routes_.find(prefix.network()); at != routes_.end()) {
                return at->second;
            }
        }
        return 0;
    }

    [[nodiscard]] const auto& routes() const { return routes_; }

private:
    std::map<Prefix, AdjacencyId> routes_;
};

void require_same(
    const Fib6& fib, const Model& model, const std::vector<Fib6::Address>& addresses
) {
    for (std::size_t at = 0; at < addresses.size(); at += 64) {
        const auto n = static_cast<unsigned>(std::min<std::size_t>(64, addresses.size() - at));
        std::array<AdjacencyId, 64> ids{};
        fib.lookup_bulk(&addresses[at], ids.data(), n);
        for (unsigned i = 0; i < n; ++i) {
            INFO(IpAddress::from_v6(addresses[at + i]).to_string());
            REQUIRE(ids[i] == model.lookup(addresses[at + i]));
            REQUIRE(fib.lookup(addresses[at + i]) == ids[i]);
        }
    }
}

}  // namespace

TEST_CASE("IPv6: the longest prefix wins, down to the default route", "[route][fib6]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 1000);
    CHECK(fib->lookup(address_of("2001:db8::1")) == 0);
    REQUIRE(fib->set(prefix_of("::/0"), 1));
    REQUIRE(fib->set(prefix_of("2001:db8::/32"), 2));
    REQUIRE(fib->set(prefix_of("2001:db8:1::/48"), 3));
    REQUIRE(fib->set(prefix_of("2001:db8:1::/64"), 4));
    REQUIRE(fib->set(prefix_of("2001:db8:1::9/128"), 5));
    REQUIRE(fib->set(prefix_of("8000::/1"), 6));
    CHECK(fib->size() == 6);

    CHECK(fib->lookup(address_of("2002::1")) == 1);
    CHECK(fib->lookup(address_of("2001:db8:2::1")) == 2);
    CHECK(fib->lookup(address_of("2001:db8:1:1::1")) == 3);
    CHECK(fib->lookup(address_of("2001:db8:1::8")) == 4);
    CHECK(fib->lookup(address_of("2001:db8:1::9")) == 5);
    CHECK(fib->lookup(address_of("fd00::1")) == 6);

    SECTION("a route gets another adjacency in place") {
        REQUIRE(fib->set(prefix_of("2001:db8:1::/64"), 7));
        CHECK(fib->size() == 6);
        CHECK(fib->lookup(address_of("2001:db8:1::8")) == 7);
        CHECK(fib->lookup(address_of("2001:db8:1::9")) == 5);
    }
    SECTION("what an erased route covered falls to the next shorter one") {
        REQUIRE(fib->erase(prefix_of("2001:db8:1::/64")));
        CHECK(fib->lookup(address_of("2001:db8:1::8")) == 3);
        CHECK(fib->lookup(address_of("2001:db8:1::9")) == 5);
        REQUIRE(fib->erase(prefix_of("8000::/1")));
        CHECK(fib->lookup(address_of("fd00::1")) == 1);
        REQUIRE(fib->erase(prefix_of("::/0")));
        CHECK(fib->lookup(address_of("fd00::1")) == 0);
        CHECK(fib->lookup(address_of("2002::1")) == 0);
        CHECK(fib->erase(prefix_of("::/0")).error().code == std::errc::no_such_file_or_directory);
    }
}

TEST_CASE("IPv6: a full FIB refuses, and takes again after a delete", "[route][fib6]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 10);
    const auto nth = [](std::uint32_t i) {
        Fib6::Address address{0x20, 0x01, 0x0d, 0xb8, 0, static_cast<std::uint8_t>(i)};
        return Prefix{IpAddress::from_v6(address), 64};
    };
    for (std::uint32_t i = 0; i < 10; ++i) {
        REQUIRE(fib->set(nth(i), i + 1));
    }
    const auto refused = fib->set(nth(10), 99);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_space_on_device);
    // More often than there are slots and groups: they come back.
    for (std::uint32_t i = 0; i < 5000; ++i) {
        REQUIRE(fib->erase(nth(i % 10)));
        REQUIRE(fib->set(nth(i % 10), i + 1));
    }
    CHECK(fib->size() == 10);
}

TEST_CASE("IPv6: random routes of every length answer as a model does", "[route][fib6]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 4000);
    Model model;
    Random random(GENERATE(1U, 2U));
    std::vector<Fib6::Address> addresses;
    for (unsigned round = 0; round < 10000; ++round) {
        const Prefix prefix = random.prefix();
        if (model.routes().size() > 2000 || random() % 3 == 0) {
            const auto victim = model.routes().lower_bound(prefix);
            const Prefix gone = victim == model.routes().end() ? prefix : victim->first;
            REQUIRE(fib->erase(gone).has_value() == model.erase(gone));
        } else {
            REQUIRE(fib->set(prefix, round + 1));
            model.set(prefix, round + 1);
        }
        REQUIRE(fib->size() == model.routes().size());
        addresses.push_back(round % 2 == 0 ? prefix.address.bytes() : random.near());
        if (addresses.size() == 512) {
            domain.reclaim();
            require_same(*fib, model, addresses);
            addresses.clear();
        }
    }
}

TEST_CASE("IPv6: the FIB grows past its first size of groups", "[route][fib6]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 100000);
    Model model;
    std::vector<Fib6::Address> addresses;
    for (std::uint32_t i = 0; i < 20000; ++i) {
        Fib6::Address address{0x20, 0x01, 0x0d, static_cast<std::uint8_t>(i >> 16)};
        address[4] = static_cast<std::uint8_t>(i >> 8);
        address[5] = static_cast<std::uint8_t>(i);
        const auto length = static_cast<std::uint8_t>(i % 4 == 0 ? 64 : 48);
        const Prefix prefix{IpAddress::from_v6(address), length};
        REQUIRE(fib->set(prefix, i + 1));
        model.set(prefix, i + 1);
        addresses.push_back(address);
    }
    CHECK(domain.retired_count() == 0);  // what was too small is gone
    require_same(*fib, model, addresses);
}

TEST_CASE(
    "IPv6: a freed table group is not taken again before every reader was quiescent",
    "[route][fib6]"
) {
    Domain domain(1);
    const auto fib = make_fib(domain, 1000);
    // A reader in the midst of a burst; this thread plays it.
    domain.online(0);
    REQUIRE(fib->set(prefix_of("2001:db8::/64"), 1));
    REQUIRE(fib->set(prefix_of("2001:db8:0:1::/64"), 2));
    REQUIRE(fib->erase(prefix_of("2001:db8:0:1::/64")));
    // Its group still has another route: nothing was freed, and nobody waits.
    REQUIRE(fib->set(prefix_of("2001:db8:1::/48"), 3));
    REQUIRE(fib->erase(prefix_of("2001:db8::/64")));
    // Short prefixes need no group.
    REQUIRE(fib->set(prefix_of("2002::/16"), 4));
    std::atomic<bool> has_added{false};
    bool is_set = false;
    std::thread writer([&] {
        is_set = fib->set(prefix_of("2001:db8:2::/56"), 5).has_value();
        has_added.store(true);
    });
    for (int i = 0; i < 1000; ++i) {
        std::this_thread::yield();
    }
    CHECK_FALSE(has_added.load());
    domain.quiescent(0);
    domain.offline(0);
    writer.join();
    CHECK(is_set);
    CHECK(fib->lookup(address_of("2001:db8:2::1")) == 5);
}

TEST_CASE(
    "IPv6: a reader finds only what was there for its address, while routes change", "[route][fib6]"
) {
    constexpr std::size_t kChanges = 60000;

    // An id is given once. `is_dead`: a grace period has passed since its route was erased or given
    // another id.
    struct Given {
        Prefix prefix;
        std::atomic<bool> is_dead{false};
    };

    std::vector<Given> given(kChanges + 2);
    Domain domain(1);
    const auto fib = make_fib(domain, 5000);
    given[1].prefix = prefix_of("2001:db8::/32");
    REQUIRE(fib->set(given[1].prefix, 1));

    std::atomic<bool> is_done{false};
    std::atomic<std::uint64_t> lookups{0};
    std::uint64_t misses = 0;
    std::uint64_t strangers = 0;
    std::uint64_t ghosts = 0;
    std::thread reader([&] {
        Random random(7);
        std::array<Fib6::Address, 64> addresses{};
        std::array<AdjacencyId, 64> ids{};
        domain.online(0);
        while (!is_done.load(std::memory_order_relaxed)) {
            for (Fib6::Address& address : addresses) {
                address = random.near();
            }
            fib->lookup_bulk(addresses.data(), ids.data(), 64);
            for (unsigned i = 0; i < 64; ++i) {
                const Given& found = given[ids[i]];
                misses += ids[i] == 0 ? 1 : 0;
                strangers += found.prefix.contains(IpAddress::from_v6(addresses[i])) ? 0 : 1;
                ghosts += found.is_dead.load(std::memory_order_relaxed) ? 1 : 0;
            }
            lookups.fetch_add(64, std::memory_order_relaxed);
            domain.quiescent(0);
        }
        domain.offline(0);
    });

    Random random(8);
    std::map<Prefix, AdjacencyId> current;
    const auto bury = [&](AdjacencyId id) {
        domain.retire([&given, id] { given[id].is_dead.store(true, std::memory_order_relaxed); });
    };
    for (std::size_t i = 0; i < kChanges; ++i) {
        const auto id = static_cast<AdjacencyId>(i + 2);
        Prefix prefix = random.prefix();
        const auto found = current.lower_bound(prefix);
        if (found != current.end() && (current.size() > 200 || random() % 2 == 0)) {
            REQUIRE(fib->erase(found->first));
            bury(found->second);
            current.erase(found);
        } else if (prefix.length > 32) {
            given[id].prefix = prefix;
            const auto same = current.find(prefix);
            REQUIRE(fib->set(prefix, id));
            if (same != current.end()) {
                bury(same->second);
            }
            current[prefix] = id;
        }
        domain.reclaim();
    }
    // On a machine with one CPU the reader may not have run yet.
    while (lookups.load(std::memory_order_relaxed) < 100000) {
        std::this_thread::yield();
    }
    is_done.store(true);
    reader.join();
    CHECK(misses == 0);
    CHECK(strangers == 0);
    CHECK(ghosts == 0);
}
