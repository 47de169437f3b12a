// SPDX-License-Identifier: BSD-3-Clause
// IPv6 packets that control makes: the header, ICMPv6's checksum, and the way out. Control only.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/link_id.hpp"
#include "lib/pipeline/fragment_ids.hpp"
#include "lib/route/routing.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

struct rte_mbuf;

namespace culvert::control {

class Core;

class Ip6Output {
public:
    explicit Ip6Output(Core& core)
        : core_(core) {}

    struct Envelope {
        net::IpAddress source{};
        net::IpAddress destination{};
        std::uint8_t hop_limit = net::kIpv6DefaultHopLimit;
        std::uint8_t traffic_class = 0;
        bool router_alert = false;  // a hop-by-hop header with that option in front (RFC 2711)
    };

    // An ICMPv6 message in a packet of its own, which begins at the IPv6 header; the message's
    // checksum is filled in. nullptr = there is no packet buffer.
    [[nodiscard]] rte_mbuf*
    make(const Envelope& envelope, std::span<const std::uint8_t> message) const;
    // Fills in headers and checksum of a packet whose ICMPv6 message begins behind the headers'
    // room.
    static void finish(rte_mbuf* packet, const Envelope& envelope);

    // `packet` begins at its IPv6 header and is counted as originated. `link`: where link-local
    // destinations and groups are. What is too large for the way is cut (RFC 8200, 4.5). Takes it.
    void send(rte_mbuf* packet, LinkId link);
    // make() and send(), counted; without a buffer it is as lost as on the wire.
    void send_message(LinkId link, const Envelope& envelope, std::span<const std::uint8_t> message);

private:
    Core& core_;
    pipeline::FragmentIds fragment_ids_{pipeline::FragmentIds::kControl};
};

// The sum of the ICMPv6 message at `offset` to the packet's end, with its pseudo header.
[[nodiscard]] std::uint64_t
icmp6_sum(const rte_mbuf* packet, std::size_t offset, const net::Ipv6Header& ip);

}  // namespace culvert::control
