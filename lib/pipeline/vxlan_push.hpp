// SPDX-License-Identifier: BSD-3-Clause
// Frames to vxlan links: destination MAC -> FDB entry -> remotes -> templates, then the outer
// header in front of each copy (catalogue 3.7, 3.8). What goes to one remote by a port is in
// stage_vxlan_push.cpp (over IPv6: vxlan_push6.cpp), all else in vxlan_replicate.cpp.
#pragma once

#include "lib/encap/vxlan_push.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/out_counters.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/tunnel_way.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>

namespace culvert::pipeline {

class VxlanPush {
public:
    static constexpr std::uint32_t kChunk = 64;

    explicit VxlanPush(Worker& worker) noexcept
        : worker_(worker)
        , tx_(worker.counters)
        , resume_(worker.push_resume)
        , fdb_(worker.tables.fdb.view()) {}

    // Takes packets from `first` of the stage's vector, at most kChunk; returns how many met their
    // fate. Fewer than `count`: no room for more.
    std::uint32_t run(std::uint32_t first, std::uint32_t count) noexcept;

    // Copies already made of the packet that run() stopped at.
    [[nodiscard]] std::uint32_t resume() const noexcept { return resume_; }

private:
    // Neighbours in the burst that go to one MAC by one link, and where that is. Never constructed:
    // it lies in a Scratch.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Run {
        const Link* device;  // nullptr: refuse() says why not
        fdb::Key key;
        fdb::Table::View::Home home;
        std::uint32_t target;                        // of the entry
        const encap::VxlanDestination* destination;  // nullptr: no entry
        const encap::VxlanTemplate* direct;          // if there is one remote
        std::uint32_t first;                         // packet
    };

    void find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    void look_up() noexcept;
    bool find_default(const Link& device, fdb::Value& value) noexcept;
    void refuse(rte_mbuf* packet) noexcept;
    void refuse_push(
        rte_mbuf* packet,
        encap::VxlanPushed why,
        const encap::VxlanTemplate& outer,
        const Link& device
    ) noexcept;
    template <bool Checksum>
    rte_mbuf** push_flows(
        rte_mbuf* const* packets, std::uint32_t count, const Run& run, rte_mbuf** tail
    ) noexcept;
    rte_mbuf** push_flows6(
        rte_mbuf* const* packets, std::uint32_t count, const Run& run, rte_mbuf** tail
    ) noexcept;
    void push_run(rte_mbuf* const* packets, std::uint32_t count, const Run& run) noexcept;
    void push_copy(
        rte_mbuf* copy, const encap::VxlanTemplate& outer, encap::InnerFlow flow, const Link& device
    ) noexcept;
    std::uint32_t
    replicate_run(rte_mbuf* const* packets, const Run& run, std::uint32_t end) noexcept;
    bool replicate(rte_mbuf* packet, const Run& run) noexcept;
    void dispatch(
        rte_mbuf* packet,
        const encap::VxlanTemplate* outer,
        const encap::InnerFrame& inner,
        const Link& device
    ) noexcept;
    void send_by_flow(
        rte_mbuf* packet,
        const encap::VxlanTemplate& outer,
        const encap::InnerFrame& inner,
        const Link& device
    ) noexcept;
    void send(
        rte_mbuf* packet,
        const encap::VxlanTemplate& outer,
        const encap::InnerFrame& inner,
        const Link& device
    ) noexcept;
    bool push(
        rte_mbuf* packet,
        const encap::VxlanTemplate& outer,
        const encap::InnerFrame& inner,
        const Link& device
    ) noexcept;
    void deliver_locally(
        rte_mbuf* packet, const encap::VxlanTemplate& outer, const Link& device
    ) noexcept;
    [[nodiscard]] const Link* find_local(const encap::VxlanTemplate& outer) const noexcept;
    [[nodiscard]] bool has_room_for(const encap::VxlanTemplate* outer) noexcept;

    [[nodiscard]] bool has_room(Stage stage) const noexcept {
        return worker_.vector(stage).room() != 0;
    }

    static encap::InnerFrame inspect(const rte_mbuf* packet) noexcept {
        return encap::inspect_frame(
            rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len
        );
    }

    // One remote, and what it needs is known; its way ends at a port.
    [[nodiscard]] bool is_direct(const encap::VxlanTemplate* outer) noexcept {
        if (outer == nullptr || outer->state != encap::TunnelState::ready) [[unlikely]] {
            return false;
        }
        return way_.leads_to_port(worker_, outer->link_out);
    }

    Worker& worker_;
    TxTally tx_;
    std::uint32_t resume_;

    TunnelWay way_;  // out of the last packet

    // The default entry of the last device that needed it.
    const Link* default_device_ = nullptr;
    bool default_found_ = false;
    fdb::Value default_value_{};

    std::uint32_t run_count_ = 0;
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
    const fdb::Table::View fdb_;
};

}  // namespace culvert::pipeline
