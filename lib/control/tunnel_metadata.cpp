// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/tunnel_metadata.hpp"

#include <array>
#include <cstring>

namespace culvert::control {

namespace {

constexpr std::uint32_t kFirst = 0xf0000000;  // 240.0.0.0
constexpr std::size_t kMost = 65536;

}  // namespace

std::optional<net::IpAddress>
TunnelMetadata::gateway_for(const encap::IpTunnelMetadata& words, net::Family family) {
    if (words_.size() == kMost && !numbers_.contains(words)) {
        return std::nullopt;
    }
    const auto next = static_cast<std::uint32_t>(words_.size());
    const auto [known, is_new] = numbers_.try_emplace(words, next);
    if (is_new) {
        words_.push_back(&known->first);
    }
    const std::uint32_t address = kFirst + known->second;
    if (family == net::Family::ipv4) {
        return net::IpAddress::from_v4(address);
    }
    std::array<std::uint8_t, 16> bytes{};  // as a route's v4-compatible gateway
    const net::Be32 last{address};
    std::memcpy(bytes.data() + 12, &last, sizeof(last));
    return net::IpAddress::from_v6(bytes);
}

const encap::IpTunnelMetadata* TunnelMetadata::find(const net::IpAddress& gateway) const {
    if (!gateway.is_v4() && !gateway.is_v4_compatible()) {
        return nullptr;
    }
    const std::size_t number = gateway.v4() - kFirst;
    return gateway.v4() >= kFirst && number < words_.size() ? words_[number] : nullptr;
}

}  // namespace culvert::control
