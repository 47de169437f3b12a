// SPDX-License-Identifier: BSD-3-Clause
// Multipath hash policies beyond the first (fib_multipath_hash(), rt6_multipath_hash()).
#include "lib/net/multipath_hash.hpp"

#include "lib/net/checksum.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/gre.hpp"
#include "lib/net/header.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/net/parse.hpp"

#include <algorithm>
#include <cstring>

namespace culvert::net {

namespace {

namespace field = multipath_field;

constexpr int kMaxNesting = 4;

bool has_ports(std::uint8_t protocol) noexcept {
    return protocol == ip_protocol::kTcp || protocol == ip_protocol::kUdp ||
           protocol == ip_protocol::kSctp || protocol == ip_protocol::kUdpLite ||
           protocol == ip_protocol::kDccp;
}

FlowKeys keys_of(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept {
    FlowKeys keys;
    keys.is_ip = true;
    keys.is_ip6 = packet.l3 == L3::ipv6;
    keys.protocol = packet.protocol;
    keys.flow_label = packet.flow_label;
    const std::uint8_t* ip = data + packet.l3_offset;
    if (keys.is_ip6) {
        std::memcpy(keys.source.data(), ip + offsetof(Ipv6Header, source), keys.source.size());
        std::memcpy(
            keys.destination.data(), ip + offsetof(Ipv6Header, destination), keys.destination.size()
        );
    } else {
        std::memcpy(keys.source.data(), ip + offsetof(Ipv4Header, source), sizeof(Be32));
        std::memcpy(keys.destination.data(), ip + offsetof(Ipv4Header, destination), sizeof(Be32));
    }
    if (!packet.is_fragment && packet.l4_offset != 0 && has_ports(packet.protocol) &&
        len >= packet.l4_offset + 2 * sizeof(Be16)) {
        std::memcpy(&keys.source_port, data + packet.l4_offset, sizeof(Be16));
        std::memcpy(&keys.destination_port, data + packet.l4_offset + sizeof(Be16), sizeof(Be16));
    }
    return keys;
}

// Where the next packet inside begins; ether_type 0: there is none.
struct Inside {
    std::uint16_t offset = 0;
    std::uint16_t ether_type = 0;
};

Inside inside_gre(const std::uint8_t* data, std::size_t len, std::uint16_t offset) noexcept {
    const auto* gre = header_at<GreHeader>(data, len, offset);
    if (gre == nullptr) {
        return {};
    }
    const std::uint16_t flags = gre->flags_and_version.host();
    if ((flags & (gre::kVersion | gre::kRouting)) != 0) {
        return {};
    }
    const std::size_t behind = offset + gre_header_len_bytes(flags);
    if (behind > len) {
        return {};
    }
    const std::uint16_t type = gre->protocol.host();
    if (type != ether_type::kTeb) {
        return {static_cast<std::uint16_t>(behind), type};
    }
    const EtherView ether = parse_ether(data + behind, len - behind);
    const std::size_t l3_offset = behind + ether.l3_offset;
    return ether.ok && l3_offset <= UINT16_MAX
               ? Inside{static_cast<std::uint16_t>(l3_offset), ether.ether_type}
               : Inside{};
}

Inside find_inside(const std::uint8_t* data, std::size_t len, const ParsedPacket& packet) noexcept {
    if (packet.is_fragment || packet.l4_offset == 0) {
        return {};
    }
    switch (packet.protocol) {
    case ip_protocol::kIpip:
        return {packet.l4_offset, ether_type::kIpv4};
    case ip_protocol::kIpv6:
        return {packet.l4_offset, ether_type::kIpv6};
    case ip_protocol::kGre:
        return inside_gre(data, len, packet.l4_offset);
    default:
        return {};
    }
}

using Words = std::array<std::uint64_t, 2>;

std::uint64_t mix_end(const std::array<std::uint8_t, 16>& address, std::uint16_t port) noexcept {
    const auto words = std::bit_cast<Words>(address);
    return detail::mix(detail::mix(detail::mix(0, words[0]), words[1]), port);
}

// flow_hash_from_keys(): the same for both directions, so the ends are added.
std::uint32_t hash_of(const FlowKeys& keys) noexcept {
    const std::uint64_t ends =
        mix_end(keys.source, keys.source_port) + mix_end(keys.destination, keys.destination_port);
    return detail::finish(detail::mix(ends, detail::tail(keys.protocol, 0, 0, keys.flow_label))) >>
           1;
}

FlowKeys masked(const FlowKeys& keys, unsigned fields) noexcept {
    FlowKeys kept;
    kept.is_ip = keys.is_ip;
    kept.is_ip6 = keys.is_ip6;
    if ((fields & field::kSourceIp) != 0) {
        kept.source = keys.source;
    }
    if ((fields & field::kDestinationIp) != 0) {
        kept.destination = keys.destination;
    }
    kept.protocol = (fields & field::kProtocol) != 0 ? keys.protocol : std::uint8_t{0};
    kept.flow_label = (fields & field::kFlowLabel) != 0 ? keys.flow_label : 0;
    kept.source_port = (fields & field::kSourcePort) != 0 ? keys.source_port : std::uint16_t{0};
    kept.destination_port =
        (fields & field::kDestinationPort) != 0 ? keys.destination_port : std::uint16_t{0};
    return kept;
}

constexpr unsigned kInnerShift = 6;

std::uint32_t hash_custom(const FlowKeys& outer, const FlowKeys* inner, unsigned fields) noexcept {
    const unsigned outer_fields = fields & field::kOuter;
    const std::uint32_t outer_hash = outer_fields != 0 ? hash_of(masked(outer, outer_fields)) : 0;
    const unsigned inner_fields = fields >> kInnerShift;
    const std::uint32_t inner_hash =
        inner != nullptr && inner_fields != 0 ? hash_of(masked(*inner, inner_fields)) : 0;
    return mix_multipath_hash(outer_hash, inner_hash);
}

// Of policy 1: the flow label is none of its fields.
FlowKeys l4_keys(const FlowKeys& keys) noexcept {
    return masked(keys, field::kOuter & ~unsigned{field::kFlowLabel});
}

// What policies 0 and 2 take: of IPv4 the addresses alone.
FlowKeys l3_keys(const FlowKeys& keys) noexcept {
    const unsigned addresses = field::kSourceIp | field::kDestinationIp;
    return masked(keys, keys.is_ip6 ? addresses | field::kFlowLabel | field::kProtocol : addresses);
}

}  // namespace

FlowKeys
flow_keys(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol) noexcept {
    FlowKeys keys;
    keys.is_ip = true;
    keys.is_ip6 = !destination.is_v4();
    keys.protocol = protocol;
    const auto fill = [&](const IpAddress& address, std::array<std::uint8_t, 16>& key) {
        if (keys.is_ip6) {
            key = address.bytes();
        } else {
            const std::uint32_t raw = Be32{address.is_v4() ? address.v4() : 0}.raw();
            std::memcpy(key.data(), &raw, sizeof(raw));
        }
    };
    fill(source, keys.source);
    fill(destination, keys.destination);
    return keys;
}

FlowKeys read_flow_keys(
    const std::uint8_t* data,
    std::size_t len,
    std::uint16_t l3_offset,
    std::uint16_t ether_type,
    bool inside
) noexcept {
    FlowKeys keys;
    len = std::min<std::size_t>(len, UINT16_MAX);
    bool has_inner = false;
    for (int level = 0; level < kMaxNesting && l3_offset <= len; ++level) {
        const ParsedPacket packet = parse_l3(data, len, l3_offset, ether_type);
        if (packet.l3 == L3::none) {
            break;
        }
        keys = keys_of(data, len, packet);
        const Inside next = find_inside(data, len, packet);
        has_inner = has_inner || next.ether_type != 0;
        if (next.ether_type == 0 || !inside) {
            break;
        }
        l3_offset = next.offset;
        ether_type = next.ether_type;
    }
    keys.has_inner = has_inner;
    return keys;
}

std::uint32_t multipath_hash(
    const MultipathHashing& hashing,
    const std::uint8_t* data,
    std::size_t len,
    std::uint16_t l3_offset,
    std::uint16_t ether_type
) noexcept {
    const auto keys = [&](bool inside) {
        return read_flow_keys(data, len, l3_offset, ether_type, inside);
    };
    switch (hashing.policy) {
    case MultipathPolicy::l3:
        break;
    case MultipathPolicy::l4:
        return hash_of(l4_keys(keys(false)));
    case MultipathPolicy::inner_l3:
        return hash_of(l3_keys(keys(true)));
    case MultipathPolicy::custom: {
        const FlowKeys outer = keys(false);
        if (!outer.has_inner) {
            return hash_custom(outer, nullptr, hashing.fields);
        }
        const FlowKeys inner = keys(true);
        return hash_custom(outer, &inner, hashing.fields);
    }
    }
    return multipath_hash(hashing, keys(false));
}

std::uint32_t multipath_hash(const MultipathHashing& hashing, const FlowKeys& flow) noexcept {
    switch (hashing.policy) {
    case MultipathPolicy::l4:
        return hash_of(l4_keys(flow));
    case MultipathPolicy::custom:
        return hash_custom(flow, nullptr, hashing.fields);
    case MultipathPolicy::l3:
    case MultipathPolicy::inner_l3:
        break;
    }
    if (flow.is_ip6) {
        return multipath_hash_ipv6(flow.source, flow.destination, flow.flow_label, flow.protocol);
    }
    return multipath_hash_ipv4(
        detail::load<std::uint32_t>(flow.source.data()),
        detail::load<std::uint32_t>(flow.destination.data())
    );
}

}  // namespace culvert::net
