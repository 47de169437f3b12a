// SPDX-License-Identifier: BSD-3-Clause
// Tunnels in UDP (FOU-04): the UDP port says that there is a tunnel's packet inside, and it goes on
// as that to ip_tunnel_pop or ip_tunnel_pop6. UDP is looked at for it only while a port is open.
#include "lib/encap/fou_pop.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/fou_pop.hpp"
#include "lib/pipeline/ip4_input.hpp"

#include <algorithm>

namespace culvert::pipeline {

namespace {

Drop reason_of(encap::FouVerdict verdict) noexcept {
    switch (verdict) {
    case encap::FouVerdict::udp_truncated:
        return Drop::udp_truncated;
    case encap::FouVerdict::udp_length:
        return Drop::udp_length;
    case encap::FouVerdict::udp_checksum:
        return Drop::udp_checksum;
    case encap::FouVerdict::good:
    case encap::FouVerdict::no_port:
    case encap::FouVerdict::refused:
        break;
    }
    return Drop::gue_refused;
}

// What IpTunnelPop's underlay is there.
struct FouOverIpv4 {
    static constexpr Stage kNext = Stage::ip_tunnel_pop;
    static constexpr Drop kUnknown = Drop::ip4_protocol_unknown;
    static constexpr IcmpError kPortUnreachable = unreachable(net::icmp_unreachable::kPort);

    static const encap::FouPorts& ports(const Worker& worker) noexcept {
        return worker.tables.ip_tunnels.fou;
    }

    static constexpr IcmpError unknown(std::size_t) noexcept {
        return unreachable(net::icmp_unreachable::kProtocol);
    }
};

struct FouOverIpv6 {
    static constexpr Stage kNext = Stage::ip_tunnel_pop6;
    static constexpr Drop kUnknown = Drop::ip6_next_header_unknown;
    static constexpr IcmpError kPortUnreachable = unreachable6(net::icmpv6_unreachable::kPort);

    static const encap::FouPorts6& ports(const Worker& worker) noexcept {
        return worker.tables.ip_tunnels.fou6;
    }

    static constexpr IcmpError unknown(std::size_t said_at) noexcept {
        constexpr std::uint8_t kUnknownNextHeader = 1;
        return {
            .type = net::icmpv6_type::kParameterProblem,
            .code = kUnknownNextHeader,
            .info = static_cast<std::uint32_t>(said_at)};
    }
};

// What the headers around it say is inside goes on as if it had come by itself: tunnels are asked
// for it, and no other protocol has a taker here (ip_protocol_deliver_rcu()).
template <typename Underlay>
[[gnu::always_inline]] inline void open(Worker& worker, rte_mbuf* packet) noexcept {
    const Note& packet_note = note(packet);
    encap::FouInside inside;  // NOLINT: set where the verdict is good
    const auto verdict = encap::fou_open(
        packet, packet_note.l3_offset, packet_note.link_in, Underlay::ports(worker), inside
    );
    if (verdict == encap::FouVerdict::good) [[likely]] {
        if (is_ip_tunnel_protocol(inside.protocol)) [[likely]] {
            worker.enqueue(Underlay::kNext, packet);
            return;
        }
        worker.drop_and_tell(
            packet, packet_note.link_in, Underlay::kUnknown, Underlay::unknown(inside.said_at)
        );
    } else if (verdict == encap::FouVerdict::no_port) {
        worker.drop_and_tell(
            packet, packet_note.link_in, Drop::udp_no_port, Underlay::kPortUnreachable
        );
    } else {
        worker.drop(packet, packet_note.link_in, reason_of(verdict));
    }
}

bool is_ip6(const rte_mbuf* packet, std::uint16_t l3_offset) noexcept {
    return *rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset) >> 4 == 6;
}

}  // namespace

template <typename Ports>
void divert_fou(Worker& worker, Vector& udp, const Ports& ports) noexcept {
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < udp.count; ++i) {
        rte_mbuf* packet = udp.packets[i];
        if (!encap::is_perhaps_fou(packet, note(packet).l3_offset, ports)) {
            udp.packets[kept++] = packet;
        } else if (worker.vector(Stage::fou_pop).room() == 0) {
            worker.drop(packet, note(packet).link_in, Drop::vector_full);
        } else {
            worker.enqueue(Stage::fou_pop, packet);
        }
    }
    udp.count = kept;
}

template void divert_fou(Worker&, Vector&, const encap::FouPorts&) noexcept;
template void divert_fou(Worker&, Vector&, const encap::FouPorts6&) noexcept;

// One stage for both families: its packets are few.
void fou_pop_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::fou_pop);
    const std::uint32_t count = std::min(
        {vector.count,
         worker.vector(Stage::ip_tunnel_pop).room(),
         worker.vector(Stage::ip_tunnel_pop6).room()}
    );
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = vector.packets[i];
        if (is_ip6(packet, note(packet).l3_offset)) {
            open<FouOverIpv6>(worker, packet);
        } else {
            open<FouOverIpv4>(worker, packet);
        }
    }
    vector.take_front(count);
}

}  // namespace culvert::pipeline
