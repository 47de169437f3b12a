// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/gre.hpp"

#include "lib/net/gre.hpp"
#include "lib/net/ipv6.hpp"

namespace culvert::encap {

namespace {

constexpr std::uint16_t kErspanType2 = 0x88be;
constexpr std::uint16_t kErspanType3 = 0x22eb;
constexpr std::uint8_t kVersionByte = 0x7f;  // the second byte, without the A flag (GRE-RX-02)

// The four bytes of an optional field.
struct Cursor {
    const std::uint8_t* at;

    std::uint32_t take() noexcept {
        const auto field = net::Be32::from_raw(net::detail::load<std::uint32_t>(at));
        at += sizeof(field);
        return field.host();
    }
};

// GRE-RX-05
bool checksum_is_valid(const rte_mbuf* packet, std::uint16_t offset) noexcept {
    return net::sum_is_valid(sum_packet(packet, offset));
}

// What the two families' handlers ask differently.
struct Family {
    std::uint16_t least;          // bytes from the header's begin
    std::uint16_t version;        // bits that must be 0
    std::uint16_t wccp_protocol;  // EtherType of what WCCP sends
};

constexpr Family kIpv4{sizeof(net::GreHeader) + 8, kVersionByte, net::ether_type::kIpv4};
constexpr Family kIpv6{sizeof(net::GreHeader), net::gre::kVersion, net::ether_type::kIpv6};

// GRE-RX-06: what WCCP sends is IP; version 2 has four bytes of its own in front.
template <typename Outer>
void read_wccp(const rte_mbuf* packet, const Family& family, Outer& outer) noexcept {
    constexpr std::uint16_t kRedirectHeader = 4;
    const auto* payload =
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, outer.payload_offset);
    const bool has_payload = packet->data_len > outer.payload_offset;
    outer.payload_type = family.wccp_protocol;
    if (has_payload && (*payload & 0xf0) != 0x40) {
        outer.payload_offset = static_cast<std::uint16_t>(outer.payload_offset + kRedirectHeader);
    }
}

// All but the outer IP header's part. `make_key`: the addresses' key for a device that carries
// frames, or not.
template <const Family& Rules, typename Key, typename MakeKey>
[[gnu::always_inline]] inline IpTunnelVerdict read(
    const rte_mbuf* packet,
    std::uint16_t offset,
    const MakeKey& make_key,
    BasicIpTunnelOuter<Key>& outer
) noexcept {
    if (packet->data_len < offset + Rules.least) [[unlikely]] {
        return IpTunnelVerdict::gre_truncated;
    }
    const auto& gre = *rte_pktmbuf_mtod_offset(packet, const net::GreHeader*, offset);
    const std::uint16_t flags = gre.flags_and_version.host();
    if ((flags & Rules.version) != 0) [[unlikely]] {
        // Over IPv4 reserved bits of the same byte make it a version, too; those of 1 (PPTP) have
        // no taker.
        return IpTunnelVerdict::gre_version;
    }
    if ((flags & net::gre::kRouting) != 0) [[unlikely]] {
        return IpTunnelVerdict::gre_flags;
    }
    const auto header_len = static_cast<std::uint16_t>(net::gre_header_len_bytes(flags));
    if (packet->data_len < offset + header_len) [[unlikely]] {
        return IpTunnelVerdict::gre_truncated;
    }
    const bool has_key = (flags & net::gre::kKey) != 0;
    outer.has_checksum = (flags & net::gre::kChecksum) != 0;
    outer.has_sequence = (flags & net::gre::kSequence) != 0;
    if (outer.has_checksum && !checksum_is_valid(packet, offset)) [[unlikely]] {
        return IpTunnelVerdict::gre_checksum;
    }
    outer.payload_type = gre.protocol.host();
    outer.payload_offset = static_cast<std::uint16_t>(offset + header_len);
    outer.key = make_key(outer.payload_type == net::ether_type::kTeb);  // GRE-RX-09
    Cursor field{reinterpret_cast<const std::uint8_t*>(&gre + 1)};
    if (outer.has_checksum) {
        (void)field.take();
    }
    if (has_key) {
        outer.key.kind_and_flags |= Key::kKeyIsFlagged ? Key::kHasKey : 0;
        outer.key.key = field.take();
    }
    outer.sequence = outer.has_sequence ? field.take() : 0;
    if (outer.payload_type == net::gre::kProtocolWccp && flags == 0) [[unlikely]] {
        read_wccp(packet, Rules, outer);
        if (packet->data_len < outer.payload_offset) {
            return IpTunnelVerdict::gre_truncated;
        }
    }
    // GRE-RX-07: those belong to a kind that is not here.
    const bool is_erspan = outer.payload_type == kErspanType3 ||
                           (outer.payload_type == kErspanType2 && header_len != sizeof(gre));
    return is_erspan ? IpTunnelVerdict::no_device : IpTunnelVerdict::good;
}

}  // namespace

IpTunnelVerdict
gre_parse(const rte_mbuf* packet, std::uint16_t l3_offset, IpTunnelOuter& outer) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, l3_offset);
    outer.tos = ip.type_of_service;
    const auto make_key = [&](bool carries_frame) {
        return key_of_packet(
            packet, l3_offset, carries_frame ? IpTunnelKind::gretap : IpTunnelKind::gre
        );
    };
    return read<kIpv4>(packet, payload_offset_of(packet, l3_offset), make_key, outer);
}

IpTunnelVerdict gre_parse6(
    const rte_mbuf* packet, std::uint16_t l3_offset, std::uint16_t offset, IpTunnelOuter6& outer
) noexcept {
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv6Header*, l3_offset);
    outer.tos = ip.traffic_class();
    const auto make_key = [&](bool carries_frame) {
        return IpTunnelKey6::make(
            carries_frame ? IpTunnelKind::ip6gretap : IpTunnelKind::ip6gre,
            net::IpAddress::from_v6(ip.destination),
            net::IpAddress::from_v6(ip.source)
        );
    };
    return read<kIpv6>(packet, offset, make_key, outer);
}

}  // namespace culvert::encap
