// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/server.hpp"

#include "lib/control/listen_socket.hpp"
#include "lib/control/parse_words.hpp"

#include <fmt/format.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

namespace culvert::control {

namespace {

std::string refusal(std::errc code, std::string what) {
    Reply reply;
    reply.ok = false;
    reply.errno_name = errno_name(code);
    reply.error = std::move(what);
    reply.exit_status = 1;
    return encode_reply(reply);
}

std::string event_line(bool is_json, const std::string& text, const std::string& json) {
    Reply reply;
    reply.output = is_json ? json + "\n" : text;
    reply.data = json;
    return encode_reply(reply);
}

std::uint64_t steady_ms() {
    auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count()
    );
}

}  // namespace

Server::Server(CommandInterpreter& interpreter)
    : Server([&interpreter](std::string_view line) { return interpreter.run(line); }, steady_ms) {
    class Sink final : public EventSink {
    public:
        explicit Sink(Server& server)
            : server_(server) {}

        [[nodiscard]] bool wants(std::uint32_t objects) const override {
            return server_.has_monitor(objects);
        }

        void
        publish(std::uint32_t objects, const std::string& text, const std::string& json) override {
            server_.publish(objects, text, json);
        }

    private:
        Server& server_;
    };

    sink_ = std::make_shared<Sink>(*this);
    interpreter.stream_events(sink_);
}

Server::Server(Run run, Clock clock, ServerLimits limits)
    : run_(std::move(run))
    , clock_(std::move(clock))
    , limits_(limits) {}

Result<void> Server::listen(const std::string& path) {
    path_ = path;
    CULVERT_TRY(fd, listen_on(path_));
    listen_fd_ = fd;

    struct stat status {};

    if (::lstat(path_.c_str(), &status) == 0) {
        inode_ = status.st_ino;
        device_ = status.st_dev;
    }
    epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
    again_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int watched : {listen_fd_, again_fd_}) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = watched;
        if (epoll_fd_ < 0 || again_fd_ < 0 ||
            ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, watched, &event) != 0) {
            return Error{std::errc{errno}, fmt::format("{}: cannot be watched", path_)};
        }
    }
    return {};
}

Server::~Server() {
    for (const auto& [fd, client] : clients_) {
        ::close(fd);
    }
    for (int fd : {listen_fd_, again_fd_, epoll_fd_}) {
        if (fd >= 0) {
            ::close(fd);
        }
    }

    // Another culvert may have replaced it.
    struct stat status {};

    if (listen_fd_ >= 0 && ::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_ &&
        status.st_dev == device_) {
        ::unlink(path_.c_str());
    }
}

void Server::serve() {
    std::array<epoll_event, 32> events{};
    int count = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), 0);
    bool again = false;
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == listen_fd_) {
            accept_clients();
        } else if (event.data.fd == again_fd_) {
            std::uint64_t ignored = 0;
            (void)!::read(again_fd_, &ignored, sizeof(ignored));
            again = true;
        } else if (auto found = clients_.find(event.data.fd); found != clients_.end()) {
            serve_client(found->second, event.events);
        }
    }
    bool waiting = false;
    for (auto& [fd, client] : clients_) {
        if (again && has_whole_line(client)) {
            serve_client(client, 0);
        }
        waiting = waiting || (has_whole_line(client) && !is_held_up(client) && !client.closing &&
                              !client.dead);
    }
    drop_stalled();
    bury_the_dead();
    if (waiting) {
        std::uint64_t one = 1;
        (void)!::write(again_fd_, &one, sizeof(one));
    }
}

void Server::accept_clients() {
    while (true) {
        int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        if (clients_.size() >= limits_.clients) {
            std::string line = refusal(
                                   std::errc::too_many_files_open,
                                   fmt::format("there are {} clients already", limits_.clients)
                               ) +
                               "\n";
            (void)!::send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            ::close(fd);
            continue;
        }
        Client& client = clients_[fd];
        client.fd = fd;
        client.progress_ms = clock_();
        client.events = EPOLLIN;
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        client.dead = ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0;
    }
}

void Server::serve_client(Client& client, std::uint32_t events) {
    if ((events & EPOLLERR) != 0) {
        client.dead = true;
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        send_pending(client);
    }
    if ((events & (EPOLLIN | EPOLLHUP)) != 0 && !is_held_up(client)) {
        receive(client);
    }
    run_lines(client);
    send_pending(client);
    if (client.at_end && !has_whole_line(client)) {
        client.closing = true;
    }
    if (client.closing && client.output.empty()) {
        client.dead = true;
    }
    watch(client);
}

// One read a turn: input never holds more than a line's limit and what this brings.
void Server::receive(Client& client) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled by recv
    std::array<char, 16384> buffer;
    ssize_t n = ::recv(client.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) {
        // A monitor's and a closing client's words are read and forgotten.
        if (client.monitor == 0 && !client.closing) {
            client.input.append(buffer.data(), static_cast<std::size_t>(n));
        }
    } else if (n == 0) {
        client.at_end = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        client.dead = true;
    }
}

void Server::run_lines(Client& client) {
    std::size_t begin = 0;
    for (unsigned n = 0;
         n < limits_.commands_per_turn && !is_held_up(client) && client.monitor == 0;
         ++n) {
        std::size_t end = client.input.find('\n', begin);
        if (end == std::string::npos || client.closing || client.dead) {
            break;
        }
        answer(client, std::string_view(client.input).substr(begin, end - begin));
        begin = end + 1;
    }
    client.input.erase(0, begin);
    bool is_too_long = client.input.size() > limits_.max_line_bytes && !has_whole_line(client);
    if (is_too_long && !client.closing) {
        queue(
            client,
            refusal(
                std::errc::message_size,
                fmt::format("a line is longer than {} bytes", limits_.max_line_bytes)
            )
        );
        client.closing = true;
    }
    if (client.closing || client.monitor != 0) {
        client.input.clear();
    }
}

void Server::answer(Client& client, std::string_view line) {
    if (line.size() > limits_.max_line_bytes) {
        queue(
            client,
            refusal(
                std::errc::message_size,
                fmt::format("a line is longer than {} bytes", limits_.max_line_bytes)
            )
        );
        client.closing = true;
        return;
    }
    if (!is_utf8(line)) {
        queue(client, refusal(std::errc::illegal_byte_sequence, "the line is not UTF-8"));
        return;
    }
    CommandOutput output = run_(line);
    client.monitor = output.monitor;
    client.monitor_is_json = output.is_json;
    // A monitor's stream begins with the answer that it does.
    queue(client, encode_reply(to_reply(std::move(output))));
}

void Server::queue(Client& client, std::string_view line) {
    if (client.output.empty()) {
        client.progress_ms = clock_();
    }
    client.output += line;
    client.output += '\n';
}

void Server::send_pending(Client& client) {
    while (client.sent < client.output.size()) {
        ssize_t n = ::send(
            client.fd,
            client.output.data() + client.sent,
            client.output.size() - client.sent,
            MSG_NOSIGNAL | MSG_DONTWAIT
        );
        if (n < 0) {
            client.dead = client.dead || (errno != EAGAIN && errno != EINTR);
            break;
        }
        client.sent += static_cast<std::size_t>(n);
        client.progress_ms = clock_();
    }
    if (client.sent == client.output.size()) {
        client.output = std::string();  // gives a large answer's memory back
        client.sent = 0;
    }
}

void Server::watch(Client& client) {
    std::uint32_t wanted = 0;
    if (!is_held_up(client) && !client.at_end) {
        wanted |= EPOLLIN;
    }
    if (!client.output.empty()) {
        wanted |= EPOLLOUT;
    }
    if (wanted == client.events || client.dead) {
        return;
    }
    epoll_event event{};
    event.events = wanted;
    event.data.fd = client.fd;
    client.dead = ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, client.fd, &event) != 0;
    client.events = wanted;
}

bool Server::has_monitor(std::uint32_t objects) const {
    return std::any_of(clients_.begin(), clients_.end(), [&](const auto& entry) {
        return (entry.second.monitor & objects) != 0 && !entry.second.dead;
    });
}

void Server::publish(std::uint32_t objects, const std::string& text, const std::string& json) {
    for (auto& [fd, client] : clients_) {
        if ((client.monitor & objects) == 0 || client.dead) {
            continue;
        }
        queue(client, event_line(client.monitor_is_json, text, json));
        send_pending(client);
        client.dead = client.dead || client.output.size() - client.sent > limits_.max_backlog_bytes;
        watch(client);
    }
}

// Memory grows only when somebody sends, so this is the time to look.
void Server::drop_stalled() {
    const std::uint64_t now_ms = clock_();
    for (auto& [fd, client] : clients_) {
        if (is_held_up(client) && now_ms - client.progress_ms >= limits_.stall_ms) {
            client.dead = true;
        }
    }
}

void Server::bury_the_dead() {
    for (auto client = clients_.begin(); client != clients_.end();) {
        if (client->second.dead) {
            ::close(client->first);
            client = clients_.erase(client);
        } else {
            ++client;
        }
    }
}

bool Server::has_whole_line(const Client& client) const {
    return client.input.find('\n') != std::string::npos;
}

bool Server::is_held_up(const Client& client) const {
    return client.output.size() - client.sent > limits_.max_backlog_bytes;
}

}  // namespace culvert::control
