// SPDX-License-Identifier: BSD-3-Clause
// Makes bench ports of a DPDK program's ports, in the unchanged program: LD_PRELOAD=bench_ports.so.
// Debian ships no headers for drivers, so this is none: the program has net_null ports, and when it
// starts one for which $CULVERT_BENCH_PORT<number> is set, the burst functions that DPDK calls are
// replaced by ours (rte_eth_fp_ops is public).
#include "test/bench/source/options.hpp"
#include "test/bench/source/port.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <string>

namespace culvert::bench {

namespace {

// nullptr: no bench port.
Port* port_of(std::uint16_t number) {
    static std::map<std::uint16_t, std::unique_ptr<Port>> ports;
    if (auto known = ports.find(number); known != ports.end()) {
        return known->second.get();
    }
    const std::string name = "CULVERT_BENCH_PORT" + std::to_string(number);
    const char* text =
        std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): at start, one thread
    std::unique_ptr<Port>& port = ports[number];
    if (text != nullptr) {
        port = std::make_unique<Port>(number, parse_options(text));
    }
    return port.get();
}

// Runs `what`; a failure is the device's.
template <typename What>
int guarded(std::uint16_t number, const What& what) {
    try {
        return what();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench port %u: %s\n", static_cast<unsigned>(number), error.what());
        return -EINVAL;
    }
}

bool is_repeatable() {
    static const bool kRepeatable =
        std::getenv("CULVERT_BENCH_REPEATABLE") != nullptr;  // NOLINT(concurrency-mt-unsafe)
    return kRepeatable;
}

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

}  // namespace culvert::bench

using culvert::bench::guarded;
using culvert::bench::is_repeatable;
using culvert::bench::next;
using culvert::bench::port_of;

extern "C" int rte_eth_rx_queue_setup(
    std::uint16_t port_id,
    std::uint16_t rx_queue_id,
    std::uint16_t nb_rx_desc,
    unsigned int socket_id,
    const rte_eth_rxconf* rx_conf,
    rte_mempool* mb_pool
) {
    static auto* real = next<decltype(rte_eth_rx_queue_setup)>("rte_eth_rx_queue_setup");
    const int code = real(port_id, rx_queue_id, nb_rx_desc, socket_id, rx_conf, mb_pool);
    return code != 0 ? code : guarded(port_id, [&] {
        if (culvert::bench::Port* port = port_of(port_id); port != nullptr) {
            port->use_pool(rx_queue_id, mb_pool);
        }
        return 0;
    });
}

// Two runs under callgrind ($CULVERT_BENCH_REPEATABLE) do the same: the clock seems to have a
// thousand times its frequency, so that what happens once a second does not happen while
// instructions are counted, and secrets are the same.
extern "C" std::uint64_t rte_get_tsc_hz() {
    static auto* real = next<decltype(rte_get_tsc_hz)>("rte_get_tsc_hz");
    return is_repeatable() ? real() * 1000 : real();
}

// std::random_device::_M_getval()
extern "C" unsigned _ZNSt13random_device9_M_getvalEv(void* device) {  // NOLINT: the symbol's name
    static auto* real = next<unsigned(void*)>("_ZNSt13random_device9_M_getvalEv");
    static std::uint64_t state = 1;
    if (!is_repeatable()) {
        return real(device);
    }
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<unsigned>(state >> 32U);
}

extern "C" int rte_eth_dev_start(std::uint16_t port_id) {
    static auto* real = next<decltype(rte_eth_dev_start)>("rte_eth_dev_start");
    const int code = real(port_id);
    return code != 0 ? code : guarded(port_id, [&] {
        if (culvert::bench::Port* port = port_of(port_id); port != nullptr) {
            port->take_over();
        }
        return 0;
    });
}
