// SPDX-License-Identifier: BSD-3-Clause
// VXLAN (RFC 7348, and Linux where it differs: catalogue area 3): the types that control builds and
// workers read. The outer header is bytes written down before the packet comes (vxlan_build.hpp);
// putting it in front is vxlan_push.hpp, taking it off vxlan_pop.hpp.
#pragma once

#include "lib/encap/tunnel.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/vxlan.hpp"
#include "lib/rcu/published_array.hpp"
#include "lib/route/adjacency.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace culvert::encap {

enum class DontFragment : std::uint8_t { unset = 0, set = 1, inherit = 2 };  // VXLAN-CRE-24

// A vxlan device as configured. Immutable once published.
struct VxlanConfig {
    std::uint32_t vni = 0;
    bool learning = true;    // with the VNI in the first line of a Link, where workers ask for it
    net::IpAddress local;    // "::" = chosen by route
    net::IpAddress remote;   // default remote; "::" = none
    LinkId lower = kNoLink;  // dev
    LinkId vrf = kNoLink;    // by which outer packets are routed: dev's (VXLAN-SOCK-02)
    std::uint16_t destination_port = net::kVxlanLinuxPort;
    std::uint16_t source_port_min = 0;  // 0 0 = 32768..60999 (VXLAN-SPORT-01)
    std::uint16_t source_port_max = 0;
    std::uint8_t ttl = 0;  // 0 = 64, or 1 to a multicast group
    bool ttl_inherit = false;
    std::uint8_t tos = 0;  // exactly 1 = inherit (VXLAN-TX-23)
    DontFragment df = DontFragment::unset;
    bool udp_checksum = true;      // VXLAN-CSUM-01; over IPv4
    bool is_ipv6 = false;          // what is underneath (VXLAN-CRE-11)
    bool no_checksum6_tx = false;  // udp6zerocsumtx
    bool no_checksum6_rx = false;  // udp6zerocsumrx (VXLAN-SOCK-11)
    std::uint32_t flow_label = 0;  // of the outer IPv6 header
    std::uint32_t ageing_s = 300;
    std::uint32_t limit = 0;

    [[nodiscard]] net::Family family() const noexcept {
        return is_ipv6 ? net::Family::ipv6 : net::Family::ipv4;
    }

    // Its own link alone knows who its addresses are (VXLAN-SOCK-06).
    [[nodiscard]] bool is_link_local() const noexcept {
        return local.is_link_local_v6() || remote.is_link_local_v6();
    }

    friend bool operator==(const VxlanConfig&, const VxlanConfig&) = default;
};

// inner Ethernet 14 + VXLAN 8 + UDP 8 + IPv4 20 or IPv6 40 (VXLAN-CRE-16)
inline constexpr std::uint32_t kVxlanOverheadIpv4 = 50;
inline constexpr std::uint32_t kVxlanOverheadIpv6 = 70;

[[nodiscard]] constexpr std::uint32_t vxlan_overhead(bool is_ipv6) noexcept {
    return is_ipv6 ? kVxlanOverheadIpv6 : kVxlanOverheadIpv4;
}

// One remote of one device, flattened over its route and neighbour: everything in front of the
// inner frame. Immutable once published. What a packet over IPv4 needs lies in the first two lines,
// one over IPv6 reads the third as well.
struct alignas(64) VxlanTemplate {
    static constexpr std::uint8_t kLinkHeaderLen = 14;
    static constexpr std::uint8_t kIpOffset = kLinkHeaderLen;
    static constexpr std::uint8_t kUdpOffset = kIpOffset + 20;
    static constexpr std::uint8_t kVxlanOffset = kUdpOffset + 8;
    static constexpr std::uint8_t kLength = kVxlanOffset + 8;  // 50
    static constexpr std::uint8_t kUdpOffsetIpv6 = kIpOffset + 40;
    static constexpr std::uint8_t kVxlanOffsetIpv6 = kUdpOffsetIpv6 + 8;
    static constexpr std::uint8_t kLengthIpv6 = kVxlanOffsetIpv6 + 8;  // 70

    std::uint32_t ip_sum = 0;   // of the IPv4 header as in bytes, folded to 16 bits (checksum.hpp)
    std::uint32_t udp_sum = 0;  // of pseudo header, UDP header and VXLAN header as in bytes, folded
    net::IpAddress next_hop;    // of the outer route; for `unresolved`
    std::uint32_t mtu = 0;      // of the outer path, bytes of outer IP packet
    std::uint32_t vni = 0;      // for `local`: what to find
    std::uint16_t destination_port = 0;
    std::uint16_t source_port_min = 0;  // resolved range, max exclusive
    std::uint16_t source_port_span = 0;
    LinkId device = kNoLink;  // the vxlan link
    LinkId link_out = kNoLink;
    route::AdjacencyId ways = route::AdjacencyTable::kNone;  // `several`: what to choose from
    TunnelState state = TunnelState::no_remote;
    bool udp_checksum = true;
    bool ttl_inherit = false;
    bool tos_inherit = false;
    DontFragment df = DontFragment::unset;
    bool is_ipv6 = false;
    bool inherits = false;  // any of TTL, TOS and DF; or it goes to a group
    bool is_plain = true;   // IPv4, and inherits nothing: what most are
    Cast cast = Cast::unicast;
    // Ethernet | IPv4 or IPv6 | UDP | VXLAN. What a packet decides is 0: lengths, id, source port
    // and checksums, TTL and DF if inherited, the DSCP if inherited, and the ECN bits.
    alignas(64) std::array<std::uint8_t, 128> bytes{};

    [[nodiscard]] std::uint32_t overhead() const noexcept { return vxlan_overhead(is_ipv6); }

    void become(TunnelState next) noexcept { state = next; }

    // Where the Ethernet header lies.
    [[nodiscard]] std::uint8_t* link_header() noexcept { return bytes.data(); }

    friend bool operator==(const VxlanTemplate&, const VxlanTemplate&) = default;
};

static_assert(offsetof(VxlanTemplate, bytes) == 64 && sizeof(VxlanTemplate) == 192);

using VxlanTemplates = rcu::PublishedArray<VxlanTemplate>;

// What an FDB entry leads to, under the id of its fdb::RemoteLists list: the templates of its
// remotes, first one first.
struct VxlanDestination {
    net::IpAddress first_address;  // compared with the outer source on receive (VXLAN-LRN-03)
    LinkId first_via = kNoLink;    // VXLAN-LRN-07
    LinkId device = kNoLink;
    std::uint32_t count = 0;
    std::array<VxlanTemplates::Id, 4> inline_ids{};        // the first four
    std::unique_ptr<const VxlanTemplates::Id[]> more_ids;  // the rest, count - 4

    // Precondition: index < count.
    [[nodiscard]] VxlanTemplates::Id id(std::uint32_t index) const noexcept {
        return index < inline_ids.size() ? inline_ids[index] : more_ids[index - inline_ids.size()];
    }
};

using VxlanDestinations = rcu::PublishedArray<VxlanDestination>;

// Which device a (UDP destination port, VNI) belongs to. Value of the demultiplexer's hash table:
// the LinkId. IPv4 and IPv6 have ports of their own (VXLAN-SOCK-02b).
struct VxlanKey {
    static constexpr std::uint64_t kIpv6 = std::uint64_t{1} << 63;
    // Of an IPv6 socket's value: takes packets without checksum (VXLAN-SOCK-11).
    static constexpr std::uint64_t kNoChecksum = 1;

    std::uint64_t packed = 0;

    // `within`: the VRF by which the device's packets are routed (VXLAN-SOCK-02), if there is one.
    static constexpr VxlanKey
    make(std::uint16_t udp_port, std::uint32_t vni, LinkId within = kNoLink) noexcept {
        return {(std::uint64_t{within} << 48) | (std::uint64_t{udp_port} << 32) | vni};
    }

    // `within`: the same, or of a device with link-local addresses, which hears its own link alone,
    // that link (VXLAN-SOCK-06).
    static constexpr VxlanKey
    make_ipv6(std::uint16_t udp_port, std::uint32_t vni, LinkId within = kNoLink) noexcept {
        return {kIpv6 | make(udp_port, vni, within).packed};
    }

    // An IPv6 key, for that link instead.
    [[nodiscard]] constexpr VxlanKey on(LinkId lower) const noexcept {
        constexpr std::uint64_t kWithin = std::uint64_t{0x7fff} << 48;
        return {(packed & ~kWithin) | (std::uint64_t{lower} << 48)};
    }

    static constexpr VxlanKey socket_ipv6(std::uint16_t udp_port, LinkId vrf = kNoLink) noexcept {
        return make_ipv6(udp_port, 0xffffffff, vrf);
    }

    // Of the device itself.
    static VxlanKey of(const VxlanConfig& config) noexcept {
        return config.is_ipv6 ? make_ipv6(
                                    config.destination_port,
                                    config.vni,
                                    config.is_link_local() ? config.lower : config.vrf
                                )
                              : make(config.destination_port, config.vni, config.vrf);
    }

    static VxlanKey socket_of(const VxlanConfig& config) noexcept {
        return config.is_ipv6 ? socket_ipv6(config.destination_port, config.vrf)
                              : socket(config.destination_port, config.vrf);
    }

    // The entry that says "a socket is open on this port".
    static constexpr VxlanKey socket(std::uint16_t udp_port, LinkId vrf = kNoLink) noexcept {
        return make(udp_port, 0xffffffff, vrf);
    }

    [[nodiscard]] constexpr std::uint16_t udp_port() const noexcept {
        return static_cast<std::uint16_t>(packed >> 32);
    }

    friend constexpr bool operator==(const VxlanKey&, const VxlanKey&) = default;
};

}  // namespace culvert::encap
