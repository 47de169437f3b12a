// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvert/eal_log.hpp"

#include <rte_log.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
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

std::string in_one_line(const std::string& said) {
    std::istringstream lines(said);
    std::string text;
    for (std::string line; std::getline(lines, line);) {
        text += text.empty() ? "" : "; ";
        text += line.starts_with(kMark) ? line.substr(kMark.size()) : line;
    }
    return text;
}

SilentOutput::SilentOutput(bool silent) {
    if (!silent) {
        return;
    }
    std::fflush(stdout);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    output_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (nowhere >= 0 && output_ >= 0) {
        ::dup2(nowhere, STDOUT_FILENO);
    }
    if (nowhere >= 0) {
        ::close(nowhere);
    }
}

SilentOutput::~SilentOutput() {
    if (output_ >= 0) {
        std::fflush(stdout);
        ::dup2(output_, STDOUT_FILENO);
        ::close(output_);
    }
}

}  // namespace culvert::app
