// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib4.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

using culvert::net::IpAddress;
using culvert::net::Prefix;
using culvert::rcu::Domain;
using culvert::route::AdjacencyId;
using culvert::route::Fib4;

namespace {

Prefix prefix_of(std::uint32_t address, unsigned length) {
    return Prefix{IpAddress::from_v4(address), static_cast<std::uint8_t>(length)}.network();
}

std::uint32_t mask_of(unsigned length) {
    return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

std::unique_ptr<Fib4> make_fib(Domain& domain, std::uint32_t max_routes) {
    auto fib = Fib4::create(domain, max_routes);
    REQUIRE(fib.has_value());
    return std::move(*fib);
}

// 32 bits a call, as an unsigned.
class Random {
public:
    explicit Random(unsigned seed)
        : engine_(seed) {}

    unsigned operator()() { return static_cast<unsigned>(engine_()); }

private:
    std::mt19937 engine_;
};

// The obvious longest prefix match.
class Model {
public:
    void set(const Prefix& prefix, AdjacencyId id) {
        routes_[{prefix.length, prefix.address.v4()}] = id;
    }

    bool erase(const Prefix& prefix) {
        return routes_.erase({prefix.length, prefix.address.v4()}) != 0;
    }

    [[nodiscard]] AdjacencyId lookup(std::uint32_t address) const {
        for (unsigned length = 33; length-- > 0;) {
            if (const auto at = routes_.find({length, address & mask_of(length)});
                at != routes_.end()) {
                return at->second;
            }
        }
        return 0;
    }

    [[nodiscard]] std::size_t size() const { return routes_.size(); }

    [[nodiscard]] const auto& routes() const { return routes_; }

private:
    std::map<std::pair<unsigned, std::uint32_t>, AdjacencyId> routes_;
};

void require_same(
    const Fib4& fib, const Model& model, const std::vector<std::uint32_t>& addresses
) {
    for (std::size_t at = 0; at < addresses.size(); at += 64) {
        const auto n = static_cast<unsigned>(std::min<std::size_t>(64, addresses.size() - at));
        std::array<AdjacencyId, 64> ids{};
        fib.lookup_bulk(&addresses[at], ids.data(), n);
        for (unsigned i = 0; i < n; ++i) {
            const std::uint32_t address = addresses[at + i];
            INFO(IpAddress::from_v4(address).to_string());
            REQUIRE(ids[i] == model.lookup(address));
            REQUIRE(fib.lookup(address) == ids[i]);
        }
    }
}

}  // namespace

TEST_CASE("the longest prefix wins, down to the default route", "[route][fib4]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 1000);
    CHECK(fib->lookup(0x0a000001) == 0);
    REQUIRE(fib->set(prefix_of(0, 0), 1));
    REQUIRE(fib->set(prefix_of(0x0a000000, 8), 2));
    REQUIRE(fib->set(prefix_of(0x0a010100, 24), 3));
    REQUIRE(fib->set(prefix_of(0x0a010180, 25), 4));
    REQUIRE(fib->set(prefix_of(0x0a0101ff, 32), 5));
    REQUIRE(fib->set(prefix_of(0xffffffff, 32), 6));
    CHECK(fib->size() == 6);

    CHECK(fib->lookup(0x0b000000) == 1);
    CHECK(fib->lookup(0x0aff0000) == 2);
    CHECK(fib->lookup(0x0a01017f) == 3);
    CHECK(fib->lookup(0x0a010180) == 4);
    CHECK(fib->lookup(0x0a0101ff) == 5);
    CHECK(fib->lookup(0xffffffff) == 6);
    CHECK(fib->lookup(0xfffffffe) == 1);

    SECTION("a route gets another adjacency in place") {
        REQUIRE(fib->set(prefix_of(0x0a010100, 24), 7));
        CHECK(fib->size() == 6);
        CHECK(fib->lookup(0x0a010101) == 7);
        CHECK(fib->lookup(0x0a010181) == 4);
    }
    SECTION("what an erased route covered falls to the next shorter one") {
        REQUIRE(fib->erase(prefix_of(0x0a010180, 25)));
        CHECK(fib->lookup(0x0a010181) == 3);
        CHECK(fib->lookup(0x0a0101ff) == 5);
        REQUIRE(fib->erase(prefix_of(0x0a010100, 24)));
        CHECK(fib->lookup(0x0a010181) == 2);
        REQUIRE(fib->erase(prefix_of(0, 0)));
        CHECK(fib->lookup(0x0b000000) == 0);
        CHECK(fib->erase(prefix_of(0, 0)).error().code == std::errc::no_such_file_or_directory);
    }
}

TEST_CASE(
    "prefixes that meet at the end of the address space leave the rest alone", "[route][fib4]"
) {
    Domain domain(1);
    const auto fib = make_fib(domain, 1000);
    Model model;
    const auto set = [&](std::uint32_t address, unsigned length, AdjacencyId id) {
        REQUIRE(fib->set(prefix_of(address, length), id));
        model.set(prefix_of(address, length), id);
    };
    const std::vector<std::uint32_t> probes{
        0,
        0x0a000001,
        0x7fffffff,
        0x80000000,
        0xfdffffff,
        0xfe000001,
        0xff000001,
        0xfffffffe,
        0xffffffff};
    set(0x0a000000, 8, 1);
    set(0xfe000000, 8, 2);
    set(0xff000000, 8, 3);
    set(0xfe000000, 7, 4);
    require_same(*fib, model, probes);
    set(0, 1, 5);
    set(0x80000000, 1, 6);
    set(0, 0, 7);
    set(0xffffffff, 32, 8);
    set(0xfffffffe, 32, 9);
    set(0xfffffffe, 31, 10);
    require_same(*fib, model, probes);
    const std::array<std::pair<std::uint32_t, unsigned>, 5> gone{
        {{0, 0}, {0xfe000000, 7}, {0xfffffffe, 31}, {0x80000000, 1}, {0xff000000, 8}}};
    for (const auto& [address, length] : gone) {
        REQUIRE(fib->erase(prefix_of(address, length)));
        model.erase(prefix_of(address, length));
        require_same(*fib, model, probes);
    }
}

TEST_CASE("a full FIB refuses, and takes again after a delete", "[route][fib4]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 10);
    for (std::uint32_t i = 0; i < 10; ++i) {
        REQUIRE(fib->set(prefix_of(i << 24 | 0x80, 25), i + 1));
    }
    const auto refused = fib->set(prefix_of(0xc0000000, 25), 99);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_space_on_device);
    CHECK(refused.error().what.find("192.0.0.0/25") != std::string::npos);
    CHECK(fib->lookup(0xc0000000) == 0);
    // An existing route needs no room.
    CHECK(fib->set(prefix_of(0x80, 25), 77));
    // More often than there are slots: they come back.
    for (std::uint32_t i = 0; i < 5000; ++i) {
        REQUIRE(fib->erase(prefix_of((i % 10) << 24 | 0x80, 25)));
        REQUIRE(fib->set(prefix_of((i % 10) << 24 | 0x80, 25), i + 1));
    }
    CHECK(fib->size() == 10);
}

TEST_CASE("random routes of every length answer as a model does", "[route][fib4]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 4000);
    Model model;
    Random random(GENERATE(1U, 2U));
    std::vector<std::uint32_t> addresses;
    for (unsigned round = 0; round < 30000; ++round) {
        // A small space, so that prefixes nest and meet; a few anywhere.
        const std::uint32_t any = random();
        const std::uint32_t address = round % 16 == 0 ? any : 0x0a000000 | (any & 0x0003ffff);
        const unsigned length = round % 64 == 0 ? random() % 25 : 14 + random() % 19;
        const Prefix prefix = prefix_of(address, length);
        if (model.size() > 3000 || random() % 3 == 0) {
            const auto& routes = model.routes();
            auto victim = routes.lower_bound({length, address & mask_of(length)});
            const Prefix gone = victim == routes.end()
                                    ? prefix
                                    : prefix_of(victim->first.second, victim->first.first);
            REQUIRE(fib->erase(gone).has_value() == model.erase(gone));
        } else {
            REQUIRE(fib->set(prefix, round + 1));
            model.set(prefix, round + 1);
        }
        REQUIRE(fib->size() == model.size());
        addresses.push_back(address);
        if (addresses.size() == 1024) {
            domain.reclaim();
            require_same(*fib, model, addresses);
            addresses.clear();
        }
    }
}

TEST_CASE("the FIB grows past its first size with routes and with long prefixes", "[route][fib4]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 100000);
    Model model;
    std::vector<std::uint32_t> addresses;
    // Each /32 has a /24 of its own: as many tbl8 groups.
    for (std::uint32_t i = 0; i < 5000; ++i) {
        const std::uint32_t address = 0x14000000 + (i << 8) + (i & 0xff);
        REQUIRE(fib->set(prefix_of(address, 32), i + 1));
        model.set(prefix_of(address, 32), i + 1);
        addresses.push_back(address);
        addresses.push_back(address ^ 1);
    }
    for (std::uint32_t i = 0; i < 15000; ++i) {
        const std::uint32_t address = 0x20000000 + (i << 8);
        REQUIRE(fib->set(prefix_of(address, 24), 100000 + i));
        model.set(prefix_of(address, 24), 100000 + i);
        addresses.push_back(address + 5);
    }
    REQUIRE(fib->size() == 20000);
    require_same(*fib, model, addresses);
}

TEST_CASE(
    "a freed table group is not taken again before every reader was quiescent", "[route][fib4]"
) {
    Domain domain(1);
    const auto fib = make_fib(domain, 1);
    const auto come_and_go = [&](std::uint32_t at) {
        const Prefix prefix = prefix_of(0x0a000000 + (at << 8), 25);
        return fib->set(prefix, at + 1).has_value() && fib->erase(prefix).has_value();
    };
    // A reader in the midst of a burst; this thread plays it. Nobody waits for it as long as there
    // are groups that were never used.
    domain.online(0);
    std::uint32_t at = 0;
    for (; at < 1000; ++at) {
        REQUIRE(come_and_go(at));
    }
    CHECK(domain.retired_count() == 1000);
    std::atomic<bool> has_added{false};
    bool is_set = true;
    std::thread writer([&] {
        for (; at < 2000; ++at) {
            is_set = is_set && come_and_go(at);
        }
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
    REQUIRE(fib->set(prefix_of(0x0a000000, 25), 5));
    CHECK(fib->lookup(0x0a000001) == 5);
}

TEST_CASE("a short prefix comes and goes under long ones", "[route][fib4]") {
    Domain domain(1);
    const auto fib = make_fib(domain, 100);
    REQUIRE(fib->set(prefix_of(0x0a010180, 25), 1));
    REQUIRE(fib->set(prefix_of(0x0a000000, 8), 2));
    CHECK(fib->lookup(0x0a010101) == 2);
    CHECK(fib->lookup(0x0a010181) == 1);
    REQUIRE(fib->set(prefix_of(0x0a010000, 16), 3));
    REQUIRE(fib->erase(prefix_of(0x0a010180, 25)));
    CHECK(fib->lookup(0x0a010181) == 3);
    REQUIRE(fib->set(prefix_of(0x0a010180, 32), 4));
    REQUIRE(fib->erase(prefix_of(0x0a010000, 16)));
    CHECK(fib->lookup(0x0a010180) == 4);
    CHECK(fib->lookup(0x0a010181) == 2);
    REQUIRE(fib->erase(prefix_of(0x0a000000, 8)));
    CHECK(fib->lookup(0x0a010180) == 4);
    CHECK(fib->lookup(0x0a010181) == 0);
}

TEST_CASE(
    "a reader finds only what was there for its address, while routes change", "[route][fib4]"
) {
    constexpr std::uint32_t kBase = 0x0a000000;
    constexpr std::uint32_t kSpace = 0x7ff;  // eight /24
    constexpr std::size_t kChanges = 100000;

    // An id is given once. `is_dead`: a grace period has passed since its route was erased or given
    // another id.
    struct Given {
        std::uint32_t address = 0;
        std::uint32_t mask = 0;
        std::atomic<bool> is_dead{false};
    };

    std::vector<Given> given(kChanges + 2);
    Domain domain(1);
    const auto fib = make_fib(domain, 1000);
    given[1].address = kBase;
    given[1].mask = mask_of(8);
    REQUIRE(fib->set(prefix_of(kBase, 8), 1));

    std::atomic<bool> is_done{false};
    std::atomic<std::uint64_t> lookups{0};
    std::uint64_t misses = 0;
    std::uint64_t strangers = 0;
    std::uint64_t ghosts = 0;
    std::thread reader([&] {
        Random random(7);
        std::array<std::uint32_t, 64> addresses{};
        std::array<AdjacencyId, 64> ids{};
        domain.online(0);
        while (!is_done.load(std::memory_order_relaxed)) {
            for (std::uint32_t& address : addresses) {
                address = kBase | (random() & kSpace);
            }
            fib->lookup_bulk(addresses.data(), ids.data(), 64);
            for (unsigned i = 0; i < 64; ++i) {
                const Given& found = given[ids[i]];
                misses += ids[i] == 0 ? 1 : 0;
                strangers += (addresses[i] & found.mask) != found.address ? 1 : 0;
                ghosts += found.is_dead.load(std::memory_order_relaxed) ? 1 : 0;
            }
            lookups.fetch_add(64, std::memory_order_relaxed);
            domain.quiescent(0);
        }
        domain.offline(0);
    });

    Random random(8);
    std::map<std::pair<std::uint32_t, unsigned>, AdjacencyId> current;
    const auto bury = [&](AdjacencyId id) {
        domain.retire([&given, id] { given[id].is_dead.store(true, std::memory_order_relaxed); });
    };
    for (std::size_t i = 0; i < kChanges; ++i) {
        const auto id = static_cast<AdjacencyId>(i + 2);
        const unsigned length = random() % 8 == 0 ? 22 + random() % 3 : 25 + random() % 8;
        // Few different ones, so that the last one of a /24 goes often and its group is freed.
        const std::uint32_t address = (kBase | (random() & kSpace & ~0x3fU)) & mask_of(length);
        const auto found = current.find({address, length});
        if (found != current.end() && random() % 4 != 0) {
            REQUIRE(fib->erase(prefix_of(address, length)));
            bury(found->second);
            current.erase(found);
        } else {
            given[id].address = address;
            given[id].mask = mask_of(length);
            REQUIRE(fib->set(prefix_of(address, length), id));
            if (found != current.end()) {
                bury(found->second);
            }
            current[{address, length}] = id;
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
