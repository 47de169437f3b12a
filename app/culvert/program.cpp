// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvert/program.hpp"

#include "lib/control/config_file.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/control/log.hpp"
#include "lib/control/protocol.hpp"
#include "lib/control/slow_path.hpp"

#include <fmt/format.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <system_error>

namespace culvert::app {

namespace {

constexpr int kBadUsage = 1;
constexpr int kEnvironmentFailed = 2;
constexpr std::uint64_t kCarrierPeriodMs = 1000;
// How long control rests between turns while workers learn many MACs.
constexpr std::uint32_t kLearningNapMs = 1;
// How long the packets that are on their way at the end may take.
constexpr std::uint64_t kDrainMs = 200;

int fail(int status, const std::string& what) {
    fmt::print(stderr, "culvert: {}\n", what);
    return status;
}

std::vector<std::uint32_t> worker_lcores() {
    std::vector<std::uint32_t> lcores;
    unsigned lcore = 0;
    RTE_LCORE_FOREACH_WORKER (lcore) {
        lcores.push_back(lcore);
    }
    return lcores;
}

// The options were at fault, or the world.
int status_of(const Error& error) {
    return error.code == std::errc::invalid_argument ? kBadUsage : kEnvironmentFailed;
}

}  // namespace

std::string version_text() {
    // "DPDK 22.11.11"
    return fmt::format("{} ({})", CULVERT_VERSION, rte_version());
}

CulvertProgram::CulvertProgram(Options options)
    : options_(std::move(options)) {}

CulvertProgram::~CulvertProgram() {
    for (int fd : {signals_, epoll_}) {
        if (fd >= 0) {
            ::close(fd);
        }
    }
}

int CulvertProgram::start(const control::RequestedDevices& devices) {
    if (worker_lcores().empty()) {
        return fail(
            kBadUsage,
            "there is one lcore, which is control's: workers need others: -l 0,1 (or on one CPU "
            "--lcores '0@0,1@0')"
        );
    }
    if (auto found = control::check_devices(devices); !found) {
        return fail(kEnvironmentFailed, found.error().what);
    }
    if (auto opened = open_devices(); !opened) {
        return fail(status_of(opened.error()), opened.error().what);
    }
    if (auto listening = listen(); !listening) {
        return fail(kEnvironmentFailed, listening.error().what);
    }
    if (auto configured = configure(); !configured) {
        return fail(kBadUsage, configured.error().what);
    }
    if (auto opened = open_loop(); !opened) {
        return fail(kEnvironmentFailed, opened.error().what);
    }
    return 0;
}

Result<void> CulvertProgram::open_devices() {
    const std::vector<std::uint32_t> lcores = worker_lcores();
    CULVERT_TRY(ports, control::Ports::open(options_.ports, lcores));
    ports_ = std::move(ports);
    CULVERT_TRY(
        core,
        control::Core::create(
            static_cast<std::uint32_t>(lcores.size()), options_.sizes, ports_->pool()
        )
    );
    core_ = std::move(core);
    core_->links().use_devices(ports_.get());
    std::map<std::uint16_t, LinkId> links;
    for (const control::PortDescription& port : ports_->descriptions()) {
        CULVERT_TRY(link, core_->links().add_port(port));
        links[port.port_id] = link;
    }
    std::vector<pipeline::WorkerConfig> configs = ports_->worker_configs(links);
    for (pipeline::WorkerConfig& config : configs) {
        config.burst = options_.burst;
        config.idle_sleep_us = options_.idle_sleep_us;
        config.start_tsc = core_->start_tsc();
    }
    CULVERT_TRY(workers, control::WorkerPool::create(*core_, configs));
    workers_ = std::move(workers);
    return {};
}

// Before the configuration: who finds another culvert there must not have touched anything.
Result<void> CulvertProgram::listen() {
    interpreter_ = std::make_unique<control::CommandInterpreter>(*core_, *this);
    server_ = std::make_unique<control::Server>(*interpreter_);
    if (options_.socket_path.empty()) {
        options_.socket_path = control::default_socket_path(control::SocketUse::listen);
    }
    return server_->listen(options_.socket_path);
}

// All of it, before the first packet.
Result<void> CulvertProgram::configure() {
    if (!options_.config_file.empty()) {
        CULVERT_CHECK(control::run_config_file(*interpreter_, options_.config_file));
    }
    core_->settle();
    fmt::print(
        "culvert: ports: {}, workers: {}, control socket: {}\n",
        ports_->descriptions().empty() ? "none (--vdev and -a bring some)"
                                       : std::to_string(ports_->descriptions().size()),
        worker_lcores().size(),
        options_.socket_path
    );
    std::fflush(stdout);
    if (options_.interactive) {
        prompt_ = std::make_unique<control::Prompt>(*interpreter_, *this);
    }
    return {};
}

Result<void> CulvertProgram::watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    // A regular file as standard input is always readable, and epoll does not take it.
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0 && errno != EPERM) {
        return Error{
            static_cast<std::errc>(errno),
            fmt::format("start: epoll: {}", std::generic_category().message(errno))};
    }
    return {};
}

Result<void> CulvertProgram::open_loop() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
        sigaddset(&set, signal);
    }
    signals_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (epoll_ < 0 || signals_ < 0) {
        return Error{
            static_cast<std::errc>(errno),
            fmt::format("start: {}", std::generic_category().message(errno))};
    }
    CULVERT_CHECK(watch(signals_));
    CULVERT_CHECK(watch(core_->doorbell().event_fd));
    CULVERT_CHECK(watch(server_->fd()));
    if (prompt_ != nullptr) {
        CULVERT_CHECK(watch(prompt_->fd()));
    }
    return {};
}

int CulvertProgram::run() {
    workers_->set_receiving(!options_.interactive || options_.auto_start);
    if (auto launched = workers_->launch(); !launched) {
        return fail(kEnvironmentFailed, launched.error().what);
    }
    while (!quitting_) {
        std::uint32_t longest_ms = core_->turn();
        do_periodic();
        std::atomic<bool>& sleeps = core_->doorbell().control_sleeps;
        if (longest_ms != 0 && core_->is_learning()) {
            wait(kLearningNapMs);
            continue;
        }
        if (longest_ms != 0) {
            // Armed before the last look: a worker that puts something into a ring from now on
            // rings.
            sleeps.store(true, std::memory_order_seq_cst);
            if (core_->has_work()) {
                longest_ms = 0;
            }
        }
        wait(longest_ms);
        sleeps.store(false, std::memory_order_relaxed);
    }
    finish();
    return 0;
}

void CulvertProgram::wait(std::uint32_t longest_ms) {
    if (!is_watching_taps_ && core_->host_taps().fd() >= 0) {
        is_watching_taps_ = watch(core_->host_taps().fd()).has_value();
    }
    std::array<epoll_event, 8> events{};
    // net_tap raises real-time signals: an interrupted wait is an ordinary one.
    const int n = ::epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(longest_ms));
    for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == signals_) {
            handle_signals();
        } else if (fd == core_->doorbell().event_fd) {
            std::uint64_t rings = 0;
            [[maybe_unused]] const ssize_t got = ::read(fd, &rings, sizeof(rings));
        } else if (fd == core_->host_taps().fd()) {
            core_->host_taps().serve();
        } else if (fd == server_->fd()) {
            server_->serve();
        } else if (prompt_ != nullptr && fd == prompt_->fd()) {
            prompt_->serve();
        }
    }
}

void CulvertProgram::handle_signals() {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
        if (info.ssi_signo == SIGHUP) {
            RTE_LOG(
                WARNING,
                CULVERT,
                "SIGHUP: applying the configuration file again is not supported yet\n"
            );
        } else {
            quitting_ = true;
        }
    }
}

void CulvertProgram::do_periodic() {
    const std::uint64_t now_ms = core_->now_ms();
    if (now_ms >= next_carrier_ms_) {
        next_carrier_ms_ = now_ms + kCarrierPeriodMs;
        std::map<LinkId, bool> carriers;
        core_->links().for_each([&](const control::LinkRecord& link) {
            if (link.kind == pipeline::LinkKind::port) {
                carriers[link.id] = ports_->has_carrier(link.port_id);
            }
        });
        for (const auto& [link, carrier] : carriers) {
            core_->links().set_carrier(link, carrier);
        }
    }
    if (options_.stats_period_s != 0 && now_ms >= next_report_ms_) {
        if (next_report_ms_ != 0) {
            fmt::print("{}", rates_.text(*core_));
            std::fflush(stdout);
        }
        next_report_ms_ = now_ms + std::uint64_t{options_.stats_period_s} * 1000;
    }
}

// Nothing new comes in, what is on its way gets its time, and the rest is dropped by name.
void CulvertProgram::finish() {
    workers_->set_receiving(false);
    const std::uint64_t end_ms = core_->now_ms() + kDrainMs;
    const auto waiting = [this] {
        return core_->routing().neighbours().queued_packets() + core_->slow_path().queued_packets();
    };
    while (core_->process_stats().in_flight != waiting() && core_->now_ms() < end_ms) {
        core_->turn();
    }
    prompt_.reset();
    server_.reset();
    workers_->stop();
    fmt::print("{}", totals(*core_));
    std::fflush(stdout);
}

}  // namespace culvert::app
