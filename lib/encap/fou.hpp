// SPDX-License-Identifier: BSD-3-Clause
// UDP around a tunnel: FOU, where the port says what is inside, and GUE, where a header does
// (catalogue 1.13). On the way out it is part of the tunnel's template (ip_tunnel_build.cpp,
// ip_tunnel_push.cpp). On the way in ports are opened by themselves, for whatever tunnel: UDP and
// GUE come off, and what is left is the tunnel's packet as if it had come without (fou_pop.hpp).
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/gue.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/udp.hpp"
#include "lib/rcu/domain.hpp"
#include "lib/rcu/published.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace culvert::encap {

// `encap` of a tunnel.
struct UdpEncap {
    enum class Kind : std::uint8_t { none, fou, gue };

    Kind kind = Kind::none;
    std::uint16_t source_port = 0;  // 0 = by the inner flow
    std::uint16_t destination_port = 0;
    bool checksum = false;         // over IPv4 (FOU-05)
    bool checksum6 = false;        // over IPv6 (FOU-05)
    bool remote_checksum = false;  // GUE: see kMaxRemoteChecksum
    friend bool operator==(const UdpEncap&, const UdpEncap&) = default;
};

// GUE's private flags and their field, which `encap-remcsum` keeps room for. Linux sends them where
// a checksum is yet to be made (its own TCP's, GRE's); here all are made before a packet leaves.
inline constexpr std::uint32_t kRemoteChecksumLen =
    sizeof(net::Be32) + sizeof(net::GueRemoteChecksum);

// Bytes that stand between the outer IP header and the tunnel's own.
[[nodiscard]] constexpr std::uint8_t header_len_bytes(const UdpEncap& udp) noexcept {
    switch (udp.kind) {
    case UdpEncap::Kind::fou:
        return sizeof(net::UdpHeader);
    case UdpEncap::Kind::gue:
        return sizeof(net::UdpHeader) + sizeof(net::GueHeader);
    case UdpEncap::Kind::none:
        break;
    }
    return 0;
}

// What they take from the MTU (TUN-MTU-11).
[[nodiscard]] constexpr std::uint32_t reserved_len_bytes(const UdpEncap& udp) noexcept {
    const bool has_room = udp.kind == UdpEncap::Kind::gue && udp.remote_checksum;
    return header_len_bytes(udp) + (has_room ? kRemoteChecksumLen : 0);
}

// A port that was opened with `fou add`.
struct FouPort {
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;  // of what is inside; 0 = GUE says it
    net::IpAddress local;       // unspecified = any
    net::IpAddress peer;        // unspecified = any; else peer_port counts, too
    std::uint16_t peer_port = 0;
    LinkId dev = kNoLink;
    bool is_ipv6 = false;  // which of the two families' ports it is

    [[nodiscard]] bool is_gue() const noexcept { return protocol == 0; }

    friend bool operator==(const FouPort&, const FouPort&) = default;
};

// The same as workers see it. `Address`: of IPv4 a number in host order, else net::IpAddress; as it
// is by itself = any.
template <typename Address>
struct BasicFouTaker {
    Address local{};
    Address peer{};  // if not any, peer_port counts, too
    std::uint16_t port = 0;
    std::uint16_t peer_port = 0;
    LinkId dev = kNoLink;
    std::uint8_t protocol = 0;

    [[nodiscard]] bool is_gue() const noexcept { return protocol == 0; }
};

// What of a packet decides which port takes it.
template <typename Address>
struct BasicFouAddresses {
    Address local{};
    Address peer{};
    std::uint16_t port = 0;
    std::uint16_t peer_port = 0;
    LinkId link_in = kNoLink;
};

// The open ports of a family. Readers: any number of workers. Writer: control.
template <typename AddressType>
class BasicFouPorts {
public:
    using Address = AddressType;

    // reader: are there any? While not, who looks at UDP has nothing else to ask.
    [[nodiscard]] bool any() const noexcept { return takers_.read() != nullptr; }

    // reader: whether a port of this number is open to some address.
    [[nodiscard]] bool may_take(std::uint16_t port) const noexcept {
        const std::uint64_t word = open_[port / kBits].load(std::memory_order_relaxed);
        return (word >> (port % kBits) & 1) != 0;
    }

    // reader: who takes the packet, the one that says most; nullptr = nobody.
    [[nodiscard]] const BasicFouTaker<Address>* find(const BasicFouAddresses<Address>& packet
    ) const noexcept;
    // writer: all that are open from now on; those of the other family do not count.
    void publish(rcu::Domain& domain, const std::vector<FouPort>& ports);

private:
    static constexpr std::size_t kBits = 64;
    std::array<std::atomic<std::uint64_t>, 65536 / kBits> open_{};  // worker: ro, control: wo
    // Who says most in front; nullptr = none.
    rcu::Published<std::vector<BasicFouTaker<Address>>> takers_;
};

using FouPorts = BasicFouPorts<std::uint32_t>;
using FouPorts6 = BasicFouPorts<net::IpAddress>;

}  // namespace culvert::encap
