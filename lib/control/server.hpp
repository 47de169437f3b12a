// SPDX-License-Identifier: BSD-3-Clause
// The control socket: many clients, one thread, nothing that waits. A client that stalls, floods,
// or sends garbage, half a line or a megabyte hurts nobody but itself:
// - a line longer than `max_line_bytes` is answered with an error, and the connection closed;
// - a client whose answers pile up beyond `max_backlog_bytes` is not read from until it has taken
// them (one answer may
//   be larger: a whole FDB), and closed when it takes nothing for `stall_ms`; a monitor is closed
//   at once;
// - at most `commands_per_turn` commands of one client run before others, and the packet path's
// needs, have their turn.
#pragma once

#include "lib/control/command.hpp"
#include "lib/net/result.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace culvert::control {

struct ServerLimits {
    std::size_t clients = 64;
    std::size_t max_line_bytes = std::size_t{64} * 1024;
    std::size_t max_backlog_bytes = std::size_t{1024} * 1024;
    std::uint64_t stall_ms = 10000;
    unsigned commands_per_turn = 64;
};

class Server {
public:
    using Run = std::function<CommandOutput(std::string_view line)>;
    using Clock = std::function<std::uint64_t()>;  // ms

    // Runs the interpreter's commands, and streams the core's events to those who ask.
    explicit Server(CommandInterpreter& interpreter);
    Server(Run run, Clock clock, ServerLimits limits = {});

    // Listens on `path`, mode 0660; makes /run/culvert where that is its directory. A socket that
    // nobody listens on is replaced. Errors: EADDRINUSE (culvert is already running on PATH),
    // EEXIST (PATH is something else), ENAMETOOLONG, EACCES, ENOENT, ... of bind(2).
    Result<void> listen(const std::string& path);
    // Closes all connections and removes the socket.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Readable (level-triggered) when serve() has something to do.
    [[nodiscard]] int fd() const noexcept { return epoll_fd_; }

    // Does what can be done without waiting.
    void serve();

    // Does any client monitor these events (event_bit)?
    [[nodiscard]] bool has_monitor(std::uint32_t objects) const;
    // A line for each such client.
    void publish(std::uint32_t objects, const std::string& text, const std::string& json);

    [[nodiscard]] std::size_t client_count() const noexcept { return clients_.size(); }

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    struct Client {
        int fd = -1;
        std::string input;              // not yet run; at most one line beyond what one read brings
        std::string output;             // not yet sent
        std::size_t sent = 0;           // of output
        std::uint64_t progress_ms = 0;  // when it last took something, or had nothing to take
        std::uint32_t monitor = 0;
        bool monitor_is_json = false;
        bool at_end = false;       // it sends no more
        bool closing = false;      // to be closed once output is sent
        bool dead = false;         // to be closed now
        std::uint32_t events = 0;  // what epoll watches for it
    };

    void accept_clients();
    void serve_client(Client& client, std::uint32_t events);
    void receive(Client& client);
    void run_lines(Client& client);
    void answer(Client& client, std::string_view line);
    void queue(Client& client, std::string_view line);
    void send_pending(Client& client);
    void watch(Client& client);
    void drop_stalled();
    void bury_the_dead();
    [[nodiscard]] bool has_whole_line(const Client& client) const;
    [[nodiscard]] bool is_held_up(const Client& client) const;

    Run run_;
    Clock clock_;
    ServerLimits limits_;
    std::string path_;
    int epoll_fd_ = -1;
    int listen_fd_ = -1;
    int again_fd_ = -1;        // an eventfd: set while commands wait for their turn
    std::uint64_t inode_ = 0;  // of the socket we made
    std::uint64_t device_ = 0;
    std::map<int, Client> clients_;    // by fd
    std::shared_ptr<EventSink> sink_;  // what the interpreter holds of us, while we live
};

}  // namespace culvert::control
