// SPDX-License-Identifier: BSD-3-Clause
// The vxlan kind: what may be configured and changed (catalogue 3.1, 3.2), and opening and closing
// (3.3).
#include "lib/control/core.hpp"
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

// What `changelink` may touch, from options that were checked.
void merge_changeable(const VxlanOptions& options, encap::VxlanConfig& config) {
    config.remote = options.remote.value_or(config.remote);
    config.local = options.local.value_or(config.local);
    config.tos = options.tos.value_or(config.tos);
    config.ttl = options.ttl.value_or(config.ttl);
    config.df = options.df.value_or(config.df);
    config.learning = options.learning.value_or(config.learning);
    config.ageing_s = options.ageing_s.value_or(config.ageing_s);
    if (config.ageing_s == 0) {  // VXLAN-CRE-19, as 6.1
        config.ageing_s = kDefaultAgeing;
    }
}

}  // namespace

// VXLAN-CRE-11, -12, -14
Result<void>
LinkManager::check_vxlan_addresses(const std::string& attempt, const VxlanOptions& options) const {
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
    if ((remote && !remote->is_v4()) || (local && !local->is_v4())) {
        return refuse(
            std::errc::address_family_not_supported, attempt, "IPv6 underlay is not supported yet"
        );
    }
    if (remote && remote->is_multicast()) {
        if (!options.dev) {
            return refuse(
                std::errc::invalid_argument, attempt, "'group' requires 'dev' to be specified"
            );
        }
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            fmt::format("multicast group {} is not supported yet", remote->to_string())
        );
    }
    return {};
}

// VXLAN-CRE-13, -23
Result<LinkId> LinkManager::find_lower(const std::string& attempt, const std::string& name) const {
    auto lower = require(name);
    if (!lower) {
        return refuse(lower.error().code, attempt, lower.error().what);
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

// The largest MTU that `lower` leaves (VXLAN-CRE-16), never below the least there is.
std::uint32_t LinkManager::vxlan_mtu_limit(LinkId lower) const {
    const LinkRecord* below = find(lower);
    const std::uint32_t mtu = below == nullptr ? 1500 + encap::kVxlanOverheadIpv4 : below->mtu;
    return std::max(mtu, kMinLinkMtu + encap::kVxlanOverheadIpv4) - encap::kVxlanOverheadIpv4;
}

Result<LinkId> LinkManager::add_vxlan(const LinkAddRequest& request, LinkRecord next) {
    const std::string attempt = "link add " + request.name;
    const VxlanOptions& options = request.vxlan;
    if (options == VxlanOptions{}) {  // VXLAN-CRE-03
        return refuse(std::errc::invalid_argument, attempt, "a vxlan needs at least an id");
    }
    encap::VxlanConfig& config = next.vxlan;
    config.vni = options.vni.value_or(0);  // VXLAN-CRE-10, as 6.1; the command line insists on it
    if (config.vni > net::kMaxVni) {       // VXLAN-CRE-04
        return refuse(
            std::errc::result_out_of_range,
            attempt,
            fmt::format("id {} is not between 0 and {}", config.vni, net::kMaxVni)
        );
    }
    config.source_port_min = options.source_port_min.value_or(0);
    config.source_port_max = options.source_port_max.value_or(0);
    if (config.source_port_max < config.source_port_min) {  // VXLAN-CRE-05
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format(
                "srcport {} {} ends before it begins",
                config.source_port_min,
                config.source_port_max
            )
        );
    }
    CULVERT_CHECK(check_vxlan_addresses(attempt, options));
    if (options.dev) {
        CULVERT_TRY(lower, find_lower(attempt, *options.dev));
        config.lower = lower;
        next.mtu = std::min(request.mtu.value_or(UINT32_MAX), vxlan_mtu_limit(lower));
    }
    merge_changeable(options, config);
    config.ttl_inherit = options.ttl_inherit.value_or(false);
    config.udp_checksum = options.udp_checksum.value_or(true);  // VXLAN-CRE-18
    config.limit = options.limit.value_or(0);
    if (options.destination_port.value_or(0) != 0) {  // VXLAN-CRE-08
        config.destination_port = *options.destination_port;
    }
    const auto same = by_vni_.find({config.destination_port, config.vni});
    if (same != by_vni_.end()) {  // VXLAN-CRE-20
        return refuse(
            std::errc::file_exists,
            attempt,
            fmt::format(
                "vni {} on port {} is already {}'s",
                config.vni,
                config.destination_port,
                name_of(same->second)
            )
        );
    }
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
    auto fixed = [&](const char* what) {
        return refuse(
            std::errc::operation_not_supported, attempt, fmt::format("Cannot change {}", what)
        );
    };
    if (old.kind != pipeline::LinkKind::vxlan) {
        return refuse(std::errc::operation_not_supported, attempt, "it is not a vxlan");
    }
    if (options.vni && *options.vni != old.vxlan.vni) {
        return fixed("VNI");
    }
    if (options.destination_port) {
        return fixed("port");
    }
    if (options.source_port_min || options.source_port_max) {
        return fixed("port range");
    }
    if (options.limit) {
        return fixed("limit");
    }
    if (options.udp_checksum) {
        return fixed("UDP checksum");
    }
    if (options.ttl_inherit.value_or(false)) {
        return fixed("ttl inherit");
    }
    if (request.mtu) {
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            "Cannot change mtu together with vxlan options"
        );
    }
    if ((options.remote && !options.remote->is_v4()) ||
        (options.local && !options.local->is_v4())) {
        return fixed("the address family");
    }
    CULVERT_CHECK(check_vxlan_addresses(attempt, options));
    if (options.dev) {
        CULVERT_TRY(lower, find_lower(attempt, *options.dev));
        if (depends_on(lower, old.id)) {
            return refuse(
                std::errc::device_or_resource_busy,
                attempt,
                fmt::format("{} stands on {} itself", *options.dev, old.name)
            );
        }
        next.vxlan.lower = lower;
        next.mtu = std::min(old.mtu, vxlan_mtu_limit(lower));
    }
    merge_changeable(options, next.vxlan);
    return {};
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
    if (next.admin_up && !old.admin_up) {
        if (auto done = open_vxlan(next); !done) {
            if (before != after) {
                (void)core_.vxlan_fdb().set_default_remote(defaults, after, before, core_.now_s());
            }
            return done.error();
        }
    } else if (old.admin_up && !next.admin_up) {
        close_vxlan(old);
    }
    return {};
}

// VXLAN-SOCK-01, -04: all devices of a port share its socket, which is there as long as one of them
// is up.
Result<void> LinkManager::open_vxlan(const LinkRecord& record) {
    using Inserted = pipeline::VxlanDemux::Inserted;
    const std::uint16_t port = record.vxlan.destination_port;
    auto& demux = core_.vxlan_demux();
    std::uint32_t& users = open_sockets_[port];
    if (users == 0 && demux.insert(encap::VxlanKey::socket(port), 0) == Inserted::full) {
        open_sockets_.erase(port);
        return refuse(
            std::errc::no_space_on_device, "link set " + record.name, "no room for another UDP port"
        );
    }
    ++users;
    if (demux.insert(encap::VxlanKey::make(port, record.vxlan.vni), record.id) == Inserted::full) {
        close_vxlan(record);
        return refuse(
            std::errc::no_space_on_device, "link set " + record.name, "no room for another VNI"
        );
    }
    return {};
}

// VXLAN-DEL-02
void LinkManager::close_vxlan(const LinkRecord& record) {
    const std::uint16_t port = record.vxlan.destination_port;
    core_.vxlan_demux().erase(encap::VxlanKey::make(port, record.vxlan.vni));
    auto users = open_sockets_.find(port);
    if (users != open_sockets_.end() && --users->second == 0) {
        core_.vxlan_demux().erase(encap::VxlanKey::socket(port));
        open_sockets_.erase(users);
    }
    core_.vxlan_fdb().flush_on_stop(record.id);
}

}  // namespace culvert::control
