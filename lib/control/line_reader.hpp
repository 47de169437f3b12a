// SPDX-License-Identifier: BSD-3-Clause
// Lines from standard input, read in somebody else's loop: line editing, history and completion by
// libedit on a terminal, plain lines without echo elsewhere. At most one at a time, as libedit's
// state is global. No DPDK here: culvertctl has it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

class LineReader {
public:
    using OnLine = std::function<void(const std::string& line)>;  // not called for empty lines
    using Complete = std::function<std::vector<std::string>(std::string_view line)>;

    // Reads standard input. `history_file` "" = none is kept.
    LineReader(std::string text, OnLine on_line, Complete complete, std::string history_file = "");
    // Gives the terminal back as it was.
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // To be watched for input, level-triggered. Not always standard input itself: epoll takes no
    // regular files.
    [[nodiscard]] int fd() const noexcept { return fd_; }

    // Called when fd() is readable: takes what is there, without waiting. False at the input's end.
    bool read();

private:
    friend void take_terminal_line(char* line);
    friend char** complete_terminal_word(const char* word, int start, int end);

    bool read_plain();
    void take(const std::string& line);

    std::string text_;
    OnLine on_line_;
    Complete complete_;
    std::string history_file_;
    std::string pending_;  // not a terminal: half a line
    bool is_terminal_;
    int always_ready_ = -1;  // an eventfd in the place of a file
    int fd_;
    bool at_end_ = false;
    bool line_taken_ = false;
};

}  // namespace culvert::control
