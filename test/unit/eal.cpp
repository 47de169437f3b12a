// SPDX-License-Identifier: BSD-3-Clause
// EAL for the unit tests: once a run, without hugepages, devices or files that outlive it. Tests
// run side by side, so the file prefix carries the process id. Catch2's own main is the packaged
// library's.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
#include <rte_eal.h>
#include <rte_errno.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

class Eal : public Catch::TestEventListenerBase {
public:
    using Catch::TestEventListenerBase::TestEventListenerBase;

    void testRunStarting(const Catch::TestRunInfo& /*run*/) override {
        std::array<std::string, 10> words{
            "unit",
            "--no-huge",
            "--no-shconf",
            "--no-pci",
            "--no-telemetry",
            "--file-prefix=" + prefix_,
            "-m",
            "512",
            "--lcores=0@0-1",
            "--log-level=error",
        };
        std::array<char*, words.size()> arguments{};
        for (std::size_t i = 0; i < words.size(); ++i) {
            arguments[i] = words[i].data();
        }
        if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
            std::fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
            std::exit(2);
        }
    }

    void testRunEnded(const Catch::TestRunStats& /*stats*/) override {
        rte_eal_cleanup();
        std::error_code ignored;
        std::filesystem::remove_all("/var/run/dpdk/" + prefix_, ignored);
    }

private:
    std::string prefix_ = "culvert_unit_" + std::to_string(getpid());
};

}  // namespace

CATCH_REGISTER_LISTENER(Eal)
