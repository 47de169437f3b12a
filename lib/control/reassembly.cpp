// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/reassembly.hpp"

#include "lib/net/ecn.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

namespace culvert::control {

using pipeline::Drop;
using pipeline::IpCounter;

namespace {

// Bytes of packet buffers that it keeps from others.
std::size_t memory_of(const rte_mbuf* packet) {
    std::size_t memory = 0;
    for (; packet != nullptr; packet = packet->next) {
        memory += sizeof(rte_mbuf) + packet->buf_len;
    }
    return memory;
}

constexpr std::uint8_t ecn_bit(std::uint8_t tos) {
    return static_cast<std::uint8_t>(1U << (tos & net::kEcnMask));
}

// RFC 3168, 5.3 (ip_frag_ecn_table): what the datagram has beyond its first fragment's mark. False:
// some said ECN-capable and some not.
bool join_ecn(std::uint8_t seen, std::uint8_t& mark) {
    constexpr std::uint8_t kNotCapable = ecn_bit(net::kEcnNotEct);
    constexpr std::uint8_t kCongested = ecn_bit(net::kEcnCe);
    if ((seen & kNotCapable) != 0 && seen != kNotCapable) {
        return false;
    }
    mark = (seen & kCongested) != 0 ? net::kEcnCe : std::uint8_t{0};
    return true;
}

}  // namespace

Reassembly::Reassembly(ReassemblyActions& actions, ReassemblyLimits limits, net::Family family)
    : actions_(actions)
    , limits_(limits)
    , counters_(
          family == net::Family::ipv4
              ? Counters{IpCounter::reasm_reqds, IpCounter::reasm_oks, IpCounter::reasm_fails, IpCounter::reasm_timeout, IpCounter::reasm_overlaps}
              : Counters{IpCounter::ip6_reasm_reqds, IpCounter::ip6_reasm_oks, IpCounter::ip6_reasm_fails, IpCounter::ip6_reasm_timeout, IpCounter::ip6_reasm_overlaps}
      ) {}

Reassembly::~Reassembly() {
    give_up_all(Drop::shutdown);
}

void Reassembly::account(const rte_mbuf* packet, bool is_kept) {
    const std::size_t memory = memory_of(packet);
    memory_ = is_kept ? memory_ + memory : memory_ - memory;
    fragments_ = is_kept ? fragments_ + 1 : fragments_ - 1;
}

rte_mbuf* Reassembly::add(rte_mbuf* packet, LinkId scope, rte_mempool* pool, std::uint64_t now_ms) {
    actions_.count(counters_.reqds);
    const Fragment fragment = read_fragment(packet, scope);
    if (fragment.wrong.has_value()) {
        if (fragment.wrong->type != 0) {
            actions_.complain(packet, *fragment.wrong);
        }
        actions_.drop_fragment(packet, Drop::fragment_malformed);
        return nullptr;
    }
    const Key& key = fragment.key;
    const Queues::iterator at = find_or_begin(key, now_ms);
    if (at == queues_.end()) {
        actions_.count(counters_.fails);
        actions_.drop_fragment(packet, Drop::fragment_memory);
        return nullptr;
    }
    Queue& queue = at->second;
    if (is_too_far(key, queue)) {
        // The datagram starts over with this one (ip_frag_reinit).
        actions_.count(counters_.fails);
        drop_pieces(queue, Drop::fragment_distance);
        queue.born_ms = now_ms;
        by_age_.splice(by_age_.end(), by_age_, queue.age);
    }
    if (!fits(queue, fragment)) {
        const bool is_large = fragment.piece.end > fragment.longest;
        const Drop reason = is_large ? Drop::fragment_too_big : Drop::fragment_malformed;
        actions_.drop_fragment(packet, reason);
        give_up(at, reason);
        return nullptr;
    }
    switch (place(queue, fragment.piece)) {
    case Verdict::duplicate:
        actions_.drop_fragment(packet, Drop::fragment_duplicate);
        return nullptr;
    case Verdict::overlap:
        actions_.count(counters_.overlaps);
        actions_.drop_fragment(packet, Drop::fragment_overlap);
        give_up(at, Drop::fragment_overlap);
        return nullptr;
    case Verdict::kept:
        break;
    }
    account(packet, true);
    queue.ecn |= ecn_bit(fragment.ecn);
    return queue.has_last && queue.present == queue.length ? join(at, pool) : nullptr;
}

// end() = there is no memory for it. Datagrams that were begun may take as much again.
Reassembly::Queues::iterator Reassembly::find_or_begin(const Key& key, std::uint64_t now_ms) {
    const auto found = queues_.find(key);
    if (found != queues_.end()) {
        return memory_ > 2 * limits_.memory ? queues_.end() : found;
    }
    if (memory_ > limits_.memory) {
        return queues_.end();
    }
    const auto made = queues_.try_emplace(key).first;
    made->second.born_ms = now_ms;
    made->second.age = by_age_.insert(by_age_.end(), key);
    if (limits_.max_distance != 0) {
        ++sources_[{key.source, key.destination}].datagrams;
    }
    return made;
}

// ipfrag_max_dist: identifications come round again, and half a datagram of the last time must not
// be joined with half of this one (ip_frag_too_far).
bool Reassembly::is_too_far(const Key& key, Queue& queue) {
    if (limits_.max_distance == 0) {
        return false;
    }
    const std::uint32_t count = ++sources_[{key.source, key.destination}].fragments;
    const std::uint32_t distance = count - std::exchange(queue.source_count, count);
    return !queue.pieces.empty() && distance > limits_.max_distance;
}

// Whether it can belong to the datagram (ip_frag_queue, ip6_frag_queue).
bool Reassembly::fits(Queue& queue, const Fragment& fragment) {
    const Piece& piece = fragment.piece;
    if (fragment.more) {
        if (piece.end > queue.length) {
            if (queue.has_last) {
                return false;
            }
            queue.length = piece.end;
        }
    } else {
        if (piece.end < queue.length || (queue.has_last && piece.end != queue.length)) {
            return false;
        }
        queue.has_last = true;
        queue.length = piece.end;
    }
    return piece.end > piece.begin && piece.end <= fragment.longest;
}

Reassembly::Verdict Reassembly::place(Queue& queue, const Piece& piece) {
    std::vector<Piece>& pieces = queue.pieces;
    // The first that ends behind the new one's beginning.
    auto next = std::upper_bound(
        pieces.begin(),
        pieces.end(),
        piece.begin,
        [](std::uint32_t begin, const Piece& other) { return begin < other.end; }
    );
    if (next == pieces.end() || next->begin >= piece.end) {
        pieces.insert(next, piece);
        queue.present += piece.end - piece.begin;
        return Verdict::kept;
    }
    // All of it may be there already, in one piece or in several without a gap.
    if (next->begin > piece.begin) {
        return Verdict::overlap;
    }
    std::uint32_t covered = next->end;
    while (covered < piece.end && ++next != pieces.end() && next->begin == covered) {
        covered = next->end;
    }
    return covered >= piece.end ? Verdict::duplicate : Verdict::overlap;
}

void Reassembly::drop_pieces(Queue& queue, Drop reason) {
    for (const Piece& piece : queue.pieces) {
        account(piece.packet, false);
        actions_.drop_fragment(piece.packet, reason);
    }
    queue.pieces.clear();
    queue.length = 0;
    queue.present = 0;
    queue.ecn = 0;
    queue.has_last = false;
}

void Reassembly::forget(Queues::iterator at) {
    const auto source = sources_.find({at->first.source, at->first.destination});
    if (source != sources_.end() && --source->second.datagrams == 0) {
        sources_.erase(source);
    }
    by_age_.erase(at->second.age);
    queues_.erase(at);
}

void Reassembly::give_up(Queues::iterator at, Drop reason) {
    actions_.count(counters_.fails);
    drop_pieces(at->second, reason);
    forget(at);
}

void Reassembly::give_up_all(Drop reason) {
    while (!queues_.empty()) {
        give_up(queues_.begin(), reason);
    }
}

std::uint64_t Reassembly::tick(std::uint64_t now_ms) {
    while (!by_age_.empty()) {
        const auto oldest = queues_.find(by_age_.front());
        const std::uint64_t due = oldest->second.born_ms + limits_.timeout_ms;
        if (now_ms < due) {
            return due;
        }
        const std::vector<Piece>& pieces = oldest->second.pieces;
        if (!pieces.empty() && pieces.front().begin == 0) {
            actions_.expired(pieces.front().packet);
        }
        actions_.count(counters_.timeout);
        give_up(oldest, Drop::fragment_timeout);
    }
    return UINT64_MAX;
}

// ip_frag_reasm, ip6_frag_reasm.
rte_mbuf* Reassembly::join(Queues::iterator at, rte_mempool* pool) {
    Queue& queue = at->second;
    std::uint8_t mark = 0;
    const bool is_small = fits_into_header(queue.pieces.front(), queue.length);
    if (!is_small || !join_ecn(queue.ecn, mark)) {
        give_up(at, is_small ? Drop::fragment_ecn : Drop::fragment_too_big);
        return nullptr;
    }
    rte_mbuf* datagram = join_fragments(queue.pieces, mark, pool);
    if (datagram == nullptr) {
        give_up(at, Drop::pool_exhausted);
        return nullptr;
    }
    for (const Piece& piece : queue.pieces) {
        account(piece.packet, false);
        actions_.consume_fragment(piece.packet);
    }
    queue.pieces.clear();
    actions_.count(counters_.oks);
    forget(at);
    return datagram;
}

}  // namespace culvert::control
