// SPDX-License-Identifier: BSD-3-Clause
// A machine that routes IPv4 between two ports.
#pragma once

#include "lib/net/checksum.hpp"
#include "test/unit/pipeline/fixture.hpp"

namespace culvert::pipeline::test {

inline constexpr std::uint32_t kRouter = 0x0a000001;     // 10.0.0.1
inline constexpr std::uint32_t kPeer = 0x0a000002;       // 10.0.0.2
inline constexpr std::uint32_t kBehind = 0x0a010005;     // 10.1.0.5, routed through port 1
inline constexpr std::uint32_t kBroadcast = 0x0a0000ff;  // 10.0.0.255
inline const net::MacAddress kNextHop = mac(0x77);

// Port 0 is 10.0.0.1/24, 10.1.0.0/16 lies behind a router on port 1.
struct Router : Machine {
    explicit Router(const MachineOptions& options = {})
        : Machine(options)
        , in(port_link(0))
        , out(port_link(1)) {
        add_local("10.0.0.1/32");
        route::Adjacency broadcast;
        broadcast.kind = route::AdjacencyKind::broadcast;
        add_route("10.0.0.255/32", broadcast);
        add_next_hop("10.1.0.0/16", out, kNextHop);
    }

    [[nodiscard]] static Packet packet(const Ipv4Options& options, std::size_t payload = 30) {
        return Packet().ether(port_mac(0), mac(1)).ipv4(options).payload(payload);
    }

    void expect_drop_of(const Packet& wrong, Drop reason) {
        forget_drops();
        receive_exact(in, wrong);
        run();
        expect_only_drop(in, reason);
        CHECK(sent(out).empty());
        CHECK(punted().empty());
    }

    LinkId in;
    LinkId out;
};

inline void set_ip_checksum(Bytes& frame) {
    auto* ip = reinterpret_cast<net::Ipv4Header*>(&frame[14]);
    ip->checksum = net::ipv4_header_checksum(*ip, ip->header_len_bytes());
}

}  // namespace culvert::pipeline::test
