// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/pipeline/fixture.hpp"

#include <fmt/format.h>
#include <rte_cycles.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace culvert::pipeline::test {

namespace {

std::string unique_name(std::string_view what) {
    static std::uint32_t number = 0;
    return std::string(what) + std::to_string(++number);
}

std::unique_ptr<route::Fib4> make_fib(rcu::Domain& domain) {
    Result<std::unique_ptr<route::Fib4>> fib = route::Fib4::create(domain, 1024);
    RTE_VERIFY(fib.has_value());
    return std::move(fib).value();
}

std::unique_ptr<route::Fib6> make_fib6(rcu::Domain& domain) {
    Result<std::unique_ptr<route::Fib6>> fib = route::Fib6::create(domain, 1024);
    RTE_VERIFY(fib.has_value());
    return std::move(fib).value();
}

std::unique_ptr<route::Routing> make_routing(rcu::Domain& domain, route::RoutingActions* actions) {
    if (actions == nullptr) {
        return nullptr;
    }
    auto routing = route::Routing::create(domain, *actions, {}, {.random_seed = 5});
    RTE_VERIFY(routing.has_value());
    return std::move(routing).value();
}

net::Prefix prefix_of(std::string_view text) {
    return net::Prefix::parse(text).value();
}

}  // namespace

Machine::Machine(const MachineOptions& options)
    : domain(options.workers)
    , published_links(domain, kMaxLinks)
    , fdb(domain, 65536)
    , vxlan_demux(domain)
    , vlans(domain)
    , vxlan_destinations(domain, 4096)
    , vxlan_templates(domain, 4096)
    , ip_tunnels(domain)
    , adjacencies(domain, 65536)
    , fib4(make_fib(domain))
    , fib6(make_fib6(domain))
    , routing(make_routing(domain, options.routing))
    , tables{published_links, fdb, vxlan_demux, vxlan_destinations, vxlan_templates, ip_tunnels,
             routing ? routing->fib4() : *fib4,
             routing ? routing->adjacencies() : adjacencies,
             routing ? routing->own_addresses() : own_addresses,
             routing ? routing->fib6() : *fib6,
             routing ? routing->own_addresses6() : own_addresses6,
             vlans}
    , options_(options)
    , pool_(options.pool) {
    if (pool_ == nullptr) {
        owns_pool_ = true;
        pool_ = rte_pktmbuf_pool_create(
            unique_name("pool").c_str(),
            options.pool_size,
            0,
            kPrivateSize,
            RTE_MBUF_DEFAULT_BUF_SIZE,
            SOCKET_ID_ANY
        );
        RTE_VERIFY(pool_ != nullptr);
    }
    doorbell_.event_fd = ::eventfd(0, EFD_NONBLOCK);
    make_ports();
    for (std::uint32_t i = 0; i < options.workers; ++i) {
        make_worker(i);
    }
    for (auto& worker : workers_) {
        for (auto& peer : workers_) {
            worker->peers.push_back(&peer->rings);
        }
    }
}

Machine::~Machine() {
    run();
    for (std::uint32_t i = 0; i < options_.workers; ++i) {
        punted(i);
        learned(i);
    }
    const std::uint64_t in = total(&CounterBlock::received) + total(&CounterBlock::originated) +
                             total(&CounterBlock::replicated);
    const std::uint64_t out = total(&CounterBlock::sent) + total(&CounterBlock::consumed) +
                              total(&CounterBlock::dropped) + taken_by_control;
    CHECK(in == out);
    for (auto& port : ports_) {
        for (std::uint32_t queue = 0; queue < FakePort::kMaxQueues; ++queue) {
            for (rte_mbuf* packet : port->take_sent(queue)) {
                rte_pktmbuf_free(packet);
            }
        }
    }
    CHECK(packets_out() == 0);
    workers_.clear();
    for (rte_ring* ring : rings_) {
        rte_ring_free(ring);
    }
    ::close(doorbell_.event_fd);
    if (owns_pool_) {
        rte_mempool_free(pool_);
    }
    domain.synchronize();
}

void Machine::make_ports() {
    for (std::uint32_t i = 0; i < options_.ports; ++i) {
        ports_.push_back(std::make_unique<FakePort>(static_cast<std::uint16_t>(i)));
        Link link;
        link.kind = LinkKind::port;
        link.up = true;
        link.mac = port_mac(i);
        link.port_id = static_cast<std::uint16_t>(i);
        port_links_.push_back(add_link(link));
    }
}

rte_ring* Machine::make_ring(std::uint32_t element_size) {
    rte_ring* ring = rte_ring_create_elem(
        unique_name("ring").c_str(),
        element_size,
        options_.ring_size,
        SOCKET_ID_ANY,
        RING_F_SP_ENQ | RING_F_SC_DEQ
    );
    RTE_VERIFY(ring != nullptr);
    rings_.push_back(ring);
    return ring;
}

void Machine::make_worker(std::uint32_t index) {
    WorkerConfig config;
    config.index = index;
    config.burst = options_.burst;
    config.idle_sleep_us = options_.idle_sleep_us;
    config.start_tsc = rte_rdtsc();
    for (std::uint32_t port = 0; port < options_.ports; ++port) {
        config.rx_queues.push_back(
            {static_cast<std::uint16_t>(port), static_cast<std::uint16_t>(index), port_links_[port]}
        );
        TxPath& path = config.tx_paths[port];
        path.has_queue = index < options_.tx_queues;
        path.queue_id = static_cast<std::uint16_t>(index);
    }
    counters_.push_back(std::make_unique<CounterBlock>());
    workers_.push_back(
        std::make_unique<Worker>(config, tables, domain, *counters_.back(), doorbell_, pool_)
    );
    WorkerRings& rings = workers_.back()->rings;
    rings.to_control = make_ring();
    rings.learned = make_ring(sizeof(fdb::LearnEvent));
    rings.from_control = make_ring();
    for (std::uint32_t from = 0; from < options_.workers; ++from) {
        rings.handover.push_back(from == index ? nullptr : make_ring());
    }
}

void Machine::publish(const Link& link) {
    links_[link.id] = link;
    published_links.publish(link.id, std::make_unique<const Link>(link));
}

LinkId Machine::add_link(Link link) {
    link.id = static_cast<LinkId>(published_links.allocate());
    publish(link);
    return link.id;
}

LinkId Machine::add_bridge(const net::MacAddress& address) {
    Link link;
    link.kind = LinkKind::bridge;
    link.up = true;
    link.mac = address;
    const LinkId id = add_link(link);
    fdb.add_domain(id, {});
    add_fdb(id, address, id, true);
    return id;
}

void Machine::erase_link(LinkId id) {
    links_.erase(id);
    published_links.erase(id);
}

void Machine::enslave(LinkId member, LinkId bridge) {
    const LinkId old = link(member).master;
    change(member, [&](Link& link) { link.master = bridge; });
    if (old != kNoLink) {
        change(old, [&](Link& link) { std::erase(link.members, member); });
    }
    if (bridge != kNoLink) {
        change(bridge, [&](Link& link) { link.members.push_back(member); });
    }
}

route::AdjacencyId Machine::add_route(std::string_view prefix, const route::Adjacency& adjacency) {
    const route::AdjacencyId id = adjacencies.allocate();
    adjacencies.publish(id, std::make_unique<const route::Adjacency>(adjacency));
    const net::Prefix parsed = prefix_of(prefix);
    if (!parsed.address.is_v4()) {
        RTE_VERIFY(fib6->set(parsed, id).has_value());
        if (parsed.is_host() && route::is_ours(adjacency.kind)) {
            own_addresses6.add(route::fold(parsed.address.bytes()));
        }
        return id;
    }
    RTE_VERIFY(fib4->set(parsed, id).has_value());
    if (parsed.length == 32 && route::is_ours(adjacency.kind)) {
        own_addresses.add(parsed.address.v4());
    }
    return id;
}

route::AdjacencyId Machine::add_next_hop(
    std::string_view prefix, LinkId link_out, const net::MacAddress& next_hop, std::uint32_t mtu
) {
    route::Adjacency adjacency;
    adjacency.kind = route::AdjacencyKind::rewrite;
    adjacency.link_out = link_out;
    adjacency.mtu = mtu;
    adjacency.header_len = sizeof(net::EtherHeader);
    const bool is_v4 = prefix_of(prefix).address.is_v4();
    const net::EtherHeader header{
        next_hop,
        link(link_out).mac,
        net::Be16{is_v4 ? net::ether_type::kIpv4 : net::ether_type::kIpv6}};
    std::memcpy(adjacency.header.data(), &header, sizeof(header));
    return add_route(prefix, adjacency);
}

void Machine::add_local(std::string_view address) {
    route::Adjacency adjacency;
    adjacency.kind = route::AdjacencyKind::local;
    add_route(address, adjacency);
}

void Machine::add_fdb(
    LinkId domain_id, const net::MacAddress& address, std::uint32_t target, bool pinned
) {
    fdb::Shadow shadow;
    shadow.state = pinned ? fdb::nud::kPermanent : fdb::nud::kReachable;
    RTE_VERIFY(fdb.set(domain_id, address, target, shadow, 0).has_value());
}

void Machine::receive(LinkId port_id, const Bytes& bytes, bool exact, std::uint32_t queue) {
    rte_mbuf* packet = exact ? make_exact_mbuf(pool_, bytes) : make_mbuf(pool_, bytes);
    REQUIRE(packet != nullptr);
    REQUIRE(port(port_id).inject(packet, queue));
}

void Machine::run() {
    for (auto& worker : workers_) {
        worker->learn_filter = {};
    }
    std::uint32_t taken = 1;
    while (taken != 0) {
        taken = 0;
        for (auto& worker : workers_) {
            taken += poll_once(*worker);
        }
        for (auto& worker : workers_) {
            drop_what_was_asked(*worker);
        }
    }
}

// The other packets stay in the ring, in their order.
void Machine::drop_what_was_asked(Worker& worker) {
    for (unsigned left = rte_ring_count(worker.rings.to_control); left != 0; --left) {
        void* object = nullptr;
        REQUIRE(rte_ring_sc_dequeue(worker.rings.to_control, &object) == 0);
        auto* packet = static_cast<rte_mbuf*>(object);
        if (note(packet).punt != Punt::icmp_error) {
            REQUIRE(rte_ring_sp_enqueue(worker.rings.to_control, packet) == 0);
            continue;
        }
        const IcmpDemand demand = icmp_demand_of(packet);
        asked_.push_back({bytes_of(packet), note(packet), demand.error});
        worker.drop(packet, demand.link, demand.reason);
    }
}

std::vector<IcmpAsked> Machine::icmp_asked() {
    return std::exchange(asked_, {});
}

std::vector<Bytes> Machine::sent(LinkId port_id) {
    std::vector<Bytes> frames;
    for (std::uint32_t queue = 0; queue < FakePort::kMaxQueues; ++queue) {
        for (rte_mbuf* packet : port(port_id).take_sent(queue)) {
            frames.push_back(bytes_of(packet));
            rte_pktmbuf_free(packet);
        }
    }
    return frames;
}

std::vector<Punted> Machine::punted(std::uint32_t worker) {
    std::vector<Punted> punted;
    void* object = nullptr;
    while (rte_ring_sc_dequeue(workers_[worker]->rings.to_control, &object) == 0) {
        auto* packet = static_cast<rte_mbuf*>(object);
        punted.push_back({bytes_of(packet), note(packet), next_hop_of(packet)});
        rte_pktmbuf_free(packet);
        ++taken_by_control;
    }
    return punted;
}

std::vector<fdb::LearnEvent> Machine::learned(std::uint32_t worker) {
    std::vector<fdb::LearnEvent> events;
    fdb::LearnEvent event;
    while (rte_ring_sc_dequeue_elem(workers_[worker]->rings.learned, &event, sizeof(event)) == 0) {
        events.push_back(event);
    }
    return events;
}

void Machine::learn_all(std::uint32_t now_s) {
    for (std::uint32_t i = 0; i < options_.workers; ++i) {
        for (const fdb::LearnEvent& event : learned(i)) {
            fdb.learn(event.domain, event.mac, event.port, now_s);
        }
    }
}

void Machine::send_from_control(LinkId link_out, const Packet& packet, std::uint32_t worker) {
    rte_mbuf* frame = make_mbuf(pool_, packet.bytes());
    REQUIRE(frame != nullptr);
    note(frame).link_out = link_out;
    // Garbage where control need not write.
    note(frame).depth = 0xff;
    counters_[worker]->originated.add(1);
    REQUIRE(rte_ring_sp_enqueue(workers_[worker]->rings.from_control, frame) == 0);
}

std::uint64_t Machine::total(Counter CounterBlock::*counter) const {
    std::uint64_t sum = 0;
    for (const auto& block : counters_) {
        sum += ((*block).*counter).read();
    }
    return sum;
}

std::uint64_t Machine::drops(LinkId link, Drop reason) const {
    std::uint64_t sum = 0;
    for (const auto& block : counters_) {
        sum += block->drops(link, reason);
    }
    return sum;
}

std::uint64_t Machine::dropped() const {
    return total(&CounterBlock::dropped);
}

namespace {

std::uint64_t sum_of(
    const std::vector<std::unique_ptr<CounterBlock>>& blocks,
    LinkId link,
    Counter LinkCounters::*counter
) {
    std::uint64_t sum = 0;
    for (const auto& block : blocks) {
        sum += (std::as_const(*block).link(link).*counter).read();
    }
    return sum;
}

}  // namespace

std::uint64_t Machine::rx_packets(LinkId link) const {
    return sum_of(counters_, link, &LinkCounters::rx_packets);
}

std::uint64_t Machine::multicasts(LinkId link) const {
    std::uint64_t sum = 0;
    for (const auto& block : counters_) {
        sum += block->multicasts(link);
    }
    return sum;
}

std::uint64_t Machine::rx_bytes(LinkId link) const {
    return sum_of(counters_, link, &LinkCounters::rx_bytes);
}

std::uint64_t Machine::tx_packets(LinkId link) const {
    return sum_of(counters_, link, &LinkCounters::tx_packets);
}

std::uint64_t Machine::tx_bytes(LinkId link) const {
    return sum_of(counters_, link, &LinkCounters::tx_bytes);
}

void Machine::expect_only_drop(LinkId link, Drop reason, std::uint64_t n) const {
    const auto seen = seen_.find({link, reason});
    const std::uint64_t before = seen == seen_.end() ? 0 : seen->second;
    // What was dropped instead, should it be another.
    std::string found;
    const auto end = static_cast<LinkId>(published_links.end());
    for (LinkId id = 0; id < end; ++id) {
        for (std::size_t i = 0; i < kDropCount; ++i) {
            const auto other = static_cast<Drop>(i);
            const auto known = seen_.find({id, other});
            const std::uint64_t count =
                drops(id, other) - (known == seen_.end() ? 0 : known->second);
            if (count != 0) {
                found += fmt::format("{} on link {}: {}; ", info(other).name, id, count);
            }
        }
    }
    CAPTURE(info(reason).name, link, found);
    CHECK(drops(link, reason) - before == n);
    CHECK(dropped() - forgotten_ == n);
}

void Machine::forget_drops() {
    forgotten_ = dropped();
    const auto end = static_cast<LinkId>(published_links.end());
    for (LinkId link = 0; link < end; ++link) {
        for (std::size_t reason = 0; reason < kDropCount; ++reason) {
            seen_[{link, static_cast<Drop>(reason)}] = drops(link, static_cast<Drop>(reason));
        }
    }
}

std::uint32_t Machine::packets_out() const {
    return rte_mempool_in_use_count(pool_);
}

}  // namespace culvert::pipeline::test
