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
// The last line without its "EAL: ", or "" if there is none.
std::string last_words(const std::string& said);

}  // namespace culvert::app
