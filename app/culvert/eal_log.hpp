// SPDX-License-Identifier: BSD-3-Clause
// What DPDK says while it starts: told only when the start fails, for it reports as errors what is
// none (net_tap, of rte_flow support that nobody asked for).
#pragma once

#include <cstdio>
#include <string>

namespace culvert::app {

class EalLog {
public:
    // `hold` false: DPDK speaks for itself, at once (the user asked for a log level).
    explicit EalLog(bool hold);
    ~EalLog();
    EalLog(const EalLog&) = delete;
    EalLog& operator=(const EalLog&) = delete;

    // From here on DPDK speaks for itself. What was held is returned.
    std::string release();

private:
    char* text_ = nullptr;  // what stream_ has written; the C library's memory
    std::size_t size_ = 0;
    FILE* stream_ = nullptr;
};

// Each line with "EAL: " before it, so that nobody takes it for culvert's.
std::string marked(const std::string& said);
// All of it in one line, without "EAL: ".
std::string in_one_line(const std::string& said);

// While it lives, what is printed to standard output is lost: EAL answers a wrong word with two
// pages of usage.
class SilentOutput {
public:
    explicit SilentOutput(bool silent);
    ~SilentOutput();
    SilentOutput(const SilentOutput&) = delete;
    SilentOutput& operator=(const SilentOutput&) = delete;

private:
    int output_ = -1;
};

}  // namespace culvert::app
