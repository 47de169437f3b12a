// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/core.hpp"

#include "lib/control/core_state.hpp"
#include "lib/rcu/hash_table_writer.hpp"

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

namespace culvert::control {

namespace {

constexpr std::uint32_t kInitialDemux = 256;

// Lists and templates are shared by MACs, so there are seldom more than MACs; numbers wait for a
// grace period before they are used again. Only what is used costs memory.
std::uint32_t list_capacity(const Sizes& sizes) {
    return std::max<std::uint32_t>(4 * std::min<std::uint32_t>(sizes.fdb, 1U << 28U), 65536);
}

}  // namespace

Core::Impl::Impl(Core& core, std::uint32_t worker_count, Sizes wanted, rte_mempool* packet_pool)
    : sizes(wanted)
    , pool(packet_pool)
    , domain(std::max(worker_count, 1U))
    , links(domain, kMaxLinks)
    , demux(domain, kInitialDemux, std::size_t{2} * kMaxLinks)
    , vlans(domain, kInitialDemux, kMaxLinks)
    , destinations(domain, list_capacity(wanted))
    , templates(domain, list_capacity(wanted))
    , ip_tunnels(domain)
    , fdb(domain, wanted.fdb)
    , vxlan_fdb(fdb, lists)
    , tunnel_faults(core)
    , fou(core)
    , group_reports(core)
    , slow_path(core)
    , host_taps(core)
    , link_manager(core)
    , worker_counters(worker_count)
    , start_tsc(rte_rdtsc())
    , tsc_hz(rte_get_tsc_hz()) {}

Core::Impl::~Impl() {
    // What the parts retired refers to them, and packets that wait for a neighbour are counted:
    // both while all else is still there.
    tunnels.reset();
    domain.synchronize();
    routing.reset();
    slow_path.stop();
    domain.synchronize();
    if (doorbell.event_fd >= 0) {
        ::close(doorbell.event_fd);
    }
}

Core::Core() = default;
Core::~Core() = default;

Result<std::unique_ptr<Core>>
Core::create(std::uint32_t worker_count, Sizes sizes, rte_mempool* pool) {
    std::unique_ptr<Core> core(new Core());
    try {
        core->impl_ = std::make_unique<Impl>(*core, worker_count, sizes, pool);
    } catch (const std::bad_alloc&) {
        return Error{std::errc::not_enough_memory, "start: not enough memory for the tables"};
    }
    Impl& impl = *core->impl_;
    impl.doorbell.event_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (impl.doorbell.event_fd < 0) {
        return Error{
            static_cast<std::errc>(errno),
            fmt::format("start: eventfd: {}", std::generic_category().message(errno))};
    }
    route::Limits limits;
    limits.routes4 = sizes.routes4;
    limits.routes6 = sizes.routes6;
    limits.neighbours = sizes.neighbours;
    route::NeighbourParameters parameters;
    parameters.gc_thresh3 = sizes.neighbours;
    CULVERT_TRY(routing, route::Routing::create(impl.domain, impl.slow_path, limits, parameters));
    impl.routing = std::move(routing);
    impl.tables.emplace(pipeline::Tables{
        impl.links,
        impl.fdb,
        impl.demux,
        impl.destinations,
        impl.templates,
        impl.ip_tunnels,
        impl.routing->fib4(),
        impl.routing->adjacencies(),
        impl.routing->own_addresses(),
        impl.routing->fib6(),
        impl.routing->own_addresses6(),
        impl.vlans});
    impl.lists.defer_reuse_with([&impl](std::function<void()> reuse) {
        impl.domain.retire(std::move(reuse));
    });
    impl.tunnels.emplace(*core);
    impl.slow_path.start();
    impl.fdb.on_change([raw = core.get()](const fdb::Change& change) {
        Event event;
        event.object = Event::Object::fdb;
        event.removed = change.what == fdb::Change::What::deleted;
        event.link = change.domain;
        event.fdb = change;
        raw->publish_event(event);
    });
    return core;
}

rcu::Domain& Core::domain() noexcept {
    return impl_->domain;
}

const pipeline::Tables& Core::tables() const noexcept {
    return *impl_->tables;
}

pipeline::Links& Core::published_links() noexcept {
    return impl_->links;
}

pipeline::VxlanDemux& Core::vxlan_demux() noexcept {
    return impl_->demux;
}

pipeline::VlanDemux& Core::vlan_demux() noexcept {
    return impl_->vlans;
}

LinkManager& Core::links() noexcept {
    return impl_->link_manager;
}

route::Routing& Core::routing() noexcept {
    return *impl_->routing;
}

fdb::Table& Core::fdb() noexcept {
    return impl_->fdb;
}

fdb::VxlanFdb& Core::vxlan_fdb() noexcept {
    return impl_->vxlan_fdb;
}

encap::IpTunnelTables& Core::ip_tunnels() noexcept {
    return impl_->ip_tunnels;
}

fdb::RemoteLists& Core::remote_lists() noexcept {
    return impl_->lists;
}

encap::VxlanDestinations& Core::vxlan_destinations() noexcept {
    return impl_->destinations;
}

encap::VxlanTemplates& Core::vxlan_templates() noexcept {
    return impl_->templates;
}

Tunnels& Core::tunnels() noexcept {
    return *impl_->tunnels;
}

TunnelFaults& Core::tunnel_faults() noexcept {
    return impl_->tunnel_faults;
}

Fou& Core::fou() noexcept {
    return impl_->fou;
}

TunnelMetadata& Core::tunnel_metadata() noexcept {
    return impl_->tunnel_metadata;
}

GroupReports& Core::group_reports() noexcept {
    return impl_->group_reports;
}

SlowPath& Core::slow_path() noexcept {
    return impl_->slow_path;
}

HostTaps& Core::host_taps() noexcept {
    return impl_->host_taps;
}

pipeline::CounterBlock& Core::own_counters() noexcept {
    return impl_->own_counters;
}

pipeline::CounterBlock& Core::worker_counters(std::uint32_t worker) noexcept {
    return impl_->worker_counters[worker];
}

rte_mempool* Core::pool() noexcept {
    return impl_->pool;
}

const std::vector<pipeline::Worker*>& Core::workers() const noexcept {
    return impl_->workers;
}

void Core::set_ip_filters(const pipeline::IpFilters* filters) {
    impl_->ip_filters = filters;
    for (pipeline::Worker* worker : impl_->workers) {
        worker->ip_filters.store(filters, std::memory_order_release);
    }
}

const pipeline::IpFilters* Core::ip_filters() const noexcept {
    return impl_->ip_filters;
}

pipeline::Doorbell& Core::doorbell() noexcept {
    return impl_->doorbell;
}

void Core::attach_worker(pipeline::Worker& worker) {
    worker.multipath_settings = &impl_->routing->multipath_settings();
    worker.ip_filters.store(impl_->ip_filters, std::memory_order_release);
    impl_->workers.push_back(&worker);
}

void Core::detach_workers() {
    impl_->workers.clear();
}

std::uint64_t Core::start_tsc() const noexcept {
    return impl_->start_tsc;
}

std::uint64_t Core::Impl::now_ms() const noexcept {
    if (set_time_ms) {
        return *set_time_ms;
    }
    const std::uint64_t elapsed = rte_rdtsc() - start_tsc;
    // Seconds apart from the rest, so that nothing overflows in a machine's life.
    return elapsed / tsc_hz * 1000 + elapsed % tsc_hz * 1000 / tsc_hz;
}

std::uint64_t Core::now_ms() const noexcept {
    return impl_->now_ms();
}

void Core::set_now_ms(std::uint64_t now_ms) noexcept {
    impl_->set_time_ms = now_ms;
}

void Core::send(LinkId link, rte_mbuf* frame, bool counted_before) {
    if (!counted_before) {
        impl_->own_counters.originated.add(1);
    }
    pipeline::Note& note = pipeline::note(frame);
    note = pipeline::Note{};
    note.link_out = link;
    note.l3_offset = 14;
    hand_over(frame, link);
}

void Core::deliver(rte_mbuf* packet) {
    impl_->own_counters.originated.add(1);
    pipeline::note(packet).link_out = kNoLink;
    hand_over(packet, pipeline::note(packet).link_in);
}

// One worker a link, so that what is sent on it stays in order.
void Core::hand_over(rte_mbuf* packet, LinkId link) {
    const auto& workers = impl_->workers;
    if (workers.empty() ||
        rte_ring_enqueue(workers[link % workers.size()]->rings.from_control, packet) != 0) {
        drop(packet, link, pipeline::Drop::worker_ring_full);
    }
}

void Core::drop(rte_mbuf* packet, LinkId link, pipeline::Drop reason) {
    impl_->own_counters.drop(link, reason);
    impl_->own_counters.dropped.add(1);
    rte_pktmbuf_free(packet);
}

void Core::consume(rte_mbuf* packet, LinkId /*link*/) {
    impl_->own_counters.consumed.add(1);
    rte_pktmbuf_free(packet);
}

void Core::on_event(std::function<void(const Event&)> listener) {
    impl_->listeners.push_back(std::move(listener));
}

void Core::publish_event(const Event& event) {
    for (const auto& listener : impl_->listeners) {
        listener(event);
    }
}

void Core::release_link_id(LinkId link) {
    // First in, first out: the rows are zero before the number is free.
    impl_->domain.retire([this, link] {
        impl_->own_counters.reset_link(link);
        for (pipeline::CounterBlock& block : impl_->worker_counters) {
            block.reset_link(link);
        }
    });
    impl_->fou.link_gone(link);
    impl_->group_reports.link_gone(link);
    impl_->links.erase(link);
}

}  // namespace culvert::control
