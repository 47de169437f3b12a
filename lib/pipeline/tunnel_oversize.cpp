// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/tunnel_oversize.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/ip_fragment.hpp"

#include <algorithm>
#include <cstring>

namespace culvert::pipeline {

namespace {

constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
constexpr std::uint16_t kLargest = UINT16_MAX;  // of an IP packet, bytes

// The packet has its outer headers: out by the way to the remote, in pieces (TUN-PMTU-07).
template <typename Template>
void cut(Worker& worker, rte_mbuf* packet, const Template& outer) noexcept {
    ++worker.ip_identification;
    Note& packet_note = note(packet);
    packet_note.l3_offset = kEther;
    packet_note.link_out = outer.link_out;
    next_hop_of(packet) = outer.next_hop;
    fragment_cut_of(packet) = {
        static_cast<std::uint16_t>(std::min<std::uint32_t>(outer.mtu, kLargest)),
        0,
        outer.state == encap::TunnelState::unresolved,
        worker.fragment_ids.next()};
    worker.enqueue(Stage::ip_fragment, packet);
}

bool has_room(Worker& worker, rte_mbuf* packet, LinkId device) noexcept {
    if (worker.vector(Stage::ip_fragment).room() == 0) {
        worker.drop(packet, device, Drop::vector_full);
        return false;
    }
    return true;
}

// TUN-PMTU-04, -05: the MTU that the sender is told of. A frame that a bridge sent has no route and
// no sender to tell (icmp_send() without a dst); one that was routed here has.
void tell_sender(Worker& worker, rte_mbuf* packet, const encap::IpTunnelTemplate& outer) noexcept {
    const Link* device = worker.tables.links.read(outer.device);
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    if (device == nullptr || device->master != kNoLink || inner.l3 == net::L3::none) {
        worker.drop(packet, outer.device, Drop::ip_tunnel_too_big);
        return;
    }
    const std::uint32_t link_len = outer.carries_frames ? kEther : 0U;
    const std::uint32_t overhead = outer.length - std::uint32_t{kEther} + link_len;
    IcmpError error = fragmentation_needed(outer.mtu > overhead ? outer.mtu - overhead : 0);
    if (inner.l3 == net::L3::ipv6) {
        error.type = net::icmpv6_type::kPacketTooBig;
        error.code = 0;
    }
    error.as_received = false;
    note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker.drop_and_tell(packet, outer.device, Drop::ip_tunnel_too_big, error);
}

}  // namespace

void push_oversize(
    Worker& worker,
    rte_mbuf* packet,
    const encap::IpTunnelTemplate& outer,
    std::uint32_t sequence,
    encap::IpTunnelPushed why,
    TxTally& tx
) noexcept {
    if (why == encap::IpTunnelPushed::no_headroom) {
        worker.drop(packet, outer.device, Drop::ip_tunnel_no_headroom);
        return;
    }
    if (why == encap::IpTunnelPushed::too_big) {
        tell_sender(worker, packet, outer);
        return;
    }
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    // TUN-PMTU-06; the ICMP error would go to ourselves.
    const bool has_df = outer.df || (outer.df_inherit && inner.dont_fragment);
    encap::IpTunnelTemplate whole = outer;
    whole.mtu = kLargest;
    if (!has_df && !has_room(worker, packet, outer.device)) {
        return;
    }
    const std::uint32_t len = packet->pkt_len;
    if (has_df || encap::ip_tunnel_push(packet, whole, inner, worker.ip_identification, sequence) !=
                      encap::IpTunnelPushed::done) {
        worker.counters.count(IpCounter::frag_fails);
        worker.drop(packet, outer.device, Drop::ip_tunnel_needs_fragments);
        return;
    }
    tx.add(outer.device, len - inner.l3_offset);
    cut(worker, packet, outer);
}

namespace {

// Whether Linux answers a frame out of a bridge in its receiver's name
// (iptunnel_pmtud_check_icmp): IPv4 with DF and nothing else beside the offset, from a host to a
// host, and no ICMP error.
bool is_answerable(const rte_mbuf* packet, std::uint32_t mtu) noexcept {
    constexpr std::uint32_t kLeastMtu = 576;
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto& ether = *reinterpret_cast<const net::EtherHeader*>(frame);
    if (mtu < kLeastMtu || packet->data_len < kEther + sizeof(net::Ipv4Header) ||
        ether.type.host() != net::ether_type::kIpv4) {
        return false;
    }
    const auto& ip = *reinterpret_cast<const net::Ipv4Header*>(frame + kEther);
    const auto source = net::IpAddress::from_v4(ip.source.host());
    const auto destination = net::IpAddress::from_v4(ip.destination.host());
    if (ip.header_len_bytes() < sizeof(ip) ||
        ip.flags_and_offset.host() != net::kIpv4DontFragment || destination.is_multicast() ||
        destination.v4() == net::kIpv4LimitedBroadcast || source.v4() >> 24 == 0 ||
        source.is_loopback() || source.is_multicast() ||
        source.v4() == net::kIpv4LimitedBroadcast) {
        return false;
    }
    if (ip.protocol != net::ip_protocol::kIcmp) {
        return true;
    }
    const std::size_t type_offset = kEther + ip.header_len_bytes();
    return packet->data_len > type_offset && !net::is_icmp_error(frame[type_offset]);
}

// The frame becomes the answer to its sender (iptunnel_pmtud_build_icmp). False: no headroom.
bool make_answer(rte_mbuf* packet, std::uint32_t mtu) noexcept {
    constexpr std::uint16_t kAdded = sizeof(net::Ipv4Header) + sizeof(net::IcmpHeader);
    constexpr std::uint32_t kMostQuoted = 576 - kAdded;
    if (rte_pktmbuf_headroom(packet) < kAdded) {
        return false;
    }
    const net::EtherHeader asked = *rte_pktmbuf_mtod(packet, const net::EtherHeader*);
    const net::Ipv4Header about = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, kEther);
    encap::trim_to(packet, std::min<std::uint32_t>(packet->pkt_len, kEther + kMostQuoted));
    encap::strip_front(packet, kEther);
    const std::uint64_t quoted = encap::sum_packet(packet, 0);

    auto* bytes = reinterpret_cast<std::uint8_t*>(
        rte_pktmbuf_prepend(packet, static_cast<std::uint16_t>(kAdded + kEther))
    );
    const net::EtherHeader ether{asked.source, asked.destination, asked.type};
    net::Ipv4Header ip{};
    ip.version_and_ihl = net::kIpv4VersionIhl;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(packet->pkt_len - kEther)};
    ip.flags_and_offset = net::Be16{net::kIpv4DontFragment};
    ip.time_to_live = about.time_to_live;
    ip.protocol = net::ip_protocol::kIcmp;
    ip.source = about.destination;
    ip.destination = about.source;
    ip.checksum = net::ipv4_header_checksum(ip);
    net::IcmpHeader icmp{
        net::icmp_type::kDestinationUnreachable,
        net::icmp_unreachable::kFragmentationNeeded,
        net::Be16{0},
        net::Be32{mtu}};
    icmp.checksum = net::checksum_from_sum(net::sum_bytes(&icmp, sizeof(icmp), quoted));
    std::memcpy(bytes, &ether, sizeof(ether));
    std::memcpy(bytes + kEther, &ip, sizeof(ip));
    std::memcpy(bytes + kEther + sizeof(ip), &icmp, sizeof(icmp));
    encap::forget_offloads(packet);
    return true;
}

// VXLAN-PMTU-02: as if it had come out of the tunnel, and counted as a bypass (VXLAN-BYP-01).
// False: this one is not answered.
bool answer(
    Worker& worker, rte_mbuf* packet, std::uint32_t mtu, const Link& device, TxTally& tx
) noexcept {
    const bool is_bridged = device.master != kNoLink;
    if (!is_bridged || !is_answerable(packet, mtu) || worker.vector(Stage::bridge).room() == 0 ||
        note(packet).depth >= kMaxDepth || !make_answer(packet, mtu)) {
        return false;
    }
    ++note(packet).depth;
    worker.counters.count(IpCounter::icmp_out_errors);
    worker.counters.count(IpCounter::icmp_out_dest_unreachs);
    worker.counters.count(IpCounter::icmp_out_frag_needed);
    tx.add(device.id, packet->pkt_len);
    LinkCounters& row = worker.counters.link(device.id);
    row.rx_packets.add(1);
    row.rx_bytes.add(packet->pkt_len);
    note(packet).for_us = true;
    worker.input(packet, device);
    return true;
}

}  // namespace

void push_oversize(
    Worker& worker,
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const Link& device,
    TxTally& tx
) noexcept {
    constexpr std::uint32_t kOverhead = encap::kVxlanOverheadIpv4;
    const std::uint32_t mtu = outer.mtu > kOverhead ? outer.mtu - kOverhead : 0;
    if (answer(worker, packet, mtu, device, tx)) {
        return;
    }
    const encap::InnerFrame inner =
        encap::inspect_frame(rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len);
    const bool inner_df = inner.parsed.l3 == net::L3::ipv6 || inner.parsed.dont_fragment;
    const bool has_df = outer.df == encap::DontFragment::set ||
                        (outer.df == encap::DontFragment::inherit && inner_df);
    encap::VxlanTemplate whole = outer;
    whole.mtu = kLargest;
    if (!has_df && !has_room(worker, packet, device.id)) {
        return;
    }
    const std::uint32_t len = packet->pkt_len;
    if (has_df || encap::vxlan_push(packet, whole, inner, worker.ip_identification) !=
                      encap::VxlanPushed::done) {
        worker.counters.count(IpCounter::frag_fails);
        worker.drop(packet, device.id, Drop::vxlan_too_big);
        return;
    }
    tx.add(device.id, len - std::max(inner.parsed.l3_offset, kEther));
    cut(worker, packet, outer);
}

void tell_of_fault(Worker& worker, rte_mbuf* packet, const Link& device) noexcept {
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    const bool is_due = device.faults != nullptr && device.faults->take();
    if (!is_due || device.master != kNoLink || inner.l3 == net::L3::none || inner.truncated) {
        return;
    }
    rte_mbuf* copy = worker.copy(packet);
    if (copy == nullptr) {
        return;
    }
    IcmpError error = unreachable(net::icmp_unreachable::kHost);
    if (inner.l3 == net::L3::ipv6) {
        error.type = net::icmpv6_type::kDestinationUnreachable;
        error.code = net::icmpv6_unreachable::kAddress;
    }
    error.as_received = false;
    note(copy).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker.drop_and_tell(copy, device.id, Drop::ip_tunnel_fault_copy, error);
}

}  // namespace culvert::pipeline
