// SPDX-License-Identifier: BSD-3-Clause
// ICMPv6 to this processor, and the errors it sends (RFC 4443, ICMP-06). Control only.
#pragma once

#include "lib/control/icmp6_input.hpp"
#include "lib/control/icmp_limit.hpp"
#include "lib/control/ip6_output.hpp"
#include "lib/control/listener_reports.hpp"
#include "lib/control/neighbour_discovery.hpp"
#include "lib/pipeline/icmp_demand.hpp"

struct rte_mbuf;

namespace culvert::control {

class Core;

class Icmp6 {
public:
    // `errors_in`: who heeds errors about what we sent.
    Icmp6(Core& core, Icmp6Input& errors_in)
        : core_(core)
        , errors_in_(errors_in)
        , output_(core)
        , discovery_(core, output_)
        , listener_(core, output_) {}

    // A packet with an ICMPv6 message, to one of our addresses, a link-local one or a group. The
    // worker has checked the headers in front. Takes the packet.
    void handle(rte_mbuf* packet);
    // The sender of `packet`, whose IPv6 header lies note().l3_offset bytes behind its data's
    // start, is told, if that is due; counted in either case. The packet stays the caller's.
    void tell(rte_mbuf* packet, const pipeline::IcmpError& error);

    [[nodiscard]] NeighbourDiscovery& discovery() noexcept { return discovery_; }

    [[nodiscard]] Ip6Output& output() noexcept { return output_; }

    [[nodiscard]] ListenerReports& listener() noexcept { return listener_; }

private:
    void reply_to_echo(rte_mbuf* packet, const net::Ipv6Header& request, std::size_t offset);
    [[nodiscard]] bool is_due(const rte_mbuf* packet, const pipeline::IcmpError& error) const;
    [[nodiscard]] bool
    is_permitted(const net::IpAddress& sender, unsigned length, const pipeline::IcmpError& error);

    Core& core_;
    Icmp6Input& errors_in_;
    Ip6Output output_;
    NeighbourDiscovery discovery_;
    ListenerReports listener_;
    IcmpLimit limit_;
};

}  // namespace culvert::control
