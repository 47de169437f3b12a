// SPDX-License-Identifier: BSD-3-Clause
// VXLAN (RFC 7348, 5) and the bits that its extensions take from the reserved ones.
#pragma once

#include "lib/net/endian.hpp"

#include <cstdint>

namespace culvert::net {

inline constexpr std::uint16_t kVxlanPort = 4789;       // IANA's
inline constexpr std::uint16_t kVxlanLinuxPort = 8472;  // the kernel's default
inline constexpr std::uint16_t kVxlanGpePort = 4790;
inline constexpr std::uint32_t kMaxVni = 0xffffff;

// Masks of `flags` in host order.
namespace vxlan {
inline constexpr std::uint32_t kVniValid = 0x08000000;        // I
inline constexpr std::uint32_t kRemoteChecksum = 0x00200000;  // RCO

inline constexpr std::uint32_t kGbp = 0x80000000;               // G
inline constexpr std::uint32_t kGbpDontLearn = 0x00400000;      // D
inline constexpr std::uint32_t kGbpPolicyApplied = 0x00080000;  // A
inline constexpr std::uint32_t kGbpPolicyId = 0x0000ffff;
inline constexpr std::uint32_t kGbpUsedBits = 0x80ffffff;  // all that a GBP device owns

inline constexpr std::uint32_t kGpeVersion = 0x30000000;
inline constexpr std::uint32_t kGpeNextProtocolValid = 0x04000000;  // P
inline constexpr std::uint32_t kGpeOam = 0x01000000;                // O
inline constexpr std::uint32_t kGpeNextProtocol = 0x000000ff;

// The low byte of `vni_and_reserved` with RCO: bit 7 UDP (else TCP), below it half the checksum's
// start.
inline constexpr std::uint32_t kRemoteChecksumUdp = 0x80;
inline constexpr std::uint32_t kRemoteChecksumStart = 0x7f;
}  // namespace vxlan

struct VxlanHeader {
    Be32 flags;
    Be32 vni_and_reserved;  // VNI in the upper 24 bits

    [[nodiscard]] std::uint32_t vni() const noexcept { return vni_and_reserved.host() >> 8; }

    [[nodiscard]] std::uint8_t reserved() const noexcept {
        return static_cast<std::uint8_t>(vni_and_reserved.host());
    }

    // The header of a tunnel without extensions. Precondition: vni <= kMaxVni.
    [[nodiscard]] static constexpr VxlanHeader make(std::uint32_t vni) noexcept {
        return {Be32{vxlan::kVniValid}, Be32{vni << 8}};
    }
};

static_assert(kIsWireHeader<VxlanHeader, 8>);

}  // namespace culvert::net
