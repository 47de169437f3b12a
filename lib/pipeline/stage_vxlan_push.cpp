// SPDX-License-Identifier: BSD-3-Clause
// Frames to vxlan links: destination MAC -> FDB entry -> remotes -> templates, then the outer
// header in front of each copy (catalogue 3.7, 3.8).
//
// A packet with several remotes is copied for all but the first; the original goes to the first
// one, last (VXLAN-TX-07). The copies may be more than a vector holds, so the stage can stop
// anywhere between two of them: Worker::push_resume says how far the packet at the vector's front
// has come, and the next round goes on from there. If the entry changes in between, the rest goes
// to the remotes of the new one.
#include "lib/encap/vxlan_push.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 64;
// Of a MAC as the machine loads it with the two bytes behind it.
constexpr std::uint64_t kMacBytes =
    std::endian::native == std::endian::little ? ~std::uint64_t{0} >> 16 : ~std::uint64_t{0} << 16;

class VxlanPush {
public:
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
    // Neighbours in the burst that go to one MAC by one link, and where that is.
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
    void refuse_push(rte_mbuf* packet, encap::VxlanPushed why, const Link& device) noexcept;
    template <bool kChecksum>
    rte_mbuf** push_flows(
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
        choose_way(outer->link_out);
        return way_ != nullptr && way_->kind == LinkKind::port && way_->up;
    }

    void choose_way(LinkId link_out) noexcept {
        if (link_out != way_id_) [[unlikely]] {
            way_id_ = link_out;
            way_ = worker_.tables.links.read(link_out);
        }
    }

    Worker& worker_;
    TxTally tx_;
    std::uint32_t resume_;

    // The way out of the last packet.
    LinkId way_id_ = kNoLink;
    const Link* way_ = nullptr;

    // The default entry of the last device that needed it.
    const Link* default_device_ = nullptr;
    bool default_found_ = false;
    fdb::Value default_value_{};

    std::uint32_t run_count_ = 0;
    Scratch<Run, kChunk + 1> runs_;  // the first run_count_ are set, and where the next would begin
    const fdb::Table::View fdb_;
};

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

// False: the packet is dropped.
bool VxlanPush::push(
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    const std::uint32_t frame_len = packet->pkt_len;
    const auto result = encap::vxlan_push(packet, outer, inner, worker_.ip_identification);
    if (result != encap::VxlanPushed::done) [[unlikely]] {
        refuse_push(packet, result, device);
        return false;
    }
    ++worker_.ip_identification;
    // VXLAN-TX-35: what counts is the inner L3 packet.
    constexpr std::uint16_t kEther = sizeof(net::EtherHeader);
    tx_.add(device.id, frame_len - std::max(inner.parsed.l3_offset, kEther));
    return true;
}

[[gnu::cold]] void
VxlanPush::refuse_push(rte_mbuf* packet, encap::VxlanPushed why, const Link& device) noexcept {
    const bool too_big = why == encap::VxlanPushed::too_big;
    worker_.drop(packet, device.id, too_big ? Drop::vxlan_too_big : Drop::vxlan_no_headroom);
}

// Packets to one remote whose template inherits nothing. Returns where the vector ends then.
template <bool kChecksum>
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
        encap::InnerFlow flow;
        if (!encap::inspect_plain_frame(frame, packet->data_len, flow)) [[unlikely]] {
            worker_.ip_identification = identification;
            if (push(packet, outer, inspect(packet), *run.device)) {
                note(packet).link_out = outer.link_out;
                *tail++ = packet;
            }
            identification = worker_.ip_identification;
            continue;
        }
        const auto result = encap::vxlan_push_flow<kChecksum>(packet, outer, flow, identification);
        if (result != encap::VxlanPushed::done) [[unlikely]] {
            refuse_push(packet, result, *run.device);
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
    if (!run.direct->inherits && !run.direct->udp_checksum) {
        tail = push_flows<false>(packets, count, run, tail);
    } else if (!run.direct->inherits) {
        tail = push_flows<true>(packets, count, run, tail);
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

// Returns the packet that stays for lack of room, or `end`.
std::uint32_t
VxlanPush::replicate_run(rte_mbuf* const* packets, const Run& run, std::uint32_t end) noexcept {
    for (std::uint32_t i = run.first; i < end; ++i) {
        if (run.device == nullptr) {
            refuse(packets[i]);
            resume_ = 0;
        } else if (!replicate(packets[i], run)) {
            return i;
        }
    }
    return end;
}

[[gnu::cold]] void VxlanPush::refuse(rte_mbuf* packet) noexcept {
    const LinkId id = note(packet).link_out;
    const Link* device = worker_.tables.links.read(id);
    if (device == nullptr || device->kind != LinkKind::vxlan) {
        worker_.drop(packet, id, Drop::link_gone);
    } else if (!device->up) {
        worker_.drop(packet, id, Drop::link_down_tx);
    } else {
        worker_.drop(packet, id, Drop::vxlan_frame_truncated);
    }
}

// Every remote but the first a copy, then the first the original. False: the packet stays, with
// resume_ for the next round.
bool VxlanPush::replicate(rte_mbuf* packet, const Run& run) noexcept {
    const encap::VxlanDestination* destination = run.destination;
    if (destination == nullptr || destination->count == 0) {
        worker_.drop(packet, run.device->id, Drop::vxlan_no_destination);
        resume_ = 0;
        return true;
    }
    const encap::VxlanTemplates& templates = worker_.tables.vxlan_templates;
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    encap::InnerFlow flow{};
    const bool plain = encap::inspect_plain_frame(frame, packet->data_len, flow);
    for (std::uint32_t i = std::max(resume_, 1U); i < destination->count; ++i) {
        const encap::VxlanTemplate* outer = templates.read(destination->id(i));
        const bool direct = plain && is_direct(outer) && !outer->inherits;
        if (!(direct ? has_room(Stage::port_tx) : has_room_for(outer))) {
            resume_ = i;
            return false;
        }
        rte_mbuf* copy = worker_.copy(packet);
        if (copy == nullptr) [[unlikely]] {
            continue;
        }
        if (direct) [[likely]] {
            push_copy(copy, *outer, flow, *run.device);
        } else {
            dispatch(copy, outer, inspect(copy), *run.device);
        }
    }
    const encap::VxlanTemplate* outer = templates.read(destination->id(0));
    if (!has_room_for(outer)) {
        resume_ = destination->count;
        return false;
    }
    dispatch(packet, outer, inspect(packet), *run.device);
    resume_ = 0;
    return true;
}

// Precondition: the template inherits nothing and leads to a port, and there is room.
inline void VxlanPush::push_copy(
    rte_mbuf* copy, const encap::VxlanTemplate& outer, encap::InnerFlow flow, const Link& device
) noexcept {
    const std::uint32_t frame_len = copy->pkt_len;
    const std::uint16_t identification = worker_.ip_identification;
    const auto result = outer.udp_checksum
                            ? encap::vxlan_push_flow<true>(copy, outer, flow, identification)
                            : encap::vxlan_push_flow<false>(copy, outer, flow, identification);
    if (result != encap::VxlanPushed::done) [[unlikely]] {
        refuse_push(copy, result, device);
        return;
    }
    ++worker_.ip_identification;
    tx_.add(device.id, frame_len - sizeof(net::EtherHeader));
    note(copy).link_out = outer.link_out;
    worker_.enqueue(Stage::port_tx, copy);
}

bool VxlanPush::has_room_for(const encap::VxlanTemplate* outer) noexcept {
    if (outer == nullptr) {
        return true;
    }
    if (outer->state == encap::TunnelState::local) {
        const Link* local = find_local(*outer);
        if (local == nullptr) {
            return true;
        }
        return has_room(local->master == kNoLink ? Stage::ethernet : Stage::bridge);
    }
    if (outer->state != encap::TunnelState::ready) {
        return true;
    }
    choose_way(outer->link_out);
    if (way_ == nullptr) {
        return true;
    }
    switch (way_->kind) {
    case LinkKind::port:
        return has_room(Stage::port_tx);
    case LinkKind::bridge:
        return has_room(Stage::bridge);
    case LinkKind::vxlan:
        return has_room(Stage::vxlan_push);
    case LinkKind::dummy:
        break;
    }
    return true;
}

// Precondition: has_room_for(outer).
void VxlanPush::dispatch(
    rte_mbuf* packet,
    const encap::VxlanTemplate* outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    if (outer == nullptr) [[unlikely]] {
        worker_.drop(packet, device.id, Drop::vxlan_no_destination);
        return;
    }
    switch (outer->state) {
    case encap::TunnelState::ready:
        choose_way(outer->link_out);
        send(packet, *outer, inner, device);
        break;
    case encap::TunnelState::unresolved:
        if (push(packet, *outer, inner, device)) {
            note(packet).next_hop = outer->next_hop;
            note(packet).link_out = outer->link_out;
            worker_.punt(packet, Punt::resolve);
        }
        break;
    case encap::TunnelState::local:
        deliver_locally(packet, *outer, device);
        break;
    case encap::TunnelState::no_route:
        worker_.drop(packet, device.id, Drop::vxlan_no_route);
        break;
    case encap::TunnelState::loop:
        worker_.drop(packet, device.id, Drop::vxlan_loop);
        break;
    case encap::TunnelState::no_remote:
        worker_.drop(packet, device.id, Drop::vxlan_no_remote);
        break;
    }
}

// Precondition: choose_way(outer.link_out), and there is room behind it.
void VxlanPush::send(
    rte_mbuf* packet,
    const encap::VxlanTemplate& outer,
    const encap::InnerFrame& inner,
    const Link& device
) noexcept {
    // TUN-TX-23: what the lower link refuses is the tunnel's loss.
    if (way_ == nullptr || !way_->up) [[unlikely]] {
        worker_.drop(packet, device.id, way_ == nullptr ? Drop::link_gone : Drop::link_down_tx);
        return;
    }
    // At a port the way ends; all else may lead back here.
    if (way_->kind != LinkKind::port && ++note(packet).depth > kMaxDepth) [[unlikely]] {
        worker_.drop(packet, device.id, Drop::depth_exceeded);
        return;
    }
    if (push(packet, outer, inner, device)) [[likely]] {
        worker_.output(packet, *way_);
    }
}

// The running device with this VNI and port (VXLAN-TX-28), or nullptr.
const Link* VxlanPush::find_local(const encap::VxlanTemplate& outer) const noexcept {
    std::uint64_t id = kNoLink;
    const auto key = encap::VxlanKey::make(outer.destination_port, outer.vni);
    if (!worker_.tables.vxlan_demux.find(key, id)) {
        return nullptr;
    }
    return worker_.tables.links.read(static_cast<LinkId>(id));
}

// VXLAN-BYP-01: no outer header, no ECN, no TTL; both sides count the whole frame, and what the
// target learns cannot make it drop the packet.
[[gnu::cold]] void VxlanPush::deliver_locally(
    rte_mbuf* packet, const encap::VxlanTemplate& outer, const Link& device
) noexcept {
    constexpr net::IpAddress kLoopback = net::IpAddress::from_v4(0x7f000001);
    const Link* target = find_local(outer);
    if (target == nullptr) {
        worker_.drop(packet, device.id, Drop::vxlan_local_no_device);
        return;
    }
    if (!target->up) {
        worker_.drop(packet, target->id, Drop::link_down_rx);
        return;
    }
    if (++note(packet).depth > kMaxDepth) {
        worker_.drop(packet, device.id, Drop::depth_exceeded);
        return;
    }
    const auto& ether = *rte_pktmbuf_mtod(packet, const net::EtherHeader*);
    if (target->vxlan.learning && ether.source.is_valid_station()) {
        fdb::Value value{};
        const fdb::Key key = fdb::Key::make(target->id, ether.source);
        const bool known = worker_.tables.fdb.find(key, value);
        if (known) {
            worker_.tables.fdb.refresh(key, value, worker_.now_s);
        }
        const encap::VxlanDestination* destination =
            known ? worker_.tables.vxlan_destinations.read(value.target()) : nullptr;
        const bool same = destination != nullptr && destination->first_address == kLoopback &&
                          destination->first_via == kNoLink;
        if (!same && !(known && value.is_pinned())) {
            worker_.learned(fdb::LearnEvent{kLoopback, ether.source, target->id, kNoLink, {}});
        }
    }
    const std::uint32_t len = packet->pkt_len;
    tx_.add(device.id, len);
    LinkCounters& row = worker_.counters.link(target->id);
    row.rx_packets.add(1);
    row.rx_bytes.add(len);
    encap::forget_offloads(packet);
    note(packet).for_us = true;  // VXLAN-BYP-02
    worker_.input(packet, *target);
}

}  // namespace

void vxlan_push_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::vxlan_push);
    const std::uint32_t count = vector.count;  // tunnels inside tunnels append more
    if (count == 0) {
        return;
    }
    VxlanPush push(worker);
    std::uint32_t done = 0;
    while (done < count) {
        const std::uint32_t chunk = std::min(count - done, kChunk);
        const std::uint32_t taken = push.run(done, chunk);
        done += taken;
        if (taken < chunk) [[unlikely]] {
            break;
        }
    }
    worker.push_progress += done + (push.resume() != worker.push_resume ? 1U : 0U);
    worker.push_resume = push.resume();
    vector.take_front(done);
}

}  // namespace culvert::pipeline
