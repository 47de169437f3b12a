// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/fou_pop.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/encap/vxlan_pop.hpp"
#include "lib/encap/vxlan_pop6.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"

#include <algorithm>
#include <cstring>
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
[[gnu::always_inline]] inline bool
read_gue(rte_mbuf* packet, std::size_t offset, Inside& inside) noexcept {
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

// What the two families do differently. finish() makes the IP header say what is inside and how
// long it is, headers and all. `behind`: from its begin to where UDP stood.
template <typename Address>
struct Family;

template <>
struct Family<std::uint32_t> {
    using Header = net::Ipv4Header;
    static constexpr bool kIsIpv6 = false;

    static std::uint32_t make(const net::IpAddress& address) noexcept {
        return address.is_v4() ? address.v4() : 0;
    }

    static std::uint32_t make(net::Be32 address) noexcept { return address.host(); }

    static std::uint16_t udp_offset(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
        return udp_offset_of(packet, l3_offset);
    }

    static UdpVerdict examine(rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
        return examine_udp(packet, l3_offset);
    }

    static void
    finish(std::uint8_t* header, std::size_t len_bytes, std::size_t, std::uint8_t protocol, FouInside&) noexcept {
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(header);
        const net::Be16 length = ip.total_length;
        ip.total_length = net::Be16{static_cast<std::uint16_t>(len_bytes)};
        ip.checksum = net::checksum_update(ip.checksum, length, ip.total_length);
        ip.checksum = net::checksum_update(
            ip.checksum, net::Be16{net::ip_protocol::kUdp}, net::Be16{protocol}
        );
        ip.protocol = protocol;
    }
};

template <>
struct Family<net::IpAddress> {
    using Header = net::Ipv6Header;
    static constexpr bool kIsIpv6 = true;

    static net::IpAddress make(const net::IpAddress& address) noexcept {
        return address.is_unspecified() ? net::IpAddress{} : address;
    }

    static net::IpAddress make(const std::array<std::uint8_t, 16>& address) noexcept {
        return net::IpAddress::from_v6(address);
    }

    static std::uint16_t udp_offset(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
        return udp_offset_of6(packet, l3_offset);
    }

    static UdpVerdict examine(rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
        return examine_udp6(packet, l3_offset);
    }

    static void finish(
        std::uint8_t* header,
        std::size_t len_bytes,
        std::size_t behind,
        std::uint8_t protocol,
        FouInside& inside
    ) noexcept {
        auto& ip = *reinterpret_cast<net::Ipv6Header*>(header);
        ip.payload_length = net::Be16{static_cast<std::uint16_t>(len_bytes - sizeof(ip))};
        // The last of the extension headers has the word, or IPv6's own.
        std::uint8_t* word = &ip.next_header;
        for (std::size_t at = sizeof(ip); at < behind;) {
            const std::uint8_t type = *word;
            word = header + at;
            std::size_t len = (std::size_t{word[1]} + 1) * 8;
            if (type == net::ip_protocol::kFragment) {
                len = sizeof(net::Ipv6FragmentHeader);
            } else if (type == net::ip_protocol::kAuthentication) {
                len = (std::size_t{word[1]} + 2) * 4;
            }
            at += len;
        }
        *word = protocol;
        inside.said_at = static_cast<std::size_t>(word - header);
    }
};

// Moves link and IP header up to what is inside, `headers_len` bytes of them.
template <typename Address>
[[gnu::always_inline]] inline void close_up(
    rte_mbuf* packet,
    std::uint16_t headers_len,
    std::uint16_t l3_offset,
    const Inside& found,
    FouInside& inside
) noexcept {
    auto* const front = rte_pktmbuf_mtod(packet, std::uint8_t*) + found.len_bytes;
    std::memmove(front, front - found.len_bytes, headers_len);
    strip_front(packet, found.len_bytes);
    Family<Address>::finish(
        front + l3_offset,
        packet->pkt_len - l3_offset,
        std::size_t{headers_len} - l3_offset,
        found.protocol,
        inside
    );
    inside.protocol = found.protocol;
    forget_offloads(packet);
}

template <typename Address>
BasicFouTaker<Address> taker_of(const FouPort& port) {
    return {
        Family<Address>::make(port.local),
        Family<Address>::make(port.peer),
        port.port,
        port.peer_port,
        port.dev,
        port.protocol};
}

// The more it says, the better it fits (compute_score()).
template <typename Address>
int score_of(const BasicFouTaker<Address>& taker) noexcept {
    return (taker.local == Address{} ? 0 : 1) + (taker.peer == Address{} ? 0 : 2) +
           (taker.dev == kNoLink ? 0 : 1);
}

template <typename Address>
bool fits(const BasicFouTaker<Address>& taker, const BasicFouAddresses<Address>& packet) noexcept {
    const bool is_from_peer = taker.peer == Address{} ||
                              (taker.peer == packet.peer && taker.peer_port == packet.peer_port);
    return taker.port == packet.port && (taker.local == Address{} || taker.local == packet.local) &&
           is_from_peer && (taker.dev == kNoLink || taker.dev == packet.link_in);
}

}  // namespace

template <typename Address>
const BasicFouTaker<Address>* BasicFouPorts<Address>::find(const BasicFouAddresses<Address>& packet
) const noexcept {
    const std::vector<BasicFouTaker<Address>>* takers = takers_.read();
    if (takers == nullptr) {
        return nullptr;
    }
    for (const BasicFouTaker<Address>& taker : *takers) {
        if (fits(taker, packet)) {
            return &taker;
        }
    }
    return nullptr;
}

template <typename Address>
void BasicFouPorts<Address>::publish(rcu::Domain& domain, const std::vector<FouPort>& ports) {
    std::array<std::uint64_t, 65536 / kBits> open{};
    auto takers = std::make_unique<std::vector<BasicFouTaker<Address>>>();
    for (const FouPort& port : ports) {
        if (port.is_ipv6 == Family<Address>::kIsIpv6) {
            open[port.port / kBits] |= std::uint64_t{1} << (port.port % kBits);
            takers->push_back(taker_of<Address>(port));
        }
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
        open_[i].store(open[i], std::memory_order_relaxed);
    }
    std::stable_sort(takers->begin(), takers->end(), [](const auto& a, const auto& b) {
        return score_of(a) > score_of(b);
    });
    if (takers->empty()) {
        takers.reset();
    }
    takers_.publish(domain, std::move(takers));
}

template <typename Address>
bool is_perhaps_fou(
    const rte_mbuf* packet, std::uint16_t l3_offset, const BasicFouPorts<Address>& ports
) noexcept {
    const std::uint16_t offset = Family<Address>::udp_offset(packet, l3_offset);
    if (packet->data_len < offset + sizeof(net::UdpHeader)) {
        return false;
    }
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, offset);
    return ports.may_take(udp.destination.host());
}

template <typename Address>
FouVerdict fou_open(
    rte_mbuf* packet,
    std::uint16_t l3_offset,
    LinkId link_in,
    const BasicFouPorts<Address>& ports,
    FouInside& inside
) noexcept {
    using Of = Family<Address>;
    switch (Of::examine(packet, l3_offset)) {
    case UdpVerdict::good:
        break;
    case UdpVerdict::truncated:
        return FouVerdict::udp_truncated;
    case UdpVerdict::length:
        return FouVerdict::udp_length;
    case UdpVerdict::checksum:
        return FouVerdict::udp_checksum;
    }
    const std::uint16_t offset = Of::udp_offset(packet, l3_offset);
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const typename Of::Header*, l3_offset);
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, offset);
    const BasicFouTaker<Address>* taker = ports.find(
        {Of::make(ip.destination),
         Of::make(ip.source),
         udp.destination.host(),
         udp.source.host(),
         link_in}
    );
    if (taker == nullptr) {
        return FouVerdict::no_port;
    }
    Inside found{sizeof(net::UdpHeader), taker->protocol};
    if (taker->is_gue() && !read_gue(packet, offset + sizeof(udp), found)) {
        return FouVerdict::refused;
    }
    close_up<Address>(packet, offset, l3_offset, found, inside);
    return FouVerdict::good;
}

template class BasicFouPorts<std::uint32_t>;
template class BasicFouPorts<net::IpAddress>;
template bool is_perhaps_fou(const rte_mbuf*, std::uint16_t, const FouPorts&) noexcept;
template bool is_perhaps_fou(const rte_mbuf*, std::uint16_t, const FouPorts6&) noexcept;
template FouVerdict
fou_open(rte_mbuf*, std::uint16_t, LinkId, const FouPorts&, FouInside&) noexcept;
template FouVerdict
fou_open(rte_mbuf*, std::uint16_t, LinkId, const FouPorts6&, FouInside&) noexcept;

}  // namespace culvert::encap
