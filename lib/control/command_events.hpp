// SPDX-License-Identifier: BSD-3-Clause
// What `monitor` streams: the core's events as `ip monitor` and `bridge monitor` print them.
#pragma once

#include "lib/control/command.hpp"

#include <cstdint>
#include <string>

namespace culvert::control {

constexpr std::uint32_t event_bit(Event::Object object) {
    return std::uint32_t{1} << static_cast<unsigned>(object);
}

// One line, and "Deleted " in front where something went; JSON: the listing's object, with "event"
// and "deleted". Empty when there is nothing left to tell, as of a link that is gone already.
struct EventLines {
    std::string text;
    std::string json;
};

EventLines event_lines(Core& core, Program& program, const Event& event);

}  // namespace culvert::control
