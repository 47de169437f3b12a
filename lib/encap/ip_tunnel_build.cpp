// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_build.hpp"

#include "lib/encap/tunnel_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ipv6.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace culvert::encap {

namespace {

constexpr std::uint8_t kInheritTos = 1;  // bit 0 (TUN-TX-07)
constexpr std::uint8_t kEcnMask = 3;
// data_len and total length are 16 bits, and the link header is in front of the IP packet.
constexpr std::uint32_t kMaxOuterIp = 65535 - IpTunnelTemplate::kLinkHeaderLen;

net::Ipv4Header ip_header(
    const IpTunnelConfig& config,
    const net::IpAddress& remote,
    const route::Path& path,
    const IpTunnelTemplate& outer
) {
    const net::IpAddress& local = config.local.is_unspecified() ? path.source : config.local;
    net::Ipv4Header ip{};
    ip.version_and_ihl = net::kIpv4VersionIhl;
    // What is inherited is the packet's; the low bits never leave (TUN-ECN-06).
    ip.type_of_service = static_cast<std::uint8_t>(config.tos & ~kEcnMask);
    ip.flags_and_offset = net::Be16{outer.df ? net::kIpv4DontFragment : std::uint16_t{0}};
    ip.time_to_live = config.ttl;
    ip.protocol = config.udp.kind != UdpEncap::Kind::none ? net::ip_protocol::kUdp
                                                          : traits(config.kind).protocol;
    ip.source = net::Be32{local.is_v4() ? local.v4() : 0};
    ip.destination = net::Be32{remote.v4()};
    return ip;
}

// What of a packet decides nothing, and what is copied (IpTunnelTemplate's last fields).
void find_plain(const IpTunnelConfig& config, IpTunnelTemplate& outer) {
    const std::uint8_t stripped = outer.carries_frames ? 0 : IpTunnelTemplate::kLinkHeaderLen;
    outer.added = outer.length - stripped;
    if (outer.is_sit || outer.udp_checksum || !sends(config, net::ether_type::kIpv4)) {
        return;
    }
    const std::uint8_t tos = outer.bytes[outer.ip_offset() + 1];
    if (outer.checksum || outer.sequence || (outer.tos_inherit && tos != 0)) {
        return;
    }
    outer.plain_data_off = IpTunnelTemplate::kRoom - stripped;
    // EtherType and TOS: none to be inherited and no ECN.
    const std::array<std::uint8_t, 4> looked_at{
        0xff, 0xff, 0, outer.tos_inherit ? std::uint8_t{0xff} : kEcnMask};
    std::memcpy(&outer.plain_mask, looked_at.data(), sizeof(outer.plain_mask));
    const std::array<std::uint8_t, 4> copied{
        outer.df_inherit ? std::uint8_t{net::kIpv4DontFragment >> 8} : std::uint8_t{0},
        0,
        outer.ttl_inherit ? std::uint8_t{0xff} : std::uint8_t{0},
        0};
    std::memcpy(&outer.inherited, copied.data(), sizeof(outer.inherited));
    const std::size_t flags = outer.ip_offset() + offsetof(net::Ipv4Header, flags_and_offset);
    std::memcpy(&outer.flags_word, &outer.bytes[flags], sizeof(outer.flags_word));
}

}  // namespace

void write_gre(const IpTunnelConfig& config, std::uint8_t* bytes) {
    const std::uint16_t protocol =
        traits(config.kind).carries_frames ? net::ether_type::kTeb : net::ether_type::kIpv4;
    const net::GreHeader base{net::Be16{gre_flags(config)}, net::Be16{protocol}};
    std::memcpy(bytes, &base, sizeof(base));
    bytes += sizeof(base) + (config.out_checksum ? sizeof(net::GreChecksumField) : 0);
    if (config.out_key.has_value()) {
        const net::Be32 key{*config.out_key};
        std::memcpy(bytes, &key, sizeof(key));
    }
}

void write_udp(const IpTunnelConfig& config, std::uint8_t* bytes) {
    const net::UdpHeader udp{
        net::Be16{config.udp.source_port}, net::Be16{config.udp.destination_port}, {}, {}};
    std::memcpy(bytes, &udp, sizeof(udp));
    if (config.udp.kind == UdpEncap::Kind::gue) {
        const net::GueHeader gue{0, traits(config.kind).protocol, {}};
        std::memcpy(bytes + sizeof(udp), &gue, sizeof(gue));
    }
}

net::IpAddress source_of(const IpTunnelConfig& device, const IpTunnelMetadata& metadata) {
    const IpTunnelTraits& kind = traits(device.kind);
    return kind.has_gre && kind.is_over_ipv6 ? net::IpAddress{} : metadata.source;
}

// TUN-MD-01: DF is neither configured nor the inner packet's; of `tos` 1 alone is special. Over
// IPv6 nothing is, and there is no encapsulation limit (ipxip6_tnl_xmit).
IpTunnelConfig with_metadata(const IpTunnelConfig& device, const IpTunnelMetadata& metadata) {
    const bool is_over_ipv6 = traits(device.kind).is_over_ipv6;
    IpTunnelConfig one = device;
    one.local = source_of(device, metadata);
    one.lower = kNoLink;
    one.ttl = metadata.ttl;
    one.tos = metadata.tos;
    if (is_over_ipv6) {
        one.ip6 = {.encap_limit = std::nullopt};
    } else if (metadata.tos != kInheritTos) {
        one.tos &= static_cast<std::uint8_t>(~kEcnMask);
    }
    one.pmtudisc = false;
    one.ignore_df = true;
    one.out_key =
        metadata.key ? std::optional(static_cast<std::uint32_t>(metadata.id)) : std::nullopt;
    one.out_checksum = metadata.checksum;
    one.out_sequence = metadata.sequence;
    return one;
}

IpTunnelTemplate build_ip_tunnel_template(
    const IpTunnelConfig& config,
    LinkId device,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
) {
    IpTunnelTemplate outer;
    outer.state = judge_path(device, config.local, remote, path, neighbour);
    outer.device = device;
    outer.kind = config.kind;
    outer.carries_frames = traits(config.kind).carries_frames;
    if (outer.state != TunnelState::ready && outer.state != TunnelState::unresolved) {
        return outer;
    }
    outer.cast = cast_of(remote, path);
    outer.link_out = path.link;
    outer.next_hop = path.next_hop;
    outer.mtu = path.mtu == 0 ? kMaxOuterIp : std::min(path.mtu, kMaxOuterIp);
    const std::uint8_t udp_len = header_len_bytes(config.udp);
    const std::uint32_t unused = reserved_len_bytes(config.udp) - udp_len;
    outer.mtu = std::max(outer.mtu, unused) - unused;
    outer.checksum = traits(config.kind).has_gre && config.out_checksum;
    outer.sequence = traits(config.kind).has_gre && config.out_sequence;
    outer.patches = outer.checksum || outer.sequence || udp_len != 0;
    outer.udp_checksum = udp_len != 0 && config.udp.checksum;
    outer.is_flow_port = udp_len != 0 && config.udp.source_port == 0;
    outer.ttl_inherit = config.ttl == 0;
    outer.is_sit = config.kind == IpTunnelKind::sit;
    outer.tos_inherit = outer.is_sit ? config.tos == kInheritTos : (config.tos & kInheritTos) != 0;
    // TUN-TX-13; TUN-TX-20: a route with a locked MTU sends without DF.
    outer.df = config.pmtudisc && !path.mtu_locked;
    if (outer.is_sit && outer.mtu < net::kIpv6MinMtu + sizeof(net::Ipv4Header)) {
        outer.df = false;  // ipip6_tunnel_xmit(): what IPv6 may count on goes in fragments
    }
    outer.inner_df_counts = !config.ignore_df;
    outer.df_inherit = outer.inner_df_counts && !config.pmtudisc && !path.mtu_locked;

    outer.gre_len = gre_len_bytes(config);
    outer.behind_ip = static_cast<std::uint8_t>(udp_len + outer.gre_len);
    outer.length = static_cast<std::uint8_t>(
        IpTunnelTemplate::kLinkHeaderLen + sizeof(net::Ipv4Header) + outer.behind_ip
    );
    std::uint8_t* const end = outer.bytes.data() + IpTunnelTemplate::kRoom;
    std::uint8_t* const gre = end - outer.gre_len;
    std::uint8_t* const behind_ip = end - outer.behind_ip;
    const net::Ipv4Header ip = ip_header(config, remote, path, outer);
    const net::Be16 type{net::ether_type::kIpv4};
    std::memcpy(behind_ip - sizeof(ip), &ip, sizeof(ip));
    std::memcpy(behind_ip - sizeof(ip) - sizeof(type), &type, sizeof(type));
    if (udp_len != 0) {
        write_udp(config, behind_ip);
    }
    if (outer.gre_len != 0) {
        write_gre(config, gre);
    }
    outer.ip_sum = net::sum_fold(net::ipv4_header_sum(ip));
    outer.gre_sum = net::sum_fold(net::sum_bytes(gre, outer.gre_len));
    if (outer.state == TunnelState::ready) {
        outer.link_out = neighbour->link_out;
        std::memcpy(end - outer.length, neighbour->header.data(), IpTunnelTemplate::kLinkHeaderLen);
    }
    find_plain(config, outer);
    outer.become(outer.state);
    return outer;
}

}  // namespace culvert::encap
