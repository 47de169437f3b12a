// SPDX-License-Identifier: BSD-3-Clause
// What a bench port is told: $CULVERT_BENCH_PORT<number>, "key=value,key=value".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace culvert::bench {

// A field that changes from packet to packet: `base + step * n` as 32 bits in network order at
// `offset`, n running through 0 to count - 1, a power of two, in an order that no prefetcher knows.
// vary=OFFSET:BASE:STEP:COUNT, several with '+' between.
struct Varying {
    std::uint32_t offset = 0;
    std::uint32_t base = 0;
    std::uint32_t step = 1;
    std::uint32_t count = 1;
    bool in_order = false;  // a fifth field, 1: n counts up instead
};

struct Options {
    std::string rx;            // pcap file of templates; "" = the port receives nothing
    std::string statistics;    // file to map; "" = nobody looks
    std::uint32_t header = 0;  // bytes of a template copied into each packet; 0 = all
    bool nic = false;          // RSS hash, checksum verdict and packet type are set, as a NIC would
    std::uint32_t burst = 0;   // packets a poll at the most; 0 = as many as are asked for
    std::uint64_t gap = 0;     // TSC clocks from one burst to the next; 0 = none
    std::uint64_t count = 0;   // callgrind counts the instructions of so many packets; 0 = none
    std::vector<Varying> varying;
};

// Throws std::invalid_argument, whose what() names the key.
Options parse_options(const std::string& text);

}  // namespace culvert::bench
