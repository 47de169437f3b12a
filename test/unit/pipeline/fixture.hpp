// SPDX-License-Identifier: BSD-3-Clause
// A machine for the tests of the pipeline: real tables, workers that the test itself runs round by
// round, and ports without devices. The test plays control. When a machine goes, its packets must
// add up (interface.md, section 8) and its pool must be full again.
#pragma once

#include "lib/fdb/table.hpp"
#include "lib/pipeline/worker.hpp"
#include "lib/route/fib4.hpp"
#include "lib/route/fib6.hpp"
#include "lib/route/routing.hpp"
#include "test/unit/pipeline/fake_port.hpp"
#include "test/unit/pipeline/packet.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace culvert::pipeline::test {

// A packet that went to control, with what the stages had noted.
struct Punted {
    Bytes bytes;
    Note note;
    net::IpAddress next_hop;  // Punt::resolve
};

// A packet that was dropped, and whose sender control is to tell why.
struct IcmpAsked {
    Bytes bytes;
    Note note;
    IcmpError error;
};

struct MachineOptions {
    std::uint32_t workers = 1;
    std::uint32_t ports = 4;
    std::uint32_t tx_queues = 4;  // workers from this number on hand over to worker 0
    std::uint32_t burst = 32;
    std::uint32_t idle_sleep_us = 0;
    std::uint32_t pool_size = 4095;
    std::uint32_t ring_size = 256;             // of all rings between workers and control
    rte_mempool* pool = nullptr;               // instead of one of our own
    route::RoutingActions* routing = nullptr;  // with routing as control does it, for these
};

class Machine {
public:
    explicit Machine(const MachineOptions& options = {});
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    // --- links ---
    // Port links exist from the start, up, with MAC mac(0x100 + i). Every worker has the queue of
    // its own number for receiving and, where it has one, for transmitting.
    [[nodiscard]] LinkId port_link(std::uint32_t i) const { return port_links_.at(i); }

    LinkId add_bridge(const net::MacAddress& address);
    LinkId add_link(Link link);  // its id is filled in

    // What workers see of the link, changed by `change`.
    template <typename Change>
    void change(LinkId id, Change&& change) {
        Link next = links_.at(id);
        change(next);
        publish(next);
    }

    void erase_link(LinkId id);
    // `port` becomes a member of `bridge`, or of none (kNoLink).
    void enslave(LinkId member, LinkId bridge);

    [[nodiscard]] const Link& link(LinkId id) const { return links_.at(id); }

    [[nodiscard]] FakePort& port(LinkId id) { return *ports_.at(links_.at(id).port_id); }

    [[nodiscard]] static net::MacAddress port_mac(std::uint32_t i) { return mac(0x100 + i); }

    // --- routes and MACs ---
    route::AdjacencyId add_route(std::string_view prefix, const route::Adjacency& adjacency);
    // A complete next hop behind `link_out`, whose own MAC is the source.
    route::AdjacencyId add_next_hop(
        std::string_view prefix,
        LinkId link_out,
        const net::MacAddress& next_hop,
        std::uint32_t mtu = 1500
    );
    void add_local(std::string_view address);
    void add_fdb(
        LinkId domain, const net::MacAddress& address, std::uint32_t target, bool pinned = false
    );

    // --- packets ---
    // Arrives on `port`; exact = in memory of exactly its size.
    void receive(LinkId port, const Bytes& bytes, bool exact = false, std::uint32_t queue = 0);

    void receive(LinkId port, const Packet& packet) { receive(port, packet.bytes()); }

    void receive_exact(LinkId port, const Packet& packet) { receive(port, packet.bytes(), true); }

    // One round of every worker, until nothing is left to do.
    void run();
    // What `port` sent since the last call.
    std::vector<Bytes> sent(LinkId port);
    std::vector<Punted> punted(std::uint32_t worker = 0);
    // Those that control was asked for since the last call. The packets are dropped: run() does
    // control's part.
    std::vector<IcmpAsked> icmp_asked();
    std::vector<fdb::LearnEvent> learned(std::uint32_t worker = 0);
    // Control's part of learning: what workers saw enters the table.
    void learn_all(std::uint32_t now_s = 0);
    // A frame of control's own, or (originated = false) one it kept.
    void send_from_control(LinkId link_out, const Packet& packet, std::uint32_t worker = 0);

    // --- what came of them ---
    [[nodiscard]] std::uint64_t drops(LinkId link, Drop reason) const;
    [[nodiscard]] std::uint64_t dropped() const;
    [[nodiscard]] std::uint64_t rx_packets(LinkId link) const;
    [[nodiscard]] std::uint64_t multicasts(LinkId link) const;
    [[nodiscard]] std::uint64_t rx_bytes(LinkId link) const;
    [[nodiscard]] std::uint64_t tx_packets(LinkId link) const;
    [[nodiscard]] std::uint64_t tx_bytes(LinkId link) const;
    [[nodiscard]] std::uint64_t total(Counter CounterBlock::*counter) const;
    // Since the last call of forget_drops(): this, `n` times, and nothing else.
    void expect_only_drop(LinkId link, Drop reason, std::uint64_t n = 1) const;

    void expect_no_drop() const { CHECK(dropped() == forgotten_); }

    void forget_drops();
    [[nodiscard]] std::uint32_t packets_out() const;  // of the pool

    // --- parts ---
    [[nodiscard]] Worker& worker(std::uint32_t index = 0) { return *workers_[index]; }

    [[nodiscard]] const CounterBlock& counters(std::uint32_t worker = 0) const {
        return *counters_[worker];
    }

    [[nodiscard]] rte_mempool* pool() noexcept { return pool_; }

    [[nodiscard]] Doorbell& doorbell() noexcept { return doorbell_; }

    // Counted by whoever takes packets out of a worker's rings in control's place.
    std::uint64_t taken_by_control = 0;

    rcu::Domain domain;
    Links published_links;
    fdb::Table fdb;
    VxlanDemux vxlan_demux;
    VlanDemux vlans;
    encap::VxlanDestinations vxlan_destinations;
    encap::VxlanTemplates vxlan_templates;
    encap::IpTunnelTables ip_tunnels;
    route::AdjacencyTable adjacencies;
    std::unique_ptr<route::Fib4> fib4;
    route::OwnAddresses own_addresses;
    std::unique_ptr<route::Fib6> fib6;
    route::OwnAddresses own_addresses6;
    std::unique_ptr<route::Routing> routing;  // MachineOptions::routing; then not the tables above
    Tables tables;

private:
    void publish(const Link& link);
    void make_ports();
    void make_worker(std::uint32_t index);
    rte_ring* make_ring(std::uint32_t element_size = sizeof(void*));
    void drop_what_was_asked(Worker& worker);

    MachineOptions options_;
    rte_mempool* pool_ = nullptr;
    bool owns_pool_ = false;
    Doorbell doorbell_;
    std::map<LinkId, Link> links_;
    std::vector<std::unique_ptr<FakePort>> ports_;
    std::vector<LinkId> port_links_;
    std::vector<std::unique_ptr<CounterBlock>> counters_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<rte_ring*> rings_;
    std::map<std::pair<LinkId, Drop>, std::uint64_t> seen_;
    std::uint64_t forgotten_ = 0;
    std::vector<IcmpAsked> asked_;
};

}  // namespace culvert::pipeline::test
