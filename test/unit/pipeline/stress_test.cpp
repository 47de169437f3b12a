// SPDX-License-Identifier: BSD-3-Clause
// Two workers with traffic on both while control adds, changes and removes what they look at. No
// packet may come out wrong, none may be lost without a name, and ThreadSanitizer must be silent.
#include "test/unit/pipeline/fixture.hpp"
#include "test/unit/pipeline/visible_pool.hpp"

#include <atomic>
#include <random>
#include <string>
#include <thread>

namespace culvert::pipeline::test {

namespace {

constexpr std::uint32_t kWorkers = 2;
constexpr std::uint32_t kStations = 64;
constexpr std::uint32_t kNets = 16;
// Control goes on until it has changed this much and workers have seen this many packets, however
// the machine shares its CPUs out between them.
constexpr std::uint32_t kTurns = 4000;
constexpr std::uint64_t kPackets = 20000;
constexpr std::uint64_t kMagic = 0xc01dcafe12345678;

// What every packet carries, so that it can be judged wherever it comes out.
struct Seal {
    std::uint64_t magic;
    std::uint64_t number;
    std::uint64_t inverse;
};

Bytes seal_bytes(std::uint64_t number) {
    const Seal seal{kMagic, number, ~number};
    Bytes bytes(sizeof(seal));
    std::memcpy(bytes.data(), &seal, sizeof(seal));
    return bytes;
}

net::MacAddress station_mac(std::uint32_t station) {
    return mac(0x5000 + station);
}

// The next hop of version v of a net's adjacency: both MACs of its header carry v.
net::MacAddress hop_mac(std::uint32_t version) {
    return mac(0x700000 | version);
}

net::MacAddress source_mac(std::uint32_t version) {
    return mac(0x800000 | version);
}

class Stress {
public:
    Stress()
        : pool_(make_visible_pool("stress", 8191))
        , machine_(
              {.workers = kWorkers,
               .tx_queues = 1,
               .idle_sleep_us = 20,
               .ring_size = 1024,
               .pool = pool_}
          )
        , bridge_(machine_.add_bridge(mac(0xb0))) {
        RTE_VERIFY(pool_ != nullptr);
        machine_.change(bridge_, [](Link& link) { link.has_address = true; });
        for (std::uint32_t i = 0; i < 3; ++i) {
            machine_.enslave(machine_.port_link(i), bridge_);
        }
        for (std::uint32_t i = 0; i < 4; ++i) {
            machine_.port(machine_.port_link(i)).record_bursts(false);
        }
        for (std::uint32_t net = 0; net < kNets; ++net) {
            nets_.push_back(machine_.add_route(prefix(net), adjacency(net)));
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
        for (std::uint32_t turn = 0;
             turn < kTurns || machine_.total(&CounterBlock::received) < kPackets;
             ++turn) {
            change_something(random);
            take_from_workers();
            machine_.domain.reclaim();
        }
        traffic_ends_ = true;
        while (!traffic_ended_) {
            take_from_workers();
        }
        stop_ = true;
        for (std::thread& thread : threads) {
            thread.join();
        }
        traffic.join();
        for (std::uint32_t i = 0; i < kWorkers; ++i) {
            drain(machine_.worker(i));
        }
        take_sent();
    }

    [[nodiscard]] Machine& machine() { return machine_; }

    [[nodiscard]] std::uint64_t injected() const { return injected_; }

    [[nodiscard]] std::uint64_t judged() const { return judged_; }

    [[nodiscard]] std::uint64_t wrong() const { return wrong_; }

private:
    static std::string prefix(std::uint32_t net) { return "10.9." + std::to_string(net) + ".0/24"; }

    route::Adjacency adjacency(std::uint32_t version) {
        route::Adjacency adjacency;
        adjacency.kind = route::AdjacencyKind::rewrite;
        adjacency.link_out = machine_.port_link(3);
        adjacency.mtu = 1500;
        adjacency.header_len = sizeof(net::EtherHeader);
        const net::EtherHeader header{
            hop_mac(version), source_mac(version), net::Be16{net::ether_type::kIpv4}};
        std::memcpy(adjacency.header.data(), &header, sizeof(header));
        return adjacency;
    }

    // --- traffic thread ---
    Bytes make_frame(std::mt19937& random) {
        const std::uint64_t number = injected_;
        const net::MacAddress from = station_mac(static_cast<std::uint32_t>(random() % kStations));
        const std::uint32_t kind = random() % 8;
        if (kind == 0) {
            return Packet()
                .ether(net::kBroadcastMac, from, 0x88b5)
                .raw(seal_bytes(number))
                .payload(22)
                .bytes();
        }
        if (kind < 4) {
            const net::MacAddress to =
                station_mac(static_cast<std::uint32_t>(random() % kStations));
            return Packet().ether(to, from, 0x88b5).raw(seal_bytes(number)).payload(22).bytes();
        }
        const std::uint32_t net = static_cast<std::uint32_t>(random() % kNets);
        return Packet()
            .ether(mac(0xb0), from)
            .ipv4({.destination = 0x0a090001 + (net << 8)})
            .raw(seal_bytes(number))
            .bytes();
    }

    void inject(std::mt19937& random) {
        rte_mbuf* packet = make_mbuf(pool_, make_frame(random));
        if (packet == nullptr) {
            return;
        }
        const LinkId port = machine_.port_link(static_cast<std::uint32_t>(random() % 3));
        if (ports_[port]->inject(packet, static_cast<std::uint32_t>(random() % kWorkers))) {
            ++injected_;
        } else {
            rte_pktmbuf_free(packet);
        }
    }

    void judge(rte_mbuf* packet, bool routed) {
        const Bytes bytes = bytes_of(packet);
        rte_pktmbuf_free(packet);
        ++judged_;
        const std::size_t at = routed ? 34 : 14;
        if (bytes.size() < at + sizeof(Seal)) {
            ++wrong_;
            return;
        }
        Seal seal{};
        std::memcpy(&seal, &bytes[at], sizeof(seal));
        bool right =
            seal.magic == kMagic && seal.inverse == ~seal.number && seal.number <= injected_;
        if (routed) {
            const auto* ether = reinterpret_cast<const net::EtherHeader*>(bytes.data());
            const auto* ip = reinterpret_cast<const net::Ipv4Header*>(&bytes[14]);
            const std::uint64_t version = ether->destination.value() & 0xfffff;
            right = right && ether->source == source_mac(static_cast<std::uint32_t>(version)) &&
                    ip->time_to_live == 63 && net::ipv4_header_checksum_is_valid(*ip);
        }
        wrong_ += right ? 0U : 1U;
    }

    void take_sent() {
        for (auto& [link, port] : ports_) {
            for (rte_mbuf* packet : port->take_sent()) {
                judge(packet, link == machine_.port_link(3));
            }
        }
    }

    void make_traffic() {
        std::mt19937 random(1);
        while (!traffic_ends_) {
            for (int i = 0; i < 64; ++i) {
                inject(random);
            }
            take_sent();
            std::this_thread::yield();
        }
        while (machine_.total(&CounterBlock::received) < injected_) {
            take_sent();
            std::this_thread::yield();
        }
        take_sent();
        traffic_ended_ = true;
    }

    // --- control's thread ---
    void change_something(std::mt19937& random) {
        const auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
        switch (pick(8)) {
        case 0:
            move_member();
            break;
        case 1:
            machine_.change(machine_.port_link(pick(3)), [&](Link& link) {
                link.bridge_port.hairpin = pick(2) == 0;
            });
            break;
        case 2:
            add_or_remove_dummy(pick(2) == 0);
            break;
        case 3:
            (void)machine_.fdb.set(
                bridge_, station_mac(pick(kStations)), machine_.port_link(pick(3)), {}, 0
            );
            break;
        case 4:
            machine_.fdb.erase(bridge_, station_mac(pick(kStations)));
            break;
        case 5:
            machine_.adjacencies.publish(
                nets_[pick(kNets)], std::make_unique<const route::Adjacency>(adjacency(pick(1000)))
            );
            break;
        case 6:
            replace_route(pick(kNets));
            break;
        default:
            machine_.change(machine_.port_link(pick(3)), [&](Link& link) {
                link.up = pick(4) != 0;
            });
        }
    }

    void move_member() {
        const LinkId port = machine_.port_link(2);
        const bool member = machine_.link(port).master != kNoLink;
        machine_.enslave(port, member ? kNoLink : bridge_);
    }

    void add_or_remove_dummy(bool add) {
        if (add && dummies_.size() < 4) {
            Link dummy;
            dummy.up = true;
            dummies_.push_back(machine_.add_link(dummy));
            machine_.enslave(dummies_.back(), bridge_);
        } else if (!dummies_.empty()) {
            machine_.enslave(dummies_.back(), kNoLink);
            machine_.erase_link(dummies_.back());
            dummies_.pop_back();
        }
    }

    void replace_route(std::uint32_t net) {
        const auto parsed = net::Prefix::parse(prefix(net)).value();
        if (!machine_.fib4->erase(parsed)) {
            (void)machine_.fib4->set(parsed, nets_[net]);
        }
    }

    void take_from_workers() {
        machine_.learn_all();
        for (std::uint32_t i = 0; i < kWorkers; ++i) {
            machine_.punted(i);
        }
        machine_.doorbell().control_sleeps = true;
        std::this_thread::yield();
    }

    rte_mempool* pool_;
    Machine machine_;
    LinkId bridge_;
    // The traffic thread's own way to the ports: the machine's map of links is control's.
    std::map<LinkId, FakePort*> ports_ = [this] {
        std::map<LinkId, FakePort*> ports;
        for (std::uint32_t i = 0; i < 4; ++i) {
            ports[machine_.port_link(i)] = &machine_.port(machine_.port_link(i));
        }
        return ports;
    }();
    std::vector<route::AdjacencyId> nets_;
    std::vector<LinkId> dummies_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> traffic_ends_{false};
    std::atomic<bool> traffic_ended_{false};
    // traffic thread
    std::uint64_t injected_ = 0;
    std::uint64_t judged_ = 0;
    std::uint64_t wrong_ = 0;
};

}  // namespace

TEST_CASE("two workers under traffic while control changes everything", "[pipeline][stress]") {
    REQUIRE(visible_pool::kOpsIndex >= 0);
    auto stress = std::make_unique<Stress>();
    stress->run();
    CHECK(stress->wrong() == 0);
    CHECK(stress->injected() == stress->machine().total(&CounterBlock::received));
    CHECK(stress->judged() == stress->machine().total(&CounterBlock::sent));
    // It was not for nothing.
    INFO(stress->injected() << " in, " << stress->judged() << " out");
    CHECK(stress->judged() > 1000);
    CHECK(stress->machine().counters(1).received.read() > 0);
    stress.reset();
    rte_mempool_free(rte_mempool_lookup("stress"));
}

}  // namespace culvert::pipeline::test
