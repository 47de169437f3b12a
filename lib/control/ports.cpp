// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/ports.hpp"

#include "lib/control/log.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <net/if.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <system_error>

namespace culvert::control {

namespace {

// A frame is its MTU, the Ethernet header, two VLAN tags.
constexpr std::uint32_t kFrameOverhead = 14 + 8;
constexpr std::uint32_t kCrcLen = 4;
// What may wait in vectors and rings of a worker, and in control for neighbours.
constexpr std::uint32_t kMbufsPerWorker = 4096;
constexpr std::uint32_t kMbufsForControl = 4096;

std::string text_of(int code) {
    return std::generic_category().message(code);
}

Error device_error(int code, const std::string& port, const std::string& attempt) {
    return {
        static_cast<std::errc>(-code),
        fmt::format("port {}: {}: {}", port, attempt, text_of(-code))};
}

// A NIC's fast transmit paths know no packets of several segments, so there they cost and are asked
// for only when needed; for the rest they are free.
bool is_virtual(const std::string& name) {
    return name.find(':') == std::string::npos;
}

// The port's kernel interface is in another name space: net_tap cannot ask for its state there, and
// reports it as down.
bool is_elsewhere(std::uint16_t port_id) {
    rte_eth_dev_info info{};
    std::array<char, IF_NAMESIZE> name{};
    return rte_eth_dev_info_get(port_id, &info) == 0 && info.if_index != 0 &&
           if_indextoname(info.if_index, name.data()) == nullptr;
}

}  // namespace

Result<std::unique_ptr<Ports>>
Ports::open(const PortOptions& options, std::vector<std::uint32_t> lcores) {
    std::unique_ptr<Ports> ports(new Ports(options, std::move(lcores)));
    for (std::uint16_t id = 0; id < pipeline::kMaxPorts; ++id) {
        CULVERT_CHECK(ports->look_at(id));
    }
    if (ports->ports_.empty() && rte_eth_dev_count_avail() != 0) {
        return Error{
            std::errc::invalid_argument,
            fmt::format(
                "--portmask {:x}: none of the {} ports is in it",
                options.port_mask,
                rte_eth_dev_count_avail()
            )};
    }
    CULVERT_CHECK(ports->spread_queues());
    CULVERT_CHECK(ports->make_pool());
    for (Port& port : ports->ports_) {
        CULVERT_CHECK(ports->start(port));
    }
    return ports;
}

Ports::~Ports() {
    for (Port& port : ports_) {
        if (port.started) {
            rte_eth_dev_stop(port.id);
        }
        rte_eth_dev_close(port.id);
    }
    rte_mempool_free(pool_);
}

const Ports::Port* Ports::find(std::uint16_t port_id) const {
    auto found = std::find_if(ports_.begin(), ports_.end(), [=](const Port& port) {
        return port.id == port_id;
    });
    return found == ports_.end() ? nullptr : &*found;
}

Result<void> Ports::look_at(std::uint16_t port_id) {
    if (rte_eth_dev_is_valid_port(port_id) == 0 || (options_.port_mask >> port_id & 1) == 0) {
        return {};
    }
    Port port;
    port.id = port_id;
    std::array<char, RTE_ETH_NAME_MAX_LEN> name{};
    rte_eth_dev_get_name_by_port(port_id, name.data());
    port.name = name.data();
    rte_eth_dev_info info{};
    if (int code = rte_eth_dev_info_get(port_id, &info); code != 0) {
        return device_error(code, port.name, "asking what it can do");
    }
    const auto workers = static_cast<std::uint16_t>(lcores_.size());
    auto queues = [&](std::uint16_t wanted, std::uint16_t most, const char* option
                  ) -> Result<std::uint16_t> {
        if (wanted > most) {
            return Error{
                std::errc::invalid_argument,
                fmt::format("--{} {}: port {} has at most {}", option, wanted, port.name, most)};
        }
        return wanted != 0 ? wanted : std::max<std::uint16_t>(1, std::min(workers, most));
    };
    CULVERT_TRY(rx_queues, queues(options_.rx_queues, info.max_rx_queues, "rxq"));
    CULVERT_TRY(tx_queues, queues(options_.tx_queues, info.max_tx_queues, "txq"));
    port.rx_queues = rx_queues;
    port.tx_queues = tx_queues;
    port.rx_descriptors = options_.rx_descriptors;
    port.tx_descriptors = options_.tx_descriptors;
    const std::uint32_t longest = std::max(info.max_rx_pktlen, 64U + kCrcLen);
    port.max_mtu = std::min<std::uint32_t>(info.max_mtu, longest - 14 - kCrcLen);
    std::uint16_t mtu = 1500;
    (void)rte_eth_dev_get_mtu(port_id, &mtu);
    port.mtu = options_.mtu.value_or(mtu);
    if (port.mtu > port.max_mtu) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("--mtu {}: port {} has at most {}", port.mtu, port.name, port.max_mtu)};
    }
    ports_.push_back(std::move(port));
    return {};
}

// Queue pair n of a port is one worker's. Ports begin at different workers, so that ports of one
// queue do not all meet on the first.
Result<void> Ports::spread_queues() {
    std::size_t next = 0;
    for (Port& port : ports_) {
        port.worker_of_queue.resize(std::max(port.rx_queues, port.tx_queues));
        for (std::uint32_t& worker : port.worker_of_queue) {
            worker = static_cast<std::uint32_t>(next++ % lcores_.size());
        }
    }
    for (const QueuePin& pin : options_.pins) {
        const std::string attempt =
            fmt::format("--queue-map ({},{},{})", pin.port, pin.queue, pin.lcore);
        auto port = std::find_if(ports_.begin(), ports_.end(), [&](const Port& p) {
            return p.id == pin.port;
        });
        if (port == ports_.end()) {
            return Error{
                std::errc::invalid_argument,
                fmt::format("{}: there is no port {}", attempt, pin.port)};
        }
        if (pin.queue >= port->worker_of_queue.size()) {
            return Error{
                std::errc::invalid_argument,
                fmt::format(
                    "{}: port {} has {} queues", attempt, pin.port, port->worker_of_queue.size()
                )};
        }
        auto lcore = std::find(lcores_.begin(), lcores_.end(), pin.lcore);
        if (lcore == lcores_.end()) {
            return Error{
                std::errc::invalid_argument,
                fmt::format("{}: lcore {} is no worker", attempt, pin.lcore)};
        }
        port->worker_of_queue[pin.queue] = static_cast<std::uint32_t>(lcore - lcores_.begin());
    }
    return {};
}

Result<void> Ports::make_pool() {
    std::uint32_t count = options_.mbufs;
    if (count == 0) {
        for (const Port& port : ports_) {
            count += std::uint32_t{port.rx_queues} * port.rx_descriptors;
            count += std::uint32_t{port.tx_queues} * port.tx_descriptors;
        }
        const auto workers = static_cast<std::uint32_t>(lcores_.size());
        count += workers * (kMbufsPerWorker + options_.mbuf_cache * 2) + kMbufsForControl;
        count = std::bit_ceil(count) - 1;  // what a ring of a power of two holds
    }
    const std::uint32_t cache =
        std::min({options_.mbuf_cache, std::uint32_t{RTE_MEMPOOL_CACHE_MAX_SIZE}, count * 2 / 3});
    pool_ = rte_pktmbuf_pool_create(
        "culvert_packets", count, cache, pipeline::kPrivateSize, options_.mbuf_size, SOCKET_ID_ANY
    );
    if (pool_ == nullptr) {
        const std::uint64_t mib = (std::uint64_t{count} * (options_.mbuf_size + 256U)) >> 20U;
        return Error{
            std::errc::not_enough_memory,
            fmt::format(
                "the packet pool: {} packets of {} bytes need about {} MiB of DPDK memory: give "
                "EAL more (-m 512) or take "
                "fewer (--total-num-mbufs, --rxd, --txd)",
                count,
                options_.mbuf_size,
                mib
            )};
    }
    return {};
}

Result<void> Ports::start(Port& port) {
    rte_eth_dev_info info{};
    if (int code = rte_eth_dev_info_get(port.id, &info); code != 0) {
        return device_error(code, port.name, "asking what it can do");
    }
    rte_eth_conf conf{};
    conf.rxmode.mtu = port.mtu;
    std::uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    std::uint64_t tx = 0;
    const std::uint32_t room = options_.mbuf_size - RTE_PKTMBUF_HEADROOM;
    if (port.mtu + kFrameOverhead > room || is_virtual(port.name)) {
        rx |= RTE_ETH_RX_OFFLOAD_SCATTER;
        tx |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    }
    conf.rxmode.offloads = rx & info.rx_offload_capa;
    conf.txmode.offloads = tx & info.tx_offload_capa;
    if (port.rx_queues > 1) {
        const std::uint64_t fields = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;
        conf.rx_adv_conf.rss_conf.rss_hf = fields & info.flow_type_rss_offloads;
        conf.rxmode.mq_mode =
            conf.rx_adv_conf.rss_conf.rss_hf != 0 ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE;
    }
    if (int code = rte_eth_dev_configure(port.id, port.rx_queues, port.tx_queues, &conf);
        code != 0) {
        return device_error(
            code,
            port.name,
            fmt::format("configuring {} rx and {} tx queues", port.rx_queues, port.tx_queues)
        );
    }
    if (int code =
            rte_eth_dev_adjust_nb_rx_tx_desc(port.id, &port.rx_descriptors, &port.tx_descriptors);
        code != 0) {
        return device_error(code, port.name, "setting the number of descriptors");
    }
    CULVERT_CHECK(set_up_queues(port));
    if (options_.mtu) {
        if (int code = rte_eth_dev_set_mtu(port.id, static_cast<std::uint16_t>(port.mtu));
            code != 0 && code != -ENOTSUP) {
            return device_error(code, port.name, fmt::format("setting mtu {}", port.mtu));
        }
    }
    if (int code = rte_eth_dev_start(port.id); code != 0) {
        return device_error(code, port.name, "starting it");
    }
    port.started = true;
    // IPv6 asks for neighbours in as many groups as there are addresses. What cannot do it is
    // virtual, and sees every frame anyway.
    static_cast<void>(rte_eth_allmulticast_enable(port.id));
    return {};
}

Result<void> Ports::set_up_queues(const Port& port) {
    const int socket = rte_eth_dev_socket_id(port.id);
    const auto numa = static_cast<unsigned>(std::max(socket, 0));
    for (std::uint16_t queue = 0; queue < port.rx_queues; ++queue) {
        if (int code =
                rte_eth_rx_queue_setup(port.id, queue, port.rx_descriptors, numa, nullptr, pool_);
            code != 0) {
            return device_error(code, port.name, fmt::format("setting up rx queue {}", queue));
        }
    }
    for (std::uint16_t queue = 0; queue < port.tx_queues; ++queue) {
        if (int code = rte_eth_tx_queue_setup(port.id, queue, port.tx_descriptors, numa, nullptr);
            code != 0) {
            return device_error(code, port.name, fmt::format("setting up tx queue {}", queue));
        }
    }
    return {};
}

std::vector<PortDescription> Ports::descriptions() const {
    std::vector<PortDescription> all;
    for (const Port& port : ports_) {
        rte_ether_addr mac{};
        rte_eth_macaddr_get(port.id, &mac);
        PortDescription description;
        description.port_id = port.id;
        description.device_name = port.name;
        std::copy_n(mac.addr_bytes, description.mac.bytes.size(), description.mac.bytes.begin());
        description.mtu = port.mtu;
        description.max_mtu = port.max_mtu;
        all.push_back(description);
    }
    return all;
}

std::vector<pipeline::WorkerConfig>
Ports::worker_configs(const std::map<std::uint16_t, LinkId>& links) const {
    std::vector<pipeline::WorkerConfig> configs(lcores_.size());
    for (std::uint32_t index = 0; index < configs.size(); ++index) {
        configs[index].index = index;
        configs[index].lcore = lcores_[index];
    }
    for (const Port& port : ports_) {
        for (std::uint16_t queue = 0; queue < port.rx_queues; ++queue) {
            configs[port.worker_of_queue[queue]].rx_queues.push_back(
                {port.id, queue, links.at(port.id)}
            );
        }
        for (std::uint16_t queue = port.tx_queues; queue-- > 0;) {
            pipeline::TxPath& path = configs[port.worker_of_queue[queue]].tx_paths[port.id];
            path.has_queue = true;
            path.queue_id = queue;
        }
        for (std::uint32_t index = 0; index < configs.size(); ++index) {
            pipeline::TxPath& path = configs[index].tx_paths[port.id];
            if (!path.has_queue) {
                path.owner = static_cast<std::uint16_t>(
                    port.worker_of_queue[index % std::max<std::uint32_t>(port.tx_queues, 1)]
                );
            }
        }
    }
    return configs;
}

bool Ports::has_carrier(std::uint16_t port_id) const {
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP) {
        return true;
    }
    return is_elsewhere(port_id);
}

Result<void> Ports::set_mtu(std::uint16_t port_id, std::uint32_t mtu) {
    const Port* port = find(port_id);
    const std::string name = port == nullptr ? std::to_string(port_id) : port->name;
    const std::uint32_t room = options_.mbuf_size - RTE_PKTMBUF_HEADROOM;
    if (mtu + kFrameOverhead > room && !is_virtual(name) &&
        (port == nullptr || port->mtu + kFrameOverhead <= room)) {
        return Error{
            std::errc::invalid_argument,
            fmt::format(
                "port {}: mtu {} needs larger packet buffers: start with --mtu {} or --mbuf-size",
                name,
                mtu,
                mtu
            )};
    }
    if (int code = rte_eth_dev_set_mtu(port_id, static_cast<std::uint16_t>(mtu)); code != 0) {
        return device_error(code, name, fmt::format("setting mtu {}", mtu));
    }
    return {};
}

Result<void> Ports::set_mac(std::uint16_t port_id, const net::MacAddress& mac) {
    const Port* port = find(port_id);
    rte_ether_addr address{};
    std::copy(mac.bytes.begin(), mac.bytes.end(), address.addr_bytes);
    if (int code = rte_eth_dev_default_mac_addr_set(port_id, &address); code != 0) {
        return device_error(
            code,
            port == nullptr ? std::to_string(port_id) : port->name,
            "setting MAC address " + mac.to_string()
        );
    }
    return {};
}

void Ports::set_promiscuous(std::uint16_t port_id, bool on) {
    const int code =
        on ? rte_eth_promiscuous_enable(port_id) : rte_eth_promiscuous_disable(port_id);
    if (code != 0 && code != -ENOTSUP) {
        const Port* port = find(port_id);
        RTE_LOG(
            WARNING,
            CULVERT,
            "port %s: promiscuous mode %s: %s\n",
            port == nullptr ? "?" : port->name.c_str(),
            on ? "on" : "off",
            text_of(-code).c_str()
        );
    }
}

}  // namespace culvert::control
