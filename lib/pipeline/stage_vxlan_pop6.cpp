// SPDX-License-Identifier: BSD-3-Clause
// The vxlan_pop6 stage: VXLAN over IPv6. The same checks in the same order as the vxlan_pop stage
// (VXLAN-RX-18); what is new is who may come without a UDP checksum (VXLAN-SOCK-11), and senders
// and devices that are known on one link alone (VXLAN-SOCK-06, VXLAN-LRN-07).
#include "lib/encap/vxlan_pop6.hpp"
#include "lib/net/icmp.hpp"
#include "lib/pipeline/frame.hpp"
#include "lib/pipeline/scratch.hpp"
#include "lib/pipeline/tally.hpp"
#include "lib/pipeline/vxlan_inner.hpp"
#include "lib/pipeline/worker.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace culvert::pipeline {

namespace {

using encap::VxlanKey;

class VxlanPop6 {
public:
    static constexpr std::uint32_t kChunk = 32;

    explicit VxlanPop6(Worker& worker) noexcept
        : worker_(worker)
        , demux_(worker.tables.vxlan_demux.view())
        , fdb_(worker.tables.fdb.view())
        , vrf_(worker.routed_by.vrf)
        , rx_(worker.counters) {}

    // All of `count` packets, at most kChunk. Precondition: room for them behind Worker::input.
    void run(rte_mbuf* const* packets, std::uint32_t count) noexcept {
        read(packets, count);
        find_links();
        for (std::uint32_t i = 0; i < count_; ++i) {
            deliver(items_[i]);
        }
    }

private:
    // Never constructed: it lies in a Scratch.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    struct Item {
        rte_mbuf* packet;
        const Link* link;  // nullptr = the packet is gone
        encap::VxlanOuter6 outer;
        VxlanKey tunnel;
        VxlanDemux::View::Home tunnel_home;
        fdb::Key source;
        fdb::Table::View::Home source_home;  // nullptr = not to be learned
        LinkId link_in;
        bool plain;    // nothing reserved is set
        bool repeats;  // the station and the sender are those of the packet before
    };

    void read(rte_mbuf* const* packets, std::uint32_t count) noexcept;
    void find_links() noexcept;
    [[nodiscard]] const Link* find_link(const Item& item) const noexcept;
    bool sort_out(rte_mbuf* packet, encap::VxlanOuter6& outer) noexcept;
    void refuse_port(rte_mbuf* packet) noexcept;
    bool find_source(Item& item, const Item* last) noexcept;
    bool learn(const Item& item) noexcept;
    void deliver(Item& item) noexcept;

    void drop(Item& item, LinkId link, Drop reason) noexcept {
        worker_.drop(item.packet, link, reason);
        item.link = nullptr;
    }

    Worker& worker_;
    const VxlanDemux::View demux_;
    const fdb::Table::View fdb_;
    const LinkId vrf_;
    RxTally rx_;
    bool heard_ = false;  // what learn() last said
    std::uint32_t count_ = 0;
    Scratch<Item, kChunk> items_;  // the first count_ are set
};

[[gnu::noinline]] void VxlanPop6::refuse_port(rte_mbuf* packet) noexcept {
    worker_.drop_and_tell(
        packet,
        note(packet).link_in,
        Drop::udp_no_port,
        unreachable6(net::icmpv6_unreachable::kPort)
    );
}

// The packet at hand is not a plain one, or nobody has its VNI. False: it is dropped. True: its
// headers are sound, and `outer` is set.
[[gnu::cold]] bool VxlanPop6::sort_out(rte_mbuf* packet, encap::VxlanOuter6& outer) noexcept {
    const std::uint16_t l3_offset = note(packet).l3_offset;
    const auto refuse = [&](Drop reason) {
        worker_.drop(packet, note(packet).link_in, reason);
        return false;
    };
    switch (encap::examine_udp6(packet, l3_offset)) {
    case encap::UdpVerdict::good:
        break;
    case encap::UdpVerdict::truncated:
        return refuse(Drop::udp_truncated);
    case encap::UdpVerdict::length:
        return refuse(Drop::udp_length);
    case encap::UdpVerdict::checksum:
        return refuse(Drop::udp_checksum);
    }
    const std::uint16_t offset = encap::udp_offset_of6(packet, l3_offset);
    const auto& udp = *rte_pktmbuf_mtod_offset(packet, const net::UdpHeader*, offset);
    std::uint64_t socket = 0;
    const auto key = VxlanKey::socket_ipv6(udp.destination.host(), vrf_);
    const bool is_open = worker_.tables.vxlan_demux.find(key, socket);
    if (udp.checksum.raw() == 0 && (socket & VxlanKey::kNoChecksum) == 0) {
        return refuse(Drop::udp_no_checksum);
    }
    if (!is_open) {
        refuse_port(packet);
        return false;
    }
    switch (encap::examine_vxlan6(packet, l3_offset, outer)) {
    case encap::VxlanVerdict::good:
        return true;
    case encap::VxlanVerdict::truncated:
        return refuse(Drop::vxlan_truncated);
    case encap::VxlanVerdict::no_vni_flag:
        break;
    }
    return refuse(Drop::vxlan_no_vni_flag);
}

// Keeps the packets whose headers are sound, and asks for their tunnels' lines.
void VxlanPop6::read(rte_mbuf* const* packets, std::uint32_t count) noexcept {
    count_ = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        Item& item = items_[count_];
        item.plain = encap::vxlan_parse6(packet, note(packet).l3_offset, item.outer);
        if (!item.plain && !sort_out(packet, item.outer)) [[unlikely]] {
            continue;
        }
        item.packet = packet;
        item.link_in = note(packet).link_in;
        item.tunnel = VxlanKey::make_ipv6(item.outer.udp_port, item.outer.vni, vrf_);
        const bool is_last_tunnel = count_ != 0 && items_[count_ - 1].tunnel == item.tunnel;
        item.tunnel_home =
            is_last_tunnel ? items_[count_ - 1].tunnel_home : demux_.prefetch(item.tunnel);
        ++count_;
    }
}

const Link* VxlanPop6::find_link(const Item& item) const noexcept {
    std::uint64_t id = kNoLink;
    if (demux_.find(item.tunnel_home, item.tunnel, id)) [[likely]] {
        return worker_.tables.links.read(static_cast<LinkId>(id));
    }
    // VXLAN-SOCK-06
    const auto here = VxlanKey::make_ipv6(item.outer.udp_port, item.outer.vni, item.link_in);
    return worker_.tables.vxlan_demux.find(here, id)
               ? worker_.tables.links.read(static_cast<LinkId>(id))
               : nullptr;
}

// Whose packets they are; asks for the lines of the inner sources.
void VxlanPop6::find_links() noexcept {
    const Item* last = nullptr;  // whose source was looked at
    const Link* link = nullptr;  // of the packet before
    for (std::uint32_t i = 0; i < count_; ++i) {
        Item& item = items_[i];
        if (i == 0 || item.tunnel != items_[i - 1].tunnel ||
            item.link_in != items_[i - 1].link_in) {
            link = find_link(item);
        }
        item.link = link;
        if (link == nullptr) [[unlikely]] {
            // The socket may be closed, too.
            if (sort_out(item.packet, item.outer)) {
                drop(item, item.link_in, Drop::vxlan_unknown_vni);
            }
        } else if (!item.outer.has_checksum && !link->vxlan.no_checksum6_rx) [[unlikely]] {
            drop(item, item.link_in, Drop::udp_no_checksum);
        } else if (item.packet->data_len < item.outer.frame_offset + sizeof(net::EtherHeader))
            [[unlikely]] {
            drop(item, link->id, Drop::vxlan_inner_truncated);
        } else if (!item.plain && encap::has_reserved_bits6(item.packet, item.outer)) [[unlikely]] {
            drop(item, link->id, Drop::vxlan_reserved_bits);
        } else if (find_source(item, last)) {
            encap::vxlan_strip(item.packet, item.outer.frame_offset);
            last = &item;
        }
    }
}

// False: dropped. `last`: the packet before that was not, or nullptr.
bool VxlanPop6::find_source(Item& item, const Item* last) noexcept {
    constexpr std::uint16_t kSource = offsetof(net::EtherHeader, source);
    const Link& link = *item.link;
    const std::uint64_t mac = fdb_key(
        mac_and_two_more(rte_pktmbuf_mtod_offset(
            item.packet, const std::uint8_t*, item.outer.frame_offset + kSource
        )),
        0
    );
    item.source_home = nullptr;
    item.repeats = false;
    if (mac == link.mac.value() << 16) [[unlikely]] {
        drop(item, link.id, Drop::vxlan_own_source);
        return false;
    }
    if (!link.vxlan.learning) {
        return true;
    }
    if (mac == 0 || (mac & kGroupBit) != 0) [[unlikely]] {
        drop(item, link.id, Drop::vxlan_source_invalid);
        return false;
    }
    item.source = {mac | link.id};
    item.repeats = last != nullptr && last->source_home != nullptr && last->source == item.source &&
                   last->outer.source == item.outer.source && last->link_in == item.link_in;
    item.source_home = item.repeats ? last->source_home : fdb_.prefetch(item.source);
    return true;
}

// VXLAN-LRN-03..07. False: the source has a static entry elsewhere.
bool VxlanPop6::learn(const Item& item) noexcept {
    const Tables& tables = worker_.tables;
    const net::IpAddress& from = item.outer.source;
    const LinkId via = from.is_link_local_v6() ? item.link_in : kNoLink;
    fdb::Value value;
    if (fdb_.find(item.source_home, item.source, value)) [[likely]] {
        tables.fdb.refresh(item.source, value, worker_.now_s);
        const encap::VxlanDestination* known = tables.vxlan_destinations.read(value.target());
        if (known != nullptr && known->first_address == from && known->first_via == via)
            [[likely]] {
            return true;
        }
        if (value.is_pinned()) {
            return false;
        }
    }
    worker_.learned(fdb::LearnEvent{from, item.source.mac(), item.link->id, via, {}});
    return true;
}

void VxlanPop6::deliver(Item& item) noexcept {
    if (item.link == nullptr) [[unlikely]] {
        return;
    }
    rte_mbuf* packet = item.packet;
    const Link& link = *item.link;
    if (item.source_home != nullptr && !item.repeats) {
        heard_ = learn(item);
    }
    if (item.source_home != nullptr && !heard_) [[unlikely]] {
        drop(item, link.id, Drop::vxlan_source_pinned);
    } else if (check_vxlan_inner(worker_, packet, link, item.outer.traffic_class)) [[likely]] {
        rx_.add(link.id, packet->pkt_len - sizeof(net::EtherHeader));  // VXLAN-RX-15
        worker_.input(packet, link);
    }
}

}  // namespace

void vxlan_pop6_stage(Worker& worker) noexcept {
    Vector& vector = worker.vector(Stage::vxlan_pop6);
    const std::uint32_t room =
        std::min(worker.vector(Stage::ethernet).room(), worker.vector(Stage::bridge).room());
    const std::uint32_t count = std::min(vector.count, room);
    if (count == 0) {
        return;
    }
    VxlanPop6 pop(worker);
    for (std::uint32_t done = 0; done < count; done += VxlanPop6::kChunk) {
        pop.run(&vector.packets[done], std::min(count - done, VxlanPop6::kChunk));
    }
    vector.take_front(count);
}

}  // namespace culvert::pipeline
