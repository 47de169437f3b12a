// SPDX-License-Identifier: BSD-3-Clause
// The vxlan FDB's rules (catalogue 3.14) over the MAC table: an entry's target is a remote list,
// shared by all MACs behind the same remotes. Control only; workers see the lists as
// encap::VxlanDestination under the same ids.
#pragma once

#include "lib/fdb/table.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace culvert::fdb {

// One remote of an entry with every default resolved (VXLAN-FDB-03).
struct Remote {
    net::IpAddress address;  // 0.0.0.0 or :: is allowed: "bridge-local" (VXLAN-TX-21)
    std::uint32_t vni = 0;
    std::uint16_t port = 0;  // UDP destination port
    LinkId via = kNoLink;    // output interface, kNoLink = by route
    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend auto operator<=>(const Remote&, const Remote&) = default;
};

// Remote lists under dense ids, equal lists of one device shared, reference-counted.
class RemoteLists {
public:
    using Id = std::uint32_t;  // 1.. ; < 2^31

    struct List {
        LinkId device = kNoLink;
        std::vector<Remote> remotes;  // first one first
        std::size_t references = 0;
    };

    // Called when a list comes to life (before any entry uses it) and after its last reference went
    // (list = nullptr).
    using Observer = std::function<void(Id, const List*)>;

    void on_change(Observer observer) { observer_ = std::move(observer); }

    // The id of this list of `device`, one reference more. The observer sees a new list before this
    // returns.
    Id acquire(LinkId device, const std::vector<Remote>& remotes);
    void retain(Id id);
    void release(Id id);
    // nullptr = no such list. Valid until the next acquire.
    [[nodiscard]] const List* find(Id id) const noexcept;
    void for_each(const std::function<void(Id, const List&)>& visit) const;

    // Whether any list has a remote that leaves by `via`.
    [[nodiscard]] bool names(LinkId via) const noexcept { return by_via_.contains(via); }

    // Makes ids reusable only after readers forgot them: control passes rcu retirement here.
    // Default: at once.
    void defer_reuse_with(std::function<void(std::function<void()>)> defer) {
        defer_ = std::move(defer);
    }

private:
    void count_ways(const List& list, bool is_new);

    std::map<std::pair<LinkId, std::vector<Remote>>, Id> by_content_;
    std::map<LinkId, std::size_t> by_via_;  // remotes
    std::vector<List> lists_{1};            // index = id; 0 unused
    // Shared with the releases that wait for readers, which may outlive this object.
    std::shared_ptr<std::vector<Id>> free_ = std::make_shared<std::vector<Id>>();
    Observer observer_;
    std::function<void(std::function<void()>)> defer_;
};

// One vxlan device's defaults for FDB commands.
struct VxlanFdbDefaults {
    LinkId device = kNoLink;
    std::uint32_t vni = 0;
    std::uint16_t port = 0;
    net::Family family = net::Family::ipv4;
};

enum class FdbVerb : std::uint8_t { add, append, replace, change };

struct VxlanFdbRequest {
    FdbVerb verb = FdbVerb::add;
    net::MacAddress mac;
    std::optional<net::IpAddress> destination;
    std::optional<std::uint16_t> port;
    std::optional<std::uint32_t> vni;
    std::optional<LinkId> via;
    std::uint8_t state = nud::kNoarp | nud::kPermanent;
    std::uint8_t flags = ntf::kSelf;
};

// Every entry of a vxlan's domain holds one reference to its list; VxlanFdb takes it, and gives it
// back when the entry moves, expires or goes, whoever made it go (Table::on_release).
class VxlanFdb {
public:
    VxlanFdb(Table& table, RemoteLists& lists);
    ~VxlanFdb();
    VxlanFdb(const VxlanFdb&) = delete;
    VxlanFdb& operator=(const VxlanFdb&) = delete;

    // VXLAN-FDB-01..09. Errors as the catalogue: EINVAL, EEXIST, EOPNOTSUPP, ENOENT, EAFNOSUPPORT,
    // ENOSPC.
    Result<void>
    modify(const VxlanFdbDefaults& device, const VxlanFdbRequest& request, std::uint32_t now_s);
    // VXLAN-FDB-10, -11. `request.destination` unset = the whole entry. Errors: ENOENT.
    Result<void> del(const VxlanFdbDefaults& device, const VxlanFdbRequest& request);
    // The default remote of a device (VXLAN-CRE-21; VXLAN-CHG-03 for a change: append new, remove
    // old).
    Result<void> set_default_remote(
        const VxlanFdbDefaults& device,
        std::optional<Remote> old_remote,
        std::optional<Remote> new_remote,
        std::uint32_t now_s
    );
    // VXLAN-LRN-03..07: `source` is the outer source address; `received_on`, the link the outer
    // packet came in on, counts for a link-local source only.
    Table::Learned learn(
        const VxlanFdbDefaults& device,
        const net::MacAddress& mac,
        const net::IpAddress& source,
        std::uint32_t now_s,
        LinkId received_on = kNoLink
    );
    // VXLAN-DEL-02: what `link set down` flushes; VXLAN-DEL-01 is Table::del_domain.
    void flush_on_stop(LinkId device);

private:
    using Remotes = std::vector<Remote>;

    [[nodiscard]] const Remotes& remotes_of(const Table::Entry& entry) const;
    Result<void> write(
        const VxlanFdbDefaults& device,
        const net::MacAddress& mac,
        const Remotes& remotes,
        Shadow shadow,
        std::uint32_t now_s
    );
    Result<void> update(
        const VxlanFdbDefaults& device,
        const Table::Entry& entry,
        const VxlanFdbRequest& request,
        const Remote& remote,
        std::uint32_t now_s
    );
    Result<void>
    append_default(const VxlanFdbDefaults& device, const Remote& remote, std::uint32_t now_s);
    Result<void>
    remove_remote(const VxlanFdbDefaults& device, const Table::Entry& entry, const Remote& remote);

    Table& table_;
    RemoteLists& lists_;
};

}  // namespace culvert::fdb
