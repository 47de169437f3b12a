// SPDX-License-Identifier: BSD-3-Clause
// Multicast listener discovery (MLDv2, RFC 3810; MLDv1, RFC 2710) as a host and as the kernel does
// it (mcast.c): which groups a link listens to is what its IPv6 addresses ask for (solicited-node
// groups, RFC 4291 2.8), all routers, and those that tunnels joined, and switches that snoop hear
// of it. Control only.
//
// Nobody here routes groups, so queries are answered and never asked. All nodes (ff02::1) is never
// reported (RFC 3810, 6).
#pragma once

#include "lib/control/ip6_output.hpp"
#include "lib/control/walk_timer.hpp"
#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <span>
#include <vector>

struct rte_mbuf;

namespace culvert::control {

class Core;

class ListenerReports {
public:
    ListenerReports(Core& core, Ip6Output& output)
        : core_(core)
        , output_(output)
        , random_(std::random_device{}()) {}

    // A listener query whose checksum is right, at `offset`. True: it was heeded. The packet stays
    // the caller's.
    bool handle(const rte_mbuf* packet, const net::Ipv6Header& ip, std::size_t offset);

    // An address of a link came or went: it may be in other groups than before.
    void address_changed(const route::Address& address, bool removed);
    // One more device listens to the group on the link, whatever its addresses are, or one less.
    void join(LinkId link, const net::IpAddress& group);
    void leave(LinkId link, const net::IpAddress& group);
    void link_gone(LinkId link);
    // Sends what is due. Returns when it wants to be called next (ms), UINT64_MAX = never.
    std::uint64_t tick(std::uint64_t now_ms);

private:
    struct Change {
        bool is_member = false;  // since then
        unsigned left = 0;       // how often it is still to be reported
    };

    // Of a report of version 2, without sources.
    struct Record {
        std::uint8_t type = 0;
        net::IpAddress group;
    };

    struct Link {
        std::set<net::IpAddress> addresses;
        std::map<net::IpAddress, unsigned> joined;  // by how many
        std::set<net::IpAddress> groups;            // as reported
        std::map<net::IpAddress, Change> changes;   // to be reported
        std::uint64_t changes_due_ms = 0;           // 0 = never, as below
        std::set<net::IpAddress> answers;           // that a query asked for
        std::uint64_t answer_due_ms = 0;
        std::uint64_t version1_until_ms = 0;  // a querier of version 1 is there
    };

    void look_again(Link& link);
    static void plan_change(Link& link, const net::IpAddress& group, bool is_member);
    void report_changes(LinkId id, Link& link, std::uint64_t now_ms);
    void answer(LinkId id, Link& link, std::uint64_t now_ms);
    void send(LinkId id, const net::IpAddress& destination, std::span<const std::uint8_t> message);
    void send_records(LinkId id, std::span<const Record> records);
    void send_version1(LinkId id, const net::IpAddress& group, bool is_member);
    [[nodiscard]] std::uint64_t random_below(std::uint64_t ms);

    Core& core_;
    Ip6Output& output_;
    std::minstd_rand random_;
    std::map<LinkId, Link> links_;
    WalkTimer walk_;  // over them
};

}  // namespace culvert::control
