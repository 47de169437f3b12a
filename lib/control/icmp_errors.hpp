// SPDX-License-Identifier: BSD-3-Clause
// ICMP errors (catalogue 4.8, RFC 1812 4.3): whether one is due for a packet, how often, from which
// address, and the message. Workers ask (pipeline/icmp_demand.hpp), and whoever in control gives a
// packet up. Control only.
//
// IPv6's are another file's: what decides here is the packet's version.
#pragma once

#include "lib/control/icmp_limit.hpp"
#include "lib/control/ip_options.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/pipeline/icmp_demand.hpp"
#include "lib/pipeline/ip_counters.hpp"
#include "lib/route/routing.hpp"

#include <cstdint>

struct rte_mbuf;

namespace culvert::control {

class Core;
class IpOutput;

class IcmpErrors {
public:
    IcmpErrors(Core& core, IpOutput& output)
        : core_(core)
        , output_(output) {}

    // The sender of `packet`, whose IP header lies note().l3_offset bytes behind its data's start,
    // is told, if that is due; counted in either case. The packet stays the caller's. `reason`: why
    // it ends.
    void tell(rte_mbuf* packet, const pipeline::IcmpError& error, pipeline::Drop reason);

private:
    struct Quote {
        const rte_mbuf* packet = nullptr;
        std::uint32_t offset = 0;  // of its IP header
        LinkId link_in = kNoLink;
        net::Ipv4Header ip{};
    };

    [[nodiscard]] bool is_due(const Quote& quote, const pipeline::IcmpError& error) const;
    [[nodiscard]] bool
    is_permitted(const Quote& quote, const pipeline::IcmpError& error, pipeline::Drop reason);

    // Where it goes, and what it says of that.
    struct Answer {
        route::Path back;
        net::IpAddress source;
        AnswerOptions options{};
    };

    [[nodiscard]] bool address(const Quote& quote, Answer& answer) const;
    [[nodiscard]] rte_mbuf*
    make(const Quote& quote, const pipeline::IcmpError& error, const Answer& answer);
    void suppress(pipeline::IpCounter why);

    Core& core_;
    IpOutput& output_;
    IcmpLimit limit_;
};

}  // namespace culvert::control
