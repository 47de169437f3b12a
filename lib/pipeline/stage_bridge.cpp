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

constexpr std::uint32_t kChunk = 64;                       // packets
constexpr std::uint64_t kLinkLocalGroup = 0x0180c2000000;  // 01:80:c2:00:00:00 to :0f

using Home = fdb::Table::View::Home;

// What packets from one link share.
struct Arrival {
    LinkId id = kNoLink;
    const Link* in = nullptr;  // member, or the bridge itself
    const Link* bridge = nullptr;
    bool own = false;    // from the bridge's own address
    bool plain = false;  // neither that nor isolated
    bool learning = false;
    bool refused = true;
    Drop refusal = Drop::link_gone;
};

// Never constructed: it lies in a Scratch, and find_runs() writes what is read.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct Run {
    rte_mbuf* const* first;
    const Arrival* arrival;
    fdb::Key source;
    fdb::Key destination;
    Home source_home;  // nullptr = not to be learned, or the last run's
    Home destination_home;
    bool refused;  // all of it is dropped as `refusal`
    Drop refusal;

    void refuse(Drop reason) noexcept {
        refused = true;
        refusal = reason;
    }
};

struct Chunk {
    Scratch<Run, kChunk + 1> runs;  // and one that begins where the packets end
    std::uint32_t run_count = 0;
    Scratch<Arrival, kChunk> arrivals;
};

[[gnu::noinline]] void look_at_link(const Worker& worker, LinkId id, Arrival& arrival) noexcept {
    arrival = {};
    arrival.id = id;
    const Link* in = worker.tables.links.read(id);
    arrival.in = in;
    if (in == nullptr) {
        return;
    }
    const bool own = in->kind == LinkKind::bridge;
    const Link* bridge = own ? in : worker.tables.links.read(in->master);
    arrival.own = own;
    arrival.bridge = bridge;
    if (bridge == nullptr || bridge->kind != LinkKind::bridge) {
        return;
    }
    arrival.refusal = Drop::link_down_rx;
    arrival.refused = !in->up || !bridge->up;
    arrival.plain = !own && !in->bridge_port.isolated;
    arrival.learning = !own && in->bridge_port.learning;
}

// No bridge takes a frame from a group or nobody, or for its segment alone.
[[gnu::noinline]] void
judge_macs(Run& run, std::uint64_t destination, std::uint64_t source) noexcept {
    if ((source & kGroupBit) != 0 || source == 0) {
        run.refuse(Drop::bridge_source_invalid);
        return;
    }
    // 00 is STP, which is off: forwarded like any group. The others stay on their segment.
    const std::uint64_t group = destination >> 16;
    if ((group & ~std::uint64_t{0xf}) == kLinkLocalGroup && group != kLinkLocalGroup) {
        run.refuse(Drop::bridge_link_local);
    }
}

// Keys whose lines were asked for last.
struct Asked {
    fdb::Key source;
    fdb::Key destination;
    Home destination_home = nullptr;
};

// Asks for the lines of the run's MACs; a key like the last one's has been asked for.
[[gnu::always_inline]] inline void begin_run(
    Run& run, const Arrival& arrival, const MacPair& macs, const fdb::Table::View& fdb, Asked& asked
) noexcept {
    run.arrival = &arrival;
    run.refused = false;
    run.source_home = nullptr;
    if (arrival.refused) [[unlikely]] {
        run.refuse(arrival.refusal);
        return;
    }
    const std::uint64_t destination = macs.destination();
    const std::uint64_t source = macs.source();
    if (((destination | source) & kGroupBit) != 0 || source == 0) [[unlikely]] {
        if (!arrival.own) {
            judge_macs(run, destination, source);
        }
    }
    const LinkId domain = arrival.bridge->id;
    run.source = {fdb_key(source, domain)};
    if (arrival.learning && !(run.source == asked.source)) {
        run.source_home = fdb.prefetch(run.source);
        asked.source = run.source;
    }
    run.destination = {fdb_key(destination, domain)};
    if (!(run.destination == asked.destination)) {
        asked.destination_home = fdb.prefetch(run.destination);
        asked.destination = run.destination;
    }
    run.destination_home = asked.destination_home;
}

// Cuts the burst into runs.
void find_runs(
    const Worker& worker,
    const fdb::Table::View& fdb,
    rte_mbuf* const* packets,
    std::uint32_t n,
    Chunk& chunk
) noexcept {
    const Arrival* arrival = nullptr;
    std::uint32_t arrivals = 0;
    LinkId last_id = kNoLink;  // of the run; no packet is on none
    MacPair last;
    Asked asked;
    Run* run = chunk.runs.data() - 1;
    for (rte_mbuf* const* at = packets; at != packets + n; ++at) {
        rte_mbuf* packet = *at;
        const LinkId id = note(packet).link_in;
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader)) [[unlikely]] {
            look_at_link(worker, id, chunk.arrivals[arrivals]);
            arrival = &chunk.arrivals[arrivals++];
            ++run;
            run->first = at;
            run->arrival = arrival;
            run->refuse(arrival->refused ? arrival->refusal : Drop::ether_truncated);
            last_id = kNoLink;
            continue;
        }
        const auto macs = MacPair::load(rte_pktmbuf_mtod(packet, const std::uint8_t*));
        if (id == last_id && macs == last) {
            continue;
        }
        if (id != last_id) [[unlikely]] {
            look_at_link(worker, id, chunk.arrivals[arrivals]);
            arrival = &chunk.arrivals[arrivals++];
            asked.source = {};
        }
        last_id = id;
        last = macs;
        ++run;
        run->first = at;
        begin_run(*run, *arrival, macs, fdb, asked);
    }
    ++run;
    run->first = packets + n;
    chunk.run_count = static_cast<std::uint32_t>(run - chunk.runs.data());
}

// The source's entry is missing, elsewhere, or has an old stamp.
[[gnu::noinline]] void
learn(Worker& worker, const Run& run, fdb::Value value, bool found) noexcept {
    const Arrival& arrival = *run.arrival;
    if (found && value.target() == arrival.in->id) {
        worker.tables.fdb.refresh(run.source, value, worker.now_s);
        return;
    }
    // A pinned entry does not move, and the bridge's own addresses are such.
    if (found && (value.is_pinned() || value.target() == arrival.bridge->id)) {
        return;
    }
    fdb::LearnEvent event;
    event.mac = run.source.mac();
    event.domain = arrival.bridge->id;
    event.port = arrival.in->id;
    worker.learned(event);
}

inline void learn_source(Worker& worker, const fdb::Table::View& fdb, const Run& run) noexcept {
    fdb::Value value;
    const bool found = fdb.find(run.source_home, run.source, value);
    const fdb::Value expected{run.arrival->in->id, worker.now_s};
    if (!(found && value == expected)) [[unlikely]] {
        learn(worker, run, value, found);
    }
}

// Packets from `first` up to `end`.
struct Span {
    rte_mbuf* const* first;
    rte_mbuf* const* end;
};

void drop_all(Worker& worker, Span packets, Drop reason) noexcept {
    for (; packets.first != packets.end; ++packets.first) {
        worker.drop(*packets.first, note(*packets.first).link_in, reason);
    }
}

// Precondition: room for them.
void send(Worker& worker, Span packets, const Link& to) noexcept {
    const std::uint32_t max_frame = to.mtu + kFrameOverhead;
    const Stage stage = output_stage(to.kind);
    if (stage == Stage::count) [[unlikely]] {
        for (; packets.first != packets.end; ++packets.first) {
            if (rte_pktmbuf_pkt_len(*packets.first) > max_frame) {
                worker.drop(*packets.first, to.id, Drop::bridge_mtu_exceeded);
            } else {
                worker.output(*packets.first, to);
            }
        }
        return;
    }
    Vector& out = worker.vector(stage);
    rte_mbuf** tail = &out.packets[out.count];
    for (; packets.first != packets.end; ++packets.first) {
        rte_mbuf* packet = *packets.first;
        if (rte_pktmbuf_pkt_len(packet) > max_frame) [[unlikely]] {
            worker.drop(packet, to.id, Drop::bridge_mtu_exceeded);
            continue;
        }
        note(packet).link_out = to.id;
        *tail++ = packet;
    }
    out.count = static_cast<std::uint32_t>(tail - out.packets.data());
}

// What the bridge's own address sent counts as sent by the bridge.
[[gnu::cold]] void count_own(Worker& worker, Span packets, LinkId bridge) noexcept {
    TxTally tally(worker.counters);
    for (; packets.first != packets.end; ++packets.first) {
        tally.add(bridge, rte_pktmbuf_pkt_len(*packets.first));
    }
}

// Packets from one link to one target. Precondition: room for them.
void forward_known(
    Worker& worker, Span packets, const Arrival& arrival, std::uint32_t target
) noexcept {
    const Link& in = *arrival.in;
    const Link& bridge = *arrival.bridge;
    if (arrival.own) [[unlikely]] {
        count_own(worker, packets, bridge.id);
    }
    if (target == bridge.id) [[unlikely]] {
        if (arrival.own) {
            drop_all(worker, packets, Drop::bridge_same_port);
            return;
        }
        for (; packets.first != packets.end; ++packets.first) {
            pass_up(worker, *packets.first, bridge);
        }
        return;
    }
    const Link* to = target < kMaxLinks ? worker.tables.links.read(target) : nullptr;
    if (to == nullptr || to->master != bridge.id) [[unlikely]] {
        drop_all(worker, packets, Drop::link_gone);
    } else if (!is_allowed(in, *to)) [[unlikely]] {
        const bool back = to == &in && !to->bridge_port.hairpin;
        drop_all(worker, packets, back ? Drop::bridge_same_port : Drop::bridge_no_port);
    } else {
        send(worker, packets, *to);
    }
}

// Returns where it stopped for lack of room; `packets.end` = nowhere.
[[gnu::noinline]] rte_mbuf* const*
flood_run(Worker& worker, Span packets, const Arrival& arrival, fdb::Key destination) noexcept {
    const auto needed = static_cast<std::uint32_t>(arrival.bridge->members.size()) + 1;
    for (; packets.first != packets.end; ++packets.first) {
        if (!make_room(worker, needed)) {
            break;
        }
        if (arrival.own) {
            count_own(worker, {packets.first, packets.first + 1}, arrival.bridge->id);
        }
        flood(worker, *packets.first, *arrival.in, *arrival.bridge, destination);
    }
    return packets.first;
}

// Runs one after the other with one target, which leave together.
struct Group {
    std::uint32_t target;
    const Arrival* arrival;  // nullptr = none begun
    rte_mbuf* const* first;

    // Whether what leaves for `to` from another link fares no differently.
    [[nodiscard]] bool takes(const Arrival& from, std::uint32_t to) const noexcept {
        return arrival != nullptr && arrival->plain && from.plain &&
               arrival->bridge == from.bridge && arrival->id != to && from.id != to;
    }

    void close(Worker& worker, rte_mbuf* const* end) noexcept {
        if (arrival != nullptr) {
            forward_known(worker, {first, end}, *arrival, target);
            arrival = nullptr;
        }
    }
};

// Returns where it stopped for lack of room, or the packets' end.
rte_mbuf* const* forward(Worker& worker, const fdb::Table::View& fdb, const Chunk& chunk) noexcept {
    rte_mbuf* const* const end = chunk.runs[chunk.run_count].first;
    // From here on there is room for all packets that are left, each needing one place.
    const auto has_room = [&](rte_mbuf* const* left) {
        return make_room(worker, static_cast<std::uint32_t>(end - left));
    };
    if (!has_room(chunk.runs[0].first)) [[unlikely]] {
        return chunk.runs[0].first;
    }
    Group group{};
    Home last_home = nullptr;
    fdb::Key last_destination;
    fdb::Value value;
    bool found = false;
    for (std::uint32_t k = 0; k < chunk.run_count; ++k) {
        const Run& run = chunk.runs[k];
        if (run.refused) [[unlikely]] {
            group.close(worker, run.first);
            drop_all(worker, {run.first, chunk.runs[k + 1].first}, run.refusal);
            continue;
        }
        if (run.source_home != nullptr) {
            learn_source(worker, fdb, run);
        }
        if (run.destination_home != last_home || !(run.destination == last_destination)) {
            last_home = run.destination_home;
            last_destination = run.destination;
            found = fdb.find(last_home, run.destination, value);
        }
        if (!found || (run.destination.packed & kGroupBit) != 0) [[unlikely]] {
            group.close(worker, run.first);
            const Span packets{run.first, chunk.runs[k + 1].first};
            rte_mbuf* const* stopped = flood_run(worker, packets, *run.arrival, run.destination);
            if (stopped != packets.end || !has_room(stopped)) {
                return stopped;
            }
            continue;
        }
        const std::uint32_t target = value.target();
        if (target != group.target ||
            (run.arrival != group.arrival && !group.takes(*run.arrival, target))) {
            group.close(worker, run.first);
            group = {target, run.arrival, run.first};
        }
    }
    group.close(worker, end);
    return end;
}

}  // namespace

void bridge_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::bridge);
    const fdb::Table::View fdb = worker.tables.fdb.view();
    const std::uint32_t total = in.count;
    std::uint32_t done = 0;
    while (done < total) {
        const std::uint32_t n = std::min(kChunk, total - done);
        rte_mbuf* const* packets = &in.packets[done];
        Chunk chunk;
        find_runs(worker, fdb, packets, n, chunk);
        const auto gone = static_cast<std::uint32_t>(forward(worker, fdb, chunk) - packets);
        done += gone;
        if (gone < n) [[unlikely]] {
            break;
        }
    }
    in.take_front(done);
}

}  // namespace culvert::pipeline
