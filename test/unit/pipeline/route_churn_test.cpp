// SPDX-License-Identifier: BSD-3-Clause
// Two workers forward while control changes thousands of routes and neighbours a second, as a
// routing daemon does. Each packet is held against a model: it left by a next hop that its route
// had at some moment between its coming in and its going out, with a MAC that this one had then.
#include "lib/route/routing.hpp"
#include "test/unit/pipeline/fixture.hpp"
#include "test/unit/pipeline/visible_pool.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

namespace culvert::pipeline::test {

namespace {

constexpr std::uint32_t kWorkers = 2;
constexpr std::uint32_t kNets = 256;
constexpr std::uint32_t kGateways = 16;
constexpr std::uint32_t kDefaultGateway = kGateways - 1;  // of what no other route covers
constexpr std::uint32_t kUpdates = 20000;
constexpr std::uint64_t kPackets = 50000;
constexpr std::uint64_t kMostUnderway = 1024;  // fewer than any ring holds: nothing may be dropped
constexpr std::uint32_t kMacVersions = 4096;
constexpr std::uint64_t kMagic = 0xc01dcafe98765432;
constexpr std::uint64_t kLeastRate = 5000;  // updates a second
constexpr std::uint32_t kBatch = 50;
// Between two batches of updates so many packets go through, however fast the machine is.
constexpr std::uint64_t kPacketsABatch = 64;
// Of those that are forwarded meanwhile, so many at least met an update: their route or a gateway's
// MAC was another when they came out than when they went in.
constexpr std::uint64_t kLeastMet = kUpdates / kBatch;

using Gateways = std::uint32_t;  // a bit each

// What was true when the packet came in.
struct Seal {
    std::uint64_t magic;
    std::uint32_t net;
    std::uint32_t version;                      // of the net's route
    std::array<std::uint32_t, kGateways> macs;  // versions
};

// By themselves: inlined, they make GCC 12 warn of a size that cannot be.
[[gnu::noinline]] Bytes finished(const Packet& packet) {
    return packet.bytes();
}

[[gnu::noinline]] Bytes seal_bytes(const Seal& seal) {
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&seal);
    return {raw, raw + sizeof(seal)};
}

net::IpAddress gateway_address(std::uint32_t gateway) {
    return net::IpAddress::from_v4(0xc000020a + gateway);  // 192.0.2.10 and on
}

net::MacAddress gateway_mac(std::uint32_t gateway, std::uint32_t version) {
    return mac(0x700000 | (gateway << 12) | (version % kMacVersions));
}

net::Prefix net_prefix(std::uint32_t net) {
    return {net::IpAddress::from_v4(0x0a090000 + (net << 8)), 24};
}

struct NoActions : route::RoutingActions {
    void
    send_arp_request(LinkId, const net::MacAddress&, const net::IpAddress&, const net::IpAddress&)
        override {}

    void
    send_neighbour_solicitation(LinkId, std::optional<net::MacAddress>, const net::IpAddress&, const net::IpAddress&)
        override {}

    void send_frame(LinkId, rte_mbuf* frame) override { rte_pktmbuf_free(frame); }

    void give_up(LinkId, rte_mbuf* frame, route::QueueVerdict) override { rte_pktmbuf_free(frame); }

    void neighbour_changed(const route::Neighbour&, bool) override {}

    void route_changed(const route::Route&, bool) override {}

    void address_changed(const route::Address&, bool) override {}
};

// Something that control changes and packets are judged by.
struct History {
    std::atomic<std::uint32_t> begun{0};     // the last version that readers may see
    std::atomic<std::uint32_t> finished{0};  // the first that they may still see
};

class Churn {
public:
    Churn()
        : pool_(make_visible_pool("churn", 8191))
        , machine_({.workers = kWorkers, .idle_sleep_us = 20, .pool = pool_, .routing = &actions_})
        , in_(machine_.port_link(0))
        , out_(machine_.port_link(3)) {
        for (std::uint32_t i = 0; i < 4; ++i) {
            machine_.port(machine_.port_link(i)).record_bursts(false);
        }
        route::Routing& routing = *machine_.routing;
        routing.set_link(in_, {"in", Machine::port_mac(0), 1500, true}, kNow);
        routing.set_link(out_, {"out", Machine::port_mac(3), 1500, true}, kNow);
        must(routing.add_address(
            {.link = out_, .prefix = *net::Prefix::parse("192.0.2.1/24")}, false
        ));
        for (std::uint32_t gateway = 0; gateway < kGateways; ++gateway) {
            set_mac(gateway, 0);
        }
        route::Route covering;
        covering.prefix = *net::Prefix::parse("10.9.0.0/16");
        covering.gateway = gateway_address(kDefaultGateway);
        must(routing.modify_route(route::RouteVerb::add, covering));
        for (std::uint32_t net = 0; net < kNets; ++net) {
            outcomes_[net].resize(kUpdates + 1);
            outcomes_[net][0] = Gateways{1} << kDefaultGateway;
        }
        for (std::uint32_t i = 0; i < kWorkers; ++i) {
            machine_.worker(i).stop = &stop_;
        }
    }

    void run() {
        std::vector<std::thread> threads;
        for (std::uint32_t i = 0; i < kWorkers; ++i) {
            threads.emplace_back([this, i] { worker_loop(machine_.worker(i)); });
        }
        std::thread traffic([this] { make_traffic(); });
        std::mt19937 random(4711);
        std::chrono::duration<double> took{};
        const std::uint64_t judged_before = judged_;
        while (updates_ < kUpdates) {
            const auto start = std::chrono::steady_clock::now();
            for (std::uint32_t i = 0; i < kBatch; ++i, ++updates_) {
                change_something(random);
                machine_.domain.reclaim();
            }
            took += std::chrono::steady_clock::now() - start;
            // Not all at once: traffic is to meet them.
            wait_for_packets(judged_ + kPacketsABatch);
        }
        within_ = judged_ - judged_before;
        rate_ = static_cast<double>(updates_) / took.count();
        updates_end_ = true;
        traffic.join();
        stop_ = true;
        for (std::thread& thread : threads) {
            thread.join();
        }
    }

    [[nodiscard]] Machine& machine() { return machine_; }

    [[nodiscard]] std::uint64_t injected() const { return injected_; }

    [[nodiscard]] std::uint64_t judged() const { return judged_; }

    [[nodiscard]] std::uint64_t wrong() const { return wrong_; }

    // Of packets: judged between the first update and the last; and of these, that met one.
    [[nodiscard]] std::uint64_t within() const { return within_; }

    [[nodiscard]] std::uint64_t met() const { return met_; }

    [[nodiscard]] double rate() const { return rate_; }

private:
    static constexpr std::uint64_t kNow = 1000;

    static void must(const Result<void>& result) { RTE_VERIFY(result.has_value()); }

    // --- control's thread ---
    void wait_for_packets(std::uint64_t judged) const {
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (judged_ < judged && std::chrono::steady_clock::now() < patience) {
            std::this_thread::yield();
        }
    }

    void set_mac(std::uint32_t gateway, std::uint32_t version) {
        must(machine_.routing->neighbours().set(
            route::NeighbourTable::Verb::replace,
            {out_, gateway_address(gateway)},
            gateway_mac(gateway, version),
            route::NeighbourState::permanent,
            false,
            kNow
        ));
    }

    void change_something(std::mt19937& random) {
        const auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
        if (pick(4) == 0) {
            const std::uint32_t gateway = pick(kGateways);
            const std::uint32_t version = macs_[gateway].begun + 1;
            macs_[gateway].begun = version;
            set_mac(gateway, version);
            macs_[gateway].finished = version;
            return;
        }
        const std::uint32_t net = pick(kNets);
        History& history = routes_[net];
        const std::uint32_t version = history.begun + 1;
        route::Route route;
        route.prefix = net_prefix(net);
        const bool is_there = outcomes_[net][version - 1] != Gateways{1} << kDefaultGateway;
        const std::uint32_t what = is_there ? pick(3) : pick(2);
        Gateways outcome = Gateways{1} << kDefaultGateway;
        if (what == 0) {
            const std::uint32_t gateway = pick(kDefaultGateway);
            route.gateway = gateway_address(gateway);
            outcome = Gateways{1} << gateway;
        } else if (what == 1) {
            outcome = 0;
            for (std::uint32_t i = 0; i < 3; ++i) {
                const std::uint32_t gateway = (net + version + i * 5) % kDefaultGateway;
                route.next_hops.push_back(
                    {.gateway = gateway_address(gateway),
                     .weight = static_cast<std::uint16_t>(i + 1)}
                );
                outcome |= Gateways{1} << gateway;
            }
        }
        outcomes_[net][version] = outcome;
        history.begun = version;
        must(
            what == 2 ? machine_.routing->del_route(route)
                      : machine_.routing->modify_route(route::RouteVerb::replace, route)
        );
        history.finished = version;
    }

    // --- traffic's thread ---
    Bytes make_frame(std::uint32_t net, std::mt19937& random) const {
        Seal seal{kMagic, net, routes_[net].finished, {}};
        for (std::uint32_t gateway = 0; gateway < kGateways; ++gateway) {
            seal.macs[gateway] = macs_[gateway].finished;
        }
        return finished(Packet()
                            .ether(Machine::port_mac(0), mac(1))
                            .ipv4(
                                {.source = 0x0a000002 + static_cast<std::uint32_t>(random() % 64),
                                 .destination = 0x0a090001 + (net << 8)}
                            )
                            .raw(seal_bytes(seal)));
    }

    [[nodiscard]] bool has_met_update(const Bytes& bytes) const {
        constexpr std::size_t kAt = 34;
        Seal seal{};
        if (updates_end_ || bytes.size() != kAt + sizeof(seal)) {
            return false;
        }
        std::memcpy(&seal, &bytes[kAt], sizeof(seal));
        bool is_other = seal.net < kNets && seal.version != routes_[seal.net].finished;
        for (std::uint32_t gateway = 0; gateway < kGateways; ++gateway) {
            is_other = is_other || seal.macs[gateway] != macs_[gateway].finished;
        }
        return is_other;
    }

    [[nodiscard]] bool is_right(const Bytes& bytes) const {
        constexpr std::size_t kAt = 34;
        Seal seal{};
        if (bytes.size() != kAt + sizeof(seal)) {
            return false;
        }
        std::memcpy(&seal, &bytes[kAt], sizeof(seal));
        const auto* ether = reinterpret_cast<const net::EtherHeader*>(bytes.data());
        const auto* ip = reinterpret_cast<const net::Ipv4Header*>(&bytes[14]);
        if (seal.magic != kMagic || seal.net >= kNets || ether->source != Machine::port_mac(3) ||
            ip->destination.host() != 0x0a090001 + (seal.net << 8) || ip->time_to_live != 63 ||
            !net::ipv4_header_checksum_is_valid(*ip)) {
            return false;
        }
        Gateways allowed = 0;
        for (std::uint32_t v = seal.version; v <= routes_[seal.net].begun; ++v) {
            allowed |= outcomes_[seal.net][v];
        }
        const std::uint64_t where = ether->destination.value() - mac(0x700000).value();
        const auto gateway = static_cast<std::uint32_t>(where >> 12);
        if (gateway >= kGateways || (allowed >> gateway & 1) == 0) {
            return false;
        }
        const auto version = static_cast<std::uint32_t>(where % kMacVersions);
        const std::uint32_t ahead = (version - seal.macs[gateway]) % kMacVersions;
        return ahead <= macs_[gateway].begun - seal.macs[gateway];
    }

    void take_sent() {
        for (std::uint32_t queue = 0; queue < kWorkers; ++queue) {
            for (rte_mbuf* packet : out_port_->take_sent(queue)) {
                const Bytes bytes = bytes_of(packet);
                rte_pktmbuf_free(packet);
                ++judged_;
                wrong_ += is_right(bytes) ? 0U : 1U;
                met_ += has_met_update(bytes) ? 1U : 0U;
            }
        }
    }

    void make_traffic() {
        std::mt19937 random(1);
        while (!updates_end_ || injected_ < kPackets) {
            for (int i = 0; i < 64 && injected_ - judged_ < kMostUnderway; ++i) {
                const auto net = static_cast<std::uint32_t>(random() % kNets);
                rte_mbuf* packet = make_mbuf(pool_, make_frame(net, random));
                RTE_VERIFY(packet != nullptr);
                RTE_VERIFY(
                    in_port_->inject(packet, static_cast<std::uint32_t>(injected_ % kWorkers))
                );
                ++injected_;
            }
            take_sent();
            std::this_thread::yield();
        }
        // A packet that never comes would be one unaccounted for.
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (judged_ < injected_ && std::chrono::steady_clock::now() < patience) {
            take_sent();
            std::this_thread::yield();
        }
    }

    NoActions actions_;
    rte_mempool* pool_;
    Machine machine_;
    LinkId in_;
    LinkId out_;
    FakePort* in_port_ = &machine_.port(in_);
    FakePort* out_port_ = &machine_.port(out_);
    std::array<History, kNets> routes_;
    std::array<std::vector<Gateways>, kNets> outcomes_;  // by version, written before it begins
    std::array<History, kGateways> macs_;
    std::uint32_t updates_ = 0;
    double rate_ = 0;
    std::atomic<bool> stop_{false};
    std::atomic<bool> updates_end_{false};
    std::uint64_t injected_ = 0;
    std::atomic<std::uint64_t> judged_{0};  // traffic's thread: wo
    std::uint64_t wrong_ = 0;
    std::uint64_t met_ = 0;
    std::uint64_t within_ = 0;
};

}  // namespace

TEST_CASE("NEI-12 two workers forward while routes and neighbours change", "[pipeline][stress]") {
    REQUIRE(visible_pool::kOpsIndex >= 0);
    auto churn = std::make_unique<Churn>();
    churn->run();
    INFO(
        churn->injected() << " packets, " << churn->within() << " while there were updates, "
                          << churn->met() << " met one; " << churn->rate() << " updates a second"
    );
    CHECK(churn->within() >= kUpdates / kBatch * kPacketsABatch);
    CHECK(churn->met() >= kLeastMet);
    CHECK(churn->wrong() == 0);
    CHECK(churn->judged() == churn->injected());
    CHECK(churn->machine().dropped() == 0);
    CHECK(churn->machine().counters(0).sent.read() > 0);
    CHECK(churn->machine().counters(1).sent.read() > 0);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    CHECK(churn->rate() >= static_cast<double>(kLeastRate));
#endif
    churn.reset();
    rte_mempool_free(rte_mempool_lookup("churn"));
}

}  // namespace culvert::pipeline::test
