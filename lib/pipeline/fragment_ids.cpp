// SPDX-License-Identifier: BSD-3-Clause
#include "lib/pipeline/fragment_ids.hpp"

#include <rte_random.h>

namespace culvert::pipeline {

namespace {

// One for the whole process: only so are different senders' numbers different ones.
std::uint32_t process_key() noexcept {
    static const auto kKey = static_cast<std::uint32_t>(rte_rand());
    return kKey;
}

}  // namespace

FragmentIds::FragmentIds(std::uint32_t sender) noexcept
    : key_(process_key())
    , first_(sender << 24)
    , count_(static_cast<std::uint32_t>(rte_rand())) {}

}  // namespace culvert::pipeline
