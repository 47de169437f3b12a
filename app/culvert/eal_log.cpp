// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvert/eal_log.hpp"

#include <rte_log.h>

#include <cstdlib>
#include <sstream>

namespace culvert::app {

namespace {

const std::string kMark = "EAL: ";

}  // namespace

EalLog::EalLog(bool hold) {
    if (!hold) {
        return;
    }
    stream_ = open_memstream(&text_, &size_);
    if (stream_ != nullptr) {
        rte_openlog_stream(stream_);
    }
}

EalLog::~EalLog() {
    release();
}

std::string EalLog::release() {
    if (stream_ == nullptr) {
        return {};
    }
    rte_openlog_stream(nullptr);
    std::fclose(stream_);
    stream_ = nullptr;
    std::string said(text_, size_);
    std::free(text_);
    text_ = nullptr;
    return said;
}

std::string marked(const std::string& said) {
    std::istringstream lines(said);
    std::string text;
    for (std::string line; std::getline(lines, line);) {
        text += line.starts_with(kMark) ? line : kMark + line;
        text += '\n';
    }
    return text;
}

std::string last_words(const std::string& said) {
    std::istringstream lines(said);
    std::string last;
    for (std::string line; std::getline(lines, line);) {
        last = line;
    }
    return last.starts_with(kMark) ? last.substr(kMark.size()) : last;
}

}  // namespace culvert::app
