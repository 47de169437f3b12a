// SPDX-License-Identifier: BSD-3-Clause
// Nothing here listens to TCP: who knocks hears at once that the port is closed, as from any host
// (RFC 9293, 3.5.2; tcp_v4_send_reset, tcp_v6_send_reset). Control only.
#pragma once

struct rte_mbuf;

namespace culvert::control {

class Core;
class Ip6Output;
class IpOutput;

// A packet for an address of ours whose IP header lies note().l3_offset bytes behind its data's
// start. False: it is not TCP. What is, but is malformed or a reset itself, gets no answer. The
// packet stays the caller's.
[[nodiscard]] bool
answer_with_reset(Core& core, IpOutput& output, Ip6Output& output6, const rte_mbuf* packet);

}  // namespace culvert::control
