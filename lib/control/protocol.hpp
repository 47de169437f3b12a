// SPDX-License-Identifier: BSD-3-Clause
// The control socket's protocol (interface.md section 3), and its client. No DPDK here: culvertctl
// links this alone.
#pragma once

#include "lib/net/result.hpp"

#include <string>
#include <string_view>

namespace culvert::control {

enum class SocketUse { listen, connect };

// $CULVERT_SOCKET, else /run/culvert/culvert.sock, else $XDG_RUNTIME_DIR/culvert.sock: to listen,
// the first that this user could create; to connect, the first that exists.
std::string default_socket_path(SocketUse use);

// One line of the server's: {"ok":true,"output":"...","data":...} or
// {"ok":false,"errno":"EEXIST","error":"...","exit":2}.
struct Reply {
    bool ok = true;
    std::string output;      // what a terminal shows
    std::string data;        // a JSON document, "null" for none
    std::string errno_name;  // !ok, and the rest too
    std::string error;
    int exit_status = 0;  // ip(8)'s: 1 bad syntax, 2 refused
};

// "EEXIST"
std::string errno_name(std::errc code);

// Without the newline. Bytes that are no UTF-8 become U+FFFD.
std::string encode_reply(const Reply& reply);
// Error EBADMSG.
Result<Reply> decode_reply(std::string_view line);

// "Error: link add vx2: vni 42 on port 4789 is already vx1's (EEXIST)"; bad syntax goes without the
// errno.
std::string error_line(std::string_view error, std::string_view errno_name, int exit_status);

class Client {
public:
    // Errors: ENOENT, ECONNREFUSED, EACCES, ... of connect(2), ENAMETOOLONG.
    static Result<Client> connect(const std::string& path);
    ~Client();
    Client(Client&& other) noexcept;
    Client& operator=(Client&& other) noexcept;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // Waits for the answer. Errors: ECONNRESET when culvert went away, EBADMSG.
    Result<Reply> request(std::string_view line);
    // The next line of a stream (`monitor`).
    Result<Reply> next_reply();

private:
    explicit Client(int fd)
        : fd_(fd) {}

    int fd_ = -1;
    std::string pending_;
};

}  // namespace culvert::control
