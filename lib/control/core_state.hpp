// SPDX-License-Identifier: BSD-3-Clause
// What the core is made of, for core*.cpp only. Members are in the order in which they may be
// destroyed from the end.
#pragma once

#include "lib/control/core.hpp"
#include "lib/control/fou.hpp"
#include "lib/control/group_reports.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/control/log_limit.hpp"
#include "lib/control/slow_path.hpp"
#include "lib/control/tunnel_faults.hpp"
#include "lib/control/tunnel_metadata.hpp"
#include "lib/control/tunnels.hpp"

#include <deque>
#include <map>
#include <optional>

namespace culvert::control {

struct Core::Impl {
    Impl(Core& core, std::uint32_t worker_count, Sizes wanted, rte_mempool* packet_pool);
    ~Impl();

    [[nodiscard]] std::uint64_t now_ms() const noexcept;
    [[nodiscard]] bool take_from_workers();
    void take_packets(pipeline::Worker& worker, bool& more);
    void take_learned(pipeline::Worker& worker, bool& more);
    void learn(const fdb::LearnEvent& event);
    void learn_remote(const LinkRecord& record, const fdb::LearnEvent& event, std::uint32_t now_s);
    void renew_stale_neighbours();

    pipeline::Doorbell doorbell;
    Sizes sizes;
    rte_mempool* pool;
    LogLimit migrations;
    rcu::Domain domain;
    pipeline::Links links;
    pipeline::VxlanDemux demux;
    pipeline::VlanDemux vlans;
    encap::VxlanDestinations destinations;
    encap::VxlanTemplates templates;
    encap::IpTunnelTables ip_tunnels;
    fdb::Table fdb;
    fdb::RemoteLists lists;
    fdb::VxlanFdb vxlan_fdb;
    TunnelFaults tunnel_faults;
    Fou fou;
    GroupReports group_reports;
    TunnelMetadata tunnel_metadata;
    SlowPath slow_path;
    HostTaps host_taps;
    std::unique_ptr<route::Routing> routing;
    std::optional<pipeline::Tables> tables;  // needs routing's
    LinkManager link_manager;
    std::optional<Tunnels> tunnels;
    pipeline::CounterBlock own_counters;
    std::deque<pipeline::CounterBlock> worker_counters;
    std::vector<pipeline::Worker*> workers;
    const pipeline::IpFilters* ip_filters = nullptr;
    std::vector<std::function<void(const Event&)>> listeners;
    std::uint64_t start_tsc;
    std::uint64_t tsc_hz;
    std::optional<std::uint64_t> set_time_ms;
    std::uint64_t next_second_ms = 0;
    std::map<LinkId, std::uint64_t> sent_by_link;  // packets, a second ago
    std::uint64_t next_ageing_ms = 0;
    unsigned learned_in_turn = 0;  // events taken
    bool is_attending = false;     // what is attended to may ask for it, too
};

}  // namespace culvert::control
