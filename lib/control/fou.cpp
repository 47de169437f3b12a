// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/fou.hpp"

#include "lib/control/core.hpp"
#include "lib/control/link_rules.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::control {

namespace {

// inet_rcv_saddr_equal(), and two devices are apart.
bool collide(const encap::FouPort& a, const encap::FouPort& b) {
    const bool same_address =
        a.local.is_unspecified() || b.local.is_unspecified() || a.local == b.local;
    const bool same_link = a.dev == kNoLink || b.dev == kNoLink || a.dev == b.dev;
    return a.is_ipv6 == b.is_ipv6 && a.port == b.port && same_address && same_link;
}

}  // namespace

Result<void> Fou::add(const encap::FouPort& port) {
    std::uint64_t flags = 0;
    const auto socket =
        port.is_ipv6 ? encap::VxlanKey::socket_ipv6(port.port) : encap::VxlanKey::socket(port.port);
    const bool is_vxlans = core_.vxlan_demux().find(socket, flags);
    const bool is_taken = std::any_of(ports_.begin(), ports_.end(), [&](const auto& other) {
        return collide(port, other);
    });
    if (is_vxlans || is_taken) {
        return Error{
            std::errc::address_in_use,
            fmt::format("port {} is {}", port.port, is_vxlans ? "a vxlan link's" : "open")};
    }
    ports_.insert(ports_.begin(), port);
    publish();
    return {};
}

Result<void> Fou::del(const encap::FouPort& port) {
    const auto found = std::find_if(ports_.begin(), ports_.end(), [&](encap::FouPort one) {
        one.protocol = port.protocol;
        return one == port;
    });
    if (found == ports_.end()) {
        return Error{std::errc::invalid_argument, fmt::format("port {} is not open", port.port)};
    }
    ports_.erase(found);
    publish();
    return {};
}

void Fou::link_gone(LinkId link) {
    bool any = false;
    for (encap::FouPort& port : ports_) {
        if (port.dev == link) {
            port.dev = kDeletedLink;
            any = true;
        }
    }
    if (any) {
        publish();
    }
}

bool Fou::is_open(std::uint16_t port, bool is_ipv6) const {
    return std::any_of(ports_.begin(), ports_.end(), [&](const auto& one) {
        return one.port == port && one.is_ipv6 == is_ipv6;
    });
}

void Fou::publish() {
    core_.ip_tunnels().fou.publish(core_.domain(), ports_);
    core_.ip_tunnels().fou6.publish(core_.domain(), ports_);
}

}  // namespace culvert::control
