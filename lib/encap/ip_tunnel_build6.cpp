// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_build6.hpp"

#include "lib/encap/ip_tunnel_build.hpp"
#include "lib/encap/tunnel_path.hpp"
#include "lib/net/checksum.hpp"

#include <algorithm>
#include <cstring>

namespace culvert::encap {

namespace {

// data_len and payload length are 16 bits, and the link header is in front of the IP packet.
constexpr std::uint32_t kMaxOuterIp = 65535 - IpTunnelTemplate6::kLinkHeaderLen;

// RFC 2473, 4.1.1: the limit, and padding behind it.
constexpr std::array<std::uint8_t, kEncapLimitLen>
encap_limit_header(std::uint8_t next_header, std::uint8_t limit) {
    constexpr std::uint8_t kEncapLimit = 4;
    constexpr std::uint8_t kPadN = 1;
    return {next_header, 0, kEncapLimit, 1, limit, kPadN, 1, 0};
}

// Where the array ends is where the payload begins.
void write_headers(
    const IpTunnelConfig& config,
    const net::IpAddress& local,
    const net::IpAddress& remote,
    IpTunnelTemplate6& outer
) {
    std::uint8_t* const end = outer.bytes.data() + IpTunnelTemplate6::kRoom;
    std::uint8_t* const behind_limit = end - outer.gre_len - outer.udp_len;
    const std::uint8_t protocol =
        outer.udp_len != 0 ? net::ip_protocol::kUdp : traits(config.kind).protocol;
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Be32{outer.first_word};
    ip.next_header = protocol;
    ip.hop_limit = config.ttl;
    ip.source = local.bytes();
    ip.destination = remote.bytes();
    if (outer.gre_len != 0) {
        write_gre(config, end - outer.gre_len);
        outer.gre_sum = net::sum_fold(net::sum_bytes(end - outer.gre_len, outer.gre_len));
    }
    if (outer.udp_len != 0) {
        write_udp(config, behind_limit);
    }
    if (outer.limit_len != 0) {
        const auto limit = encap_limit_header(protocol, *config.ip6.encap_limit);
        std::memcpy(behind_limit - limit.size(), limit.data(), limit.size());
        ip.next_header = net::ip_protocol::kDestinationOptions;
    }
    const net::Be16 type{net::ether_type::kIpv6};
    std::memcpy(end - outer.ip_len(), &ip, sizeof(ip));
    std::memcpy(end - outer.ip_len() - sizeof(type), &type, sizeof(type));
}

// ip6_tnl_xmit_ctl(): whoever has no local address does not send, nor does it to ourselves, unless
// that was allowed.
TunnelState judge(
    const net::IpAddress& local,
    LinkId device,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
) {
    if (remote.is_unspecified()) {
        return TunnelState::no_remote;
    }
    return local.is_unspecified() ? TunnelState::no_route
                                  : judge_path(device, local, remote, path, neighbour);
}

}  // namespace

IpTunnelTemplate6 build_ip_tunnel_template6(
    const IpTunnelConfig& config,
    LinkId device,
    const net::IpAddress& remote,
    const route::Path& path,
    const std::optional<route::Adjacency>& neighbour
) {
    const IpTunnelTraits& kind = traits(config.kind);
    IpTunnelTemplate6 outer;
    // Where packets bring their metadata, and no source among it, the route chooses one.
    const bool is_chosen = config.external && config.local.is_unspecified();
    const net::IpAddress& local = is_chosen ? path.source : config.local;
    outer.state = judge(local, device, remote, path, neighbour);
    outer.device = device;
    outer.kind = config.kind;
    outer.carries_frames = kind.carries_frames;
    if (outer.state != TunnelState::ready && outer.state != TunnelState::unresolved) {
        return outer;
    }
    outer.cast = cast_of(remote, path);
    outer.link_out = path.link;
    outer.next_hop = path.next_hop;
    outer.mtu = path.mtu == 0 ? kMaxOuterIp : std::min(path.mtu, kMaxOuterIp);
    outer.udp_len = header_len_bytes(config.udp);
    const std::uint32_t unused = reserved_len_bytes(config.udp) - outer.udp_len;
    outer.mtu = std::max(outer.mtu, unused) - unused;
    outer.udp_checksum = outer.udp_len != 0 && config.udp.checksum6;
    outer.is_flow_port = outer.udp_len != 0 && config.udp.source_port == 0;
    outer.checksum = kind.has_gre && config.out_checksum;
    outer.sequence = kind.has_gre && config.out_sequence;
    outer.hop_limit_inherit = config.ttl == 0;
    outer.class_inherit = config.ip6.class_inherit;
    outer.label_inherit = config.ip6.label_inherit;
    outer.label_of_flow = config.ip6.label_inherit || config.ip6.flow_label == 0;
    outer.marks_congestion = !kind.has_gre;
    // ip6tnl's congestion bits are the packet's; ip6gre's class is sent as it was given.
    const std::uint8_t fixed_class =
        kind.has_gre ? config.tos : static_cast<std::uint8_t>(config.tos & ~3U);
    outer.first_word = net::Ipv6Header::make_first_word(
                           outer.class_inherit ? std::uint8_t{0} : fixed_class,
                           outer.label_of_flow ? 0 : config.ip6.flow_label
    )
                           .host();
    outer.gre_len = gre_len_bytes(config);
    outer.limit_len = config.ip6.encap_limit.has_value() ? kEncapLimitLen : std::uint8_t{0};
    outer.length = static_cast<std::uint8_t>(
        IpTunnelTemplate6::kLinkHeaderLen + sizeof(net::Ipv6Header) + outer.limit_len +
        outer.udp_len + outer.gre_len
    );
    write_headers(config, local, remote, outer);
    if (outer.state == TunnelState::ready) {
        outer.link_out = neighbour->link_out;
        std::memcpy(
            outer.bytes.data() + IpTunnelTemplate6::kRoom - outer.length,
            neighbour->header.data(),
            IpTunnelTemplate6::kLinkHeaderLen
        );
    }
    outer.become(outer.state);
    return outer;
}

}  // namespace culvert::encap
