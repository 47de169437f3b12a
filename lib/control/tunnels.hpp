// SPDX-License-Identifier: BSD-3-Clause
// Tunnels' outer half: for every remote that an FDB entry names, the route, neighbour and addresses
// are looked up here and flattened into a template (encap::VxlanTemplate) that workers copy.
// Control only; rebuilt when routing or a link changed, published only where the result differs.
#pragma once

#include "lib/encap/vxlan.hpp"
#include "lib/fdb/vxlan_fdb.hpp"
#include "lib/net/link_id.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace culvert::control {

class Core;
struct LinkRecord;

// What `show tunnels` tells of one remote of one device.
struct TunnelView {
    LinkId device = kNoLink;
    fdb::Remote remote;
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

    // Looks at every remote again if anything changed since. Cheap when nothing did.
    void update();

    void for_each(const std::function<void(const TunnelView&)>& visit
    ) const;  // by device, then remote

    [[nodiscard]] std::size_t size() const noexcept { return tunnels_.size(); }

private:
    using Key = std::pair<LinkId, fdb::Remote>;

    struct Tunnel {
        encap::VxlanTemplate published;
        route::Path path;
        TunnelView view;
        std::size_t references = 0;  // lists that name it
        encap::VxlanTemplates::Id id = encap::VxlanTemplates::kNone;
    };

    void list_changed(fdb::RemoteLists::Id id, const fdb::RemoteLists::List* list);
    void publish_list(fdb::RemoteLists::Id id, const fdb::RemoteLists::List& list);
    Tunnel& hold(const Key& key);
    void release(const Key& key);
    void find_way(const Key& key, Tunnel& tunnel);
    void resolve(const Key& key, Tunnel& tunnel, bool is_new);
    [[nodiscard]] std::string reason(
        const LinkRecord& device,
        const fdb::Remote& remote,
        const route::Path& path,
        const encap::VxlanTemplate& outer
    ) const;
    [[nodiscard]] bool leads_back(LinkId device, LinkId link, unsigned levels) const;

    Core& core_;
    std::map<Key, Tunnel> tunnels_;
    std::map<fdb::RemoteLists::Id, std::vector<Key>> lists_;
    std::uint64_t generation_ = UINT64_MAX;
    bool stale_ = true;
};

}  // namespace culvert::control
