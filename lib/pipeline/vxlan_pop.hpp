// SPDX-License-Identifier: BSD-3-Clause
// VXLAN packets to an address of ours: outer headers checked, (port, VNI) -> link, inner source
// learned, outer headers off, and in again on the vxlan link. What is learned is in
// vxlan_learn.cpp, what the family underneath is about in vxlan_underlay.hpp, all else in
// stage_vxlan_pop.cpp.
#pragma once

#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/vxlan_underlay.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstddef>
#include <cstdint>

namespace culvert::pipeline {

// `Underlay`: VxlanOverIpv4 or VxlanOverIpv6.
template <typename Underlay>
class VxlanPop {
public:
    static constexpr std::uint32_t kChunk = 64;

    explicit VxlanPop(Worker& worker) noexcept
        : worker_(worker)
        , demux_(worker.tables.vxlan_demux.view())
        , fdb_(worker.tables.fdb.view())
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them behind Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept;

private:
    using Words = typename Underlay::Words;
    using Parsed = typename Underlay::Outer;
    using Vtep = typename Underlay::Vtep;

    // What neighbours in the burst say alike before the inner frame: one VTEP, one VNI, one
    // congestion mark. Never constructed: it lies in a Scratch.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Outer {
        encap::VxlanKey tunnel;
        VxlanDemux::View::Home tunnel_home;
        const Link* link;  // nullptr = no device has this VNI
        Vtep vtep;
        std::uint16_t frame_offset;  // how much was taken off in front
        std::uint8_t ecn;
    };

    // Neighbours under one Outer that come from one station (MAC and EtherType). Never constructed,
    // either.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Run {
        const Outer* outer;
        fdb::Key source;  // MAC in the upper 48 bits; the domain once the link is known
        fdb::Table::View::Home source_home;  // nullptr = not to be learned
        std::uint8_t first;                  // packet
        bool refused;
        Drop refusal;

        void refuse(Drop reason) noexcept {
            refused = true;
            refusal = reason;
        }
    };

    // Neighbours whose stations are behind one VTEP, up to the next Sender's.
    struct Sender {
        Run* first;
        const encap::VxlanDestination* known;
    };

    // With two more bytes below, as mac_and_two_more() has it.
    static std::uint64_t inner_source_of(const rte_mbuf* packet) noexcept {
        constexpr std::size_t kOffset = offsetof(net::EtherHeader, source);
        return mac_and_two_more(rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, kOffset));
    }

    bool refuse(rte_mbuf* packet, LinkId link, Drop reason) noexcept {
        worker_.drop(packet, link, reason);
        return false;
    }

    void strip(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    bool strip_plain(rte_mbuf* packet, Words& words) noexcept;
    void begin_outer(const Parsed& outer, LinkId link_in) noexcept;
    void begin_run(std::uint64_t source, std::uint32_t first) noexcept;
    bool sort_out(rte_mbuf* packet, Parsed& outer) noexcept;
    bool sort_out_device(rte_mbuf* packet, const Parsed& outer) noexcept;
    void find_tunnels() noexcept;
    void find_sources() noexcept;
    void learn_sources() noexcept;
    void learn(Run& run, const fdb::Value* known) noexcept;
    void learn_again(Run* first, const Run* end) noexcept;
    void deliver() noexcept;
    void refuse_port(rte_mbuf* packet) noexcept;
    void refuse_run(const Run& run, rte_mbuf* const* packets, std::uint32_t count) noexcept;

    Worker& worker_;
    const VxlanDemux::View demux_;
    const fdb::Table::View fdb_;
    RxTally rx_;
    std::uint32_t packet_count_ = 0;
    std::uint32_t outer_count_ = 0;
    std::uint32_t run_count_ = 0;
    // The first packet_count_ are set; they begin at the inner frame.
    Scratch<rte_mbuf*, kChunk> packets_;
    Scratch<Outer, kChunk> outers_;  // the first outer_count_ are set
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
};

}  // namespace culvert::pipeline
