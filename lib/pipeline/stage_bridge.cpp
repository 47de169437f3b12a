// SPDX-License-Identifier: BSD-3-Clause
// The bridge: frames from a member, or from the bridge's own address (link_in is then the bridge
// itself). For every 32 packets: read the MACs, look up all sources and destinations at once,
// learn, forward. A MAC seen twice in a row is looked up once.
#include "lib/net/ether.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/worker.hpp"

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kChunk = 32;
constexpr std::uint64_t kLinkLocalGroup = 0x0180c2000000;  // 01:80:c2:00:00:00 to :0f
// What a VLAN tag may add to a frame beyond the MTU and the Ethernet header (is_skb_forwardable).
constexpr std::uint32_t kFrameOverhead = sizeof(net::EtherHeader) + sizeof(net::VlanHeader);
constexpr std::uint8_t kNoSource = 0xff;

// A packet on its way through the chunk.
struct Frame {
    rte_mbuf* packet;
    const Link* in;  // member, or the bridge itself
    const Link* bridge;
    std::uint64_t destination;  // fdb::Key's packed form
    std::uint8_t
        source_index;  // among the chunk's different sources; kNoSource = not to be learned
    std::uint8_t lookup_index;  // among its different destinations
};

// Sources grow downwards and destinations upwards from the middle, so that together they are one
// array to look up.
struct Chunk {
    Scratch<Frame, kChunk> frames;
    Scratch<fdb::Key, std::size_t{2} * kChunk> keys;
    Scratch<fdb::Value, std::size_t{2} * kChunk> values;
    std::uint64_t found = 0;  // bit i = values[first + i]
    std::uint32_t first = kChunk;
    std::uint32_t count = 0;  // frames
    std::uint32_t sources = 0;
    std::uint32_t destinations = 0;

    [[nodiscard]] std::uint32_t at_source(const Frame& frame) const noexcept {
        return kChunk - 1 - frame.source_index;
    }

    [[nodiscard]] std::uint32_t at_destination(const Frame& frame) const noexcept {
        return kChunk + frame.lookup_index;
    }

    [[nodiscard]] bool is_found(std::uint32_t at) const noexcept {
        return (found >> (at - first) & 1) != 0;
    }
};

// What a run of packets from one link shares.
struct Arrival {
    LinkId id = kNoLink;
    const Link* in = nullptr;
    const Link* bridge = nullptr;
    bool learning = false;
    bool refused = false;
    Drop refusal = Drop::link_gone;
};

// What a run of packets to one target shares.
struct Departure {
    std::uint32_t target = 0;
    const Link* in = nullptr;
    const Link* to = nullptr;
    std::uint32_t max_frame = 0;
};

enum class Traffic : std::uint8_t { unknown_unicast, multicast, broadcast };

Arrival look_at_link(const Worker& worker, LinkId id) noexcept {
    Arrival arrival;
    arrival.id = id;
    arrival.in = worker.tables.links.read(id);
    arrival.refused = true;
    if (arrival.in == nullptr) {
        return arrival;
    }
    const bool own = arrival.in->kind == LinkKind::bridge;
    arrival.bridge = own ? arrival.in : worker.tables.links.read(arrival.in->master);
    if (arrival.bridge == nullptr || arrival.bridge->kind != LinkKind::bridge) {
        return arrival;
    }
    arrival.refusal = Drop::link_down_rx;
    arrival.refused = !arrival.in->up || !arrival.bridge->up;
    arrival.learning = !own && arrival.in->bridge_port.learning;
    return arrival;
}

// Why a frame is not to be forwarded, whoever it is for.
[[gnu::cold]] bool refuse_group(
    Worker& worker, rte_mbuf* packet, const Arrival& arrival, std::uint64_t destination
) noexcept {
    const bool own = arrival.in == arrival.bridge;
    // 00 is STP, which is off: forwarded like any group. The others stay on their segment.
    if (own || (destination & ~std::uint64_t{0xf}) != kLinkLocalGroup ||
        destination == kLinkLocalGroup) {
        return false;
    }
    worker.drop(packet, arrival.id, Drop::bridge_link_local);
    return true;
}

// Reads MACs, drops what no bridge takes, and lists what is to be looked up.
void read_frames(Worker& worker, rte_mbuf* const* packets, std::uint32_t n, Chunk& chunk) noexcept {
    Arrival arrival;
    std::uint64_t last_source = 0;
    std::uint64_t last_destination = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* packet = packets[i];
        if (const LinkId id = note(packet).link_in; id != arrival.id || i == 0) [[unlikely]] {
            arrival = look_at_link(worker, id);
        }
        if (arrival.refused) [[unlikely]] {
            worker.drop(packet, arrival.id, arrival.refusal);
            continue;
        }
        if (rte_pktmbuf_data_len(packet) < sizeof(net::EtherHeader)) [[unlikely]] {
            worker.drop(packet, arrival.id, Drop::ether_truncated);
            continue;
        }
        const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        const std::uint64_t destination = mac_and_two_more(data);
        const std::uint64_t source = mac_and_two_more(data + 6);
        Frame& frame = chunk.frames[chunk.count];
        frame = {
            packet, arrival.in, arrival.bridge, fdb_key(destination, arrival.bridge->id), 0, 0};
        const bool source_is_group = (source >> 56 & 1) != 0;
        if ((source_is_group || source >> 16 == 0) && arrival.in != arrival.bridge) [[unlikely]] {
            worker.drop(packet, arrival.id, Drop::bridge_source_invalid);
            continue;
        }
        if ((data[0] & 1) != 0 && refuse_group(worker, packet, arrival, destination >> 16))
            [[unlikely]] {
            continue;
        }
        frame.source_index = kNoSource;
        if (arrival.learning) {
            const std::uint64_t key = fdb_key(source, arrival.bridge->id);
            chunk.sources += key != last_source ? 1U : 0U;
            frame.source_index = static_cast<std::uint8_t>(chunk.sources - 1);
            chunk.keys[chunk.at_source(frame)] = {key};
            last_source = key;
        }
        chunk.destinations += frame.destination != last_destination ? 1U : 0U;
        frame.lookup_index = static_cast<std::uint8_t>(chunk.destinations - 1);
        chunk.keys[chunk.at_destination(frame)] = {frame.destination};
        last_destination = frame.destination;
        ++chunk.count;
    }
}

void look_up(Worker& worker, Chunk& chunk) noexcept {
    chunk.first = kChunk - chunk.sources;
    chunk.found = worker.tables.fdb.find_bulk(
        &chunk.keys[chunk.first], &chunk.values[chunk.first], chunk.sources + chunk.destinations
    );
}

// The source's entry is missing, elsewhere, or has an old stamp.
[[gnu::noinline]] void
learn(Worker& worker, const Frame& frame, fdb::Key key, fdb::Value value, bool found) noexcept {
    if (found && value.target() == frame.in->id) {
        worker.tables.fdb.refresh(key, value, worker.now_s);
        return;
    }
    // A static entry does not move; the bridge's own addresses are static entries, too.
    if (found && (value.is_pinned() || value.target() == frame.bridge->id)) {
        return;
    }
    fdb::LearnEvent event;
    event.mac = key.mac();
    event.domain = frame.bridge->id;
    event.port = frame.in->id;
    worker.learned(event);
}

void learn_sources(Worker& worker, const Chunk& chunk) noexcept {
    for (std::uint32_t i = 0; i < chunk.count; ++i) {
        const Frame& frame = chunk.frames[i];
        if (frame.source_index == kNoSource) {
            continue;
        }
        const std::uint32_t at = chunk.at_source(frame);
        const fdb::Value value = chunk.values[at];
        const bool found = chunk.is_found(at);
        if (found && value.target() == frame.in->id && value.used_s == worker.now_s) [[likely]] {
            continue;
        }
        learn(worker, frame, chunk.keys[at], value, found);
    }
}

// Counts the pass. False: the packet is gone.
bool enter(Worker& worker, const Frame& frame, TxTally& own_tx) noexcept {
    if (frame.in == frame.bridge) {
        own_tx.add(frame.bridge->id, rte_pktmbuf_pkt_len(frame.packet));
    }
    if (++note(frame.packet).depth > kMaxDepth) [[unlikely]] {
        worker.drop(frame.packet, frame.bridge->id, Drop::depth_exceeded);
        return false;
    }
    return true;
}

// To the bridge's own address.
void pass_up(Worker& worker, rte_mbuf* packet, const Link& bridge) noexcept {
    note(packet).link_in = bridge.id;
    worker.enqueue(Stage::ethernet, packet);
}

// How many packets find room ahead, whichever way they go. Members are never bridges.
std::uint32_t room_ahead(Worker& worker) noexcept {
    return std::min(
        {worker.vector(Stage::port_tx).room(),
         worker.vector(Stage::vxlan_push).room(),
         worker.vector(Stage::ethernet).room()}
    );
}

// True when `needed` packets find room. Nothing holds more than a vector of them: what is to be
// flooded to more members starts with empty ones.
bool make_room(Worker& worker, std::uint32_t needed) noexcept {
    if (needed <= room_ahead(worker)) [[likely]] {
        return true;
    }
    port_tx_stage(worker);
    const std::uint32_t room = room_ahead(worker);
    return needed <= room || room == kVectorSize;
}

void send_to(Worker& worker, rte_mbuf* packet, const Link& to) noexcept {
    if (!make_room(worker, 1)) [[unlikely]] {
        worker.drop(packet, to.id, Drop::vector_full);
        return;
    }
    if (rte_pktmbuf_pkt_len(packet) > to.mtu + kFrameOverhead) [[unlikely]] {
        worker.drop(packet, to.id, Drop::bridge_mtu_exceeded);
        return;
    }
    worker.output(packet, to);
}

// should_deliver(): may what came in by `in` leave by `to`?
bool is_allowed(const Link& in, const Link& to) noexcept {
    return to.up && (&in != &to || to.bridge_port.hairpin) &&
           !(in.bridge_port.isolated && to.bridge_port.isolated);
}

bool floods(const BridgePort& port, Traffic traffic, bool own) noexcept {
    switch (traffic) {
    case Traffic::unknown_unicast:
        return port.flood;
    case Traffic::multicast:
        return port.mcast_flood || own;
    default:
        return port.bcast_flood || own;
    }
}

// A copy goes to `to`; the packet itself stays for the last target.
void send_copy(Worker& worker, rte_mbuf* packet, const Link& to) noexcept {
    note(packet).link_out = to.id;
    if (rte_mbuf* twin = worker.copy(packet); twin != nullptr) [[likely]] {
        send_to(worker, twin, to);
    }
}

Traffic traffic_of(std::uint64_t key) noexcept {
    if ((key >> 56 & 1) == 0) {
        return Traffic::unknown_unicast;
    }
    return key >> 16 == net::kBroadcastMac.value() ? Traffic::broadcast : Traffic::multicast;
}

void flood(Worker& worker, const Frame& frame) noexcept {
    const Traffic traffic = traffic_of(frame.destination);
    const bool own = frame.in == frame.bridge;
    const Link* previous = nullptr;
    for (const LinkId member : frame.bridge->members) {
        const Link* to = worker.tables.links.read(member);
        if (to == nullptr || to->master != frame.bridge->id || !is_allowed(*frame.in, *to) ||
            !floods(to->bridge_port, traffic, own)) {
            continue;
        }
        if (previous != nullptr) {
            send_copy(worker, frame.packet, *previous);
        }
        previous = to;
    }
    if (traffic != Traffic::unknown_unicast && !own && frame.bridge->has_address) {
        if (previous != nullptr) {
            send_copy(worker, frame.packet, *previous);
        }
        pass_up(worker, frame.packet, *frame.bridge);
    } else if (previous != nullptr) {
        send_to(worker, frame.packet, *previous);
    } else {
        worker.drop(frame.packet, frame.in->id, Drop::bridge_no_port);
    }
}

// Known unicast whose way is not the last packet's: finds the way, or why there is none.
[[gnu::noinline]] bool
find_way(Worker& worker, const Frame& frame, std::uint32_t target, Departure& way) noexcept {
    way = {};
    const auto refuse = [&](LinkId link, Drop reason) {
        worker.drop(frame.packet, link, reason);
        return false;
    };
    if (target == frame.bridge->id) {
        if (frame.in == frame.bridge) {
            return refuse(frame.in->id, Drop::bridge_same_port);
        }
        pass_up(worker, frame.packet, *frame.bridge);
        return false;
    }
    const Link* to = target < kMaxLinks ? worker.tables.links.read(target) : nullptr;
    if (to == nullptr || to->master != frame.bridge->id) {
        return refuse(frame.in->id, Drop::link_gone);
    }
    if (to == frame.in && !to->bridge_port.hairpin) {
        return refuse(frame.in->id, Drop::bridge_same_port);
    }
    if (!is_allowed(*frame.in, *to)) {
        return refuse(frame.in->id, Drop::bridge_no_port);
    }
    way = {target, frame.in, to, to->mtu + kFrameOverhead};
    return true;
}

void forward_known(
    Worker& worker, const Frame& frame, std::uint32_t target, Departure& way
) noexcept {
    if (way.target != target || way.in != frame.in) [[unlikely]] {
        if (!find_way(worker, frame, target, way)) {
            return;
        }
    }
    if (rte_pktmbuf_pkt_len(frame.packet) > way.max_frame) [[unlikely]] {
        worker.drop(frame.packet, way.to->id, Drop::bridge_mtu_exceeded);
        return;
    }
    worker.output(frame.packet, *way.to);
}

// Returns how many of the chunk's frames went their way.
std::uint32_t forward(Worker& worker, const Chunk& chunk) noexcept {
    Departure way;
    TxTally own_tx(worker.counters);
    // Every packet needs one place but those that are flooded.
    std::uint32_t sure = room_ahead(worker);
    for (std::uint32_t i = 0; i < chunk.count; ++i) {
        const Frame& frame = chunk.frames[i];
        const std::uint32_t at = chunk.at_destination(frame);
        const bool known = chunk.is_found(at) && (frame.destination >> 56 & 1) == 0;
        const auto needed =
            known ? 1U : static_cast<std::uint32_t>(frame.bridge->members.size()) + 1;
        if (sure < needed) [[unlikely]] {
            if (!make_room(worker, needed)) {
                return i;
            }
            sure = std::max(needed, room_ahead(worker));
        }
        sure -= needed;
        if (!enter(worker, frame, own_tx)) [[unlikely]] {
            continue;
        }
        if (known) [[likely]] {
            forward_known(worker, frame, chunk.values[at].target(), way);
        } else {
            flood(worker, frame);
        }
    }
    return chunk.count;
}

}  // namespace

void bridge_stage(Worker& worker) noexcept {
    Vector& in = worker.vector(Stage::bridge);
    const std::uint32_t total = in.count;
    std::uint32_t done = 0;
    while (done < total) {
        const std::uint32_t n = std::min(kChunk, total - done);
        Chunk chunk;
        read_frames(worker, &in.packets[done], n, chunk);
        look_up(worker, chunk);
        learn_sources(worker, chunk);
        const std::uint32_t gone = forward(worker, chunk);
        // What found no room goes back to its place, behind what is done.
        done += n - (chunk.count - gone);
        for (std::uint32_t i = gone; i < chunk.count; ++i) {
            in.packets[done + i - gone] = chunk.frames[i].packet;
        }
        if (gone < chunk.count) {
            break;
        }
    }
    in.take_front(done);
}

}  // namespace culvert::pipeline
