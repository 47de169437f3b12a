// SPDX-License-Identifier: BSD-3-Clause
// The bridge: frames from a member, or from the bridge's own address (link_in is then the bridge
// itself). Neighbours in a burst with the same link and the same two MACs are a run: what is looked
// up, learned and decided is so once a run, and a packet more in it costs a comparison and a store.
#include "lib/pipeline/bridge_output.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 64;                         // packets
constexpr std::uint64_t kLinkLocalGroup = 0x0180c2000000;    // 01:80:c2:00:00:00 to :0f
constexpr std::uint64_t kGroupBit = std::uint64_t{1} << 56;  // of a MAC in the upper 48 bits

using Home = fdb::Table::View::Home;

struct Run {
    const Link* in;  // member, or the bridge itself; nullptr = all of it is dropped as `refusal`
    const Link* bridge;
    fdb::Key source;
    fdb::Key destination;
    Home source_home;  // nullptr = not to be learned, or just learned
    Home destination_home;
    LinkId link_in;
    Drop refusal;
    std::uint8_t first;  // packet

    void refuse(Drop reason) noexcept {
        in = nullptr;
        refusal = reason;
    }
};

using Runs = Scratch<Run, kChunk>;

// What packets from one link share.
struct Arrival {
    const Link* in = nullptr;
    const Link* bridge = nullptr;
    bool own = false;  // from the bridge's own address
    bool learning = false;
    bool refused = true;
    Drop refusal = Drop::link_gone;
};

[[gnu::noinline]] Arrival look_at_link(const Worker& worker, LinkId id) noexcept {
    Arrival arrival;
    arrival.in = worker.tables.links.read(id);
    if (arrival.in == nullptr) {
        return arrival;
    }
    arrival.own = arrival.in->kind == LinkKind::bridge;
    arrival.bridge = arrival.own ? arrival.in : worker.tables.links.read(arrival.in->master);
    if (arrival.bridge == nullptr || arrival.bridge->kind != LinkKind::bridge) {
        return arrival;
    }
    arrival.refusal = Drop::link_down_rx;
    arrival.refused = !arrival.in->up || !arrival.bridge->up;
    arrival.learning = !arrival.own && arrival.in->bridge_port.learning;
    return arrival;
}

// What no bridge takes: the reason.
[[nodiscard]] inline bool
refuse_macs(std::uint64_t destination, std::uint64_t source, Drop& reason) noexcept {
    if ((source & kGroupBit) != 0 || source == 0) [[unlikely]] {
        reason = Drop::bridge_source_invalid;
        return true;
    }
    if ((destination & kGroupBit) != 0) [[unlikely]] {
        // 00 is STP, which is off: forwarded like any group. The others stay on their segment.
        const std::uint64_t group = destination >> 16;
        reason = Drop::bridge_link_local;
        return (group & ~std::uint64_t{0xf}) == kLinkLocalGroup && group != kLinkLocalGroup;
    }
    return false;
}

// Cuts the burst into runs, and asks for the lines of their MACs. Returns their number.
std::uint32_t find_runs(
    const Worker& worker,
    const fdb::Table::View& fdb,
    rte_mbuf* const* packets,
    std::uint32_t n,
    Runs& runs
) noexcept {
    Arrival arrival;
    LinkId arrival_id = kNoLink;
    LinkId last_id = kNoLink;  // of the run; no packet is on none
    MacPair last;
    fdb::Key last_source;
    fdb::Key last_destination;
    Home last_home = nullptr;
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        const LinkId id = note(packet).link_in;
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader)) [[unlikely]] {
            Run& run = runs[count++];
            run.link_in = id;
            run.first = static_cast<std::uint8_t>(i);
            run.refuse(Drop::ether_truncated);
            last_id = kNoLink;
            continue;
        }
        const auto macs = MacPair::load(rte_pktmbuf_mtod(packet, const std::uint8_t*));
        if (id == last_id && macs == last) {
            continue;
        }
        last_id = id;
        last = macs;
        if (id != arrival_id) [[unlikely]] {
            arrival_id = id;
            arrival = look_at_link(worker, id);
            last_source = {};
            last_destination = {};
        }
        Run& run = runs[count++];
        run.in = arrival.in;
        run.bridge = arrival.bridge;
        run.link_in = id;
        run.first = static_cast<std::uint8_t>(i);
        const std::uint64_t destination = macs.destination();
        const std::uint64_t source = macs.source();
        if (arrival.refused) [[unlikely]] {
            run.refuse(arrival.refusal);
            continue;
        }
        if (Drop reason{}; !arrival.own && refuse_macs(destination, source, reason)) [[unlikely]] {
            run.refuse(reason);
            continue;
        }
        const LinkId domain = arrival.bridge->id;
        run.source = {fdb_key(source, domain)};
        run.source_home = nullptr;
        if (arrival.learning && !(run.source == last_source)) {
            run.source_home = fdb.prefetch(run.source);
            last_source = run.source;
        }
        run.destination = {fdb_key(destination, domain)};
        if (!(run.destination == last_destination)) {
            last_home = fdb.prefetch(run.destination);
            last_destination = run.destination;
        }
        run.destination_home = last_home;
    }
    return count;
}

// The source's entry is missing, elsewhere, or has an old stamp.
[[gnu::noinline]] void
learn(Worker& worker, const Run& run, fdb::Value value, bool found) noexcept {
    if (found && value.target() == run.in->id) {
        worker.tables.fdb.refresh(run.source, value, worker.now_s);
        return;
    }
    // A pinned entry does not move, and the bridge's own addresses are such.
    if (found && (value.is_pinned() || value.target() == run.bridge->id)) {
        return;
    }
    fdb::LearnEvent event;
    event.mac = run.source.mac();
    event.domain = run.bridge->id;
    event.port = run.in->id;
    worker.learned(event);
}

inline void learn_source(Worker& worker, const fdb::Table::View& fdb, const Run& run) noexcept {
    fdb::Value value;
    const bool found = fdb.find(run.source_home, run.source, value);
    if (!found || value.target() != run.in->id || value.used_s != worker.now_s) [[unlikely]] {
        learn(worker, run, value, found);
    }
}

void drop_run(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, LinkId link, Drop reason
) noexcept {
    for (std::uint32_t i = 0; i < n; ++i) {
        worker.drop(packets[i], link, reason);
    }
}

// Precondition: room for them.
inline void
send_run(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Link& to) noexcept {
    const std::uint32_t max_frame = to.mtu + kFrameOverhead;
    const bool is_port = to.kind == LinkKind::port;
    Vector& out = worker.vector(is_port ? Stage::port_tx : Stage::vxlan_push);
    if (!is_port && to.kind != LinkKind::vxlan) [[unlikely]] {
        for (std::uint32_t i = 0; i < n; ++i) {
            worker.output(packets[i], to);
        }
        return;
    }
    rte_mbuf** tail = &out.packets[out.count];
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        if (rte_pktmbuf_pkt_len(packet) > max_frame) [[unlikely]] {
            worker.drop(packet, to.id, Drop::bridge_mtu_exceeded);
            continue;
        }
        note(packet).link_out = to.id;
        *tail++ = packet;
    }
    out.count = static_cast<std::uint32_t>(tail - out.packets.data());
}

inline void forward_known(
    Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Run& run, std::uint32_t target
) noexcept {
    const Link& in = *run.in;
    const Link& bridge = *run.bridge;
    if (target == bridge.id) [[unlikely]] {
        if (&in == &bridge) {
            drop_run(worker, packets, n, in.id, Drop::bridge_same_port);
            return;
        }
        for (std::uint32_t i = 0; i < n; ++i) {
            pass_up(worker, packets[i], bridge);
        }
        return;
    }
    const Link* to = target < kMaxLinks ? worker.tables.links.read(target) : nullptr;
    if (to == nullptr || to->master != bridge.id) [[unlikely]] {
        drop_run(worker, packets, n, in.id, Drop::link_gone);
    } else if (!is_allowed(in, *to)) [[unlikely]] {
        const bool back = to == &in && !to->bridge_port.hairpin;
        drop_run(worker, packets, n, in.id, back ? Drop::bridge_same_port : Drop::bridge_no_port);
    } else {
        send_run(worker, packets, n, *to);
    }
}

// What the bridge's own address sent counts as sent by the bridge.
[[gnu::cold]] void
count_own(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, LinkId bridge) noexcept {
    TxTally tally(worker.counters);
    for (std::uint32_t i = 0; i < n; ++i) {
        tally.add(bridge, rte_pktmbuf_pkt_len(packets[i]));
    }
}

// Returns how many of the packets went.
[[gnu::noinline]] std::uint32_t
flood_run(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, const Run& run) noexcept {
    const auto needed = static_cast<std::uint32_t>(run.bridge->members.size()) + 1;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (!make_room(worker, needed)) {
            return i;
        }
        if (run.in == run.bridge) {
            count_own(worker, &packets[i], 1, run.bridge->id);
        }
        flood(worker, packets[i], *run.in, *run.bridge, run.destination);
    }
    return n;
}

// Returns how many of the `n` packets met their fate or went on.
std::uint32_t forward(
    Worker& worker,
    const fdb::Table::View& fdb,
    rte_mbuf* const* packets,
    std::uint32_t n,
    const Runs& runs,
    std::uint32_t run_count
) noexcept {
    Home last_home = nullptr;
    fdb::Key last_destination;
    fdb::Value value;
    bool found = false;
    std::uint32_t sure = room_ahead(worker);  // what surely finds room
    for (std::uint32_t k = 0; k < run_count; ++k) {
        const Run& run = runs[k];
        const std::uint32_t end = k + 1 < run_count ? runs[k + 1].first : n;
        const std::uint32_t count = end - run.first;
        rte_mbuf* const* const first = packets + run.first;
        if (run.in == nullptr) [[unlikely]] {
            drop_run(worker, first, count, run.link_in, run.refusal);
            continue;
        }
        if (run.source_home != nullptr) {
            learn_source(worker, fdb, run);
        }
        if (run.destination_home != last_home || !(run.destination == last_destination)) {
            last_home = run.destination_home;
            last_destination = run.destination;
            found = fdb.find(last_home, last_destination, value);
        }
        if (!found || (run.destination.packed & kGroupBit) != 0) [[unlikely]] {
            const std::uint32_t gone = flood_run(worker, first, count, run);
            if (gone < count) {
                return run.first + gone;
            }
            sure = room_ahead(worker);
            continue;
        }
        if (sure < count) [[unlikely]] {
            if (!make_room(worker, count)) {
                return run.first;
            }
            sure = room_ahead(worker);
        }
        sure -= count;
        if (run.in == run.bridge) [[unlikely]] {
            count_own(worker, first, count, run.bridge->id);
        }
        forward_known(worker, first, count, run, value.target());
    }
    return n;
}

}  // namespace

void bridge_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::bridge);
    const fdb::Table::View fdb = worker.tables.fdb.view();
    const std::uint32_t total = in.count;
    std::uint32_t done = 0;
    while (done < total) {
        const std::uint32_t n = std::min(kChunk, total - done);
        rte_mbuf** packets = &in.packets[done];
        Runs runs;
        const std::uint32_t run_count = find_runs(worker, fdb, packets, n, runs);
        const std::uint32_t gone = forward(worker, fdb, packets, n, runs, run_count);
        done += gone;
        if (gone < n) [[unlikely]] {
            break;
        }
    }
    in.take_front(done);
}

}  // namespace culvert::pipeline
