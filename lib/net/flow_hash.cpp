// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/flow_hash.hpp"

#include <cstring>
#include <utility>

namespace culvert::net {

namespace {

constexpr std::uint64_t kSeedIpv6 = 6;
constexpr std::uint64_t kSeedMac = 2;

template <typename Unsigned>
Unsigned load(const std::uint8_t* data) noexcept {
    Unsigned value;  // NOLINT(cppcoreguidelines-init-variables): written whole below
    std::memcpy(&value, data, sizeof(value));
    return value;
}

using detail::finish;
using detail::mix;

bool has_ports(std::uint8_t protocol) noexcept {
    return protocol == ip_protocol::kTcp || protocol == ip_protocol::kUdp ||
           protocol == ip_protocol::kSctp || protocol == ip_protocol::kUdpLite ||
           protocol == ip_protocol::kDccp;
}

struct Ports {
    std::uint16_t source = 0;
    std::uint16_t destination = 0;
};

// Both 0 where there are none to read.
Ports read_ports(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept {
    if (packet.is_fragment || packet.l4_offset == 0 || !has_ports(packet.protocol) ||
        len - packet.l4_offset < 4) {
        return {};
    }
    const std::uint8_t* l4 = data + packet.l4_offset;
    return {load<std::uint16_t>(l4), load<std::uint16_t>(l4 + 2)};
}

using detail::tail;

std::uint32_t
hash_ipv4(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept {
    const std::uint8_t* ip = data + packet.l3_offset;
    const Ports ports = read_ports(data, len, packet);
    return flow_hash_ipv4(
        {load<std::uint32_t>(ip + offsetof(Ipv4Header, source)), ports.source},
        {load<std::uint32_t>(ip + offsetof(Ipv4Header, destination)), ports.destination},
        packet.protocol
    );
}

struct Ipv6Words {
    std::uint64_t first = 0;
    std::uint64_t second = 0;

    bool operator==(const Ipv6Words&) const = default;

    bool operator<(const Ipv6Words& other) const noexcept {
        return first != other.first ? first < other.first : second < other.second;
    }
};

std::uint32_t
hash_ipv6(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept {
    const std::uint8_t* source = data + packet.l3_offset + offsetof(Ipv6Header, source);
    const std::uint8_t* destination = data + packet.l3_offset + offsetof(Ipv6Header, destination);
    Ipv6Words low{load<std::uint64_t>(source), load<std::uint64_t>(source + 8)};
    Ipv6Words high{load<std::uint64_t>(destination), load<std::uint64_t>(destination + 8)};
    // With a flow label Linux looks no further than the fixed header, whose next header is the
    // protocol then.
    const bool labelled = packet.flow_label != 0;
    Ports ports = labelled ? Ports{} : read_ports(data, len, packet);
    const std::uint8_t protocol =
        labelled ? data[packet.l3_offset + offsetof(Ipv6Header, next_header)] : packet.protocol;
    if (high < low || (high == low && ports.destination < ports.source)) {
        std::swap(low, high);
        std::swap(ports.source, ports.destination);
    }
    std::uint64_t state = mix(kSeedIpv6, low.first);
    state = mix(state, low.second);
    state = mix(state, high.first);
    state = mix(state, high.second);
    return finish(mix(state, tail(protocol, ports.source, ports.destination, packet.flow_label)));
}

std::uint32_t hash_macs(const EtherHeader& ether, std::uint16_t ether_type) noexcept {
    std::uint64_t low = ether.source.value();
    std::uint64_t high = ether.destination.value();
    if (high < low) {
        std::swap(low, high);
    }
    return finish(mix(mix(kSeedMac, low), (high << 16) | ether_type));
}

}  // namespace

std::uint32_t
flow_hash_l3(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept {
    if (packet.l3 == L3::ipv4) [[likely]] {
        return hash_ipv4(data, len, packet);
    }
    if (packet.l3 == L3::ipv6) {
        return hash_ipv6(data, len, packet);
    }
    return 0;
}

std::uint32_t flow_hash(const std::uint8_t* ether_frame, std::size_t len) noexcept {
    const EtherView view = parse_ether(ether_frame, len);
    std::uint32_t hash = 0;
    if (view.ok) [[likely]] {
        hash = flow_hash_l3(
            ether_frame, len, parse_l3(ether_frame, len, view.l3_offset, view.ether_type)
        );
    }
    if (hash == 0) [[unlikely]] {
        const auto* ether = header_at<EtherHeader>(ether_frame, len, 0);
        if (ether != nullptr) {
            hash = hash_macs(*ether, view.ether_type);
        }
    }
    return hash != 0 ? hash : 1;
}

}  // namespace culvert::net
