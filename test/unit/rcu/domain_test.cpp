// SPDX-License-Identifier: BSD-3-Clause
#include "lib/rcu/domain.hpp"
#include "lib/rcu/published.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using culvert::rcu::Domain;
using culvert::rcu::Published;

namespace {

// Counts its living instances.
struct Counted {
    explicit Counted(int& living_count)
        : living(living_count) {
        ++living;
    }

    ~Counted() { --living; }

    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    int& living;
};

}  // namespace

TEST_CASE("a retired object is released once every online reader was quiescent", "[rcu]") {
    Domain domain(2);
    int released = 0;
    domain.online(0);
    domain.online(1);
    domain.retire([&released] { ++released; });
    CHECK(domain.reclaim() == 0);
    domain.quiescent(0);
    CHECK(domain.reclaim() == 0);
    CHECK(released == 0);
    domain.quiescent(1);
    CHECK(domain.reclaim() == 1);
    CHECK(released == 1);
    CHECK(domain.retired_count() == 0);
    CHECK(domain.reclaim() == 0);
    domain.offline(0);
    domain.offline(1);
}

TEST_CASE("an offline reader and one that never came hold nobody up", "[rcu]") {
    Domain domain(3);
    int released = 0;
    domain.online(0);
    domain.online(1);
    domain.offline(1);
    domain.retire([&released] { ++released; });
    CHECK(domain.reclaim() == 0);
    domain.offline(0);
    CHECK(domain.reclaim() == 1);
    CHECK(released == 1);
}

TEST_CASE("a reader that comes online later does not wait for what it cannot have seen", "[rcu]") {
    Domain domain(1);
    int released = 0;
    domain.retire([&released] { ++released; });
    domain.online(0);
    CHECK(domain.reclaim() == 1);
    CHECK(released == 1);
    domain.offline(0);
}

TEST_CASE(
    "reclaim releases the oldest first, only what has passed, and no more than asked", "[rcu]"
) {
    Domain domain(1);
    std::vector<int> order;
    domain.online(0);
    domain.retire([&order] { order.push_back(1); });
    domain.retire([&order] { order.push_back(2); });
    domain.retire([&order] { order.push_back(3); });
    domain.quiescent(0);
    domain.retire([&order] { order.push_back(4); });
    CHECK(domain.reclaim(2) == 2);
    CHECK(order == std::vector{1, 2});
    CHECK(domain.reclaim() == 1);
    CHECK(order == std::vector{1, 2, 3});
    CHECK(domain.retired_count() == 1);
    domain.quiescent(0);
    CHECK(domain.reclaim() == 1);
    domain.offline(0);
}

TEST_CASE("a release may retire something else, which waits for its own grace period", "[rcu]") {
    Domain domain(1);
    int released = 0;
    domain.online(0);
    domain.retire([&] { domain.retire([&released] { ++released; }); });
    domain.quiescent(0);
    CHECK(domain.reclaim() == 1);
    CHECK(released == 0);
    CHECK(domain.retired_count() == 1);
    domain.quiescent(0);
    CHECK(domain.reclaim() == 1);
    CHECK(released == 1);
    domain.offline(0);
}

TEST_CASE("a grace period can be asked about without retiring anything", "[rcu]") {
    Domain domain(1);
    domain.online(0);
    const auto token = domain.start_grace_period();
    CHECK_FALSE(domain.has_passed(token));
    domain.quiescent(0);
    CHECK(domain.has_passed(token));
    domain.offline(0);
}

TEST_CASE("synchronize waits for a polling reader and releases everything", "[rcu]") {
    Domain domain(1);
    std::atomic<bool> polling{false};
    std::atomic<bool> stop{false};
    std::thread reader([&] {
        domain.online(0);
        while (!stop.load(std::memory_order_acquire)) {
            domain.quiescent(0);
            polling.store(true, std::memory_order_release);
        }
        domain.offline(0);
    });
    while (!polling.load(std::memory_order_acquire)) {
        std::this_thread::yield();
    }
    int released = 0;
    for (int i = 0; i < 10; ++i) {
        domain.retire([&released] { ++released; });
    }
    domain.synchronize();
    CHECK(released == 10);
    CHECK(domain.retired_count() == 0);
    stop.store(true, std::memory_order_release);
    reader.join();
}

TEST_CASE("the domain releases what is left when it goes", "[rcu]") {
    int living = 0;
    {
        Domain domain(1);
        domain.retire_object(std::make_unique<Counted>(living));
        domain.retire_object(std::unique_ptr<Counted>());
        CHECK(domain.retired_count() == 1);
        CHECK(living == 1);
    }
    CHECK(living == 0);
}

TEST_CASE("publishing retires what was published before", "[rcu]") {
    int living = 0;
    Domain domain(1);
    {
        Published<Counted> published;
        CHECK(published.read() == nullptr);
        domain.online(0);
        published.publish(domain, std::make_unique<const Counted>(living));
        const Counted* first = published.read();
        REQUIRE(first != nullptr);
        CHECK(domain.retired_count() == 0);
        published.publish(domain, std::make_unique<const Counted>(living));
        CHECK(published.read() != first);
        CHECK(domain.reclaim() == 0);
        CHECK(living == 2);
        domain.quiescent(0);
        CHECK(domain.reclaim() == 1);
        CHECK(living == 1);
        domain.offline(0);
    }
    CHECK(living == 0);
}
