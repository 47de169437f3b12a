// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/control/server_fixture.hpp"

namespace culvert::control::test {

TEST_CASE_METHOD(
    ServerFixture, "server: the socket is for its owner and group", "[control][server]"
) {
    struct stat status {};

    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(S_ISSOCK(status.st_mode));
    CHECK((status.st_mode & 0777) == 0660);
}

TEST_CASE(
    "server: a live socket is left alone, a stale one is replaced, other files are kept",
    "[control][server]"
) {
    const std::string path =
        (std::filesystem::temp_directory_path() / ("culvert_socket_" + std::to_string(::getpid())))
            .string();
    ::unlink(path.c_str());
    auto make = [] {
        return std::make_unique<Server>(
            [](std::string_view) { return CommandOutput{}; }, [] { return std::uint64_t{0}; }
        );
    };
    auto first = make();
    REQUIRE(first->listen(path));
    auto second = make();
    auto refused = second->listen(path);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::address_in_use);
    CHECK(refused.error().what == "culvert is already running on " + path);
    second.reset();
    CHECK(std::filesystem::exists(path));
    first.reset();
    CHECK_FALSE(std::filesystem::exists(path));

    int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    REQUIRE(::bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    ::close(stale);
    REQUIRE(std::filesystem::exists(path));
    auto third = make();
    CHECK(third->listen(path));
    CHECK(Peer(path).is_connected());
    third.reset();

    std::ofstream(path) << "a file";
    auto fourth = make();
    refused = fourth->listen(path);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::file_exists);
    fourth.reset();
    CHECK(std::filesystem::exists(path));
    std::filesystem::remove(path);

    auto fifth = make();
    refused = fifth->listen("/tmp/" + std::string(200, 'x'));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::filename_too_long);
    refused = fifth->listen("/nonexistent-directory/socket");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_such_file_or_directory);
}

}  // namespace culvert::control::test
