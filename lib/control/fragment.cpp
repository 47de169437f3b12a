// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/fragment.hpp"

#include "lib/net/checksum.hpp"
#include "lib/net/header.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/parse.hpp"
#include "lib/net/tcp.hpp"
#include "lib/net/udp.hpp"
#include "lib/pipeline/ip_fragment.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace culvert::control {

namespace {

constexpr std::uint32_t kLargest = 65535;
constexpr std::uint32_t kUnit = 8;
constexpr std::uint16_t kFragmentLen = sizeof(net::Ipv6FragmentHeader);

template <typename Header>
Header& header_at(rte_mbuf* packet, std::size_t offset) {
    return *rte_pktmbuf_mtod_offset(packet, Header*, offset);
}

// A packet that grows by bytes, buffer after buffer, each filled before the next is taken.
class Writer {
public:
    explicit Writer(rte_mempool* pool)
        : pool_(pool)
        , first_(rte_pktmbuf_alloc(pool))
        , last_(first_)
        , failed_(first_ == nullptr) {}

    ~Writer() { rte_pktmbuf_free(first_); }

    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void append(const std::uint8_t* data, std::size_t len) {
        while (len != 0 && !failed_) {
            const std::size_t piece = std::min<std::size_t>(len, rte_pktmbuf_tailroom(last_));
            if (piece == 0) {
                grow();
                continue;
            }
            std::memcpy(rte_pktmbuf_mtod_offset(last_, void*, last_->data_len), data, piece);
            last_->data_len = static_cast<std::uint16_t>(last_->data_len + piece);
            first_->pkt_len += static_cast<std::uint32_t>(piece);
            data += piece;
            len -= piece;
        }
    }

    // `len` bytes from `offset` on; the packet has them.
    void append(const rte_mbuf* packet, std::size_t offset, std::size_t len) {
        for (; len != 0; packet = packet->next) {
            if (offset >= packet->data_len) {
                offset -= packet->data_len;
                continue;
            }
            const std::size_t piece = std::min(len, packet->data_len - offset);
            append(rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset), piece);
            offset = 0;
            len -= piece;
        }
    }

    // nullptr = some buffer was not to be had.
    [[nodiscard]] rte_mbuf* take() { return failed_ ? nullptr : std::exchange(first_, nullptr); }

private:
    void grow() {
        rte_mbuf* next = rte_pktmbuf_alloc(pool_);
        failed_ = next == nullptr;
        if (!failed_) {
            next->data_off = 0;  // room in front is for the first one alone
            last_->next = next;
            last_ = next;
            ++first_->nb_segs;
        }
    }

    rte_mempool* pool_;
    rte_mbuf* first_;
    rte_mbuf* last_;
    bool failed_;
};

Fragment read_fragment4(rte_mbuf* packet, LinkId scope) {
    const std::uint16_t l3_offset = pipeline::note(packet).l3_offset;
    const auto& ip = header_at<const net::Ipv4Header>(packet, l3_offset);
    Fragment fragment;
    fragment.key = {
        net::IpAddress::from_v4(ip.source.host()),
        net::IpAddress::from_v4(ip.destination.host()),
        ip.identification.host(),
        scope,
        ip.protocol};
    const auto header_len = static_cast<std::uint32_t>(ip.header_len_bytes());
    FragmentPiece& piece = fragment.piece;
    piece.packet = packet;
    piece.begin = static_cast<std::uint32_t>(ip.fragment_offset_bytes());
    piece.end = piece.begin + ip.total_length.host() - header_len;
    piece.front = static_cast<std::uint16_t>(l3_offset + header_len);
    fragment.longest = kLargest - sizeof(ip);
    fragment.more = ip.more_fragments();
    fragment.ecn = ip.ecn();
    if (fragment.more) {
        piece.end &= ~(kUnit - 1);  // what is beyond is cut off (ip_frag_queue)
    }
    return fragment;
}

// Where an IPv6 packet's fragment header is, from the IPv6 header on, and the byte that says so.
struct FragmentHeaderPlace {
    std::size_t offset = 0;  // 0 = there is none
    std::size_t next_header_at = offsetof(net::Ipv6Header, next_header);
};

FragmentHeaderPlace find_fragment_header(rte_mbuf* packet) {
    using namespace net::ip_protocol;
    const std::size_t l3_offset = pipeline::note(packet).l3_offset;
    const auto* data = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
    const std::size_t len = packet->data_len - l3_offset;
    FragmentHeaderPlace place;
    std::size_t at = sizeof(net::Ipv6Header);
    for (int count = 0; count <= net::kMaxExtensionHeaders; ++count) {
        const std::uint8_t next = data[place.next_header_at];
        if (next == kFragment) {
            place.offset = at + kFragmentLen <= len ? at : 0;
            return place;
        }
        if ((next != kHopByHop && next != kRouting && next != kDestinationOptions) ||
            at + kUnit > len) {
            break;
        }
        place.next_header_at = at;
        at += (std::size_t{data[at + 1]} + 1) * kUnit;
    }
    return place;
}

// RFC 8200, 4.5: the first fragment has all headers up to the transport's
// (ipv6frag_thdr_truncated).
bool has_all_headers(rte_mbuf* packet) {
    const net::ParsedPacket parsed = net::parse_l3(
        rte_pktmbuf_mtod(packet, const std::uint8_t*),
        packet->data_len,
        pipeline::note(packet).l3_offset,
        net::ether_type::kIpv6
    );
    std::size_t needed = 1;
    if (parsed.protocol == net::ip_protocol::kTcp) {
        needed = sizeof(net::TcpHeader);
    } else if (parsed.protocol == net::ip_protocol::kUdp || parsed.protocol == net::ip_protocol::kIcmpv6) {
        needed = sizeof(net::UdpHeader);
    }
    return parsed.l4_offset != 0 && parsed.l4_offset + needed <= packet->pkt_len;
}

// What ipv6_frag_rcv() and ip6_frag_queue() say of a fragment by itself.
std::optional<pipeline::IcmpError>
wrong_with(const Fragment& fragment, const net::Ipv6FragmentHeader& header, std::size_t header_at) {
    constexpr std::uint8_t kErroneousField = 0;
    constexpr std::uint8_t kIncompleteChain = 3;  // RFC 7112
    pipeline::IcmpError problem{
        .type = net::icmpv6_type::kParameterProblem, .code = kErroneousField};
    const FragmentPiece& piece = fragment.piece;
    if (header.next_header == net::ip_protocol::kFragment) {
        return pipeline::IcmpError{};
    }
    if (piece.begin == 0 && !has_all_headers(piece.packet)) {
        problem.code = kIncompleteChain;
        return problem;
    }
    if (piece.end > kLargest) {
        problem.info = static_cast<std::uint32_t>(
            header_at + offsetof(net::Ipv6FragmentHeader, offset_and_more)
        );
        return problem;
    }
    if (fragment.more && piece.end % kUnit != 0) {
        problem.info = offsetof(net::Ipv6Header, payload_length);
        return problem;
    }
    return std::nullopt;
}

Fragment read_fragment6(rte_mbuf* packet, LinkId scope) {
    const std::uint16_t l3_offset = pipeline::note(packet).l3_offset;
    const FragmentHeaderPlace place = find_fragment_header(packet);
    const auto& ip = header_at<const net::Ipv6Header>(packet, l3_offset);
    Fragment fragment;
    fragment.piece.packet = packet;
    const std::size_t behind = sizeof(ip) + ip.payload_length.host();
    if (place.offset == 0 || behind < place.offset + kFragmentLen) {
        fragment.wrong = pipeline::IcmpError{};
        return fragment;
    }
    const auto& header = header_at<const net::Ipv6FragmentHeader>(packet, l3_offset + place.offset);
    fragment.key = {
        net::IpAddress::from_v6(ip.source),
        net::IpAddress::from_v6(ip.destination),
        header.identification.host(),
        scope};
    FragmentPiece& piece = fragment.piece;
    piece.begin = static_cast<std::uint32_t>(header.fragment_offset_bytes());
    piece.end = piece.begin + static_cast<std::uint32_t>(behind - place.offset - kFragmentLen);
    piece.front = static_cast<std::uint16_t>(l3_offset + place.offset + kFragmentLen);
    fragment.longest = kLargest;
    fragment.more = header.more_fragments();
    fragment.ecn = ip.ecn();
    fragment.wrong = wrong_with(fragment, header, place.offset);
    return fragment;
}

void finish_header4(rte_mbuf* datagram, std::uint8_t ecn) {
    const std::uint16_t l3_offset = pipeline::note(datagram).l3_offset;
    auto& ip = header_at<net::Ipv4Header>(datagram, l3_offset);
    ip.type_of_service |= ecn;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(datagram->pkt_len - l3_offset)};
    ip.flags_and_offset = net::Be16{0};
    ip.checksum = net::ipv4_header_checksum(ip, ip.header_len_bytes());
}

// The fragment header is not in it any more, and what said that it is there says what it said.
void finish_header6(rte_mbuf* datagram, std::uint8_t ecn, rte_mbuf* first) {
    const std::uint16_t l3_offset = pipeline::note(datagram).l3_offset;
    const FragmentHeaderPlace place = find_fragment_header(first);
    const auto& header = header_at<const net::Ipv6FragmentHeader>(first, l3_offset + place.offset);
    header_at<std::uint8_t>(datagram, l3_offset + place.next_header_at) = header.next_header;
    auto& ip = header_at<net::Ipv6Header>(datagram, l3_offset);
    ip.version_class_flow = net::Be32{ip.version_class_flow.host() | (std::uint32_t{ecn} << 20)};
    ip.payload_length = net::Be16{
        static_cast<std::uint16_t>(datagram->pkt_len - l3_offset - sizeof(net::Ipv6Header))};
}

// Bytes of headers, without those of the link, that the datagram keeps.
std::size_t kept_headers(const FragmentPiece& first) {
    const std::size_t in_front = first.front - pipeline::note(first.packet).l3_offset;
    return pipeline::is_ip6(first.packet) ? in_front - kFragmentLen : in_front;
}

}  // namespace

Fragment read_fragment(rte_mbuf* packet, LinkId scope) {
    return pipeline::is_ip6(packet) ? read_fragment6(packet, scope) : read_fragment4(packet, scope);
}

bool has_fragment_header(rte_mbuf* packet) {
    return find_fragment_header(packet).offset != 0;
}

bool fits_into_header(const FragmentPiece& first, std::uint32_t length) {
    const std::size_t not_counted =
        pipeline::is_ip6(first.packet) ? sizeof(net::Ipv6Header) : std::size_t{0};
    return kept_headers(first) + length - not_counted <= kLargest;
}

rte_mbuf*
join_fragments(std::span<const FragmentPiece> pieces, std::uint8_t ecn, rte_mempool* pool) {
    rte_mbuf* first = pieces.front().packet;
    Writer writer(pool);
    writer.append(first, 0, pipeline::note(first).l3_offset + kept_headers(pieces.front()));
    for (const FragmentPiece& piece : pieces) {
        writer.append(piece.packet, piece.front, piece.end - piece.begin);
    }
    rte_mbuf* datagram = writer.take();
    if (datagram == nullptr) {
        return nullptr;
    }
    pipeline::note(datagram) = pipeline::note(first);
    if (pipeline::is_ip6(first)) {
        finish_header6(datagram, ecn, first);
    } else {
        finish_header4(datagram, ecn);
    }
    return datagram;
}

}  // namespace culvert::control
