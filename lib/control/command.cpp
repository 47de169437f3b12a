// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command.hpp"

#include "lib/control/command_context.hpp"
#include "lib/control/command_events.hpp"
#include "lib/control/parse_words.hpp"
#include "lib/control/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

namespace culvert::control {

namespace {

using Words = std::span<const std::string>;

// "-j", "-json", "-s", "-stats", ...: iproute2's own options, and their beginnings.
bool apply_option(std::string_view word, OutputOptions& options) {
    std::string_view name = word.substr(word.starts_with("--") ? 2 : 1);
    auto is = [&](std::string_view full) { return !name.empty() && full.starts_with(name); };
    if (is("json")) {
        options.json = true;
    } else if (is("pretty")) {
        options.pretty = true;
    } else if (is("stats") || is("statistics")) {
        ++options.statistics;
    } else if (is("details")) {
        options.details = true;
    } else if (name == "4" || name == "6") {
        options.family = name == "4" ? 4 : 6;
    } else {
        return false;
    }
    return true;
}

// Takes leading options off. The word that is none of them, or "".
std::string_view take_options(Words& words, OutputOptions& options) {
    while (!words.empty() && words[0].size() > 1 && words[0][0] == '-') {
        if (!apply_option(words[0], options)) {
            return words[0];
        }
        words = words.subspan(1);
    }
    return {};
}

// Also behind the tool's name: `ip -6 route show`. `words` begins with the first word.
std::string_view take_all_options(std::vector<std::string>& words, OutputOptions& options) {
    const bool has_tool = !words.empty() && (words[0] == "ip" || words[0] == "bridge");
    Words left = Words(words).subspan(has_tool ? 1 : 0);
    const std::string_view unknown = take_options(left, options);
    if (unknown.empty()) {
        const auto kept = words.begin() + (has_tool ? 1 : 0);
        words.erase(kept, words.end() - static_cast<std::ptrdiff_t>(left.size()));
    }
    return unknown;
}

CommandOutput failure(Error error, int exit_status) {
    CommandOutput output;
    output.ok = false;
    output.json = "null";
    output.error = std::move(error);
    output.exit_status = exit_status;
    return output;
}

CommandOutput success(Output& out) {
    CommandOutput output;
    output.text = out.take_text();
    output.json = out.take_json();
    return output;
}

bool is_help(Words words) {
    return !words.empty() && (words.front() == "help" || words.back() == "help");
}

CommandOutput print_help(Words words, Output& out) {
    words = words.front() == "help" ? words.subspan(1) : words.first(words.size() - 1);
    const bool is_tool = words.size() == 1 && (words[0] == "ip" || words[0] == "bridge");
    const bool is_markdown = words.size() == 1 && words[0] == "markdown";
    std::size_t used = 0;
    if (auto object = resolve_object(words, used);
        !object && !words.empty() && !is_tool && !is_markdown) {
        return failure(object.error(), 1);
    }
    std::string text = is_markdown ? commands_markdown() : help(words);
    if (out.is_json()) {
        out.document(text);
    } else {
        out.text(text);
    }
    return success(out);
}

std::string title(const Command& command) {
    return command.verb.empty() ? std::string(command.object)
                                : fmt::format("{} {}", command.object, command.verb);
}

// "addr add 192.0.2.1/24 dev port0": the command's full name, and what it is about.
std::string attempt_of(const Command& command, const Arguments& arguments) {
    std::string text = title(command);
    for (const Keyword& keyword : command.keywords) {
        const bool is_about = keyword.positional && !arguments.text(keyword.name).empty();
        if (arguments.has(keyword.name) && is_about) {
            text += fmt::format(" {}", arguments.text(keyword.name));
        } else if (arguments.has(keyword.name) && keyword.name == "dev") {
            text += fmt::format(" dev {}", arguments.text(keyword.name));
        }
    }
    return text;
}

// What an error's first words name, the command's own line names better: "route 10.0.0.0/8: it
// exists" becomes "route add 10.0.0.0/8: it exists".
Error with_attempt(Error error, const Command& command, const std::string& attempt) {
    if (error.what.starts_with(title(command) + " ") ||
        error.what.starts_with(title(command) + ":")) {
        return error;
    }
    std::string_view about = std::string_view(attempt).substr(title(command).size());
    about = about.substr(about.empty() ? 0 : 1);
    about = about.substr(0, about.find(' '));
    std::size_t colon = error.what.find(": ");
    if (!about.empty() && colon != std::string::npos &&
        error.what.substr(0, colon).find(about) != std::string::npos) {
        error.what.erase(0, colon + 2);
    }
    error.what = fmt::format("{}: {}", attempt, error.what);
    return error;
}

}  // namespace

struct CommandInterpreter::Impl {
    Impl(Core& the_core, Program& the_program)
        : core(the_core)
        , program(the_program) {}

    CommandOutput run_command(Words words, const OutputOptions& options, Output& out) {
        auto resolved = resolve(words);
        if (!resolved) {
            return failure(resolved.error(), 1);
        }
        const Command& command = *resolved->command;
        LinkFinder find_link = [this](std::string_view name) {
            const LinkRecord* link = core.links().find(name);
            return link == nullptr ? kNoLink : link->id;
        };
        auto arguments = parse_arguments(command, words.subspan(resolved->used), find_link);
        if (!arguments) {
            bool is_refused = arguments.error().code == std::errc::operation_not_supported;
            Error error = arguments.error();
            // The name is where it usually stands, even in a line that could not be read to its
            // end.
            std::string attempt = title(command);
            if (is_refused && resolved->used < words.size()) {
                attempt += " " + words[resolved->used];
            }
            return failure(with_attempt(std::move(error), command, attempt), is_refused ? 2 : 1);
        }
        Context context{
            .core = core, .program = program, .options = options, .out = out, .attempt = ""};
        context.attempt = attempt_of(command, *arguments);
        auto done = command.handler(context, *arguments);
        core.settle();
        if (!done) {
            return failure(
                with_attempt(done.error(), command, context.attempt), context.bad_syntax ? 1 : 2
            );
        }
        CommandOutput output = success(out);
        output.monitor = context.monitor;
        return output;
    }

    Core& core;
    Program& program;
};

CommandInterpreter::CommandInterpreter(Core& core, Program& program)
    : impl_(std::make_unique<Impl>(core, program)) {}

CommandInterpreter::~CommandInterpreter() = default;

CommandOutput CommandInterpreter::run(std::string_view line) {
    auto parsed = parse_words(line);
    if (!parsed) {
        return failure(parsed.error(), 1);
    }
    OutputOptions options;
    auto unknown = take_all_options(*parsed, options);
    if (unknown.empty()) {
        unknown = take_all_options(*parsed, options);
    }
    Words words = *parsed;
    if (!unknown.empty()) {
        return failure(
            {std::errc::invalid_argument,
             fmt::format("Option \"{}\" is unknown; there is: -j -p -s -d -4 -6", unknown)},
            1
        );
    }
    Output out(options.json, options.pretty);
    if (words.empty()) {
        return success(out);
    }
    CommandOutput output =
        is_help(words) ? print_help(words, out) : impl_->run_command(words, options, out);
    output.is_json = options.json;
    return output;
}

std::vector<std::string> CommandInterpreter::complete(std::string_view line) const {
    std::vector<std::string> names;
    impl_->core.links().for_each([&](const LinkRecord& link) { names.push_back(link.name); });
    return completions(line, names);
}

void CommandInterpreter::stream_events(std::weak_ptr<EventSink> sink) {
    Core& core = impl_->core;
    Program& program = impl_->program;
    core.on_event([&core, &program, weak = std::move(sink)](const Event& event) {
        auto listener = weak.lock();
        const std::uint32_t object = event_bit(event.object);
        if (listener == nullptr || !listener->wants(object)) {
            return;
        }
        EventLines lines = event_lines(core, program, event);
        if (!lines.text.empty()) {
            listener->publish(object, lines.text, lines.json);
        }
    });
}

Reply to_reply(CommandOutput output) {
    Reply reply;
    reply.ok = output.ok;
    reply.output = std::move(output.text);
    reply.data = std::move(output.json);
    reply.exit_status = output.exit_status;
    if (!output.ok) {
        reply.errno_name = errno_name(output.error.code);
        reply.error = std::move(output.error.what);
    }
    return reply;
}

std::string error_line(const CommandOutput& output) {
    return error_line(output.error.what, errno_name(output.error.code), output.exit_status);
}

}  // namespace culvert::control
