// SPDX-License-Identifier: BSD-3-Clause
// A core with one port that has IPv6, and the ICMPv6 messages that it hears.
#pragma once

#include "lib/control/slow_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace culvert::control::test {

using pipeline::Drop;
using pipeline::Punt;
using Bytes = std::vector<std::uint8_t>;

inline const net::MacAddress kPeer = mac("02:00:00:00:09:09");
inline constexpr const char* kPeerLocal = "fe80::909";
inline constexpr const char* kOurLocal = "fe80::ff:fe00:10";  // of 02:00:00:00:00:10

inline constexpr std::size_t kIcmpAt = 14 + 40;

struct Icmp {
    std::string source = kPeerLocal;
    std::string destination = kOurLocal;
    std::uint8_t hop_limit = 255;
    Bytes message{};
};

inline Bytes frame(const Icmp& what) {
    Bytes bytes(14 + sizeof(net::Ipv6Header));
    const net::EtherHeader ether{
        mac("02:00:00:00:00:10"), kPeer, net::Be16{net::ether_type::kIpv6}};
    std::memcpy(bytes.data(), &ether, sizeof(ether));
    net::Ipv6Header header{};
    header.version_class_flow = net::Ipv6Header::make_first_word(0x20, 0);
    header.payload_length = net::Be16{static_cast<std::uint16_t>(what.message.size())};
    header.next_header = net::ip_protocol::kIcmpv6;
    header.hop_limit = what.hop_limit;
    header.source = ip(what.source).bytes();
    header.destination = ip(what.destination).bytes();
    std::memcpy(bytes.data() + 14, &header, sizeof(header));
    bytes.insert(bytes.end(), what.message.begin(), what.message.end());
    const std::uint64_t sum = net::sum_add(
        net::pseudo_header_sum_v6(
            header.source,
            header.destination,
            net::ip_protocol::kIcmpv6,
            static_cast<std::uint32_t>(what.message.size())
        ),
        net::sum_bytes(what.message.data(), what.message.size())
    );
    const net::Be16 checksum = net::checksum_from_sum(sum);
    std::memcpy(bytes.data() + kIcmpAt + 2, &checksum, sizeof(checksum));
    return bytes;
}

// Type, flags, target, and an option of 8 bytes if there is one.
inline Bytes discovery(
    std::uint8_t type, std::uint8_t flags, const std::string& target, const Bytes& option = {}
) {
    Bytes message{type, 0, 0, 0, flags, 0, 0, 0};
    const auto address = ip(target).bytes();
    message.insert(message.end(), address.begin(), address.end());
    message.insert(message.end(), option.begin(), option.end());
    return message;
}

inline Bytes mac_option(std::uint8_t type, const net::MacAddress& address) {
    Bytes option{type, 1};
    option.insert(option.end(), address.bytes.begin(), address.bytes.end());
    return option;
}

inline std::string text_at(const Bytes& bytes, std::size_t offset) {
    std::array<std::uint8_t, 16> address{};
    REQUIRE(bytes.size() >= offset + address.size());
    std::copy_n(bytes.begin() + static_cast<long>(offset), address.size(), address.begin());
    return net::IpAddress::from_v6(address).to_string();
}

inline bool checksum_is_right(const Bytes& bytes) {
    std::array<std::uint8_t, 16> source{};
    std::array<std::uint8_t, 16> destination{};
    std::copy_n(bytes.begin() + 22, 16, source.begin());
    std::copy_n(bytes.begin() + 38, 16, destination.begin());
    const std::size_t len = bytes.size() - kIcmpAt;
    return net::sum_is_valid(net::sum_add(
        net::pseudo_header_sum_v6(
            source, destination, net::ip_protocol::kIcmpv6, static_cast<std::uint32_t>(len)
        ),
        net::sum_bytes(bytes.data() + kIcmpAt, len)
    ));
}

struct Node : CoreFixture {
    explicit Node(bool is_settled = true) {
        port = add_port(0);
        if (is_settled) {
            add_address6("2001:db8::1/64");
            pass(4000);
            while (!sent_bytes().empty()) {
            }
        }
    }

    // The next frame that is no listener report; those go to ff02::16.
    std::vector<std::uint8_t> sent_bytes() {
        Bytes bytes;
        do {
            bytes = CoreFixture::sent_bytes();
        } while (bytes.size() > kIcmpAt && bytes[0] == 0x33 && bytes[5] == 0x16);
        return bytes;
    }

    void add_address6(const std::string& text, bool nodad = true) {
        route::Address address;
        address.link = port;
        address.prefix = prefix(text);
        address.nodad = nodad;
        REQUIRE(core->routing().add_address(address, false));
    }

    void pass(std::uint64_t ms) {
        for (std::uint64_t i = 0; i < ms; i += 50) {
            core->set_now_ms(core->now_ms() + 50);
            core->turn();
        }
    }

    void hear(const Icmp& what) { punt(frame(what), Punt::icmp6, port); }

    const route::Neighbour* neighbour(const std::string& address) {
        return core->routing().neighbours().find({port, ip(address)});
    }

    const route::Address& address(const std::string& text) {
        const route::Address* found = core->routing().find_address(port, ip(text));
        REQUIRE(found != nullptr);
        return *found;
    }

    std::uint64_t drops(Drop reason) { return core->drops(port, reason); }

    LinkId port = kNoLink;
};

}  // namespace culvert::control::test
