// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_push.hpp"

#include "lib/encap/inner_frame.hpp"

namespace culvert::encap {

namespace {

// True, and `inner` is set, for untagged IPv4: most packets.
bool inspect_plain_ipv4(const rte_mbuf* packet, IpTunnelInner& inner) noexcept {
    constexpr std::uint16_t kL3 = sizeof(net::EtherHeader);
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    if (packet->data_len < kL3 + sizeof(net::Ipv4Header) ||
        reinterpret_cast<const net::EtherHeader*>(frame)->type.raw() !=
            net::Be16{net::ether_type::kIpv4}.raw()) [[unlikely]] {
        return false;
    }
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(frame + kL3);
    inner.type = net::ether_type::kIpv4;
    inner.l3_offset = kL3;
    inner.l3 = net::L3::ipv4;
    inner.tos = ip.type_of_service;
    inner.ttl = ip.time_to_live;
    inner.dont_fragment =
        (ip.flags_and_offset.raw() & net::Be16{net::kIpv4DontFragment}.raw()) != 0;
    inner.truncated = false;
    return true;
}

// tnl_update_pmtu(): only a sender that asked not to be fragmented is refused, and one by IPv6
// where IPv6's least MTU fits.
IpTunnelPushed refuse_size(
    const rte_mbuf* packet, const IpTunnelTemplate& outer, const IpTunnelInner& inner
) noexcept {
    constexpr std::uint32_t kIpv6MinMtu = 1280;
    if (inner.l3 == net::L3::ipv4) {
        return inner.dont_fragment && outer.inner_df_counts ? IpTunnelPushed::too_big
                                                            : IpTunnelPushed::needs_fragments;
    }
    if (inner.l3 == net::L3::ipv6 && outer.df) {
        const std::uint32_t inner_len = packet->pkt_len - inner.l3_offset;
        const std::uint32_t added =
            outer.length - IpTunnelTemplate::kLinkHeaderLen +
            (outer.carries_frames ? std::uint32_t{inner.l3_offset} : std::uint32_t{0});
        if (outer.mtu >= kIpv6MinMtu + added && outer.mtu - added < inner_len) {
            return IpTunnelPushed::too_big;
        }
    }
    return IpTunnelPushed::needs_fragments;
}

std::uint32_t
inherit_tos(const IpTunnelTemplate& outer, const IpTunnelInner& inner, std::uint8_t& tos) noexcept {
    if (inner.l3 == net::L3::none) {
        return 0;
    }
    const auto dscp = static_cast<std::uint8_t>(inner.tos & ~net::kEcnMask);
    const std::uint8_t before = outer.bytes[outer.ip_offset() + 1];
    tos = dscp;
    // RFC 1624: out with the old byte, in with the new one.
    return std::uint32_t{static_cast<std::uint16_t>(~net::Be16{before}.raw())} +
           net::Be16{dscp}.raw();
}

// GRE-HDR-03: the checksum last, over all the rest.
void patch_gre(
    std::uint8_t* gre,
    const IpTunnelTemplate& outer,
    const IpTunnelInner& inner,
    std::uint32_t sequence,
    std::uint64_t sum
) noexcept {
    std::uint64_t header = outer.gre_sum;
    if (!outer.carries_frames && inner.type != net::ether_type::kIpv4) {
        const net::Be16 type{inner.type};
        std::memcpy(gre + offsetof(net::GreHeader, protocol), &type, sizeof(type));
        const auto before = static_cast<std::uint16_t>(~net::Be16{net::ether_type::kIpv4}.raw());
        header += std::uint64_t{before} + type.raw();
    }
    if (outer.sequence) {
        const net::Be32 number{sequence};
        std::memcpy(gre + outer.gre_len - sizeof(number), &number, sizeof(number));
        header += number.raw();
    }
    if (outer.checksum) {
        const net::Be16 checksum = net::checksum_from_sum(net::sum_add(sum, header));
        std::memcpy(gre + sizeof(net::GreHeader), &checksum, sizeof(checksum));
    }
}

// The packet is whole but for UDP's length, port and checksum, and GUE's word on what is inside.
void patch_udp(
    rte_mbuf* packet, const IpTunnelTemplate& outer, const IpTunnelInner& inner, net::Be16 port
) noexcept {
    constexpr std::uint16_t kUdp = IpTunnelTemplate::kLinkHeaderLen + sizeof(net::Ipv4Header);
    auto* udp = rte_pktmbuf_mtod_offset(packet, std::uint8_t*, kUdp);
    const net::Be16 length{static_cast<std::uint16_t>(packet->pkt_len - kUdp)};
    std::memcpy(udp + offsetof(net::UdpHeader, length), &length, sizeof(length));
    if (outer.is_flow_port) {
        std::memcpy(udp, &port, sizeof(port));
    }
    if (outer.udp_len() > sizeof(net::UdpHeader) && outer.is_sit &&
        inner.type == net::ether_type::kIpv4) {
        udp[sizeof(net::UdpHeader) + offsetof(net::GueHeader, protocol)] = net::ip_protocol::kIpip;
    }
    if (outer.udp_checksum) {
        const auto& ip = *rte_pktmbuf_mtod_offset(
            packet, const net::Ipv4Header*, IpTunnelTemplate::kLinkHeaderLen
        );
        const std::uint64_t pseudo = net::pseudo_header_sum_v4(
            ip.source, ip.destination, net::ip_protocol::kUdp, length.host()
        );
        const net::Be16 checksum =
            net::udp_checksum_from_sum(net::sum_add(sum_packet(packet, kUdp), pseudo));
        std::memcpy(udp + offsetof(net::UdpHeader, checksum), &checksum, sizeof(checksum));
    }
}

}  // namespace

IpTunnelInner inspect_inner(const rte_mbuf* packet) noexcept {
    IpTunnelInner inner;
    if (inspect_plain_ipv4(packet, inner)) [[likely]] {
        return inner;
    }
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const net::EtherView ether = net::parse_ether(frame, packet->data_len);
    if (!ether.ok) {
        inner.truncated = true;
        return inner;
    }
    const net::ParsedPacket parsed =
        net::parse_l3(frame, packet->data_len, ether.l3_offset, ether.ether_type);
    inner.type = ether.ether_type;
    inner.l3_offset = ether.l3_offset;
    inner.truncated = parsed.truncated;
    if (parsed.l3 != net::L3::none) {
        inner.l3 = parsed.l3;
        inner.tos = parsed.tos;
        inner.ttl = parsed.ttl;
        inner.dont_fragment = parsed.dont_fragment;
    }
    return inner;
}

namespace {

// What the inner header says of the outer one. Returns what it adds to the header's sum.
std::uint32_t
inherit(const IpTunnelTemplate& outer, const IpTunnelInner& inner, net::Ipv4Header& ip) noexcept {
    std::uint32_t sum = 0;
    if (outer.ttl_inherit) {
        ip.time_to_live = inner.ttl;
        sum += net::Be16{static_cast<std::uint16_t>(inner.ttl << 8)}.raw();
    }
    if (outer.tos_inherit || (inner.tos & net::kEcnMask) != 0) [[unlikely]] {
        std::uint8_t tos = outer.bytes[outer.ip_offset() + 1];
        if (outer.tos_inherit) {
            sum += inherit_tos(outer, inner, tos);
        }
        const std::uint8_t ecn = net::ecn_encapsulate(0, inner.tos);
        ip.type_of_service = static_cast<std::uint8_t>(tos | ecn);
        sum += net::Be16{ecn}.raw();
    }
    if (outer.df_inherit && inner.dont_fragment) {
        const net::Be16 flag{net::kIpv4DontFragment};
        ip.flags_and_offset = flag;
        sum += flag.raw();
    }
    if (outer.is_sit && outer.behind_ip == 0 && inner.type == net::ether_type::kIpv4) {
        ip.protocol = net::ip_protocol::kIpip;
        // RFC 1624: out with the old byte, in with the new one.
        sum += std::uint32_t{static_cast<std::uint16_t>(~net::Be16{net::ip_protocol::kIpv6}.raw())};
        sum += net::Be16{net::ip_protocol::kIpip}.raw();
    }
    return sum;
}

}  // namespace

IpTunnelPushed ip_tunnel_push(
    rte_mbuf* packet,
    const IpTunnelTemplate& outer,
    const IpTunnelInner& inner,
    std::uint16_t identification,
    std::uint32_t sequence
) noexcept {
    constexpr std::uint16_t kLink = IpTunnelTemplate::kLinkHeaderLen;
    constexpr std::uint32_t kRoom = IpTunnelTemplate::kRoom;
    const std::uint16_t stripped = outer.carries_frames ? std::uint16_t{0} : kLink;
    const std::uint32_t room = std::uint32_t{rte_pktmbuf_headroom(packet)} + stripped;
    const auto added = static_cast<std::uint16_t>(outer.length - stripped);
    const std::uint32_t total_length = packet->pkt_len + added - kLink;
    if (room < outer.length) [[unlikely]] {
        return IpTunnelPushed::no_headroom;
    }
    if (total_length > outer.mtu) [[unlikely]] {
        return refuse_size(packet, outer, inner);
    }
    const net::Be16 ip_length{static_cast<std::uint16_t>(total_length)};
    const net::Be16 id{identification};
    const std::uint64_t payload_sum =
        outer.checksum ? sum_packet(packet, stripped) : std::uint64_t{0};

    auto* const frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
    auto* const payload = frame + stripped;
    const net::Be16 port =
        outer.is_flow_port ? ip_tunnel_source_port(frame, packet->data_len) : net::Be16{};
    if (room >= kRoom) [[likely]] {
        std::memcpy(payload - kRoom, outer.bytes.data(), kRoom);
    } else {
        std::memcpy(
            payload - outer.length, outer.bytes.data() + kRoom - outer.length, outer.length
        );
    }
    auto& ip =
        *reinterpret_cast<net::Ipv4Header*>(payload - outer.behind_ip - sizeof(net::Ipv4Header));

    // What is added here is 0 in the template, so an addition to the sum is all.
    std::uint32_t sum = outer.ip_sum + ip_length.raw() + id.raw();
    sum += inherit(outer, inner, ip);
    ip.total_length = ip_length;
    ip.identification = id;
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    ip.checksum = net::Be16::from_raw(static_cast<std::uint16_t>(~sum));

    packet->data_off = static_cast<std::uint16_t>(packet->data_off - added);
    packet->data_len = static_cast<std::uint16_t>(packet->data_len + added);
    packet->pkt_len += added;
    forget_offloads(packet);
    if (outer.patches || inner.type != net::ether_type::kIpv4) [[unlikely]] {
        if (outer.gre_len != 0) {
            patch_gre(payload - outer.gre_len, outer, inner, sequence, payload_sum);
        }
        if (outer.udp_len() != 0) {
            patch_udp(packet, outer, inner, port);
        }
    }
    return IpTunnelPushed::done;
}

net::Be16 ip_tunnel_source_port(const std::uint8_t* frame, std::size_t len) noexcept {
    InnerFlow flow;  // NOLINT(cppcoreguidelines-pro-type-member-init): set where it says so
    const std::uint32_t hash =
        inspect_plain_frame(frame, len, flow) ? flow.hash : inspect_frame(frame, len).flow_hash;
    return net::Be16{
        net::flow_source_port(hash, net::kDefaultSourcePortMin, net::kDefaultSourcePortMax)};
}

}  // namespace culvert::encap
