// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/tunnel_oversize.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/ip_fragment.hpp"
#include "lib/pipeline/tunnel_answer.hpp"

#include <algorithm>

namespace culvert::pipeline {

namespace {

constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
constexpr std::uint16_t kLargest = UINT16_MAX;  // of an IP packet, bytes

// The packet has its outer headers: out by the way to the remote, in pieces (TUN-PMTU-07).
template <typename Template>
void cut(Worker& worker, rte_mbuf* packet, const Template& outer) noexcept {
    ++worker.ip_identification;
    if (!passes_outer(worker, packet, outer.link_out)) {
        return;
    }
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

// IPv6 is not fragmented on the way, and Linux's tunnels do not fragment what they send over it
// (ip6_fragment() without ignore_df). A frame that was routed here has a sender to tell.
void refuse_oversize6(
    Worker& worker, rte_mbuf* packet, std::uint32_t mtu, const Link& device
) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const net::ParsedPacket inner = net::parse_frame(frame, packet->data_len);
    worker.counters.count(IpCounter::frag_fails);
    const bool is_told =
        device.master == kNoLink && !inner.truncated &&
        (inner.l3 == net::L3::ipv6 || (inner.l3 == net::L3::ipv4 && inner.dont_fragment));
    if (!is_told) {
        worker.drop(packet, device.id, Drop::vxlan6_too_big);
        return;
    }
    IcmpError error = fragmentation_needed(mtu);
    if (inner.l3 == net::L3::ipv6) {
        error.type = net::icmpv6_type::kPacketTooBig;
        error.code = 0;
    }
    error.as_received = false;
    note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker.drop_and_tell(packet, device.id, Drop::vxlan6_too_big, error);
}

}  // namespace

void push_oversize(
    Worker& worker,
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const Link& device,
    TxTally& tx
) noexcept {
    const std::uint32_t mtu = outer.mtu > outer.overhead() ? outer.mtu - outer.overhead() : 0;
    if (answer_oversize(worker, packet, mtu, device, tx)) {
        return;
    }
    if (outer.is_ipv6) {
        refuse_oversize6(worker, packet, mtu, device);
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

namespace {

// dst_link_failure()
IcmpError host_unreachable(const encap::IpTunnelInner& inner) noexcept {
    IcmpError error = inner.l3 == net::L3::ipv6 ? unreachable6(net::icmpv6_unreachable::kAddress)
                                                : unreachable(net::icmp_unreachable::kHost);
    error.as_received = false;
    return error;
}

}  // namespace

[[gnu::cold]] void
refuse_without_way(Worker& worker, rte_mbuf* packet, const Link& device) noexcept {
    const encap::IpTunnelInner inner = encap::inspect_inner(packet);
    if (device.master != kNoLink || inner.l3 == net::L3::none || inner.truncated) {
        worker.drop(packet, device.id, Drop::ip_tunnel6_no_way);
        return;
    }
    note(packet).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker.drop_and_tell(packet, device.id, Drop::ip_tunnel6_no_way, host_unreachable(inner));
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
    note(copy).l3_offset = static_cast<std::uint8_t>(inner.l3_offset);
    worker.drop_and_tell(copy, device.id, Drop::ip_tunnel_fault_copy, host_unreachable(inner));
}

}  // namespace culvert::pipeline
