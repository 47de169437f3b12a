// SPDX-License-Identifier: BSD-3-Clause
// What VxlanPop must know of the family underneath: how its headers are read, which VTEP a packet
// came from, and which device it is for. New over IPv6: packets without a checksum are not for all
// (VXLAN-SOCK-11), and link-local VTEPs and their devices are known on one link alone
// (VXLAN-SOCK-06, VXLAN-LRN-07).
#pragma once

#include "lib/encap/vxlan.hpp"
#include "lib/encap/vxlan_pop.hpp"
#include "lib/encap/vxlan_pop6.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/icmp_demand.hpp"
#include "lib/pipeline/tables.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>

namespace culvert::pipeline {

struct VxlanOverIpv4 {
    using Outer = encap::VxlanOuter;
    using Words = encap::VxlanWords;
    static constexpr Stage kStage = Stage::vxlan_pop;
    static constexpr bool kNeedsChecksum = false;  // but for who has been told otherwise
    static constexpr IcmpError kPortUnreachable = unreachable(net::icmp_unreachable::kPort);

    // The sender of a packet.
    struct Vtep {
        net::Be32 address;

        static Vtep of(const Outer& outer, LinkId) noexcept { return {outer.source}; }

        [[nodiscard]] net::IpAddress ip() const noexcept {
            return net::IpAddress::from_v4(address.host());
        }

        [[nodiscard]] static LinkId via() noexcept { return kNoLink; }

        [[nodiscard]] static bool lacks_checksum() noexcept { return false; }

        [[nodiscard]] bool is(const encap::VxlanDestination& known) const noexcept {
            return known.first_via == kNoLink && known.first_address.is_v4(address);
        }

        friend bool operator==(const Vtep&, const Vtep&) = default;
    };

    static Words load(const rte_mbuf*, const std::uint8_t* ip) noexcept { return Words::load(ip); }

    // NOLINTBEGIN(readability-identifier-naming): they are called
    static constexpr auto is_sound = encap::vxlan_is_sound;
    static constexpr auto parse = encap::vxlan_parse;
    static constexpr auto udp_offset = encap::udp_offset_of;
    static constexpr auto examine_udp = encap::examine_udp;
    static constexpr auto examine_vxlan = encap::examine_vxlan;

    // NOLINTEND(readability-identifier-naming)

    static constexpr encap::VxlanKey socket(std::uint16_t udp_port, LinkId vrf) noexcept {
        return encap::VxlanKey::socket(udp_port, vrf);
    }

    static constexpr encap::VxlanKey tunnel(const Outer& outer, LinkId vrf) noexcept {
        return encap::VxlanKey::make(outer.udp_port, outer.vni, vrf);
    }

    // Whether packets for one tunnel key from both are one device's.
    static bool share_device(const Vtep&, const Vtep&) noexcept { return true; }

    static bool find(
        const VxlanDemux::View& demux,
        VxlanDemux::View::Home home,
        encap::VxlanKey tunnel,
        const Vtep&,
        std::uint64_t& link
    ) noexcept {
        return demux.find(home, tunnel, link);
    }
};

struct VxlanOverIpv6 {
    using Outer = encap::VxlanOuter6;
    using Words = encap::VxlanWords6;
    static constexpr Stage kStage = Stage::vxlan_pop6;
    static constexpr bool kNeedsChecksum = true;
    static constexpr IcmpError kPortUnreachable = unreachable6(net::icmpv6_unreachable::kPort);

    struct Vtep {
        net::IpAddress address;
        LinkId link_in = kNoLink;
        bool has_checksum = false;

        static Vtep of(const Outer& outer, LinkId link_in) noexcept {
            return {outer.source, link_in, outer.has_checksum};
        }

        [[nodiscard]] const net::IpAddress& ip() const noexcept { return address; }

        [[nodiscard]] LinkId via() const noexcept {
            return address.is_link_local_v6() ? link_in : kNoLink;
        }

        [[nodiscard]] bool lacks_checksum() const noexcept { return !has_checksum; }

        [[nodiscard]] bool is(const encap::VxlanDestination& known) const noexcept {
            return known.first_via == via() && known.first_address == address;
        }

        friend bool operator==(const Vtep&, const Vtep&) = default;
    };

    static Words load(rte_mbuf* packet, const std::uint8_t* ip) noexcept {
        return Words::load(ip, note(packet).link_in);
    }

    // NOLINTBEGIN(readability-identifier-naming): they are called
    static constexpr auto is_sound = encap::vxlan_is_sound6;
    static constexpr auto parse = encap::vxlan_parse6;
    static constexpr auto udp_offset = encap::udp_offset_of6;
    static constexpr auto examine_udp = encap::examine_udp6;
    static constexpr auto examine_vxlan = encap::examine_vxlan6;

    // NOLINTEND(readability-identifier-naming)

    static constexpr encap::VxlanKey socket(std::uint16_t udp_port, LinkId vrf) noexcept {
        return encap::VxlanKey::socket_ipv6(udp_port, vrf);
    }

    static constexpr encap::VxlanKey tunnel(const Outer& outer, LinkId vrf) noexcept {
        return encap::VxlanKey::make_ipv6(outer.udp_port, outer.vni, vrf);
    }

    static bool share_device(const Vtep& a, const Vtep& b) noexcept {
        return a.link_in == b.link_in;
    }

    static bool find(
        const VxlanDemux::View& demux,
        VxlanDemux::View::Home home,
        encap::VxlanKey tunnel,
        const Vtep& vtep,
        std::uint64_t& link
    ) noexcept {
        const auto here = tunnel.on(vtep.link_in);
        return demux.find(home, tunnel, link) || demux.find(demux.prefetch(here), here, link);
    }
};

}  // namespace culvert::pipeline
