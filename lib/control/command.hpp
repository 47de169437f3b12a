// SPDX-License-Identifier: BSD-3-Clause
// Commands: one line of text in, text and JSON out. The grammar is iproute2's (interface.md section
// 4); a file an object: command_link.cpp, command_addr.cpp, ...
#pragma once

#include "lib/control/core.hpp"
#include "lib/control/protocol.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

// What commands act on besides the core: the running program. The app implements it.
class Program {
public:
    virtual ~Program() = default;
    virtual void start_forwarding() = 0;
    virtual void stop_forwarding() = 0;
    [[nodiscard]] virtual bool is_forwarding() const = 0;
    virtual void quit() = 0;  // leave cleanly once the reply is written
    [[nodiscard]] virtual std::string version() const = 0;
};

struct OutputOptions {
    bool json = false;     // -j
    bool pretty = false;   // -p
    int statistics = 0;    // -s, -s -s
    bool details = false;  // -d
    int family = 0;        // -4, -6
};

// exit_status as ip(8): 1 = bad syntax, 2 = refused.
struct CommandOutput {
    bool ok = true;
    std::string text;  // what a terminal shows; JSON text when asked for
    std::string json;  // "data" of the reply, as a JSON document; "null" when there is none
    Error error;       // !ok
    int exit_status = 0;
    std::uint32_t monitor =
        0;  // the command was `monitor`: whoever can shall stream these events (event_bit)
    bool is_json = false;  // -j was asked for: a stream too is JSON
};

// Who streams events (`monitor`).
class EventSink {
public:
    virtual ~EventSink() = default;
    // Is anybody interested in these (event_bit)? Asked first, so that a learned MAC costs no text.
    [[nodiscard]] virtual bool wants(std::uint32_t objects) const = 0;
    virtual void
    publish(std::uint32_t objects, const std::string& text, const std::string& json) = 0;
};

class CommandInterpreter {
public:
    CommandInterpreter(Core& core, Program& program);
    ~CommandInterpreter();

    // One command line, optional leading options (-j -p -s -d -4 -6), quotes and escapes as a
    // shell's simplest form.
    CommandOutput run(std::string_view line);
    // Completions of the last word, for the prompt.
    [[nodiscard]] std::vector<std::string> complete(std::string_view line) const;
    // From now on the core's events go there, for as long as it lives.
    void stream_events(std::weak_ptr<EventSink> sink);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// For the socket.
Reply to_reply(CommandOutput output);
// For a terminal: "Error: ... (EEXIST)". Precondition: !output.ok.
std::string error_line(const CommandOutput& output);

}  // namespace culvert::control
