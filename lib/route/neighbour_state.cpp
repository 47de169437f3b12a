// SPDX-License-Identifier: BSD-3-Clause
// The neighbour table's state machine (NEI-01..08, NEI-10): what packets, ARP and time do to one
// entry. The order of tests and the moments timers are set are the kernel's, since the observable
// timeline (GOLD-10) follows from them.
#include "lib/net/ether.hpp"
#include "lib/route/neighbour.hpp"

#include <algorithm>
#include <limits>

namespace culvert::route {

namespace {

constexpr std::uint64_t kShortestTimerMs = 10;
constexpr std::uint64_t kDrawIntervalMs = 300'000;

// NEI-08
bool is_connected(NeighbourState state) noexcept {
    using enum NeighbourState;
    return state == permanent || state == noarp || state == reachable;
}

bool is_valid(NeighbourState state) noexcept {
    using enum NeighbourState;
    return is_connected(state) || state == stale || state == delay || state == probe;
}

bool is_timed(NeighbourState state) noexcept {
    using enum NeighbourState;
    return state == incomplete || state == reachable || state == delay || state == probe;
}

}  // namespace

// Uniform between half and one and a half times the base, drawn anew now and then, so that routers
// on a link do not probe in step.
void NeighbourTable::draw_reachable_time(std::uint64_t now_ms) {
    const std::uint64_t base = parameters_.base_reachable_time_ms;
    std::uniform_int_distribution<std::uint64_t> around(base / 2, base + base / 2);
    reachable_time_ms_ = around(random_);
    next_draw_ms_ = now_ms + kDrawIntervalMs;
}

// 0 stops it.
void NeighbourTable::set_timer(Neighbour& neighbour, std::uint64_t at_ms) {
    if (neighbour.timer_ms != 0) {
        timers_.erase({neighbour.timer_ms, neighbour.key});
    }
    neighbour.timer_ms = at_ms;
    if (at_ms != 0) {
        timers_.insert({at_ms, neighbour.key});
    }
}

void NeighbourTable::enter(Neighbour& neighbour, NeighbourState state, std::uint64_t now_ms) {
    if (neighbour.state == NeighbourState::permanent) {
        --exempt_;
    }
    if (state == NeighbourState::permanent) {
        ++exempt_;
    }
    neighbour.state = state;
    neighbour.has_mac = is_valid(state);
    neighbour.updated_ms = now_ms;
}

// --- packets

// NEI-01, NEI-07. The first probe follows at once, by the caller, after the packet was queued: its
// source address may be taken from there. As in the kernel the count starts at the unicast probes
// that are skipped.
void NeighbourTable::begin_resolution(Neighbour& neighbour, std::uint64_t now_ms) {
    enter(neighbour, NeighbourState::incomplete, now_ms);
    neighbour.probes = parameters_.ucast_solicit;
    set_timer(
        neighbour, now_ms + std::max<std::uint64_t>(parameters_.retrans_time_ms, kShortestTimerMs)
    );
    actions_.changed(neighbour, false);
}

void NeighbourTable::probe(Neighbour& neighbour) {
    ++neighbour.probes;
    std::optional<net::MacAddress> unicast_to;
    if (neighbour.state == NeighbourState::probe) {
        unicast_to = neighbour.mac;
    }
    actions_.solicit(neighbour.key, unicast_to);
}

// A packet went, or is about to go, to a neighbour with a MAC: NEI-06.
void NeighbourTable::note_use(Neighbour& neighbour, std::uint64_t now_ms) {
    neighbour.used_ms = now_ms;
    if (neighbour.state == NeighbourState::stale) {
        enter(neighbour, NeighbourState::delay, now_ms);
        set_timer(neighbour, now_ms + parameters_.delay_first_probe_time_ms);
        actions_.changed(neighbour, false);
    }
}

void NeighbourTable::resolve(const NeighbourKey& key, rte_mbuf* packet, std::uint64_t now_ms) {
    Result<Neighbour*> found = find_or_create(key, now_ms);
    if (!found) {
        Neighbour nobody;
        nobody.key = key;
        actions_.give_up(nobody, packet, QueueVerdict::table_full);
        return;
    }
    Neighbour& neighbour = **found;
    note_use(neighbour, now_ms);
    if (neighbour.has_mac) {
        actions_.send(neighbour, packet);
        return;
    }
    const bool is_new = neighbour.state != NeighbourState::incomplete;
    if (is_new) {
        begin_resolution(neighbour, now_ms);
    }
    enqueue(neighbour, packet);
    if (is_new) {
        probe(neighbour);
    }
}

void NeighbourTable::request(const NeighbourKey& key, std::uint64_t now_ms) {
    Result<Neighbour*> found = find_or_create(key, now_ms);
    if (!found) {
        return;
    }
    Neighbour& neighbour = **found;
    neighbour.used_ms = now_ms;
    if (!neighbour.has_mac && neighbour.state != NeighbourState::incomplete) {
        begin_resolution(neighbour, now_ms);
        probe(neighbour);
    }
}

void NeighbourTable::used(const NeighbourKey& key, std::uint64_t now_ms) {
    if (const auto found = neighbours_.find(key); found != neighbours_.end()) {
        note_use(found->second, now_ms);
    }
}

// NEI-03: the oldest goes. When too many wait in the whole table, a neighbour without a queue gets
// none.
void NeighbourTable::enqueue(Neighbour& neighbour, rte_mbuf* packet) {
    const bool is_full = neighbour.queue.size() >= parameters_.queue_packets ||
                         queued_packets_ >= parameters_.queue_total;
    neighbour.queue.push_back(packet);
    ++queued_packets_;
    if (is_full) {
        ++counters_.unres_discards;
        actions_.give_up(neighbour, dequeue(neighbour), QueueVerdict::overflow);
    }
}

rte_mbuf* NeighbourTable::dequeue(Neighbour& neighbour) {
    rte_mbuf* oldest = neighbour.queue.front();
    neighbour.queue.pop_front();
    --queued_packets_;
    return oldest;
}

void NeighbourTable::give_up_queue(Neighbour& neighbour, QueueVerdict why) {
    while (!neighbour.queue.empty()) {
        actions_.give_up(neighbour, dequeue(neighbour), why);
    }
}

// --- time

void NeighbourTable::on_timer(Neighbour& neighbour, std::uint64_t now_ms) {
    switch (neighbour.state) {
    case NeighbourState::reachable:
        on_reachable_timer(neighbour, now_ms);
        break;
    case NeighbourState::delay:
        on_delay_timer(neighbour, now_ms);
        break;
    case NeighbourState::incomplete:
    case NeighbourState::probe:
        on_probe_timer(neighbour, now_ms);
        break;
    default:
        break;
    }
}

// NEI-05
void NeighbourTable::on_reachable_timer(Neighbour& neighbour, std::uint64_t now_ms) {
    const std::uint64_t good_until = neighbour.confirmed_ms + reachable_time_ms_;
    if (now_ms <= good_until) {
        set_timer(neighbour, std::max(good_until, now_ms + kShortestTimerMs));
        return;
    }
    const std::uint64_t delay_ms = parameters_.delay_first_probe_time_ms;
    if (now_ms <= neighbour.used_ms + delay_ms) {
        enter(neighbour, NeighbourState::delay, now_ms);
        set_timer(neighbour, now_ms + std::max(delay_ms, kShortestTimerMs));
    } else {
        enter(neighbour, NeighbourState::stale, now_ms);
    }
    actions_.changed(neighbour, false);
}

// NEI-06
void NeighbourTable::on_delay_timer(Neighbour& neighbour, std::uint64_t now_ms) {
    if (now_ms <= neighbour.confirmed_ms + parameters_.delay_first_probe_time_ms) {
        enter(neighbour, NeighbourState::reachable, now_ms);
        set_timer(
            neighbour,
            std::max(neighbour.confirmed_ms + reachable_time_ms_, now_ms + kShortestTimerMs)
        );
        actions_.changed(neighbour, false);
        return;
    }
    enter(neighbour, NeighbourState::probe, now_ms);
    neighbour.probes = 0;
    actions_.changed(neighbour, false);
    on_probe_timer(neighbour, now_ms);
}

// NEI-02, NEI-06
void NeighbourTable::on_probe_timer(Neighbour& neighbour, std::uint64_t now_ms) {
    const bool is_probe = neighbour.state == NeighbourState::probe;
    const std::uint32_t most_probes =
        parameters_.ucast_solicit + (is_probe ? 0 : parameters_.mcast_solicit);
    if (neighbour.probes >= most_probes) {
        invalidate(neighbour, NeighbourState::failed, now_ms);
        return;
    }
    set_timer(
        neighbour, now_ms + std::max<std::uint64_t>(parameters_.retrans_time_ms, kShortestTimerMs)
    );
    probe(neighbour);
}

void NeighbourTable::invalidate(Neighbour& neighbour, NeighbourState state, std::uint64_t now_ms) {
    if (neighbour.state == NeighbourState::incomplete || neighbour.state == NeighbourState::probe) {
        ++counters_.res_failed;
    }
    set_timer(neighbour, 0);
    enter(neighbour, state, now_ms);
    actions_.changed(neighbour, false);
    give_up_queue(neighbour, QueueVerdict::failed);
}

// --- what is heard

// Precondition: update.state is a valid one, and a MAC is given or known.
void NeighbourTable::update(Neighbour& neighbour, const Update& update, std::uint64_t now_ms) {
    const NeighbourState old = neighbour.state;
    if (!update.is_admin && (old == NeighbourState::permanent || old == NeighbourState::noarp)) {
        return;
    }
    const bool had_mac = neighbour.has_mac;
    net::MacAddress mac = update.mac.value_or(neighbour.mac);
    bool is_same_mac = had_mac && mac == neighbour.mac;
    NeighbourState state = update.state;
    if (is_connected(state)) {
        neighbour.confirmed_ms = now_ms;
    }
    if (had_mac && !is_same_mac && !update.is_override) {
        if (!update.is_weak_override || !is_connected(old)) {
            return;
        }
        mac = neighbour.mac;
        is_same_mac = true;
        state = NeighbourState::stale;
    } else if (is_same_mac && state == NeighbourState::stale && !update.is_admin) {
        state = old;
    }
    if (state == old && is_same_mac) {
        return;
    }
    if (state != old) {
        neighbour.probes = state == NeighbourState::probe ? 0 : neighbour.probes;
        const std::uint64_t wait_ms =
            state == NeighbourState::reachable ? reachable_time_ms_ : kShortestTimerMs;
        set_timer(neighbour, is_timed(state) ? now_ms + wait_ms : 0);
    }
    enter(neighbour, state, now_ms);
    neighbour.mac = mac;
    if (!is_same_mac && !is_connected(state)) {
        // Not confirmed: as if long ago.
        const std::uint64_t long_ms = std::uint64_t{2} * parameters_.base_reachable_time_ms;
        neighbour.confirmed_ms = now_ms - std::min(now_ms, long_ms);
    }
    actions_.changed(neighbour, false);
    // NEI-04
    while (!had_mac && neighbour.has_mac && !neighbour.queue.empty()) {
        actions_.send(neighbour, dequeue(neighbour));
    }
}

void NeighbourTable::arp_input(
    LinkId link, const net::ArpHeader& arp, bool to_us, bool unicast, std::uint64_t now_ms
) {
    const auto sender = net::IpAddress::from_v4(arp.sender_ip.host());
    const auto target = net::IpAddress::from_v4(arp.target_ip.host());
    const bool is_request = arp.operation.host() == net::arp::kRequest;
    const bool is_reply = arp.operation.host() == net::arp::kReply;
    // NEI-11; a group MAC is nobody's (RFC 1812 3.3.2); sender 0.0.0.0 asks whether an address is
    // in use (RFC 5227).
    if ((!is_request && !is_reply) || !arp.sender_mac.is_valid_station() ||
        sender.is_unspecified() || sender.is_multicast() || sender.is_loopback() ||
        target.is_multicast() || target.is_loopback()) {
        return;
    }
    const NeighbourKey key{link, sender};
    if (is_request && to_us) {
        if (Result<Neighbour*> asker = find_or_create(key, now_ms)) {
            update(**asker, {arp.sender_mac, NeighbourState::stale, true, false}, now_ms);
        }
        return;
    }
    const auto found = neighbours_.find(key);
    // State none is a route's reference, not a neighbour that anything is known of.
    if (found == neighbours_.end() || found->second.state == NeighbourState::none) {
        return;
    }
    Neighbour& neighbour = found->second;
    // Of several answers the first one counts, but who announces itself means it.
    const bool is_gratuitous = sender == target && (is_request || arp.target_mac == arp.sender_mac);
    const bool is_late = now_ms > neighbour.updated_ms + parameters_.locktime_ms;
    const NeighbourState state =
        is_reply && unicast ? NeighbourState::reachable : NeighbourState::stale;
    update(neighbour, {arp.sender_mac, state, is_late || is_gratuitous, false}, now_ms);
}

}  // namespace culvert::route
