// SPDX-License-Identifier: BSD-3-Clause
// DPDK's ports: which there are, how their queues are spread over workers, and their set-up and
// release.
#pragma once

#include "lib/control/links.hpp"
#include "lib/net/result.hpp"
#include "lib/pipeline/worker.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct rte_mempool;

namespace culvert::control {

struct QueuePin {
    std::uint16_t port = 0;
    std::uint16_t queue = 0;
    std::uint32_t lcore = 0;
};

struct PortOptions {
    std::uint64_t port_mask = UINT64_MAX;
    std::uint16_t rx_queues = 0;  // 0 = one a worker, as many as the port can do
    std::uint16_t tx_queues = 0;
    std::uint16_t rx_descriptors = 1024;
    std::uint16_t tx_descriptors = 1024;
    std::vector<QueuePin> pins;
    std::optional<std::uint32_t> mtu;
    std::uint32_t mbufs = 0;         // 0 = sized from queues, descriptors and workers
    std::uint16_t mbuf_size = 2176;  // headroom and data
    std::uint32_t mbuf_cache = 256;
};

// The devices named by EAL's options `--vdev` and `-a`. Error EINVAL: one is named twice.
struct RequestedDevices {
    std::vector<std::string> virtual_devices;
    std::vector<std::string> allowed;
};

[[nodiscard]] Result<RequestedDevices> requested_devices(std::span<const std::string> eal_words);
// After EAL's start, which is silent about a device that did not come up. Error ENODEV.
[[nodiscard]] Result<void> check_devices(const RequestedDevices& devices);

class Ports final : public PortDevices {
public:
    // Looks at all ports that the mask leaves, spreads their queues over `lcores`, makes the packet
    // pool, and sets up and starts the ports. Errors: EINVAL (options), ENOMEM, or the device's
    // own.
    static Result<std::unique_ptr<Ports>>
    open(const PortOptions& options, std::vector<std::uint32_t> lcores);
    // Stops and closes them and gives the pool back.
    ~Ports() override;
    Ports(const Ports&) = delete;
    Ports& operator=(const Ports&) = delete;

    [[nodiscard]] rte_mempool* pool() const noexcept { return pool_; }

    // To become links, in DPDK's order.
    [[nodiscard]] std::vector<PortDescription> descriptions() const;
    // One a worker lcore; `links`: by DPDK's port number.
    [[nodiscard]] std::vector<pipeline::WorkerConfig>
    worker_configs(const std::map<std::uint16_t, LinkId>& links) const;
    // Whether a cable is in, asked of the device.
    [[nodiscard]] bool has_carrier(std::uint16_t port_id) const;

    Result<void> set_mtu(std::uint16_t port_id, std::uint32_t mtu) override;
    Result<void> set_mac(std::uint16_t port_id, const net::MacAddress& mac) override;
    void set_promiscuous(std::uint16_t port_id, bool on) override;

private:
    struct Port {
        std::uint16_t id = 0;
        std::string name;  // DPDK's device name
        std::uint16_t rx_queues = 0;
        std::uint16_t tx_queues = 0;
        std::uint16_t rx_descriptors = 0;
        std::uint16_t tx_descriptors = 0;
        std::uint32_t mtu = 1500;
        std::uint32_t max_mtu = 1500;
        std::vector<std::uint32_t> worker_of_queue;  // [queue] -> worker
        bool started = false;
    };

    Ports(const PortOptions& options, std::vector<std::uint32_t> lcores)
        : options_(options)
        , lcores_(std::move(lcores)) {}

    Result<void> look_at(std::uint16_t port_id);
    Result<void> spread_queues();
    Result<void> make_pool();
    Result<void> start(Port& port);
    Result<void> set_up_queues(const Port& port);
    [[nodiscard]] const Port* find(std::uint16_t port_id) const;

    PortOptions options_;
    std::vector<std::uint32_t> lcores_;  // [worker] -> lcore
    std::vector<Port> ports_;
    rte_mempool* pool_ = nullptr;
};

}  // namespace culvert::control
