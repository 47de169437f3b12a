// SPDX-License-Identifier: BSD-3-Clause
// Fragments of datagrams to addresses of ours, put together (TUN-RX-12; Linux 6.1's ip_defrag and
// ipv6_frag_rcv: any order, 30 or 60 s, 4 MiB a family, overlaps give the datagram up, RFC 5722).
// Control only: fragments of one datagram may arrive on any worker, and workers share nothing.
//
// What the fragments themselves say is another file's (fragment.hpp).
//
// rte_ip_frag is not used: it takes eight fragments at most and does not compare protocols.
#pragma once

#include "lib/control/fragment.hpp"
#include "lib/net/address.hpp"
#include "lib/net/link_id.hpp"
#include "lib/pipeline/drop.hpp"
#include "lib/pipeline/ip_counters.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <utility>
#include <vector>

struct rte_mbuf;
struct rte_mempool;

namespace culvert::control {

// What reassembly wants done with the packets it does not keep.
class ReassemblyActions {
public:
    virtual ~ReassemblyActions() = default;
    // A fragment ends. Ownership passes.
    virtual void drop_fragment(rte_mbuf* fragment, pipeline::Drop reason) = 0;
    // Its bytes are in the datagram. Ownership passes.
    virtual void consume_fragment(rte_mbuf* fragment) = 0;
    // Time is up for a datagram whose first fragment was there; it is dropped afterwards.
    virtual void expired(rte_mbuf* first_fragment) = 0;
    // A fragment is wrong by itself, and its sender to hear of it; it is dropped afterwards.
    virtual void complain(rte_mbuf* fragment, const pipeline::IcmpError& error) = 0;
    virtual void count(pipeline::IpCounter counter) = 0;
};

struct ReassemblyLimits {
    std::uint64_t timeout_ms = 30000;           // ipfrag_time
    std::size_t memory = std::size_t{4} << 20;  // ipfrag_high_thresh, bytes of packet buffers
    std::uint32_t max_distance = 64;            // ipfrag_max_dist; 0 = any
};

// Identifications of IPv6 do not come round so soon that distance said anything.
inline constexpr ReassemblyLimits kReassemblyLimits6{.timeout_ms = 60000, .max_distance = 0};

class Reassembly {
public:
    // Of one family: what it is shown is of that.
    explicit Reassembly(
        ReassemblyActions& actions,
        ReassemblyLimits limits = {},
        net::Family family = net::Family::ipv4
    );

    // Gives up what still waits.
    ~Reassembly();
    Reassembly(const Reassembly&) = delete;
    Reassembly& operator=(const Reassembly&) = delete;

    void set_memory(std::size_t bytes) noexcept { limits_.memory = bytes; }

    // A fragment with a checked IP header note().l3_offset bytes behind its data's start, which
    // came from where `scope` says (FragmentKey). Takes it. Returns the datagram, if that was its
    // last one: a copy in buffers of `pool`, with the first fragment's link header and note, for
    // the caller.
    [[nodiscard]] rte_mbuf*
    add(rte_mbuf* packet, LinkId scope, rte_mempool* pool, std::uint64_t now_ms);

    // Gives up what is too old. Returns when it wants to be called next, UINT64_MAX = never.
    std::uint64_t tick(std::uint64_t now_ms);

    void give_up_all(pipeline::Drop reason);

    [[nodiscard]] std::size_t queued_fragments() const noexcept { return fragments_; }

    [[nodiscard]] std::size_t datagrams() const noexcept { return queues_.size(); }

    [[nodiscard]] std::size_t memory() const noexcept { return memory_; }

private:
    using Key = FragmentKey;
    using Piece = FragmentPiece;
    using Addresses = std::pair<net::IpAddress, net::IpAddress>;

    struct Queue {
        std::vector<Piece> pieces;  // by begin; they do not overlap
        std::uint64_t born_ms = 0;
        std::uint32_t length = 0;        // of the payload, as far as is known
        std::uint32_t present = 0;       // bytes of it that are there
        std::uint32_t source_count = 0;  // Source::fragments when its last one came
        std::uint8_t ecn = 0;            // a bit for each codepoint seen
        bool has_last = false;
        std::list<Key>::iterator age;
    };

    using Queues = std::map<Key, Queue>;

    enum class Verdict : std::uint8_t { kept, duplicate, overlap };

    struct Counters {
        pipeline::IpCounter reqds, oks, fails, timeout, overlaps;
    };

    struct Source {
        std::uint32_t fragments = 0;  // seen so far
        std::uint32_t datagrams = 0;  // that wait
    };

    [[nodiscard]] Queues::iterator find_or_begin(const Key& key, std::uint64_t now_ms);
    [[nodiscard]] static Verdict place(Queue& queue, const Piece& piece);
    [[nodiscard]] static bool fits(Queue& queue, const Fragment& fragment);
    [[nodiscard]] bool is_too_far(const Key& key, Queue& queue);
    void give_up(Queues::iterator at, pipeline::Drop reason);
    void drop_pieces(Queue& queue, pipeline::Drop reason);
    void forget(Queues::iterator at);
    [[nodiscard]] rte_mbuf* join(Queues::iterator at, rte_mempool* pool);
    void account(const rte_mbuf* packet, bool is_kept);

    ReassemblyActions& actions_;
    ReassemblyLimits limits_;
    Counters counters_;
    Queues queues_;
    std::list<Key> by_age_;                // oldest first
    std::map<Addresses, Source> sources_;  // of datagrams that wait, where distance counts
    std::size_t fragments_ = 0;
    std::size_t memory_ = 0;
};

}  // namespace culvert::control
