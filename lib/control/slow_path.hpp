// SPDX-License-Identifier: BSD-3-Clause
// Packets that control answers itself: ARP, ICMP echo, and those that wait for a next hop's MAC.
// Control only.
#pragma once

#include "lib/control/icmp6.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/link_id.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

struct rte_mbuf;

namespace culvert::control {

class Core;

class SlowPath final : public route::RoutingActions {
public:
    explicit SlowPath(Core& core)
        : core_(core)
        , icmp6_(core) {}

    // A packet from a worker; its note says why it came. Takes the packet.
    void handle(rte_mbuf* packet);

    // What routing wants done.
    void send_arp_request(
        LinkId link,
        const net::MacAddress& destination,
        const net::IpAddress& source,
        const net::IpAddress& target
    ) override;
    void send_neighbour_solicitation(
        LinkId link,
        std::optional<net::MacAddress> unicast_to,
        const net::IpAddress& source,
        const net::IpAddress& target
    ) override;
    void send_frame(LinkId link, rte_mbuf* frame) override;
    void give_up(LinkId link, rte_mbuf* frame, route::QueueVerdict why) override;
    void neighbour_changed(const route::Neighbour& neighbour, bool removed) override;
    void route_changed(const route::Route& route, bool removed) override;
    void address_changed(const route::Address& address, bool removed) override;

    // What is due. Returns when it wants to be called next (ms).
    std::uint64_t tick(std::uint64_t now_ms);
    // Drops the packets whose next hop did not answer; `is_told`: and tells their senders.
    void end_given_up(bool is_told);

private:
    void handle_arp(rte_mbuf* packet);
    void handle_icmp(rte_mbuf* packet);
    void reply_to_echo(rte_mbuf* packet, const net::Ipv4Header& request, std::size_t icmp_offset);
    void send_ip(rte_mbuf* packet, const net::IpAddress& source, const net::IpAddress& destination);

    struct ArpFields {
        std::uint16_t operation = 0;
        net::MacAddress ether_destination;
        net::MacAddress target_mac;
        net::IpAddress source;
        net::IpAddress target;
    };

    void send_arp(LinkId link, const ArpFields& fields);

    Core& core_;
    Icmp6 icmp6_;
    std::vector<std::pair<LinkId, rte_mbuf*>> given_up_;
    std::uint16_t ip_identification_ = 0;
};

}  // namespace culvert::control
