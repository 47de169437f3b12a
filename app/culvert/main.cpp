// SPDX-License-Identifier: BSD-3-Clause
// culvert [EAL options] -- [options]
#include "app/culvert/eal_log.hpp"
#include "app/culvert/environment.hpp"
#include "app/culvert/options.hpp"
#include "app/culvert/program.hpp"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include <malloc.h>
#include <signal.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace culvert::app {

namespace {

constexpr int kBadUsage = 1;
constexpr int kEnvironmentFailed = 2;

int fail(int status, const std::string& what) {
    fmt::print(stderr, "culvert: {}\n", what);
    return status;
}

// Tables that have grown leave large blocks behind, which are to go back to the system. Left to
// itself malloc() learns from the first of them to keep such blocks.
void give_large_blocks_back() {
    constexpr int kLargeBytes = 1 << 20;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet
    (void)mallopt(M_MMAP_THRESHOLD, kLargeBytes);
}

// Signals are read by the main loop (signalfd); EAL's threads and workers inherit the mask.
void block_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
        sigaddset(&set, signal);
    }
    pthread_sigmask(SIG_BLOCK, &set, nullptr);

    struct sigaction ignore {};

    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, nullptr);
}

// EAL with the user's words, behind defaults that they override: of DPDK's own messages only
// errors.
bool start_eal(const std::string& program, const Options& options) {
    const std::string level = options.log_level.empty() ? "error" : options.log_level;
    std::vector<std::string> words{program};
    for (const char* part : {"lib", "bus", "pmd"}) {
        words.push_back(fmt::format("--log-level={}.*:{}", part, level));
    }
    words.insert(words.end(), options.eal_words.begin(), options.eal_words.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    if (rte_eal_init(static_cast<int>(words.size()), argv.data()) < 0) {
        return false;
    }
    const std::uint32_t own_level = log_level_number(options.log_level);
    rte_log_set_level_regexp("^culvert$", own_level);
    return true;
}

int run_program(Options options, const control::RequestedDevices& devices, EalLog& log) {
    CulvertProgram program(std::move(options));
    const int status = program.start(devices);
    const std::string said = log.release();
    if (status != 0) {
        fmt::print(stderr, "{}", marked(said));
        return status;
    }
    return program.run();
}

// A run without shared configuration leaves nothing behind that another process could use.
void remove_runtime_folder(const Options& options, const std::string& folder) {
    if (options.has_eal_flag("--no-shconf") || options.has_eal_flag("--in-memory")) {
        std::error_code ignored;
        if (!folder.empty()) {
            std::filesystem::remove_all(folder, ignored);
        }
    }
}

int run(int argc, char** argv) {
    auto options = parse_options(argc, argv);
    if (!options) {
        return fail(kBadUsage, options.error().what + " (culvert --help)");
    }
    if (options->help) {
        fmt::print("{}", usage());
        return 0;
    }
    if (options->version) {
        fmt::print("culvert {}\n", version_text());
        return 0;
    }
    auto devices = control::requested_devices(options->eal_words);
    if (!devices) {
        return fail(kBadUsage, devices.error().what);
    }
    const Proposals proposals{shell_line(argc, argv), shell_line(argc, argv, "--no-huge -m 1024")};
    if (auto checked = check_environment(*options, *devices, proposals); !checked) {
        return fail(kEnvironmentFailed, checked.error().what);
    }
    give_large_blocks_back();
    block_signals();
    EalLog log(options->log_level.empty());
    const auto [started, reason] = [&] {
        const SilentOutput silent(
            options->log_level.empty() && !options->has_eal_flag("--log-level=help")
        );
        const bool done = start_eal(argv[0], *options);
        return std::pair(done, rte_errno);
    }();
    const std::string folder = rte_eal_get_runtime_dir();
    if (!started) {
        remove_runtime_folder(*options, folder);
        const std::string why = in_one_line(log.release());
        const bool is_usage = why.find("command line") != std::string::npos;
        return fail(
            kEnvironmentFailed,
            fmt::format(
                "EAL did not start: {}{}",
                why.empty() ? rte_strerror(reason) : why,
                is_usage ? " (EAL's options stand before `--`, culvert's own behind it)" : ""
            )
        );
    }
    const int status = run_program(*options, *devices, log);
    rte_eal_cleanup();
    remove_runtime_folder(*options, folder);
    return status;
}

}  // namespace

}  // namespace culvert::app

int main(int argc, char** argv) {
    try {
        return culvert::app::run(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "culvert: {}\n", error.what());
        return 2;
    }
}
