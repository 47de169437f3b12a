// SPDX-License-Identifier: BSD-3-Clause
// The control plane's whole state, owned by the control thread: tables that workers read, the rules
// that write them, and the slow path. Commands work on this; nothing here knows sockets or text.
#pragma once

#include "lib/control/links.hpp"
#include "lib/fdb/vxlan_fdb.hpp"
#include "lib/net/result.hpp"
#include "lib/pipeline/tables.hpp"
#include "lib/pipeline/worker.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::control {

class Fou;
class GroupReports;
class HostTaps;
class SlowPath;
class TunnelFaults;
class TunnelMetadata;
class Tunnels;

struct Sizes {
    std::uint32_t fdb = 1048576;
    std::uint32_t routes4 = 1048576;
    std::uint32_t neighbours = 65536;
    std::uint32_t routes6 = 262144;
};

// rtnl_link_stats64 of a link, summed over workers.
struct LinkStats {
    std::uint64_t rx_packets = 0, rx_bytes = 0, rx_errors = 0, rx_dropped = 0, rx_length_errors = 0,
                  rx_crc_errors = 0, rx_frame_errors = 0, rx_fifo_errors = 0, multicast = 0;
    std::uint64_t tx_packets = 0, tx_bytes = 0, tx_errors = 0, tx_dropped = 0,
                  tx_carrier_errors = 0, tx_aborted_errors = 0, tx_fifo_errors = 0, collisions = 0;
};

// The conservation sum of interface.md section 8 and the packet pool.
struct ProcessStats {
    std::uint64_t received = 0, originated = 0, replicated = 0, sent = 0, dropped = 0, consumed = 0,
                  in_flight = 0;
    std::uint64_t mbufs_total = 0, mbufs_free = 0;
};

// What `monitor` streams; text and JSON are made by whoever listens.
struct Event {
    enum class Object : std::uint8_t { link, address, route, neighbour, fdb };
    Object object = Object::link;
    bool removed = false;
    LinkId link = kNoLink;
    fdb::Change fdb;                // object fdb
    route::Route route;             // object route
    route::Address address;         // object address
    route::NeighbourKey neighbour;  // object neighbour
    route::NeighbourState neighbour_state = route::NeighbourState::none;
    std::optional<net::MacAddress> neighbour_mac;
};

class Core {
public:
    // `worker_count` workers will be attached. Error ENOMEM.
    static Result<std::unique_ptr<Core>>
    create(std::uint32_t worker_count, Sizes sizes, rte_mempool* pool);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    // --- parts ---
    [[nodiscard]] rcu::Domain& domain() noexcept;
    [[nodiscard]] const pipeline::Tables& tables() const noexcept;
    [[nodiscard]] pipeline::Links& published_links() noexcept;
    [[nodiscard]] pipeline::VxlanDemux& vxlan_demux() noexcept;
    [[nodiscard]] pipeline::VlanDemux& vlan_demux() noexcept;
    [[nodiscard]] LinkManager& links() noexcept;
    [[nodiscard]] route::Routing& routing() noexcept;
    [[nodiscard]] fdb::Table& fdb() noexcept;
    [[nodiscard]] fdb::VxlanFdb& vxlan_fdb() noexcept;
    [[nodiscard]] fdb::RemoteLists& remote_lists() noexcept;
    [[nodiscard]] encap::VxlanDestinations& vxlan_destinations() noexcept;
    [[nodiscard]] encap::VxlanTemplates& vxlan_templates() noexcept;
    [[nodiscard]] encap::IpTunnelTables& ip_tunnels() noexcept;
    [[nodiscard]] Tunnels& tunnels() noexcept;
    [[nodiscard]] TunnelFaults& tunnel_faults() noexcept;
    [[nodiscard]] Fou& fou() noexcept;
    [[nodiscard]] TunnelMetadata& tunnel_metadata() noexcept;
    [[nodiscard]] GroupReports& group_reports() noexcept;
    [[nodiscard]] SlowPath& slow_path() noexcept;
    [[nodiscard]] HostTaps& host_taps() noexcept;
    [[nodiscard]] pipeline::CounterBlock& own_counters() noexcept;  // control's block
    [[nodiscard]] pipeline::CounterBlock& worker_counters(std::uint32_t worker) noexcept;
    [[nodiscard]] rte_mempool* pool() noexcept;

    // --- workers ---
    // Their objects outlive the core's use of them: attach after construction, before traffic.
    void attach_worker(pipeline::Worker& worker);
    void detach_workers();  // none is running
    // What IP packets pass on their way out (pipeline/ip_filter.hpp): nullptr = nothing. The last
    // ones are in use until a grace period has passed.
    void set_ip_filters(const pipeline::IpFilters* filters);
    [[nodiscard]] const pipeline::IpFilters* ip_filters() const noexcept;
    [[nodiscard]] const std::vector<pipeline::Worker*>& workers() const noexcept;
    [[nodiscard]] pipeline::Doorbell& doorbell() noexcept;

    // --- time --- monotonic since start, by the clock workers use (WorkerConfig::start_tsc). Tests
    // set it by hand.
    [[nodiscard]] std::uint64_t now_ms() const noexcept;
    [[nodiscard]] std::uint64_t start_tsc() const noexcept;
    void set_now_ms(std::uint64_t now_ms) noexcept;  // from then on it moves only by this

    [[nodiscard]] std::uint32_t now_s() const noexcept {
        return static_cast<std::uint32_t>(now_ms() / 1000);
    }

    // --- one turn of the control loop ---
    // Takes what workers put into their rings (bounded), runs timers and ageing that are due,
    // re-resolves tunnels if routing changed, reclaims memory. Returns ms until it wants to be
    // called again, at most 100; 0 = there is more to do.
    std::uint32_t turn();
    // The part of it that cannot wait for the end of a command that takes seconds: what is in the
    // rings, and memory.
    void attend();
    // After a command changed something: tunnels and links follow at once, so that the reply is
    // true when it is read.
    void settle();
    // Whether a worker's ring to control holds something: asked after the doorbell was armed and
    // before the sleep.
    [[nodiscard]] bool has_work() const noexcept;

    // The last turn took many learned MACs. Then there are more to come, and the next turn is
    // better due by the clock: a worker that rings for each burst of them pays a system call a
    // burst.
    [[nodiscard]] bool is_learning() const noexcept;

    // --- packets of our own ---
    // A complete frame out of `link`, through a worker. Counted as originated unless
    // `counted_before`. Takes the packet.
    void send(LinkId link, rte_mbuf* frame, bool counted_before);
    // An IPv4 packet made here for an address of ours, with the note of what it was made of: a
    // worker takes it as received. Counted as originated. Takes the packet.
    void deliver(rte_mbuf* packet);
    void drop(rte_mbuf* packet, LinkId link, pipeline::Drop reason);
    void consume(rte_mbuf* packet, LinkId link);

    // --- reading ---
    [[nodiscard]] LinkStats stats(LinkId link) const;
    [[nodiscard]] ProcessStats process_stats() const;
    [[nodiscard]] std::uint64_t
    drops(LinkId link, pipeline::Drop reason) const;  // since start or clear
    [[nodiscard]] std::uint64_t count(pipeline::IpCounter counter) const;

    void on_event(std::function<void(const Event&)> listener);
    void publish_event(const Event& event);

    // The number of a link that was deleted: its counters are zeroed and it may be given away again
    // after a grace period.
    void release_link_id(LinkId link);

private:
    void hand_over(rte_mbuf* packet, LinkId link);

    struct Impl;
    Core();
    std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::control
