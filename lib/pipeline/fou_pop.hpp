// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

// Moves what comes to a port that `fou add` opened from the vector of UDP packets to fou_pop's.
// `Ports`: of the packets' family.
template <typename Ports>
void divert_fou(Worker& worker, Vector& udp, const Ports& ports) noexcept;

}  // namespace culvert::pipeline
