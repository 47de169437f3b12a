// SPDX-License-Identifier: BSD-3-Clause
// A neighbour table, a clock that only the test moves, and somebody who writes down what the table
// asks for.
#pragma once

#include "lib/net/arp.hpp"
#include "lib/route/neighbour.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace culvert::route::neighbour_test {

using net::ArpHeader;
using net::Be16;
using net::Be32;
using net::IpAddress;
using net::MacAddress;
using Verb = NeighbourTable::Verb;

constexpr LinkId kLink = 3;
constexpr std::uint64_t kStart = 1'000'000;
constexpr MacAddress kMacA = MacAddress::from_value(0x020000000001);
constexpr MacAddress kMacB = MacAddress::from_value(0x020000000002);

inline NeighbourKey key_of(std::uint32_t host, LinkId link = kLink) {
    return {link, IpAddress::from_v4(0x0a000000 + host)};
}

inline const NeighbourKey kPeer = key_of(9);

// Writes down what the table asks for. Packets are only named, never looked into.
class Recorder : public NeighbourActions {
public:
    void solicit(const NeighbourKey& key, std::optional<MacAddress> unicast_to) override {
        log(fmt::format("{} {}", unicast_to ? "unicast" : "broadcast", key.address.to_string()));
    }

    void changed(const Neighbour& neighbour, bool removed) override {
        changes.push_back(neighbour.state);
        if (removed) {
            ++removals;
        }
    }

    void send(const Neighbour& neighbour, rte_mbuf* packet) override {
        log(fmt::format("send {} {}", number(packet), neighbour.mac.to_string()));
    }

    void give_up(const Neighbour& /*neighbour*/, rte_mbuf* packet, QueueVerdict why) override {
        static constexpr std::array<const char*, 4> kWhy{
            "failed", "overflow", "removed", "table_full"};
        log(fmt::format("{} {}", kWhy.at(static_cast<std::size_t>(why)), number(packet)));
    }

    rte_mbuf* packet(std::size_t index) { return &packets_.at(index); }

    // What happened since the last call.
    std::vector<std::string> take() { return std::exchange(events_, {}); }

    std::vector<NeighbourState> changes;
    int removals = 0;

private:
    void log(std::string event) { events_.push_back(std::move(event)); }

    [[nodiscard]] std::ptrdiff_t number(const rte_mbuf* packet) const {
        return packet - packets_.data();
    }

    std::array<rte_mbuf, 300> packets_{};
    std::vector<std::string> events_;
};

using Events = std::vector<std::string>;

struct Fixture {
    explicit Fixture(NeighbourParameters parameters = {.random_seed = 5})
        : table(recorder, parameters) {}

    // Time passes as for a caller that is called exactly when it asked to be.
    void advance_to(std::uint64_t until) {
        for (std::uint64_t next = table.tick(now); next <= until; next = table.tick(now)) {
            now = std::max(next, now + 1);
        }
        now = until;
        table.tick(now);
    }

    void advance(std::uint64_t ms) { advance_to(now + ms); }

    void hear(
        std::uint16_t operation,
        const MacAddress& mac,
        bool to_us,
        bool unicast,
        NeighbourKey from = kPeer
    ) {
        ArpHeader arp{};
        arp.operation = Be16(operation);
        arp.sender_mac = mac;
        arp.sender_ip = Be32(from.address.v4());
        arp.target_ip = Be32(0x0a000001);
        table.arp_input(from.link, arp, to_us, unicast, now);
    }

    void reply(const MacAddress& mac = kMacA) { hear(net::arp::kReply, mac, true, true); }

    [[nodiscard]] NeighbourState state(NeighbourKey key = kPeer) const {
        const Neighbour* found = table.find(key);
        return found != nullptr ? found->state : NeighbourState::none;
    }

    void send(std::size_t packet) { table.resolve(kPeer, recorder.packet(packet), now); }

    // A neighbour that answered and whose confirmation has aged.
    void make_stale() {
        send(0);
        reply();
        advance(60000);
        REQUIRE(state() == NeighbourState::stale);
        recorder.take();
    }

    Recorder recorder;
    NeighbourTable table;
    std::uint64_t now = kStart;
};

}  // namespace culvert::route::neighbour_test
