// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/reassembly.hpp"

#include "lib/encap/mbuf.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/ecn.hpp"
#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace culvert::control {

using pipeline::Drop;
using pipeline::IpCounter;

namespace {

constexpr std::uint32_t kLargest = 65535;
constexpr std::uint32_t kUnit = 8;

const net::Ipv4Header& header_of(const rte_mbuf* packet) {
    const std::uint16_t offset = pipeline::note(const_cast<rte_mbuf*>(packet)).l3_offset;
    return *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, offset);
}

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

// A packet that grows by bytes, buffer after buffer, each filled before the next is taken.
class Writer {
public:
    explicit Writer(rte_mempool* pool)
        : pool_(pool)
        , first_(rte_pktmbuf_alloc(pool))
        , last_(first_)
        , failed_(first_ == nullptr) {}

    ~Writer() { rte_pktmbuf_free(first_); }

    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void append(const std::uint8_t* data, std::size_t len) {
        while (len != 0 && !failed_) {
            const std::size_t piece = std::min<std::size_t>(len, rte_pktmbuf_tailroom(last_));
            if (piece == 0) {
                grow();
                continue;
            }
            std::memcpy(rte_pktmbuf_mtod_offset(last_, void*, last_->data_len), data, piece);
            last_->data_len = static_cast<std::uint16_t>(last_->data_len + piece);
            first_->pkt_len += static_cast<std::uint32_t>(piece);
            data += piece;
            len -= piece;
        }
    }

    // `len` bytes from `offset` on; the packet has them.
    void append(const rte_mbuf* packet, std::size_t offset, std::size_t len) {
        for (; len != 0; packet = packet->next) {
            if (offset >= packet->data_len) {
                offset -= packet->data_len;
                continue;
            }
            const std::size_t piece = std::min(len, packet->data_len - offset);
            append(rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset), piece);
            offset = 0;
            len -= piece;
        }
    }

    // nullptr = some buffer was not to be had.
    [[nodiscard]] rte_mbuf* take() { return failed_ ? nullptr : std::exchange(first_, nullptr); }

private:
    void grow() {
        rte_mbuf* next = rte_pktmbuf_alloc(pool_);
        failed_ = next == nullptr;
        if (!failed_) {
            next->data_off = 0;  // room in front is for the first one alone
            last_->next = next;
            last_ = next;
            ++first_->nb_segs;
        }
    }

    rte_mempool* pool_;
    rte_mbuf* first_;
    rte_mbuf* last_;
    bool failed_;
};

}  // namespace

Reassembly::~Reassembly() {
    give_up_all(Drop::shutdown);
}

void Reassembly::account(const rte_mbuf* packet, bool is_kept) {
    const std::size_t memory = memory_of(packet);
    memory_ = is_kept ? memory_ + memory : memory_ - memory;
    fragments_ = is_kept ? fragments_ + 1 : fragments_ - 1;
}

rte_mbuf* Reassembly::add(rte_mbuf* fragment, rte_mempool* pool, std::uint64_t now_ms) {
    actions_.count(IpCounter::reasm_reqds);
    const net::Ipv4Header& ip = header_of(fragment);
    const Key key{
        std::uint64_t{ip.source.raw()} << 32 | ip.destination.raw(),
        ip.identification.raw(),
        ip.protocol};
    const bool more = ip.more_fragments();
    const std::uint8_t ecn = ecn_bit(ip.type_of_service);
    Piece piece;
    piece.packet = fragment;
    piece.begin = static_cast<std::uint32_t>(ip.fragment_offset_bytes());
    piece.end =
        piece.begin + ip.total_length.host() - static_cast<std::uint32_t>(ip.header_len_bytes());
    const Queues::iterator at = find_or_begin(key, now_ms);
    if (at == queues_.end()) {
        actions_.count(IpCounter::reasm_fails);
        actions_.drop_fragment(fragment, Drop::fragment_memory);
        return nullptr;
    }
    Queue& queue = at->second;
    if (is_too_far(key, queue)) {
        // The datagram starts over with this one (ip_frag_reinit).
        actions_.count(IpCounter::reasm_fails);
        drop_pieces(queue, Drop::fragment_distance);
        queue.born_ms = now_ms;
        by_age_.splice(by_age_.end(), by_age_, queue.age);
    }
    if (!fits(queue, piece, more)) {
        const bool is_large = piece.end + sizeof(net::Ipv4Header) > kLargest;
        const Drop reason = is_large ? Drop::fragment_too_big : Drop::fragment_malformed;
        actions_.drop_fragment(fragment, reason);
        give_up(at, reason);
        return nullptr;
    }
    switch (place(queue, piece)) {
    case Verdict::duplicate:
        actions_.drop_fragment(fragment, Drop::fragment_duplicate);
        return nullptr;
    case Verdict::overlap:
        actions_.count(IpCounter::reasm_overlaps);
        actions_.drop_fragment(fragment, Drop::fragment_overlap);
        give_up(at, Drop::fragment_overlap);
        return nullptr;
    case Verdict::kept:
        break;
    }
    account(fragment, true);
    queue.ecn |= ecn;
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
    ++sources_[key.addresses].datagrams;
    return made;
}

// ipfrag_max_dist: identifications come round again, and half a datagram of the last time must not
// be joined with half of this one (ip_frag_too_far).
bool Reassembly::is_too_far(const Key& key, Queue& queue) {
    const std::uint32_t count = ++sources_[key.addresses].fragments;
    const std::uint32_t distance = count - std::exchange(queue.source_count, count);
    return !queue.pieces.empty() && distance > limits_.max_distance;
}

// Whether it can belong to the datagram (ip_frag_queue). What is beyond a multiple of 8 is cut off
// a fragment that is not the last.
bool Reassembly::fits(Queue& queue, Piece& piece, bool more) {
    if (more) {
        piece.end &= ~(kUnit - 1);
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
    return piece.end > piece.begin && piece.end + sizeof(net::Ipv4Header) <= kLargest;
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
    const auto source = sources_.find(at->first.addresses);
    if (--source->second.datagrams == 0) {
        sources_.erase(source);
    }
    by_age_.erase(at->second.age);
    queues_.erase(at);
}

void Reassembly::give_up(Queues::iterator at, Drop reason) {
    actions_.count(IpCounter::reasm_fails);
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
        actions_.count(IpCounter::reasm_timeout);
        give_up(oldest, Drop::fragment_timeout);
    }
    return UINT64_MAX;
}

// The first one's headers, then the payloads (ip_frag_reasm). Everything up to the inner transport
// header is to lie in the first buffer, however small the fragments were: hence a copy.
rte_mbuf* Reassembly::join(Queues::iterator at, rte_mempool* pool) {
    Queue& queue = at->second;
    const rte_mbuf* first = queue.pieces.front().packet;
    const std::uint16_t l3_offset = pipeline::note(const_cast<rte_mbuf*>(first)).l3_offset;
    const std::size_t header_len = header_of(first).header_len_bytes();
    const std::size_t total_length = header_len + queue.length;
    std::uint8_t mark = 0;
    if (total_length > kLargest || !join_ecn(queue.ecn, mark)) {
        give_up(at, total_length > kLargest ? Drop::fragment_too_big : Drop::fragment_ecn);
        return nullptr;
    }
    Writer writer(pool);
    writer.append(first, 0, l3_offset + header_len);
    for (const Piece& piece : queue.pieces) {
        const std::size_t front = l3_offset + header_of(piece.packet).header_len_bytes();
        writer.append(piece.packet, front, piece.end - piece.begin);
    }
    rte_mbuf* datagram = writer.take();
    if (datagram == nullptr) {
        give_up(at, Drop::pool_exhausted);
        return nullptr;
    }
    pipeline::note(datagram) = pipeline::note(const_cast<rte_mbuf*>(first));
    auto& ip = *rte_pktmbuf_mtod_offset(datagram, net::Ipv4Header*, l3_offset);
    ip.type_of_service |= mark;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(total_length)};
    ip.flags_and_offset = net::Be16{0};
    ip.checksum = net::ipv4_header_checksum(ip, header_len);
    for (const Piece& piece : queue.pieces) {
        account(piece.packet, false);
        actions_.consume_fragment(piece.packet);
    }
    queue.pieces.clear();
    actions_.count(IpCounter::reasm_oks);
    forget(at);
    return datagram;
}

}  // namespace culvert::control
