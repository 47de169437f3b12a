// SPDX-License-Identifier: BSD-3-Clause
// A core and an interpreter: commands in, text and JSON out.
#pragma once

#include "lib/control/command.hpp"
#include "test/unit/control/core_fixture.hpp"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>
#include <string>

namespace culvert::control::test {

struct FakeProgram final : Program {
    void start_forwarding() override { forwarding = true; }

    void stop_forwarding() override { forwarding = false; }

    [[nodiscard]] bool is_forwarding() const override { return forwarding; }

    void quit() override { quitting = true; }

    [[nodiscard]] std::string version() const override { return "1.2.3 (DPDK)"; }

    bool forwarding = false;
    bool quitting = false;
};

struct CommandFixture : CoreFixture {
    using Json = nlohmann::ordered_json;

    // Must be accepted; its text.
    std::string run(const std::string& line) {
        CommandOutput output = interpreter.run(line);
        INFO(line << ": " << output.error.what);
        REQUIRE(output.ok);
        REQUIRE(output.exit_status == 0);
        return output.text;
    }

    // Its JSON, which is also its text.
    Json json(const std::string& line) {
        CommandOutput output = interpreter.run("-j " + line);
        INFO(line << ": " << output.error.what);
        REQUIRE(output.ok);
        REQUIRE(output.text == output.json + "\n");
        return Json::parse(output.json);
    }

    // Must be refused: what a terminal shows, and the exit status.
    std::string refused(const std::string& line, int exit_status) {
        CommandOutput output = interpreter.run(line);
        INFO(line);
        REQUIRE_FALSE(output.ok);
        CHECK(output.exit_status == exit_status);
        CHECK(output.text.empty());
        return error_line(output);
    }

    FakeProgram program;
    CommandInterpreter interpreter{*core, program};
};

}  // namespace culvert::control::test
