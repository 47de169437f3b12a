// SPDX-License-Identifier: BSD-3-Clause
// The log type of culvert's own messages: RTE_LOG(WARNING, CULVERT, "...\n"). Never in the packet's
// way.
#pragma once

#include <rte_log.h>

extern int culvert_log_type;
#define RTE_LOGTYPE_CULVERT culvert_log_type
