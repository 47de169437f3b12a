// SPDX-License-Identifier: BSD-3-Clause
// A whole culvert with four ports whose worker and control are run by the test: commands and frames
// in, frames out.
#pragma once

#include "lib/control/command.hpp"
#include "lib/control/workers.hpp"
#include "test/unit/control/command_fixture.hpp"
#include "test/unit/pipeline/fake_port.hpp"
#include "test/unit/pipeline/packet.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace culvert::control::test {

using pipeline::test::Bytes;
using pipeline::test::Ipv4Options;
using pipeline::test::Packet;

class VrfMachine {
public:
    static constexpr std::uint16_t kPorts = 4;

    VrfMachine() {
        static int made = 0;
        const std::string name = fmt::format("vrf_{}", made++);
        pool_ = rte_pktmbuf_pool_create(
            name.c_str(), 2047, 0, pipeline::kPrivateSize, 2176, SOCKET_ID_ANY
        );
        REQUIRE(pool_ != nullptr);
        core_ = Core::create(1, Sizes{4096, 4096, 1024, 4096}, pool_).value();
        core_->set_now_ms(1000);
        pipeline::WorkerConfig config;
        config.start_tsc = core_->start_tsc();
        for (std::uint16_t i = 0; i < kPorts; ++i) {
            ports_.at(i) = std::make_unique<pipeline::test::FakePort>(i);
            PortDescription port;
            port.port_id = i;
            port.device_name = fmt::format("net_vrf{}", i);
            port.mac = mac_of_port(i);
            port.max_mtu = 9000;
            const LinkId link = core_->links().add_port(port).value();
            LinkSetRequest quiet;
            quiet.link_local = false;
            REQUIRE(core_->links().set(link, quiet));
            config.rx_queues.push_back({i, 0, link});
            config.tx_paths.at(i) = {true, 0, 0};
        }
        workers_ = WorkerPool::create(*core_, {config}).value();
        core_->workers().front()->receiving = nullptr;  // always
        interpreter_ = std::make_unique<CommandInterpreter>(*core_, program_);
    }

    ~VrfMachine() {
        for (std::uint16_t i = 0; i < kPorts; ++i) {
            (void)sent(i);
        }
        workers_.reset();
        interpreter_.reset();
        core_.reset();
        CHECK(rte_mempool_in_use_count(pool_) == 0);
        for (auto& port : ports_) {
            port.reset();
        }
        rte_mempool_free(pool_);
    }

    VrfMachine(const VrfMachine&) = delete;
    VrfMachine& operator=(const VrfMachine&) = delete;

    static net::MacAddress mac_of_port(std::uint16_t port) {
        return net::MacAddress::from_value(0x020000000010 + port);
    }

    static net::MacAddress peer() { return net::MacAddress::from_value(0x020000000999); }

    // Must be accepted; its text.
    std::string run(const std::string& line) {
        const CommandOutput output = interpreter_->run(line);
        INFO(line << ": " << output.error.what);
        REQUIRE(output.ok);
        settle();
        return output.text;
    }

    // Must be refused; why.
    std::string refused(const std::string& line) {
        const CommandOutput output = interpreter_->run(line);
        INFO(line);
        REQUIRE_FALSE(output.ok);
        return error_line(output);
    }

    // The other station on the port's network.
    void know(std::uint16_t port, const std::string& address) {
        run(fmt::format("neigh replace {} lladdr {} dev port{}", address, peer().to_string(), port)
        );
    }

    void receive(std::uint16_t port, const Bytes& bytes) {
        rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
        REQUIRE(packet != nullptr);
        std::memcpy(
            rte_pktmbuf_append(packet, static_cast<std::uint16_t>(bytes.size())),
            bytes.data(),
            bytes.size()
        );
        REQUIRE(ports_.at(port)->inject(packet));
    }

    // Until nobody has anything left to do.
    void settle() {
        for (int round = 0; round < 4; ++round) {
            (void)pipeline::poll_once(*core_->workers().front());
            core_->turn();
        }
        (void)pipeline::poll_once(*core_->workers().front());
    }

    std::vector<Bytes> sent(std::uint16_t port) {
        std::vector<Bytes> frames;
        for (rte_mbuf* packet : ports_.at(port)->take_sent()) {
            const auto* data = rte_pktmbuf_mtod(packet, const std::uint8_t*);
            frames.emplace_back(data, data + packet->data_len);
            rte_pktmbuf_free(packet);
        }
        return frames;
    }

    // Of the four ports, how many frames each has sent: "1 0 0 0".
    std::string sent_counts() {
        settle();
        std::string text;
        for (std::uint16_t i = 0; i < kPorts; ++i) {
            text += fmt::format("{}{}", i == 0 ? "" : " ", sent(i).size());
        }
        return text;
    }

    std::uint64_t drops(const std::string& link, pipeline::Drop reason) {
        return core_->drops(core_->links().require(link).value(), reason);
    }

    std::uint64_t rx_packets(const std::string& link) {
        return core_->stats(core_->links().require(link).value()).rx_packets;
    }

    Core& core() { return *core_; }

private:
    rte_mempool* pool_ = nullptr;
    std::unique_ptr<Core> core_;
    std::array<std::unique_ptr<pipeline::test::FakePort>, kPorts> ports_;
    std::unique_ptr<WorkerPool> workers_;
    FakeProgram program_;
    std::unique_ptr<CommandInterpreter> interpreter_;
};

inline std::uint32_t v4(const std::string& text) {
    return ip(text).v4();
}

// From the station beyond the port.
inline Packet from_peer(std::uint16_t port, const Ipv4Options& options) {
    return Packet().ether(VrfMachine::mac_of_port(port), VrfMachine::peer()).ipv4(options);
}

inline Bytes udp_between(std::uint16_t port, const std::string& source, const std::string& to) {
    return from_peer(port, {.source = v4(source), .destination = v4(to)})
        .udp(1000, 2000)
        .payload(20)
        .bytes();
}

inline Bytes echo_request(std::uint16_t port, const std::string& source, const std::string& to) {
    Bytes bytes =
        from_peer(
            port, {.source = v4(source), .destination = v4(to), .protocol = net::ip_protocol::kIcmp}
        )
            .icmp_echo()
            .payload(20)
            .bytes();
    const net::Be16 sum =
        net::checksum_from_sum(net::sum_bytes(bytes.data() + 34, bytes.size() - 34));
    std::memcpy(bytes.data() + 36, &sum, sizeof(sum));
    return bytes;
}

// port0 is in red, port1 in blue, port2 in neither: on each we are 10.0.0.1, and 10.0.0.2 beyond.
struct TwoVrfs : VrfMachine {
    TwoVrfs() {
        run("link add red type vrf table 10");
        run("link add blue type vrf table 20");
        run("link set red up");
        run("link set blue up");
        run("link set port0 master red");
        run("link set port1 vrf blue");
        for (std::uint16_t port = 0; port < 3; ++port) {
            run(fmt::format("addr add 10.0.0.1/24 dev port{}", port));
            run(fmt::format("addr add 2001:db8::1/64 dev port{} nodad", port));
            know(port, "10.0.0.2");
            know(port, "2001:db8::2");
        }
        run("addr add 10.9.0.1/24 dev port3");
        know(3, "10.9.0.2");
        (void)sent_counts();
    }
};

// From 172.16.0.2 to 172.16.0.1, as tunnels carry it.
inline Bytes carried_packet() {
    const Bytes frame = Packet()
                            .ether({}, {})
                            .ipv4({.source = v4("172.16.0.2"), .destination = v4("172.16.0.1")})
                            .udp(1, 2)
                            .payload(8)
                            .bytes();
    return {frame.begin() + 14, frame.end()};
}

// From 10.0.0.2 to us, with that in it.
inline Bytes ipip_packet(std::uint16_t port) {
    return from_peer(
               port,
               {.source = v4("10.0.0.2"),
                .destination = v4("10.0.0.1"),
                .protocol = net::ip_protocol::kIpip}
    )
        .raw(carried_packet())
        .bytes();
}

// From 2001:db8::2 to us, with that in it.
inline Bytes ip6tnl_packet(std::uint16_t port) {
    const Bytes carried = carried_packet();
    net::Ipv6Header outer{};
    outer.version_class_flow = net::Ipv6Header::make_first_word(0, 0);
    outer.payload_length = net::Be16{static_cast<std::uint16_t>(carried.size())};
    outer.next_header = net::ip_protocol::kIpip;
    outer.hop_limit = 64;
    outer.source = ip("2001:db8::2").bytes();
    outer.destination = ip("2001:db8::1").bytes();
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&outer);
    return Packet()
        .ether(VrfMachine::mac_of_port(port), VrfMachine::peer(), net::ether_type::kIpv6)
        .raw(Bytes(raw, raw + sizeof(outer)))
        .raw(carried)
        .bytes();
}

}  // namespace culvert::control::test
