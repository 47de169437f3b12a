// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/ip_tunnel_nbma.hpp"

#include "lib/encap/ip_tunnel_push.hpp"
#include "lib/net/icmp.hpp"

namespace culvert::pipeline {

std::uint32_t remote_in_ipv6(const rte_mbuf* packet) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const bool is_whole =
        packet->data_len >= sizeof(net::EtherHeader) + sizeof(net::Ipv6Header) &&
        reinterpret_cast<const net::EtherHeader*>(frame)->type.host() == net::ether_type::kIpv6;
    if (!is_whole) {
        return 0;
    }
    const auto& ip = *reinterpret_cast<const net::Ipv6Header*>(frame + sizeof(net::EtherHeader));
    const auto destination = net::IpAddress::from_v6(ip.destination);
    return destination.is_v4_compatible() ? net::Be32{destination.v4()}.raw() : 0;
}

[[gnu::cold]] void
refuse_without_remote(Worker& worker, rte_mbuf* packet, const Link& device) noexcept {
    if (device.ip_tunnel.external) {
        worker.drop(packet, device.id, no_metadata(device.kind));
        return;
    }
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    if (has_link_layer(device.kind) || inner.l3 != net::L3::ipv6 || inner.truncated) {
        worker.drop(packet, device.id, Drop::ip_tunnel_no_remote);
        return;
    }
    note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    IcmpError error = unreachable6(net::icmpv6_unreachable::kAddress);
    error.as_received = false;
    worker.drop_and_tell(packet, device.id, Drop::ip_tunnel_no_remote6, error);
}

}  // namespace culvert::pipeline
