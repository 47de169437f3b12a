// SPDX-License-Identifier: BSD-3-Clause
// Packets that control answers itself: ARP, ICMP echo, those that wait for a next hop's MAC or for
// the rest of their datagram, and those whose sender is to hear that they are lost.
// Control only.
#pragma once

#include "lib/control/delayed.hpp"
#include "lib/control/icmp6.hpp"
#include "lib/control/icmp_errors.hpp"
#include "lib/control/icmp_input.hpp"
#include "lib/control/ip_output.hpp"
#include "lib/control/reassembly.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/link_id.hpp"
#include "lib/route/routing.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

struct rte_mbuf;

namespace culvert::control {

class Core;

class SlowPath final : public route::RoutingActions, private ReassemblyActions {
public:
    explicit SlowPath(Core& core)
        : core_(core)
        , output_(core)
        , errors_(core, output_)
        , errors_in_(
              core,
              [this](rte_mbuf* packet, const pipeline::IcmpError& error) {
                  tell(packet, error, pipeline::Drop::icmp_not_handled);
              }
          )
        , reassembly_(*this)
        , reassembly6_(*this, kReassemblyLimits6, net::Family::ipv6)
        , errors6_in_(
              core,
              [this](rte_mbuf* packet, const pipeline::IcmpError& error) {
                  tell(packet, error, pipeline::Drop::icmp_not_handled);
              }
          )
        , icmp6_(core, errors6_in_) {}

    // The core is there. Packets that wait here are dropped by stop(), before it goes.
    void start();
    void stop();

    // A packet from a worker; its note says why it came. Takes the packet.
    void handle(rte_mbuf* packet);

    // Once a turn: what waited in vain for a next hop or for the rest of a datagram is dropped, and
    // its senders told. Returns when it wants to be called next.
    std::uint64_t tick(std::uint64_t now_ms);

    // Fragments that wait.
    [[nodiscard]] std::size_t queued_packets() const noexcept {
        return reassembly_.queued_fragments() + reassembly6_.queued_fragments();
    }

    [[nodiscard]] ListenerReports& listener() noexcept { return icmp6_.listener(); }

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
    void path_mtu_changed(const net::IpAddress& destination) override;
    void breathe() override;

private:
    // What reassembly wants done.
    void drop_fragment(rte_mbuf* fragment, pipeline::Drop reason) override;
    void consume_fragment(rte_mbuf* fragment) override;
    void expired(rte_mbuf* first_fragment) override;
    void complain(rte_mbuf* fragment, const pipeline::IcmpError& error) override;
    void count(pipeline::IpCounter counter) override;

    void tell(rte_mbuf* packet, const pipeline::IcmpError& error, pipeline::Drop reason);
    void handle_fragment(rte_mbuf* packet);
    void send_back(rte_mbuf* packet);
    void handle_arp(rte_mbuf* packet);
    void handle_icmp(rte_mbuf* packet);
    [[nodiscard]] bool
    is_proxy_for(LinkId link, const net::IpAddress& target, const net::IpAddress& sender);
    void reply_to_echo(rte_mbuf* packet, const net::Ipv4Header& request, std::size_t icmp_offset);

    struct ArpFields {
        std::uint16_t operation = 0;
        net::MacAddress ether_destination;
        net::MacAddress target_mac;
        net::IpAddress source;
        net::IpAddress target;
    };

    void send_arp(LinkId link, const ArpFields& fields);

    Core& core_;
    IpOutput output_;
    IcmpErrors errors_;
    IcmpInput errors_in_;
    Reassembly reassembly_;
    Reassembly reassembly6_;
    std::vector<std::pair<LinkId, rte_mbuf*>> unanswered_;
    Icmp6Input errors6_in_;
    Icmp6 icmp6_;
    Delayed delayed_;
};

}  // namespace culvert::control
