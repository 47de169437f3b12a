// SPDX-License-Identifier: BSD-3-Clause
// Bursts for callgrind. It is started with --instr-atstart=no --collect-atstart=no; the window
// opens at the first burst from packet `count_from` on, closes at the first from `count_to` on, and
// then the program is asked to end. Collection is on while the program runs and off while source
// and sink do.
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
    queue.port->counted_packets = queue.statistics->packets - queue.options->count_from;
    ::kill(::getpid(), SIGTERM);
}

}  // namespace

std::uint16_t receive_counted(void* queue_data, rte_mbuf** packets, std::uint16_t n) {
    RxQueue& queue = *static_cast<RxQueue*>(queue_data);
    pause();
    const std::uint64_t before = queue.statistics->packets;
    if (in_window && before >= queue.options->count_to) {
        close_window(queue);
    }
    if (before >= queue.options->count_to) {
        return 0;
    }
    // The window begins at a round number of packets: bursts are cut to end there.
    if (before < queue.options->count_from) {
        n = static_cast<std::uint16_t>(
            std::min<std::uint64_t>(n, queue.options->count_from - before)
        );
    } else if (!in_window) {
        CALLGRIND_START_INSTRUMENTATION;
        in_window = true;
    }
    const std::uint16_t got = receive(queue_data, packets, n);
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
