// SPDX-License-Identifier: BSD-3-Clause
// The unit tests' main: EAL once, without hugepages, devices or files that outlive the run.
// Tests run side by side, so the file prefix carries the process id.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <rte_eal.h>
#include <rte_errno.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

int main(int argc, char** argv) {
    std::string prefix = "culvert_unit_" + std::to_string(getpid());
    std::string prefix_option = "--file-prefix=" + prefix;
    std::array<std::string, 10> words{
        argv[0],        "--no-huge",        "--no-shconf", "--no-pci",   "--no-telemetry",
        prefix_option, "-m",  "512", "--lcores=0@0-1", "--log-level=error",
    };
    std::array<char*, 10> eal_argv{};
    int eal_argc = 0;
    for (std::string& word : words) {
        eal_argv[static_cast<std::size_t>(eal_argc++)] = word.data();
    }
    if (rte_eal_init(eal_argc, eal_argv.data()) < 0) {
        std::fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
        return 2;
    }
    int failed = Catch::Session().run(argc, argv);
    rte_eal_cleanup();
    std::error_code ignored;
    std::filesystem::remove_all("/var/run/dpdk/" + prefix, ignored);
    return failed == 0 ? 0 : 1;
}
