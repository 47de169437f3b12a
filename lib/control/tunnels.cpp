// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/tunnels.hpp"

#include "lib/control/core.hpp"
#include "lib/control/tunnel_faults.hpp"
#include "lib/control/tunnel_metadata.hpp"
#include "lib/encap/ip_tunnel_build.hpp"
#include "lib/encap/ip_tunnel_build6.hpp"
#include "lib/encap/vxlan_build.hpp"
#include "lib/rcu/hash_table_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>

namespace culvert::control {

namespace {

using encap::TunnelState;

constexpr unsigned kMaxLevels = 8;
// Of a link without a remote: when it has met more, it begins anew.
constexpr std::ptrdiff_t kMaxRemotes = 4096;

encap::IpTunnelRemote remote_key(LinkId device, const net::IpAddress& remote) {
    return {remote.is_v4() ? net::Be32{remote.v4()}.raw() : 0, device};
}

std::string why_no_route(
    Core& core,
    const net::IpAddress& local,
    const fdb::Remote& to,
    const route::Path& path,
    bool needs_local
) {
    const net::IpAddress& remote = to.address;
    switch (path.kind) {
    case route::AdjacencyKind::unreachable:
        return fmt::format("the route to {} says unreachable", remote.to_string());
    case route::AdjacencyKind::prohibit:
        return fmt::format("the route to {} says prohibit", remote.to_string());
    case route::AdjacencyKind::blackhole:
        return fmt::format("the route to {} says blackhole", remote.to_string());
    default:
        break;
    }
    if (local.is_unspecified() && !remote.is_v4() && needs_local) {
        return "it has no local address, without which a tunnel over IPv6 does not send";
    }
    if (!local.is_unspecified() && !core.routing().is_local(local, to.via)) {
        return fmt::format("local {} is no address of ours", local.to_string());
    }
    return fmt::format("no route to {}", remote.to_string());
}

}  // namespace

Tunnels::Tunnels(Core& core)
    : core_(core)
    , self_(std::make_shared<Tunnels*>(this)) {
    core_.remote_lists().on_change([this](
                                       fdb::RemoteLists::Id id, const fdb::RemoteLists::List* list
                                   ) { list_changed(id, list); });
    core_.on_event([weak = std::weak_ptr(self_)](const Event& event) {
        if (const auto self = weak.lock(); self != nullptr) {
            (*self)->note(event);
        }
    });
}

const encap::IpTunnelMetadata*
Tunnels::metadata_of(const LinkRecord& device, const Key& key) const {
    return device.ip_tunnel.external ? core_.tunnel_metadata().find(key.second.address) : nullptr;
}

net::IpAddress Tunnels::local_of(const LinkRecord& device, const Key& key) const {
    if (const encap::IpTunnelMetadata* metadata = metadata_of(device, key); metadata != nullptr) {
        return encap::source_of(device.ip_tunnel, *metadata);
    }
    return pipeline::is_ip_tunnel(device.kind) ? device.ip_tunnel.local : device.vxlan.local;
}

const net::IpAddress& Tunnels::remote_of(const LinkRecord* device, const Key& key) const {
    const auto* metadata = device != nullptr ? metadata_of(*device, key) : nullptr;
    return metadata != nullptr ? metadata->destination : key.second.address;
}

Tunnels::~Tunnels() {
    for (const auto& [id, keys] : lists_) {
        core_.vxlan_destinations().publish(id, nullptr);
    }
}

void Tunnels::list_changed(fdb::RemoteLists::Id id, const fdb::RemoteLists::List* list) {
    std::vector<Key> before;
    if (auto known = lists_.find(id); known != lists_.end()) {
        before = std::move(known->second);
        lists_.erase(known);
    }
    if (list == nullptr) {
        core_.vxlan_destinations().publish(id, nullptr);
    } else {
        std::vector<Key>& keys = lists_[id];
        for (const fdb::Remote& remote : list->remotes) {
            keys.emplace_back(list->device, remote);
            hold(keys.back());
        }
        publish_list(id, *list);
    }
    for (const Key& key : before) {
        release(key);
    }
}

void Tunnels::publish_list(fdb::RemoteLists::Id id, const fdb::RemoteLists::List& list) {
    auto destination = std::make_unique<encap::VxlanDestination>();
    const std::size_t count = list.remotes.size();
    destination->device = list.device;
    destination->count = static_cast<std::uint32_t>(count);
    if (count > 0) {
        destination->first_address = list.remotes.front().address;
        destination->first_via = list.remotes.front().via;
    }
    const std::size_t in_line = destination->inline_ids.size();
    std::unique_ptr<encap::VxlanTemplates::Id[]> more;
    if (count > in_line) {
        more = std::make_unique<encap::VxlanTemplates::Id[]>(count - in_line);
    }
    for (std::size_t i = 0; i < count; ++i) {
        const auto template_id = tunnels_.at({list.device, list.remotes[i]}).id;
        (i < in_line ? destination->inline_ids[i] : more[i - in_line]) = template_id;
    }
    destination->more_ids = std::move(more);
    core_.vxlan_destinations().publish(id, std::move(destination));
}

Tunnels::Tunnel& Tunnels::hold(const Key& key) {
    const auto [at, is_new] = tunnels_.try_emplace(key);
    Tunnel& tunnel = at->second;
    ++tunnel.references;
    if (is_new) {
        const LinkRecord* device = core_.links().find(key.first);
        tunnel.key = &at->first;
        tunnel.is_ip = device != nullptr && pipeline::is_ip_tunnel(device->kind);
        tunnel.is_ip6 = tunnel.is_ip && pipeline::is_ip_tunnel6(device->kind);
        if (tunnel.is_ip6) {
            tunnel.id = core_.ip_tunnels().templates6.allocate();
        } else {
            tunnel.id = tunnel.is_ip ? core_.ip_tunnels().templates.allocate()
                                     : core_.vxlan_templates().allocate();
        }
        tunnel.remote = remote_of(device, key);
        by_remote_.emplace(tunnel.remote, &tunnel);
        enter(tunnel);
        // Workers may meet it at once: it must say something from the start.
        find_way(tunnel);
        resolve(tunnel, true);
        if (!by_link_.at(key.first).empty()) {
            link_changed(key.first);  // one more way on for what leaves by this device
        }
    }
    return tunnel;
}

void Tunnels::release(const Key& key) {
    const auto found = tunnels_.find(key);
    Tunnel& tunnel = found->second;
    if (--tunnel.references > 0) {
        return;
    }
    if (tunnel.id != 0 && tunnel.is_ip6) {
        core_.ip_tunnels().templates6.erase(tunnel.id);
    } else if (tunnel.id != 0 && tunnel.is_ip) {
        core_.ip_tunnels().templates.erase(tunnel.id);
    } else if (tunnel.id != 0) {
        core_.vxlan_templates().erase(tunnel.id);
    }
    leave(tunnel);
    by_remote_.erase({tunnel.remote, &tunnel});
    if (tunnel.is_marked) {
        std::erase(marked_, &tunnel);
    }
    tunnels_.erase(found);
}

// Gives workers a way to find it.
bool Tunnels::add_remote(LinkId device, const fdb::Remote& remote) {
    if (tunnels_.contains({device, remote})) {
        return true;
    }
    const Tunnel& tunnel = hold({device, remote});
    const LinkRecord* record = core_.links().find(device);
    bool is_in = tunnel.id != 0;
    if (is_in && record != nullptr && record->ip_tunnel.remote == remote.address) {
        core_.ip_tunnels().own.publish(device, tunnel.id);
    } else if (is_in) {
        const auto inserted =
            core_.ip_tunnels().remotes.insert(remote_key(device, remote.address), tunnel.id);
        is_in = inserted != encap::IpTunnelRemotes::Inserted::full;
    }
    if (!is_in) {
        release({device, remote});
    }
    return is_in;
}

Tunnels::Range Tunnels::tunnels_of(LinkId device) {
    return {
        tunnels_.lower_bound({device, fdb::Remote{}}),
        tunnels_.lower_bound({static_cast<LinkId>(device + 1), fdb::Remote{}})};
}

void Tunnels::follow(const LinkRecord& device) {
    const fdb::Remote own{device.ip_tunnel.remote, 0, 0, device.ip_tunnel.lower};
    const auto [first, last] = tunnels_of(device.id);
    const bool is_own = first != last && first->first.second == own && std::next(first) == last &&
                        core_.ip_tunnels().own.read(device.id) == first->second.id;
    if (own.address.is_unspecified() || !is_own) {
        forget(device.id);
    }
    if (own.address.is_unspecified()) {
        return;
    }
    (void)add_remote(device.id, own);  // without room its packets have no remote
    if (const auto tunnel = tunnels_.find({device.id, own}); is_own && tunnel != tunnels_.end()) {
        find_way(tunnel->second);
        resolve(tunnel->second, false);
    }
}

void Tunnels::forget(LinkId device) {
    core_.ip_tunnels().own.publish(device, encap::IpTunnelTemplates::kNone);
    for (auto [at, last] = tunnels_of(device); at != last;) {
        const Key key = at->first;
        const bool is_ip = at->second.is_ip;
        ++at;
        if (is_ip) {
            core_.ip_tunnels().remotes.erase(remote_key(device, key.second.address));
            release(key);
        }
    }
}

bool Tunnels::learn_remote(LinkId device, const net::IpAddress& remote) {
    const LinkRecord* record = core_.links().find(device);
    const bool goes_there = record != nullptr && pipeline::is_ip_tunnel(record->kind) &&
                            record->admin_up && remote.is_v4() && !remote.is_unspecified() &&
                            !remote.is_multicast();
    if (!goes_there) {
        return false;
    }
    const bool is_over_ipv6 = pipeline::is_ip_tunnel6(record->kind);
    if (record->ip_tunnel.external) {
        const encap::IpTunnelMetadata* metadata = core_.tunnel_metadata().find(remote);
        if (metadata == nullptr || metadata->is_ipv6 != is_over_ipv6) {
            return false;
        }
    } else if (is_over_ipv6) {
        return false;
    }
    const bool has_one = !record->ip_tunnel.remote.is_unspecified();
    if (has_one && record->ip_tunnel.remote != remote) {
        return false;
    }
    const auto [first, last] = tunnels_of(device);
    if (!has_one && std::distance(first, last) >= kMaxRemotes) {
        forget(device);
    }
    return add_remote(device, {remote, 0, 0, record->ip_tunnel.lower});
}

// True: workers see something else than before.
template <typename Template, typename Templates>
bool Tunnels::publish(Tunnel& tunnel, const Template& next, Templates& templates) {
    tunnel.state = next.state;
    tunnel.link_out = next.link_out;
    const Template* last = templates.read(tunnel.id);
    if (last != nullptr && *last == next) {
        return false;
    }
    templates.publish(tunnel.id, std::make_unique<Template>(next));
    ++publications_;
    return true;
}

// RT-09: what one next hop decided is each packet's. Unless one of them leads back here.
template <typename Template>
void Tunnels::offer_ways(const Tunnel& tunnel, Template& outer) const {
    const bool is_sound =
        outer.state == TunnelState::ready || outer.state == TunnelState::unresolved;
    if (tunnel.ways == nullptr || !is_sound) {
        return;
    }
    const std::vector<LinkId>& links = tunnel.ways->links;
    if (std::any_of(links.begin(), links.end(), [&](LinkId link) {
            return leads_back(tunnel.key->first, link, kMaxLevels);
        })) {
        return;
    }
    constexpr std::size_t kMacs = 2 * sizeof(net::MacAddress);
    std::memset(outer.link_header(), 0, kMacs);
    outer.next_hop = {};
    outer.ways = tunnel.ways->adjacency;
    outer.mtu = std::min(outer.mtu, tunnel.ways->mtu);
    outer.become(TunnelState::several);
}

// The one place where kinds of tunnels differ here.
bool Tunnels::build(
    const LinkRecord& device,
    Tunnel& tunnel,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
) {
    const fdb::Remote& remote = tunnel.key->second;
    const encap::IpTunnelMetadata* metadata = metadata_of(device, *tunnel.key);
    const encap::IpTunnelConfig& config =
        metadata != nullptr ? with_metadata(device.ip_tunnel, *metadata) : device.ip_tunnel;
    if (tunnel.is_ip6) {
        auto outer =
            encap::build_ip_tunnel_template6(config, device.id, tunnel.remote, path, neighbour);
        if (outer.state == TunnelState::ready && core_.tunnel_faults().has(device.id)) {
            outer.become(TunnelState::failing);
        }
        return publish(tunnel, outer, core_.ip_tunnels().templates6);
    }
    if (tunnel.is_ip) {
        auto outer =
            encap::build_ip_tunnel_template(config, device.id, tunnel.remote, path, neighbour);
        if (outer.state == TunnelState::ready && core_.tunnel_faults().has(device.id)) {
            outer.become(TunnelState::failing);  // by one way, while it lasts
        }
        offer_ways(tunnel, outer);
        return publish(tunnel, outer, core_.ip_tunnels().templates);
    }
    const encap::VxlanRemote outer{remote.address, remote.vni, remote.port, remote.via};
    auto next = encap::build_vxlan_template(device.vxlan, device.id, outer, path, neighbour);
    offer_ways(tunnel, next);
    return publish(tunnel, next, core_.vxlan_templates());
}

void Tunnels::resolve(Tunnel& tunnel, bool is_new) {
    const LinkId id = tunnel.key->first;
    const LinkRecord* device = core_.links().find(id);
    if (device == nullptr || tunnel.id == 0) {
        return;
    }
    route::Path path = tunnel.path;
    const bool leaves = path.link != kNoLink && path.kind != route::AdjacencyKind::local;
    std::optional<route::Adjacency> neighbour;
    if (leaves && leads_back(id, path.link, kMaxLevels)) {
        path.link = id;  // what the template's maker calls a loop
    } else if (leaves) {
        neighbour =
            core_.routing().neighbour_adjacency(path.link, path.next_hop, tunnel.remote.family());
    }
    const TunnelState last_state = tunnel.state;
    const Hop last_hop{tunnel.link_out, tunnel.next_hop};
    const bool is_changed = build(*device, tunnel, path, neighbour);
    tunnel.shown_ways = tunnel.ways;
    tunnel.next_hop = path.next_hop;
    const Hop hop{tunnel.link_out, tunnel.next_hop};
    // Asked for once a next hop; when it does not answer, the next packet asks again.
    const bool ask = is_changed && tunnel.state == TunnelState::unresolved &&
                     (is_new || last_state != TunnelState::unresolved || last_hop != hop);
    if (ask) {
        core_.routing().neighbours().request({hop.first, hop.second}, core_.now_ms());
    }
}

TunnelView Tunnels::view_of(const Tunnel& tunnel) const {
    TunnelView view;
    view.device = tunnel.key->first;
    view.remote = tunnel.key->second;
    view.remote.address = tunnel.remote;
    view.state = tunnel.state;
    view.link_out = tunnel.link_out;
    const LinkRecord* device = core_.links().find(view.device);
    if (device == nullptr || tunnel.id == 0) {
        return view;
    }
    const net::IpAddress local = local_of(*device, *tunnel.key);
    view.next_hop = tunnel.path.next_hop;
    view.source = local.is_unspecified() ? tunnel.path.source : local;
    view.mtu = tunnel.path.mtu;
    if (tunnel.state == TunnelState::several) {
        view.mtu = std::min(view.mtu, tunnel.ways->mtu);
    }
    view.why = reason(*device, view, tunnel.path);
    return view;
}

std::string
Tunnels::reason(const LinkRecord& device, const TunnelView& view, const route::Path& path) const {
    if (!device.admin_up) {
        return fmt::format("{} is down", device.name);
    }
    const fdb::Remote& remote = view.remote;
    const std::string address = remote.address.to_string();
    std::uint64_t target = 0;
    switch (view.state) {
    case TunnelState::ready:
    case TunnelState::several:
        return "";
    case TunnelState::failing:
        return "it sends, but routers on the way report errors";
    case TunnelState::unresolved:
        return fmt::format(
            "no MAC address known for {} on {}",
            path.next_hop.to_string(),
            core_.links().name_of(view.link_out)
        );
    case TunnelState::no_route:
        return why_no_route(
            core_,
            view.source,
            {remote.address, remote.vni, remote.port, via_of(device, remote)},
            path,
            pipeline::is_ip_tunnel6(device.kind) && !device.ip_tunnel.external
        );
    case TunnelState::loop:
        return fmt::format("the way to {} leads back into {}", address, device.name);
    case TunnelState::local:
        if (device.kind != pipeline::LinkKind::vxlan) {
            return address + " is ourselves";
        }
        if (core_.vxlan_demux().find(
                remote.address.is_v4()
                    ? encap::VxlanKey::make(remote.port, remote.vni, device.vxlan.vrf)
                    : encap::VxlanKey::make_ipv6(remote.port, remote.vni, device.vxlan.vrf),
                target
            )) {
            return "";
        }
        return fmt::format(
            "{} is ourselves, and no vxlan here that is up has vni {} on port {}",
            address,
            remote.vni,
            remote.port
        );
    case TunnelState::no_remote:
        return "the remote is " + address;
    }
    return "";
}

// Whether all that leaves by `link` comes back into `device`. A bridge or tunnel that has another
// way out may be right; what still goes round then ends in depth_exceeded.
bool Tunnels::leads_back(LinkId device, LinkId link, unsigned levels) const {
    if (link == device) {
        return true;
    }
    const LinkRecord* record = core_.links().find(link);
    if (record == nullptr || levels == 0) {
        return false;
    }
    if (record->kind == pipeline::LinkKind::vlan) {
        return leads_back(device, record->vlan.lower, levels - 1);
    }
    bool any = false;
    bool all = true;
    if (record->kind == pipeline::LinkKind::bridge) {
        core_.links().for_each([&](const LinkRecord& member) {
            if (member.master == link && member.admin_up) {
                any = true;
                all = all && leads_back(device, member.id, levels - 1);
            }
        });
    } else if (pipeline::is_tunnel(record->kind)) {
        auto tunnel = tunnels_.lower_bound({link, fdb::Remote{}});
        for (; tunnel != tunnels_.end() && tunnel->first.first == link && all; ++tunnel) {
            const route::Path& path = tunnel->second.path;
            any = true;
            all = path.link != kNoLink && path.kind != route::AdjacencyKind::local &&
                  leads_back(device, path.link, levels - 1);
        }
    }
    return any && all;
}

void Tunnels::for_each(const std::function<void(const TunnelView&)>& visit) const {
    for (const auto& [key, tunnel] : tunnels_) {
        visit(view_of(tunnel));
    }
}

}  // namespace culvert::control
