// SPDX-License-Identifier: BSD-3-Clause
#include "test/bench/source/bursts.hpp"

#include "test/bench/source/account.hpp"

#include <rte_byteorder.h>
#include <rte_memcpy.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <unistd.h>

#include <cstring>

namespace culvert::bench {

namespace {

constexpr std::uint64_t kNicFlags =
    RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
constexpr std::uint32_t kHashFactor = 0x9e3779b1;

thread_local Account account;

void copy_lines(std::uint8_t* to, const std::uint8_t* from, std::uint32_t bytes) noexcept {
    for (std::uint32_t done = 0; done < bytes; done += kLine) {
        rte_mov64(to + done, from + done);
    }
}

// Writes the fields that change, and gives what they add to the hash.
std::uint32_t vary(RxQueue& queue, std::uint8_t* data) noexcept {
    std::uint32_t hash = 0;
    for (std::size_t i = 0; i < queue.options->varying.size(); ++i) {
        const Varying& field = queue.options->varying[i];
        std::uint32_t& n = queue.varying[i];
        const std::uint32_t value = field.base + field.step * n;
        const std::uint32_t wire = rte_cpu_to_be_32(value);
        std::memcpy(data + field.offset, &wire, sizeof(wire));
        hash ^= value * kHashFactor;
        // Odd, so all of them come; the golden section of the range, so far from all of the last
        // ones.
        const std::uint64_t section = std::uint64_t{field.count} * kHashFactor >> 32U;
        n = (n + (field.in_order ? 1U : static_cast<std::uint32_t>(section) | 1U)) &
            (field.count - 1);
    }
    return hash;
}

std::uint64_t fill(RxQueue& queue, rte_mbuf** packets, std::uint32_t n) noexcept {
    const Template* templates = queue.templates->all().data();
    const auto template_count = static_cast<std::uint32_t>(queue.templates->all().size());
    const std::uint8_t* bytes = queue.templates->bytes();
    const bool nic = queue.options->nic;
    const bool varies = !queue.options->varying.empty();
    std::uint32_t next = queue.next_template;
    std::uint64_t length = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        const Template& made = templates[next];
        if (i + 2 < n) {
            rte_prefetch0(packets[i + 2]);
        }
        std::memcpy(
            reinterpret_cast<std::uint8_t*>(packet) + offsetof(rte_mbuf, data_off),
            &queue.rearm,
            sizeof(queue.rearm)
        );
        packet->ol_flags = nic ? kNicFlags : 0;
        packet->packet_type = nic ? made.packet_type : 0;
        packet->pkt_len = made.length;
        packet->data_len = made.length;
        packet->vlan_tci = 0;
        packet->hash.rss = made.hash;
        auto* data = static_cast<std::uint8_t*>(packet->buf_addr) + RTE_PKTMBUF_HEADROOM;
        copy_lines(data, bytes + made.offset, made.copied);
        if (varies) {
            packet->hash.rss ^= vary(queue, data);
        }
        length += made.length;
        next = next + 1 == template_count ? 0 : next + 1;
    }
    queue.next_template = next;
    return length;
}

std::uint32_t
deliver(RxQueue& queue, rte_mbuf** packets, std::uint32_t n, std::uint64_t now) noexcept {
    const Options& options = *queue.options;
    n = options.burst != 0 ? std::min(n, options.burst) : n;
    if (options.gap != 0) {
        if (now < queue.next_burst_tsc) {
            ++queue.statistics->empty;
            return 0;
        }
        queue.next_burst_tsc = now + options.gap;
    }
    if (rte_mempool_get_bulk(queue.pool, reinterpret_cast<void**>(packets), n) != 0) {
        ++queue.statistics->pool_empty;
        return 0;
    }
    queue.statistics->bytes += fill(queue, packets, n);
    queue.statistics->packets += n;
    ++queue.statistics->bursts;
    return n;
}

// Packets that nobody else holds go back to their pool together.
std::uint64_t release(rte_mbuf** packets, std::uint32_t n) noexcept {
    std::array<void*, 64> together;  // NOLINT: the first `waiting` are written before they are read
    rte_mempool* pool = nullptr;
    std::uint32_t waiting = 0;
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        bytes += packet->pkt_len;
        if (packet->nb_segs != 1 || !RTE_MBUF_DIRECT(packet) || rte_mbuf_refcnt_read(packet) != 1) {
            rte_pktmbuf_free(packet);
            continue;
        }
        if (waiting != 0 && (waiting == together.size() || packet->pool != pool)) {
            rte_mempool_put_bulk(pool, together.data(), waiting);
            waiting = 0;
        }
        pool = packet->pool;
        together[waiting++] = packet;
    }
    if (waiting != 0) {
        rte_mempool_put_bulk(pool, together.data(), waiting);
    }
    return bytes;
}

void note_thread(RxStatistics& statistics) noexcept {
    if (statistics.thread_id == 0) {
        statistics.thread_id = static_cast<std::uint64_t>(::gettid());
    }
}

}  // namespace

std::uint16_t receive_nothing(void* /*queue*/, rte_mbuf** /*packets*/, std::uint16_t /*n*/) {
    return 0;
}

std::uint16_t receive(void* queue_data, rte_mbuf** packets, std::uint16_t n) {
    RxQueue& queue = *static_cast<RxQueue*>(queue_data);
    RxStatistics& statistics = *queue.statistics;
    const std::uint64_t entered = account.enter();
    account.begin_round(statistics, queue.clock_overhead);
    note_thread(statistics);
    const std::uint32_t got = deliver(queue, packets, n, entered);
    if (got != 0) {
        account.received(statistics, got);
    }
    const std::uint64_t took = account.leave(entered);
    if (got != 0 && !Account::is_interrupted(took, got)) {
        statistics.source_clocks += took;
        statistics.source_packets += got;
    }
    return static_cast<std::uint16_t>(got);
}

std::uint16_t transmit(void* queue_data, rte_mbuf** packets, std::uint16_t n) {
    TxStatistics& statistics = *static_cast<TxQueue*>(queue_data)->statistics;
    const std::uint64_t entered = account.enter();
    statistics.bytes += release(packets, n);
    statistics.packets += n;
    ++statistics.bursts;
    account.sent(n);
    const std::uint64_t took = account.leave(entered);
    if (!Account::is_interrupted(took, n)) {
        statistics.sink_clocks += took;
        statistics.sink_packets += n;
    }
    return n;
}

}  // namespace culvert::bench
