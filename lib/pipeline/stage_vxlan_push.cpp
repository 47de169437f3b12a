// SPDX-License-Identifier: BSD-3-Clause
// The vxlan_push stage, as far as a frame has one remote and a port to leave by.
#include "lib/pipeline/tunnel_oversize.hpp"
#include "lib/pipeline/vxlan_push.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace culvert::pipeline {

namespace {

// Of a MAC as the machine loads it with the two bytes behind it.
constexpr std::uint64_t kMacBytes =
    std::endian::native == std::endian::little ? ~std::uint64_t{0} >> 16 : ~std::uint64_t{0} << 16;

}  // namespace

// Asks for the lines of the FDB entries, too.
void VxlanPush::find_runs(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    const Link* device = nullptr;
    LinkId device_id = kNoLink;
    LinkId last_id = kNoLink;  // of the run; no packet goes to none
    std::uint64_t last_mac = 0;
    std::uint32_t runs = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        const LinkId id = note(packet).link_out;
        if (packet->data_len < sizeof(net::EtherHeader)) [[unlikely]] {
            Run& run = runs_[runs++];
            run.device = nullptr;
            run.first = i;
            last_id = kNoLink;
            continue;
        }
        const auto raw = net::detail::load<std::uint64_t>(rte_pktmbuf_mtod(packet, const void*));
        const std::uint64_t mac = raw & kMacBytes;
        if (id == last_id && mac == last_mac) {
            continue;
        }
        last_id = id;
        last_mac = mac;
        if (id != device_id) [[unlikely]] {
            device_id = id;
            device = worker_.tables.links.read(id);
            if (device != nullptr && (!device->up || device->kind != LinkKind::vxlan)) {
                device = nullptr;
            }
        }
        Run& run = runs_[runs++];
        run.device = device;
        run.first = i;
        run.key = {fdb_key(in_wire_order(raw), id)};
        run.home = fdb_.prefetch(run.key);
    }
    run_count_ = runs;
}

// VXLAN-TX-05: the entry of the all-zero MAC takes what no other entry does.
bool VxlanPush::find_default(const Link& device, fdb::Value& value) noexcept {
    if (&device != default_device_) {
        default_device_ = &device;
        const fdb::Key key = fdb::Key::make(device.id, net::MacAddress{});
        default_found_ = worker_.tables.fdb.find(key, default_value_);
        if (default_found_) {
            worker_.tables.fdb.refresh(key, default_value_, worker_.now_s);
        }
    }
    value = default_value_;
    return default_found_;
}

void VxlanPush::look_up() noexcept {
    const Tables& tables = worker_.tables;
    const Run* last = nullptr;  // with a destination
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        run.destination = nullptr;
        if (run.device == nullptr) [[unlikely]] {
            continue;
        }
        fdb::Value value{};
        if (fdb_.find(run.home, run.key, value)) [[likely]] {
            tables.fdb.refresh(run.key, value, worker_.now_s);  // VXLAN-AGE-02
        } else if (!find_default(*run.device, value)) {
            continue;
        }
        run.target = value.target();
        if (last != nullptr && last->target == run.target) {
            run.destination = last->destination;
        } else {
            run.destination = tables.vxlan_destinations.read(run.target);
            rte_prefetch0(run.destination);
        }
        last = &run;
    }
    const encap::VxlanDestination* destination = nullptr;
    const encap::VxlanTemplate* direct = nullptr;
    for (std::uint32_t k = 0; k < run_count_; ++k) {
        Run& run = runs_[k];
        if (run.destination != destination) {
            destination = run.destination;
            direct = nullptr;
            if (destination != nullptr && destination->count == 1) [[likely]] {
                direct = tables.vxlan_templates.read(destination->inline_ids[0]);
                rte_prefetch0(direct);
                rte_prefetch0(reinterpret_cast<const std::uint8_t*>(direct) + 64);
            }
        }
        run.direct = direct;
    }
}

// False: the packet is dropped, or has gone to be cut.
bool VxlanPush::push(
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    const std::uint32_t frame_len = packet->pkt_len;
    auto result = encap::vxlan_push(packet, outer, inner, worker_.ip_identification);
    const auto needed = static_cast<std::uint16_t>(outer.overhead());
    if (result == encap::VxlanPushed::no_headroom &&
        encap::make_headroom(packet, needed, worker_.pool)) [[unlikely]] {
        result = encap::vxlan_push(packet, outer, inner, worker_.ip_identification);
    }
    if (result != encap::VxlanPushed::done) [[unlikely]] {
        refuse_push(packet, result, outer, device);
        return false;
    }
    ++worker_.ip_identification;
    // VXLAN-TX-35: what counts is the inner L3 packet.
    constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
    tx_.add(device.id, frame_len - std::max(inner.parsed.l3_offset, kEther));
    if (outer.cast != encap::Cast::unicast) {
        count_out(worker_.counters, packet, kEther, outer.cast);
    }
    return true;
}

[[gnu::noinline]] void VxlanPush::refuse_push(
    rte_mbuf* packet, encap::VxlanPushed why, const encap::VxlanTemplate& outer, const Link& device
) noexcept {
    if (why == encap::VxlanPushed::too_big) {
        push_oversize(worker_, packet, outer, device, tx_);
    } else {
        worker_.drop(packet, device.id, Drop::vxlan_no_headroom);
    }
}

// Packets to one remote whose template is plain. Returns where the vector ends then.
template <bool Checksum>
inline rte_mbuf** VxlanPush::push_flows(
    rte_mbuf* const* packets, std::uint32_t count, const Run& run, rte_mbuf** tail
) noexcept {
    const encap::VxlanTemplate& outer = *run.direct;
    std::uint64_t bytes = 0;
    std::uint32_t pushed = 0;
    std::uint16_t identification = worker_.ip_identification;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        const std::uint32_t frame_len = packet->pkt_len;
        const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): set where it is read
        encap::InnerFlow flow;
        if (!encap::inspect_plain_frame(frame, packet->data_len, flow) ||
            encap::vxlan_push_flow<Checksum>(packet, outer, flow, identification) !=
                encap::VxlanPushed::done) [[unlikely]] {
            worker_.ip_identification = identification;
            if (push(packet, outer, inspect(packet), *run.device)) {
                note(packet).link_out = outer.link_out;
                *tail++ = packet;
            }
            identification = worker_.ip_identification;
            continue;
        }
        ++identification;
        ++pushed;
        bytes += frame_len;
        note(packet).link_out = outer.link_out;
        *tail++ = packet;
    }
    worker_.ip_identification = identification;
    tx_.add(run.device->id, bytes - std::uint64_t{pushed} * sizeof(net::EtherHeader), pushed);
    return tail;
}

// Precondition: run.direct leads to a port, and there is room for all of them.
inline void
VxlanPush::push_run(rte_mbuf* const* packets, std::uint32_t count, const Run& run) noexcept {
    Vector& ports = worker_.vector(Stage::port_tx);
    rte_mbuf** tail = &ports.packets[ports.count];
    if (run.direct->is_plain && !run.direct->udp_checksum) {
        tail = push_flows<false>(packets, count, run, tail);
    } else if (run.direct->is_plain) {
        tail = push_flows<true>(packets, count, run, tail);
    } else if (!run.direct->inherits) {
        tail = push_flows6(packets, count, run, tail);
    } else {
        for (std::uint32_t i = 0; i < count; ++i) {
            if (push(packets[i], *run.direct, inspect(packets[i]), *run.device)) [[likely]] {
                note(packets[i]).link_out = run.direct->link_out;
                *tail++ = packets[i];
            }
        }
    }
    ports.count = static_cast<std::uint32_t>(tail - ports.packets.data());
}

std::uint32_t VxlanPush::run(std::uint32_t first, std::uint32_t count) noexcept {
    rte_mbuf* const* packets = &worker_.vector(Stage::vxlan_push).packets[first];
    find_runs(packets, count);
    look_up();
    runs_[run_count_].first = count;
    std::uint32_t next = 0;
    for (std::uint32_t k = 0; k < run_count_; k = next) {
        const Run& run = runs_[k];
        next = k + 1;
        if (!is_direct(run.direct)) [[unlikely]] {
            if (const std::uint32_t stopped = replicate_run(packets, run, runs_[next].first);
                stopped != runs_[next].first) {
                return stopped;
            }
            continue;
        }
        // Runs to the same remote go together.
        while (next < run_count_ && runs_[next].direct == run.direct) {
            ++next;
        }
        const std::uint32_t end = runs_[next].first;
        if (worker_.vector(Stage::port_tx).room() < end - run.first) [[unlikely]] {
            return run.first;
        }
        resume_ = 0;
        push_run(packets + run.first, end - run.first, run);
    }
    return count;
}

void vxlan_push_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::vxlan_push);
    const std::uint32_t count = vector.count;  // tunnels inside tunnels append more
    if (count == 0) {
        return;
    }
    VxlanPush push(worker);
    const std::uint32_t done = push_in_chunks(push, count);
    worker.push_progress += done + (push.resume() != worker.push_resume ? 1U : 0U);
    worker.push_resume = push.resume();
    vector.take_front(done);
}

}  // namespace culvert::pipeline
