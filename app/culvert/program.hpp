// SPDX-License-Identifier: BSD-3-Clause
// The running program: its parts in the order of their making, and the main lcore's loop, which
// sleeps in epoll until a worker, a client, a signal or the clock wants something.
#pragma once

#include "app/culvert/options.hpp"
#include "app/culvert/report.hpp"
#include "lib/control/command.hpp"
#include "lib/control/core.hpp"
#include "lib/control/ports.hpp"
#include "lib/control/prompt.hpp"
#include "lib/control/server.hpp"
#include "lib/control/workers.hpp"
#include "lib/net/result.hpp"

#include <memory>
#include <optional>
#include <string>

namespace culvert::app {

// "0.1.0 (DPDK 22.11.11)"
std::string version_text();

class CulvertProgram final : public control::Program {
public:
    explicit CulvertProgram(Options options);
    ~CulvertProgram() override;
    CulvertProgram(const CulvertProgram&) = delete;
    CulvertProgram& operator=(const CulvertProgram&) = delete;

    // Everything that can fail, up to the workers' start. EAL is up. Returns the exit status to
    // leave with, having said why; 0 = go on with run().
    int start(const control::RequestedDevices& devices);
    // Until a signal, `quit`, or the prompt's end. Returns the exit status.
    int run();

    void start_forwarding() override { workers_->set_receiving(true); }

    void stop_forwarding() override { workers_->set_receiving(false); }

    [[nodiscard]] bool is_forwarding() const override { return workers_->is_receiving(); }

    void quit() override { quitting_ = true; }

    [[nodiscard]] std::string version() const override { return version_text(); }

private:
    Result<void> open_devices();
    Result<void> listen();
    Result<void> configure();
    Result<void> open_loop();
    Result<void> watch(int fd);
    void wait(std::uint32_t longest_ms);
    void handle_signals();
    void do_periodic();
    void finish();

    Options options_;
    std::unique_ptr<control::Ports> ports_;
    std::unique_ptr<control::Core> core_;
    std::unique_ptr<control::WorkerPool> workers_;
    std::unique_ptr<control::CommandInterpreter> interpreter_;
    std::unique_ptr<control::Server> server_;
    std::unique_ptr<control::Prompt> prompt_;
    RateReport rates_;
    int epoll_ = -1;
    int signals_ = -1;
    bool quitting_ = false;
    bool is_watching_taps_ = false;
    std::uint64_t next_carrier_ms_ = 0;
    std::uint64_t next_report_ms_ = 0;
};

}  // namespace culvert::app
