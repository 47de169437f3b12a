// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/protocol.hpp"

#include <fmt/format.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace culvert::control {

namespace {

constexpr const char* kRunDirectory = "/run/culvert";
constexpr const char* kRunSocket = "/run/culvert/culvert.sock";

Error last_error(const std::string& what) {
    int code = errno;
    std::array<char, 128> buffer{};
    return {std::errc{code}, what + ": " + strerror_r(code, buffer.data(), buffer.size())};
}

bool can_listen_in_run() {
    if (access(kRunDirectory, F_OK) == 0) {
        return access(kRunDirectory, W_OK | X_OK) == 0;
    }
    return access("/run", W_OK | X_OK) == 0;
}

std::string environment(const char* name) {
    const char* value =
        std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets variables
    return value == nullptr ? "" : value;
}

}  // namespace

std::string default_socket_path(SocketUse use) {
    if (std::string path = environment("CULVERT_SOCKET"); !path.empty()) {
        return path;
    }
    std::string runtime = environment("XDG_RUNTIME_DIR");
    if (runtime.empty()) {
        return kRunSocket;
    }
    std::string own = runtime + "/culvert.sock";
    if (use == SocketUse::listen) {
        return can_listen_in_run() ? kRunSocket : own;
    }
    return access(kRunSocket, F_OK) != 0 && access(own.c_str(), F_OK) == 0 ? own : kRunSocket;
}

std::string errno_name(std::errc code) {
    const char* name = strerrorname_np(static_cast<int>(code));
    return name == nullptr ? std::to_string(static_cast<int>(code)) : name;
}

std::string encode_reply(const Reply& reply) {
    auto quote = [](const std::string& text) {
        return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    };
    if (reply.ok) {
        return fmt::format(
            R"({{"ok":true,"output":{},"data":{}}})",
            quote(reply.output),
            reply.data.empty() ? "null" : reply.data
        );
    }
    return fmt::format(
        R"({{"ok":false,"errno":{},"error":{},"exit":{}}})",
        quote(reply.errno_name),
        quote(reply.error),
        reply.exit_status
    );
}

Result<Reply> decode_reply(std::string_view line) {
    auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("ok") || !json["ok"].is_boolean()) {
        return Error{
            std::errc::bad_message,
            "the answer is not culvert's: " + std::string(line.substr(0, 80))};
    }
    auto text = [&](const char* key) {
        return json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                           : std::string();
    };
    Reply reply;
    reply.ok = json["ok"].get<bool>();
    reply.output = text("output");
    reply.errno_name = text("errno");
    reply.error = text("error");
    if (json.contains("data")) {
        reply.data = json["data"].dump();
    }
    if (!reply.ok) {
        reply.exit_status =
            json.contains("exit") && json["exit"].is_number_integer() ? json["exit"].get<int>() : 2;
    }
    return reply;
}

std::string error_line(std::string_view error, std::string_view errno_name, int exit_status) {
    if (exit_status == 1 || errno_name.empty()) {
        return fmt::format("Error: {}", error);
    }
    return fmt::format("Error: {} ({})", error, errno_name);
}

Result<Client> Client::connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return Error{std::errc::filename_too_long, path + ": too long for a socket's path"};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return last_error("socket");
    }
    Client client(fd);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return last_error("no culvert on " + path);
    }
    return client;
}

Client::~Client() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

Client::Client(Client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1))
    , pending_(std::move(other.pending_)) {}

Client& Client::operator=(Client&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(pending_, other.pending_);
    return *this;
}

Result<Reply> Client::request(std::string_view line) {
    std::string message(line);
    message += '\n';
    for (std::size_t sent = 0; sent < message.size();) {
        ssize_t n = ::send(fd_, message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return last_error("culvert went away");
        }
        sent += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    return next_reply();
}

Result<Reply> Client::next_reply() {
    std::size_t searched = 0;
    while (true) {
        std::size_t end = pending_.find('\n', searched);
        if (end != std::string::npos) {
            auto reply = decode_reply(std::string_view(pending_).substr(0, end));
            pending_.erase(0, end + 1);
            return reply;
        }
        searched = pending_.size();
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled by recv
        std::array<char, 65536> buffer;
        ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (n == 0) {
            return Error{std::errc::connection_reset, "culvert closed the connection"};
        }
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return last_error("culvert went away");
        }
        pending_.append(buffer.data(), static_cast<std::size_t>(n));
    }
}

}  // namespace culvert::control
