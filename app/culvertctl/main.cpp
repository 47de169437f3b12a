// SPDX-License-Identifier: BSD-3-Clause
// The client: one command, a batch, or a prompt. Exit status as ip(8): 0 done, 1 bad syntax, 2
// refused, or no culvert.
#include "app/culvertctl/options.hpp"
#include "lib/control/command_lines.hpp"
#include "lib/control/line_reader.hpp"
#include "lib/control/parse_words.hpp"
#include "lib/control/protocol.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace culvert::ctl {

namespace {

constexpr int kBadSyntax = 1;
constexpr int kRefused = 2;

int fail(const std::string& what, int status) {
    fmt::print(stderr, "Error: {}\n", what);
    return status;
}

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

// Is the command `monitor`, whose answer is followed by a stream?
bool is_monitor(const std::string& line) {
    auto words = control::parse_words(line);
    if (!words) {
        return false;
    }
    auto word = std::find_if(words->begin(), words->end(), [](const std::string& candidate) {
        return !candidate.starts_with('-') && candidate != "ip" && candidate != "bridge";
    });
    return word != words->end() && !word->empty() &&
           std::string_view("monitor").starts_with(*word) && words->back() != "help";
}

class Session {
public:
    Session(control::Client client, std::string prefix)
        : client_(std::move(client))
        , prefix_(std::move(prefix)) {}

    // Runs one command and prints what it says.
    int run(const std::string& line) {
        auto reply = client_.request(prefix_ + line);
        if (!reply) {
            is_lost_ = true;
            return fail(reply.error().what, kRefused);
        }
        if (!reply->ok) {
            fmt::print(
                stderr,
                "{}\n",
                control::error_line(reply->error, reply->errno_name, reply->exit_status)
            );
            return reply->exit_status;
        }
        print(reply->output);
        while (is_monitor(line)) {
            auto event = client_.next_reply();
            if (!event) {
                is_lost_ = true;
                return fail(event.error().what, kRefused);
            }
            print(event->output);
        }
        return 0;
    }

    std::vector<std::string> complete(std::string_view line) {
        const std::vector<std::string> words{"complete", std::string(line)};
        auto reply = client_.request(control::quote_words(words));
        std::vector<std::string> found;
        if (reply && reply->ok) {
            std::istringstream lines(reply->output);
            for (std::string word; std::getline(lines, word);) {
                found.push_back(word);
            }
        }
        return found;
    }

    [[nodiscard]] bool is_lost() const noexcept { return is_lost_; }

private:
    control::Client client_;
    std::string prefix_;
    bool is_lost_ = false;
};

int run_batch(Session& session, const std::string& name, bool force) {
    std::ifstream file;
    if (name != "-") {
        file.open(name);
        if (!file) {
            return fail(fmt::format("Cannot open file \"{}\" for reading", name), kBadSyntax);
        }
    }
    std::istream& input = name == "-" ? std::cin : file;
    control::CommandLine command;
    int worst = 0;
    for (unsigned number = 0; control::next_command(input, number, command);) {
        const int status = session.run(command.text);
        if (status == 0) {
            continue;
        }
        fmt::print(stderr, "Command failed {}:{}\n", name, command.number);
        worst = worst == 0 ? status : worst;
        if (!force || session.is_lost()) {
            break;
        }
    }
    return worst;
}

std::string history_file() {
    const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): there is one thread
    return home == nullptr ? "" : std::string(home) + "/.culvert_history";
}

int run_prompt(Session& session) {
    int status = 0;
    bool quitting = false;
    control::LineReader reader(
        "culvert> ",
        [&](const std::string& line) {
            // `quit` would end culvert; at the client's prompt `exit` leaves only this.
            if (line == "exit") {
                quitting = true;
            } else {
                status = session.run(line);
            }
        },
        [&](std::string_view line) { return session.complete(line); },
        history_file()
    );
    pollfd input{reader.fd(), POLLIN, 0};
    while (!quitting && !session.is_lost()) {
        if (::poll(&input, 1, -1) > 0 && !reader.read()) {
            break;
        }
    }
    return session.is_lost() ? kRefused : 0;
}

int run(const Options& options) {
    if (options.help) {
        print(usage());
        return 0;
    }
    if (options.version) {
        print("culvertctl " CULVERT_VERSION "\n");
        return 0;
    }
    const std::string path = options.socket.empty()
                                 ? control::default_socket_path(control::SocketUse::connect)
                                 : options.socket;
    auto client = control::Client::connect(path);
    if (!client) {
        return fail(client.error().what, kRefused);
    }
    std::string prefix = control::quote_words(options.prefix);
    Session session(std::move(*client), prefix.empty() ? "" : prefix + " ");
    if (!options.batch.empty()) {
        return run_batch(session, options.batch, options.force);
    }
    if (!options.command.empty()) {
        return session.run(control::quote_words(options.command));
    }
    return ::isatty(STDIN_FILENO) == 1 ? run_prompt(session)
                                       : run_batch(session, "-", options.force);
}

}  // namespace

}  // namespace culvert::ctl

int main(int argc, char** argv) {
    try {
        auto options = culvert::ctl::parse_options({argv + 1, argv + argc});
        if (!options) {
            return culvert::ctl::fail(
                options.error().what + "; see culvertctl --help", culvert::ctl::kBadSyntax
            );
        }
        return culvert::ctl::run(*options);
    } catch (const std::exception& error) {
        return culvert::ctl::fail(error.what(), culvert::ctl::kRefused);
    }
}
