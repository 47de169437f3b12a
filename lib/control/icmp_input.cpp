// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/icmp_input.hpp"

#include "lib/control/core.hpp"
#include "lib/control/tunnel_faults.hpp"
#include "lib/control/tunnels.hpp"
#include "lib/net/gre.hpp"
#include "lib/net/header.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/udp.hpp"
#include "lib/net/vxlan.hpp"

#include <rte_mbuf.h>

#include <cstring>
#include <utility>

namespace culvert::control {

namespace {

// Of the quoted packet's payload, without which nobody is told of an error (icmp_socket_deliver).
constexpr std::size_t kLeastQuoted = 8;

bool is_fragmentation_needed(const net::IcmpHeader& icmp) {
    return icmp.type == net::icmp_type::kDestinationUnreachable &&
           icmp.code == net::icmp_unreachable::kFragmentationNeeded;
}

}  // namespace

bool IcmpInput::read(const rte_mbuf* packet, std::size_t ip_offset, Quote& quote) const {
    if (packet->data_len < ip_offset + sizeof(quote.ip)) {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, ip_offset);
    std::memcpy(&quote.ip, ip, sizeof(quote.ip));
    const std::size_t header_len = quote.ip.header_len_bytes();
    if (header_len < sizeof(quote.ip) || packet->data_len < ip_offset + header_len + kLeastQuoted) {
        return false;
    }
    quote.payload = ip + header_len;
    quote.len = packet->data_len - ip_offset - header_len;
    const auto sender = net::IpAddress::from_v4(quote.ip.source.host());
    return core_.routing().is_local(sender, quote.link_in) && is_of_tunnel(quote);
}

bool IcmpInput::take(rte_mbuf* packet, std::size_t icmp_offset) {
    Quote quote;
    quote.link_in = pipeline::note(packet).link_in;
    std::memcpy(
        &quote.icmp, rte_pktmbuf_mtod_offset(packet, const void*, icmp_offset), sizeof(quote.icmp)
    );
    if (!read(packet, icmp_offset + sizeof(net::IcmpHeader), quote)) {
        return false;
    }
    // IPIP-ERR-02, GRE-ERR-01
    if (is_fragmentation_needed(quote.icmp)) {
        constexpr std::uint32_t kMtuMask = 0xffff;
        core_.routing().learn_path_mtu(
            net::IpAddress::from_v4(quote.ip.destination.host()),
            quote.icmp.rest.host() & kMtuMask,
            core_.now_ms(),
            quote.link_in
        );
    }
    note_fault(packet, quote);
    return true;
}

bool IcmpInput::take_failure(rte_mbuf* packet, std::size_t ip_offset) {
    Quote quote;
    quote.icmp.type = net::icmp_type::kDestinationUnreachable;
    quote.icmp.code = net::icmp_unreachable::kHost;
    quote.link_in = pipeline::note(const_cast<rte_mbuf*>(packet)).link_in;
    if (!read(packet, ip_offset, quote)) {
        return false;
    }
    note_fault(packet, quote);
    return true;
}

// The device that would take an answer to what is quoted.
LinkId IcmpInput::ip_tunnel_of(const Quote& quote) const {
    if (quote.ip.protocol == net::ip_protocol::kUdp) {
        net::UdpHeader udp{};
        std::memcpy(&udp, quote.payload, sizeof(udp));
        const auto remote = net::IpAddress::from_v4(quote.ip.destination.host());
        return core_.tunnels().find_in_udp(remote, udp.destination.host());
    }
    auto key = encap::IpTunnelKey::make(
        encap::IpTunnelKind::ipip, quote.ip.source.raw(), quote.ip.destination.raw()
    );
    if (quote.ip.protocol == net::ip_protocol::kGre) {
        net::GreHeader gre{};
        std::memcpy(&gre, quote.payload, sizeof(gre));
        const std::uint16_t flags = gre.flags_and_version.host();
        const auto kind = gre.protocol.host() == net::ether_type::kTeb ? encap::IpTunnelKind::gretap
                                                                       : encap::IpTunnelKind::gre;
        const std::size_t at = (flags & net::gre::kChecksum) != 0 ? 2 * sizeof(gre) : sizeof(gre);
        net::Be32 number{0};
        const bool has_key = (flags & net::gre::kKey) != 0;
        if (has_key) {
            std::memcpy(&number, quote.payload + at, sizeof(number));
        }
        key = encap::IpTunnelKey::make(kind, key.local, key.remote, has_key, number.host());
    } else if (quote.ip.protocol == net::ip_protocol::kIpv6) {
        key = encap::IpTunnelKey::make(encap::IpTunnelKind::sit, key.local, key.remote);
    } else if (quote.ip.protocol != net::ip_protocol::kIpip) {
        return kNoLink;
    }
    const LinkId vrf = core_.routing().vrf_of(quote.link_in);
    key.kind_and_flags |= encap::IpTunnelKey::vrf_bits(vrf);
    return core_.ip_tunnels().lookup.find(key, quote.link_in);
}

// GRE-ERR-03, and the same for sit: where enough of an inner IPv6 packet is quoted, its sender
// hears of it at once (ip6_err_gen_icmpv6_unreach). False: it is not.
bool IcmpInput::relay_ipv6(rte_mbuf* packet, const Quote& quote) {
    std::size_t behind = 0;
    if (quote.ip.protocol == net::ip_protocol::kGre) {
        net::GreHeader gre{};
        std::memcpy(&gre, quote.payload, sizeof(gre));
        if (gre.protocol.host() != net::ether_type::kIpv6) {
            return false;
        }
        behind = net::gre_header_len_bytes(gre.flags_and_version.host());
    } else if (quote.ip.protocol != net::ip_protocol::kIpv6) {
        return false;
    }
    const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const std::size_t offset = static_cast<std::size_t>(quote.payload - data) + behind;
    if (quote.len < behind + sizeof(net::Ipv6Header) + kLeastQuoted || offset > UINT8_MAX) {
        return false;
    }
    pipeline::IcmpError error = pipeline::unreachable6(net::icmpv6_unreachable::kAddress);
    if (quote.icmp.type == net::icmp_type::kTimeExceeded) {
        error = {.type = net::icmpv6_type::kTimeExceeded};
    }
    error.as_received = false;
    pipeline::Note& note = pipeline::note(packet);
    const std::uint8_t before = std::exchange(note.l3_offset, static_cast<std::uint8_t>(offset));
    tell_(packet, error);
    note.l3_offset = before;
    return true;
}

// IPIP-ERR-02, -03, -05, -06; GRE-ERR-02, -04.
void IcmpInput::note_fault(rte_mbuf* packet, const Quote& quote) {
    using namespace net::icmp_unreachable;
    const std::uint8_t code = quote.icmp.code;
    const bool is_expired = quote.icmp.type == net::icmp_type::kTimeExceeded;
    if (is_expired ? code != 0 : quote.icmp.type != net::icmp_type::kDestinationUnreachable) {
        return;
    }
    const LinkRecord* device = core_.links().find(ip_tunnel_of(quote));
    if (device == nullptr) {
        return;
    }
    const bool is_gre = encap::traits(device->ip_tunnel.kind).has_gre;
    const bool is_other =
        code == kSourceRouteFailed || code == kFragmentationNeeded || (is_gre && code == kPort);
    if (!is_expired && is_other) {
        return;
    }
    if (relay_ipv6(packet, quote)) {
        return;
    }
    const net::IpAddress& remote = device->ip_tunnel.remote;
    // An inherited TTL is the inner sender's affair.
    const bool is_ours = !is_expired || device->ip_tunnel.ttl != 0;
    if (is_ours && !remote.is_unspecified() && !remote.is_multicast()) {
        core_.tunnel_faults().add(device->id, core_.now_ms());
    }
}

bool IcmpInput::is_of_tunnel(const Quote& quote) const {
    switch (quote.ip.protocol) {
    case net::ip_protocol::kIpip:
    case net::ip_protocol::kIpv6:
        return is_of_ipip(quote);
    case net::ip_protocol::kGre:
        return is_of_gre(quote);
    case net::ip_protocol::kUdp:
        return is_of_vxlan(quote) || ip_tunnel_of(quote) != kNoLink;
    default:
        return false;
    }
}

// IPIP-ERR-01: the tunnel that would take an answer.
bool IcmpInput::is_of_ipip(const Quote& quote) const {
    return ip_tunnel_of(quote) != kNoLink;
}

// GRE-ERR-01: what is quoted must be GRE; of which tunnel does not count for the path's MTU.
bool IcmpInput::is_of_gre(const Quote& quote) const {
    net::GreHeader gre{};
    std::memcpy(&gre, quote.payload, sizeof(gre));
    const std::uint16_t flags = gre.flags_and_version.host();
    return (flags & (net::gre::kVersion | net::gre::kRouting)) == 0 &&
           quote.len >= net::gre_header_len_bytes(flags);
}

// VXLAN-PMTU-04
bool IcmpInput::is_of_vxlan(const Quote& quote) const {
    if (quote.len < sizeof(net::UdpHeader) + sizeof(net::VxlanHeader)) {
        return false;
    }
    net::UdpHeader udp{};
    net::VxlanHeader vxlan{};
    std::memcpy(&udp, quote.payload, sizeof(udp));
    std::memcpy(&vxlan, quote.payload + sizeof(udp), sizeof(vxlan));
    std::uint64_t device = kNoLink;
    const LinkId vrf = core_.routing().vrf_of(quote.link_in);
    return (vxlan.flags.host() & net::vxlan::kVniValid) != 0 &&
           core_.vxlan_demux().find(
               encap::VxlanKey::make(udp.destination.host(), vxlan.vni(), vrf), device
           );
}

}  // namespace culvert::control
