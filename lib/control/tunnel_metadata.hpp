// SPDX-License-Identifier: BSD-3-Clause
// What routes say of the outer header of their packets into an `external` tunnel (`route add PREFIX
// encap ip ...`, TUN-MD-02). Each set of words has a number, and a route with it has for gateway an
// address of 240.0.0.0/4, which no packet on a wire has, with that number in it. So a packet brings
// its metadata to the tunnel in the four bytes in which others bring their route's gateway, and to
// workers it is one remote more of the link (encap/ip_tunnel.hpp). Control only.
#pragma once

#include "lib/encap/ip_tunnel.hpp"
#include "lib/net/address.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace culvert::control {

class TunnelMetadata {
public:
    // The gateway that stands for these words, in the family of the route's prefix; nullopt: all
    // numbers are in use.
    [[nodiscard]] std::optional<net::IpAddress>
    gateway_for(const encap::IpTunnelMetadata& words, net::Family family);
    // What a gateway stands for; nullptr: for itself.
    [[nodiscard]] const encap::IpTunnelMetadata* find(const net::IpAddress& gateway) const;

private:
    // What was said once stays: routes that say the same share it.
    std::map<encap::IpTunnelMetadata, std::uint32_t> numbers_;
    std::vector<const encap::IpTunnelMetadata*> words_;  // by number
};

}  // namespace culvert::control
