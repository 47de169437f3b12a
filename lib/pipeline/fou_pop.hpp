// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

// Moves what comes to a port that `fou add` opened from the vector of UDP packets to fou_pop's.
void divert_fou(Worker& worker, Vector& udp) noexcept;

}  // namespace culvert::pipeline
