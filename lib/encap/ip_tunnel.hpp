// SPDX-License-Identifier: BSD-3-Clause
// The tunnels that Linux builds on ip_tunnel.c (ipip, gre, gretap, sit; catalogue areas 1 and 2)
// and, over IPv6, on ip6_tunnel.c (ip6tnl, ip6gre, ip6gretap): the types that control builds and
// workers read. What the kinds share is in ip_tunnel_*, and where IPv6 is underneath in
// ip_tunnel6*; what makes a kind is a row of kIpTunnelKinds and the parser of its protocol
// (ipip.hpp, gre.hpp).
//
// Between stages every packet is a frame: one to or from a link without a link layer has 14 bytes
// in front of its IP header all the same, of which the EtherType counts, and on the way out the
// first four bytes: the outer destination that a route's gateway says (NBMA), or 0.
#pragma once

#include "lib/encap/fou.hpp"
#include "lib/encap/tunnel.hpp"
#include "lib/net/address.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/gre.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/link_id.hpp"
#include "lib/rcu/hash_table.hpp"
#include "lib/rcu/published_array.hpp"
#include "lib/route/adjacency.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

namespace culvert::encap {

enum class IpTunnelKind : std::uint8_t { ipip, gre, gretap, sit, ip6tnl, ip6gre, ip6gretap };

// Which payloads an ipip, sit or ip6tnl device takes and makes (IPIP-CRE-08).
enum class IpTunnelMode : std::uint8_t { any, ipip, ip6ip, mplsip };

inline constexpr std::uint16_t kEtherTypeMpls = 0x8847;

[[nodiscard]] constexpr bool fits_mode(IpTunnelMode mode, std::uint16_t ether_type) noexcept {
    switch (mode) {
    case IpTunnelMode::any:
        break;
    case IpTunnelMode::ipip:
        return ether_type == net::ether_type::kIpv4;
    case IpTunnelMode::ip6ip:
        return ether_type == net::ether_type::kIpv6;
    case IpTunnelMode::mplsip:
        return ether_type == kEtherTypeMpls;
    }
    return true;
}

// What devices over IPv6 have besides (RFC 2473). There `ttl` is the hop limit, and `tos` the
// traffic class as it is.
struct IpTunnelConfig6 {
    static constexpr std::uint8_t kDefaultEncapLimit = 4;
    static constexpr std::uint8_t kDefaultHopLimit = 64;

    std::optional<std::uint8_t> encap_limit = kDefaultEncapLimit;  // nothing: `encaplimit none`
    bool class_inherit = false;
    bool label_inherit = false;
    bool dscp_copy = false;  // `dscp inherit`: received packets get the outer header's DSCP
    bool allow_local_remote = false;
    std::uint32_t flow_label = 0;  // 0: of the inner flow (RFC 6438)
    friend bool operator==(const IpTunnelConfig6&, const IpTunnelConfig6&) = default;
};

// A device as configured. Immutable once published.
struct IpTunnelConfig {
    IpTunnelKind kind = IpTunnelKind::ipip;
    IpTunnelMode mode = IpTunnelMode::any;  // kinds ipip, sit and ip6tnl
    net::IpAddress local;                   // unspecified = any, chosen by route
    net::IpAddress remote;                  // unspecified = any; then NBMA
    LinkId lower = kNoLink;                 // dev
    LinkId vrf = kNoLink;                   // by which outer packets are routed: dev's
    std::uint8_t ttl = 0;                   // 0 = inherit (TUN-TX-16)
    std::uint8_t tos = 0;                   // bit 0 = inherit (TUN-TX-07)
    bool pmtudisc = true;                   // outer DF
    UdpEncap udp;                           // `encap`
    bool external = false;                  // each packet brings its metadata (TUN-MD-01)
    // What follows is for gre and gretap, over either family.
    bool ignore_df = false;               // the inner DF is not copied
    std::optional<std::uint32_t> in_key;  // a key of 0 is not the same as none (GRE-CRE-08)
    std::optional<std::uint32_t> out_key;
    bool in_checksum = false;  // required on receive; out: added on transmit (GRE-CRE-09)
    bool out_checksum = false;
    bool in_sequence = false;
    bool out_sequence = false;
    IpTunnelConfig6 ip6;
    friend bool operator==(const IpTunnelConfig&, const IpTunnelConfig&) = default;
};

// What a packet's route says of its way through an external device (TUN-MD-02).
struct IpTunnelMetadata {
    std::uint64_t id = 0;   // GRE's key: its lower half
    net::IpAddress source;  // unspecified = chosen by route
    net::IpAddress destination;
    std::uint8_t tos = 0;  // over IPv4: 1 = inherit
    std::uint8_t ttl = 0;  // 0 = inherit
    bool is_ipv6 = false;  // `encap ip6`: for devices over IPv6
    bool key = false;
    bool checksum = false;
    bool sequence = false;
    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend auto operator<=>(const IpTunnelMetadata&, const IpTunnelMetadata&) = default;
};

// The outer source address that they say, to any device but ip6gre: that one does not look
// (__gre6_xmit).
[[nodiscard]] net::IpAddress
source_of(const IpTunnelConfig& device, const IpTunnelMetadata& metadata);

// The device as it is for a packet with this metadata.
[[nodiscard]] IpTunnelConfig
with_metadata(const IpTunnelConfig& device, const IpTunnelMetadata& metadata);

// A kind, but for how its header is read.
struct IpTunnelTraits {
    std::string_view name;
    std::string_view fallback;  // the device that takes what no other does (IPIP-FB-*)
    std::uint8_t protocol = 0;  // of the outer IP header
    bool has_gre = false;
    bool carries_frames = false;  // Ethernet inside, else packets
    bool takes_ipv6 = true;       // into the tunnel (IPIP-TX-01)
    std::uint32_t min_mtu = 68;   // of the device by itself
    bool is_over_ipv6 = false;
};

inline constexpr std::array<IpTunnelTraits, 7> kIpTunnelKinds{{
    {"ipip", "tunl0", net::ip_protocol::kIpip, false, false, false},
    {"gre", "gre0", net::ip_protocol::kGre, true, false},
    {"gretap", "gretap0", net::ip_protocol::kGre, true, true},
    {"sit", "sit0", net::ip_protocol::kIpv6, false, false, true, net::kIpv6MinMtu},
    {"ip6tnl", "ip6tnl0", net::ip_protocol::kIpv6, false, false, true, net::kIpv6MinMtu, true},
    {"ip6gre", "ip6gre0", net::ip_protocol::kGre, true, false, true, net::kIpv6MinMtu, true},
    {"ip6gretap", "", net::ip_protocol::kGre, true, true, true, net::kIpv6MinMtu, true},
}};

[[nodiscard]] constexpr const IpTunnelTraits& traits(IpTunnelKind kind) noexcept {
    return kIpTunnelKinds[static_cast<std::size_t>(kind)];
}

// Whether the device sends such a payload.
[[nodiscard]] constexpr bool
sends(const IpTunnelConfig& config, std::uint16_t ether_type) noexcept {
    const IpTunnelTraits& kind = traits(config.kind);
    const bool is_ip = ether_type == net::ether_type::kIpv4 ||
                       (ether_type == net::ether_type::kIpv6 && kind.takes_ipv6);
    return kind.has_gre || (is_ip && fits_mode(config.mode, ether_type));
}

// The flags of the GRE header that the device sends; 0 for a kind without one.
[[nodiscard]] constexpr std::uint16_t gre_flags(const IpTunnelConfig& config) noexcept {
    if (!traits(config.kind).has_gre) {
        return 0;
    }
    std::uint16_t flags = config.out_key.has_value() ? net::gre::kKey : std::uint16_t{0};
    flags |= config.out_checksum ? net::gre::kChecksum : std::uint16_t{0};
    flags |= config.out_sequence ? net::gre::kSequence : std::uint16_t{0};
    return flags;
}

// Of the destination options header that says the encapsulation limit, and nothing else.
inline constexpr std::uint8_t kEncapLimitLen = 8;

// Bytes of GRE header that the device sends.
[[nodiscard]] constexpr std::uint8_t gre_len_bytes(const IpTunnelConfig& config) noexcept {
    const std::size_t len =
        traits(config.kind).has_gre ? net::gre_header_len_bytes(gre_flags(config)) : 0;
    return static_cast<std::uint8_t>(len);
}

// Bytes that outer IP, UDP and GRE headers may take: t_hlen (TUN-MTU-01, -11); over IPv6 with the
// encapsulation limit.
[[nodiscard]] constexpr std::uint32_t outer_len_bytes(const IpTunnelConfig& config) noexcept {
    const std::uint32_t behind_ip = gre_len_bytes(config) + reserved_len_bytes(config.udp);
    if (!traits(config.kind).is_over_ipv6) {
        return std::uint32_t{sizeof(net::Ipv4Header)} + behind_ip;
    }
    const std::uint32_t limit = config.ip6.encap_limit.has_value() ? kEncapLimitLen : 0U;
    return std::uint32_t{sizeof(net::Ipv6Header)} + limit + behind_ip;
}

// What tunnel and inner link header take from the lower MTU (TUN-MTU-06, -07).
[[nodiscard]] constexpr std::uint32_t overhead_bytes(const IpTunnelConfig& config) noexcept {
    const std::size_t link = traits(config.kind).carries_frames ? sizeof(net::EtherHeader) : 0;
    return outer_len_bytes(config) + static_cast<std::uint32_t>(link);
}

// The numbers that a device hands out and expects. Shared by all workers, so that they are in order
// on the wire whichever worker sends: a worker takes as many as its burst needs with one addition.
// They outlive the device's configuration.
struct alignas(64) IpTunnelSequences {
    std::atomic<std::uint32_t> next_out{0};     // GRE-HDR-04: the first is 0
    std::atomic<std::uint32_t> expected_in{0};  // TUN-RX-03; 0 = take any
};

// How many inner senders are still to be told that routers report errors (TUN-TX-15). Control adds,
// workers take.
struct alignas(64) IpTunnelFaults {
    std::atomic<std::uint32_t> left{0};

    [[nodiscard]] bool take() noexcept {
        std::uint32_t now = left.load(std::memory_order_relaxed);
        while (now != 0 && !left.compare_exchange_weak(now, now - 1, std::memory_order_relaxed)) {
        }
        return now != 0;
    }
};

// One remote of one device, flattened over its route and neighbour: everything in front of the
// payload. Immutable once published.
struct alignas(64) IpTunnelTemplate {
    static constexpr std::uint8_t kLinkHeaderLen = 14;
    static constexpr std::uint8_t kRoom = 64;
    static constexpr std::uint8_t kMaxLength = kLinkHeaderLen + 20 + 12 + 16;
    static constexpr std::uint16_t kNoPlain = 0xffff;  // no packet is

    // Ethernet | IPv4 | UDP | GUE | GRE, ending where the array ends, so that one copy of the whole
    // array puts them in front of any payload. What a packet decides is 0: lengths, id, TTL and TOS
    // if inherited, DF if the inner one counts, GRE's checksum and sequence number, UDP's checksum
    // and its source port if that is the flow's.
    std::array<std::uint8_t, kRoom> bytes{};
    std::uint32_t ip_sum = 0;   // of the IPv4 header as in bytes, folded to 16 bits (checksum.hpp)
    std::uint32_t gre_sum = 0;  // of the GRE header as in bytes, folded
    std::uint32_t mtu = 0;      // of the outer path, bytes of outer IP packet
    net::IpAddress next_hop;    // of the outer route; for `unresolved`
    LinkId device = kNoLink;    // the tunnel link
    LinkId link_out = kNoLink;
    TunnelState state = TunnelState::no_remote;
    IpTunnelKind kind = IpTunnelKind::ipip;
    std::uint8_t length = 0;     // bytes of all headers
    std::uint8_t gre_len = 0;    // bytes of GRE header
    std::uint8_t behind_ip = 0;  // bytes of UDP, GUE and GRE header
    bool carries_frames = false;
    bool checksum = false;
    bool sequence = false;
    bool patches = false;  // there is UDP, or GRE's checksum or sequence number
    bool ttl_inherit : 1 = false;
    bool tos_inherit : 1 = false;
    bool df_inherit : 1 = false;       // the inner DF is copied
    bool is_direct : 1 = false;        // ready, without UDP, to one station: what most tunnels are
    bool df : 1 = false;               // DF is in bytes
    bool inner_df_counts : 1 = false;  // TUN-TX-13: not with ignore-df
    bool is_sit : 1 = false;           // the protocol in bytes is IPv6's
    bool udp_checksum : 1 = false;
    bool is_flow_port : 1 = false;  // UDP's source port is the inner flow's
    Cast cast : 2 = Cast::unicast;
    route::AdjacencyId ways = route::AdjacencyTable::kNone;  // `several`: what to choose from
    // For ip_tunnel_push_plain(), all as the machine loads it:
    std::uint16_t plain_data_off = kNoPlain;  // least offset of the data in its buffer
    std::uint16_t added = 0;                  // bytes that the packet grows by
    std::uint32_t plain_mask = 0;  // bits of EtherType, version and TOS that are looked at
    // The outer header's 32 bits of flags, offset, TTL and protocol, and what of the inner one's is
    // copied there.
    std::uint32_t flags_word = 0;
    std::uint32_t inherited = 0;
    friend bool operator==(const IpTunnelTemplate&, const IpTunnelTemplate&) = default;

    // Where the IPv4 header begins in bytes.
    [[nodiscard]] std::uint32_t ip_offset() const noexcept {
        return kRoom - behind_ip - std::uint32_t{sizeof(net::Ipv4Header)};
    }

    void become(TunnelState next) noexcept {
        state = next;
        is_direct = state == TunnelState::ready && behind_ip == gre_len && cast == Cast::unicast;
    }

    // Where the Ethernet header lies.
    [[nodiscard]] std::uint8_t* link_header() noexcept { return bytes.data() + kRoom - length; }

    // Bytes of UDP and GUE header.
    [[nodiscard]] std::uint8_t udp_len() const noexcept {
        return static_cast<std::uint8_t>(behind_ip - gre_len);
    }
};

static_assert(sizeof(IpTunnelTemplate) == 128);

using IpTunnelTemplates = rcu::PublishedArray<IpTunnelTemplate>;

// The templates of devices with a remote of their own, by link: most packets need no more.
class IpTunnelOwnTemplates {
public:
    // Throws std::bad_alloc.
    IpTunnelOwnTemplates()
        : ids_(std::make_unique<std::atomic<IpTunnelTemplates::Id>[]>(kLinks)) {}

    // reader: kNone = the device has no remote of its own, or its template has no number.
    [[nodiscard]] IpTunnelTemplates::Id read(LinkId device) const noexcept {
        return ids_[device].load(std::memory_order_acquire);
    }

    // writer
    void publish(LinkId device, IpTunnelTemplates::Id id) noexcept {
        ids_[device].store(id, std::memory_order_release);
    }

private:
    static constexpr std::size_t kLinks = std::size_t{std::numeric_limits<LinkId>::max()} + 1;
    std::unique_ptr<std::atomic<IpTunnelTemplates::Id>[]> ids_;  // worker: ro, control: wo
};

// What other templates are found by: the device, and the outer destination in the machine's order.
struct IpTunnelRemote {
    std::uint32_t address = 0;
    std::uint32_t device = kNoLink;
    friend constexpr bool operator==(const IpTunnelRemote&, const IpTunnelRemote&) = default;
};

using IpTunnelRemotes = rcu::HashTable<IpTunnelRemote, IpTunnelTemplates::Id>;

}  // namespace culvert::encap
