// SPDX-License-Identifier: BSD-3-Clause
// A core with one worker that never runs: the test reads its rings. Time stands still unless the
// test moves it.
#pragma once

#include "lib/control/core.hpp"
#include "lib/control/tunnels.hpp"
#include "lib/control/workers.hpp"
#include "lib/net/arp.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/note.hpp"

#include <catch2/catch.hpp>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace culvert::control::test {

inline net::MacAddress mac(const std::string& text) {
    return net::MacAddress::parse(text).value();
}

inline net::IpAddress ip(const std::string& text) {
    return net::IpAddress::parse(text).value();
}

inline net::Prefix prefix(const std::string& text) {
    return net::Prefix::parse(text).value();
}

struct CoreFixture {
    CoreFixture() {
        static int made = 0;
        const std::string name = "control_test_" + std::to_string(made++);
        pool = rte_pktmbuf_pool_create(
            name.c_str(), 2047, 0, pipeline::kPrivateSize, 2176, SOCKET_ID_ANY
        );
        REQUIRE(pool != nullptr);
        core = Core::create(1, Sizes{4096, 4096, 1024}, pool).value();
        core->set_now_ms(1000);
        core->on_event([this](const Event& event) { events.push_back(event); });
        pipeline::WorkerConfig config;
        config.start_tsc = core->start_tsc();
        workers = WorkerPool::create(*core, {config}).value();
    }

    // Whatever a test did, every packet has had its fate by the end.
    ~CoreFixture() {
        while (rte_mbuf* packet = sent()) {
            rte_pktmbuf_free(packet);
        }
        workers.reset();
        core.reset();
        CHECK(rte_mempool_avail_count(pool) == pool->size);
        rte_mempool_free(pool);
    }

    CoreFixture(const CoreFixture&) = delete;
    CoreFixture& operator=(const CoreFixture&) = delete;

    // The next frame that control gave to the worker; nullptr = none.
    rte_mbuf* sent() {
        void* packet = nullptr;
        if (rte_ring_dequeue(core->workers().front()->rings.from_control, &packet) != 0) {
            return nullptr;
        }
        core->worker_counters(0).sent.add(1);
        return static_cast<rte_mbuf*>(packet);
    }

    // The same as bytes; empty = none.
    std::vector<std::uint8_t> sent_bytes(LinkId* link = nullptr) {
        rte_mbuf* packet = sent();
        if (packet == nullptr) {
            return {};
        }
        const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        std::vector<std::uint8_t> bytes(data, data + packet->data_len);
        if (link != nullptr) {
            *link = pipeline::note(packet).link_out;
        }
        rte_pktmbuf_free(packet);
        return bytes;
    }

    // A packet as a worker hands it to control.
    rte_mbuf* packet(const std::vector<std::uint8_t>& bytes, pipeline::Punt why, LinkId link_in) {
        rte_mbuf* made = rte_pktmbuf_alloc(pool);
        REQUIRE(made != nullptr);
        std::memcpy(
            rte_pktmbuf_append(made, static_cast<std::uint16_t>(bytes.size())),
            bytes.data(),
            bytes.size()
        );
        pipeline::Note& note = pipeline::note(made);
        note = pipeline::Note{};
        note.punt = why;
        note.link_in = link_in;
        note.l3_offset = 14;
        return made;
    }

    // Control has it when it looks next.
    void offer(const std::vector<std::uint8_t>& bytes, pipeline::Punt why, LinkId link_in) {
        REQUIRE(
            rte_ring_enqueue(
                core->workers().front()->rings.to_control, packet(bytes, why, link_in)
            ) == 0
        );
        core->own_counters().received.add(1);
    }

    void punt(const std::vector<std::uint8_t>& bytes, pipeline::Punt why, LinkId link_in) {
        offer(bytes, why, link_in);
        core->turn();
    }

    LinkId add_port(std::uint16_t number) {
        PortDescription port;
        port.port_id = number;
        port.device_name = "net_test" + std::to_string(number);
        port.mac = net::MacAddress::from_value(0x020000000010 + number);
        port.max_mtu = 9000;
        return core->links().add_port(port).value();
    }

    // Without an IPv6 address of its own, whose detection of duplicates would be among what is
    // sent.
    LinkId add_quiet_port(std::uint16_t number) {
        const LinkId port = add_port(number);
        LinkSetRequest request;
        request.link_local = false;
        REQUIRE(core->links().set(port, request));
        return port;
    }

    LinkId add_link(const std::string& name, pipeline::LinkKind kind) {
        LinkAddRequest request;
        request.name = name;
        request.kind = kind;
        return core->links().add(request).value();
    }

    static LinkAddRequest vxlan(const std::string& name, std::uint32_t vni) {
        LinkAddRequest request;
        request.name = name;
        request.kind = pipeline::LinkKind::vxlan;
        request.vxlan.vni = vni;
        return request;
    }

    void add_address(LinkId link, const std::string& text) {
        route::Address address;
        address.link = link;
        address.prefix = prefix(text);
        REQUIRE(core->routing().add_address(address, false));
        core->settle();
    }

    Result<void> up(LinkId link, bool is_up = true) {
        LinkSetRequest request;
        request.up = is_up;
        return core->links().set(link, request);
    }

    Result<void> set_master(LinkId link, const std::string& bridge) {
        LinkSetRequest request;
        request.master = bridge;
        return core->links().set(link, request);
    }

    const LinkRecord& record(LinkId link) { return *core->links().find(link); }

    const pipeline::Link& published(LinkId link) {
        const pipeline::Link* found = core->published_links().read(link);
        REQUIRE(found != nullptr);
        return *found;
    }

    bool is_open(std::uint16_t port, std::uint32_t vni) {
        std::uint64_t link = 0;
        return core->vxlan_demux().find(encap::VxlanKey::make(port, vni), link);
    }

    bool has_socket(std::uint16_t port) {
        std::uint64_t link = 0;
        return core->vxlan_demux().find(encap::VxlanKey::socket(port), link);
    }

    // Remotes of a MAC in a vxlan's FDB, as "address:port/vni via link".
    std::vector<fdb::Remote> remotes(LinkId link, const net::MacAddress& address) {
        auto entry = core->fdb().get(link, address);
        if (!entry) {
            return {};
        }
        return core->remote_lists().find(entry->value.target())->remotes;
    }

    rte_mempool* pool = nullptr;
    std::unique_ptr<Core> core;
    std::unique_ptr<WorkerPool> workers;
    std::vector<Event> events;
};

}  // namespace culvert::control::test
