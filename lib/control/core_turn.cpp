// SPDX-License-Identifier: BSD-3-Clause
// One turn of the control loop: what workers reported, then what is due, then what follows from
// both.
#include "lib/control/core_state.hpp"
#include "lib/control/log.hpp"
#include "lib/rcu/hash_table_writer.hpp"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::control {

namespace {

// Bounds of one turn and worker: commands are answered between turns.
constexpr unsigned kPacketsPerTurn = 256;
constexpr unsigned kLearnsPerTurn = 2048;
constexpr unsigned kLearnBurst = 256;
constexpr unsigned kManyLearns = 16;  // half a worker's burst
constexpr std::uint64_t kAgeingPeriodMs = 100;
constexpr std::uint32_t kMaxSleepMs = 100;
// While something waits for a grace period, which takes workers microseconds.
constexpr std::uint32_t kReclaimSleepMs = 10;

}  // namespace

void Core::Impl::take_packets(pipeline::Worker& worker, bool& more) {
    std::array<void*, kPacketsPerTurn> packets{};
    unsigned left = 0;
    const unsigned n =
        rte_ring_dequeue_burst(worker.rings.to_control, packets.data(), packets.size(), &left);
    for (unsigned i = 0; i < n; ++i) {
        slow_path.handle(static_cast<rte_mbuf*>(packets[i]));
    }
    more |= left != 0;
}

void Core::Impl::take_learned(pipeline::Worker& worker, bool& more) {
    std::array<fdb::LearnEvent, kLearnBurst> events;
    unsigned left = 0;
    for (unsigned taken = 0; taken < kLearnsPerTurn; taken += kLearnBurst) {
        const unsigned n = rte_ring_dequeue_burst_elem(
            worker.rings.learned, events.data(), sizeof(fdb::LearnEvent), events.size(), &left
        );
        learned_in_turn += n;
        std::for_each_n(events.begin(), n, [this](const fdb::LearnEvent& event) { learn(event); });
        if (left == 0) {
            return;
        }
    }
    more = true;
}

// The link may have changed or gone since the worker saw the frame.
void Core::Impl::learn(const fdb::LearnEvent& event) {
    const LinkRecord* record = link_manager.find(event.domain);
    if (record == nullptr || !event.mac.is_valid_station()) {
        return;
    }
    const auto now_s = static_cast<std::uint32_t>(now_ms() / 1000);
    if (record->kind == pipeline::LinkKind::bridge) {
        const LinkRecord* port = link_manager.find(event.port);
        if (port != nullptr && port->master == event.domain && port->admin_up &&
            port->bridge_port.learning) {
            (void)fdb.learn(event.domain, event.mac, event.port, now_s);
        }
    } else if (record->kind == pipeline::LinkKind::vxlan && record->admin_up && record->vxlan.learning) {
        learn_remote(*record, event, now_s);
    }
}

// VXLAN-LRN-05 has a line for who moved.
void Core::Impl::learn_remote(
    const LinkRecord& record, const fdb::LearnEvent& event, std::uint32_t now_s
) {
    net::IpAddress before;
    if (const auto entry = fdb.get(record.id, event.mac)) {
        if (const auto* list = lists.find(entry->value.target())) {
            before = list->remotes.front().address;
        }
    }
    const auto learned =
        vxlan_fdb.learn(vxlan_fdb_defaults(record), event.mac, event.source, now_s, event.port);
    if (learned == fdb::Table::Learned::moved && migrations.permits(now_ms())) {
        RTE_LOG(
            INFO,
            CULVERT,
            "%s: %s migrated from %s to %s\n",
            record.name.c_str(),
            event.mac.to_string().c_str(),
            before.to_string().c_str(),
            event.source.to_string().c_str()
        );
    }
}

// Workers send to a neighbour that has gone stale without a word to control. What it takes to
// notice that it is gone (NEI-06) is begun for every stale one whose link has sent since: a few
// probes more than the kernel's.
void Core::Impl::renew_stale_neighbours() {
    std::vector<route::NeighbourKey> stale;
    routing->neighbours().for_each([&](const route::Neighbour& neighbour) {
        if (neighbour.state == route::NeighbourState::stale) {
            stale.push_back(neighbour.key);
        }
    });
    std::map<LinkId, std::uint64_t> now;
    for (const route::NeighbourKey& key : stale) {
        auto sent = now.find(key.link);
        if (sent == now.end()) {
            std::uint64_t packets = 0;
            for (const pipeline::CounterBlock& block : worker_counters) {
                packets += block.link(key.link).tx_packets.read();
            }
            sent = now.emplace(key.link, packets).first;
        }
        auto before = sent_by_link.find(key.link);
        if (before != sent_by_link.end() && before->second != sent->second) {
            routing->neighbours().used(key, now_ms());
        }
    }
    sent_by_link = std::move(now);
}

// Returns whether there is more.
bool Core::Impl::take_from_workers() {
    bool more = false;
    for (pipeline::Worker* worker : workers) {
        take_packets(*worker, more);
        take_learned(*worker, more);
    }
    return more;
}

void Core::attend() {
    if (std::exchange(impl_->is_attending, true)) {
        return;
    }
    (void)impl_->take_from_workers();
    impl_->domain.reclaim();
    impl_->is_attending = false;
}

std::uint32_t Core::turn() {
    Impl& impl = *impl_;
    impl.learned_in_turn = 0;
    const bool more = impl.take_from_workers();
    const std::uint64_t now = now_ms();
    const std::uint64_t routing_ms = impl.routing->tick(now);
    const std::uint64_t packets_ms = impl.slow_path.tick(now);
    const std::uint64_t groups_ms = impl.group_reports.tick(now);
    impl.tunnel_faults.tick(now);
    if (now >= impl.next_second_ms) {
        impl.renew_stale_neighbours();
        impl.next_second_ms = now + 1000;
    }
    if (now >= impl.next_ageing_ms) {
        impl.fdb.age(static_cast<std::uint32_t>(now / 1000));
        impl.next_ageing_ms = now + kAgeingPeriodMs;
    }
    settle();
    impl.domain.reclaim();
    if (more) {
        return 0;
    }
    const std::uint64_t due = std::min({routing_ms, packets_ms, groups_ms, impl.next_ageing_ms});
    const std::uint32_t longest = impl.domain.retired_count() > 0 ? kReclaimSleepMs : kMaxSleepMs;
    return due <= now ? 1 : static_cast<std::uint32_t>(std::min<std::uint64_t>(due - now, longest));
}

void Core::settle() {
    impl_->tunnels->update();
}

bool Core::is_learning() const noexcept {
    return impl_->learned_in_turn >= kManyLearns;
}

bool Core::has_work() const noexcept {
    return std::any_of(
        impl_->workers.begin(),
        impl_->workers.end(),
        [](const pipeline::Worker* worker) {
            return rte_ring_empty(worker->rings.to_control) == 0 ||
                   rte_ring_empty(worker->rings.learned) == 0;
        }
    );
}

}  // namespace culvert::control
