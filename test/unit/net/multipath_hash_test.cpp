// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/gre.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/multipath_hash.hpp"
#include "test/unit/net/frame.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <vector>

namespace culvert::net {

namespace {

constexpr std::uint32_t kA = 0x0a000001;
constexpr std::uint32_t kB = 0x0b000001;

using Bytes = std::vector<std::uint8_t>;

Bytes ports(std::uint16_t source, std::uint16_t destination) {
    Bytes bytes(8);
    const Be16 words[] = {Be16{source}, Be16{destination}};
    std::memcpy(bytes.data(), words, sizeof(words));
    return bytes;
}

Frame udp4(std::uint32_t source, std::uint32_t destination, std::uint16_t port) {
    return Frame()
        .ether(ether_type::kIpv4)
        .ipv4(source, destination, ip_protocol::kUdp)
        .add_bytes(ports(port, 53));
}

// The same behind an outer header from kA to kB.
Frame tunnelled(const Frame& inside, bool is_gre) {
    const Bytes bytes(inside.data() + sizeof(EtherHeader), inside.data() + inside.size());
    Frame frame;
    frame.ether(ether_type::kIpv4);
    frame.ipv4(kA, kB, is_gre ? ip_protocol::kGre : ip_protocol::kIpip);
    if (is_gre) {
        frame.add(GreHeader{Be16{gre::kKey}, Be16{ether_type::kIpv4}}).add(Be32{7});
    }
    return frame.add_bytes(bytes);
}

std::uint32_t hash(const Frame& frame, MultipathPolicy policy, std::uint16_t fields = 7) {
    return multipath_hash(
        {policy, fields}, frame.data(), frame.size(), sizeof(EtherHeader), ether_type::kIpv4
    );
}

}  // namespace

TEST_CASE("RT-09 policy 1: ports count, and both directions are one flow", "[net]") {
    using enum MultipathPolicy;
    CHECK(hash(udp4(kA, kB, 1), l4) != hash(udp4(kA, kB, 2), l4));
    Frame back;
    back.ether(ether_type::kIpv4).ipv4(kB, kA, ip_protocol::kUdp).add_bytes(ports(53, 1));
    CHECK(hash(udp4(kA, kB, 1), l4) == hash(back, l4));
    CHECK(hash(udp4(kA, kB, 1), l3) == hash(udp4(kA, kB, 2), l3));
    // Fragments have none.
    const auto piece = [](std::uint16_t port) {
        return Frame()
            .ether(ether_type::kIpv4)
            .ipv4(kA, kB, ip_protocol::kUdp, kIpv4MoreFragments)
            .add_bytes(ports(port, 53));
    };
    CHECK(hash(piece(1), l4) == hash(piece(2), l4));
}

TEST_CASE("RT-09 policy 2: the addresses inside count, those of plain packets as in 0", "[net]") {
    using enum MultipathPolicy;
    const bool is_gre = GENERATE(false, true);
    const auto packet = [&](std::uint32_t inner, std::uint16_t port) {
        return tunnelled(udp4(inner, kB, port), is_gre);
    };
    CHECK(hash(packet(1, 1), inner_l3) != hash(packet(2, 1), inner_l3));
    CHECK(hash(packet(1, 1), inner_l3) == hash(packet(1, 2), inner_l3));
    CHECK(hash(packet(1, 1), l4) == hash(packet(2, 2), l4));
    CHECK(hash(udp4(kA, kB, 1), inner_l3) == hash(udp4(kA, kB, 2), inner_l3));
    CHECK(hash(udp4(kA, kB, 1), inner_l3) != hash(udp4(kA, kB + 1, 1), inner_l3));
}

TEST_CASE("RT-09 policy 3: each field counts when it is asked for, and only then", "[net]") {
    using enum MultipathPolicy;
    const Frame base = tunnelled(udp4(kA, kB, 1), true);
    const auto differs = [&](const Frame& other, std::uint16_t fields) {
        return hash(base, custom, fields) != hash(other, custom, fields);
    };
    const Frame inner_source = tunnelled(udp4(kA + 9, kB, 1), true);
    const Frame inner_port = tunnelled(udp4(kA, kB, 2), true);
    for (unsigned bit = 0; bit < 12; ++bit) {
        const auto field = static_cast<std::uint16_t>(1U << bit);
        CAPTURE(bit);
        CHECK(differs(inner_source, field) == (field == multipath_field::kSourceIp << 6));
        CHECK(differs(inner_port, field) == (field == multipath_field::kSourcePort << 6));
    }
    for (unsigned bit = 0; bit < 12; ++bit) {
        const auto field = static_cast<std::uint16_t>(1U << bit);
        CAPTURE(bit);
        CHECK(
            (hash(udp4(kA, kB, 1), custom, field) != hash(udp4(kA + 1, kB, 1), custom, field)) ==
            (field == multipath_field::kSourceIp)
        );
        CHECK(
            (hash(udp4(kA, kB, 1), custom, field) != hash(udp4(kA, kB, 2), custom, field)) ==
            (field == multipath_field::kSourcePort)
        );
    }
}

TEST_CASE("RT-09 what is sent from here hashes as what is forwarded", "[net]") {
    const auto policy =
        GENERATE(MultipathPolicy::l4, MultipathPolicy::inner_l3, MultipathPolicy::custom);
    FlowKeys keys = flow_keys(IpAddress::from_v4(kA), IpAddress::from_v4(kB), ip_protocol::kUdp);
    keys.source_port = Be16{5}.raw();
    keys.destination_port = Be16{53}.raw();
    const std::uint16_t fields = 0x3f;
    if (policy != MultipathPolicy::inner_l3) {
        CHECK(multipath_hash({policy, fields}, keys) == hash(udp4(kA, kB, 5), policy, fields));
    }
    CHECK(
        multipath_hash({MultipathPolicy::l3, fields}, keys) ==
        multipath_hash(IpAddress::from_v4(kA), IpAddress::from_v4(kB))
    );
}

TEST_CASE("RT-09 packets that end anywhere have a hash all the same", "[net]") {
    const Frame frame = tunnelled(udp4(kA, kB, 1), true);
    const Bytes whole(frame.data(), frame.data() + frame.size());
    for (std::size_t len = sizeof(EtherHeader); len <= whole.size(); ++len) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(len));
        for (const auto policy :
             {MultipathPolicy::l4, MultipathPolicy::inner_l3, MultipathPolicy::custom}) {
            CHECK(
                multipath_hash(
                    {policy, 0xfff}, cut.data(), cut.size(), sizeof(EtherHeader), ether_type::kIpv4
                ) < 0x80000000
            );
        }
    }
}

}  // namespace culvert::net
