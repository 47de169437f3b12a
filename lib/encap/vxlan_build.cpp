// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/vxlan_build.hpp"

#include "lib/encap/tunnel_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ecn.hpp"
#include "lib/net/flow_hash.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/udp.hpp"

#include <algorithm>
#include <cstring>

namespace culvert::encap {

namespace {

constexpr std::uint8_t kInheritTos = 1;
// data_len and total length are 16 bits, and the link header is in front of the IP packet.
constexpr std::uint32_t kMaxOuterIp = 65535 - VxlanTemplate::kLinkHeaderLen;

std::uint8_t time_to_live(const VxlanConfig& config, const net::IpAddress& remote) {
    if (config.ttl_inherit) {
        return 0;
    }
    if (config.ttl != 0) {
        return config.ttl;
    }
    return remote.is_multicast() ? 1 : net::kIpv4DefaultTtl;
}

// TUN-TX-20: a route with a locked MTU sends without DF.
DontFragment dont_fragment(const VxlanConfig& config, const route::Path& path) {
    return path.mtu_locked ? DontFragment::unset : config.df;
}

void set_source_ports(const VxlanConfig& config, VxlanTemplate& outer) {
    std::uint16_t min = config.source_port_min;
    std::uint16_t max = config.source_port_max;
    if (min >= max) {
        min = net::kDefaultSourcePortMin;
        max = net::kDefaultSourcePortMax;
    }
    outer.source_port_min = min;
    outer.source_port_span = static_cast<std::uint16_t>(max - min);
}

// DSCP alone: the congestion bits are the packet's (TUN-ECN-05).
std::uint8_t traffic_class(const VxlanConfig& config, const VxlanTemplate& outer) {
    return outer.tos_inherit ? std::uint8_t{0}
                             : static_cast<std::uint8_t>(config.tos & ~net::kEcnMask);
}

// Where the UDP header begins; `pseudo` is the sum of its pseudo header but for the length.
void write_udp(
    const VxlanRemote& remote, std::uint8_t offset, std::uint64_t pseudo, VxlanTemplate& outer
) {
    net::UdpHeader udp{};
    udp.destination = net::Be16{remote.port};
    const net::VxlanHeader vxlan = net::VxlanHeader::make(remote.vni);
    std::uint8_t* const bytes = outer.bytes.data() + offset;
    std::memcpy(bytes, &udp, sizeof(udp));
    std::memcpy(bytes + sizeof(udp), &vxlan, sizeof(vxlan));
    outer.udp_sum = net::sum_fold(net::sum_bytes(bytes, sizeof(udp) + sizeof(vxlan), pseudo));
}

void write_ipv4(
    const VxlanConfig& config,
    const VxlanRemote& remote,
    const net::IpAddress& local,
    VxlanTemplate& outer
) {
    net::Ipv4Header ip{};
    ip.version_and_ihl = net::kIpv4VersionIhl;
    ip.type_of_service = traffic_class(config, outer);
    ip.flags_and_offset =
        net::Be16{outer.df == DontFragment::set ? net::kIpv4DontFragment : std::uint16_t{0}};
    ip.time_to_live = time_to_live(config, remote.address);
    ip.protocol = net::ip_protocol::kUdp;
    ip.source = net::Be32{local.is_v4() ? local.v4() : 0};
    ip.destination = net::Be32{remote.address.v4()};
    std::memcpy(outer.bytes.data() + VxlanTemplate::kIpOffset, &ip, sizeof(ip));
    outer.ip_sum = net::sum_fold(net::ipv4_header_sum(ip));
    const std::uint64_t pseudo =
        net::pseudo_header_sum_v4(ip.source, ip.destination, net::ip_protocol::kUdp, 0);
    write_udp(remote, VxlanTemplate::kUdpOffset, pseudo, outer);
}

void write_ipv6(
    const VxlanConfig& config,
    const VxlanRemote& remote,
    const net::IpAddress& local,
    VxlanTemplate& outer
) {
    net::Ipv6Header ip{};
    ip.version_class_flow =
        net::Ipv6Header::make_first_word(traffic_class(config, outer), config.flow_label);
    ip.next_header = net::ip_protocol::kUdp;
    ip.hop_limit = time_to_live(config, remote.address);
    ip.source = local.bytes();
    ip.destination = remote.address.bytes();
    std::memcpy(outer.bytes.data() + VxlanTemplate::kIpOffset, &ip, sizeof(ip));
    const std::uint64_t pseudo =
        net::pseudo_header_sum_v6(ip.source, ip.destination, net::ip_protocol::kUdp, 0);
    write_udp(remote, VxlanTemplate::kUdpOffsetIpv6, pseudo, outer);
}

void write_headers(
    const VxlanConfig& config,
    const VxlanRemote& remote,
    const route::Path& path,
    VxlanTemplate& outer
) {
    const net::IpAddress& local = config.local.is_unspecified() ? path.source : config.local;
    const net::Be16 type{outer.is_ipv6 ? net::ether_type::kIpv6 : net::ether_type::kIpv4};
    std::memcpy(outer.bytes.data() + offsetof(net::EtherHeader, type), &type, sizeof(type));
    if (outer.is_ipv6) {
        write_ipv6(config, remote, local, outer);
    } else {
        write_ipv4(config, remote, local, outer);
    }
}

}  // namespace

VxlanTemplate build_vxlan_template(
    const VxlanConfig& config,
    LinkId device,
    const VxlanRemote& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
) {
    VxlanTemplate outer;
    outer.state = judge_path(device, config.local, remote.address, path, neighbour);
    outer.device = device;
    outer.vni = remote.vni;
    outer.destination_port = remote.port;
    outer.is_ipv6 = !remote.address.is_v4();
    if (outer.state != TunnelState::ready && outer.state != TunnelState::unresolved) {
        return outer;
    }
    outer.link_out = path.link;
    outer.next_hop = path.next_hop;
    outer.mtu = path.mtu == 0 ? kMaxOuterIp : std::min(path.mtu, kMaxOuterIp);
    outer.udp_checksum = outer.is_ipv6 ? !config.no_checksum6_tx : config.udp_checksum;
    outer.ttl_inherit = config.ttl_inherit;
    outer.tos_inherit = config.tos == kInheritTos;
    outer.df = outer.is_ipv6 ? DontFragment::unset : dont_fragment(config, path);
    outer.cast = cast_of(remote.address, path);
    outer.inherits = outer.ttl_inherit || outer.tos_inherit || outer.df == DontFragment::inherit ||
                     outer.cast != Cast::unicast;
    outer.is_plain = !outer.inherits && !outer.is_ipv6;
    set_source_ports(config, outer);
    write_headers(config, remote, path, outer);
    if (outer.state == TunnelState::ready) {
        outer.link_out = neighbour->link_out;
        std::memcpy(outer.bytes.data(), neighbour->header.data(), VxlanTemplate::kLinkHeaderLen);
    }
    return outer;
}

}  // namespace culvert::encap
