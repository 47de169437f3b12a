// SPDX-License-Identifier: BSD-3-Clause
// The MAC table: one for every bridge and every vxlan device, told apart by the domain in the key
// (the bridge's or vxlan's link id). Workers look up and refresh; control learns, moves, ages and
// deletes. A refresh stores to the entry only when the second has changed, so that the line stays
// shared.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/result.hpp"
#include "lib/rcu/hash_table.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace culvert::fdb {

// 48 bits of MAC above 16 bits of domain.
struct Key {
    std::uint64_t packed = 0;

    static constexpr Key make(LinkId domain, const net::MacAddress& mac) noexcept {
        return {(mac.value() << 16) | domain};
    }

    [[nodiscard]] constexpr net::MacAddress mac() const noexcept {
        return net::MacAddress::from_value(packed >> 16);
    }

    [[nodiscard]] constexpr LinkId domain() const noexcept { return static_cast<LinkId>(packed); }

    friend constexpr bool operator==(const Key&, const Key&) = default;
};

// What a worker gets. `target` is a member link's id in a bridge's domain (the bridge's own id =
// local: its address), and a remote list's id in a vxlan's domain.
struct Value {
    static constexpr std::uint32_t kPinnedBit =
        0x80000000;  // does not move; which entries those are: DomainSettings::static_roams

    std::uint32_t target_and_flags = 0;
    std::uint32_t used_s =
        0;  // second of the last packet from or (vxlan) to this MAC, culvert's monotonic clock

    [[nodiscard]] constexpr std::uint32_t target() const noexcept {
        return target_and_flags & ~kPinnedBit;
    }

    [[nodiscard]] constexpr bool is_pinned() const noexcept {
        return (target_and_flags & kPinnedBit) != 0;
    }

    friend constexpr bool operator==(const Value&, const Value&) = default;
};

// A learned MAC, from a worker to control. `source` is the outer source of a vxlan packet; in a
// bridge's domain it is unset and `port` names the member link.
struct LearnEvent {
    net::IpAddress source;
    net::MacAddress mac;
    LinkId domain = kNoLink;
    LinkId port = kNoLink;  // vxlan: the link the outer packet came in on
    std::uint16_t reserved[3] = {};
};

static_assert(sizeof(LearnEvent) == 32);

// NUD states as the kernel numbers them (VXLAN-FDB-14).
namespace nud {
inline constexpr std::uint8_t kReachable = 0x02;
inline constexpr std::uint8_t kStale = 0x04;
inline constexpr std::uint8_t kNoarp = 0x40;
inline constexpr std::uint8_t kPermanent = 0x80;
}  // namespace nud

namespace ntf {
inline constexpr std::uint8_t kUse = 0x01;
inline constexpr std::uint8_t kSelf = 0x02;
inline constexpr std::uint8_t kMaster = 0x04;
inline constexpr std::uint8_t kExtLearned = 0x10;
inline constexpr std::uint8_t kSticky = 0x40;
inline constexpr std::uint8_t kRouter = 0x80;
}  // namespace ntf

// The writer's half of an entry.
struct Shadow {
    std::uint32_t updated_s = 0;  // second of the last change of target, state or flags
    std::uint8_t state = nud::kReachable;
    std::uint8_t flags = 0;  // without kUse, which is a request and not a property
    std::uint16_t by_user =
        0;  // 1 = written by a command: kExtLearned requests don't change it (VXLAN-FDB-08)
};

struct DomainSettings {
    std::uint32_t ageing_s = 300;  // 0 = never
    std::uint32_t limit = 0;       // entries; 0 = unlimited
    // What is pinned. false, vxlan: static and permanent entries (LRN-04). true, bridge: permanent
    // (local) and sticky ones; a static one never expires, but follows its station to another port.
    bool static_roams = false;
};

struct Change {
    enum class What : std::uint8_t { added, moved, updated, deleted };
    What what = What::added;
    LinkId domain = kNoLink;
    net::MacAddress mac;
    std::uint32_t target = 0;      // after the change; of the deleted entry for `deleted`
    std::uint32_t old_target = 0;  // before, for `moved`
    Shadow shadow;
};

class Table {
public:
    Table(rcu::Domain& domain, std::size_t max_entries);

    // --- readers (workers) ---
    [[nodiscard]] bool find(Key key, Value& value) const noexcept {
        return table_.find(key, value);
    }

    // For many lookups.
    using View = rcu::HashTable<Key, Value, Shadow>::View;

    [[nodiscard]] View view() const noexcept { return table_.view(); }

    // Stamps the entry with `now_s` unless it has that stamp already.
    void refresh(Key key, Value seen, std::uint32_t now_s) const noexcept {
        if (seen.used_s != now_s) {
            table_.refresh(key, seen, Value{seen.target_and_flags, now_s});
        }
    }

    // --- the writer (control) ---
    // Called on every change, before the function that made it returns; must not change the table.
    // For events: what counts references to targets listens below. While it runs, the target before
    // the change is still alive.
    void on_change(std::function<void(const Change&)> callback) { callback_ = std::move(callback); }

    // Called after the former: an entry of `domain` does not refer to `target` any more (VxlanFdb's
    // references).
    void on_release(std::function<void(LinkId domain, std::uint32_t target)> release) {
        release_ = std::move(release);
    }

    // A domain must be added before entries in it. del_domain deletes its entries.
    void add_domain(LinkId domain, DomainSettings settings);
    void set_domain(LinkId domain, DomainSettings settings);
    void del_domain(LinkId domain);

    enum class Learned : std::uint8_t { added, moved, unchanged, pinned, limit, full, no_domain };
    // A dynamic entry: added (with `flags`), or moved to `target` (LRN-05, LRN-06). A pinned entry
    // stays (LRN-04). Whatever comes of it, an entry that is there counts as used now (LRN-01).
    Learned learn(
        LinkId domain,
        const net::MacAddress& mac,
        std::uint32_t target,
        std::uint32_t now_s,
        std::uint8_t flags = 0
    );
    // Whether the domain exists and one more entry would stay within its limit (VXLAN-LIM-01).
    [[nodiscard]] bool has_room(LinkId domain) const noexcept;

    // Writes an entry as an administrator's command: added or overwritten. An entry is used now
    // when it is new or the flags carry kUse; it is updated now when target, state or flags are new
    // (VXLAN-AGE-02, -03). Errors: ENOSPC (limit or table full), ENODEV (no such domain).
    Result<void>
    set(LinkId domain,
        const net::MacAddress& mac,
        std::uint32_t target,
        Shadow shadow,
        std::uint32_t now_s);
    bool erase(LinkId domain, const net::MacAddress& mac);

    struct Entry {
        LinkId domain = kNoLink;
        net::MacAddress mac;
        Value value;
        Shadow shadow;
    };

    [[nodiscard]] std::optional<Entry> get(LinkId domain, const net::MacAddress& mac);
    // Deletes the entries of `domain` (kNoLink = all) for which `filter` is true; returns how many.
    std::size_t flush(LinkId domain, const std::function<bool(const Entry&)>& filter);
    // `visit` must not change the table.
    void for_each(LinkId domain, const std::function<void(const Entry&)>& visit);

    // Deletes what expired (VXLAN-AGE-01, bridge ageing): visits a slice of the table, so that a
    // million entries never hold the control thread up; called once a control tick. Full round at
    // least every 10 s when called every 100 ms.
    std::size_t age(std::uint32_t now_s);

    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] std::size_t domain_size(LinkId domain) const noexcept;
    [[nodiscard]] std::size_t memory_bytes() const noexcept;

private:
    struct DomainState {
        DomainSettings settings;
        std::size_t count = 0;
    };

    [[nodiscard]] Value make_value(
        LinkId domain, std::uint32_t target, const Shadow& shadow, std::uint32_t used_s
    ) const noexcept;
    [[nodiscard]] bool
    is_expired(Key key, Value value, const Shadow& shadow, std::uint32_t now_s) const noexcept;
    void remove(Key key, Value value, const Shadow& shadow);
    void announce(const Change& change, bool releases, std::uint32_t released_target);

    rcu::HashTable<Key, Value, Shadow> table_;
    std::unordered_map<LinkId, DomainState> domains_;
    std::function<void(const Change&)> callback_;
    std::function<void(LinkId, std::uint32_t)> release_;
    std::vector<Key> scratch_;  // age: what expired in a slice
};

}  // namespace culvert::fdb
