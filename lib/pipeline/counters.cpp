// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/counters.hpp"

#include "lib/rcu/table_memory.hpp"

#include <sys/mman.h>

#include <cstddef>

namespace culvert::pipeline {

namespace {

// Zero pages are zero counters: nothing to construct, and only rows that count take memory.
void* reserve_rows(std::size_t bytes) {
    void* memory = ::mmap(
        nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    );
    if (memory == MAP_FAILED) {
        rcu::throw_out_of_memory();
    }
    return memory;
}

}  // namespace

CounterBlock::CounterBlock()
    : links_(static_cast<LinkCounters*>(reserve_rows(kMaxLinks * sizeof(LinkCounters))))
    , drops_(static_cast<DropRow*>(reserve_rows(kMaxLinks * sizeof(DropRow))))
    , multicasts_(static_cast<Counter*>(reserve_rows(kMaxLinks * sizeof(Counter)))) {}

CounterBlock::~CounterBlock() {
    ::munmap(links_, kMaxLinks * sizeof(LinkCounters));
    ::munmap(drops_, kMaxLinks * sizeof(DropRow));
    ::munmap(multicasts_, kMaxLinks * sizeof(Counter));
}

void CounterBlock::reset_link(LinkId link) noexcept {
    LinkCounters& row = links_[link];
    row.rx_packets.reset();
    row.rx_bytes.reset();
    row.tx_packets.reset();
    row.tx_bytes.reset();
    if (multicasts_[link].read() != 0) {
        multicasts_[link].reset();
    }
    for (Counter& counter : drops_[link].reasons) {
        // A row that never counted stays untouched memory.
        if (counter.read() != 0) {
            counter.reset();
        }
    }
}

}  // namespace culvert::pipeline
