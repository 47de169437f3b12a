// SPDX-License-Identifier: BSD-3-Clause
// A packet pool that ThreadSanitizer understands: it sees that a packet freed by one thread was
// freed before its next use by another. DPDK's own pool driver is in a library that it does not see
// into, and rte_ring's hand-over from producer to producer has no acquire in 22.11. So: a mutex.
#pragma once

#include "lib/pipeline/note.hpp"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <vector>

namespace culvert::pipeline::test {

namespace visible_pool {

struct Stack {
    std::mutex mutex;
    std::vector<void*> objects;
};

inline Stack& stack_of(const rte_mempool* pool) {
    return *static_cast<Stack*>(pool->pool_data);
}

inline int create(rte_mempool* pool) {
    pool->pool_data = new Stack;
    return 0;
}

inline void destroy(rte_mempool* pool) {
    delete &stack_of(pool);
}

inline int put(rte_mempool* pool, void* const* objects, unsigned n) {
    Stack& stack = stack_of(pool);
    const std::lock_guard<std::mutex> lock(stack.mutex);
    stack.objects.insert(stack.objects.end(), objects, objects + n);
    return 0;
}

inline int get(rte_mempool* pool, void** objects, unsigned n) {
    Stack& stack = stack_of(pool);
    const std::lock_guard<std::mutex> lock(stack.mutex);
    if (stack.objects.size() < n) {
        return -ENOBUFS;
    }
    std::copy_n(stack.objects.end() - n, n, objects);
    stack.objects.resize(stack.objects.size() - n);
    return 0;
}

inline unsigned count(const rte_mempool* pool) {
    Stack& stack = stack_of(pool);
    const std::lock_guard<std::mutex> lock(stack.mutex);
    return static_cast<unsigned>(stack.objects.size());
}

inline constexpr const char* kOpsName = "culvert_visible";

// Before the first pool: called once from static initialisation, as DPDK's drivers do.
inline int register_ops() {
    rte_mempool_ops ops{};
    std::snprintf(ops.name, sizeof(ops.name), "%s", kOpsName);
    ops.alloc = create;
    ops.free = destroy;
    ops.enqueue = put;
    ops.dequeue = get;
    ops.get_count = count;
    return rte_mempool_register_ops(&ops);
}

inline const int kOpsIndex = register_ops();

}  // namespace visible_pool

// No cache: every packet goes through the stack.
inline rte_mempool* make_visible_pool(const char* name, std::uint32_t packets) {
    return rte_pktmbuf_pool_create_by_ops(
        name,
        packets,
        0,
        kPrivateSize,
        RTE_MBUF_DEFAULT_BUF_SIZE,
        SOCKET_ID_ANY,
        visible_pool::kOpsName
    );
}

}  // namespace culvert::pipeline::test
