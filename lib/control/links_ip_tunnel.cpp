// SPDX-License-Identifier: BSD-3-Clause
// The kinds ipip, gre, gretap and sit, and those over IPv6: what may be configured and changed, and
// what follows from it (catalogue 1.2 to 1.4, 2.4).
#include "lib/control/core.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"
#include "lib/control/tunnels.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::control {

namespace {

constexpr std::uint32_t kDefaultLowerMtu = 1500;

bool has_gre_options(const IpTunnelOptions& options) {
    return options.ignore_df || options.in_key || options.out_key || options.in_checksum ||
           options.out_checksum || options.in_sequence || options.out_sequence;
}

void merge6(const IpTunnelOptions& options, encap::IpTunnelConfig6& config) {
    config.encap_limit = options.encap_limit.value_or(config.encap_limit);
    config.class_inherit = options.class_inherit.value_or(config.class_inherit);
    config.label_inherit = options.label_inherit.value_or(config.label_inherit);
    config.flow_label = options.flow_label.value_or(config.flow_label);
    config.dscp_copy = options.dscp_copy.value_or(config.dscp_copy);
    config.allow_local_remote = options.allow_local_remote.value_or(config.allow_local_remote);
}

void merge(const IpTunnelOptions& options, encap::IpTunnelConfig& config) {
    merge6(options, config.ip6);
    // Equal addresses must look equal: any is always the same.
    const auto address = [](const net::IpAddress& given) {
        return given.is_unspecified() ? net::IpAddress{} : given;
    };
    config.remote = address(options.remote.value_or(config.remote));
    config.local = address(options.local.value_or(config.local));
    config.ttl = options.ttl.value_or(config.ttl);
    config.tos = options.tos.value_or(config.tos);
    config.pmtudisc = options.pmtudisc.value_or(config.pmtudisc);
    config.mode = options.mode.value_or(config.mode);
    config.udp.kind = options.udp.value_or(config.udp.kind);
    config.udp.source_port = options.udp_source_port.value_or(config.udp.source_port);
    config.udp.destination_port =
        options.udp_destination_port.value_or(config.udp.destination_port);
    config.udp.checksum = options.udp_checksum.value_or(config.udp.checksum);
    config.udp.checksum6 = options.udp_checksum6.value_or(config.udp.checksum6);
    config.udp.remote_checksum = options.udp_remote_checksum.value_or(config.udp.remote_checksum);
    config.ignore_df = options.ignore_df.value_or(config.ignore_df);
    config.in_key = options.in_key.value_or(config.in_key);
    config.out_key = options.out_key.value_or(config.out_key);
    config.in_checksum = options.in_checksum.value_or(config.in_checksum);
    config.out_checksum = options.out_checksum.value_or(config.out_checksum);
    config.in_sequence = options.in_sequence.value_or(config.in_sequence);
    config.out_sequence = options.out_sequence.value_or(config.out_sequence);
    if (config.kind == encap::IpTunnelKind::ipip && config.ttl != 0) {
        config.pmtudisc = true;  // IPIP-CRE-07
    }
}

// Of a group as remote.
Result<void> check_group(const std::string& attempt, const encap::IpTunnelConfig& config) {
    const encap::IpTunnelTraits& kind = encap::traits(config.kind);
    if (!config.remote.is_multicast()) {
        return {};
    }
    if (kind.is_over_ipv6 && !kind.has_gre) {  // it could not receive: ip6_tnl_get_cap()
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            fmt::format("multicast group {} is not supported", config.remote.to_string())
        );
    }
    if (!kind.is_over_ipv6 && kind.has_gre && config.local.is_unspecified()) {  // GRE-CRE-10
        return refuse(
            std::errc::invalid_argument, attempt, "a broadcast tunnel needs a local address"
        );
    }
    return {};
}

bool leads_somewhere(const route::Path& path) {
    switch (path.kind) {
    case route::AdjacencyKind::glean:
    case route::AdjacencyKind::incomplete:
    case route::AdjacencyKind::rewrite:
        return true;
    default:
        return false;
    }
}

}  // namespace

Result<void> LinkManager::check_ip_tunnel(
    const std::string& attempt, const IpTunnelOptions& options, const encap::IpTunnelConfig& config
) const {
    const encap::IpTunnelTraits& kind = encap::traits(config.kind);
    const auto invalid = [&](const std::string& why) {
        return refuse(std::errc::invalid_argument, attempt, why);
    };
    if (!kind.has_gre && has_gre_options(options)) {
        return invalid(fmt::format("{} has no keys, checksums or sequence numbers", kind.name));
    }
    if (kind.has_gre && options.mode) {
        return invalid(fmt::format("{} has no mode", kind.name));
    }
    // IPIP-CRE-08
    const auto other = config.kind == encap::IpTunnelKind::ipip ? encap::IpTunnelMode::ip6ip
                                                                : encap::IpTunnelMode::mplsip;
    if (config.mode == other) {
        return invalid(fmt::format("{} has no such mode", kind.name));
    }
    for (const net::IpAddress& address : {config.local, config.remote}) {
        if (!address.is_unspecified() && address.is_v4() == kind.is_over_ipv6) {
            return refuse(
                std::errc::address_family_not_supported,
                attempt,
                kind.is_over_ipv6 ? "IPv4 underlay is not supported for this type"
                                  : "IPv6 underlay is not supported for this type"
            );
        }
    }
    CULVERT_CHECK(check_group(attempt, config));
    if (kind.carries_frames && options.remote && options.remote->is_unspecified()) {
        return invalid("a gretap's remote is an address");  // GRETAP-CRE-01
    }
    const bool needs_remote = kind.carries_frames && kind.is_over_ipv6 && !config.external;
    if (needs_remote && config.remote.is_unspecified()) {
        return invalid("an ip6gretap needs a remote");  // ip6gre_tap_validate()
    }
    if (kind.is_over_ipv6) {
        return {};
    }
    if (config.ignore_df && config.pmtudisc) {  // GRE-CRE-07
        return invalid("ignore-df needs nopmtudisc");
    }
    return {};
}

// ip_tunnel_bind_dev() (TUN-MTU-02..07).
std::uint32_t LinkManager::ip_tunnel_mtu(const encap::IpTunnelConfig& config) const {
    LinkId lower = config.lower;
    const bool is_over_ipv6 = encap::traits(config.kind).is_over_ipv6;
    if (!config.remote.is_unspecified() && !(is_over_ipv6 && config.local.is_unspecified())) {
        const route::Path path = core_.routing().lookup(config.remote, config.lower, config.local);
        lower = leads_somewhere(path) ? path.link : lower;
    }
    const LinkRecord* below = find(lower);
    const std::uint32_t base =
        below != nullptr ? std::min(below->mtu, kMaxLinkMtu) : kDefaultLowerMtu;
    const std::uint32_t overhead = encap::overhead_bytes(config);
    return std::max(base, encap::traits(config.kind).min_mtu + overhead) - overhead;
}

// The MTU of a device that was changed to `config`, at most what its kind allows.
std::uint32_t
LinkManager::changed_mtu(const LinkRecord& old, const encap::IpTunnelConfig& config) const {
    if (encap::traits(config.kind).is_over_ipv6) {
        // ip6_tnl_link_config(): only who can send has a way to ask.
        const bool can_send = !config.remote.is_unspecified() && !config.local.is_unspecified();
        return can_send ? ip_tunnel_mtu(config) : old.mtu;
    }
    if (config.lower != old.ip_tunnel.lower) {
        return ip_tunnel_mtu(config);
    }
    // Of GRE's own header alone: another `encap` leaves the MTU as it is.
    const std::uint32_t room = old.mtu + encap::gre_len_bytes(old.ip_tunnel);
    const std::uint32_t taken = encap::gre_len_bytes(config);
    return std::max(room, kMinLinkMtu + taken) - taken;
}

// IPIP-FB-01, GRE-CRE-13: with the first of its module comes the device that takes what no other
// does, as when Linux loads the module.
Result<void> LinkManager::add_fallbacks(encap::IpTunnelKind kind) {
    const std::uint8_t protocol = encap::traits(kind).protocol;
    const bool is_over_ipv6 = encap::traits(kind).is_over_ipv6;
    for (std::size_t i = 0; i < encap::kIpTunnelKinds.size(); ++i) {
        const encap::IpTunnelTraits& one = encap::kIpTunnelKinds[i];
        const auto other = static_cast<encap::IpTunnelKind>(i);
        if (one.protocol != protocol || one.is_over_ipv6 != is_over_ipv6 || one.fallback.empty() ||
            fallbacks_.contains(other)) {
            continue;
        }
        LinkRecord next;
        next.name = std::string(one.fallback);
        CULVERT_CHECK(check_name("link add " + next.name, next.name));
        next.kind = pipeline::link_kind(other);
        next.is_fallback = true;
        next.ip_tunnel.kind = other;
        next.ip_tunnel.pmtudisc = false;
        next.ip_tunnel.ip6.encap_limit = 0;
        if (other == encap::IpTunnelKind::ip6tnl) {
            next.ip_tunnel.mode = encap::IpTunnelMode::ip6ip;  // ip6_fb_tnl_dev_init()
        }
        next.mac = one.carries_frames ? random_mac() : net::MacAddress{};
        CULVERT_CHECK(insert_ip_tunnel(std::move(next), std::nullopt));
        fallbacks_.insert(other);
    }
    return {};
}

Result<LinkId>
LinkManager::insert_ip_tunnel(LinkRecord next, const std::optional<std::uint32_t>& mtu) {
    next.max_mtu = kMaxLinkMtu - encap::overhead_bytes(next.ip_tunnel);
    next.mtu = std::min(mtu.value_or(ip_tunnel_mtu(next.ip_tunnel)), next.max_mtu);  // TUN-MTU-08
    if (encap::traits(next.ip_tunnel.kind).has_gre) {
        next.sequences = std::make_shared<encap::IpTunnelSequences>();
    }
    CULVERT_TRY(id, insert(std::move(next)));
    const LinkRecord& kept = *find(id);
    // A device that is down needs no room.
    (void)core_.ip_tunnels().set(id, kept.ip_tunnel, false, kept.is_fallback);
    core_.tunnels().follow(kept);
    return id;
}

Result<LinkId> LinkManager::add_ip_tunnel(const LinkAddRequest& request, LinkRecord next) {
    const std::string attempt = "link add " + request.name;
    const IpTunnelOptions& options = request.ip_tunnel;
    encap::IpTunnelConfig& config = next.ip_tunnel;
    config.kind = pipeline::ip_tunnel_kind(request.kind);
    if (!pipeline::has_link_layer(request.kind)) {
        CULVERT_CHECK(check_no_mac(attempt, request.kind, request.address));
        next.mac = {};
    }
    config.external = options.external;
    if (encap::traits(config.kind).is_over_ipv6) {
        // As ip(8) says it; of an external device it says nothing.
        config.ttl = config.external ? 0 : encap::IpTunnelConfig6::kDefaultHopLimit;
        config.ip6.encap_limit = config.external ? 0 : encap::IpTunnelConfig6::kDefaultEncapLimit;
        config.udp.checksum6 = !config.external;
    }
    merge(options, config);
    CULVERT_CHECK(check_ip_tunnel(attempt, options, config));
    if (options.dev && !options.dev->empty()) {
        CULVERT_TRY(lower, find_lower(attempt, *options.dev));
        config.lower = lower;
        config.vrf = vrf_over(lower);
    }
    CULVERT_CHECK(
        config.external ? check_external(attempt, config.kind)
                        : check_duplicate(attempt, kNoLink, config)
    );
    return insert_ip_tunnel(std::move(next), request.mtu);
}

Result<void> LinkManager::check_no_mac(
    const std::string& attempt,
    pipeline::LinkKind kind,
    const std::optional<net::MacAddress>& address
) {
    if (address && !pipeline::has_link_layer(kind)) {
        return refuse(
            std::errc::invalid_argument, attempt, "a link of this type has no MAC address"
        );
    }
    return {};
}

// IPIP-CRE-06
Result<void>
LinkManager::check_external(const std::string& attempt, encap::IpTunnelKind kind) const {
    const LinkId other = core_.ip_tunnels().find_external(kind);
    if (other == kNoLink) {
        return {};
    }
    return refuse(
        std::errc::file_exists,
        attempt,
        fmt::format("{} is external, and one of a kind can be", name_of(other))
    );
}

// IPIP-CRE-05
Result<void> LinkManager::check_duplicate(
    const std::string& attempt, LinkId self, const encap::IpTunnelConfig& config
) const {
    const LinkId same = core_.ip_tunnels().find_same(config);
    if (same == kNoLink || same == self) {
        return {};
    }
    return refuse(
        std::errc::file_exists,
        attempt,
        fmt::format("{} has the same addresses, key and dev", name_of(same))
    );
}

// Whether a device can be changed by such a request at all.
Result<void> LinkManager::check_ip_tunnel_change(
    const std::string& attempt, const LinkRecord& old, const IpTunnelOptions& options
) const {
    if (!pipeline::is_ip_tunnel(old.kind)) {
        return refuse(std::errc::operation_not_supported, attempt, "it is not such a tunnel");
    }
    if (old.is_fallback) {  // IPIP-FB-04
        return refuse(
            std::errc::invalid_argument, attempt, "what takes all others' packets cannot change"
        );
    }
    if (options.external && !old.ip_tunnel.external) {
        // IPIP-CRE-10, GRE-CRE-12
        return refuse(
            encap::traits(old.ip_tunnel.kind).has_gre ? std::errc::operation_not_supported
                                                      : std::errc::invalid_argument,
            attempt,
            "Enabling collect_md on an existing device is not supported."
        );
    }
    return {};
}

Result<void> LinkManager::plan_ip_tunnel_lower(
    const std::string& attempt,
    const LinkRecord& old,
    const std::string& dev,
    encap::IpTunnelConfig& config
) const {
    if (dev.empty()) {
        config.lower = kNoLink;
        config.vrf = kNoLink;
        return {};
    }
    CULVERT_TRY(lower, find_lower(attempt, dev, old.id));
    config.lower = lower;
    config.vrf = vrf_over(lower);
    return {};
}

// IPIP-CRE-10, GRE-CRE-12
Result<void> LinkManager::plan_ip_tunnel(
    const std::string& attempt,
    const LinkRecord& old,
    const LinkSetRequest& request,
    LinkRecord& next
) const {
    const IpTunnelOptions& options = *request.ip_tunnel;
    encap::IpTunnelConfig& config = next.ip_tunnel;
    CULVERT_CHECK(check_ip_tunnel_change(attempt, old, options));
    if (config.external) {
        return {};  // ip(8) sends no other words about such a device
    }
    merge(options, config);
    CULVERT_CHECK(check_ip_tunnel(attempt, options, config));
    const bool had_remote = !old.ip_tunnel.remote.is_unspecified();
    const bool has_remote = !config.remote.is_unspecified();
    const bool is_over_ipv6 = encap::traits(config.kind).is_over_ipv6;
    if (!pipeline::has_link_layer(old.kind) && !is_over_ipv6 && had_remote != has_remote) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            had_remote ? "it cannot lose its remote" : "it cannot get a remote"
        );
    }
    if (options.dev) {
        CULVERT_CHECK(plan_ip_tunnel_lower(attempt, old, *options.dev, config));
    }
    CULVERT_CHECK(check_duplicate(attempt, old.id, config));
    next.max_mtu = kMaxLinkMtu - encap::overhead_bytes(config);
    next.mtu = std::min(changed_mtu(old, config), next.max_mtu);
    return {};
}

encap::IpTunnelFaults& LinkManager::open_faults(LinkId link) {
    LinkRecord& tunnel = *record(link);
    if (tunnel.faults == nullptr) {
        tunnel.faults = std::make_shared<encap::IpTunnelFaults>();
        publish(tunnel);
    }
    return *tunnel.faults;
}

// What workers find the link by. May fail, and then nothing has changed.
Result<void> LinkManager::apply_ip_tunnel(const LinkRecord& old, const LinkRecord& next) {
    encap::IpTunnelTables& tables = core_.ip_tunnels();
    const bool done = next.ip_tunnel == old.ip_tunnel
                          ? tables.set_up(old.id, next.ip_tunnel.kind, next.admin_up)
                          : tables.set(old.id, next.ip_tunnel, next.admin_up, next.is_fallback);
    if (!done) {
        return refuse(
            std::errc::no_space_on_device, "link set " + old.name, "no room for another tunnel"
        );
    }
    auto followed = follow_group(old, next);
    if (!followed) {
        (void)tables.set(old.id, old.ip_tunnel, old.admin_up, old.is_fallback);
    }
    return followed;
}

// IPIP-CRE-12: unlike a vxlan, such a tunnel outlives the link it was bound to, and leads nowhere
// until it is changed.
void LinkManager::unbind_from(LinkId lower) {
    for (const LinkId id : uppers_of(lower)) {
        LinkRecord& upper = *record(id);
        unrelate(upper);
        upper.ip_tunnel.lower = kDeletedLink;
        leave_group(id);
        upper.ip_tunnel.vrf = kNoLink;
        relate(upper);
        (void)core_.ip_tunnels().set(id, upper.ip_tunnel, upper.admin_up, upper.is_fallback);
        publish(upper);
        core_.tunnels().follow(upper);
    }
}

}  // namespace culvert::control
