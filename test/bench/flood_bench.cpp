// SPDX-License-Identifier: BSD-3-Clause
// What floods cost a worker: `flood_bench [rounds]`. For each flood of what only control can
// answer, the clocks a packet of it takes, beside those of a packet that is forwarded, and what is
// left to forwarding on a worker that would be full without it: at 100,000 packets of the flood a
// second, and at a million. Control runs between rounds and is not counted: it has a core of its
// own.
#include "test/unit/control/flood_machine.hpp"

#include <fmt/core.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using culvert::control::test::Flood;
using culvert::control::test::FloodMachine;

namespace {

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kGood = 16;  // of a burst, where the other half is the flood

// The median of `rounds`, in clocks of a burst of `good` forwarded packets and the rest of the
// flood.
double
measure(std::optional<Flood> flood, std::uint32_t good, std::uint32_t rounds, std::uint64_t& lost) {
    FloodMachine machine;
    std::vector<std::uint64_t> clocks;
    std::uint32_t sent = 0;
    std::uint64_t forwarded = 0;
    for (std::uint32_t round = 0; round < rounds; ++round) {
        for (std::uint32_t i = 0; i < kBurst; ++i) {
            const bool is_good = i % (kBurst / good) == 0;
            (void
            )machine.receive(0, is_good ? FloodMachine::good() : FloodMachine::of(*flood, sent++));
        }
        const std::uint64_t begin = rte_rdtsc_precise();
        machine.poll();
        clocks.push_back(rte_rdtsc_precise() - begin);
        if (round % 16 == 0) {
            machine.turn(1);
        }
        forwarded += machine.good_sent();
    }
    lost = std::uint64_t{good} * rounds - forwarded;
    std::sort(clocks.begin(), clocks.end());
    return static_cast<double>(clocks[clocks.size() / 2]);
}

void report(std::string_view name, double clocks, double hz, std::uint64_t lost) {
    const auto left = [&](double rate) { return 100 * std::max(0.0, 1 - rate * clocks / hz); };
    fmt::print(
        "{:<30} {:8.1f} {:14.1f} % {:14.1f} % {:8}\n", name, clocks, left(1e5), left(1e6), lost
    );
}

std::string prefix() {
    return "culvert_flood_bench_" + std::to_string(getpid());
}

bool init_eal() {
    std::array<std::string, 9> words{
        "flood_bench",
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "--file-prefix=" + prefix(),
        "-m",
        "512",
        "--log-level=error"};
    std::array<char*, words.size()> arguments{};
    std::transform(words.begin(), words.end(), arguments.begin(), [](std::string& word) {
        return word.data();
    });
    return rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
}

void measure_all(std::uint32_t rounds) {
    const auto hz = static_cast<double>(rte_get_tsc_hz());
    std::uint64_t lost = 0;
    const double alone = measure(std::nullopt, kBurst, rounds, lost) / kBurst;
    fmt::print("a packet that is forwarded: {:.1f} clocks of {:.0f} MHz\n\n", alone, hz / 1e6);
    fmt::print(
        "{:<30} {:>8} {:>16} {:>16} {:>8}\n",
        "flood",
        "clocks",
        "left at 0.1 M/s",
        "left at 1 M/s",
        "lost"
    );
    for (const Flood flood : culvert::control::test::kFloods) {
        const double both = measure(flood, kGood, rounds, lost);
        const double own = (both - kGood * alone) / (kBurst - kGood);
        report(name_of(flood), own, hz, lost);
    }
}

}  // namespace

int main(int argc, char** argv) {
    int code = 1;
    try {
        const std::uint32_t rounds =
            argc > 1 ? static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 20000;
        if (init_eal()) {
            measure_all(rounds);
            code = 0;
        }
        rte_eal_cleanup();
        std::error_code ignored;
        std::filesystem::remove_all("/var/run/dpdk/" + prefix(), ignored);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "flood_bench: %s\n", error.what());
    }
    return code;
}
