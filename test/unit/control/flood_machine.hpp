// SPDX-License-Identifier: BSD-3-Clause
// A router with two ports whose worker and control are run by the caller, round by round: what a
// flood does to good traffic is seen without a clock.
#pragma once

#include "lib/control/core.hpp"
#include "lib/control/workers.hpp"
#include "lib/net/arp.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "lib/pipeline/note.hpp"
#include "test/unit/pipeline/fake_port.hpp"

#include <rte_debug.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control::test {

using FloodFrame = std::vector<std::uint8_t>;

enum class Flood : std::uint8_t {
    next_hops,      // packets for on-link stations that do not exist, each for another
    fragments,      // first halves of datagrams for us, each of another
    fragments6,     // the same in IPv6
    arp,            // requests for our address, each from another station
    arp_others,     // requests for others' addresses
    solicitations,  // of our IPv6 address, each from another station
    echo,           // requests for echo
    expired,        // packets whose time to live has run out
};

inline constexpr auto kFloods = {
    Flood::next_hops,
    Flood::fragments,
    Flood::fragments6,
    Flood::arp,
    Flood::arp_others,
    Flood::solicitations,
    Flood::echo,
    Flood::expired};

constexpr std::string_view name_of(Flood flood) {
    switch (flood) {
    case Flood::next_hops:
        return "next hops that are not there";
    case Flood::fragments:
        return "bogus fragments";
    case Flood::fragments6:
        return "bogus IPv6 fragments";
    case Flood::arp:
        return "ARP for us";
    case Flood::arp_others:
        return "ARP for others";
    case Flood::solicitations:
        return "neighbour solicitations";
    case Flood::echo:
        return "echo requests";
    case Flood::expired:
        return "time to live run out";
    }
    return "";
}

// Port 0 is 10.0.0.1/24 and 2001:db8::1/64; port 1 is 20.0.0.1/8, behind which 20.0.0.2 is known.
class FloodMachine {
public:
    static constexpr std::uint32_t kNeighbours = 1024;
    static constexpr std::uint32_t kPackets = 16383;
    // As culvert's: without one a packet that is freed alone costs 100 clocks.
    static constexpr std::uint32_t kCache = 256;

    FloodMachine()
        : pool_(make_pool())
        , core_(Core::create(1, Sizes{4096, 4096, kNeighbours, 4096}, pool_).value())
        , ports_{
              std::make_unique<pipeline::test::FakePort>(0),
              std::make_unique<pipeline::test::FakePort>(1)} {
        core_->set_now_ms(1000);
        pipeline::WorkerConfig config;
        config.start_tsc = core_->start_tsc();
        for (std::uint16_t i = 0; i < 2; ++i) {
            ports_[i]->record_bursts(false);
            PortDescription port;
            port.port_id = i;
            port.device_name = "net_flood" + std::to_string(i);
            port.mac = mac_of_port(i);
            port.max_mtu = 9000;
            links_[i] = core_->links().add_port(port).value();
            config.rx_queues.push_back({i, 0, links_[i]});
            config.tx_paths[i] = {true, 0, 0};
        }
        workers_ = WorkerPool::create(*core_, {config}).value();
        core_->workers().front()->receiving = nullptr;  // always
        add_address(links_[0], "10.0.0.1/24");
        add_address(links_[0], "2001:db8::1/64");
        add_address(links_[1], "20.0.0.1/8");
        know(links_[0], "10.0.0.2");
        know(links_[1], "20.0.0.2");
        core_->settle();
    }

    ~FloodMachine() {
        (void)sent(0);
        (void)sent(1);
        workers_.reset();
        core_.reset();
        ports_[0].reset();
        ports_[1].reset();
        rte_mempool_free(pool_);
    }

    FloodMachine(const FloodMachine&) = delete;
    FloodMachine& operator=(const FloodMachine&) = delete;

    [[nodiscard]] static net::MacAddress mac_of_port(std::uint16_t port) {
        return net::MacAddress::from_value(0x020000000010 + port);
    }

    [[nodiscard]] static net::MacAddress peer() {
        return net::MacAddress::from_value(0x020000000999);
    }

    // From 10.0.0.2 through us to 20.0.0.2.
    [[nodiscard]] static FloodFrame good() {
        return ipv4(0x0a000002, 0x14000002, net::ip_protocol::kUdp, 64, 0);
    }

    // The i-th packet of a flood.
    [[nodiscard]] static FloodFrame of(Flood flood, std::uint32_t i) {
        switch (flood) {
        case Flood::next_hops:
            return ipv4(0x0a000002, 0x14010000 + i, net::ip_protocol::kUdp, 64, 0);
        case Flood::fragments:
            return ipv4(0x0a010000 + (i >> 16), 0x0a000001, net::ip_protocol::kUdp, 64, 0x2000, i);
        case Flood::fragments6:
            return fragment6(i);
        case Flood::arp:
            return arp(0x0a010000 + i, 0x0a000001);
        case Flood::arp_others:
            return arp(0x0a010000 + i, 0x0a0000fe);
        case Flood::solicitations:
            return solicitation(i);
        case Flood::echo:
            return echo(i);
        case Flood::expired:
            return ipv4(0x0a000002, 0x14000002, net::ip_protocol::kUdp, 1, 0);
        }
        return {};
    }

    // False: the port's queue is full.
    bool receive(std::uint16_t port, const FloodFrame& frame) {
        rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
        if (packet == nullptr) {
            return false;
        }
        std::memcpy(
            rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size())),
            frame.data(),
            frame.size()
        );
        if (!ports_[port]->inject(packet)) {
            rte_pktmbuf_free(packet);
            return false;
        }
        return true;
    }

    std::uint32_t poll() { return pipeline::poll_once(*core_->workers().front()); }

    // A turn of control, `ms` later.
    void turn(std::uint64_t ms = 0) {
        core_->set_now_ms(core_->now_ms() + ms);
        core_->turn();
    }

    // What a port sent, as bytes.
    std::vector<FloodFrame> sent(std::uint16_t port) {
        std::vector<FloodFrame> frames;
        for (rte_mbuf* packet : ports_[port]->take_sent()) {
            const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
            frames.emplace_back(data, data + packet->data_len);
            rte_pktmbuf_free(packet);
        }
        return frames;
    }

    // How many of them are good packets that went on; the rest is thrown away.
    std::size_t good_sent() {
        std::size_t count = 0;
        for (rte_mbuf* packet : ports_[1]->take_sent()) {
            const auto* ip = rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, 14);
            count += ip->destination.host() == 0x14000002 ? 1 : 0;
            rte_pktmbuf_free(packet);
        }
        for (rte_mbuf* packet : ports_[0]->take_sent()) {
            rte_pktmbuf_free(packet);
        }
        return count;
    }

    [[nodiscard]] Core& core() { return *core_; }

    [[nodiscard]] LinkId link(std::uint16_t port) const { return links_[port]; }

    [[nodiscard]] std::uint32_t packets_in_use() const { return rte_mempool_in_use_count(pool_); }

    [[nodiscard]] std::uint64_t drops(pipeline::Drop reason) const {
        return core_->drops(links_[0], reason) + core_->drops(links_[1], reason);
    }

    [[nodiscard]] static FloodFrame
    arp(std::uint32_t sender, std::uint32_t target, std::uint16_t operation = net::arp::kRequest) {
        FloodFrame bytes(60);
        const net::EtherHeader ether{net::kBroadcastMac, peer(), net::Be16{net::ether_type::kArp}};
        net::ArpHeader header{};
        header.hardware_type = net::Be16{net::arp::kHardwareEthernet};
        header.protocol_type = net::Be16{net::ether_type::kIpv4};
        header.hardware_length = 6;
        header.protocol_length = 4;
        header.operation = net::Be16{operation};
        header.sender_mac = peer();
        header.sender_ip = net::Be32{sender};
        header.target_ip = net::Be32{target};
        std::memcpy(bytes.data(), &ether, sizeof(ether));
        std::memcpy(bytes.data() + sizeof(ether), &header, sizeof(header));
        return bytes;
    }

    [[nodiscard]] static FloodFrame ipv4(
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t protocol,
        std::uint8_t ttl,
        std::uint16_t flags,
        std::uint32_t id = 1
    ) {
        FloodFrame bytes(64, 0x33);
        const net::EtherHeader ether{mac_of_port(0), peer(), net::Be16{net::ether_type::kIpv4}};
        net::Ipv4Header ip{};
        ip.version_and_ihl = net::kIpv4VersionIhl;
        ip.total_length = net::Be16{std::uint16_t{50}};
        ip.identification = net::Be16{static_cast<std::uint16_t>(id)};
        ip.flags_and_offset = net::Be16{flags};
        ip.time_to_live = ttl;
        ip.protocol = protocol;
        ip.source = net::Be32{source};
        ip.destination = net::Be32{destination};
        ip.checksum = net::ipv4_header_checksum(ip);
        std::memcpy(bytes.data(), &ether, sizeof(ether));
        std::memcpy(bytes.data() + sizeof(ether), &ip, sizeof(ip));
        return bytes;
    }

private:
    static rte_mempool* make_pool() {
        static int made = 0;
        const std::string name = "flood_" + std::to_string(made++);
        return rte_pktmbuf_pool_create(
            name.c_str(), kPackets, kCache, pipeline::kPrivateSize, 2176, SOCKET_ID_ANY
        );
    }

    [[nodiscard]] static FloodFrame echo(std::uint32_t i) {
        FloodFrame bytes = ipv4(0x0a000002, 0x0a000001, net::ip_protocol::kIcmp, 64, 0);
        net::IcmpEchoHeader icmp{};
        icmp.type = net::icmp_type::kEchoRequest;
        icmp.sequence = net::Be16{static_cast<std::uint16_t>(i)};
        std::memcpy(bytes.data() + 34, &icmp, sizeof(icmp));
        const net::Be16 checksum = net::checksum_from_sum(net::sum_bytes(bytes.data() + 34, 30));
        std::memcpy(bytes.data() + 36, &checksum, sizeof(checksum));
        return bytes;
    }

    [[nodiscard]] static net::Ipv6Header
    ipv6(std::uint32_t i, std::uint8_t next_header, std::uint8_t hop_limit, std::size_t payload) {
        net::Ipv6Header ip{};
        ip.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
        ip.payload_length = net::Be16{static_cast<std::uint16_t>(payload)};
        ip.next_header = next_header;
        ip.hop_limit = hop_limit;
        ip.source = net::IpAddress::parse("2001:db8::2:0:0").value().bytes();
        for (std::size_t byte = 0; byte < 4; ++byte) {
            ip.source[15 - byte] = static_cast<std::uint8_t>(i >> (8 * byte));
        }
        ip.destination = net::IpAddress::parse("2001:db8::1").value().bytes();
        return ip;
    }

    [[nodiscard]] static FloodFrame
    frame6(const net::Ipv6Header& ip, const std::vector<std::uint8_t>& payload) {
        FloodFrame bytes(14 + sizeof(ip));
        const net::EtherHeader ether{mac_of_port(0), peer(), net::Be16{net::ether_type::kIpv6}};
        std::memcpy(bytes.data(), &ether, sizeof(ether));
        std::memcpy(bytes.data() + 14, &ip, sizeof(ip));
        bytes.insert(bytes.end(), payload.begin(), payload.end());
        return bytes;
    }

    [[nodiscard]] static FloodFrame fragment6(std::uint32_t i) {
        std::vector<std::uint8_t> payload(8 + 32, 0x33);
        net::Ipv6FragmentHeader header{};
        header.next_header = net::ip_protocol::kUdp;
        header.offset_and_more = net::Be16{1};
        header.identification = net::Be32{i};
        std::memcpy(payload.data(), &header, sizeof(header));
        return frame6(ipv6(1, net::ip_protocol::kFragment, 64, payload.size()), payload);
    }

    [[nodiscard]] static FloodFrame solicitation(std::uint32_t i) {
        const net::Ipv6Header ip = ipv6(i, net::ip_protocol::kIcmpv6, 255, 32);
        std::vector<std::uint8_t> message(32);
        message[0] = net::icmpv6_type::kNeighborSolicitation;
        std::copy(ip.destination.begin(), ip.destination.end(), message.begin() + 8);
        message[24] = 1;
        message[25] = 1;
        const auto mac = peer();
        std::copy(mac.bytes.begin(), mac.bytes.end(), message.begin() + 26);
        const std::uint64_t sum = net::sum_add(
            net::pseudo_header_sum_v6(ip.source, ip.destination, net::ip_protocol::kIcmpv6, 32),
            net::sum_bytes(message.data(), message.size())
        );
        const net::Be16 checksum = net::checksum_from_sum(sum);
        std::memcpy(message.data() + 2, &checksum, sizeof(checksum));
        return frame6(ip, message);
    }

    void add_address(LinkId link, const std::string& text) {
        route::Address address;
        address.link = link;
        address.prefix = net::Prefix::parse(text).value();
        address.nodad = true;
        RTE_VERIFY(core_->routing().add_address(address, false).has_value());
    }

    void know(LinkId link, const std::string& text) {
        const Result<void> known = core_->routing().neighbours().set(
            route::NeighbourTable::Verb::add,
            {link, net::IpAddress::parse(text).value()},
            peer(),
            route::NeighbourState::permanent,
            false,
            core_->now_ms()
        );
        RTE_VERIFY(known.has_value());
    }

    rte_mempool* pool_;
    std::unique_ptr<Core> core_;
    std::unique_ptr<WorkerPool> workers_;
    std::unique_ptr<pipeline::test::FakePort> ports_[2];
    LinkId links_[2]{};
};

}  // namespace culvert::control::test
