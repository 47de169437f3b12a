// SPDX-License-Identifier: BSD-3-Clause
// Neighbour discovery (RFC 4861) and duplicate address detection (RFC 4862 5.4, RFC 7527) of a
// router, by the kernel's rules (ndisc.c, addrconf.c). Control only.
#pragma once

#include "lib/control/delayed.hpp"
#include "lib/control/ip6_output.hpp"
#include "lib/control/walk_timer.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/route/routing.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>

struct rte_mbuf;

namespace culvert::control {

class Core;

// The group at which the owner of `address` is asked for (RFC 4291, 2.7.1).
[[nodiscard]] net::IpAddress solicited_group(const net::IpAddress& address) noexcept;

class NeighbourDiscovery {
public:
    NeighbourDiscovery(Core& core, Ip6Output& output)
        : core_(core)
        , output_(output)
        , random_(std::random_device{}()) {}

    // A message of types 133 to 137, whose checksum is right, at `offset`. Takes the packet.
    void handle(rte_mbuf* packet, const net::Ipv6Header& ip, std::size_t offset);

    void send_solicitation(
        LinkId link,
        std::optional<net::MacAddress> unicast_to,
        const net::IpAddress& source,
        const net::IpAddress& target
    );

    // An address came, went or changed: one that is tentative is asked for.
    void address_changed(const route::Address& address, bool removed);
    // Asks, answers for proxies, and ends what nobody objected to. Returns when it wants to be
    // called next (ms), UINT64_MAX = never.
    std::uint64_t tick(std::uint64_t now_ms);

private:
    using Nonce = std::array<std::uint8_t, 6>;

    struct Detection {
        std::uint64_t due_ms = 0;
        bool has_asked = false;
        Nonce nonce{};
    };

    // What every such message has, and what may be in its options.
    struct Message {
        LinkId link = kNoLink;
        net::IpAddress source;
        net::IpAddress destination;
        net::IpAddress target;
        std::uint8_t flags = 0;   // of an advertisement
        bool is_unicast = false;  // the frame was sent to our MAC
        std::optional<net::MacAddress> source_mac{};
        std::optional<net::MacAddress> target_mac{};
        std::optional<Nonce> nonce{};
    };

    [[nodiscard]] static bool read_options(std::span<const std::uint8_t> options, Message& message);
    bool on_solicitation(const Message& message);
    bool on_advertisement(const Message& message);
    bool on_router_solicitation(const Message& message);
    void object(const Message& message);
    void answer_as_proxy(const Message& question, const route::NeighbourTable::Proxy& proxy);
    void
    send_advertisement(const Message& question, bool is_detection, bool is_router, bool is_ours);
    std::uint64_t detect(std::uint64_t now_ms);
    void ask(LinkId link, const net::IpAddress& address, Detection& detection);

    Core& core_;
    Ip6Output& output_;
    std::minstd_rand random_;
    std::map<std::pair<LinkId, net::IpAddress>, Detection> detections_;
    WalkTimer walk_;  // over them
    Delayed delayed_;
};

}  // namespace culvert::control
