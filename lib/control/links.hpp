// SPDX-License-Identifier: BSD-3-Clause
// Links and their life: what exists, what may be changed, and what workers are told of it.
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/fdb/vxlan_fdb.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/result.hpp"
#include "lib/pipeline/link.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::control {

class Core;

// `type vxlan` options as they stood in the command; unset = not given. Checked by LinkManager
// (catalogue 3.1, 3.2).
struct VxlanOptions {
    std::optional<std::uint32_t> vni;
    std::optional<net::IpAddress> remote;  // `remote` or `group`
    bool remote_is_group = false;          // the keyword was `group`
    std::optional<net::IpAddress> local;
    std::optional<std::string> dev;
    std::optional<std::uint16_t> destination_port;  // `dstport`; 0 = the default
    std::optional<std::uint16_t> source_port_min;   // `srcport`
    std::optional<std::uint16_t> source_port_max;
    std::optional<std::uint8_t> ttl;  // 0 = auto
    std::optional<bool> ttl_inherit;
    std::optional<std::uint8_t> tos;  // 1 = inherit
    std::optional<encap::DontFragment> df;
    std::optional<bool> udp_checksum;
    std::optional<bool> no_checksum6_tx;      // `udp6zerocsumtx`
    std::optional<bool> no_checksum6_rx;      // `udp6zerocsumrx`
    std::optional<std::uint32_t> flow_label;  // IPv6 only
    std::optional<bool> learning;
    std::optional<std::uint32_t> ageing_s;
    std::optional<std::uint32_t> limit;
    friend bool operator==(const VxlanOptions&, const VxlanOptions&) = default;
};

// `type ipip`, `type gre`, `type gretap` options as they stood in the command; unset = not given:
// the default when the link is made, no change later (UI-TUN-01). Checked by LinkManager (catalogue
// 1.3, 2.4).
struct IpTunnelOptions {
    // Present and empty = `nokey`.
    using Key = std::optional<std::uint32_t>;

    std::optional<net::IpAddress> remote;  // unspecified = any
    std::optional<net::IpAddress> local;
    std::optional<std::string> dev;   // "" = none
    std::optional<std::uint8_t> ttl;  // 0 = inherit
    std::optional<std::uint8_t> tos;  // 1 = inherit
    std::optional<bool> pmtudisc;     // TUN-TX-13
    bool external = false;
    std::optional<encap::UdpEncap::Kind> udp;
    std::optional<std::uint16_t> udp_source_port;  // 0 = by the inner flow
    std::optional<std::uint16_t> udp_destination_port;
    std::optional<bool> udp_checksum;
    std::optional<bool> udp_checksum6;
    std::optional<bool> udp_remote_checksum;
    std::optional<encap::IpTunnelMode> mode;  // ipip only
    std::optional<bool> ignore_df;            // this and the rest: gre, gretap only
    std::optional<Key> in_key;
    std::optional<Key> out_key;
    std::optional<bool> in_checksum;
    std::optional<bool> out_checksum;
    std::optional<bool> in_sequence;
    std::optional<bool> out_sequence;
    // The rest: ip6tnl, ip6gre, ip6gretap only. Present and empty = `encaplimit none`.
    std::optional<std::optional<std::uint8_t>> encap_limit;
    std::optional<bool> class_inherit;
    std::optional<bool> label_inherit;
    std::optional<std::uint32_t> flow_label;
    std::optional<bool> dscp_copy;
    std::optional<bool> allow_local_remote;
    friend bool operator==(const IpTunnelOptions&, const IpTunnelOptions&) = default;
};

// `type vlan` options as they stood in the command. Checked by LinkManager.
struct VlanOptions {
    std::optional<std::uint32_t> id;
    std::uint16_t protocol = net::ether_type::kVlan;
};

// `type vrf` options as they stood in the command.
struct VrfOptions {
    std::optional<std::uint32_t> table;
};

struct BridgeOptions {
    std::optional<std::uint32_t> ageing_s;  // `ageing_time`, given in centiseconds as iproute2 does
};

struct LinkAddRequest {
    std::string name;
    pipeline::LinkKind kind = pipeline::LinkKind::dummy;
    std::optional<std::uint32_t> mtu;
    std::optional<net::MacAddress> address;
    std::optional<std::string> lower;  // `link`: kind vlan
    VlanOptions vlan;
    VxlanOptions vxlan;
    IpTunnelOptions ip_tunnel;
    BridgeOptions bridge;
    VrfOptions vrf;
};

struct LinkSetRequest {
    std::optional<bool> up;
    std::optional<std::uint32_t> mtu;
    std::optional<net::MacAddress> address;
    std::optional<std::string> name;
    std::optional<std::string> master;                  // "" = nomaster
    std::optional<std::string> host_tap;                // `host tap NAME`; "" = nohost
    std::optional<bool> link_local;                     // `addrgenmode`: eui64, or none
    std::optional<pipeline::ReversePath> reverse_path;  // `rp_filter`
    std::optional<VxlanOptions> vxlan;                  // `type vxlan ...`: changelink
    std::optional<IpTunnelOptions> ip_tunnel;           // `type ipip|gre|gretap ...`: changelink
    std::optional<BridgeOptions> bridge;
    // `bridge link set dev NAME ...`
    std::optional<bool> learning;
    std::optional<bool> flood;
    std::optional<bool> mcast_flood;
    std::optional<bool> bcast_flood;
    std::optional<bool> hairpin;
    std::optional<bool> isolated;
};

// What an ipip, gre or gretap link is bound to whose `dev` was deleted (IPIP-CRE-12): no link has
// this number.
inline constexpr LinkId kDeletedLink = UINT16_MAX;

// Control's own record of a link; what users see.
struct LinkRecord {
    LinkId id = kNoLink;
    std::string name;
    pipeline::LinkKind kind = pipeline::LinkKind::dummy;
    bool admin_up = false;
    bool carrier = true;  // ports: the device's link state
    net::MacAddress mac;
    std::uint32_t mtu = 1500;
    std::uint32_t max_mtu = 65535;
    LinkId master = kNoLink;  // the bridge
    pipeline::BridgePort bridge_port;
    LinkId vrf = kNoLink;     // the VRF it is in; a vrf is in itself
    std::uint32_t table = 0;  // kind vrf
    pipeline::ReversePath reverse_path = pipeline::ReversePath::off;
    std::uint16_t port_id = 0;        // kind port
    std::string parent_device;        // kind port: DPDK's device name
    std::string host_tap;             // the kernel's device for what nobody here takes; "" = none
    encap::VxlanConfig vxlan;         // kind vxlan
    encap::IpTunnelConfig ip_tunnel;  // kinds ipip, gre, gretap
    pipeline::VlanConfig vlan;        // kind vlan
    bool is_fallback = false;         // tunl0, gre0, gretap0: came with the first of its kind
    std::shared_ptr<encap::IpTunnelSequences> sequences;  // gre, gretap
    std::shared_ptr<encap::IpTunnelFaults> faults;        // ipip, gre, gretap: once there was one
    std::uint32_t bridge_ageing_s = 300;                  // kind bridge
    bool link_local = true;   // addrgenmode eui64: an IPv6 address of its MAC while it is up
    bool mac_is_set = false;  // bridge: given by the user, else the lowest member's; vlan likewise
    bool mtu_is_set = false;  // bridge: given by the user, else the members' least
    net::MacAddress own_mac;  // bridge: what it has without members
};

// What FDB commands and learning must know of a vxlan link. Precondition: kind vxlan.
[[nodiscard]] fdb::VxlanFdbDefaults vxlan_fdb_defaults(const LinkRecord& record);

// What a port link's changes do to the device behind it. The program implements it; without one
// (tests) nothing is done.
class PortDevices {
public:
    virtual ~PortDevices() = default;
    virtual Result<void> set_mtu(std::uint16_t port_id, std::uint32_t mtu) = 0;
    virtual Result<void> set_mac(std::uint16_t port_id, const net::MacAddress& mac) = 0;
    // A device that cannot do it is warned of, not refused: many virtual ones see every frame
    // anyway.
    virtual void set_promiscuous(std::uint16_t port_id, bool on) = 0;
};

// A DPDK port that was configured and started, to become a link.
struct PortDescription {
    std::uint16_t port_id = 0;
    std::string device_name;
    net::MacAddress mac;
    std::uint32_t mtu = 1500;
    std::uint32_t max_mtu = 1500;
};

class LinkManager {
public:
    explicit LinkManager(Core& core);

    // Errors: EEXIST, EINVAL, ENODEV, EADDRNOTAVAIL, ERANGE, EOPNOTSUPP, ENOSPC, EBUSY; nothing is
    // half done.
    Result<LinkId> add(const LinkAddRequest& request);
    Result<LinkId> add_port(const PortDescription& port);  // up, named port0, port1, ...
    Result<void> set(LinkId link, const LinkSetRequest& request);
    Result<void> del(LinkId link);  // ports: EOPNOTSUPP

    [[nodiscard]] const LinkRecord* find(LinkId link) const;
    [[nodiscard]] const LinkRecord* find(std::string_view name) const;
    [[nodiscard]] Result<LinkId> require(std::string_view name
    ) const;  // error ENODEV: Cannot find device "X"
    void for_each(const std::function<void(const LinkRecord&)>& visit) const;  // by id
    [[nodiscard]] std::string name_of(LinkId link) const;                      // "" if gone

    // Links that are bound to this one by `dev` or `link`.
    [[nodiscard]] std::vector<LinkId> uppers_of(LinkId lower) const;

    // The bridge or VRF that has it.
    [[nodiscard]] static LinkId master_of(const LinkRecord& record) noexcept {
        return record.master != kNoLink || record.vrf == record.id ? record.master : record.vrf;
    }

    // The VRF that has the routing table; kNoLink = none.
    [[nodiscard]] LinkId vrf_of_table(std::uint32_t table) const;

    void set_carrier(LinkId port, bool carrier);
    // How many inner senders are to be told of errors: from the first error on there is a count.
    // Precondition: the link is an ipip, gre, gretap or the like.
    encap::IpTunnelFaults& open_faults(LinkId link);
    // An address was added to or removed from the link: workers are told whether it has any.
    void address_changed(LinkId link);

    void use_devices(PortDevices* devices) noexcept { devices_ = devices; }

private:
    // links.cpp
    LinkRecord* record(LinkId link);
    [[nodiscard]] Result<void>
    check_name(const std::string& attempt, const std::string& name) const;
    Result<LinkId> insert(LinkRecord next);
    void publish(const LinkRecord& record);
    void note_addresses(const LinkRecord& record, pipeline::Link& link) const;
    void forget(LinkId link);
    void flush_entries_via(LinkId link);
    void relate(const LinkRecord& record);
    void unrelate(const LinkRecord& record);
    [[nodiscard]] std::vector<LinkId> members_of(LinkId bridge) const;
    [[nodiscard]] bool depends_on(LinkId upper, LinkId lower) const;
    [[nodiscard]] unsigned nesting_below(LinkId link) const;

    // links_set.cpp
    [[nodiscard]] Result<void> plan(
        const std::string& attempt,
        const LinkRecord& old,
        const LinkSetRequest& request,
        LinkRecord& next
    ) const;
    [[nodiscard]] Result<void> plan_identity(
        const std::string& attempt,
        const LinkRecord& old,
        const LinkSetRequest& request,
        LinkRecord& next
    ) const;
    [[nodiscard]] Result<void> plan_type(
        const std::string& attempt,
        const LinkRecord& old,
        const LinkSetRequest& request,
        LinkRecord& next
    ) const;
    [[nodiscard]] Result<void> plan_mtu(
        const std::string& attempt,
        const LinkRecord& old,
        const LinkSetRequest& request,
        LinkRecord& next
    ) const;
    [[nodiscard]] Result<void> plan_master(
        const std::string& attempt,
        const LinkRecord& old,
        const std::string& master,
        LinkRecord& next
    ) const;
    Result<void> apply_kind(const LinkRecord& old, const LinkRecord& next);
    Result<void> apply_host_tap(const LinkRecord& old, const LinkRecord& next);
    Result<void> apply_device(const LinkRecord& old, const LinkRecord& next);
    void commit(const LinkRecord& old, LinkRecord& next);

    // links_vxlan.cpp
    [[nodiscard]] static Result<void>
    check_vxlan_addresses(const std::string& attempt, const VxlanOptions& options);
    [[nodiscard]] static Result<void>
    check_vxlan_family(const std::string& attempt, const encap::VxlanConfig& config);
    [[nodiscard]] Result<void>
    check_vxlan_group(const std::string& attempt, const VxlanOptions& options) const;
    // What a link may stand on; `self` is that link, if it is there already.
    [[nodiscard]] Result<LinkId>
    find_lower(const std::string& attempt, const std::string& name, LinkId self = kNoLink) const;
    Result<LinkId> add_vxlan(const LinkAddRequest& request, LinkRecord next);
    [[nodiscard]] Result<void> plan_vxlan(
        const std::string& attempt,
        const LinkRecord& old,
        const LinkSetRequest& request,
        LinkRecord& next
    ) const;
    Result<void> apply_vxlan(const LinkRecord& old, const LinkRecord& next);
    Result<void> open_vxlan(const LinkRecord& record);
    void close_vxlan(const LinkRecord& record);
    [[nodiscard]] std::uint32_t vxlan_mtu_limit(const encap::VxlanConfig& config) const;

    // links_ip_tunnel.cpp
    [[nodiscard]] Result<void> check_ip_tunnel(
        const std::string& attempt,
        const IpTunnelOptions& options,
        const encap::IpTunnelConfig& config
    ) const;
    [[nodiscard]] static Result<void> check_no_mac(
        const std::string& attempt,
        pipeline::LinkKind kind,
        const std::optional<net::MacAddress>& address
    );
    [[nodiscard]] Result<void> join_group(const LinkRecord& record);
    [[nodiscard]] Result<void> follow_group(const LinkRecord& old, const LinkRecord& next);
    void leave_group(LinkId device);
    void leave_groups_on(LinkId lower);
    [[nodiscard]] Result<void>
    check_external(const std::string& attempt, encap::IpTunnelKind kind) const;
    [[nodiscard]] Result<void> check_duplicate(
        const std::string& attempt, LinkId self, const encap::IpTunnelConfig& config
    ) const;
    [[nodiscard]] std::uint32_t ip_tunnel_mtu(const encap::IpTunnelConfig& config) const;
    Result<void> add_fallbacks(encap::IpTunnelKind kind);
    Result<LinkId> insert_ip_tunnel(LinkRecord next, const std::optional<std::uint32_t>& mtu);
    Result<LinkId> add_ip_tunnel(const LinkAddRequest& request, LinkRecord next);
    [[nodiscard]] std::uint32_t
    changed_mtu(const LinkRecord& old, const encap::IpTunnelConfig& config) const;
    [[nodiscard]] Result<void> check_ip_tunnel_change(
        const std::string& attempt, const LinkRecord& old, const IpTunnelOptions& options
    ) const;
    [[nodiscard]] Result<void> plan_ip_tunnel_lower(
        const std::string& attempt,
        const LinkRecord& old,
        const std::string& dev,
        encap::IpTunnelConfig& config
    ) const;
    [[nodiscard]] Result<void> plan_ip_tunnel(
        const std::string& attempt,
        const LinkRecord& old,
        const LinkSetRequest& request,
        LinkRecord& next
    ) const;
    Result<void> apply_ip_tunnel(const LinkRecord& old, const LinkRecord& next);
    void unbind_from(LinkId lower);

    // links_vlan.cpp
    [[nodiscard]] Result<void>
    check_vlan(const std::string& attempt, const LinkAddRequest& request) const;
    Result<LinkId> add_vlan(const LinkAddRequest& request, LinkRecord next);
    void close_vlan(const LinkRecord& gone);
    [[nodiscard]] bool has_vlans(LinkId link) const;
    void lead_vlans(const LinkRecord& before, const LinkRecord& lower);
    [[nodiscard]] bool wants_all_frames(LinkId link, const net::MacAddress& own) const;
    void refresh_promiscuous(LinkId link);

    // links_vrf.cpp
    [[nodiscard]] Result<void>
    check_vrf(const std::string& attempt, const VrfOptions& options) const;
    Result<LinkId> add_vrf(const LinkAddRequest& request, LinkRecord next);
    void release_vrf(LinkId vrf);
    [[nodiscard]] LinkId vrf_over(LinkId lower) const;
    [[nodiscard]] Result<void>
    check_tunnel_in(const std::string& attempt, const LinkRecord& tunnel, LinkId vrf) const;
    [[nodiscard]] Result<void>
    check_tunnels_over(const std::string& attempt, LinkId lower, LinkId vrf) const;
    void move_tunnels_over(LinkId lower);
    void move_vxlan(LinkRecord& link, LinkId vrf);
    void move_ip_tunnel(LinkRecord& link, LinkId vrf);
    [[nodiscard]] Result<void>
    check_vni(const std::string& attempt, LinkId self, const encap::VxlanConfig& config) const;

    // links_bridge.cpp
    void leave_bridge(LinkId bridge, LinkId member);
    void refresh_bridge(LinkId bridge);
    void flush_member(LinkId bridge, LinkId member, bool permanent_too);

    Core& core_;
    PortDevices* devices_ = nullptr;
    std::map<LinkId, LinkRecord> links_;
    std::map<std::string, LinkId, std::less<>> by_name_;
    // What relate() wrote down of all records, so that no command looks through all links.
    std::map<LinkId, std::set<LinkId>> uppers_;   // by `dev`: tunnels that are bound to it
    std::map<LinkId, std::set<LinkId>> members_;  // by bridge
    std::map<std::uint64_t, LinkId> by_vni_;      // vxlan, by encap::VxlanKey
    std::map<std::uint32_t, LinkId> vrfs_;        // by table
    std::map<LinkId, std::set<LinkId>> in_vrf_;   // by VRF
    std::set<encap::IpTunnelKind> fallbacks_;
    std::set<LinkId> promiscuous_;  // ports that were told to take all frames
    std::map<LinkId, std::set<net::MacAddress>>
        local_macs_;  // by bridge: its permanent FDB entries for ourselves

    struct OpenSocket {
        std::uint32_t users = 0;  // vxlan links that are up on it
        std::uint64_t flags = 0;
    };

    // Tunnels that listen to a group, and where: on its lower link.
    std::map<LinkId, std::pair<LinkId, net::IpAddress>> joined_;
    std::map<std::uint64_t, OpenSocket> open_sockets_;  // by encap::VxlanKey
};

}  // namespace culvert::control
