// SPDX-License-Identifier: BSD-3-Clause
// Keywords that several commands have. These headers are the table's, for command_table.cpp alone.
#pragma once

#include "lib/control/command_grammar.hpp"

#include <array>

namespace culvert::control {

inline constexpr std::uint64_t kMax8 = 0xff;
inline constexpr std::uint64_t kMax16 = 0xffff;
inline constexpr std::uint64_t kMaxVni = 0xffffff;

inline constexpr Keyword kMtu = {
    .name = "mtu",
    .kind = Kind::number,
    .value = "N",
    .complaint = "Invalid \"mtu\" value",
    .help = "largest L3 packet, bytes"};
inline constexpr Keyword kMacOfLink = {
    .name = "address", .kind = Kind::mac, .value = "MAC", .help = "the link's own MAC"};
inline constexpr Keyword kType = {
    .name = "type",
    .kind = Kind::link_type,
    .value = "KIND",
    .help = "the link's kind; its keywords follow"};
// A link that must exist, whose `dev` may be left out / is needed.
inline constexpr Keyword kDevPositional = {
    .name = "dev",
    .kind = Kind::link,
    .value = "NAME",
    .positional = true,
    .required = true,
    .help = "the link"};
inline constexpr Keyword kDevRequired = {
    .name = "dev", .kind = Kind::link, .value = "NAME", .required = true, .help = "the link"};
inline constexpr Keyword kDevFilter = {
    .name = "dev", .kind = Kind::link, .value = "NAME", .help = "only of this link"};
inline constexpr Keyword kShowDev = {
    .name = "dev",
    .kind = Kind::link,
    .value = "NAME",
    .positional = true,
    .help = "only this link"};

}  // namespace culvert::control
