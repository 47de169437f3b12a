// SPDX-License-Identifier: BSD-3-Clause
// Pushes or pops PACKETS packets of one flow, 64-byte frames in bursts of 32, and exits: for
// callgrind, which counts what `run_stages` and below execute (scripts/instructions runs it with
// two values of PACKETS and takes the difference).
//
//   vxlan_instructions push|pop|push-stage|pop-stage checksum|none PACKETS
//
// push: from a bridged port's frame to the underlay's transmit function; pop: from an underlay
// frame to the bridged port's transmit function, learning on. The stages alone begin and end at
// their vectors.
#include "lib/encap/vxlan_build.hpp"
#include "lib/pipeline/worker.hpp"
#include "lib/route/fib4.hpp"
#include "test/unit/pipeline/packet.hpp"

#include <rte_eal.h>
#include <rte_ethdev.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

namespace culvert::pipeline {

namespace {

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kLocal = 0xc0000201;
constexpr std::uint32_t kRemote = 0xc0000202;
constexpr std::uint16_t kUdpPort = 4789;
constexpr std::uint32_t kVni = 42;
const net::MacAddress kNear = test::mac(1);  // a station behind the access port
const net::MacAddress kFar = test::mac(2);   // one behind the tunnel
const net::MacAddress kPortMac = test::mac(0x100);
const net::MacAddress kVtep = test::mac(0x77);

std::uint16_t sink(void* /*queue*/, rte_mbuf** /*packets*/, std::uint16_t n) {
    return n;
}

// Two ports, a bridge with one of them and a tunnel over the other.
class Machine {
public:
    explicit Machine(bool udp_checksum)
        : pool(rte_pktmbuf_pool_create("pool", 255, 0, kPrivateSize, 2176, SOCKET_ID_ANY)) {
        RTE_VERIFY(pool != nullptr);
        for (std::uint16_t port = 0; port < 2; ++port) {
            rte_eth_fp_ops[port].tx_pkt_burst = &sink;
            rte_eth_fp_ops[port].txq.data = &queue_;
            rte_eth_fp_ops[port].txq.clbk = &callback_;
        }
        underlay = add(LinkKind::port, 0);
        access = add(LinkKind::port, 1);
        vxlan = add(LinkKind::vxlan, 0);
        bridge = add(LinkKind::bridge, 0);
        change(access, [this](Link& link) { link.master = bridge; });
        change(vxlan, [&](Link& link) {
            link.master = bridge;
            link.vxlan.vni = kVni;
            link.vxlan.destination_port = kUdpPort;
            link.vxlan.udp_checksum = udp_checksum;
        });
        change(bridge, [this](Link& link) { link.members = {access, vxlan}; });
        demux_.insert(encap::VxlanKey::socket(kUdpPort), 1);
        demux_.insert(encap::VxlanKey::make(kUdpPort, kVni), vxlan);
        add_tunnel();
        add_route();
        WorkerConfig config;
        config.tx_paths[0].has_queue = true;
        config.tx_paths[1].has_queue = true;
        worker = std::make_unique<Worker>(config, tables_, domain_, *counters_, doorbell_, pool);
    }

    rte_mempool* pool;
    LinkId underlay = kNoLink;
    LinkId access = kNoLink;
    LinkId vxlan = kNoLink;
    LinkId bridge = kNoLink;
    std::unique_ptr<Worker> worker;

private:
    LinkId add(LinkKind kind, std::uint16_t port) {
        const auto id = static_cast<LinkId>(links_.allocate());
        Link link;
        link.id = id;
        link.kind = kind;
        link.up = true;
        link.mac = kind == LinkKind::port ? test::mac(0x100U + port) : test::mac(0x200U + id);
        link.port_id = port;
        links_.publish(id, std::make_unique<const Link>(link));
        if (kind == LinkKind::vxlan || kind == LinkKind::bridge) {
            fdb_.add_domain(id, {});
        }
        return id;
    }

    template <typename Change>
    void change(LinkId id, Change&& change) {
        auto link = std::make_unique<Link>(*links_.read(id));
        change(*link);
        links_.publish(id, std::move(link));
    }

    void set_fdb(LinkId domain, const net::MacAddress& mac, std::uint32_t target) {
        RTE_VERIFY(fdb_.set(domain, mac, target, {}, 0).has_value());
    }

    void add_tunnel() {
        route::Path path;
        path.kind = route::AdjacencyKind::rewrite;
        path.link = underlay;
        path.source = net::IpAddress::from_v4(kLocal);
        path.mtu = 1500;
        route::Adjacency neighbour;
        neighbour.link_out = underlay;
        neighbour.header_len = sizeof(net::EtherHeader);
        const net::EtherHeader ether{kVtep, kPortMac, net::Be16{net::ether_type::kIpv4}};
        std::memcpy(neighbour.header.data(), &ether, sizeof(ether));
        const auto remote = net::IpAddress::from_v4(kRemote);
        const auto id = templates_.allocate();
        templates_.publish(
            id,
            std::make_unique<const encap::VxlanTemplate>(encap::build_vxlan_template(
                links_.read(vxlan)->vxlan, vxlan, {remote, kVni, kUdpPort, kNoLink}, path, neighbour
            ))
        );
        auto destination = std::make_unique<encap::VxlanDestination>();
        destination->first_address = remote;
        destination->device = vxlan;
        destination->count = 1;
        destination->inline_ids[0] = id;
        const auto list = destinations_.allocate();
        destinations_.publish(list, std::move(destination));
        set_fdb(vxlan, kFar, list);
        set_fdb(bridge, kNear, access);
        set_fdb(bridge, kFar, vxlan);
    }

    void add_route() {
        auto local = std::make_unique<route::Adjacency>();
        local->kind = route::AdjacencyKind::local;
        const auto id = adjacencies_.allocate();
        adjacencies_.publish(id, std::move(local));
        RTE_VERIFY(fib_->set({net::IpAddress::from_v4(kLocal), 32}, id).has_value());
    }

    rcu::Domain domain_{1};
    Links links_{domain_, kMaxLinks};
    fdb::Table fdb_{domain_, 1024};
    VxlanDemux demux_{domain_};
    encap::VxlanDestinations destinations_{domain_, 64};
    encap::VxlanTemplates templates_{domain_, 64};
    route::AdjacencyTable adjacencies_{domain_, 64};
    std::unique_ptr<route::Fib4> fib_ = route::Fib4::create(domain_, 16).value();
    Tables tables_{links_, fdb_, demux_, destinations_, templates_, *fib_, adjacencies_};
    std::unique_ptr<CounterBlock> counters_ = std::make_unique<CounterBlock>();
    Doorbell doorbell_;
    void* queue_ = nullptr;
    void* callback_ = nullptr;
};

// 64 bytes with the FCS that is not there: 60.
test::Bytes station_frame(const net::MacAddress& to, const net::MacAddress& from) {
    return test::Packet().ether(to, from).ipv4().udp(1000, 2000).payload(18).bytes();
}

test::Bytes tunnel_frame(const Machine& machine) {
    test::Ipv4Options ip;
    ip.source = kRemote;
    ip.destination = kLocal;
    const net::VxlanHeader header = net::VxlanHeader::make(kVni);
    const auto* begin = reinterpret_cast<const std::uint8_t*>(&header);
    test::Bytes bytes = test::Packet()
                            .ether(kPortMac, kVtep)
                            .ipv4(ip)
                            .udp(40000, kUdpPort)
                            .raw({begin, begin + sizeof(header)})
                            .raw(station_frame(kNear, kFar))
                            .bytes();
    // What the same packet's push would have as checksum: the sum over it.
    const auto* sender = reinterpret_cast<const net::Ipv4Header*>(&bytes[14]);
    const auto length = static_cast<std::uint16_t>(bytes.size() - 34);
    const std::uint64_t pseudo =
        net::pseudo_header_sum_v4(sender->source, sender->destination, 17, length);
    if (machine.worker->tables.links.read(machine.vxlan)->vxlan.udp_checksum) {
        auto* udp = reinterpret_cast<net::UdpHeader*>(&bytes[34]);
        udp->checksum = net::udp_checksum_from_sum(net::sum_bytes(&bytes[34], length, pseudo));
    }
    return bytes;
}

struct Case {
    Stage first;
    bool alone;
    LinkId link_in;
    test::Bytes bytes;
};

Case make_case(const Machine& machine, std::string_view name) {
    const bool alone = name.ends_with("-stage");
    if (name.starts_with("push")) {
        return {
            alone ? Stage::vxlan_push : Stage::bridge,
            alone,
            machine.access,
            station_frame(kFar, kNear)};
    }
    return {
        alone ? Stage::vxlan_pop : Stage::ethernet, alone, machine.underlay, tunnel_frame(machine)};
}

// The counted part of a stage by itself; its name is what scripts/instructions looks for.
[[gnu::noinline]] void run_one_stage(Worker& worker, Stage stage) {
    if (stage == Stage::vxlan_push) {
        vxlan_push_stage(worker);
    } else {
        vxlan_pop_stage(worker);
    }
}

bool run(Machine& machine, const Case& what, std::uint64_t packets) {
    Worker& worker = *machine.worker;
    std::array<rte_mbuf*, kBurst> burst{};
    for (rte_mbuf*& packet : burst) {
        packet = test::make_mbuf(machine.pool, what.bytes);
    }
    for (std::uint64_t done = 0; done < packets; done += kBurst) {
        for (rte_mbuf* packet : burst) {
            packet->data_off = RTE_PKTMBUF_HEADROOM;
            packet->data_len = static_cast<std::uint16_t>(what.bytes.size());
            packet->pkt_len = packet->data_len;
            std::memcpy(rte_pktmbuf_mtod(packet, void*), what.bytes.data(), what.bytes.size());
            note(packet).link_in = what.link_in;
            note(packet).link_out = machine.vxlan;
            note(packet).l3_offset = sizeof(net::EtherHeader);
            note(packet).depth = 0;
            worker.enqueue(what.first, packet);
        }
        if (what.alone) {
            run_one_stage(worker, what.first);
            for (Vector& vector : worker.vectors) {
                vector.count = 0;
            }
        } else {
            run_stages(worker);
        }
    }
    const CounterBlock& counters = worker.counters;
    const LinkCounters& row = counters.link(machine.vxlan);
    return row.rx_packets.read() + row.tx_packets.read() == packets && counters.dropped.read() == 0;
}

}  // namespace

}  // namespace culvert::pipeline

int main(int argc, char** argv) {
    using namespace std::string_view_literals;
    const bool known = argc == 4 && (argv[1] == "push"sv || argv[1] == "pop"sv ||
                                     argv[1] == "push-stage"sv || argv[1] == "pop-stage"sv);
    if (!known || (argv[2] != "checksum"sv && argv[2] != "none"sv)) {
        std::fputs(
            "usage: vxlan_instructions push|pop|push-stage|pop-stage checksum|none PACKETS\n",
            stderr
        );
        return 2;
    }
    const std::string prefix = "culvert_instructions_" + std::to_string(getpid());
    std::array<std::string, 9> words{
        argv[0],
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "--file-prefix=" + prefix,
        "-m256",
        "--lcores=0@0-1",
        "--log-level=error"};
    std::array<char*, 9> eal_argv{};
    for (std::size_t i = 0; i < words.size(); ++i) {
        eal_argv[i] = words[i].data();
    }
    if (rte_eal_init(static_cast<int>(words.size()), eal_argv.data()) < 0) {
        std::fputs("vxlan_instructions: EAL did not start\n", stderr);
        return 1;
    }
    const std::uint64_t packets =
        std::stoull(argv[3]) / culvert::pipeline::kBurst * culvert::pipeline::kBurst;
    bool good = false;
    {
        culvert::pipeline::Machine machine(argv[2] == "checksum"sv);
        good = run(machine, make_case(machine, argv[1]), packets);
        if (!good) {
            std::fputs("vxlan_instructions: not every packet went its way\n", stderr);
        }
    }
    rte_eal_cleanup();
    std::error_code ignored;
    std::filesystem::remove_all("/var/run/dpdk/" + prefix, ignored);
    return good ? 0 : 1;
}
