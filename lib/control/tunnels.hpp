// SPDX-License-Identifier: BSD-3-Clause
// Tunnels' outer half: for every remote that an FDB entry, an ipip or gre link, or a packet to one
// names, the route, neighbour and addresses are looked up here and flattened into a template
// (encap::VxlanTemplate, encap::IpTunnelTemplate) that workers copy. Control only.
//
// A change marks the tunnels whose result may depend on it, and the next update() looks at these
// alone: a link marks what leaves by it, a route what lies within its prefix, a neighbour what has
// it as next hop, an address what it is the source of. So ten thousand tunnels are made, changed
// and taken away at a cost each that does not grow with the others.
#pragma once

#include "lib/control/tunnel_index.hpp"
#include "lib/encap/ip_tunnel.hpp"
#include "lib/encap/vxlan.hpp"
#include "lib/fdb/vxlan_fdb.hpp"
#include "lib/net/link_id.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace culvert::control {

class Core;
struct Event;
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

    // A link appeared, changed or went.
    void link_changed(LinkId link) { changed_links_.insert(link); }

    // The way to this remote is another; unspecified = to any.
    void path_changed(const net::IpAddress& remote);

    // An ipip, gre or gretap link appeared or changed: it has the remote that it is configured
    // with, and no others any more.
    void follow(const LinkRecord& device);
    // Such a link is going.
    void forget(LinkId device);
    // A worker has a packet to this remote of a link without one of its own (TUN-TX-03), or to what
    // stands for it (TUN-MD-01). False = the link does not go there.
    [[nodiscard]] bool learn_remote(LinkId device, const net::IpAddress& remote);

    // An ipip or gre link, or one like these, that sends to this remote and UDP port, or kNoLink.
    [[nodiscard]] LinkId find_in_udp(const net::IpAddress& remote, std::uint16_t port) const;

    // Looks again at what a change since the last time may concern. Cheap when nothing changed.
    void update();
    // The next update() looks at all.
    void mark_all();

    void for_each(const std::function<void(const TunnelView&)>& visit
    ) const;  // by device, then remote

    [[nodiscard]] std::size_t size() const noexcept { return tunnels_.size(); }

    // How often a tunnel was looked at, and how often that gave workers something new, since the
    // start: what the work is measured by.
    [[nodiscard]] std::uint64_t looks() const noexcept { return looks_; }

    [[nodiscard]] std::uint64_t publications() const noexcept { return publications_; }

private:
    using Key = std::pair<LinkId, fdb::Remote>;
    using Hop = std::pair<LinkId, net::IpAddress>;

    struct Tunnel {
        const Key* key = nullptr;
        net::IpAddress remote;  // what it is found by in by_remote_
        route::Path path;
        std::shared_ptr<const route::Ways> ways;        // if packets choose among several (RT-09)
        std::shared_ptr<const route::Ways> shown_ways;  // what workers see
        net::IpAddress next_hop;                        // as last built
        net::IpAddress source;                          // what it is found by in by_source_
        std::uint32_t references = 0;                   // lists that name it
        std::uint32_t id = 0;  // of its kind's templates; 0 = there is no number left
        std::uint32_t in_link = 0, in_hop = 0, in_source = 0;  // TunnelIndex's
        LinkId link_out = kNoLink;                             // as last built
        LinkId watched = kNoLink;  // the link that it is found by in by_link_
        encap::TunnelState state = encap::TunnelState::no_remote;
        bool is_ip = false;      // of an ipip, gre or gretap link, or one like these
        bool is_ip6 = false;     // of these: over IPv6
        bool is_marked = false;  // it is in marked_
    };

    using Range = std::pair<std::map<Key, Tunnel>::iterator, std::map<Key, Tunnel>::iterator>;

    [[nodiscard]] Range tunnels_of(LinkId device);
    // What a tunnel's outer header says, where the device or its packets' metadata does.
    [[nodiscard]] net::IpAddress local_of(const LinkRecord& device, const Key& key) const;
    [[nodiscard]] const net::IpAddress& remote_of(const LinkRecord* device, const Key& key) const;
    [[nodiscard]] const encap::IpTunnelMetadata*
    metadata_of(const LinkRecord& device, const Key& key) const;
    void list_changed(fdb::RemoteLists::Id id, const fdb::RemoteLists::List* list);
    void publish_list(fdb::RemoteLists::Id id, const fdb::RemoteLists::List& list);
    Tunnel& hold(const Key& key);
    void release(const Key& key);
    [[nodiscard]] static LinkId via_of(const LinkRecord& device, const fdb::Remote& remote);
    void find_way(Tunnel& tunnel);
    void find_path(const LinkRecord& device, Tunnel& tunnel, LinkId via);
    [[nodiscard]] std::optional<std::uint8_t>
    tos_of(const LinkRecord& device, const Tunnel& tunnel) const;
    [[nodiscard]] bool chooses_by_flow(const LinkRecord& device, const Tunnel& tunnel) const;
    void enter(Tunnel& tunnel);
    void leave(Tunnel& tunnel);
    void resolve(Tunnel& tunnel, bool is_new);
    bool build(
        const LinkRecord& device,
        Tunnel& tunnel,
        const route::Path& path,
        const std::optional<route::Adjacency>& neighbour
    );
    template <typename Template>
    void offer_ways(const Tunnel& tunnel, Template& outer) const;
    template <typename Template, typename Templates>
    bool publish(Tunnel& tunnel, const Template& next, Templates& templates);
    [[nodiscard]] TunnelView view_of(const Tunnel& tunnel) const;
    [[nodiscard]] std::string
    reason(const LinkRecord& device, const TunnelView& view, const route::Path& path) const;
    void note(const Event& event);
    void note_route(const route::Route& route);
    void mark(Tunnel& tunnel);
    void mark_by_link(LinkId link);
    void mark_by_source(const net::IpAddress& source);
    [[nodiscard]] bool add_remote(LinkId device, const fdb::Remote& remote);
    [[nodiscard]] bool leads_back(LinkId device, LinkId link, unsigned levels) const;

    Core& core_;
    std::map<Key, Tunnel> tunnels_;
    std::map<fdb::RemoteLists::Id, std::vector<Key>> lists_;
    std::set<std::pair<net::IpAddress, Tunnel*>> by_remote_;
    TunnelIndex<LinkId, Tunnel, &Tunnel::in_link> by_link_;
    TunnelIndex<Hop, Tunnel, &Tunnel::in_hop> by_hop_;
    TunnelIndex<net::IpAddress, Tunnel, &Tunnel::in_source> by_source_;
    std::set<std::pair<LinkId, Tunnel*>> by_way_;  // the links of `ways`
    std::vector<Tunnel*> marked_;
    std::set<LinkId> changed_links_;
    std::uint64_t looks_ = 0;
    std::uint64_t publications_ = 0;
    std::shared_ptr<Tunnels*> self_;  // events may still come when this object is gone
};

}  // namespace culvert::control
