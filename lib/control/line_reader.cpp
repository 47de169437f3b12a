// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/line_reader.hpp"

#include <editline/readline.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace culvert::control {

namespace {

constexpr int kHistoryLines = 1000;
constexpr std::size_t kMaxLine = std::size_t{64} * 1024;  // of what is no terminal

LineReader* the_reader = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables):
                                   // libedit's callbacks take no argument

bool is_readable(int fd) {
    pollfd poll{fd, POLLIN, 0};
    return ::poll(&poll, 1, 0) > 0;
}

}  // namespace

void take_terminal_line(char* line) {
    if (the_reader == nullptr) {
        return;
    }
    the_reader->line_taken_ = true;
    if (line == nullptr) {
        the_reader->at_end_ = true;
        return;
    }
    std::string text(line);
    std::free(line);  // NOLINT(cppcoreguidelines-no-malloc): libedit's strdup
    if (!text.empty()) {
        ::add_history(text.c_str());
    }
    the_reader->take(text);
}

// A list for libedit: what all have in common, then each; it frees them.
char** complete_terminal_word(const char* /*word*/, int /*start*/, int end) {
    rl_attempted_completion_over = 1;  // never file names
    if (the_reader == nullptr) {
        return nullptr;
    }
    auto words = the_reader->complete_(
        std::string_view(rl_line_buffer).substr(0, static_cast<std::size_t>(end))
    );
    if (words.empty()) {
        return nullptr;
    }
    std::string common = words.front();
    for (const std::string& word : words) {
        std::size_t same = 0;
        while (same < common.size() && same < word.size() && common[same] == word[same]) {
            ++same;
        }
        common.resize(same);
    }
    auto* list = static_cast<char**>(std::calloc(words.size() + 2, sizeof(char*)));
    if (list == nullptr) {
        return nullptr;
    }
    list[0] = ::strdup(common.c_str());
    for (std::size_t i = 0; words.size() > 1 && i < words.size(); ++i) {
        list[i + 1] = ::strdup(words[i].c_str());
    }
    return list;
}

LineReader::LineReader(
    std::string text, OnLine on_line, Complete complete, std::string history_file
)
    : text_(std::move(text))
    , on_line_(std::move(on_line))
    , complete_(std::move(complete))
    , history_file_(std::move(history_file))
    , is_terminal_(::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1)
    , fd_(STDIN_FILENO) {
    if (!is_terminal_) {
        struct stat status {};

        bool is_watchable =
            ::fstat(STDIN_FILENO, &status) == 0 &&
            (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || ::isatty(STDIN_FILENO) == 1);
        if (!is_watchable) {
            always_ready_ = ::eventfd(1, EFD_CLOEXEC);
            fd_ = always_ready_;
        }
        return;
    }
    the_reader = this;
    ::using_history();
    ::stifle_history(kHistoryLines);
    if (!history_file_.empty()) {
        ::read_history(history_file_.c_str());
    }
    rl_attempted_completion_function = complete_terminal_word;
    ::rl_callback_handler_install(text_.c_str(), take_terminal_line);
}

LineReader::~LineReader() {
    if (always_ready_ >= 0) {
        ::close(always_ready_);
    }
    if (is_terminal_) {
        ::rl_callback_handler_remove();
        the_reader = nullptr;
        if (!history_file_.empty()) {
            ::write_history(history_file_.c_str());
        }
    }
}

bool LineReader::read() {
    if (!is_terminal_) {
        return read_plain();
    }
    while (!at_end_ && is_readable(STDIN_FILENO)) {
        ::rl_callback_read_char();
        // libedit leaves its mode for the line's handler and does not come back by itself.
        if (line_taken_ && !at_end_) {
            line_taken_ = false;
            ::rl_callback_handler_install(text_.c_str(), take_terminal_line);
        }
    }
    return !at_end_;
}

// One read, which does not wait: fd() is readable.
bool LineReader::read_plain() {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled by read
    std::array<char, 4096> buffer;
    ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    pending_.append(buffer.data(), static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end = pending_.find('\n'); end != std::string::npos;
         end = pending_.find('\n', begin)) {
        take(pending_.substr(begin, end - begin));
        begin = end + 1;
    }
    pending_.erase(0, begin);
    if (n == 0) {
        take(std::exchange(pending_, {}));
        return false;
    }
    if (pending_.size() > kMaxLine) {
        std::fputs("Error: the line is too long\n", stderr);
        return false;
    }
    return true;
}

void LineReader::take(const std::string& line) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) {
        on_line_(line);
    }
}

}  // namespace culvert::control
