// SPDX-License-Identifier: BSD-3-Clause
// Which ip_tunnel device a packet belongs to: ip_tunnel_lookup()'s four passes (TUN-LKP-*), made
// one probe for a device with both addresses.
//
// Devices with the same addresses and key are a group, in the kernel's list order: the last one
// made or changed is the first. The entry of (local, remote, key) says at once which device it is,
// unless the answer depends on the link the packet came in by: that is so with several devices of
// these addresses on different links, and with one bound to a link that has fewer addresses (it is
// preferred to an unbound one with both, GOLD-14). Then, and for packets that no entry with both
// addresses takes, the passes are gone through, a probe each.
//
// Readers: any number of workers. Writer: control.
#pragma once

#include "lib/encap/ip_tunnel.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <vector>

namespace culvert::encap {

// Addresses as they stand on the wire; 0 = any. A device of neither address is asked for its key's
// value alone (TUN-LKP-06).
struct IpTunnelKey {
    std::uint32_t local = 0;
    std::uint32_t remote = 0;
    std::uint32_t key = 0;  // host order; 0 without one
    std::uint32_t kind_and_flags = 0;

    static constexpr std::uint32_t kHasKey = 0x100;
    static constexpr std::uint32_t kFallback = 0x200;
    static constexpr std::uint32_t kExternal = 0x400;

    [[nodiscard]] static constexpr IpTunnelKey make(
        IpTunnelKind kind,
        std::uint32_t local,
        std::uint32_t remote,
        bool has_key = false,
        std::uint32_t key = 0
    ) noexcept {
        return {local, remote, key, static_cast<std::uint32_t>(kind) | (has_key ? kHasKey : 0)};
    }

    friend constexpr bool operator==(const IpTunnelKey&, const IpTunnelKey&) = default;
};

// The device of a group, or the first of several.
struct IpTunnelMatch {
    LinkId device = kNoLink;
    LinkId lower = kNoLink;
    std::uint32_t list_or_direct = 0;  // kDirect, or the list of all devices, or 0: there is one

    static constexpr std::uint32_t kDirect = 0x80000000;
};

struct IpTunnelMember {
    LinkId device = kNoLink;
    LinkId lower = kNoLink;
};

using IpTunnelLists = rcu::PublishedArray<std::vector<IpTunnelMember>>;

class IpTunnelLookup {
    using Table = rcu::HashTable<IpTunnelKey, IpTunnelMatch>;

public:
    // Throws std::bad_alloc.
    explicit IpTunnelLookup(rcu::Domain& domain);

    // reader
    class View {
    public:
        using Home = Table::View::Home;

        // The packet's key; asks for its line.
        [[nodiscard]] Home prefetch(const IpTunnelKey& key) const noexcept {
            return table_.prefetch(key);
        }

        // The device for a packet that came in by `link_in`, or kNoLink. Preconditions: neither
        // address is 0, and `home` is prefetch(key).
        [[nodiscard]] LinkId
        find(Home home, const IpTunnelKey& key, LinkId link_in) const noexcept {
            IpTunnelMatch match;
            if (table_.find(home, key, match) && match.list_or_direct == IpTunnelMatch::kDirect)
                [[likely]] {
                return match.device;
            }
            return lookup_.go_through_passes(key, link_in);
        }

    private:
        friend class IpTunnelLookup;

        explicit View(const IpTunnelLookup& lookup) noexcept
            : lookup_(lookup)
            , table_(lookup.table_.view()) {}

        const IpTunnelLookup& lookup_;
        const Table::View table_;
    };

    [[nodiscard]] View view() const noexcept { return View(*this); }

    [[nodiscard]] LinkId find(const IpTunnelKey& key, LinkId link_in) const noexcept {
        const View all = view();
        return all.find(all.prefetch(key), key, link_in);
    }

    // writer: the device is there, or has been changed: it is the first of its group now. A device
    // that is down takes no packets (TUN-LKP-09). False = no room; then nothing has changed.
    [[nodiscard]] bool
    set(LinkId device, const IpTunnelConfig& config, bool up, bool is_fallback = false);
    // writer: up or down, without a change of order. False = no room. Precondition: set() before.
    [[nodiscard]] bool set_up(LinkId device, bool up);
    // writer
    void erase(LinkId device);
    // writer: the device that a new one would be a duplicate of (IPIP-CRE-05), or kNoLink.
    [[nodiscard]] LinkId find_same(const IpTunnelConfig& config) const;
    // writer: the external device of the kind, up or down, or kNoLink (IPIP-CRE-06).
    [[nodiscard]] LinkId find_external(IpTunnelKind kind) const;

private:
    struct Device {
        IpTunnelKey key;
        LinkId lower = kNoLink;
        bool has_key = false;
        bool up = false;
        std::uint32_t last_resort = 0;  // IpTunnelKey::kFallback or kExternal (TUN-LKP-07)
    };

    struct Less {
        bool operator()(const IpTunnelKey& a, const IpTunnelKey& b) const noexcept;
    };

    struct Group {
        std::vector<LinkId> devices;  // newest first, those that are down too
        IpTunnelLists::Id list = IpTunnelLists::kNone;
    };

    using Groups = std::map<IpTunnelKey, Group, Less>;

    [[nodiscard]] static IpTunnelKey key_of(const IpTunnelConfig& config) noexcept;
    [[nodiscard]] LinkId
    go_through_passes(const IpTunnelKey& packet, LinkId link_in) const noexcept;
    [[nodiscard]] bool is_preferred_to(const Device& bound, const IpTunnelKey& exact) const;
    [[nodiscard]] bool is_direct(const IpTunnelKey& key, std::size_t members) const;
    [[nodiscard]] bool publish(const IpTunnelKey& key, Group& group);
    [[nodiscard]] bool publish_last_resort(LinkId id, const Device& device);
    void publish_around(const Device& changed);
    [[nodiscard]] bool apply_up(LinkId id, Device& device, bool up);

    Table table_;
    IpTunnelLists lists_;
    // Bit = kind with a device bound to a link that lacks an address: else the first pass that
    // finds one has found it. worker: ro, control: wo
    std::atomic<std::uint32_t> bound_kinds_{0};

    std::map<LinkId, Device> devices_;  // from here on: control only
    Groups groups_;
    std::map<LinkId, Device> bound_;  // up, bound to a link, and without an address
};

// All that workers read of ipip, gre and gretap.
struct IpTunnelTables {
    // Remotes that all devices together may have: a device without one has those that its routes
    // and packets name.
    static constexpr std::uint32_t kMaxRemotes = 65536;

    // Throws std::bad_alloc.
    explicit IpTunnelTables(rcu::Domain& domain)
        : lookup(domain)
        , remotes(domain, 64, kMaxRemotes)
        , templates(domain, 4 * kMaxRemotes) {}

    IpTunnelLookup lookup;        // packet -> link
    IpTunnelOwnTemplates own;     // link -> template of the remote it was given
    IpTunnelRemotes remotes;      // link and any other remote -> template
    IpTunnelTemplates templates;  // numbers wait for a grace period: more than are in use
    FouPorts fou;                 // UDP ports with tunnels' packets
};

}  // namespace culvert::encap
