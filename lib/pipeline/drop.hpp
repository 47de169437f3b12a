// SPDX-License-Identifier: BSD-3-Clause
// Every reason for which a packet ends here, in one table: the name users see, what it means, and
// the kernel counters that move with it. There is no other way to free a packet in the pipeline.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace culvert::pipeline {

// The rtnl_link_stats64 counters a drop moves, by the catalogue's counter tables (2.6, 3.16). A
// set.
enum class KernelCounters : std::uint16_t {
    none = 0,
    rx_errors = 1 << 0,
    rx_dropped = 1 << 1,
    rx_length_errors = 1 << 2,
    rx_crc_errors = 1 << 3,
    rx_frame_errors = 1 << 4,
    rx_fifo_errors = 1 << 5,
    tx_errors = 1 << 6,
    tx_dropped = 1 << 7,
    tx_carrier_errors = 1 << 8,
    tx_aborted_errors = 1 << 9,
    tx_fifo_errors = 1 << 10,
    collisions = 1 << 11,
};

constexpr KernelCounters operator|(KernelCounters a, KernelCounters b) noexcept {
    return static_cast<KernelCounters>(
        static_cast<std::uint16_t>(a) | static_cast<std::uint16_t>(b)
    );
}

constexpr bool contains(KernelCounters set, KernelCounters one) noexcept {
    return (static_cast<std::uint16_t>(set) & static_cast<std::uint16_t>(one)) != 0;
}

enum class Direction : std::uint8_t { rx, tx };

// Name, direction, kernel counters, help. The name is the enumerator.
#define CULVERT_DROP_REASONS(X)                                                                    \
    X(link_down_rx, rx, rx_dropped, "the link it arrived on is not up")                            \
    X(link_down_tx, tx, tx_dropped, "the link it was to leave by is not up")                       \
    X(link_gone, tx, none, "the link was deleted while the packet was on its way")                 \
    X(depth_exceeded,                                                                              \
      tx,                                                                                          \
      tx_dropped,                                                                                  \
      "more than 8 tunnels inside each other: a configuration loop")                               \
    X(pool_exhausted, tx, tx_dropped, "no packet buffer was free for a copy")                      \
    X(vector_full, tx, tx_dropped, "a flood made more copies than a worker can hold at once")      \
    X(ether_truncated, rx, none, "shorter than an Ethernet header")                                \
    X(ether_other_host,                                                                            \
      rx,                                                                                          \
      none,                                                                                        \
      "the destination MAC is another station's, and the link is in no bridge")                    \
    X(ether_type_unknown, rx, none, "nothing here takes this EtherType")                           \
    X(vlan_unknown, rx, none, "tagged for a VLAN that no link has")                                \
    X(vlan_no_room, tx, tx_dropped, "no room in front of the frame for its tag")                   \
    X(bridge_source_invalid, rx, none, "the source MAC is zero or a group")                        \
    X(bridge_link_local,                                                                           \
      rx,                                                                                          \
      none,                                                                                        \
      "a link-local group (01:80:c2:00:00:0x), which a bridge does not forward")                   \
    X(bridge_same_port, rx, none, "the destination is behind the port it came from (hairpin off)") \
    X(bridge_no_port, rx, none, "to be flooded, but no other member can take it")                  \
    X(bridge_mtu_exceeded, tx, none, "larger than the MTU of the member it was to leave by")       \
    X(bridge_not_local, rx, none, "for the bridge itself, which is down or has no use for it")     \
    X(arp_malformed, rx, none, "an ARP packet with wrong lengths, types or addresses")             \
    X(ip4_truncated, rx, none, "shorter than its IPv4 header says")                                \
    X(ip4_version, rx, none, "EtherType IPv4 but another version in the header")                   \
    X(ip4_header_length, rx, none, "IPv4 header length below 20 bytes or beyond the packet")       \
    X(ip4_total_length, rx, none, "IPv4 total length below the header's or beyond the packet")     \
    X(ip4_checksum, rx, none, "wrong IPv4 header checksum")                                        \
    X(ip4_source_invalid,                                                                          \
      rx,                                                                                          \
      none,                                                                                        \
      "source is a group, loopback, the limited broadcast or one of our addresses")                \
    X(ip4_source_route, rx, none, "has a source route option, which routers do not follow")        \
    X(ip4_reverse_path,                                                                            \
      rx,                                                                                          \
      none,                                                                                        \
      "the way back to the source is another link, or there is none (rp_filter)")                  \
    X(ip4_destination_invalid, rx, none, "the destination is loopback or in 0.0.0.0/8")            \
    X(ip4_no_route, rx, none, "no route to the destination")                                       \
    X(ip4_unreachable, rx, none, "the route says unreachable")                                     \
    X(ip4_prohibit, rx, none, "the route says prohibit")                                           \
    X(ip4_blackhole, rx, none, "the route says blackhole")                                         \
    X(ip4_not_forwarded, rx, none, "a group or broadcast address, which is not forwarded")         \
    X(ip4_ttl_exceeded, rx, none, "time to live ran out")                                          \
    X(ip4_too_big,                                                                                 \
      tx,                                                                                          \
      none,                                                                                        \
      "larger than the MTU of the way out, and not to be fragmented (FRAG-02)")                    \
    X(ip4_no_headroom, tx, tx_dropped, "no room for the link header")                              \
    X(ip_filtered, tx, none, "a filter at local-out or post-routing refused it")                   \
    X(fragment_ring_full, rx, none, "a fragment for this processor, and control had too many")     \
    X(fragment_malformed, rx, none, "a fragment without payload, or beside its datagram's end")    \
    X(fragment_duplicate, rx, none, "a fragment that was there already")                           \
    X(fragment_overlap, rx, none, "of a datagram two of whose fragments overlap")                  \
    X(fragment_timeout, rx, none, "of a datagram that was not whole after 30 s (IPv6: 60 s)")      \
    X(fragment_distance,                                                                           \
      rx,                                                                                          \
      none,                                                                                        \
      "of a datagram two of whose fragments had 64 others of their sender in between")             \
    X(fragment_too_big, rx, none, "of a datagram larger than 65535 bytes")                         \
    X(fragment_memory, rx, none, "too many fragments wait for the rest of their datagrams")        \
    X(fragment_ecn, rx, none, "of a datagram only part of which was ECN-capable (RFC 3168, 5.3)")  \
    X(ip4_protocol_unknown,                                                                        \
      rx,                                                                                          \
      none,                                                                                        \
      "for this processor, but nothing here takes this IP protocol")                               \
    X(ip6_truncated, rx, none, "shorter than an IPv6 header")                                      \
    X(ip6_version, rx, none, "EtherType IPv6 but another version in the header")                   \
    X(ip6_payload_length, rx, none, "IPv6 payload length beyond the packet")                       \
    X(ip6_source_invalid,                                                                          \
      rx,                                                                                          \
      none,                                                                                        \
      "source is a group, loopback, IPv4-mapped or one of our addresses")                          \
    X(ip6_destination_invalid,                                                                     \
      rx,                                                                                          \
      none,                                                                                        \
      "the destination is ::, loopback, IPv4-mapped or a group of one node")                       \
    X(ip6_extension_header, rx, none, "an extension header is cut off, or one too many")           \
    X(ip6_option_unknown, rx, none, "an unknown option that says: discard")                        \
    X(ip6_routing_header, rx, none, "a routing header with segments left")                         \
    X(ip6_no_route, rx, none, "no route to the destination")                                       \
    X(ip6_unreachable, rx, none, "the route says unreachable")                                     \
    X(ip6_prohibit, rx, none, "the route says prohibit")                                           \
    X(ip6_blackhole, rx, none, "the route says blackhole")                                         \
    X(ip6_not_forwarded, rx, none, "came as a link-layer group, which is not forwarded")           \
    X(ip6_source_scope, rx, none, "the source is link-local or ::, and not forwarded")             \
    X(ip6_hop_limit, rx, none, "hop limit ran out")                                                \
    X(ip6_too_big, tx, none, "larger than the MTU of the way out")                                 \
    X(ip6_no_headroom, tx, tx_dropped, "no room for the link header")                              \
    X(ip6_group_unknown, rx, none, "to a group that nobody here listens to")                       \
    X(ip6_next_header_unknown,                                                                     \
      rx,                                                                                          \
      none,                                                                                        \
      "for this processor, but nothing here takes what is inside")                                 \
    X(ip6_not_local, rx, none, "to a link-local address that this link has not")                   \
    X(icmp_malformed, rx, none, "ICMP for this processor: truncated or wrong checksum")            \
    X(icmp_not_handled, rx, none, "ICMP for this processor of a type it does not answer")          \
    X(udp_truncated, rx, none, "shorter than a UDP header")                                        \
    X(udp_length, rx, none, "UDP length below 8 or beyond the packet (UdpInErrors)")               \
    X(udp_checksum, rx, none, "wrong UDP checksum (UdpInCsumErrors)")                              \
    X(udp_no_checksum,                                                                             \
      rx,                                                                                          \
      none,                                                                                        \
      "IPv6 without a UDP checksum, which no socket on its port takes (VXLAN-SOCK-11)")            \
    X(udp_no_port, rx, none, "UDP to a port that no tunnel listens on (UdpNoPorts)")               \
    X(vxlan_truncated, rx, none, "shorter than a VXLAN header (VXLAN-RX-01)")                      \
    X(vxlan_no_vni_flag, rx, none, "the I flag is not set (VXLAN-RX-02)")                          \
    X(vxlan_reserved_bits, rx, none, "a reserved flag or byte is not zero (VXLAN-RX-03)")          \
    X(vxlan_unknown_vni, rx, none, "no vxlan link has this VNI on this port (VXLAN-RX-08)")        \
    X(vxlan_inner_truncated,                                                                       \
      rx,                                                                                          \
      none,                                                                                        \
      "the inner frame is shorter than an Ethernet header (VXLAN-RX-09)")                          \
    X(vxlan_own_source, rx, none, "the inner source MAC is the link's own (VXLAN-RX-10)")          \
    X(vxlan_source_invalid,                                                                        \
      rx,                                                                                          \
      none,                                                                                        \
      "learning, and the inner source MAC is zero or a group (VXLAN-LRN-02)")                      \
    X(vxlan_source_pinned,                                                                         \
      rx,                                                                                          \
      none,                                                                                        \
      "the inner source MAC has a static entry behind another VTEP (VXLAN-LRN-04)")                \
    X(vxlan_inner_ip_truncated,                                                                    \
      rx,                                                                                          \
      rx_length_errors | KernelCounters::rx_errors,                                                \
      "the inner IP header is not whole (VXLAN-RX-14)")                                            \
    X(vxlan_ecn,                                                                                   \
      rx,                                                                                          \
      rx_frame_errors | KernelCounters::rx_errors,                                                 \
      "congestion marked outside, but the inner packet is not ECN-capable (TUN-ECN-01)")           \
    X(vxlan_no_destination, tx, tx_dropped, "no FDB entry and no default remote (VXLAN-TX-05)")    \
    X(vxlan_no_remote, tx, tx_dropped, "the FDB entry's remote is 0.0.0.0 (VXLAN-TX-21)")          \
    X(vxlan_no_route,                                                                              \
      tx,                                                                                          \
      tx_carrier_errors | KernelCounters::tx_errors,                                               \
      "no route to the remote (VXLAN-TX-25)")                                                      \
    X(vxlan_loop,                                                                                  \
      tx,                                                                                          \
      collisions | KernelCounters::tx_errors,                                                      \
      "the route to the remote leads into the tunnel itself (VXLAN-TX-26)")                        \
    X(vxlan_local_no_device,                                                                       \
      tx,                                                                                          \
      tx_errors,                                                                                   \
      "the remote is ourselves, and no vxlan link here has that VNI and port (VXLAN-TX-28)")       \
    X(vxlan_no_headroom, tx, tx_errors, "no room for the outer header (VXLAN-TX-32)")              \
    X(vxlan_frame_truncated,                                                                       \
      tx,                                                                                          \
      tx_errors,                                                                                   \
      "to be encapsulated, but shorter than an Ethernet header")                                   \
    X(vxlan_too_big,                                                                               \
      tx,                                                                                          \
      tx_dropped,                                                                                  \
      "outer packet larger than the path's MTU, and not to be fragmented (VXLAN-PMTU-03)")         \
    X(vxlan6_too_big,                                                                              \
      tx,                                                                                          \
      tx_aborted_errors | KernelCounters::tx_errors,                                               \
      "outer IPv6 packet larger than the path's MTU: these are not fragmented (TUN-TX-21)")        \
    X(gue_refused,                                                                                 \
      rx,                                                                                          \
      none,                                                                                        \
      "GUE: truncated, of version 2 or 3, unknown flags, or a control message (FOU-04)")           \
    X(ipip_truncated, rx, none, "no whole IP header behind the outer one (IPIP-RX-01)")            \
    X(gre_truncated, rx, none, "shorter than GRE's header and 8 bytes more (GRE-RX-01)")           \
    X(gre_version, rx, none, "a GRE version other than 0, or reserved bits beside it (GRE-RX-02)") \
    X(gre_routing, rx, none, "GRE with source routing (GRE-RX-03)")                                \
    X(gre_checksum, rx, none, "wrong GRE checksum (GRE-RX-05)")                                    \
    X(ip_tunnel_no_device,                                                                         \
      rx,                                                                                          \
      none,                                                                                        \
      "no tunnel link takes it: addresses, key or protocol (IPIP-RX-02, GRE-RX-11)")               \
    X(ip_tunnel_mode, rx, none, "the ipip link's mode is another (IPIP-RX-04)")                    \
    X(gretap_inner_truncated,                                                                      \
      rx,                                                                                          \
      none,                                                                                        \
      "the inner frame is shorter than an Ethernet header (GRE-RX-15)")                            \
    X(ip_tunnel_checksum_rule,                                                                     \
      rx,                                                                                          \
      rx_crc_errors | KernelCounters::rx_errors,                                                   \
      "with a GRE checksum though the link has no icsum, or without it (TUN-RX-02)")               \
    X(ip_tunnel_sequence,                                                                          \
      rx,                                                                                          \
      rx_fifo_errors | KernelCounters::rx_errors,                                                  \
      "GRE's sequence number is missing or older than the last (TUN-RX-03)")                       \
    X(ip_tunnel_inner_truncated,                                                                   \
      rx,                                                                                          \
      rx_length_errors | KernelCounters::rx_errors,                                                \
      "the inner IP header is not whole (TUN-RX-04)")                                              \
    X(ip_tunnel_ecn,                                                                               \
      rx,                                                                                          \
      rx_frame_errors | KernelCounters::rx_errors,                                                 \
      "congestion marked outside, but the inner packet is not ECN-capable (TUN-RX-05)")            \
    X(ip_tunnel_payload_type, tx, tx_errors, "not of a type that this tunnel carries (IPIP-TX-01)" \
    )                                                                                              \
    X(ipip_packet_truncated,                                                                       \
      tx,                                                                                          \
      tx_errors,                                                                                   \
      "to be encapsulated, but its IP header is not whole (IPIP-TX-02)")                           \
    X(gre_packet_truncated,                                                                        \
      tx,                                                                                          \
      tx_dropped,                                                                                  \
      "to be encapsulated, but its IP header is not whole (GRE-TX-02)")                            \
    X(ip_tunnel_no_remote,                                                                         \
      tx,                                                                                          \
      tx_fifo_errors | KernelCounters::tx_errors,                                                  \
      "the link has no remote, and no route says one (TUN-TX-02)")                                 \
    X(ip_tunnel_no_remote6,                                                                        \
      tx,                                                                                          \
      tx_errors,                                                                                   \
      "the link has no remote, and the IPv6 next hop is no ::a.b.c.d (TUN-TX-04)")                 \
    X(ip_tunnel_no_metadata,                                                                       \
      tx,                                                                                          \
      tx_errors,                                                                                   \
      "an external ipip link, and the packet's route has no encap ip (TUN-TX-06)")                 \
    X(gre_no_metadata,                                                                             \
      tx,                                                                                          \
      tx_dropped,                                                                                  \
      "an external gre, gretap or ip6gre link, and no encap in the packet's route (GRE-TX-07)")    \
    X(ip_tunnel_no_route,                                                                          \
      tx,                                                                                          \
      tx_carrier_errors | KernelCounters::tx_errors,                                               \
      "no route to the remote (TUN-TX-11)")                                                        \
    X(ip_tunnel_loop,                                                                              \
      tx,                                                                                          \
      collisions | KernelCounters::tx_errors,                                                      \
      "the route to the remote leads into the tunnel itself (TUN-TX-12)")                          \
    X(ip_tunnel_local,                                                                             \
      tx,                                                                                          \
      tx_dropped,                                                                                  \
      "the remote is ourselves; a tunnel to oneself is not supported")                             \
    X(ip_tunnel_too_big,                                                                           \
      tx,                                                                                          \
      tx_errors,                                                                                   \
      "larger than the path's MTU, and not to be fragmented (TUN-PMTU-04, -05)")                   \
    X(ip_tunnel_needs_fragments,                                                                   \
      tx,                                                                                          \
      tx_dropped,                                                                                  \
      "outer packet larger than the path's MTU, and not to be fragmented (TUN-PMTU-06)")           \
    X(ip_tunnel_fault_copy,                                                                        \
      tx,                                                                                          \
      none,                                                                                        \
      "a copy, to tell its sender that routers report errors; the packet itself went (TUN-TX-15)") \
    X(ip_tunnel6_no_metadata,                                                                      \
      tx,                                                                                          \
      tx_errors | KernelCounters::tx_dropped,                                                      \
      "an external ip6tnl link, and the packet's route has no encap ip6 (TUN-TX-06)")              \
    X(ip_tunnel6_payload,                                                                          \
      tx,                                                                                          \
      tx_errors | KernelCounters::tx_dropped,                                                      \
      "into a tunnel over IPv6: of no type that it carries, cut off, or from its remote")          \
    X(ip_tunnel6_encap_limit,                                                                      \
      tx,                                                                                          \
      tx_errors | KernelCounters::tx_dropped,                                                      \
      "its encapsulation limit permits no further tunnel (RFC 2473, 4.1.1)")                       \
    X(ip_tunnel6_no_way,                                                                           \
      tx,                                                                                          \
      tx_carrier_errors | KernelCounters::tx_errors | KernelCounters::tx_dropped,                  \
      "from the local address no route leads to the remote, or one of them is missing")            \
    X(ip_tunnel6_loop,                                                                             \
      tx,                                                                                          \
      collisions | KernelCounters::tx_errors | KernelCounters::tx_dropped,                         \
      "the route to the remote leads into the tunnel itself")                                      \
    X(ip_tunnel6_too_big,                                                                          \
      tx,                                                                                          \
      tx_errors | KernelCounters::tx_dropped,                                                      \
      "larger than the path over IPv6 takes; the sender is told")                                  \
    X(ip_tunnel6_needs_fragments,                                                                  \
      tx,                                                                                          \
      tx_aborted_errors | KernelCounters::tx_errors,                                               \
      "outer IPv6 packet larger than the path's MTU: these are not fragmented (TUN-TX-21)")        \
    X(ip_tunnel_no_headroom, tx, tx_dropped, "no room for the outer headers (TUN-TX-17)")          \
    X(neighbour_failed, tx, none, "the next hop did not answer (NEI-02)")                          \
    X(neighbour_queue_full,                                                                        \
      tx,                                                                                          \
      none,                                                                                        \
      "waited for the next hop and was the oldest of too many (NEI-03)")                           \
    X(neighbour_table_full, tx, none, "no room for another neighbour (NEI-09)")                    \
    X(neighbour_removed, tx, none, "waited for a next hop that was deleted")                       \
    X(host_limited, rx, none, "for the host's tap, which is given no more at a time")              \
    X(host_tap_full, rx, none, "for the host's tap, which the kernel would not take")              \
    X(next_hop_limited, rx, none, "of too many packets for next hops whose MAC is not known")      \
    X(discovery_limited, rx, none, "ARP or neighbour discovery, of which the link brings too much" \
    )                                                                                              \
    X(control_ring_full, rx, none, "for control, which had too much waiting")                      \
    X(worker_ring_full, tx, none, "for another worker or from control, whose ring was full")       \
    X(port_tx_full, tx, tx_dropped, "the port's transmit queue took no more")                      \
    X(port_stopped, tx, tx_dropped, "the port is stopped or gone")                                 \
    X(shutdown, rx, none, "still on its way when culvert stopped")

enum class Drop : std::uint8_t {
#define CULVERT_DROP_ENUM(name, direction, counters, help) name,
    CULVERT_DROP_REASONS(CULVERT_DROP_ENUM)
#undef CULVERT_DROP_ENUM
};

struct DropInfo {
    std::string_view name;
    Direction direction;
    KernelCounters counters;
    std::string_view help;
};

inline constexpr auto kDropInfo = std::to_array<DropInfo>({
#define CULVERT_DROP_INFO(name, direction, counters, help)                                         \
    {#name, Direction::direction, KernelCounters::counters, help},
    CULVERT_DROP_REASONS(CULVERT_DROP_INFO)
#undef CULVERT_DROP_INFO
});
inline constexpr std::size_t kDropCount = kDropInfo.size();
static_assert(kDropCount <= 192, "the counter rows are 192 wide");

constexpr const DropInfo& info(Drop reason) noexcept {
    return kDropInfo[static_cast<std::size_t>(reason)];
}

}  // namespace culvert::pipeline
