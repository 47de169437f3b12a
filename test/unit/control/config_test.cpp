// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/config_file.hpp"
#include "test/unit/control/command_fixture.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace culvert::control::test {

namespace {

struct ConfigFile : CommandFixture {
    ConfigFile()
        : path((std::filesystem::temp_directory_path() /
                ("culvert_config_" + std::to_string(::getpid())))
                   .string()) {}

    ~ConfigFile() { std::filesystem::remove(path); }

    ConfigFile(const ConfigFile&) = delete;
    ConfigFile& operator=(const ConfigFile&) = delete;

    Result<void> apply(const std::string& text) {
        std::ofstream(path) << text;
        return run_config_file(interpreter, path);
    }

    std::string path;
};

}  // namespace

TEST_CASE_METHOD(ConfigFile, "config: a file's commands run in their order", "[control][config]") {
    REQUIRE(apply("# the bridge\n"
                  "ip link add br0 type bridge\n"
                  "\n"
                  "ip link add vx0 type vxlan id 42 \\\n"
                  "    dstport 4789   # IANA's\n"
                  "ip link set vx0 master br0 up\n"));
    CHECK(record(2).name == "vx0");
    CHECK(record(2).master == 1);
    CHECK(record(2).vxlan.destination_port == 4789);
}

TEST_CASE_METHOD(ConfigFile, "config: the first error stops, with FILE:LINE", "[control][config]") {
    auto done = apply("link add br0 type bridge\n"
                      "# comment\n"
                      "link add vx0 type \\\n"
                      "    vxlan id 99999999\n"
                      "link add br1 type bridge\n");
    REQUIRE_FALSE(done);
    CHECK(done.error().what == path + ":3: link add: argument \"99999999\" is wrong: invalid id");
    CHECK(core->links().find("br0") != nullptr);
    CHECK(core->links().find("br1") == nullptr);

    done = apply("link add br0 type bridge\n");
    REQUIRE_FALSE(done);
    CHECK(done.error().code == std::errc::file_exists);
    CHECK(done.error().what.starts_with(path + ":1: link add br0: "));

    done = apply("link show 'vx0\n");
    REQUIRE_FALSE(done);
    CHECK(done.error().what == path + ":1: the line ends within '");
}

TEST_CASE_METHOD(ConfigFile, "config: a file that cannot be read is named", "[control][config]") {
    auto missing = run_config_file(interpreter, path + ".not-there");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == std::errc::no_such_file_or_directory);
    CHECK(missing.error().what == path + ".not-there: No such file or directory");
    auto directory = run_config_file(interpreter, "/tmp");
    REQUIRE_FALSE(directory);
    CHECK(directory.error().what.starts_with("/tmp: "));
}

}  // namespace culvert::control::test
