// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/links.hpp"

#include "lib/control/core.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/control/link_rules.hpp"
#include "lib/control/tunnels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <random>
#include <vector>

namespace culvert::control {

namespace {

constexpr std::size_t kMaxNameLen = 15;  // IFNAMSIZ without the final 0

}  // namespace

net::MacAddress random_mac() {
    std::random_device random;
    net::MacAddress mac;
    for (std::uint8_t& byte : mac.bytes) {
        byte = static_cast<std::uint8_t>(random());
    }
    mac.bytes[0] = static_cast<std::uint8_t>(
        (mac.bytes[0] & 0xfe) | 0x02
    );  // a station's, administered locally
    return mac;
}

LinkManager::LinkManager(Core& core)
    : core_(core) {}

fdb::VxlanFdbDefaults vxlan_fdb_defaults(const LinkRecord& record) {
    return {record.id, record.vxlan.vni, record.vxlan.destination_port, record.vxlan.family()};
}

const LinkRecord* LinkManager::find(LinkId link) const {
    auto found = links_.find(link);
    return found == links_.end() ? nullptr : &found->second;
}

const LinkRecord* LinkManager::find(std::string_view name) const {
    auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : find(found->second);
}

LinkRecord* LinkManager::record(LinkId link) {
    auto found = links_.find(link);
    return found == links_.end() ? nullptr : &found->second;
}

Result<LinkId> LinkManager::require(std::string_view name) const {
    if (const LinkRecord* found = find(name); found != nullptr) {
        return found->id;
    }
    return Error{std::errc::no_such_device, fmt::format("Cannot find device \"{}\"", name)};
}

std::string LinkManager::name_of(LinkId link) const {
    const LinkRecord* found = find(link);
    return found == nullptr ? std::string() : found->name;
}

void LinkManager::for_each(const std::function<void(const LinkRecord&)>& visit) const {
    for (const auto& [id, record] : links_) {
        visit(record);
    }
}

// UI-LINK-01
Result<void> LinkManager::check_name(const std::string& attempt, const std::string& name) const {
    const bool odd = std::any_of(name.begin(), name.end(), [](char c) {
        return c == '/' || c == ':' || std::isspace(static_cast<unsigned char>(c)) != 0;
    });
    if (name.empty() || name.size() > kMaxNameLen || name == "." || name == ".." || odd) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format(
                "\"{}\" is not a link name (1 to {} characters, no blanks, '/' or ':')",
                name,
                kMaxNameLen
            )
        );
    }
    if (by_name_.contains(name)) {
        return refuse(
            std::errc::file_exists, attempt, fmt::format("there is a link \"{}\" already", name)
        );
    }
    return {};
}

Result<LinkId> LinkManager::add(const LinkAddRequest& request) {
    const std::string attempt = "link add " + request.name;
    if (pipeline::is_ip_tunnel(request.kind)) {
        CULVERT_CHECK(add_fallbacks(pipeline::ip_tunnel_kind(request.kind)));
    }
    CULVERT_CHECK(check_name(attempt, request.name));
    if (request.kind == pipeline::LinkKind::port) {
        return refuse(
            std::errc::operation_not_supported,
            attempt,
            "ports come from DPDK's devices (--vdev, -a)"
        );
    }
    if (request.address && !request.address->is_valid_station()) {
        return refuse(
            std::errc::address_not_available,
            attempt,
            request.address->to_string() + " is not a station's MAC address"
        );
    }
    if (request.mtu && (*request.mtu < kMinLinkMtu || *request.mtu > kMaxLinkMtu)) {
        return refuse(
            std::errc::invalid_argument,
            attempt,
            fmt::format("mtu {} is not between {} and {}", *request.mtu, kMinLinkMtu, kMaxLinkMtu)
        );
    }
    if (request.lower && request.kind != pipeline::LinkKind::vlan) {
        return refuse(
            std::errc::operation_not_supported, attempt, "only a vlan stands on another link"
        );
    }
    LinkRecord next;
    next.name = request.name;
    next.kind = request.kind;
    next.mac = request.address.value_or(random_mac());
    next.own_mac = next.mac;
    next.mac_is_set = request.address.has_value();
    next.mtu = request.mtu.value_or(1500);
    next.mtu_is_set = request.mtu.has_value();
    next.max_mtu = kMaxLinkMtu;
    if (request.kind == pipeline::LinkKind::vxlan) {
        return add_vxlan(request, std::move(next));
    }
    if (pipeline::is_ip_tunnel(request.kind)) {
        return add_ip_tunnel(request, std::move(next));
    }
    if (request.kind == pipeline::LinkKind::vlan) {
        return add_vlan(request, std::move(next));
    }
    if (request.kind == pipeline::LinkKind::vrf) {
        return add_vrf(request, std::move(next));
    }
    next.bridge_ageing_s = request.bridge.ageing_s.value_or(next.bridge_ageing_s);
    return insert(std::move(next));
}

Result<LinkId> LinkManager::add_port(const PortDescription& port) {
    LinkRecord next;
    next.name = fmt::format("port{}", port.port_id);
    next.kind = pipeline::LinkKind::port;
    next.admin_up = true;
    next.mac = port.mac;
    next.mtu = port.mtu;
    next.max_mtu = port.max_mtu;
    next.port_id = port.port_id;
    next.parent_device = port.device_name;
    CULVERT_CHECK(check_name("link add " + next.name, next.name));
    return insert(std::move(next));
}

// Gives the record a number and makes it known. Everything in it was checked.
Result<LinkId> LinkManager::insert(LinkRecord next) {
    const auto id = core_.published_links().allocate();
    if (id == pipeline::Links::kNone) {
        return refuse(
            std::errc::no_space_on_device,
            "link add " + next.name,
            fmt::format("there are {} links", kMaxLinks - 1)
        );
    }
    next.id = static_cast<LinkId>(id);
    next.vrf = next.kind == pipeline::LinkKind::vrf ? next.id : kNoLink;
    const LinkRecord& kept = links_.emplace(next.id, std::move(next)).first->second;
    by_name_[kept.name] = kept.id;
    relate(kept);
    if (kept.kind == pipeline::LinkKind::bridge) {
        core_.fdb().add_domain(kept.id, {kept.bridge_ageing_s, 0, true});
    } else if (kept.kind == pipeline::LinkKind::vxlan) {
        core_.fdb().add_domain(kept.id, {kept.vxlan.ageing_s, kept.vxlan.limit, false});
    }
    publish(kept);
    if (kept.kind == pipeline::LinkKind::bridge) {
        refresh_bridge(kept.id);
    }
    return kept.id;
}

void LinkManager::publish(const LinkRecord& record) {
    auto link = std::make_unique<pipeline::Link>();
    link->id = record.id;
    link->kind = record.kind;
    link->up = record.admin_up;
    link->mac = record.mac;
    link->mtu = record.mtu;
    link->master = record.master;
    link->bridge_port = record.bridge_port;
    link->port_id = record.port_id;
    link->vrf = record.vrf;
    link->reverse_path = record.reverse_path;
    const std::uint32_t table =
        record.vrf != kNoLink ? find(record.vrf)->table : std::uint32_t{route::kMainTable};
    if (record.vrf != kNoLink) {
        link->routed_by = core_.routing().open_table(table).value();  // add_vrf() opened it
    }
    link->vlan = record.vlan;
    link->has_vlans = has_vlans(record.id);
    link->has_host = !record.host_tap.empty();
    link->vxlan = record.vxlan;
    link->ip_tunnel = record.ip_tunnel;
    link->sequences = record.sequences;
    link->faults = record.faults;
    if (record.kind == pipeline::LinkKind::bridge) {
        for (const LinkId id : members_of(record.id)) {
            if (find(id)->admin_up) {
                link->members.push_back(id);
            }
        }
    }
    note_addresses(record, *link);
    // What nobody has seen yet leads nowhere, and nothing to it.
    const bool is_of_interest =
        record.admin_up || core_.published_links().read(record.id) != nullptr;
    core_.published_links().publish(record.id, std::move(link));
    const bool has_mac = pipeline::has_link_layer(record.kind);
    core_.routing().set_link(
        record.id,
        {record.name,
         record.mac,
         record.mtu,
         carries_ip(record),
         has_mac,
         has_mac && record.link_local,
         record.vrf,
         table,
         // Only gre's have header_ops, and not external ones (ipgre_tunnel_init).
         record.kind == pipeline::LinkKind::gre && !record.ip_tunnel.external},
        core_.now_ms()
    );
    if (is_of_interest) {
        core_.tunnels().link_changed(record.id);
    }
    Event event;
    event.object = Event::Object::link;
    event.link = record.id;
    core_.publish_event(event);
}

void LinkManager::set_carrier(LinkId port, bool carrier) {
    LinkRecord* found = record(port);
    if (found == nullptr || found->carrier == carrier) {
        return;
    }
    found->carrier = carrier;
    if (!carrier) {
        // NEI-13 (neigh_carrier_down, arp_evict_nocarrier)
        (void)core_.routing().neighbours().flush(port);
    }
    Event event;
    event.link = port;
    core_.publish_event(event);
    for (const LinkId upper : uppers_of(port)) {
        if (find(upper)->kind == pipeline::LinkKind::vlan) {
            set_carrier(upper, carrier);
        }
    }
}

Result<void> LinkManager::del(LinkId link) {
    const LinkRecord* found = find(link);
    if (found == nullptr) {
        return Error{std::errc::no_such_device, fmt::format("link del: there is no link {}", link)};
    }
    if (found->kind == pipeline::LinkKind::port) {
        return refuse(
            std::errc::operation_not_supported,
            "link del " + found->name,
            "a port is DPDK's device; it goes when culvert stops"
        );
    }
    if (found->is_fallback) {
        return {};  // IPIP-FB-03: as if it had been done
    }
    // VXLAN-CRE-22: what stands on it goes with it.
    for (const LinkId upper : uppers_of(link)) {
        const LinkRecord* standing = find(upper);
        if (standing != nullptr && !pipeline::is_ip_tunnel(standing->kind)) {
            (void)del(upper);  // only a port can be refused
        }
    }
    forget(link);
    unbind_from(link);
    return {};
}

// FDB entries whose way out was `link`: its number will be another's one day.
void LinkManager::flush_entries_via(LinkId link) {
    if (!core_.remote_lists().names(link)) {
        return;
    }
    std::set<std::uint32_t> lists;
    core_.remote_lists().for_each([&](fdb::RemoteLists::Id id, const fdb::RemoteLists::List& list) {
        const bool names_it = std::any_of(
            list.remotes.begin(),
            list.remotes.end(),
            [link](const fdb::Remote& remote) { return remote.via == link; }
        );
        if (names_it) {
            lists.insert(id);
        }
    });
    for (const auto& [id, record] : links_) {
        if (record.kind == pipeline::LinkKind::vxlan) {
            core_.fdb().flush(id, [&](const fdb::Table::Entry& entry) {
                return lists.contains(entry.value.target());
            });
        }
    }
}

// Takes the link apart in the order in which workers may still meet its parts: out of the ways that
// lead to it first.
void LinkManager::forget(LinkId link) {
    LinkRecord gone = *find(link);
    if (gone.kind == pipeline::LinkKind::vxlan && gone.admin_up) {
        close_vxlan(gone);
    }
    if (pipeline::is_ip_tunnel(gone.kind)) {
        leave_group(link);
        core_.ip_tunnels().erase(link);
    }
    if (gone.kind == pipeline::LinkKind::bridge) {
        for (const LinkId member : members_of(link)) {
            LinkRecord* freed = record(member);
            unrelate(*freed);
            freed->master = kNoLink;
            relate(*freed);
            freed->bridge_port = {};
            refresh_promiscuous(member);
            publish(*freed);
        }
        local_macs_.erase(link);
    }
    if (gone.kind == pipeline::LinkKind::vrf) {
        release_vrf(link);
    }
    Event event;
    event.object = Event::Object::link;
    event.removed = true;
    event.link = link;
    core_.publish_event(event);  // while the name can still be asked for

    unrelate(gone);
    links_.erase(link);
    by_name_.erase(gone.name);
    core_.host_taps().close(link);
    if (gone.kind == pipeline::LinkKind::vlan) {
        close_vlan(gone);
    }
    if (gone.master != kNoLink) {
        leave_bridge(gone.master, link);
    }
    flush_entries_via(link);
    core_.published_links().publish(link, nullptr);
    core_.tunnels().forget(link);
    leave_groups_on(link);
    core_.routing().del_link(link);
    if (gone.kind == pipeline::LinkKind::bridge || gone.kind == pipeline::LinkKind::vxlan) {
        core_.fdb().del_domain(link);
    }
    core_.tunnels().link_changed(link);
    core_.release_link_id(link);
}

}  // namespace culvert::control
