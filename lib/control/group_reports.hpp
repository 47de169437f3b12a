// SPDX-License-Identifier: BSD-3-Clause
// The groups that tunnels listen to (VXLAN-MC-01, GRE-CRE-10), and the reports of IPv4's: IGMPv3
// (RFC 3376), and version 2 or 1 where a querier of that kind was heard, as a host and as the
// kernel does it (igmp.c). What IPv6's are reported by is listener_reports.hpp. Nobody here routes
// groups: queries are answered and never asked. Control only.
#pragma once

#include "lib/control/walk_timer.hpp"
#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

struct rte_mbuf;

namespace culvert::control {

class Core;

class GroupReports {
public:
    explicit GroupReports(Core& core)
        : core_(core)
        , random_(std::random_device{}()) {}

    // One more device listens to the group on the link. Error: as Routing::join().
    [[nodiscard]] Result<void> join(LinkId link, const net::IpAddress& group);
    // One less. Precondition: it joined.
    void leave(LinkId link, const net::IpAddress& group);
    // The link is gone, and so is who listened there.
    void link_gone(LinkId link);
    // The link is up (again): what is listened to there is reported anew (ip_mc_up).
    void link_up(LinkId link);
    // An IGMP packet for us; it stays the caller's.
    void handle(rte_mbuf* packet);
    // Sends what is due. Returns when it wants to be called next (ms), UINT64_MAX = never.
    std::uint64_t tick(std::uint64_t now_ms);

private:
    using Key = std::pair<LinkId, net::IpAddress>;

    struct Membership {
        unsigned users = 0;
        unsigned reports_left = 0;  // of the last change
        std::uint64_t report_due_ms = UINT64_MAX;
        std::uint64_t answer_due_ms = UINT64_MAX;
    };

    // An older querier: what it understands, and until when it counts.
    struct Querier {
        std::uint8_t version = 3;
        std::uint64_t until_ms = 0;
    };

    [[nodiscard]] std::uint8_t version_on(LinkId link) const;
    [[nodiscard]] std::uint64_t random_below(std::uint64_t ms);
    [[nodiscard]] Result<void> join6(LinkId link, const net::IpAddress& group);
    void plan_reports(Membership& membership);
    void report(const Key& key, const Membership& membership, bool is_change);
    void send_record(LinkId link, std::uint8_t type, const net::IpAddress& group);
    void send_older(LinkId link, std::uint8_t type, const net::IpAddress& group);
    void send(LinkId link, std::uint32_t destination, std::span<const std::uint8_t> message);

    Core& core_;
    std::minstd_rand random_;
    std::map<Key, Membership> memberships_;  // users 0: left, and yet to be said
    WalkTimer walk_;                         // over them
    std::map<LinkId, Querier> queriers_;
    std::uint16_t identification_ = 0;
};

}  // namespace culvert::control
