// SPDX-License-Identifier: BSD-3-Clause
// The server over a real socket, in one thread: the test plays the clients and lets the server have
// its turns.
#pragma once

#include "lib/control/server.hpp"

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace culvert::control::test {

using Json = nlohmann::ordered_json;

// A client that never waits.
class Peer {
public:
    explicit Peer(const std::string& path) {
        fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, path.size());
        connected_ =
            ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    }

    ~Peer() { close(); }

    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void close() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
        fd_ = -1;
    }

    // What the socket took of it.
    std::size_t send(std::string_view text) {
        ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }

    void half_close() const { ::shutdown(fd_, SHUT_WR); }

    // What is there.
    void receive() {
        std::array<char, 65536> buffer{};
        ssize_t n = 0;
        while ((n = ::recv(fd_, buffer.data(), buffer.size(), 0)) > 0) {
            received += std::string(buffer.data(), static_cast<std::size_t>(n));
        }
        closed = closed || n == 0 || (errno != EAGAIN && errno != EINTR);
    }

    // The lines so far.
    [[nodiscard]] std::vector<Json> replies() {
        receive();
        std::vector<Json> lines;
        for (std::size_t end = received.find('\n'); end != std::string::npos;
             end = received.find('\n')) {
            lines.push_back(Json::parse(received.substr(0, end)));
            received.erase(0, end + 1);
        }
        return lines;
    }

    [[nodiscard]] bool is_connected() const { return connected_; }

    std::string received;
    bool closed = false;

private:
    int fd_ = -1;
    bool connected_ = false;
};

struct ServerFixture {
    explicit ServerFixture(ServerLimits limits = {})
        : path((std::filesystem::temp_directory_path() /
                ("culvert_server_" + std::to_string(::getpid())))
                   .string())
        , server(
              [this](std::string_view line) { return answer(line); },
              [this] { return now_ms; },
              limits
          ) {
        ::unlink(path.c_str());
        REQUIRE(server.listen(path));
    }

    CommandOutput answer(std::string_view line) {
        lines.emplace_back(line);
        CommandOutput output;
        output.json = "null";
        if (line == "fail") {
            output.ok = false;
            output.exit_status = 2;
            output.error = {std::errc::file_exists, "it exists"};
        } else if (line.starts_with("big ")) {
            output.text = std::string(std::stoul(std::string(line.substr(4))), 'x');
        } else if (line == "monitor" || line == "-j monitor") {
            output.monitor = 1;
            output.is_json = line != "monitor";
        } else {
            output.text = "you said " + std::string(line) + "\n";
            output.json = "[1,2]";
        }
        return output;
    }

    // Turns until the server has nothing to do; the bound is for a server that never stops.
    void serve() {
        pollfd watched{server.fd(), POLLIN, 0};
        for (int turn = 0; turn < 10000 && ::poll(&watched, 1, 0) > 0; ++turn) {
            server.serve();
        }
    }

    std::string path;
    std::uint64_t now_ms = 1000;
    std::vector<std::string> lines;
    Server server;
};

struct Tight : ServerFixture {
    Tight()
        : ServerFixture(
              {.clients = 3,
               .max_line_bytes = 1000,
               .max_backlog_bytes = 100000,
               .stall_ms = 5000,
               .commands_per_turn = 4}
          ) {}
};

}  // namespace culvert::control::test
