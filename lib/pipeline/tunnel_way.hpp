// SPDX-License-Identifier: BSD-3-Clause
// What the push stages of all tunnels share: the link that outer packets leave by, and the way
// through a stage's packets.
#pragma once

#include "lib/pipeline/link.hpp"
#include "lib/pipeline/tables.hpp"
#include "lib/pipeline/worker.hpp"

#include <algorithm>
#include <cstdint>

namespace culvert::pipeline {

// Most packets leave by the last one's link: it is read anew only for another.
class TunnelWay {
public:
    // nullptr: it is gone.
    [[gnu::always_inline]] const Link* to(Worker& worker, LinkId link_out) noexcept {
        if (link_out != id_) [[unlikely]] {
            read(worker, link_out);
        }
        return link_;
    }

    // A port that is up, and no filter that would have to be asked.
    [[nodiscard]] [[gnu::always_inline]] bool
    leads_to_port(Worker& worker, LinkId link_out) noexcept {
        static_cast<void>(to(worker, link_out));
        return is_port_;
    }

    // Whether `packet` may be pushed, to leave by `link_out`; false: it is dropped, as `device`'s
    // loss (TUN-TX-23).
    bool admits(Worker& worker, rte_mbuf* packet, LinkId link_out, LinkId device) noexcept {
        const Link* link = to(worker, link_out);
        if (link == nullptr || !link->up) [[unlikely]] {
            worker.drop(packet, device, link == nullptr ? Drop::link_gone : Drop::link_down_tx);
            return false;
        }
        // At a port the way ends; all else may lead back here.
        if (link->kind != LinkKind::port && ++note(packet).depth > kMaxDepth) [[unlikely]] {
            worker.drop(packet, device, Drop::depth_exceeded);
            return false;
        }
        return true;
    }

private:
    void read(Worker& worker, LinkId link_out) noexcept {
        id_ = link_out;
        link_ = worker.tables.links.read(link_out);
        is_port_ = link_ != nullptr && link_->kind == LinkKind::port && link_->up &&
                   worker.filters() == nullptr;
    }

    LinkId id_ = kNoLink;
    const Link* link_ = nullptr;
    bool is_port_ = false;
};

// All of the first `count` packets of a stage, a chunk at a time; returns how many met their fate.
// Fewer: there is no room for more. Inlined, so that what `push` keeps may live in registers (4
// instructions a packet).
template <typename Push>
[[gnu::always_inline]] inline std::uint32_t
push_in_chunks(Push& push, std::uint32_t count) noexcept {
    std::uint32_t done = 0;
    while (done < count) {
        const std::uint32_t chunk = std::min(count - done, Push::kChunk);
        const std::uint32_t taken = push.run(done, chunk);
        done += taken;
        if (taken < chunk) [[unlikely]] {
            break;
        }
    }
    return done;
}

}  // namespace culvert::pipeline
