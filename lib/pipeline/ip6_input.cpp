// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/ip6_input.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/net/header.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/parse.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/route/own_addresses.hpp"

#include <cstring>
#include <utility>

namespace culvert::pipeline {

namespace {

using Bytes16 = std::array<std::uint8_t, 16>;

constexpr std::uint8_t kUnknownNextHeader = 1;  // codes of a parameter problem
constexpr std::uint8_t kUnknownOption = 2;

// Two bytes that all extension headers begin with; options and routing headers count 8 bytes.
struct Extension {
    std::uint8_t next_header;
    std::uint8_t length;

    [[nodiscard]] std::size_t bytes() const noexcept { return (std::size_t{length} + 1) * 8; }
};

static_assert(net::kIsWireHeader<Extension, 2>);

constexpr IcmpError parameter_problem(std::uint8_t code, std::size_t pointer) noexcept {
    return {
        .type = net::icmpv6_type::kParameterProblem,
        .code = code,
        .info = static_cast<std::uint32_t>(pointer)};
}

bool refuse(Worker& worker, rte_mbuf* packet, Drop reason) noexcept {
    worker.drop(packet, note(packet).link_in, reason);
    return false;
}

bool refuse_and_tell(
    Worker& worker, rte_mbuf* packet, Drop reason, const IcmpError& error
) noexcept {
    worker.drop_and_tell(packet, note(packet).link_in, reason, error);
    return false;
}

// The IPv6 packet as far as its first segment has it.
struct View {
    const std::uint8_t* data;
    std::size_t len;

    [[nodiscard]] static View of(rte_mbuf* packet) noexcept {
        const std::size_t l3_offset = note(packet).l3_offset;
        return {
            rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset),
            rte_pktmbuf_data_len(packet) - l3_offset};
    }

    template <typename Header>
    [[nodiscard]] const Header* at(std::size_t offset) const noexcept {
        return net::header_at<Header>(data, len, offset);
    }
};

// RFC 8200, 4.2: the options of the header at `offset`, which is wholly there. Those we do not know
// say themselves what is to be done. Linux knows more of them, but does with them nothing that a
// packet's sender could see.
bool check_options(Worker& worker, rte_mbuf* packet, std::size_t offset) noexcept {
    constexpr std::uint8_t kPad1 = 0;
    const View view = View::of(packet);
    const std::size_t end = offset + view.at<Extension>(offset)->bytes();
    for (std::size_t at = offset + 2; at < end;) {
        const std::uint8_t type = view.data[at];
        if (type == kPad1) {
            ++at;
            continue;
        }
        if (at + 2 > end || at + 2 + view.data[at + 1] > end) {
            return refuse(worker, packet, Drop::ip6_extension_header);
        }
        const bool is_known = type == 1 || type == 5;  // PadN, router alert
        const unsigned action = type >> 6;
        if (!is_known && action != 0) {
            const bool is_told =
                action == 2 || (action == 3 && ip6_header_of(packet)->destination[0] != 0xff);
            return is_told ? refuse_and_tell(
                                 worker,
                                 packet,
                                 Drop::ip6_option_unknown,
                                 parameter_problem(kUnknownOption, at)
                             )
                           : refuse(worker, packet, Drop::ip6_option_unknown);
        }
        at += std::size_t{2} + view.data[at + 1];
    }
    return true;
}

// Whether the extension header is there as a whole.
const Extension* whole_extension(const View& view, std::size_t offset) noexcept {
    const auto* extension = view.at<Extension>(offset);
    return extension != nullptr && extension->bytes() <= view.len - offset ? extension : nullptr;
}

// Where the upper layer's header is, and which one. Nothing = the packet is gone.
struct Upper {
    std::size_t offset = 0;
    std::size_t pointer = 0;  // of the field that says `protocol`
    std::uint8_t protocol = 0;
};

// An atomic fragment is a datagram of its own (RFC 6946); the others are control's to join. False:
// the packet is gone.
bool pass_fragment_header(Worker& worker, rte_mbuf* packet, Upper& upper) noexcept {
    const auto* fragment = View::of(packet).at<net::Ipv6FragmentHeader>(upper.offset);
    if (fragment == nullptr) {
        return refuse(worker, packet, Drop::ip6_extension_header);
    }
    if (fragment->more_fragments() || fragment->fragment_offset_bytes() != 0) {
        if (!worker.offer(packet, Punt::fragment)) {
            worker.drop(packet, note(packet).link_in, Drop::fragment_ring_full);
        }
        return false;
    }
    worker.counters.count(IpCounter::ip6_reasm_reqds);
    worker.counters.count(IpCounter::ip6_reasm_oks);
    upper = {upper.offset + sizeof(*fragment), upper.offset, fragment->next_header};
    return true;
}

bool find_upper(Worker& worker, rte_mbuf* packet, Upper& upper) noexcept {
    using namespace net::ip_protocol;
    const View view = View::of(packet);
    upper = {sizeof(net::Ipv6Header), 6, ip6_header_of(packet)->next_header};
    bool was_fragment = false;
    for (int count = 0; net::detail::is_extension_header(upper.protocol); ++count) {
        if (upper.protocol == kFragment) {
            // A fragment of a fragment is nobody's.
            if (std::exchange(was_fragment, true)) {
                return refuse(worker, packet, Drop::ip6_extension_header);
            }
            if (!pass_fragment_header(worker, packet, upper)) {
                return false;
            }
            continue;
        }
        if (upper.protocol == kAuthentication || upper.protocol == kMobility) {
            return true;  // nobody here takes it
        }
        const Extension* extension = whole_extension(view, upper.offset);
        if (extension == nullptr || count == net::kMaxExtensionHeaders) {
            return refuse(worker, packet, Drop::ip6_extension_header);
        }
        // The stage has looked at the first header's hop-by-hop options; elsewhere they are wrong.
        if (upper.protocol == kHopByHop && count != 0) {
            return true;
        }
        if (upper.protocol == kRouting && view.data[upper.offset + 3] != 0) {
            return refuse_and_tell(
                worker, packet, Drop::ip6_routing_header, parameter_problem(0, upper.offset + 2)
            );
        }
        if (upper.protocol == kDestinationOptions && !check_options(worker, packet, upper.offset)) {
            return false;
        }
        upper.pointer = upper.offset;
        upper.protocol = extension->next_header;
        upper.offset += extension->bytes();
    }
    return true;
}

// All nodes, all routers, and the groups in which a station's addresses are asked for: what we
// listen to. Whether it is one of ours, control knows.
bool is_our_group(const Bytes16& group) noexcept {
    constexpr Bytes16 kSolicited{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    constexpr Bytes16 kAll{0xff, 0x02};
    const bool is_solicited =
        std::equal(kSolicited.begin(), kSolicited.begin() + 13, group.begin());
    const bool is_all = std::equal(kAll.begin(), kAll.end() - 1, group.begin()) &&
                        (group[15] == 1 || group[15] == 2);
    return is_solicited || is_all;
}

// A group that a tunnel listens to.
[[gnu::cold]] bool is_joined(const Worker& worker, const Bytes16& group) noexcept {
    const route::Adjacency* adjacency =
        worker.tables.adjacencies.read(worker.routed_by.lookup6(group));
    return adjacency != nullptr && route::is_ours(adjacency->kind);
}

// What ip6tnl and ip6gre register for.
constexpr bool is_tunnel_protocol(std::uint8_t protocol) noexcept {
    using namespace net::ip_protocol;
    return protocol == kIpip || protocol == kIpv6 || protocol == kGre || protocol == kMplsInIp;
}

void punt_icmp6(Worker& worker, rte_mbuf* packet, std::size_t offset) noexcept {
    const View view = View::of(packet);
    const bool is_discovery = offset < view.len &&
                              view.data[offset] >= net::icmpv6_type::kRouterSolicitation &&
                              view.data[offset] <= net::icmpv6_type::kRedirect;
    if (is_discovery) {
        worker.punt(packet, Punt::icmp6);
    } else if (!worker.offer(packet, Punt::icmp6)) {
        worker.drop(packet, note(packet).link_in, Drop::control_ring_full);
    }
}

}  // namespace

[[gnu::noinline]] bool check_unusual6(Worker& worker, rte_mbuf* packet) noexcept {
    const std::uint32_t l3_offset = note(packet).l3_offset;
    if (rte_pktmbuf_data_len(packet) < l3_offset + sizeof(net::Ipv6Header)) {
        return refuse(worker, packet, Drop::ip6_truncated);
    }
    const net::Ipv6Header& ip = *ip6_header_of(packet);
    if (ip.version() != 6) {
        return refuse(worker, packet, Drop::ip6_version);
    }
    const std::uint32_t frame_len =
        l3_offset + static_cast<std::uint32_t>(sizeof(ip)) + ip.payload_length.host();
    if (frame_len > rte_pktmbuf_pkt_len(packet)) {
        return refuse(worker, packet, Drop::ip6_payload_length);
    }
    if (frame_len != rte_pktmbuf_pkt_len(packet)) {
        encap::trim_to(packet, frame_len);  // Ethernet's padding, or whatever follows
    }
    return true;
}

[[gnu::noinline]] bool check_addresses6(Worker& worker, rte_mbuf* packet) noexcept {
    const net::Ipv6Header& ip = *ip6_header_of(packet);
    const auto source = net::IpAddress::from_v6(ip.source);
    const auto destination = net::IpAddress::from_v6(ip.destination);
    if (source.is_multicast() || source.is_loopback() || source.is_v4()) {
        return refuse(worker, packet, Drop::ip6_source_invalid);
    }
    // Groups of scope 0 and 1 do not leave a node; IPv4's addresses are not on the wire.
    const bool is_bad_group = destination.is_multicast() && (ip.destination[1] & 0x0f) <= 1;
    if (destination.is_loopback() || destination == net::IpAddress{} || destination.is_v4() ||
        is_bad_group) {
        return refuse(worker, packet, Drop::ip6_destination_invalid);
    }
    if (worker.routed_by.own_addresses6->may_contain(route::fold(ip.source))) {
        const route::Adjacency* adjacency =
            worker.tables.adjacencies.read(worker.routed_by.lookup6(ip.source));
        if (adjacency != nullptr && route::is_ours(adjacency->kind)) {
            return refuse(worker, packet, Drop::ip6_source_invalid);
        }
    }
    return true;
}

[[gnu::noinline]] bool check_hop_by_hop(Worker& worker, rte_mbuf* packet) noexcept {
    if (whole_extension(View::of(packet), sizeof(net::Ipv6Header)) == nullptr) {
        return refuse(worker, packet, Drop::ip6_extension_header);
    }
    return check_options(worker, packet, sizeof(net::Ipv6Header));
}

namespace {

// What Linux's tunnels over IPv6 send in front of their payload: the encapsulation limit and
// nothing else, which says nothing to whom it has reached. False: not such a header, or the rest of
// the way is to look at it.
bool is_encap_limit(const View& view, Upper& upper) noexcept {
    constexpr std::size_t kAt = sizeof(net::Ipv6Header);
    constexpr std::uint64_t kPattern = 0x0000040100010100;  // next header and limit are any
    constexpr std::uint64_t kMask = 0x00ffffff00ffffff;
    constexpr std::size_t kLen = 8;
    if (view.len < kAt + kLen || view.data[6] != net::ip_protocol::kDestinationOptions) {
        return false;
    }
    std::uint64_t word = 0;
    std::memcpy(&word, view.data + kAt, sizeof(word));
    upper = {kAt + kLen, kAt, view.data[kAt]};
    return (in_wire_order(word) & kMask) == kPattern && is_tunnel_protocol(upper.protocol);
}

}  // namespace

[[gnu::noinline]] void deliver6(Worker& worker, rte_mbuf* packet) noexcept {
    const Bytes16& destination = ip6_header_of(packet)->destination;
    const bool is_group = destination[0] == 0xff;
    const LinkId link = note(packet).link_in;
    if (is_group && !is_our_group(destination) && !is_joined(worker, destination)) {
        worker.drop_if_no_host(packet, Drop::ip6_group_unknown);
        return;
    }
    Upper upper;
    if (!is_encap_limit(View::of(packet), upper) && !find_upper(worker, packet, upper)) {
        return;
    }
    if (upper.protocol == net::ip_protocol::kIcmpv6) {
        punt_icmp6(worker, packet, upper.offset);
    } else if (upper.protocol == net::ip_protocol::kNoNextHeader) {
        worker.consume(packet);
    } else if (upper.protocol == net::ip_protocol::kUdp) {
        worker.enqueue(Stage::vxlan_pop6, packet);
    } else if (is_tunnel_protocol(upper.protocol)) {
        worker.enqueue(Stage::ip_tunnel_pop6, packet);
    } else {
        worker.drop_and_tell(
            packet,
            link,
            Drop::ip6_next_header_unknown,
            parameter_problem(kUnknownNextHeader, upper.pointer)
        );
    }
}

// ip6_pkt_discard, ip6_pkt_prohibit: the code says no more than this.
[[gnu::cold]] void
refuse6(Worker& worker, rte_mbuf* packet, const route::Adjacency* adjacency) noexcept {
    using route::AdjacencyKind;
    switch (adjacency != nullptr ? adjacency->kind : AdjacencyKind::no_route) {
    case AdjacencyKind::unreachable:
        refuse_and_tell(
            worker, packet, Drop::ip6_unreachable, unreachable6(net::icmpv6_unreachable::kNoRoute)
        );
        return;
    case AdjacencyKind::prohibit:
        refuse_and_tell(
            worker, packet, Drop::ip6_prohibit, unreachable6(net::icmpv6_unreachable::kProhibited)
        );
        return;
    case AdjacencyKind::blackhole:
        refuse(worker, packet, Drop::ip6_blackhole);
        return;
    default:
        refuse_and_tell(
            worker, packet, Drop::ip6_no_route, unreachable6(net::icmpv6_unreachable::kNoRoute)
        );
    }
}

}  // namespace culvert::pipeline
