// SPDX-License-Identifier: BSD-3-Clause
// Bursts for callgrind, which is started with --instr-atstart=no --collect-atstart=no. Until the
// script says go, the source is slow, so that control gets to what it has to do; then as many
// packets as are to be counted go by uncounted, then they are counted, and then the program is
// asked to end. Collection is on while the program runs and off while source and sink do.
#include "test/bench/source/bursts.hpp"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_DUMP_STATS
#endif

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace culvert::bench {

namespace {

thread_local bool in_window = false;

// Source and sink are left: the program's instructions count again.
void resume() noexcept {
    if (in_window) {
        CALLGRIND_TOGGLE_COLLECT;
    }
}

void pause() noexcept {
    if (in_window) {
        CALLGRIND_TOGGLE_COLLECT;
    }
}

void close_window(RxQueue& queue) noexcept {
    in_window = false;
    CALLGRIND_DUMP_STATS;
    CALLGRIND_STOP_INSTRUMENTATION;
    queue.port->counted_packets = queue.statistics->packets - queue.count_from;
    ::kill(::getpid(), SIGTERM);
}

bool may_go(const RxQueue& queue) noexcept {
    return reinterpret_cast<const std::atomic<std::uint64_t>&>(queue.port->go)
               .load(std::memory_order_relaxed) != 0;
}

}  // namespace

std::uint16_t receive_counted(void* queue_data, rte_mbuf** packets, std::uint16_t n) {
    constexpr unsigned kSlowlyUs = 2000;
    RxQueue& queue = *static_cast<RxQueue*>(queue_data);
    pause();
    const std::uint64_t before = queue.statistics->packets;
    if (queue.count_from == 0) {
        queue.count_from = may_go(queue) ? before + queue.options->count : 0;
        ::usleep(kSlowlyUs);
    } else if (in_window && before >= queue.count_from + queue.options->count) {
        close_window(queue);
    } else if (!in_window && before >= queue.count_from && queue.port->counted_packets == 0) {
        CALLGRIND_START_INSTRUMENTATION;
        in_window = true;
    }
    const std::uint16_t got =
        queue.port->counted_packets != 0 ? std::uint16_t{0} : receive(queue_data, packets, n);
    resume();
    return got;
}

std::uint16_t transmit_counted(void* queue_data, rte_mbuf** packets, std::uint16_t n) {
    pause();
    const std::uint16_t sent = transmit(queue_data, packets, n);
    resume();
    return sent;
}

}  // namespace culvert::bench
