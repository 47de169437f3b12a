// SPDX-License-Identifier: BSD-3-Clause
// The neighbour table's book-keeping: entries, users' commands, references, garbage.
#include "lib/route/neighbour.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <tuple>
#include <vector>

namespace culvert::route {

namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kForceIntervalMs =
    5000;  // NEI-09; also how young an entry is safe from being forced out
constexpr std::uint64_t kFruitlessPauseMs =
    100;  // a scan that makes room for nobody is not repeated at once

Error refused(std::errc code, const NeighbourKey& key, std::string_view why) {
    return {
        code, fmt::format("neighbour {} on link {}: {}", key.address.to_string(), key.link, why)};
}

bool is_valid(NeighbourState state) noexcept {
    using enum NeighbourState;
    return state == permanent || state == noarp || state == reachable || state == stale ||
           state == delay || state == probe;
}

}  // namespace

NeighbourTable::NeighbourTable(NeighbourActions& actions, NeighbourParameters parameters)
    : actions_(actions)
    , parameters_(parameters)
    , random_(parameters.random_seed != 0 ? parameters.random_seed : std::random_device{}()) {
    draw_reachable_time(0);
}

NeighbourTable::~NeighbourTable() {
    for (auto& [key, neighbour] : neighbours_) {
        give_up_queue(neighbour, QueueVerdict::removed);
    }
}

const Neighbour* NeighbourTable::find(const NeighbourKey& key) const {
    const auto found = neighbours_.find(key);
    return found == neighbours_.end() ? nullptr : &found->second;
}

void NeighbourTable::for_each(const std::function<void(const Neighbour&)>& visit) const {
    for (const auto& [key, neighbour] : neighbours_) {
        visit(neighbour);
    }
}

Result<Neighbour*> NeighbourTable::find_or_create(const NeighbourKey& key, std::uint64_t now_ms) {
    if (const auto found = neighbours_.find(key); found != neighbours_.end()) {
        return &found->second;
    }
    if (!make_room(now_ms)) {
        ++counters_.table_fulls;
        return refused(
            std::errc::no_buffer_space,
            key,
            fmt::format(
                "neighbour table overflow: all {} entries are in use", parameters_.gc_thresh3
            )
        );
    }
    Neighbour& neighbour = neighbours_[key];
    neighbour.key = key;
    neighbour.updated_ms = now_ms;
    neighbour.used_ms = now_ms;
    // As if long ago: nothing has confirmed it.
    neighbour.confirmed_ms =
        now_ms -
        std::min<std::uint64_t>(now_ms, std::uint64_t{2} * parameters_.base_reachable_time_ms);
    return &neighbour;
}

// --- users (NEI-14)

Result<void> NeighbourTable::set(
    Verb verb,
    const NeighbourKey& key,
    std::optional<net::MacAddress> mac,
    NeighbourState state,
    bool router,
    std::uint64_t now_ms
) {
    if (key.link == kNoLink) {
        return refused(std::errc::invalid_argument, key, "Device not specified");
    }
    if (key.address.is_unspecified()) {
        return refused(std::errc::invalid_argument, key, "Network address not specified");
    }
    // An entry in state none is only a route's reference: users have not made it and do not see it.
    const Neighbour* existing = find(key);
    const bool exists = existing != nullptr && existing->state != NeighbourState::none;
    if (exists && verb == Verb::add) {
        return refused(std::errc::file_exists, key, "it exists");
    }
    if (!exists && verb == Verb::change) {
        return refused(std::errc::no_such_file_or_directory, key, "there is none to change");
    }
    if (is_valid(state) && !mac.has_value() && (!exists || !existing->has_mac)) {
        return refused(std::errc::invalid_argument, key, "No link layer address given");
    }
    CULVERT_TRY(neighbour, find_or_create(key, now_ms));
    neighbour->router = router;
    if (state == NeighbourState::incomplete) {
        if (neighbour->state != NeighbourState::incomplete) {
            begin_resolution(*neighbour, now_ms);
            probe(*neighbour);
        }
    } else if (is_valid(state)) {
        update(
            *neighbour, {.mac = mac, .state = state, .is_override = true, .is_admin = true}, now_ms
        );
    } else if (state == NeighbourState::none) {
        remove(neighbours_.find(key));
    } else {
        invalidate(*neighbour, state, now_ms);
    }
    return {};
}

Result<void> NeighbourTable::del(const NeighbourKey& key) {
    const auto found = neighbours_.find(key);
    if (found == neighbours_.end() || found->second.state == NeighbourState::none) {
        return refused(std::errc::no_such_file_or_directory, key, "there is none to delete");
    }
    remove(found);
    return {};
}

Result<void> NeighbourTable::create(const NeighbourKey& key, std::uint64_t now_ms) {
    CULVERT_CHECK(find_or_create(key, now_ms));
    return {};
}

void NeighbourTable::set_traits(
    const NeighbourKey& key, const NeighbourTraits& traits, std::uint64_t now_ms
) {
    const auto found = neighbours_.find(key);
    if (found == neighbours_.end()) {
        return;
    }
    Neighbour& neighbour = found->second;
    neighbour.router = traits.router;
    neighbour.extern_learn = traits.extern_learn;
    neighbour.protocol = traits.protocol;
    neighbour.managed = traits.managed && neighbour.state != NeighbourState::permanent;
    if (!neighbour.managed) {
        managed_.erase(key);
    } else if (managed_.insert(key).second) {
        refresh_managed(now_ms);
    }
}

// neigh_managed_work(): as if a packet went to each, every delay_first_probe_time.
void NeighbourTable::refresh_managed(std::uint64_t now_ms) {
    next_refresh_ms_ = now_ms + parameters_.delay_first_probe_time_ms;
    for (const NeighbourKey& key : managed_) {
        Neighbour& neighbour = neighbours_.find(key)->second;
        note_use(neighbour, now_ms);
        request(key, now_ms);
    }
}

template <typename Pick>
std::size_t NeighbourTable::remove_if(Pick pick) {
    std::size_t removed = 0;
    for (auto at = neighbours_.begin(); at != neighbours_.end();) {
        if (pick(at->second)) {
            at = remove(at);
            ++removed;
        } else {
            ++at;
        }
    }
    return removed;
}

std::size_t NeighbourTable::flush(LinkId link) {
    return remove_if([link](const Neighbour& neighbour) {
        using enum NeighbourState;
        const NeighbourState state = neighbour.state;
        return (link == kNoLink || neighbour.key.link == link) && state != none &&
               state != permanent && state != noarp;
    });
}

void NeighbourTable::link_down(LinkId link, std::optional<net::Family> family) {
    drop_proxies(link, family);
    remove_if([&](const Neighbour& neighbour) {
        return neighbour.key.link == link && neighbour.state != NeighbourState::none &&
               (!family.has_value() || neighbour.key.address.family() == *family);
    });
}

// --- references

Result<void> NeighbourTable::hold(const NeighbourKey& key, std::uint64_t now_ms) {
    CULVERT_TRY(neighbour, find_or_create(key, now_ms));
    ++neighbour->references;
    return {};
}

void NeighbourTable::release(const NeighbourKey& key) {
    const auto found = neighbours_.find(key);
    if (found == neighbours_.end() || found->second.references == 0) {
        return;
    }
    if (--found->second.references == 0 && found->second.state == NeighbourState::none) {
        neighbours_.erase(found);
    }
}

// --- removal and garbage (NEI-09)

// Back to state none: nothing is known and nothing waits.
void NeighbourTable::reset(Neighbour& neighbour) {
    set_timer(neighbour, 0);
    managed_.erase(neighbour.key);
    neighbour.managed = false;
    neighbour.extern_learn = false;
    neighbour.protocol.clear();
    enter(neighbour, NeighbourState::none, neighbour.updated_ms);
    neighbour.mac = {};
    neighbour.router = false;
    neighbour.probes = 0;
    actions_.changed(neighbour, true);
    give_up_queue(neighbour, QueueVerdict::removed);
}

// Erases the entry, or leaves it in state none for who holds it.
NeighbourTable::Neighbours::iterator NeighbourTable::remove(Neighbours::iterator at) {
    if (at->second.state != NeighbourState::none) {
        reset(at->second);
    }
    managed_.erase(at->first);
    return at->second.references != 0 ? std::next(at) : neighbours_.erase(at);
}

bool NeighbourTable::make_room(std::uint64_t now_ms) {
    const std::size_t limit = parameters_.gc_thresh3;
    const std::size_t soft_limit = limit / 2;
    const std::size_t entries = neighbours_.size() - exempt_;
    if (entries < limit && (entries < soft_limit || now_ms < next_soft_force_ms_)) {
        return true;
    }
    if (entries >= limit && now_ms < next_hard_force_ms_) {
        return false;
    }
    next_soft_force_ms_ = now_ms + kForceIntervalMs;
    const std::size_t removed = force_garbage_out(entries - soft_limit, now_ms);
    if (removed == 0) {
        next_hard_force_ms_ = now_ms + kFruitlessPauseMs;
    }
    return entries - removed < limit;
}

// Removes up to `most` entries that failed or have not changed for a while; those first, then the
// oldest.
std::size_t NeighbourTable::force_garbage_out(std::size_t most, std::uint64_t now_ms) {
    ++counters_.forced_gc_runs;
    using Candidate = std::tuple<bool, std::uint64_t, NeighbourKey>;  // (is alive, updated, key)
    std::vector<Candidate> candidates;
    for (const auto& [key, neighbour] : neighbours_) {
        using enum NeighbourState;
        const bool is_dead = neighbour.state == failed || neighbour.state == noarp;
        const bool is_old = neighbour.updated_ms + kForceIntervalMs < now_ms;
        const bool is_exempt = neighbour.state == permanent || neighbour.extern_learn ||
                               neighbour.managed || neighbour.references != 0;
        if (!is_exempt && (is_dead || is_old)) {
            candidates.emplace_back(!is_dead, neighbour.updated_ms, key);
        }
    }
    std::sort(candidates.begin(), candidates.end());
    candidates.resize(std::min(candidates.size(), most));
    for (const Candidate& candidate : candidates) {
        remove(neighbours_.find(std::get<NeighbourKey>(candidate)));
    }
    return candidates.size();
}

void NeighbourTable::collect_garbage(std::uint64_t now_ms) {
    if (neighbours_.size() < parameters_.gc_thresh1) {
        return;
    }
    remove_if([&](const Neighbour& neighbour) {
        using enum NeighbourState;
        const bool can_go = neighbour.state == none || neighbour.state == stale ||
                            neighbour.state == failed || neighbour.state == noarp;
        const std::uint64_t last_use = std::max(neighbour.used_ms, neighbour.confirmed_ms);
        return can_go && neighbour.references == 0 && !neighbour.extern_learn &&
               !neighbour.managed && now_ms > last_use + parameters_.gc_stale_time_ms;
    });
}

// --- time

std::uint64_t NeighbourTable::tick(std::uint64_t now_ms) {
    if (now_ms >= next_draw_ms_) {
        draw_reachable_time(now_ms);
    }
    while (!timers_.empty() && timers_.begin()->first <= now_ms) {
        Neighbour& neighbour = neighbours_.find(timers_.begin()->second)->second;
        set_timer(neighbour, 0);
        on_timer(neighbour, now_ms);
    }
    if (!managed_.empty() && now_ms >= next_refresh_ms_) {
        refresh_managed(now_ms);
    }
    const std::uint64_t gc_interval_ms = parameters_.base_reachable_time_ms / 2;
    if (next_gc_ms_ != 0 && now_ms >= next_gc_ms_) {
        collect_garbage(now_ms);
        next_gc_ms_ = 0;
    }
    if (neighbours_.empty()) {
        next_gc_ms_ = 0;
        return kNever;
    }
    if (next_gc_ms_ == 0) {
        next_gc_ms_ = now_ms + gc_interval_ms;
    }
    const std::uint64_t due =
        managed_.empty() ? next_gc_ms_ : std::min(next_gc_ms_, next_refresh_ms_);
    return timers_.empty() ? due : std::min(due, timers_.begin()->first);
}

}  // namespace culvert::route
