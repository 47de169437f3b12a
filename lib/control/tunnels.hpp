// SPDX-License-Identifier: BSD-3-Clause
// Tunnels' outer half: for every remote that an FDB entry, an ipip or gre link, or a packet to one
// names, the route, neighbour and addresses are looked up here and flattened into a template
// (encap::VxlanTemplate, encap::IpTunnelTemplate) that workers copy. Control only; rebuilt when
// routing or a link changed, published only where the result differs.
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/fdb/vxlan_fdb.hpp"
#include "lib/net/link_id.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace culvert::control {

class Core;
struct LinkRecord;

// What `show tunnels` tells of one remote of one device.
struct TunnelView {
    LinkId device = kNoLink;
    fdb::Remote remote;  // VNI and port are 0 where there are none
    encap::TunnelState state = encap::TunnelState::no_remote;
    LinkId link_out = kNoLink;
    net::IpAddress source;  // outer source address; unspecified when there is no way
    net::IpAddress next_hop;
    std::uint32_t mtu = 0;  // of the outer path, bytes
    std::string why;        // the state's reason: "no route to 192.0.2.9"; "" when it can send
};

class Tunnels {
public:
    // Observes the core's remote lists from now on.
    explicit Tunnels(Core& core);
    ~Tunnels();
    Tunnels(const Tunnels&) = delete;
    Tunnels& operator=(const Tunnels&) = delete;

    // A link appeared, changed or went: everything is looked at again by the next update().
    void link_changed() noexcept { stale_ = true; }

    // An ipip, gre or gretap link appeared or changed: it has the remote that it is configured
    // with, and no others any more.
    void follow(const LinkRecord& device);
    // Such a link is going.
    void forget(LinkId device);
    // A worker has a packet to this remote of a link without one of its own (TUN-TX-03). False =
    // the link does not go there.
    [[nodiscard]] bool learn_remote(LinkId device, const net::IpAddress& remote);

    // Looks at every remote again if anything changed since. Cheap when nothing did.
    void update();

    void for_each(const std::function<void(const TunnelView&)>& visit
    ) const;  // by device, then remote

    [[nodiscard]] std::size_t size() const noexcept { return tunnels_.size(); }

private:
    using Key = std::pair<LinkId, fdb::Remote>;

    struct Tunnel {
        std::variant<encap::VxlanTemplate, encap::IpTunnelTemplate> published;
        route::Path path;
        TunnelView view;
        std::size_t references = 0;  // lists that name it
        std::uint32_t id = 0;        // of its kind's templates; 0 = there is no number left
    };

    void list_changed(fdb::RemoteLists::Id id, const fdb::RemoteLists::List* list);
    void publish_list(fdb::RemoteLists::Id id, const fdb::RemoteLists::List& list);
    Tunnel& hold(const Key& key);
    void release(const Key& key);
    void find_way(const Key& key, Tunnel& tunnel);
    void resolve(const Key& key, Tunnel& tunnel, bool is_new);
    bool build(
        const Key& key,
        const LinkRecord& device,
        Tunnel& tunnel,
        const route::Path& path,
        const std::optional<route::Adjacency>& neighbour
    );
    template <typename Template, typename Templates>
    bool publish(Tunnel& tunnel, const Template& next, Templates& templates);
    [[nodiscard]] std::string
    reason(const LinkRecord& device, const TunnelView& view, const route::Path& path) const;
    [[nodiscard]] bool add_remote(LinkId device, const fdb::Remote& remote);
    [[nodiscard]] bool leads_back(LinkId device, LinkId link, unsigned levels) const;

    Core& core_;
    std::map<Key, Tunnel> tunnels_;
    std::map<fdb::RemoteLists::Id, std::vector<Key>> lists_;
    std::map<LinkId, std::set<fdb::Remote>> ip_remotes_;  // of ipip, gre and gretap links
    std::uint64_t generation_ = UINT64_MAX;
    bool stale_ = true;
};

}  // namespace culvert::control
