// SPDX-License-Identifier: BSD-3-Clause
// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include "lib/net/endian.hpp"
#include "lib/net/ether.hpp"

#include <cstdint>

namespace culvert::net {

namespace arp {
inline constexpr std::uint16_t kHardwareEthernet = 1;
inline constexpr std::uint16_t kHardwareIeee802 = 6;
inline constexpr std::uint16_t kRequest = 1;
inline constexpr std::uint16_t kReply = 2;
}  // namespace arp

struct ArpHeader {
    Be16 hardware_type{};
    Be16 protocol_type{};  // an EtherType
    std::uint8_t hardware_length = 0;
    std::uint8_t protocol_length = 0;
    Be16 operation{};
    MacAddress sender_mac;
    Be32 sender_ip{};
    MacAddress target_mac;
    Be32 target_ip{};

    // The fields that say "IPv4 over Ethernet"; hardware type 6 (IEEE 802) is accepted as Linux
    // accepts it.
    [[nodiscard]] bool is_ethernet_ipv4() const noexcept {
        return (hardware_type.host() == arp::kHardwareEthernet ||
                hardware_type.host() == arp::kHardwareIeee802) &&
               protocol_type.host() == ether_type::kIpv4 && hardware_length == 6 &&
               protocol_length == 4;
    }
};

static_assert(kIsWireHeader<ArpHeader, 28>);

}  // namespace culvert::net
