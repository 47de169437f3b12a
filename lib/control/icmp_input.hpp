// SPDX-License-Identifier: BSD-3-Clause
// ICMP errors that others send about packets of ours: outer packets of tunnels, that is, since all
// else that leaves here is an answer (catalogue 1.11, 2.5, VXLAN-PMTU-04). Control only.
#pragma once

#include "lib/net/icmp.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/link_id.hpp"
#include "lib/pipeline/icmp_demand.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

struct rte_mbuf;

namespace culvert::control {

class Core;

class IcmpInput {
public:
    // Tells the sender of the packet whose IP header lies note().l3_offset bytes behind its data's
    // start, if that is due.
    using Tell = std::function<void(rte_mbuf*, const pipeline::IcmpError&)>;

    IcmpInput(Core& core, Tell tell)
        : core_(core)
        , tell_(std::move(tell)) {}

    // An ICMP error whose checksum is right, at `icmp_offset` of the packet's data. True: it was
    // about a packet of ours, and has been heeded. The packet stays the caller's.
    [[nodiscard]] bool take(rte_mbuf* packet, std::size_t icmp_offset);
    // A packet whose next hop does not answer. True: it was a tunnel's outer one, and that counts
    // like a router's word (Linux sends the error to itself). The packet stays the caller's.
    [[nodiscard]] bool take_failure(rte_mbuf* packet, std::size_t ip_offset);

private:
    // What was sent, as far as it is quoted.
    struct Quote {
        net::IcmpHeader icmp{};
        net::Ipv4Header ip{};
        const std::uint8_t* payload = nullptr;
        std::size_t len = 0;  // of the payload that is there
        LinkId link_in = kNoLink;
    };

    // Sets what stands at `ip_offset`. False: that is not a tunnel's, or not enough of it.
    [[nodiscard]] bool read(const rte_mbuf* packet, std::size_t ip_offset, Quote& quote) const;
    [[nodiscard]] bool is_of_tunnel(const Quote& quote) const;
    [[nodiscard]] bool is_of_ipip(const Quote& quote) const;
    [[nodiscard]] bool is_of_gre(const Quote& quote) const;
    [[nodiscard]] bool is_of_vxlan(const Quote& quote) const;
    [[nodiscard]] LinkId ip_tunnel_of(const Quote& quote) const;
    void note_fault(rte_mbuf* packet, const Quote& quote);
    [[nodiscard]] bool relay_ipv6(rte_mbuf* packet, const Quote& quote);

    Core& core_;
    Tell tell_;
};

}  // namespace culvert::control
