// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/tunnel_answer.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/parse.hpp"

#include <algorithm>
#include <cstring>

namespace culvert::pipeline {

namespace {

constexpr std::uint16_t kEther = sizeof(net::EtherHeader);

// Whether Linux answers a frame out of a bridge in its receiver's name
// (iptunnel_pmtud_check_icmp): IPv4 with DF and nothing else beside the offset, from a host to a
// host, and no ICMP error.
bool is_answerable4(const rte_mbuf* packet, std::uint32_t mtu) noexcept {
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

// A frame on its way to become an answer to its sender: cut to what is quoted, with room for new
// headers in front of that.
template <typename Ip, typename Icmp>
struct Opening {
    net::EtherHeader ether{};
    Ip about{};                    // of the packet that is quoted
    std::uint64_t quoted_sum = 0;  // one's complement, of what is quoted

    // `most`: bytes of the answer's IP packet. False: no headroom, and the frame is as it was.
    [[nodiscard]] bool make(rte_mbuf* packet, std::uint32_t most) noexcept {
        constexpr std::uint16_t kAdded = sizeof(Ip) + sizeof(Icmp);
        if (rte_pktmbuf_headroom(packet) < kAdded) {
            return false;
        }
        const net::EtherHeader asked = *rte_pktmbuf_mtod(packet, const net::EtherHeader*);
        ether = {asked.source, asked.destination, asked.type};
        about = *rte_pktmbuf_mtod_offset(packet, const Ip*, kEther);
        encap::trim_to(packet, std::min<std::uint32_t>(packet->pkt_len, kEther + most - kAdded));
        encap::strip_front(packet, kEther);
        quoted_sum = encap::sum_packet(packet, 0);
        return rte_pktmbuf_prepend(packet, static_cast<std::uint16_t>(kAdded + kEther)) != nullptr;
    }

    void fill(rte_mbuf* packet, const Ip& ip, const Icmp& icmp) const noexcept {
        auto* bytes = rte_pktmbuf_mtod(packet, std::uint8_t*);
        std::memcpy(bytes, &ether, sizeof(ether));
        std::memcpy(bytes + kEther, &ip, sizeof(ip));
        std::memcpy(bytes + kEther + sizeof(ip), &icmp, sizeof(icmp));
        encap::forget_offloads(packet);
    }
};

// The frame becomes the answer to its sender (iptunnel_pmtud_build_icmp). False: no headroom.
bool make_answer4(rte_mbuf* packet, std::uint32_t mtu) noexcept {
    constexpr std::uint32_t kMost = 576;
    Opening<net::Ipv4Header, net::IcmpHeader> opening;
    if (!opening.make(packet, kMost)) {
        return false;
    }
    const net::Ipv4Header& about = opening.about;
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
    icmp.checksum = net::checksum_from_sum(net::sum_bytes(&icmp, sizeof(icmp), opening.quoted_sum));
    opening.fill(packet, ip, icmp);
    return true;
}

// The same for IPv6 (iptunnel_pmtud_check_icmpv6).
bool is_answerable6(const rte_mbuf* packet, std::uint32_t mtu) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const net::ParsedPacket inner = net::parse_frame(frame, packet->data_len);
    if (mtu < net::kIpv6MinMtu || inner.l3 != net::L3::ipv6 || inner.l3_offset != kEther ||
        inner.is_fragment || inner.l4_offset == 0) {
        return false;
    }
    const auto& ip = *reinterpret_cast<const net::Ipv6Header*>(frame + kEther);
    const auto source = net::IpAddress::from_v6(ip.source);
    if (source.is_unspecified() || source.is_multicast() || source.is_loopback() ||
        net::IpAddress::from_v6(ip.destination).is_multicast()) {
        return false;
    }
    if (inner.protocol != net::ip_protocol::kIcmpv6) {
        return true;
    }
    // All below echo request are errors.
    return packet->data_len > inner.l4_offset &&
           frame[inner.l4_offset] >= net::icmpv6_type::kEchoRequest &&
           frame[inner.l4_offset] != net::icmpv6_type::kRedirect;
}

bool make_answer6(rte_mbuf* packet, std::uint32_t mtu) noexcept {
    Opening<net::Ipv6Header, net::Icmpv6Header> opening;
    if (!opening.make(packet, net::kIpv6MinMtu)) {
        return false;
    }
    const net::Ipv6Header& about = opening.about;
    const auto len = static_cast<std::uint16_t>(packet->pkt_len - kEther - sizeof(net::Ipv6Header));
    net::Ipv6Header ip{};
    ip.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
    ip.payload_length = net::Be16{len};
    ip.next_header = net::ip_protocol::kIcmpv6;
    ip.hop_limit = about.hop_limit;
    ip.source = about.destination;
    ip.destination = about.source;
    net::Icmpv6Header icmp{net::icmpv6_type::kPacketTooBig, 0, net::Be16{0}, net::Be32{mtu}};
    const std::uint64_t pseudo =
        net::pseudo_header_sum_v6(ip.source, ip.destination, ip.next_header, len);
    icmp.checksum = net::checksum_from_sum(
        net::sum_add(net::sum_bytes(&icmp, sizeof(icmp), opening.quoted_sum), pseudo)
    );
    opening.fill(packet, ip, icmp);
    return true;
}

// Which of the two, if any. False: the packet is as it was.
bool make_answer(Worker& worker, rte_mbuf* packet, std::uint32_t mtu) noexcept {
    if (is_answerable4(packet, mtu) && make_answer4(packet, mtu)) {
        worker.counters.count(IpCounter::icmp_out_errors);
        worker.counters.count(IpCounter::icmp_out_dest_unreachs);
        worker.counters.count(IpCounter::icmp_out_frag_needed);
        return true;
    }
    return is_answerable6(packet, mtu) && make_answer6(packet, mtu);
}

}  // namespace

// As if it had come out of the tunnel, and counted as a bypass (VXLAN-BYP-01).
bool answer_oversize(
    Worker& worker, rte_mbuf* packet, std::uint32_t mtu, const Link& device, TxTally& tx
) noexcept {
    const bool is_bridged = device.master != kNoLink;
    if (!is_bridged || worker.vector(Stage::bridge).room() == 0 ||
        note(packet).depth >= kMaxDepth || !make_answer(worker, packet, mtu)) {
        return false;
    }
    ++note(packet).depth;
    tx.add(device.id, packet->pkt_len);
    LinkCounters& row = worker.counters.link(device.id);
    row.rx_packets.add(1);
    row.rx_bytes.add(packet->pkt_len);
    note(packet).for_us = true;
    worker.input(packet, device);
    return true;
}

}  // namespace culvert::pipeline
