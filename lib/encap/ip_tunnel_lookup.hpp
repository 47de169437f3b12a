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
#include "lib/encap/ip_tunnel6.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <vector>

namespace culvert::encap {

// Addresses as they stand on the wire; 0 = any. A device of neither address is asked for its key's
// value alone (TUN-LKP-06).
struct IpTunnelKey {
    using Address = std::uint32_t;
    static constexpr Address kAny = 0;
    static constexpr Address kLast = UINT32_MAX;  // no address is behind it

    std::uint32_t local = 0;
    std::uint32_t remote = 0;
    std::uint32_t key = 0;  // host order; 0 without one
    std::uint32_t kind_and_flags = 0;

    static constexpr std::uint32_t kHasKey = 0x100;
    static constexpr std::uint32_t kFallback = 0x200;
    static constexpr std::uint32_t kExternal = 0x400;
    static constexpr unsigned kVrfShift = 16;

    // Each VRF has its own devices: `vrf` is the one by which their outer packets are routed.
    [[nodiscard]] static constexpr std::uint32_t vrf_bits(LinkId vrf) noexcept {
        return std::uint32_t{vrf} << kVrfShift;
    }

    [[nodiscard]] static constexpr LinkId vrf_of(std::uint32_t kind_and_flags) noexcept {
        return static_cast<LinkId>(kind_and_flags >> kVrfShift);
    }

    [[nodiscard]] static constexpr IpTunnelKey make(
        IpTunnelKind kind,
        std::uint32_t local,
        std::uint32_t remote,
        bool has_key = false,
        std::uint32_t key = 0
    ) noexcept {
        return {local, remote, key, static_cast<std::uint32_t>(kind) | (has_key ? kHasKey : 0)};
    }

    [[nodiscard]] static constexpr Address wire(const net::IpAddress& address) noexcept {
        return address.is_v4() ? net::Be32{address.v4()}.raw() : kAny;
    }

    // Whether a packet must have a key if the device has one, whatever its value (GRE-CRE-08).
    static constexpr bool kKeyIsFlagged = true;

    // Whether devices of the kind with a group for remote have no remote here, and are found by the
    // group, which they listen to.
    [[nodiscard]] static constexpr bool takes_groups(std::uint32_t) noexcept { return true; }

    static constexpr bool kJoinsGroups = true;

    // Under which kind a device of the kind is found as the last resort (TUN-LKP-07).
    [[nodiscard]] static constexpr std::uint32_t resort_kind(std::uint32_t kind) noexcept {
        return kind;
    }

    // Which of the passes with one address comes first, and whether the last of several devices
    // with both counts (TUN-LKP-03, -04).
    [[nodiscard]] static constexpr bool asks_remote_first(std::uint32_t) noexcept { return true; }

    [[nodiscard]] static constexpr bool last_counts(std::uint32_t) noexcept { return true; }

    friend constexpr bool operator==(const IpTunnelKey&, const IpTunnelKey&) = default;
};

// The same over IPv6. There a key of 0 is none (ip6gre_tunnel_lookup).
struct IpTunnelKey6 {
    using Address = net::IpAddress;
    static constexpr Address kAny{};
    static constexpr Address kLast = net::IpAddress::from_v6(
        {0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff,
         0xff}
    );

    net::IpAddress local;
    net::IpAddress remote;
    std::uint32_t key = 0;
    std::uint32_t kind_and_flags = 0;

    static constexpr std::uint32_t kHasKey = IpTunnelKey::kHasKey;
    static constexpr std::uint32_t kFallback = IpTunnelKey::kFallback;
    static constexpr std::uint32_t kExternal = IpTunnelKey::kExternal;

    [[nodiscard]] static constexpr IpTunnelKey6 make(
        IpTunnelKind kind,
        const net::IpAddress& local,
        const net::IpAddress& remote,
        bool has_key = false,
        std::uint32_t key = 0
    ) noexcept {
        return {local, remote, has_key ? key : 0, static_cast<std::uint32_t>(kind)};
    }

    [[nodiscard]] static constexpr Address wire(const net::IpAddress& address) noexcept {
        return address.is_unspecified() || address.is_v4() ? kAny : address;
    }

    static constexpr bool kKeyIsFlagged = false;

    [[nodiscard]] static constexpr bool takes_groups(std::uint32_t kind) noexcept {
        return kind != static_cast<std::uint32_t>(IpTunnelKind::ip6tnl);
    }

    static constexpr bool kJoinsGroups = false;

    // ip6gre and ip6gretap have one external device together, which is asked for behind all of
    // either (ip6gre_newlink, ip6gre_tunnel_lookup).
    [[nodiscard]] static constexpr std::uint32_t resort_kind(std::uint32_t kind) noexcept {
        constexpr auto kFrames = static_cast<std::uint32_t>(IpTunnelKind::ip6gretap);
        return kind == kFrames ? static_cast<std::uint32_t>(IpTunnelKind::ip6gre) : kind;
    }

    // ip6_tnl_lookup() asks for the local address first, ip6gre_tunnel_lookup() for the remote; and
    // it takes the first of those on other links.
    [[nodiscard]] static constexpr bool asks_remote_first(std::uint32_t kind) noexcept {
        return kind != static_cast<std::uint32_t>(IpTunnelKind::ip6tnl);
    }

    [[nodiscard]] static constexpr bool last_counts(std::uint32_t kind) noexcept {
        return !asks_remote_first(kind);
    }

    friend constexpr bool operator==(const IpTunnelKey6&, const IpTunnelKey6&) = default;
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

template <typename Key>
class BasicIpTunnelLookup {
    using Table = rcu::HashTable<Key, IpTunnelMatch>;

public:
    // Throws std::bad_alloc.
    explicit BasicIpTunnelLookup(rcu::Domain& domain);

    // reader
    class View {
    public:
        using Home = typename Table::View::Home;

        // The packet's key; asks for its line.
        [[nodiscard]] Home prefetch(const Key& key) const noexcept { return table_.prefetch(key); }

        // The device for a packet that came in by `link_in`, or kNoLink. Preconditions: neither
        // address is 0, and `home` is prefetch(key).
        [[nodiscard]] LinkId find(Home home, const Key& key, LinkId link_in) const noexcept {
            IpTunnelMatch match;
            if (table_.find(home, key, match) && match.list_or_direct == IpTunnelMatch::kDirect)
                [[likely]] {
                return match.device;
            }
            return lookup_.go_through_passes(key, link_in);
        }

    private:
        friend class BasicIpTunnelLookup;

        explicit View(const BasicIpTunnelLookup& lookup) noexcept
            : lookup_(lookup)
            , table_(lookup.table_.view()) {}

        const BasicIpTunnelLookup& lookup_;
        const typename Table::View table_;
    };

    [[nodiscard]] View view() const noexcept { return View(*this); }

    [[nodiscard]] LinkId find(const Key& key, LinkId link_in) const noexcept {
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
        Key key;
        LinkId lower = kNoLink;
        typename Key::Address source =
            Key::kAny;  // the local address, which a group stands for in the key
        bool has_key = false;
        bool up = false;
        std::uint32_t last_resort = 0;  // IpTunnelKey::kFallback or kExternal (TUN-LKP-07)
    };

    struct Less {
        bool operator()(const Key& a, const Key& b) const noexcept;
    };

    struct Group {
        std::vector<LinkId> devices;  // newest first, those that are down too
        IpTunnelLists::Id list = IpTunnelLists::kNone;
    };

    using Groups = std::map<Key, Group, Less>;

    [[nodiscard]] static Key key_of(const IpTunnelConfig& config) noexcept;
    [[nodiscard]] LinkId go_through_passes(const Key& packet, LinkId link_in) const noexcept;
    [[nodiscard]] bool is_preferred_to(const Device& bound, const Key& exact) const;
    [[nodiscard]] bool is_direct(const Key& key, std::size_t members) const;
    [[nodiscard]] bool publish(const Key& key, Group& group);
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

using IpTunnelLookup = BasicIpTunnelLookup<IpTunnelKey>;
using IpTunnelLookup6 = BasicIpTunnelLookup<IpTunnelKey6>;

// All that workers read of these tunnels.
struct IpTunnelTables {
    // Remotes that all devices together may have: a device without one has those that its routes
    // and packets name.
    static constexpr std::uint32_t kMaxRemotes = 65536;

    // Throws std::bad_alloc.
    explicit IpTunnelTables(rcu::Domain& domain)
        : lookup(domain)
        , remotes(domain, 64, kMaxRemotes)
        , templates(domain, 4 * kMaxRemotes)
        , lookup6(domain)
        , templates6(domain, 4 * kMaxLinks) {}

    // writer: which of the two tables, the device's kind says. See BasicIpTunnelLookup.
    [[nodiscard]] bool
    set(LinkId device, const IpTunnelConfig& config, bool up, bool is_fallback = false) {
        return traits(config.kind).is_over_ipv6 ? lookup6.set(device, config, up, is_fallback)
                                                : lookup.set(device, config, up, is_fallback);
    }

    [[nodiscard]] bool set_up(LinkId device, IpTunnelKind kind, bool up) {
        return traits(kind).is_over_ipv6 ? lookup6.set_up(device, up) : lookup.set_up(device, up);
    }

    void erase(LinkId device) {
        lookup.erase(device);
        lookup6.erase(device);
    }

    [[nodiscard]] LinkId find_same(const IpTunnelConfig& config) const {
        return traits(config.kind).is_over_ipv6 ? lookup6.find_same(config)
                                                : lookup.find_same(config);
    }

    [[nodiscard]] LinkId find_external(IpTunnelKind kind) const {
        return traits(kind).is_over_ipv6 ? lookup6.find_external(kind) : lookup.find_external(kind);
    }

    IpTunnelLookup lookup;        // packet -> link
    IpTunnelOwnTemplates own;     // link -> template of the remote it was given
    IpTunnelRemotes remotes;      // link and any other remote -> template
    IpTunnelTemplates templates;  // numbers wait for a grace period: more than are in use
    IpTunnelLookup6 lookup6;
    IpTunnelTemplates6 templates6;
    FouPorts fou;  // UDP ports with tunnels' packets
    FouPorts6 fou6;
};

}  // namespace culvert::encap
