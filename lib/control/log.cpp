// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/log.hpp"

RTE_LOG_REGISTER(culvert_log_type, culvert, NOTICE)
