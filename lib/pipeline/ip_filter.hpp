// SPDX-License-Identifier: BSD-3-Clause
// Where filters of IP packets sit (IPO-LO-01, IPO-OUT-01, IPO-OUT-02): every packet that leaves by
// IP passes `post_routing` once, whole, before it is cut to fragments and before its next hop is
// asked for; what was made here (by control, or a tunnel's outer packet) passes `local_out` before.
//
// Without filters nothing is asked of a packet: the stages have a short way for what leaves by a
// port, and take it only while none is registered. So a filter costs those who have one.
#pragma once

#include "lib/net/link_id.hpp"

#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::pipeline {

struct Worker;

enum class IpHook : std::uint8_t { local_out, post_routing };

enum class IpVerdict : std::uint8_t {
    accept,
    drop,      // the caller drops it, and counts it as ip_filtered
    consumed,  // the filter has it, and the caller counts that it ended here
};

// Immutable once registered (control: Core::set_ip_filters).
struct IpFilters {
    // The IP header lies note(packet).l3_offset behind the data's start, in the first segment.
    // Called by any worker and by control, each for its own packets: what is shared is the filter's
    // to guard.
    using Ask = IpVerdict (*)(void* context, IpHook at, rte_mbuf* packet, LinkId link_out) noexcept;

    struct Filter {
        Ask ask = nullptr;  // nullptr = accepts all
        void* context = nullptr;
    };

    std::array<Filter, 2> at{};  // by IpHook

    [[nodiscard]] IpVerdict ask(IpHook hook, rte_mbuf* packet, LinkId link_out) const noexcept {
        const Filter& filter = at[static_cast<std::size_t>(hook)];
        return filter.ask != nullptr ? filter.ask(filter.context, hook, packet, link_out)
                                     : IpVerdict::accept;
    }

    // Of what was made here: at both.
    [[nodiscard]] IpVerdict ask_own(rte_mbuf* packet, LinkId link_out) const noexcept {
        const IpVerdict verdict = ask(IpHook::local_out, packet, link_out);
        return verdict == IpVerdict::accept ? ask(IpHook::post_routing, packet, link_out) : verdict;
    }
};

// False: the packet has met its fate.
[[nodiscard]] bool passes_forwarded(Worker& worker, rte_mbuf* packet, LinkId link_out) noexcept;
// The same of a tunnel's outer packet, its link header of 14 bytes in front.
[[nodiscard]] bool passes_outer(Worker& worker, rte_mbuf* packet, LinkId link_out) noexcept;

}  // namespace culvert::pipeline
