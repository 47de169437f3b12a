// SPDX-License-Identifier: BSD-3-Clause
// What happens to IP packets beside their fate: fragments, reassembly, ICMP. One table, with the
// names the kernel has for them where it has any (`nstat`, /proc/net/snmp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace culvert::pipeline {

// Enumerator, name, help.
#define CULVERT_IP_COUNTERS(X)                                                                     \
    X(out_requests, "IpOutRequests", "packets of our own that were to be sent")                    \
    X(out_no_routes, "IpOutNoRoutes", "of these, those that had no way")                           \
    X(out_octets, "IpExtOutOctets", "bytes of these, as far as they had a way")                    \
    X(out_mcast, "IpExtOutMcastPkts", "packets and fragments of our own that went to a group")     \
    X(out_mcast_octets, "IpExtOutMcastOctets", "bytes of these")                                   \
    X(out_bcast, "IpExtOutBcastPkts", "the same that went to a broadcast address")                 \
    X(out_bcast_octets, "IpExtOutBcastOctets", "bytes of these")                                   \
    X(ip6_out_requests, "Ip6OutRequests", "IPv6 packets of our own that were to be sent")          \
    X(ip6_out_no_routes, "Ip6OutNoRoutes", "of these, those that had no way")                      \
    X(ip6_out_octets, "Ip6OutOctets", "bytes of these, as far as they had a way")                  \
    X(ip6_out_mcast, "Ip6OutMcastPkts", "packets and fragments of our own that went to a group")   \
    X(ip6_out_mcast_octets, "Ip6OutMcastOctets", "bytes of these")                                 \
    X(frag_oks, "IpFragOKs", "datagrams cut into fragments")                                       \
    X(frag_fails, "IpFragFails", "datagrams too large for the way out that were not cut")          \
    X(frag_creates, "IpFragCreates", "fragments made")                                             \
    X(reasm_reqds, "IpReasmReqds", "fragments for this processor")                                 \
    X(reasm_oks, "IpReasmOKs", "datagrams put together")                                           \
    X(reasm_fails, "IpReasmFails", "datagrams given up, for whatever reason")                      \
    X(reasm_timeout, "IpReasmTimeout", "datagrams given up after 30 s")                            \
    X(reasm_overlaps, "IpReasmOverlaps", "datagrams given up because fragments overlap")           \
    X(ip6_frag_oks, "Ip6FragOKs", "IPv6 packets of ours cut into fragments")                       \
    X(ip6_frag_fails, "Ip6FragFails", "IPv6 packets of ours that could not be cut")                \
    X(ip6_frag_creates, "Ip6FragCreates", "IPv6 fragments made")                                   \
    X(ip6_reasm_reqds, "Ip6ReasmReqds", "IPv6 fragments for this processor")                       \
    X(ip6_reasm_oks, "Ip6ReasmOKs", "IPv6 packets put together; and atomic fragments")             \
    X(ip6_reasm_fails, "Ip6ReasmFails", "IPv6 packets given up, for whatever reason")              \
    X(ip6_reasm_timeout, "Ip6ReasmTimeout", "IPv6 packets given up after 60 s")                    \
    X(ip6_reasm_overlaps, "Ip6ReasmOverlaps", "IPv6 packets given up because fragments overlap")   \
    X(icmp_out_errors, "IcmpOutErrorMsgs", "ICMP errors made")                                     \
    X(icmp_out_dest_unreachs, "IcmpOutDestUnreachs", "destination unreachable")                    \
    X(icmp_out_time_excds, "IcmpOutTimeExcds", "time exceeded")                                    \
    X(icmp_out_frag_needed, "IcmpOutFragNeeded", "fragmentation needed, also in DestUnreachs")     \
    X(icmp_limited_worker,                                                                         \
      "IcmpOutRateLimitWorker",                                                                    \
      "errors not made: control had too many to make")                                             \
    X(icmp_limited_global, "IcmpOutRateLimitGlobal", "errors not made: 1000 a second in all")      \
    X(icmp_limited_host, "IcmpOutRateLimitHost", "errors not made: 1 a second to one host")        \
    X(icmp_not_due, "IcmpOutNotDue", "errors not made: to a group, an error or no one's address")  \
    X(icmp_no_way, "IcmpOutNoRoute", "errors not made: no way back, or no packet buffer")          \
    X(icmp_in_errors, "IcmpInErrorMsgs", "ICMP errors received about packets of ours")             \
    X(icmp_in_unknown, "IcmpInIgnored", "ICMP received that is neither echo nor about ours")

enum class IpCounter : std::uint8_t {
#define CULVERT_IP_COUNTER_ENUM(id, name, help) id,
    CULVERT_IP_COUNTERS(CULVERT_IP_COUNTER_ENUM)
#undef CULVERT_IP_COUNTER_ENUM
};

struct IpCounterInfo {
    std::string_view name;
    std::string_view help;
};

inline constexpr auto kIpCounterInfo = std::to_array<IpCounterInfo>({
#define CULVERT_IP_COUNTER_INFO(id, name, help) {name, help},
    CULVERT_IP_COUNTERS(CULVERT_IP_COUNTER_INFO)
#undef CULVERT_IP_COUNTER_INFO
});
inline constexpr std::size_t kIpCounterCount = kIpCounterInfo.size();

}  // namespace culvert::pipeline
