// SPDX-License-Identifier: BSD-3-Clause
// IP packets that control makes: by the route, cut where they are too large, to the neighbour
// (ip_local_out and what follows, catalogue 4.2 and 4.3). Control only.
#pragma once

#include "lib/net/ipv4.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>

struct rte_mbuf;

namespace culvert::control {

class Core;

class IpOutput {
public:
    explicit IpOutput(Core& core)
        : core_(core) {}

    // A header for `len` bytes of packet, its checksum not yet in it.
    [[nodiscard]] net::Ipv4Header
    header(std::uint8_t protocol, std::size_t len, net::Be32 source, net::Be32 destination);

    // `packet` begins at its IPv4 header, which is complete, and is counted as originated. It
    // answers what came in by `link_in`, in whose VRF it goes. Takes it.
    void send(rte_mbuf* packet, LinkId link_in);

private:
    Core& core_;
    std::uint16_t identification_ = 0;
};

// What both families end with. `packet` begins at its IP header, and `path` leads on. Both take it.
void send_by(Core& core, rte_mbuf* packet, const route::Path& path);
// IPO-LO-01, IPO-OUT-02: at local-out and post-routing, whole; note(packet).l3_offset says where
// its IP header lies. False: a filter has kept it.
[[nodiscard]] bool passes_filters(Core& core, rte_mbuf* packet, const route::Path& path);
// Precondition: may_fragment() or may_fragment6(). `identification`: IPv6's, of all fragments.
void send_in_fragments(
    Core& core, rte_mbuf* packet, const route::Path& path, std::uint32_t identification
);

}  // namespace culvert::control
