// SPDX-License-Identifier: BSD-3-Clause
// Received ipip and GRE packets: what their outer headers say, whether they are sound, and taking
// them off. Each protocol's header is read in a file of its own (ipip.hpp, gre.hpp), which knows no
// devices; which link a packet belongs to is ip_tunnel_lookup.hpp's.
#pragma once

#include "lib/encap/ip_tunnel_lookup.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"

#include <rte_mbuf.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace culvert::encap {

// What the rest of the way needs of the outer headers.
template <typename Key>
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): who parses sets what is read
struct BasicIpTunnelOuter {
    Key key;                       // what the device is found by
    std::uint32_t sequence;        // where has_sequence
    std::uint16_t payload_offset;  // from the packet's data
    std::uint16_t payload_type;    // EtherType of what is inside
    std::uint8_t tos;
    bool has_checksum;  // a right one
    bool has_sequence;
};

using IpTunnelOuter = BasicIpTunnelOuter<IpTunnelKey>;
using IpTunnelOuter6 = BasicIpTunnelOuter<IpTunnelKey6>;

// The order of the kernel's checks, where a packet is wrong in two ways.
enum class IpTunnelVerdict : std::uint8_t {
    good,
    ipip_truncated,  // IPIP-RX-01; sit, too
    gre_truncated,   // GRE-RX-01, -04
    gre_version,     // GRE-RX-02
    gre_flags,       // GRE-RX-03
    gre_checksum,    // GRE-RX-05
    no_device,       // of a protocol that none of our kinds has
};

// Preconditions of all that follows: at `l3_offset` lies an IPv4 header that was validated, options
// and all, and the packet ends where its total length says.

[[nodiscard]] inline std::uint16_t
payload_offset_of(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    return static_cast<std::uint16_t>(l3_offset + ip.header_len_bytes());
}

// What all kinds' keys begin with.
[[nodiscard]] inline IpTunnelKey
key_of_packet(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelKind kind) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    return IpTunnelKey::make(kind, ip.destination.raw(), ip.source.raw());
}

// What stands behind the outer IP header with nothing in between, `least` bytes of it (ipip.hpp,
// sit.hpp).
[[nodiscard]] inline IpTunnelVerdict parse_bare(
    const rte_mbuf* packet,
    std::uint16_t l3_offset,
    IpTunnelKind kind,
    std::uint16_t payload_type,
    std::size_t least,
    IpTunnelOuter& outer
) noexcept {
    const std::uint16_t offset = payload_offset_of(packet, l3_offset);
    if (packet->data_len < offset + least) [[unlikely]] {
        return IpTunnelVerdict::ipip_truncated;
    }
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    outer.key = key_of_packet(packet, l3_offset, kind);  // TUN-LKP-01
    outer.payload_offset = offset;
    outer.payload_type = payload_type;
    outer.tos = ip.type_of_service;
    outer.has_checksum = false;
    outer.has_sequence = false;
    return IpTunnelVerdict::good;
}

// The outer headers of a packet of any protocol that tunnels have; `outer` is set if good.
[[nodiscard]] IpTunnelVerdict
ip_tunnel_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept;

// Whose packet it is when no device of its own kind takes it: frames in GRE are a gre device's
// (GRE-RX-09), IPv4 in IPv4 a sit device's (its handler is asked after ipip's). False: nobody's.
[[nodiscard]] constexpr bool
find_second_key(const IpTunnelOuter& outer, IpTunnelKey& key) noexcept {
    constexpr auto kKinds = ~(IpTunnelKey::kHasKey - 1);
    const auto kind = static_cast<IpTunnelKind>(outer.key.kind_and_flags & ~kKinds);
    if (kind != IpTunnelKind::gretap && kind != IpTunnelKind::ipip) {
        return false;
    }
    const auto second = kind == IpTunnelKind::gretap ? IpTunnelKind::gre : IpTunnelKind::sit;
    key = outer.key;
    key.kind_and_flags = (key.kind_and_flags & kKinds) | static_cast<std::uint32_t>(second);
    return true;
}

// What neighbours in a burst mostly share: all that the outer headers say but lengths, id, TTL and
// checksum. A packet that has these words from one that ip_tunnel_parse() took, and as much behind
// them as that needs, is taken, too. One with checksum or sequence number is not: these are looked
// at each by each.
struct IpTunnelWords {
    std::uint64_t addresses = 0;
    std::uint64_t behind_ip = 0;  // the first 8 bytes of a GRE header, as far as mask says
    std::uint64_t mask = 0;
    std::uint16_t version_and_tos = 0;
    std::uint8_t protocol = 0;

    // Bytes behind the outer IP header without which nothing is looked at: IPIP-RX-01 for any
    // protocol here, more than GRE-RX-01's 12.
    static constexpr std::uint16_t kLeast = sizeof(net::Ipv4Header);
    // Of behind_ip: all but the key.
    static constexpr std::uint64_t kFlagsAndType =
        std::endian::native == std::endian::little ? 0xffffffff : 0xffffffff'00000000;

    // False: not a packet whose words say it all.
    [[nodiscard]] bool
    load(const rte_mbuf* packet, std::uint16_t l3_offset, const IpTunnelOuter& outer) noexcept;
};

// True: ip_tunnel_parse() would say the same of it as of the packet whose words these are.
[[nodiscard]] [[gnu::always_inline]] inline bool ip_tunnel_is_like(
    const rte_mbuf* packet, std::uint16_t l3_offset, const IpTunnelWords& words
) noexcept {
    using net::detail::load;
    constexpr std::uint16_t kIp = sizeof(net::Ipv4Header);
    if (packet->data_len < l3_offset + kIp + IpTunnelWords::kLeast) [[unlikely]] {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const std::uint64_t different =
        (load<std::uint64_t>(ip + offsetof(net::Ipv4Header, source)) ^ words.addresses) |
        ((load<std::uint64_t>(ip + kIp) ^ words.behind_ip) & words.mask) |
        std::uint64_t(load<std::uint16_t>(ip) ^ words.version_and_tos) |
        std::uint64_t(ip[offsetof(net::Ipv4Header, protocol)] ^ words.protocol);
    return different == 0;
}

// True: ip_tunnel_parse() would say of it what it said of the packet whose words these are, but for
// addresses and key, which are written to `key`; and the words are this packet's now.
[[nodiscard]] [[gnu::always_inline]] inline bool ip_tunnel_differs_by_key(
    const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelWords& words, IpTunnelKey& key
) noexcept {
    using net::detail::load;
    constexpr std::uint16_t kIp = sizeof(net::Ipv4Header);
    if (packet->data_len < l3_offset + kIp + IpTunnelWords::kLeast) [[unlikely]] {
        return false;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const std::uint64_t behind = load<std::uint64_t>(ip + kIp) & words.mask;
    const std::uint64_t different =
        ((behind ^ words.behind_ip) & IpTunnelWords::kFlagsAndType) |
        std::uint64_t(load<std::uint16_t>(ip) ^ words.version_and_tos) |
        std::uint64_t(ip[offsetof(net::Ipv4Header, protocol)] ^ words.protocol);
    if (different != 0) [[unlikely]] {
        return false;
    }
    words.addresses = load<std::uint64_t>(ip + offsetof(net::Ipv4Header, source));
    words.behind_ip = behind;
    key.remote = load<std::uint32_t>(ip + offsetof(net::Ipv4Header, source));
    key.local = load<std::uint32_t>(ip + offsetof(net::Ipv4Header, destination));
    if ((key.kind_and_flags & IpTunnelKey::kHasKey) != 0) {
        key.key = net::Be32::from_raw(load<std::uint32_t>(ip + kIp + sizeof(net::Be32))).host();
    }
    return true;
}

// Takes the outer headers off, and leaves a frame: what was inside, or that behind a link header of
// nobody that says its type.
[[gnu::always_inline]] inline void ip_tunnel_strip(
    rte_mbuf* packet, std::uint16_t payload_offset, std::uint16_t packet_type
) noexcept {
    constexpr std::uint16_t kLink = sizeof(net::EtherHeader);
    strip_front(packet, static_cast<std::uint16_t>(payload_offset - kLink));
    auto* link = rte_pktmbuf_mtod(packet, std::uint8_t*);
    const std::uint64_t nobody = 0;
    const net::Be16 type{packet_type};
    std::memcpy(link, &nobody, sizeof(nobody));
    std::memcpy(link + 4, &nobody, sizeof(nobody));
    std::memcpy(link + offsetof(net::EtherHeader, type), &type, sizeof(type));
    forget_offloads(packet);
}

[[gnu::always_inline]] inline void
ip_tunnel_strip_to_frame(rte_mbuf* packet, std::uint16_t payload_offset) noexcept {
    strip_front(packet, payload_offset);
    forget_offloads(packet);
}

}  // namespace culvert::encap
