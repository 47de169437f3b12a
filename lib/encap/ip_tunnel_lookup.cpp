// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_lookup.hpp"

#include "lib/rcu/hash_table_writer.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <tuple>
#include <utility>

namespace culvert::encap {

namespace {

constexpr std::uint32_t kKindMask = 0xff;
constexpr std::size_t kInitialEntries = 64;
constexpr std::size_t kMaxEntries = std::size_t{2} * kMaxLinks;

// The passes as they go: what one of them has found, if not the answer.
struct Search {
    LinkId link_in = kNoLink;
    LinkId vrf = kNoLink;  // a device may be bound to that
    LinkId candidate = kNoLink;

    // True: `candidate` is the answer. `last`: of those on other links the last one counts
    // (TUN-LKP-03), else the first, and only where no earlier pass had one (TUN-LKP-04).
    bool meets(const IpTunnelMember& member, bool last) noexcept {
        const bool is_it = member.lower == link_in || (vrf != kNoLink && member.lower == vrf);
        if (is_it || last || candidate == kNoLink) {
            candidate = member.device;
        }
        return is_it;
    }

    bool goes_through(const IpTunnelMatch& match, const IpTunnelLists& lists, bool last) noexcept {
        const std::uint32_t id = match.list_or_direct & ~IpTunnelMatch::kDirect;
        const std::vector<IpTunnelMember>* list =
            id != IpTunnelLists::kNone ? lists.read(id) : nullptr;
        if (list == nullptr) {
            return meets({match.device, match.lower}, last);
        }
        for (const IpTunnelMember& member : *list) {
            if (meets(member, last)) {
                return true;
            }
        }
        return false;
    }
};

}  // namespace

template <typename Key>
bool BasicIpTunnelLookup<Key>::Less::operator()(const Key& a, const Key& b) const noexcept {
    const auto words = [](const Key& k) {
        return std::tie(k.kind_and_flags, k.key, k.remote, k.local);
    };
    return words(a) < words(b);
}

template <typename Key>
BasicIpTunnelLookup<Key>::BasicIpTunnelLookup(rcu::Domain& domain)
    : table_(domain, kInitialEntries, kMaxEntries)
    , lists_(domain, kMaxLinks) {}

template <typename Key>
Key BasicIpTunnelLookup<Key>::key_of(const IpTunnelConfig& config) noexcept {
    auto local = Key::wire(config.local);
    auto remote = Key::wire(config.remote);
    if (config.remote.is_multicast() &&
        Key::takes_groups(static_cast<std::uint32_t>(config.kind))) {
        // What is for the group, from anybody (TUN-LKP-05). ip6gre joins none: there it is what is
        // for the local address, from anybody (__ip6gre_bucket).
        local = Key::kJoinsGroups ? remote : local;
        remote = Key::kAny;
    }
    const bool has_address = local != Key::kAny || remote != Key::kAny;
    const bool has_key = config.in_key.has_value() && (has_address || !Key::kKeyIsFlagged);
    Key key = Key::make(config.kind, local, remote, has_key, config.in_key.value_or(0));
    key.kind_and_flags |= IpTunnelKey::vrf_bits(config.vrf);
    return key;
}

// TUN-LKP-03..07.
template <typename Key>
LinkId
BasicIpTunnelLookup<Key>::go_through_passes(const Key& packet, LinkId link_in) const noexcept {
    Key any_local = packet;
    any_local.local = Key::kAny;
    Key any_remote = packet;
    any_remote.remote = Key::kAny;
    Key neither = packet;
    neither.local = Key::kAny;
    neither.remote = Key::kAny;
    neither.kind_and_flags &= ~Key::kHasKey;
    const std::uint32_t kind = packet.kind_and_flags & ~Key::kHasKey;
    const std::uint32_t kind_alone = kind & kKindMask;
    const bool binding_counts =
        ((bound_kinds_.load(std::memory_order_acquire) >> kind_alone) & 1) != 0;
    Search search{link_in, IpTunnelKey::vrf_of(kind)};
    const typename Table::View table = table_.view();
    const bool remote_first = Key::asks_remote_first(kind_alone);
    const Key& second = remote_first ? any_local : any_remote;
    const Key& third = remote_first ? any_remote : any_local;
    bool last_counts = Key::last_counts(kind_alone);
    const std::array<const Key*, 4> passes{&packet, &second, &third, &neither};
    for (const Key* pass : passes) {
        const Key& key = *pass;
        IpTunnelMatch match;
        if (table.find(table.prefetch(key), key, match)) {
            if (search.goes_through(match, lists_, last_counts) || !binding_counts) {
                return search.candidate;
            }
        }
        last_counts = false;
    }
    if (search.candidate != kNoLink) {
        return search.candidate;
    }
    for (const std::uint32_t last_resort : {Key::kExternal, Key::kFallback}) {
        const Key key{Key::kAny, Key::kAny, 0, kind_alone | last_resort};
        IpTunnelMatch match;
        if (table.find(table.prefetch(key), key, match)) {
            return match.device;
        }
    }
    return kNoLink;
}

// Whether a packet for the devices of `exact` may belong to this one, when it comes in by its link.
template <typename Key>
bool BasicIpTunnelLookup<Key>::is_preferred_to(const Device& bound, const Key& exact) const {
    const Key& key = bound.key;
    const bool same_kind = ((key.kind_and_flags ^ exact.kind_and_flags) & ~Key::kHasKey) == 0;
    if (!same_kind || key.key != exact.key) {
        return false;
    }
    const bool has_address = key.local != Key::kAny || key.remote != Key::kAny;
    return (!has_address || key.kind_and_flags == exact.kind_and_flags) &&
           (key.local == Key::kAny || key.local == exact.local) &&
           (key.remote == Key::kAny || key.remote == exact.remote);
}

template <typename Key>
bool BasicIpTunnelLookup<Key>::is_direct(const Key& key, std::size_t members) const {
    return members == 1 && key.local != Key::kAny && key.remote != Key::kAny &&
           std::none_of(bound_.begin(), bound_.end(), [&](const auto& entry) {
               return is_preferred_to(entry.second, key);
           });
}

// Tells workers what the group is now. False = no room; then they see it as it was.
template <typename Key>
bool BasicIpTunnelLookup<Key>::publish(const Key& key, Group& group) {
    std::vector<IpTunnelMember> members;
    for (const LinkId id : group.devices) {
        if (const Device& device = devices_.at(id); device.up) {
            members.push_back({id, device.lower});
        }
    }
    if (members.empty()) {
        table_.erase(key);
    } else {
        IpTunnelLists::Id list = members.size() > 1 ? group.list : IpTunnelLists::kNone;
        if (members.size() > 1 && list == IpTunnelLists::kNone) {
            list = lists_.allocate();
            if (list == IpTunnelLists::kNone) {
                return false;
            }
        }
        IpTunnelMatch match{members.front().device, members.front().lower, list};
        if (is_direct(key, members.size())) {
            match.list_or_direct = IpTunnelMatch::kDirect;
        }
        if (list != IpTunnelLists::kNone) {
            lists_.publish(list, std::make_unique<std::vector<IpTunnelMember>>(members));
        }
        if (table_.insert(key, match) == rcu::Inserted::full) {
            if (list != group.list) {
                lists_.erase(list);
            }
            return false;
        }
        if (list != IpTunnelLists::kNone) {
            group.list = list;
        }
    }
    if (members.size() <= 1 && group.list != IpTunnelLists::kNone) {
        lists_.erase(std::exchange(group.list, IpTunnelLists::kNone));
    }
    return true;
}

template <typename Key>
bool BasicIpTunnelLookup<Key>::publish_last_resort(LinkId id, const Device& device) {
    const auto kind = Key::resort_kind(device.key.kind_and_flags & kKindMask);
    const Key key{Key::kAny, Key::kAny, 0, kind | device.last_resort};
    if (!device.up) {
        table_.erase(key);
        return true;
    }
    return table_.insert(key, {id, kNoLink, 0}) != rcu::Inserted::full;
}

// A device that is bound to a link came or went: groups that it may be preferred to.
template <typename Key>
void BasicIpTunnelLookup<Key>::publish_around(const Device& changed) {
    const std::uint32_t kind = changed.key.kind_and_flags & kKindMask;
    const bool any = std::any_of(bound_.begin(), bound_.end(), [kind](const auto& entry) {
        return (entry.second.key.kind_and_flags & kKindMask) == kind;
    });
    const std::uint32_t kinds = bound_kinds_.load(std::memory_order_relaxed);
    const std::uint32_t bit = 1U << kind;
    bound_kinds_.store(any ? kinds | bit : kinds & ~bit, std::memory_order_release);
    auto at = groups_.begin();
    auto end = groups_.end();
    if (changed.key.remote != Key::kAny) {
        Key first = changed.key;
        first.local = Key::kAny;
        Key last = changed.key;
        last.local = Key::kLast;
        at = groups_.lower_bound(first);
        end = groups_.upper_bound(last);
    }
    for (; at != end; ++at) {
        if (at->first.local != Key::kAny && at->first.remote != Key::kAny &&
            is_preferred_to(changed, at->first)) {
            // An entry that is there is replaced, which needs no room.
            (void)publish(at->first, at->second);
        }
    }
}

// Precondition: the device is in its group.
template <typename Key>
bool BasicIpTunnelLookup<Key>::apply_up(LinkId id, Device& device, bool up) {
    const bool before = std::exchange(device.up, up);
    const Key key = device.key;
    if (!publish(key, groups_[key])) {
        device.up = before;
        return false;
    }
    if (device.last_resort != 0 && !publish_last_resort(id, device)) {
        device.up = before;
        (void)publish(key, groups_[key]);
        return false;
    }
    const bool is_wildcard = key.local == Key::kAny || key.remote == Key::kAny;
    const bool was_bound = bound_.erase(id) != 0;
    const bool is_bound = up && is_wildcard && device.lower != kNoLink;
    if (is_bound) {
        bound_[id] = device;
    }
    if (was_bound != is_bound) {
        publish_around(device);
    }
    return true;
}

template <typename Key>
bool BasicIpTunnelLookup<Key>::set(
    LinkId device, const IpTunnelConfig& config, bool up, bool is_fallback
) {
    const auto known = devices_.find(device);
    const std::optional<Device> before =
        known != devices_.end() ? std::optional(known->second) : std::nullopt;
    if (before.has_value()) {
        erase(device);
    }
    Device& next = devices_[device];
    const std::uint32_t last_resort = is_fallback       ? Key::kFallback
                                      : config.external ? Key::kExternal
                                                        : std::uint32_t{0};
    next = {
        key_of(config),
        config.lower,
        Key::wire(config.local),
        Key::kKeyIsFlagged && config.in_key.has_value(),
        false,
        last_resort};
    std::vector<LinkId>& list = groups_[next.key].devices;
    list.insert(list.begin(), device);
    if (apply_up(device, next, up)) {
        return true;
    }
    erase(device);
    if (before.has_value()) {
        // What was there fits again.
        Device& old = devices_[device] = *before;
        old.up = false;
        std::vector<LinkId>& group = groups_[old.key].devices;
        group.insert(group.begin(), device);
        (void)apply_up(device, old, before->up);
    }
    return false;
}

template <typename Key>
bool BasicIpTunnelLookup<Key>::set_up(LinkId device, bool up) {
    Device& known = devices_.at(device);
    return known.up == up || apply_up(device, known, up);
}

template <typename Key>
void BasicIpTunnelLookup<Key>::erase(LinkId device) {
    const auto known = devices_.find(device);
    if (known == devices_.end()) {
        return;
    }
    if (known->second.up) {
        (void)apply_up(device, known->second, false);  // taking away needs no room
    }
    const auto group = groups_.find(known->second.key);
    std::erase(group->second.devices, device);
    if (group->second.devices.empty()) {
        groups_.erase(group);
    }
    devices_.erase(known);
}

template <typename Key>
LinkId BasicIpTunnelLookup<Key>::find_external(IpTunnelKind kind) const {
    const std::uint32_t resort = Key::resort_kind(static_cast<std::uint32_t>(kind));
    const auto found = std::find_if(devices_.begin(), devices_.end(), [&](const auto& entry) {
        return entry.second.last_resort == Key::kExternal &&
               Key::resort_kind(entry.second.key.kind_and_flags & kKindMask) == resort;
    });
    return found == devices_.end() ? kNoLink : found->first;
}

template <typename Key>
LinkId BasicIpTunnelLookup<Key>::find_same(const IpTunnelConfig& config) const {
    const auto group = groups_.find(key_of(config));
    if (group == groups_.end()) {
        return kNoLink;
    }
    for (const LinkId id : group->second.devices) {
        const Device& device = devices_.at(id);
        const bool has_key = Key::kKeyIsFlagged && config.in_key.has_value();
        if (device.lower == config.lower && device.has_key == has_key &&
            device.source == Key::wire(config.local)) {
            return id;
        }
    }
    return kNoLink;
}

template class BasicIpTunnelLookup<IpTunnelKey>;
template class BasicIpTunnelLookup<IpTunnelKey6>;

}  // namespace culvert::encap
