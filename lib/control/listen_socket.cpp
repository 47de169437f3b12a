// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/listen_socket.hpp"

#include <fmt/format.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace culvert::control {

namespace {

constexpr const char* kRunDirectory = "/run/culvert";
constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kSocketMode = 0660;
constexpr int kBacklog = 64;

class OwnedFd {
public:
    explicit OwnedFd(int fd)
        : fd_(fd) {}

    ~OwnedFd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    OwnedFd(const OwnedFd&) = delete;
    OwnedFd& operator=(const OwnedFd&) = delete;

    [[nodiscard]] int get() const noexcept { return fd_; }

    int release() noexcept { return std::exchange(fd_, -1); }

private:
    int fd_;
};

Error last_error(const std::string& path) {
    const int code = errno;
    std::array<char, 128> buffer{};
    return {
        std::errc{code},
        fmt::format("control socket {}: {}", path, strerror_r(code, buffer.data(), buffer.size()))};
}

// Makes room at `path`: a socket that nobody listens on goes.
Result<void> clear_path(const std::string& path, const sockaddr_un& address) {
    struct stat status {};

    if (::lstat(path.c_str(), &status) != 0) {
        return {};
    }
    if (!S_ISSOCK(status.st_mode)) {
        return Error{
            std::errc::file_exists,
            fmt::format("control socket {}: there is a file that is no socket", path)};
    }
    OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int answer =
        ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    if (answer == 0 || errno == EAGAIN) {  // EAGAIN: it listens, and its queue is full
        return Error{
            std::errc::address_in_use, fmt::format("culvert is already running on {}", path)};
    }
    if (errno != ECONNREFUSED) {
        return last_error(path);
    }
    return ::unlink(path.c_str()) == 0 || errno == ENOENT ? Result<void>() : last_error(path);
}

}  // namespace

Result<int> listen_on(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return Error{
            std::errc::filename_too_long,
            fmt::format(
                "control socket {}: a socket's path has 1 to {} bytes",
                path,
                sizeof(address.sun_path) - 1
            )};
    }
    path.copy(address.sun_path, path.size());
    if (path.starts_with(std::string(kRunDirectory) + "/") &&
        ::mkdir(kRunDirectory, kDirectoryMode) != 0 && errno != EEXIST) {
        return last_error(path);
    }
    CULVERT_CHECK(clear_path(path, address));
    OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // Nobody can connect before listen(), so nobody does with the wrong mode.
    if (fd.get() < 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::chmod(path.c_str(), kSocketMode) != 0 || ::listen(fd.get(), kBacklog) != 0) {
        return last_error(path);
    }
    return fd.release();
}

}  // namespace culvert::control
