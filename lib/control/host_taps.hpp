// SPDX-License-Identifier: BSD-3-Clause
// Links' taps into this machine's kernel (`link set NAME host tap TAP`): what is for an address of
// ours and is answered neither by workers nor by the slow path goes there, and what the kernel
// sends there leaves by the link, so that SSH, BGP or DHCP can live on an underlay address. Control
// only; workers bound what they hand over (Worker::drop_and_tell), so forwarding never waits.
#pragma once

#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/result.hpp"
#include "lib/pipeline/drop.hpp"

#include <cstdint>
#include <map>
#include <string>

struct rte_mbuf;

namespace culvert::control {

class Core;
struct LinkRecord;

class HostTaps {
public:
    explicit HostTaps(Core& core)
        : core_(core) {}

    ~HostTaps();
    HostTaps(const HostTaps&) = delete;
    HostTaps& operator=(const HostTaps&) = delete;

    // The kernel's device `name`, up, with the link's MAC and MTU. It goes with close(). Error: the
    // kernel's.
    Result<void> open(const LinkRecord& link, const std::string& name);
    void close(LinkId link);
    // The link's MAC or MTU is another.
    void follow(const LinkRecord& link);

    [[nodiscard]] bool has(LinkId link) const { return taps_.contains(link); }

    // A whole frame that came in by the link, for its tap. Takes the packet, which has a fate:
    // consumed, or dropped as host_tap_full.
    void deliver(LinkId link, rte_mbuf* frame);
    // The same, but the packet stays the caller's, and is not counted.
    void copy(LinkId link, const rte_mbuf* frame);
    // Both of a packet whose note says by which link it came, and where its IP header is: a plain
    // Ethernet header stands in front of that.
    void give(rte_mbuf* packet);
    // give(), or a drop for `reason` where the link has no tap: nothing here takes the packet.
    void give_or_drop(rte_mbuf* packet, pipeline::Drop reason);
    void copy_packet(rte_mbuf* packet);

    // Readable when the kernel has sent something; -1 before the first open().
    [[nodiscard]] int fd() const noexcept { return epoll_; }

    // Takes what the kernel has sent, a bounded number of frames.
    void serve();

private:
    struct Tap {
        int fd = -1;
        std::string name;
    };

    [[nodiscard]] static bool write(const Tap& tap, const rte_mbuf* frame);
    void read(LinkId link, const Tap& tap);

    Core& core_;
    int epoll_ = -1;
    std::map<LinkId, Tap> taps_;
};

}  // namespace culvert::control
