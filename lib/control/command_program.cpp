// SPDX-License-Identifier: BSD-3-Clause
// monitor, start, stop, quit, version, complete.
#include "lib/control/command_context.hpp"
#include "lib/control/command_events.hpp"

namespace culvert::control {

Result<void> monitor(Context& context, const Arguments& arguments) {
    struct Name {
        std::string_view keyword;
        Event::Object object;
    };

    constexpr Name kNames[] = {
        {"link", Event::Object::link},
        {"address", Event::Object::address},
        {"route", Event::Object::route},
        {"neigh", Event::Object::neighbour},
        {"fdb", Event::Object::fdb}};
    std::uint32_t all = 0;
    for (const Name& name : kNames) {
        all |= event_bit(name.object);
        if (arguments.has(name.keyword)) {
            context.monitor |= event_bit(name.object);
        }
    }
    if (context.monitor == 0 || arguments.has("all")) {
        context.monitor = all;
    }
    return {};
}

Result<void> start(Context& context, const Arguments& /*arguments*/) {
    if (context.program.is_forwarding()) {
        return Error{std::errc::operation_in_progress, "already forwarding"};
    }
    context.program.start_forwarding();
    return {};
}

Result<void> stop(Context& context, const Arguments& /*arguments*/) {
    if (!context.program.is_forwarding()) {
        return Error{std::errc::operation_not_permitted, "not forwarding"};
    }
    context.program.stop_forwarding();
    return {};
}

Result<void> quit(Context& context, const Arguments& /*arguments*/) {
    context.program.quit();
    return {};
}

Result<void> version(Context& context, const Arguments& /*arguments*/) {
    if (context.out.is_json()) {
        context.out.document({{"version", context.program.version()}});
    } else {
        context.out.text(context.program.version() + "\n");
    }
    return {};
}

Result<void> complete(Context& context, const Arguments& arguments) {
    std::vector<std::string> names;
    context.core.links().for_each([&](const LinkRecord& link) { names.push_back(link.name); });
    auto words = completions(arguments.text("line"), names);
    if (context.out.is_json()) {
        context.out.document(words);
        return {};
    }
    for (const std::string& word : words) {
        context.out.text(word + "\n");
    }
    return {};
}

}  // namespace culvert::control
