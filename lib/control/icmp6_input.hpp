// SPDX-License-Identifier: BSD-3-Clause
// ICMPv6 errors that others send about packets of ours: outer packets of tunnels over IPv6
// (RFC 2473, 8; ip6_tnl_err, ip6gre_err), and answers. Control only.
#pragma once

#include "lib/encap/ip_tunnel_lookup.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/link_id.hpp"
#include "lib/pipeline/icmp_demand.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

struct rte_mbuf;

namespace culvert::control {

class Core;
struct LinkRecord;

class Icmp6Input {
public:
    // Tells the sender of the packet whose IP header lies note().l3_offset bytes behind its data's
    // start, if that is due.
    using Tell = std::function<void(rte_mbuf*, const pipeline::IcmpError&)>;

    Icmp6Input(Core& core, Tell tell)
        : core_(core)
        , tell_(std::move(tell)) {}

    // An ICMPv6 error whose checksum is right, at `icmp_offset` of the packet's data. True: it was
    // about a packet of ours, and has been heeded. The packet stays the caller's.
    [[nodiscard]] bool take(rte_mbuf* packet, std::size_t icmp_offset);
    // A packet whose next hop does not answer. True: it was a tunnel's outer one, and that counts
    // like a router's word (Linux sends the error to itself). The packet stays the caller's.
    [[nodiscard]] bool take_failure(rte_mbuf* packet, std::size_t ip_offset);

private:
    // What was sent, as far as it is quoted.
    struct Quote {
        net::Icmpv6Header icmp{};
        net::Ipv6Header ip{};
        std::size_t offset = 0;   // of the IPv6 header
        std::size_t payload = 0;  // where its extension headers end; 0 = not quoted
        std::uint8_t protocol = 0;
        LinkId link_in = kNoLink;
    };

    [[nodiscard]] bool read(const rte_mbuf* packet, std::size_t ip_offset, Quote& quote) const;
    void skip_udp(const rte_mbuf* packet, Quote& quote) const;
    [[nodiscard]] bool learn_mtu(const Quote& quote);
    // The device that would take an answer to what was sent, or nullptr.
    [[nodiscard]] const LinkRecord* device_of(encap::IpTunnelKey6 key, LinkId link_in) const;
    [[nodiscard]] bool note_ip6tnl(rte_mbuf* packet, const Quote& quote);
    [[nodiscard]] bool note_gre(const rte_mbuf* packet, const Quote& quote);
    [[nodiscard]] static bool
    is_relayed(const rte_mbuf* packet, const Quote& quote, pipeline::IcmpError& error);
    void relay(rte_mbuf* packet, const Quote& quote, const pipeline::IcmpError& error);

    Core& core_;
    Tell tell_;
};

}  // namespace culvert::control
