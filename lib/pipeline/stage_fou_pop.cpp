// SPDX-License-Identifier: BSD-3-Clause
// Tunnels in UDP (FOU-04): the UDP port says that there is a tunnel's packet inside, and it goes on
// as that to ip_tunnel_pop. UDP is looked at for it only while a port is open.
#include "lib/encap/fou_pop.hpp"
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

// What the headers around it say is inside goes on as if it had come by itself: tunnels are asked
// for it, and no other protocol has a taker here (ip_protocol_deliver_rcu()).
void hand_on(Worker& worker, rte_mbuf* packet) noexcept {
    const Note& packet_note = note(packet);
    if (is_ip_tunnel_protocol(header_of(packet)->protocol)) [[likely]] {
        worker.enqueue(Stage::ip_tunnel_pop, packet);
        return;
    }
    worker.drop_and_tell(
        packet,
        packet_note.link_in,
        Drop::ip4_protocol_unknown,
        unreachable(net::icmp_unreachable::kProtocol)
    );
}

}  // namespace

void divert_fou(Worker& worker, Vector& udp) noexcept {
    const encap::FouPorts& ports = worker.tables.ip_tunnels.fou;
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

void fou_pop_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::fou_pop);
    const encap::FouPorts& ports = worker.tables.ip_tunnels.fou;
    const std::uint32_t count = std::min(vector.count, worker.vector(Stage::ip_tunnel_pop).room());
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = vector.packets[i];
        const Note& packet_note = note(packet);
        const auto verdict =
            encap::fou_open(packet, packet_note.l3_offset, packet_note.link_in, ports);
        if (verdict == encap::FouVerdict::good) [[likely]] {
            hand_on(worker, packet);
        } else if (verdict == encap::FouVerdict::no_port) {
            worker.drop_and_tell(
                packet,
                packet_note.link_in,
                Drop::udp_no_port,
                unreachable(net::icmp_unreachable::kPort)
            );
        } else {
            worker.drop(packet, packet_note.link_in, reason_of(verdict));
        }
    }
    vector.take_front(count);
}

}  // namespace culvert::pipeline
