// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/fou_pop.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/encap/vxlan_pop.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

namespace culvert::encap {

namespace {

// What is inside, and behind how many bytes of UDP and GUE.
struct Inside {
    std::uint16_t len_bytes = sizeof(net::UdpHeader);
    std::uint8_t protocol = 0;
};

// GUE version 1: the IP header's own version says which.
bool read_direct(std::uint8_t first_byte, Inside& inside) noexcept {
    switch (first_byte >> 4) {
    case 4:
        inside.protocol = net::ip_protocol::kIpip;
        return true;
    case 6:
        inside.protocol = net::ip_protocol::kIpv6;
        return true;
    default:
        return false;
    }
}

// The sender left the inner checksum to us: what its field holds is the pseudo header's sum.
bool finish_checksum(
    rte_mbuf* packet, std::size_t payload, const net::GueRemoteChecksum& remote
) noexcept {
    const std::size_t start = payload + remote.start.host();
    const std::size_t at = payload + remote.offset.host();
    if (packet->data_len < std::max(start, at + sizeof(net::Be16))) {
        return false;
    }
    const net::Be16 checksum =
        net::checksum_from_sum(sum_packet(packet, static_cast<std::uint16_t>(start)));
    std::memcpy(rte_pktmbuf_mtod_offset(packet, std::uint8_t*, at), &checksum, sizeof(checksum));
    return true;
}

// gue_udp_recv() and validate_gue_flags(). `offset`: of the GUE header.
bool read_gue(rte_mbuf* packet, std::size_t offset, Inside& inside) noexcept {
    using namespace net::gue;
    if (packet->data_len < offset + sizeof(net::GueHeader)) {
        return false;
    }
    net::GueHeader gue{};
    std::memcpy(&gue, rte_pktmbuf_mtod_offset(packet, const void*, offset), sizeof(gue));
    const auto version = static_cast<std::uint8_t>(gue.version_control_words >> kVersionShift);
    if (version != 0) {
        return version == 1 && read_direct(gue.version_control_words, inside);
    }
    const std::size_t options = std::size_t{4} * (gue.version_control_words & kOptionWords);
    const std::size_t payload = offset + sizeof(gue) + options;
    const std::uint16_t flags = gue.flags.host();
    if (packet->data_len < payload || (flags & ~kPrivate) != 0) {
        return false;
    }
    const auto* fields = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset + sizeof(gue));
    if ((flags & kPrivate) != 0) {
        if (options < sizeof(net::Be32)) {
            return false;
        }
        const std::uint32_t ours =
            net::Be32::from_raw(net::detail::load<std::uint32_t>(fields)).host();
        const bool has_remote_checksum = (ours & kRemoteChecksum) != 0;
        if ((ours & ~kRemoteChecksum) != 0 ||
            (has_remote_checksum && options < kRemoteChecksumLen)) {
            return false;
        }
        net::GueRemoteChecksum remote{};
        if (has_remote_checksum) {
            std::memcpy(&remote, fields + sizeof(ours), sizeof(remote));
            if (!finish_checksum(packet, payload, remote)) {
                return false;
            }
        }
    }
    inside.len_bytes = static_cast<std::uint16_t>(sizeof(net::UdpHeader) + sizeof(gue) + options);
    inside.protocol = gue.protocol;
    return (gue.version_control_words & kControl) == 0;
}

// Moves link and IP header up to what is inside.
void close_up(
    rte_mbuf* packet, std::uint16_t headers_len, std::uint16_t l3_offset, Inside inside
) noexcept {
    auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
    std::memmove(data + inside.len_bytes, data, headers_len);
    strip_front(packet, inside.len_bytes);
    auto& ip = *rte_pktmbuf_mtod_offset(packet, net::Ipv4Header*, l3_offset);
    const net::Be16 length = ip.total_length;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(packet->pkt_len - l3_offset)};
    ip.checksum = net::checksum_update(ip.checksum, length, ip.total_length);
    ip.checksum = net::checksum_update(
        ip.checksum, net::Be16{net::ip_protocol::kUdp}, net::Be16{inside.protocol}
    );
    ip.protocol = inside.protocol;
    forget_offloads(packet);
}

FouTaker taker_of(const FouPort& port) {
    const auto address = [](const net::IpAddress& ip) { return ip.is_v4() ? ip.v4() : 0; };
    return {
        address(port.local),
        address(port.peer),
        port.port,
        port.peer_port,
        port.dev,
        port.protocol};
}

// The more it says, the better it fits (compute_score()).
int score_of(const FouTaker& taker) noexcept {
    return (taker.local == 0 ? 0 : 1) + (taker.peer == 0 ? 0 : 2) + (taker.dev == kNoLink ? 0 : 1);
}

bool fits(const FouTaker& taker, const FouAddresses& packet) noexcept {
    const bool is_from_peer =
        taker.peer == 0 || (taker.peer == packet.peer && taker.peer_port == packet.peer_port);
    return taker.port == packet.port && (taker.local == 0 || taker.local == packet.local) &&
           is_from_peer && (taker.dev == kNoLink || taker.dev == packet.link_in);
}

}  // namespace

const FouTaker* FouPorts::find(const FouAddresses& packet) const noexcept {
    const std::vector<FouTaker>* takers = takers_.read();
    if (takers == nullptr) {
        return nullptr;
    }
    for (const FouTaker& taker : *takers) {
        if (fits(taker, packet)) {
            return &taker;
        }
    }
    return nullptr;
}

void FouPorts::publish(rcu::Domain& domain, const std::vector<FouPort>& ports) {
    std::array<std::uint64_t, 65536 / kBits> open{};
    for (const FouPort& port : ports) {
        open[port.port / kBits] |= std::uint64_t{1} << (port.port % kBits);
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
        open_[i].store(open[i], std::memory_order_relaxed);
    }
    auto takers = std::make_unique<std::vector<FouTaker>>();
    takers->reserve(ports.size());
    std::transform(ports.begin(), ports.end(), std::back_inserter(*takers), taker_of);
    std::stable_sort(takers->begin(), takers->end(), [](const FouTaker& a, const FouTaker& b) {
        return score_of(a) > score_of(b);
    });
    if (takers->empty()) {
        takers.reset();
    }
    takers_.publish(domain, std::move(takers));
}

bool is_perhaps_fou(
    const rte_mbuf* packet, std::uint16_t l3_offset, const FouPorts& ports
) noexcept {
    const std::uint16_t offset = udp_offset_of(packet, l3_offset);
    if (packet->data_len < offset + sizeof(net::UdpHeader)) {
        return false;
    }
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, offset);
    return ports.may_take(udp.destination.host());
}

FouVerdict fou_open(
    rte_mbuf* packet, std::uint16_t l3_offset, LinkId link_in, const FouPorts& ports
) noexcept {
    switch (examine_udp(packet, l3_offset)) {
    case UdpVerdict::good:
        break;
    case UdpVerdict::truncated:
        return FouVerdict::udp_truncated;
    case UdpVerdict::length:
        return FouVerdict::udp_length;
    case UdpVerdict::checksum:
        return FouVerdict::udp_checksum;
    }
    const std::uint16_t offset = udp_offset_of(packet, l3_offset);
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, offset);
    const FouTaker* taker = ports.find(
        {ip.destination.host(),
         ip.source.host(),
         udp.destination.host(),
         udp.source.host(),
         link_in}
    );
    if (taker == nullptr) {
        return FouVerdict::no_port;
    }
    Inside inside{sizeof(net::UdpHeader), taker->protocol};
    if (taker->is_gue() && !read_gue(packet, offset + sizeof(udp), inside)) {
        return FouVerdict::refused;
    }
    close_up(packet, offset, l3_offset, inside);
    return FouVerdict::good;
}

}  // namespace culvert::encap
