// SPDX-License-Identifier: BSD-3-Clause
// Frames for the tests of this room, put together header by header.
#pragma once

#include "lib/net/arp.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/udp.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace culvert::net {

class Frame {
public:
    template <typename Header>
    Frame& add(const Header& header) {
        static_assert(kIsWireHeader<Header, sizeof(Header)>);
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&header);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof(Header));
        return *this;
    }

    Frame& add_bytes(const std::vector<std::uint8_t>& bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return *this;
    }

    Frame& ether(std::uint16_t type) {
        return add(EtherHeader{
            MacAddress::from_value(0x020000000002),
            MacAddress::from_value(0x020000000001),
            Be16{type}});
    }

    Frame& vlan(std::uint16_t vid, std::uint16_t type) {
        return add(VlanHeader{Be16{vid}, Be16{type}});
    }

    Frame& ipv4(
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t protocol,
        std::uint16_t flags_and_offset = 0
    ) {
        return add(Ipv4Header{
            kIpv4VersionIhl,
            0x2a,
            Be16{28},
            Be16{1},
            Be16{flags_and_offset},
            63,
            protocol,
            Be16{0},
            Be32{source},
            Be32{destination}});
    }

    Frame& ipv6(
        std::uint8_t source,
        std::uint8_t destination,
        std::uint8_t next_header,
        std::uint32_t flow_label = 0
    ) {
        std::array<std::uint8_t, 16> from{0x20, 0x01, 0x0d, 0xb8};
        std::array<std::uint8_t, 16> to = from;
        from[15] = source;
        to[15] = destination;
        return add(Ipv6Header{
            Ipv6Header::make_first_word(0x2a, flow_label), Be16{8}, next_header, 63, from, to});
    }

    Frame& udp(std::uint16_t source, std::uint16_t destination) {
        return add(UdpHeader{Be16{source}, Be16{destination}, Be16{8}, Be16{0}});
    }

    [[nodiscard]] const std::uint8_t* data() const noexcept { return bytes_.data(); }

    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

private:
    std::vector<std::uint8_t> bytes_;
};

}  // namespace culvert::net
