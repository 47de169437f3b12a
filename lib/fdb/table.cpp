// SPDX-License-Identifier: BSD-3-Clause
#include "lib/fdb/table.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace culvert::fdb {

namespace {

constexpr std::size_t kFirstEntries = 1024;
// Calls of age() a round of the table takes: with one every 100 ms every entry is seen within 10 s
// (VXLAN-AGE-01).
constexpr std::size_t kSlicesPerRound = 100;
constexpr std::size_t kLeastSlice = 16;

bool is_pinned(const DomainSettings& domain, const Shadow& shadow) noexcept {
    if (domain.static_roams) {
        return (shadow.state & nud::kPermanent) != 0 || (shadow.flags & ntf::kSticky) != 0;
    }
    return (shadow.state & (nud::kNoarp | nud::kPermanent)) != 0;
}

Change make_change(Change::What what, Key key, Value value, const Shadow& shadow) noexcept {
    Change change;
    change.what = what;
    change.domain = key.domain();
    change.mac = key.mac();
    change.target = value.target();
    change.old_target = value.target();
    change.shadow = shadow;
    return change;
}

}  // namespace

Table::Table(rcu::Domain& domain, std::size_t max_entries)
    : table_(domain, std::min(max_entries, kFirstEntries), max_entries) {}

Value Table::make_value(
    LinkId domain, std::uint32_t target, const Shadow& shadow, std::uint32_t used_s
) const noexcept {
    auto found = domains_.find(domain);
    const bool pinned = found != domains_.end() && is_pinned(found->second.settings, shadow);
    return {target | (pinned ? Value::kPinnedBit : 0U), used_s};
}

void Table::announce(const Change& change, bool releases, std::uint32_t released_target) {
    if (callback_) {
        callback_(change);
    }
    if (releases && release_) {
        release_(change.domain, released_target);
    }
}

void Table::add_domain(LinkId domain, DomainSettings settings) {
    domains_[domain].settings = settings;
}

void Table::set_domain(LinkId domain, DomainSettings settings) {
    if (auto found = domains_.find(domain); found != domains_.end()) {
        found->second.settings = settings;
    }
}

void Table::del_domain(LinkId domain) {
    flush(domain, [](const Entry&) { return true; });
    domains_.erase(domain);
}

bool Table::has_room(LinkId domain) const noexcept {
    auto found = domains_.find(domain);
    if (found == domains_.end()) {
        return false;
    }
    const DomainState& state = found->second;
    return state.settings.limit == 0 || state.count < state.settings.limit;
}

Table::Learned Table::learn(
    LinkId domain,
    const net::MacAddress& mac,
    std::uint32_t target,
    std::uint32_t now_s,
    std::uint8_t flags
) {
    auto found = domains_.find(domain);
    if (found == domains_.end()) {
        return Learned::no_domain;
    }
    const Key key = Key::make(domain, mac);
    Value value;
    if (!table_.find(key, value)) {
        if (!has_room(domain)) {
            return Learned::limit;
        }
        const Shadow shadow{now_s, nud::kReachable, flags, 0};
        value = make_value(domain, target, shadow, now_s);
        if (table_.insert(key, value, shadow) == rcu::Inserted::full) {
            return Learned::full;
        }
        ++found->second.count;
        announce(make_change(Change::What::added, key, value, shadow), false, 0);
        return Learned::added;
    }
    const std::uint32_t old_target = value.target();
    const bool moves = old_target != target && !value.is_pinned();
    if (!moves) {
        table_.replace(key, Value{value.target_and_flags, now_s});
        return old_target == target ? Learned::unchanged : Learned::pinned;
    }
    Shadow& shadow = *table_.shadow(key);
    shadow.updated_s = now_s;
    value = make_value(domain, target, shadow, now_s);
    table_.replace(key, value);
    Change change = make_change(Change::What::moved, key, value, shadow);
    change.old_target = old_target;
    announce(change, true, old_target);
    return Learned::moved;
}

Result<void> Table::set(
    LinkId domain,
    const net::MacAddress& mac,
    std::uint32_t target,
    Shadow shadow,
    std::uint32_t now_s
) {
    auto found = domains_.find(domain);
    if (found == domains_.end()) {
        return Error{
            std::errc::no_such_device,
            fmt::format("fdb set {}: link {} has no MAC table", mac.to_string(), domain)};
    }
    const Key key = Key::make(domain, mac);
    const bool use = (shadow.flags & ntf::kUse) != 0;
    shadow.flags &= static_cast<std::uint8_t>(~ntf::kUse);
    shadow.updated_s = now_s;
    Value before;
    if (!table_.find(key, before)) {
        if (!has_room(domain)) {
            return Error{
                std::errc::no_space_on_device,
                fmt::format(
                    "fdb add {}: link {} is at its limit of {} entries",
                    mac.to_string(),
                    domain,
                    found->second.settings.limit
                )};
        }
        const Value value = make_value(domain, target, shadow, now_s);
        if (table_.insert(key, value, shadow) == rcu::Inserted::full) {
            return Error{
                std::errc::no_space_on_device,
                fmt::format(
                    "fdb add {}: the MAC table of all links is full with {} entries",
                    mac.to_string(),
                    size()
                )};
        }
        ++found->second.count;
        announce(make_change(Change::What::added, key, value, shadow), false, 0);
        return {};
    }
    Shadow& kept = *table_.shadow(key);
    const bool is_moved = before.target() != target;
    const bool is_changed = is_moved || kept.state != shadow.state || kept.flags != shadow.flags;
    if (!is_changed) {
        shadow.updated_s = kept.updated_s;
    }
    kept = shadow;
    const Value value = make_value(domain, target, shadow, use ? now_s : before.used_s);
    table_.replace(key, value);
    if (is_changed) {
        Change change =
            make_change(is_moved ? Change::What::moved : Change::What::updated, key, value, shadow);
        change.old_target = before.target();
        announce(change, is_moved, before.target());
    }
    return {};
}

// `shadow` may differ from what is stored: it is what the event tells.
void Table::remove(Key key, Value value, const Shadow& shadow) {
    const Change change = make_change(Change::What::deleted, key, value, shadow);
    table_.erase(key);
    if (auto found = domains_.find(key.domain()); found != domains_.end()) {
        --found->second.count;
    }
    announce(change, true, value.target());
}

bool Table::erase(LinkId domain, const net::MacAddress& mac) {
    const std::optional<Entry> entry = get(domain, mac);
    if (!entry.has_value()) {
        return false;
    }
    remove(Key::make(domain, mac), entry->value, entry->shadow);
    return true;
}

std::optional<Table::Entry> Table::get(LinkId domain, const net::MacAddress& mac) {
    const Key key = Key::make(domain, mac);
    Value value;
    if (!table_.find(key, value)) {
        return std::nullopt;
    }
    return Entry{domain, mac, value, *table_.shadow(key)};
}

void Table::for_each(LinkId domain, const std::function<void(const Entry&)>& visit) {
    if (domain != kNoLink && domain_size(domain) == 0) {
        return;
    }
    table_.for_each([&](const Key& key, Value value, const Shadow& shadow) {
        if (domain == kNoLink || key.domain() == domain) {
            visit({key.domain(), key.mac(), value, shadow});
        }
    });
}

std::size_t Table::flush(LinkId domain, const std::function<bool(const Entry&)>& filter) {
    std::vector<Entry> doomed;
    if (domain != kNoLink && domain_size(domain) == 1) {
        // What a vxlan link has that has learned nothing: found without going through all others'.
        if (const auto entry = get(domain, net::MacAddress{}); entry.has_value()) {
            if (!filter(*entry)) {
                return 0;
            }
            remove(Key::make(domain, entry->mac), entry->value, entry->shadow);
            return 1;
        }
    }
    for_each(domain, [&](const Entry& entry) {
        if (filter(entry)) {
            doomed.push_back(entry);
        }
    });
    for (const Entry& entry : doomed) {
        remove(Key::make(entry.domain, entry.mac), entry.value, entry.shadow);
    }
    return doomed.size();
}

bool Table::is_expired(Key key, Value value, const Shadow& shadow, std::uint32_t now_s)
    const noexcept {
    if ((shadow.state & (nud::kNoarp | nud::kPermanent)) != 0 ||
        (shadow.flags & ntf::kExtLearned) != 0) {
        return false;
    }
    auto found = domains_.find(key.domain());
    if (found == domains_.end() || found->second.settings.ageing_s == 0) {
        return false;
    }
    // A worker's clock may be a second ahead of ours.
    return now_s >= value.used_s && now_s - value.used_s >= found->second.settings.ageing_s;
}

std::size_t Table::age(std::uint32_t now_s) {
    const std::size_t buckets = table_.bucket_count();
    const std::size_t slice =
        std::max((buckets + kSlicesPerRound - 1) / kSlicesPerRound, kLeastSlice);
    scratch_.clear();
    table_.sweep(slice, [&](const Key& key, Value value, const Shadow& shadow) {
        if (is_expired(key, value, shadow, now_s)) {
            scratch_.push_back(key);
        }
        return false;
    });
    std::size_t deleted = 0;
    for (const Key key : scratch_) {
        // Again, as a worker may have used it since.
        Value value;
        if (!table_.find(key, value)) {
            continue;
        }
        Shadow shadow = *table_.shadow(key);
        if (is_expired(key, value, shadow, now_s)) {
            shadow.state = nud::kStale;
            remove(key, value, shadow);
            ++deleted;
        }
    }
    return deleted;
}

std::size_t Table::size() const noexcept {
    return table_.size();
}

std::size_t Table::domain_size(LinkId domain) const noexcept {
    auto found = domains_.find(domain);
    return found == domains_.end() ? 0 : found->second.count;
}

std::size_t Table::memory_bytes() const noexcept {
    return table_.memory_bytes();
}

}  // namespace culvert::fdb
