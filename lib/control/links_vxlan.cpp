// SPDX-License-Identifier: BSD-3-Clause
// The vxlan kind: what may be configured and changed (catalogue 3.1, 3.2), and opening and closing
// (3.3).
#include "lib/control/core.hpp"
#include "lib/control/fou.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/links.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::control {

namespace {

constexpr std::uint32_t kDefaultAgeing = 300;

// The default entry's remote (VXLAN-CRE-21), if there is one.
std::optional<fdb::Remote> default_remote(const encap::VxlanConfig& config) {
    if (config.remote.is_unspecified()) {
        return std::nullopt;
    }
    return fdb::Remote{config.remote, config.vni, config.destination_port, config.lower};
}

// VXLAN-CRE-11: IPv4, unless an address says otherwise. "::" does, if the other is not given.
bool is_of_ipv6(const VxlanOptions& options) {
    return (options.remote && !options.remote->is_v4()) ||
           (options.local && !options.local->is_v4());
}

bool is_other_family(const net::IpAddress& address, net::Family family) {
    return address.family() != family;
}

// What an IPv6 socket is told; packets on a port that has one which was told otherwise are not
// shared out (VXLAN-SOCK-03).
std::uint64_t socket_flags(const encap::VxlanConfig& config) {
    return config.is_ipv6 && config.no_checksum6_rx ? encap::VxlanKey::kNoChecksum : 0;
}

// What `changelink` may touch, from options that were checked.
void merge_changeable(const VxlanOptions& options, encap::VxlanConfig& config) {
    config.remote = options.remote.value_or(config.remote);
    config.local = options.local.value_or(config.local);
    config.tos = options.tos.value_or(config.tos);
    config.ttl = options.ttl.value_or(config.ttl);
    config.df = options.df.value_or(config.df);
    config.flow_label = options.flow_label.value_or(config.flow_label);
    config.learning = options.learning.value_or(config.learning);
    config.ageing_s = options.ageing_s.value_or(config.ageing_s);
    if (config.ageing_s == 0) {  // VXLAN-CRE-19, as 6.1
        config.ageing_s = kDefaultAgeing;
    }
}

}  // namespace

// VXLAN-CRE-12: each address for itself, and both together.
Result<void>
LinkManager::check_vxlan_addresses(const std::string& attempt, const VxlanOptions& options) {
    const auto& remote = options.remote;
    const auto& local = options.local;
    if (remote && local && remote->family() != local->family()) {
        return refuse(
            std::errc::invalid_argument, attempt, "remote and local are of different families"
        );
    }
    if (local && local->is_multicast()) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format("local {} is a group address", local->to_string())
        );
    }
    if (remote && remote->is_multicast() != options.remote_is_group && !remote->is_unspecified()) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format(
                "{} {} is {}a group address",
                options.remote_is_group ? "group" : "remote",
                remote->to_string(),
                options.remote_is_group ? "not " : ""
            )
        );
    }
    return {};
}

Result<void>
LinkManager::check_vxlan_group(const std::string& attempt, const VxlanOptions& options) const {
    if (!options.remote || !options.remote->is_multicast()) {
        return {};
    }
    if (!options.dev) {
        return refuse(
            std::errc::invalid_argument, attempt, "'group' requires 'dev' to be specified"
        );
    }
    return {};
}

// VXLAN-CRE-14: what the configuration as a whole says, in the order of vxlan_config_validate().
Result<void>
LinkManager::check_vxlan_family(const std::string& attempt, const encap::VxlanConfig& config) {
    if (!config.is_ipv6) {
        return config.flow_label == 0
                   ? Result<void>{}
                   : refuse(std::errc::invalid_argument, attempt, "a flow label needs IPv6");
    }
    const bool has_local = !config.local.is_unspecified();
    const bool has_remote = !config.remote.is_unspecified();
    if (config.local.is_link_local_v6() && has_remote && !config.remote.is_link_local_v6()) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            "Invalid combination of local and remote address scopes"
        );
    }
    if (config.remote.is_link_local_v6() && has_local && !config.local.is_link_local_v6()) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            "Invalid combination of local and remote address scopes"
        );
    }
    if (config.is_link_local() && config.lower == kNoLink) {
        return refuse(
            std::errc::invalid_argument, attempt, "link-local local/remote addresses require 'dev'"
        );
    }
    return {};
}

// VXLAN-CRE-13, -23
Result<LinkId>
LinkManager::find_lower(const std::string& attempt, const std::string& name, LinkId self) const {
    auto lower = require(name);
    if (!lower) {
        return refuse(lower.error().code, attempt, lower.error().what);
    }
    if (self != kNoLink && depends_on(*lower, self)) {
        return refuse(
            std::errc::device_or_resource_busy,
            attempt,
            fmt::format("{} stands on {} itself", name, name_of(self))
        );
    }
    if (nesting_below(*lower) + 1 > kMaxNesting) {
        return refuse(
            std::errc::too_many_links,
            attempt,
            fmt::format("more than {} links on top of each other", kMaxNesting)
        );
    }
    return *lower;
}

// The largest MTU that the lower link leaves (VXLAN-CRE-16), never below the least there is.
std::uint32_t LinkManager::vxlan_mtu_limit(const encap::VxlanConfig& config) const {
    const std::uint32_t overhead = encap::vxlan_overhead(config.is_ipv6);
    const LinkRecord* below = find(config.lower);
    const std::uint32_t mtu = below == nullptr ? 1500 + overhead : below->mtu;
    return std::max(mtu, kMinLinkMtu + overhead) - overhead;
}

namespace {

// What needs no other link to be refused.
Result<void> check_new_vxlan(const std::string& attempt, const VxlanOptions& options) {
    if (options == VxlanOptions{}) {  // VXLAN-CRE-03
        return refuse(std::errc::invalid_argument, attempt, "a vxlan needs at least an id");
    }
    const std::uint32_t vni = options.vni.value_or(0);
    if (vni > net::kMaxVni) {  // VXLAN-CRE-04
        return refuse(
            std::errc::result_out_of_range,
            attempt,
            fmt::format("id {} is not between 0 and {}", vni, net::kMaxVni)
        );
    }
    const std::uint16_t first = options.source_port_min.value_or(0);
    const std::uint16_t last = options.source_port_max.value_or(0);
    if (last < first) {  // VXLAN-CRE-05
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format("srcport {} {} ends before it begins", first, last)
        );
    }
    return {};
}

// What a change cannot alter, or has a default of its own.
void set_fixed(const VxlanOptions& options, encap::VxlanConfig& config) {
    config.vni = options.vni.value_or(0);  // VXLAN-CRE-10, as 6.1; the command line insists on it
    config.source_port_min = options.source_port_min.value_or(0);
    config.source_port_max = options.source_port_max.value_or(0);
    config.is_ipv6 = is_of_ipv6(options);
    config.ttl_inherit = options.ttl_inherit.value_or(false);
    config.udp_checksum = options.udp_checksum.value_or(true);  // VXLAN-CRE-18
    config.no_checksum6_tx = options.no_checksum6_tx.value_or(false);
    config.no_checksum6_rx = options.no_checksum6_rx.value_or(false);
    config.limit = options.limit.value_or(0);
    if (options.destination_port.value_or(0) != 0) {  // VXLAN-CRE-08
        config.destination_port = *options.destination_port;
    }
}

// VXLAN-CHG-01: what stays as it was made.
Result<void> check_fixed_vxlan(
    const std::string& attempt, const encap::VxlanConfig& old, const VxlanOptions& options
) {
    const net::Family family = old.family();
    const char* fixed = nullptr;
    if (options.vni && *options.vni != old.vni) {
        fixed = "VNI";
    } else if (options.destination_port) {
        fixed = "port";
    } else if (options.source_port_min || options.source_port_max) {
        fixed = "port range";
    } else if (options.limit) {
        fixed = "limit";
    } else if (options.udp_checksum) {
        fixed = "UDP checksum";
    } else if (options.no_checksum6_tx || options.no_checksum6_rx) {
        fixed = "UDP checksum over IPv6";
    } else if (options.ttl_inherit.value_or(false)) {
        fixed = "ttl inherit";
    } else if ((options.remote && is_other_family(*options.remote, family)) ||
               (options.local && is_other_family(*options.local, family))) {
        fixed = "the address family";
    } else {
        return {};
    }
    return refuse(
        std::errc::operation_not_supported, attempt, fmt::format("Cannot change {}", fixed)
    );
}

}  // namespace

Result<LinkId> LinkManager::add_vxlan(const LinkAddRequest& request, LinkRecord next) {
    const std::string attempt = "link add " + request.name;
    const VxlanOptions& options = request.vxlan;
    CULVERT_CHECK(check_new_vxlan(attempt, options));
    CULVERT_CHECK(check_vxlan_addresses(attempt, options));
    CULVERT_CHECK(check_vxlan_group(attempt, options));
    encap::VxlanConfig& config = next.vxlan;
    set_fixed(options, config);
    if (options.dev) {
        CULVERT_TRY(lower, find_lower(attempt, *options.dev));
        config.lower = lower;
        config.vrf = vrf_over(lower);
        next.mtu = std::min(request.mtu.value_or(UINT32_MAX), vxlan_mtu_limit(config));
    }
    merge_changeable(options, config);
    CULVERT_CHECK(check_vxlan_family(attempt, config));
    CULVERT_CHECK(check_vni(attempt, kNoLink, config));
    CULVERT_TRY(id, insert(std::move(next)));
    const LinkRecord& kept = *find(id);
    auto done = core_.vxlan_fdb().set_default_remote(
        vxlan_fdb_defaults(kept), std::nullopt, default_remote(kept.vxlan), core_.now_s()
    );
    if (!done) {
        forget(id);
        return refuse(done.error().code, attempt, done.error().what);
    }
    return id;
}

// VXLAN-CHG-01, -02, -05
Result<void> LinkManager::plan_vxlan(
    const std::string& attempt,
    const LinkRecord& old,
    const LinkSetRequest& request,
    LinkRecord& next
) const {
    const VxlanOptions& options = *request.vxlan;
    if (old.kind != pipeline::LinkKind::vxlan) {
        return refuse(std::errc::operation_not_supported, attempt, "it is not a vxlan");
    }
    CULVERT_CHECK(check_fixed_vxlan(attempt, old.vxlan, options));
    if (request.mtu) {
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            "Cannot change mtu together with vxlan options"
        );
    }
    CULVERT_CHECK(check_vxlan_addresses(attempt, options));
    CULVERT_CHECK(check_vxlan_group(attempt, options));
    if (options.dev) {
        CULVERT_TRY(lower, find_lower(attempt, *options.dev, old.id));
        next.vxlan.lower = lower;
        next.vxlan.vrf = vrf_over(lower);
        next.mtu = std::min(old.mtu, vxlan_mtu_limit(next.vxlan));
    }
    merge_changeable(options, next.vxlan);
    CULVERT_CHECK(check_vni(attempt, old.id, next.vxlan));
    return check_vxlan_family(attempt, next.vxlan);
}

// VXLAN-CHG-03, then opening or closing; both may fail, and then nothing has changed.
Result<void> LinkManager::apply_vxlan(const LinkRecord& old, const LinkRecord& next) {
    const auto defaults = vxlan_fdb_defaults(old);
    const auto before = default_remote(old.vxlan);
    const auto after = default_remote(next.vxlan);
    if (before != after) {
        if (auto done =
                core_.vxlan_fdb().set_default_remote(defaults, before, after, core_.now_s());
            !done) {
            return refuse(done.error().code, "link set " + old.name, done.error().what);
        }
    }
    const bool has_moved = encap::VxlanKey::of(next.vxlan) != encap::VxlanKey::of(old.vxlan);
    if (next.admin_up && old.admin_up && has_moved) {
        close_vxlan(old);
    }
    if (next.admin_up && (!old.admin_up || has_moved)) {
        if (auto done = open_vxlan(next); !done) {
            if (before != after) {
                (void)core_.vxlan_fdb().set_default_remote(defaults, after, before, core_.now_s());
            }
            return done.error();
        }
    } else if (old.admin_up && !next.admin_up) {
        close_vxlan(old);
    } else if (old.admin_up) {
        if (auto done = follow_group(old, next); !done) {  // VXLAN-CHG-04
            if (before != after) {
                (void)core_.vxlan_fdb().set_default_remote(defaults, after, before, core_.now_s());
            }
            return done;
        }
    }
    return {};
}

// VXLAN-SOCK-01, -03, -04: all devices of a family and port share its socket, which is there as
// long as one of them is up.
Result<void> LinkManager::open_vxlan(const LinkRecord& record) {
    using Inserted = pipeline::VxlanDemux::Inserted;
    const auto key = encap::VxlanKey::socket_of(record.vxlan);
    const std::uint64_t flags = socket_flags(record.vxlan);
    auto& demux = core_.vxlan_demux();
    OpenSocket& socket = open_sockets_[key.packed];
    if (socket.users != 0 && socket.flags != flags) {
        return refuse(
            std::errc::address_in_use,
            "link set " + record.name,
            fmt::format(
                "port {} is open to links with another udp6zerocsumrx",
                record.vxlan.destination_port
            )
        );
    }
    const bool is_for_all = record.vxlan.vrf == kNoLink;
    if (socket.users == 0 && is_for_all &&
        core_.fou().is_open(record.vxlan.destination_port, record.vxlan.is_ipv6)) {
        open_sockets_.erase(key.packed);
        return refuse(std::errc::address_in_use, "link set " + record.name, "fou has the port");
    }
    if (socket.users == 0 && demux.insert(key, flags) == Inserted::full) {
        open_sockets_.erase(key.packed);
        return refuse(
            std::errc::no_space_on_device, "link set " + record.name, "no room for another UDP port"
        );
    }
    if (auto joined = join_group(record); !joined) {
        if (socket.users == 0) {
            demux.erase(key);
            open_sockets_.erase(key.packed);
        }
        return joined;
    }
    socket.flags = flags;
    ++socket.users;
    if (demux.insert(encap::VxlanKey::of(record.vxlan), record.id) == Inserted::full) {
        close_vxlan(record);
        return refuse(
            std::errc::no_space_on_device, "link set " + record.name, "no room for another VNI"
        );
    }
    return {};
}

// VXLAN-DEL-02, VXLAN-MC-03
void LinkManager::close_vxlan(const LinkRecord& record) {
    leave_group(record.id);
    const auto key = encap::VxlanKey::socket_of(record.vxlan);
    core_.vxlan_demux().erase(encap::VxlanKey::of(record.vxlan));
    auto socket = open_sockets_.find(key.packed);
    if (socket != open_sockets_.end() && --socket->second.users == 0) {
        core_.vxlan_demux().erase(key);
        open_sockets_.erase(socket);
    }
    core_.vxlan_fdb().flush_on_stop(record.id);
}

}  // namespace culvert::control
